/* A field put together from arrays of other shapes: which axis of each array is the trajectory, which is time, which
 * are the axes of the grid; what remains are components, flattened row by row. An array without one of these axes holds
 * for all of it (constant in time, the same along an axis, the same for all trajectories) and is repeated.
 *
 * Ownership: the layout opens and closes its sources; names live in the dataset's arena.
 * Cost: where the array's order is the field's, it is read straight into place; else through a buffer as large as the
 * part that is read. */
#ifndef FWM_DATA_SOURCE_H
#define FWM_DATA_SOURCE_H

#include "data/array.h"
#include "data/dataset.h"
#include "data/grid.h"

typedef struct ds_source {
    /* Set by the layout before ds_source_open. */
    const ds_h5 *file;
    const char *name;
    int sample, time, space[DS_GRID_MAX]; /* axes of the array, -1 where it has none */
    float divisor;                        /* as in ds_array; 0: 255 for bytes, 1 for all else */
    int64_t channel;                      /* of the field, at which its components begin */
    /* Known after it. */
    int64_t channels; /* components */
    int rank;
    int64_t dims[DS_RANK_MAX];
    bool bytes, integer;
    ds_array array;
} ds_source;

/* A source without any axis: the layout sets those it has. */
ds_source ds_source_make(const ds_h5 *file, const char *name);

/* Opens the array, checks that it has the axes named and, where it has them, `samples` (0: any) trajectories, `steps`
 * (0: any) steps and the grid's extents. Lock held. Errors: FWM_DATA, FWM_MEMORY. */
fwm_status ds_source_open(ds_source *source, int64_t samples, int64_t steps, const ds_grid *grid) FWM_MUST_USE;
void ds_source_close(ds_source *source);
/* Tells ds_inspect where a field is stored. */
void ds_source_show(const ds_source *source, ds_field_info *field);

/* Steps [start, start+length) of one trajectory into channels [channel, channel+channels) of out [length, points,
 * width]; as bytes only where `bytes`. Lock not held. */
fwm_status ds_source_read(ds_source *source, const ds_grid *grid, int64_t sample, int64_t start, int64_t length,
                          int64_t width, ds_as as, void *out) FWM_MUST_USE;

#endif
