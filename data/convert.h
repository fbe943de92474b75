/* A dataset of any layout that is read, written in another: repacked, in bounded memory.
 *
 * `fwm`: one file with all that the native layout holds; trajectories may differ in length. `well`: a folder as The
 * Well has it, data/{train,valid,test}/NAME.hdf5 and stats.yaml, or one file where the target's name ends in .h5 or
 * .hdf5 (all trajectories must then be of one length). Trajectories of different lengths go to files of their own;
 * test_ood goes to data/test_ood. well_writer.h says what that layout has no place for. Nothing stands under the
 * target's name before it is whole. Memory: a stretch of steps of some ten megabytes. */
#ifndef FWM_DATA_CONVERT_H
#define FWM_DATA_CONVERT_H

#include "data/dataset.h"
#include "data/writer.h"

typedef struct ds_convert_options {
    const char *to;           /* "fwm" or "well" */
    ds_writer_options writer; /* gzip level, steps of a chunk */
    /* Called after each trajectory, where it is not NULL. */
    void (*progress)(void *context, int64_t done, int64_t total);
    void *context;
} ds_convert_options;

/* Errors: FWM_INVALID (no such layout; the target is there already), FWM_UNSUPPORTED (the layout cannot hold it), those
 * of reading and writing. */
fwm_status ds_convert(ds_dataset *ds, const char *target, const ds_convert_options *options) FWM_MUST_USE;

#endif
