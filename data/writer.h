/* Writing a dataset in the native layout.
 *
 * The file is written under a temporary name beside its target, synced, and renamed when it is complete: an
 * interrupted or aborted writer leaves nothing under the final name. Trajectories come in any order, each once; the
 * statistics of the training split are accumulated as they pass, kept per trajectory and merged in index order, so
 * that they do not depend on the order of arrival.
 * Ownership: create copies the description; put copies nothing beyond the call. Memory: the moments of N
 * trajectories. */
#ifndef FWM_DATA_WRITER_H
#define FWM_DATA_WRITER_H

#include "data/dataset.h"

typedef struct ds_writer ds_writer;

typedef struct ds_writer_options {
    int gzip;            /* 0: stored plainly (fastest to read); 1..9: shuffle and deflate at that level */
    int64_t chunk_steps; /* time steps of a chunk; 0: min(T, 8) */
} ds_writer_options;

/* One trajectory. A field that the description lacks is NULL. */
typedef struct ds_trajectory {
    const uint8_t *frames;    /* [T,H,W,C] where frames_are_bytes */
    const float *frames_f32;  /* [T,H,W,C] otherwise */
    const float *actions;     /* [T,A] */
    const float *state;       /* [T,n,c] */
    const float *s_phy;       /* [T,m,c'] */
    const float *parameters;  /* [P] */
    const uint8_t *key_state; /* [T], where has_key_state */
} ds_trajectory;

/* Begins a dataset as `info` describes it: texts, dt, seed, trajectories, steps, splits (NULL: all for training),
 * extents, names and units (NULL: numbered), meshes, the grid with its edges, lengths (NULL: all have T steps).
 * Ignored: layout, statistics, truths. `options` may be NULL. On error *out is NULL and no file is left. Errors:
 * FWM_INVALID (a description that contradicts itself), FWM_IO, FWM_MEMORY. */
fwm_status ds_writer_create(ds_writer **out, const char *path, const ds_info *info,
                            const ds_writer_options *options) FWM_MUST_USE;

/* Writes trajectory i, whole. Errors: FWM_INVALID (out of range, written before, an array missing), FWM_IO. */
fwm_status ds_writer_put(ds_writer *writer, int64_t i, const ds_trajectory *trajectory) FWM_MUST_USE;

/* Writes steps [start, start + length) of trajectory i, which come in order. The arrays begin `again` (0 or 1) steps
 * before `start`, with what was written before, so that the increment across it is counted in the statistics.
 * parameters are read when start is 0. Errors: FWM_INVALID (out of order, beyond the trajectory), FWM_IO, FWM_MEMORY.
 */
fwm_status ds_writer_put_steps(ds_writer *writer, int64_t i, int64_t start, int64_t length, int64_t again,
                               const ds_trajectory *part) FWM_MUST_USE;

/* Keeps an array for evaluation under /truth/<name>, values [count] f64. */
fwm_status ds_writer_truth(ds_writer *writer, const char *name, int64_t count, const double *values) FWM_MUST_USE;

/* Writes the statistics, syncs, renames. The writer is gone afterwards (*writer NULL), on error with its temporary
 * file.
 * Errors: FWM_INVALID when a trajectory was never written, FWM_IO. */
fwm_status ds_writer_finish(ds_writer **writer) FWM_MUST_USE;

/* Drops the writer and its temporary file. NULL is allowed. */
void ds_writer_abort(ds_writer **writer);

#endif
