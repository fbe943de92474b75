#include "data/source.h"

#include "model/base/checked.h"

#include <string.h>

ds_source ds_source_make(const ds_h5 *file, const char *name)
{
    return (ds_source){.file = file, .name = name, .sample = -1, .time = -1, .space = {-1, -1, -1}};
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static bool is_component(const ds_source *s, int axis)
{
    return axis != s->sample && axis != s->time && axis != s->space[0] && axis != s->space[1] && axis != s->space[2];
}

static fwm_status check_axis(const ds_source *s, const ds_array *a, int axis, int64_t expected, const char *what)
{
    FWM_CHECK(axis < a->rank, FWM_DATA, "%s: %s: expected an axis %d (%s), found %d axes", s->file->path, s->name, axis,
              what, a->rank);
    return axis >= 0 && expected > 0 ? ds_array_check_extent(a, axis, expected, what) : FWM_OK;
}

static fwm_status check_axes(const ds_source *s, const ds_array *a, int64_t samples, int64_t steps, const ds_grid *grid)
{
    FWM_TRY(check_axis(s, a, s->sample, samples, "trajectories"));
    FWM_TRY(check_axis(s, a, s->time, steps, "steps"));
    for (int d = 0; d < grid->dims; d++)
        FWM_TRY(check_axis(s, a, s->space[d], grid->n[d], grid->names[d] ? grid->names[d] : "points"));
    FWM_CHECK(ds_array_width(a, 0) > 0, FWM_DATA, "%s: %s: expected values, found an axis of extent 0", s->file->path,
              s->name);
    return FWM_OK;
}

fwm_status ds_source_open(ds_source *s, int64_t samples, int64_t steps, const ds_grid *grid)
{
    ds_array *a = &s->array;
    FWM_TRY(ds_array_open(a, s->file, s->name, 0, 0));
    a->divisor = s->divisor > 0 ? s->divisor : a->number == DS_U8 ? DS_BRIGHTEST : 1.0F;
    const fwm_status status = check_axes(s, a, samples, steps, grid);
    if (status != FWM_OK) {
        ds_array_close(a);
        return status;
    }
    s->rank = a->rank;
    s->channels = 1;
    for (int i = 0; i < a->rank; i++) {
        s->dims[i] = a->dims[i];
        if (is_component(s, i))
            s->channels *= a->dims[i]; /* a part of a product that was checked */
    }
    s->bytes = a->number == DS_U8;
    s->integer = a->integer;
    return FWM_OK;
}

void ds_source_close(ds_source *s)
{
    if (s->array.name)
        ds_array_close(&s->array);
}

void ds_source_show(const ds_source *s, ds_field_info *field)
{
    field->array = &s->array;
    field->time_axis = s->time;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* What a read takes of the array: at, count; and how its order maps to the field's. */
typedef struct ds_box {
    int64_t at[DS_RANK_MAX], count[DS_RANK_MAX], stride[DS_RANK_MAX], elements;
} ds_box;

static ds_box box_of(const ds_source *s, int64_t sample, int64_t start, int64_t length)
{
    ds_box b = {.elements = 1};
    for (int i = s->rank - 1; i >= 0; i--) {
        b.at[i] = i == s->sample ? sample : i == s->time ? start : 0;
        b.count[i] = i == s->sample ? 1 : i == s->time ? length : s->dims[i];
        b.stride[i] = b.elements;
        b.elements *= b.count[i]; /* at most what a trajectory of the field has */
    }
    return b;
}

/* Whether the box in the array's order is the field as it is wanted: all channels, nothing to repeat, and time, grid,
 * components in this order (axes of extent 1 may stand anywhere). */
static bool is_straight(const ds_source *s, const ds_grid *grid, int64_t width)
{
    int last = -1;
    if (s->channels != width || s->time < 0)
        return false;
    for (int d = -1; d < grid->dims; d++) {
        int axis = d < 0 ? s->time : s->space[d];
        if (axis < 0 || axis < last)
            return false;
        last = axis;
    }
    for (int i = 0; i < last; i++)
        if (is_component(s, i) && s->dims[i] != 1)
            return false;
    return true;
}

static int64_t stride_of(const ds_box *b, int axis)
{
    return axis < 0 ? 0 : b->stride[axis];
}

/* Where component k stands relative to the first, in the box. */
static int64_t component_offset(const ds_source *s, const ds_box *b, int64_t k)
{
    int64_t offset = 0;
    for (int i = s->rank - 1; i >= 0; i--)
        if (is_component(s, i)) {
            offset += k % s->dims[i] * b->stride[i];
            k /= s->dims[i];
        }
    return offset;
}

/* Values of `size` bytes, 1 or 4. */
static void scatter(const ds_source *s, const ds_box *b, const ds_grid *grid, int64_t length, int64_t width,
                    int64_t size, const char *from, char *out)
{
    int64_t n[DS_GRID_MAX] = {1, 1, 1}, stride[DS_GRID_MAX] = {0, 0, 0}, time = stride_of(b, s->time);
    for (int d = 0; d < grid->dims; d++) {
        n[d] = grid->n[d];
        stride[d] = stride_of(b, s->space[d]);
    }
    for (int64_t c = 0; c < s->channels; c++) {
        const char *component = from + component_offset(s, b, c) * size;
        char *to = out + (s->channel + c) * size;
        for (int64_t t = 0; t < length; t++)
            for (int64_t i = 0; i < n[0]; i++)
                for (int64_t j = 0; j < n[1]; j++) {
                    const char *row = component + (t * time + i * stride[0] + j * stride[1]) * size;
                    if (size == 1)
                        for (int64_t k = 0; k < n[2]; k++)
                            to[k * width] = row[k * stride[2]];
                    else
                        for (int64_t k = 0; k < n[2]; k++)
                            memcpy(to + k * width * 4, row + k * stride[2] * 4, 4);
                    to += n[2] * width * size;
                }
    }
}

fwm_status ds_source_read(ds_source *s, const ds_grid *grid, int64_t sample, int64_t start, int64_t length,
                          int64_t width, ds_as as, void *out)
{
    if (length == 0)
        return FWM_OK;
    const ds_box b = box_of(s, sample, start, length);
    if (is_straight(s, grid, width))
        return ds_array_read_box(&s->array, b.at, b.count, as, out);
    const int64_t size = as == DS_AS_BYTES ? 1 : (int64_t)sizeof(float);
    char *buffer = fwm_malloc((size_t)b.elements + 1, (size_t)size);
    FWM_CHECK(buffer, FWM_MEMORY, "%s: %s: out of memory for %lld values", s->file->path, s->name,
              (long long)b.elements);
    const fwm_status status = ds_array_read_box(&s->array, b.at, b.count, as, buffer);
    if (status == FWM_OK)
        scatter(s, &b, grid, length, width, size, buffer, out);
    fwm_free(buffer);
    return status;
}
