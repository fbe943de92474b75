/* Boxes of arrays whose storage is understood (array->storage is not DS_BY_HDF5), read without HDF5. */
#ifndef FWM_DATA_BOXES_H
#define FWM_DATA_BOXES_H

#include "data/array.h"

/* The box [at, at + count), which lies within the extents and is not empty; as bytes only where bytes are stored.
 * Memory: two chunks for each thread that reads, kept for the next (of filtered arrays, and of chunks that are not read
 * in runs). Errors: FWM_IO, FWM_DATA, FWM_MEMORY. */
fwm_status ds_box_read(ds_array *array, const int64_t *at, const int64_t *count, ds_as as, void *out) FWM_MUST_USE;

#endif
