/* Arrays in HDF5 files: opened once, then read without HDF5 wherever their storage is understood.
 *
 * Contiguous arrays, and chunked ones whose filters are those of filters.h and whose index is one of chunks.h, are read
 * by positioned reads at addresses from a table that is built at the first read: by any number of threads at once, no
 * lock held. What remains (other filters, other number types, compact storage) is read by HDF5, one thread at a time.
 * An open array holds no handle of HDF5's: thousands may be open.
 *
 * Errors name the file and the array. A chunk that was never written is an error, not zeros. */
#ifndef FWM_DATA_ARRAY_H
#define FWM_DATA_ARRAY_H

#include "data/chunks.h"
#include "data/filters.h"
#include "data/h5.h"
#include "data/numbers.h"

typedef enum ds_number { DS_U8, DS_F32, DS_OTHER_NUMBER } ds_number;

/* What values become when they are read. */
typedef enum ds_as { DS_AS_FLOATS, DS_AS_BYTES } ds_as;

typedef enum ds_storage { DS_BY_HDF5, DS_CONTIGUOUS, DS_CHUNKED } ds_storage;

/* A dataset of numbers, open. Zeroed is closed. */
typedef struct ds_array {
    const ds_h5 *file;
    char *name;
    int rank;
    int64_t dims[DS_RANK_MAX];
    ds_number number; /* as stored */
    ds_stored stored;
    bool integer;  /* any integer, boolean or enumeration */
    float divisor; /* numbers are read as value / divisor; 1 unless the layout sets it */
    int axis;      /* steps run along this axis; the axes before it are indices, those after it are whole */
    ds_storage storage;
    int64_t address;            /* contiguous: in the file */
    int64_t chunk[DS_RANK_MAX]; /* extents of a chunk (contiguous: of the whole) */
    int64_t grid[DS_RANK_MAX];  /* chunks along each axis */
    int64_t most[DS_RANK_MAX];  /* the same at the largest extents */
    int64_t chunk_bytes;        /* before filters */
    ds_pipeline filters;
    ds_index index;
    ds_chunk *table; /* [product of grid], NULL until the first read */
} ds_array;

/* Opens the dataset at `name`; checks that it holds numbers, that its rank is `rank` (0: any) and that the file could
 * hold its extents. `axis` (0 or 1) is the axis of time. Lock held. Errors: FWM_DATA, FWM_MEMORY. */
fwm_status ds_array_open(ds_array *array, const ds_h5 *file, const char *name, int rank, int axis) FWM_MUST_USE;
void ds_array_close(ds_array *array);

/* FWM_DATA unless extent `axis` is `expected`; `what` says what it stands for ("channels of /frames"). */
fwm_status ds_array_check_extent(const ds_array *array, int axis, int64_t expected, const char *what) FWM_MUST_USE;
/* Elements of the array from `axis` on. */
int64_t ds_array_width(const ds_array *array, int axis);

/* The box [at, at + count) over all axes, in the array's own order. As floats: divided by the divisor. As bytes: any
 * integers, those over 255 becoming 255, below 0 becoming 0. Takes the lock itself where it needs HDF5: not to be
 * called with it held. Any thread. Errors: FWM_INVALID (outside the extents, bytes of what are no integers), FWM_IO,
 * FWM_DATA, FWM_MEMORY. */
fwm_status ds_array_read_box(ds_array *array, const int64_t *at, const int64_t *count, ds_as as,
                             void *out) FWM_MUST_USE;
/* Steps [start, start+length) along the axis of time (of member `index` where the axis is 1). out [length, inner
 * extents]. Otherwise as above. */
fwm_status ds_array_read_steps(ds_array *array, int64_t index, int64_t start, int64_t length, ds_as as,
                               void *out) FWM_MUST_USE;

#endif
