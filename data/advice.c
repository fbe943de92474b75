#include "data/advice.h"

#include "data/array.h"

#include <stdio.h>

enum { CLIP_STEPS = 8, PIECES_MANY = 64 };

/* Steps of the chunks that a clip touches, at a random start, over the clip's: (chunk + clip - 1) / clip on average. */
static double steps_cost(const ds_array *a, int axis, int64_t clip)
{
    if (axis < 0)
        return 1;
    const double chunk = (double)a->chunk[axis], most = (double)a->grid[axis] * chunk;
    const double touched = chunk + (double)clip - 1;
    return (touched < most ? touched : most) / (double)clip;
}

/* How many values outside the trajectory each chunk holds: along the axes before time. */
static double members_cost(const ds_array *a, int axis)
{
    double cost = 1;
    for (int d = 0; d < axis; d++)
        cost *= (double)a->chunk[d];
    return cost;
}

/* Chunks that lie beside each other within one step. */
static double pieces_of(const ds_array *a, int axis)
{
    double n = 1;
    for (int d = axis + 1; d < a->rank; d++)
        n *= (double)a->grid[d];
    return n;
}

static const char *advise(const ds_array *a, double cost, double pieces)
{
    const bool packed = a->filters.count > 0;
    if (a->storage == DS_BY_HDF5)
        return "read by HDF5 itself, one thread at a time: repack with `fwm convert --to fwm`";
    if (a->storage == DS_CONTIGUOUS)
        return "none: read at the storage's speed";
    if (packed && cost > 2 * (2.0 - 1.0 / CLIP_STEPS))
        return "a clip unpacks far more than it needs: repack with `fwm convert --to fwm --chunk 8`, with --compress 1 "
               "or "
               "without";
    if (pieces > PIECES_MANY)
        return "a step lies in many small chunks: repack with `fwm convert --to fwm --chunk 8`";
    if (packed)
        return "none while threads are free to unpack; without --compress a repacked file is read many times faster";
    return "none: read at the storage's speed";
}

json_t *ds_storage_advice(const ds_field_info *field)
{
    const ds_array *a = field->array;
    if (!a || a->rank == 0)
        return json_null();
    const int axis = field->time_axis;
    const int64_t steps = axis < 0 ? 1 : a->dims[axis], clip = steps < CLIP_STEPS ? steps : CLIP_STEPS;
    const bool chunked = a->storage == DS_CHUNKED, packed = a->filters.count > 0;
    const double cost = chunked && packed ? steps_cost(a, axis, clip) * members_cost(a, axis) : 1;
    json_t *chunk = chunked ? json_array() : json_null(), *filters = json_array();
    for (int d = 0; chunked && d < a->rank; d++)
        (void)json_array_append_new(chunk, json_integer(a->chunk[d]));
    for (int i = 0; i < a->filters.count; i++) {
        const int id = a->filters.filter[i].id;
        char number[16];
        (void)snprintf(number, sizeof number, "%d", id);
        (void)json_array_append_new(filters, json_string(id == DS_FILTER_DEFLATE      ? "gzip"
                                                         : id == DS_FILTER_SHUFFLE    ? "shuffle"
                                                         : id == DS_FILTER_FLETCHER32 ? "fletcher32"
                                                         : id == DS_FILTER_LZF        ? "lzf"
                                                                                      : number));
    }
    return json_pack("{s:s, s:o, s:o, s:f, s:s}", "stored",
                     a->storage == DS_BY_HDF5      ? "by HDF5 alone"
                     : a->storage == DS_CONTIGUOUS ? "contiguous"
                                                   : "chunked",
                     "chunk", chunk, "filters", filters, "clip_cost", cost, "advice",
                     advise(a, cost, chunked ? pieces_of(a, axis) : 1));
}
