#include "data/source.h"

#include "model/base/checked.h"

#include <string.h>

ds_source ds_source_make(const ds_h5 *file, const char *name)
{
    return (ds_source){.file = file, .name = name, .sample = -1, .time = -1, .space = {-1, -1, -1}};
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* The axis for ds_array_open: along which steps can be read with all that follows being one run. */
static int run_axis(const ds_source *s)
{
    return s->sample == 0 && s->time == 1 ? 1 : 0;
}

/* Whether ds_array_read_steps can read it: trajectories and steps come first. */
static bool runs(const ds_source *s)
{
    return (s->sample == 0 && (s->time == 1 || s->time < 0)) || (s->sample < 0 && s->time == 0);
}

static bool is_component(const ds_source *s, int axis)
{
    return axis != s->sample && axis != s->time && axis != s->space[0] && axis != s->space[1] && axis != s->space[2];
}

static fwm_status open_array(const ds_source *s, ds_array *array)
{
    FWM_TRY(ds_array_open(array, s->file, s->name, 0, run_axis(s)));
    array->divisor = s->divisor > 0 ? s->divisor : array->number == DS_U8 ? 255.0F : 1.0F;
    return FWM_OK;
}

static fwm_status check_axis(const ds_source *s, const ds_array *a, int axis, int64_t expected, const char *what)
{
    FWM_CHECK(axis < a->rank, FWM_DATA, "%s: %s: expected an axis %d (%s), found %d axes", s->file->path, s->name, axis,
              what, a->rank);
    return axis >= 0 && expected > 0 ? ds_array_check_extent(a, axis, expected, what) : FWM_OK;
}

fwm_status ds_source_open(ds_source *s, int64_t samples, int64_t steps, const ds_grid *grid)
{
    ds_array a;
    FWM_TRY(open_array(s, &a));
    fwm_status status = check_axis(s, &a, s->sample, samples, "trajectories");
    if (status == FWM_OK)
        status = check_axis(s, &a, s->time, steps, "steps");
    for (int d = 0; d < grid->dims && status == FWM_OK; d++)
        status = check_axis(s, &a, s->space[d], grid->n[d], grid->names[d] ? grid->names[d] : "points");
    if (status == FWM_OK && ds_array_width(&a, 0) == 0)
        status = fwm_fail(FWM_DATA, "%s: %s: expected values, found an axis of extent 0", s->file->path, s->name);
    s->rank = a.rank;
    s->channels = 1;
    for (int i = 0; i < a.rank; i++) {
        s->dims[i] = a.dims[i];
        if (is_component(s, i))
            s->channels *= a.dims[i]; /* a part of a product that was checked */
    }
    s->bytes = a.number == DS_U8;
    s->integer = a.integer;
    if (status == FWM_OK && s->keep)
        s->array = a;
    else
        ds_array_close(&a);
    return status;
}

void ds_source_close(ds_source *s)
{
    if (s->array.name)
        ds_array_close(&s->array);
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

static void scatter(const ds_source *s, const ds_box *b, const ds_grid *grid, int64_t length, int64_t width,
                    const float *from, float *out)
{
    int64_t n[DS_GRID_MAX] = {1, 1, 1}, stride[DS_GRID_MAX] = {0, 0, 0}, time = stride_of(b, s->time);
    for (int d = 0; d < grid->dims; d++) {
        n[d] = grid->n[d];
        stride[d] = stride_of(b, s->space[d]);
    }
    for (int64_t c = 0; c < s->channels; c++) {
        const float *component = from + component_offset(s, b, c);
        float *to = out + s->channel + c;
        for (int64_t t = 0; t < length; t++)
            for (int64_t i = 0; i < n[0]; i++)
                for (int64_t j = 0; j < n[1]; j++)
                    for (int64_t k = 0; k < n[2]; k++, to += width)
                        *to = component[t * time + i * stride[0] + j * stride[1] + k * stride[2]];
    }
}

static fwm_status read_box(const ds_source *s, ds_array *a, const ds_box *b, int64_t sample, int64_t start,
                           int64_t length, float *out)
{
    if (!runs(s) || s->rank == 0)
        return ds_array_read_box(a, b->at, b->count, out);
    if (s->time < 0) /* trajectories take the place of steps */
        return ds_array_read_steps(a, 0, sample, 1, out);
    return ds_array_read_steps(a, s->sample < 0 ? 0 : sample, start, length, out);
}

static fwm_status read_open(const ds_source *s, ds_array *a, const ds_grid *grid, int64_t sample, int64_t start,
                            int64_t length, int64_t width, float *out)
{
    ds_box b = box_of(s, sample, start, length);
    if (is_straight(s, grid, width))
        return read_box(s, a, &b, sample, start, length, out);
    float *buffer = fwm_malloc((size_t)b.elements + 1, sizeof *buffer);
    FWM_CHECK(buffer, FWM_MEMORY, "%s: %s: out of memory for %lld values", s->file->path, s->name,
              (long long)b.elements);
    fwm_status status = read_box(s, a, &b, sample, start, length, buffer);
    if (status == FWM_OK)
        scatter(s, &b, grid, length, width, buffer, out);
    fwm_free(buffer);
    return status;
}

fwm_status ds_source_read(ds_source *s, const ds_grid *grid, int64_t sample, int64_t start, int64_t length,
                          int64_t width, float *out)
{
    ds_array a;
    if (length == 0)
        return FWM_OK;
    if (s->keep)
        return read_open(s, &s->array, grid, sample, start, length, width, out);
    ds_h5_lock();
    fwm_status status = open_array(s, &a);
    ds_h5_unlock();
    FWM_TRY(status);
    status = a.rank == s->rank && memcmp(a.dims, s->dims, sizeof a.dims) == 0
                 ? read_open(s, &a, grid, sample, start, length, width, out)
                 : fwm_fail(FWM_DATA, "%s: %s: its extents changed while the file was open", s->file->path, s->name);
    ds_h5_lock();
    ds_array_close(&a);
    ds_h5_unlock();
    return status;
}
