/* Batches of clips for training, read ahead by threads; whole trajectories in order for evaluation.
 *
 * A clip is (trajectory, start). The clips of a split are numbered, and sampler.h says which of them is row b of batch
 * k: in the simplest case epoch e visits all of them, each once, in a permutation keyed by (seed, e). So batch k is a
 * function of (data, options, scores, k) alone: not of the prefetch depth, of threads, of timing, or of what was read
 * before. A resumed run seeks. Of ranks each takes its own rows of the same global batch.
 *
 * Ownership: a batch's arrays belong to the loader until the next call of ds_loader_next, _seek or _destroy on it.
 * The dataset must outlive the loader. One thread consumes. Memory is allocated at creation, all of it, and then no
 * more (but for two chunks a thread where the file is compressed). With MPI, initialise it with MPI_THREAD_MULTIPLE
 * before (HDF5 may be reading in a thread of the loader). */
#ifndef FWM_DATA_LOADER_H
#define FWM_DATA_LOADER_H

#include "data/augment.h"
#include "data/dataset.h"

typedef struct ds_loader_options {
    ds_split split;
    int64_t clip;  /* T: steps of a clip, 1 or more */
    int64_t batch; /* B: clips of a batch, 1 or more */
    int64_t limit; /* only the split's first so many trajectories; 0: all */
    uint64_t seed;
    int depth;       /* batches in memory, 1 to 64; 0: 3. One is the consumer's, the others are read ahead */
    int threads;     /* that read ahead, 1 to 16; 0: 2. They share the rows of a batch */
    int rank, ranks; /* this process among those that share the data; ranks 0 means 1 */
    /* Deviation of noise added to the state, in units of the channel's own deviation [-]. It belongs to the data (a
     * function of seed, trajectory, step and node): a second visit sees the same noise. */
    double state_noise;
    bool skip[DS_FIELDS]; /* fields that are not wanted */
    bool bytes;           /* frames that are stored as bytes come as such: clip.frame_bytes, and clip.frames is NULL */
    /* Clips with a key state are drawn this many times as often as others [-], 0 (or 1): all alike. */
    double key_state_weight;
    ds_augment augment; /* what it points to outlives the loader */
} ds_loader_options;

typedef struct ds_batch {
    int64_t step;   /* k */
    int64_t count;  /* B */
    int64_t length; /* T */
    ds_clip clip;   /* the arrays of ds_clip with B in front: frames [B,T,H,W,C], parameters [B,P], key_state [B,T];
                       NULL where the dataset lacks them or they were skipped */
    int64_t *trajectory; /* [B] */
    int64_t *start;      /* [B] */
    float *weight;       /* [B] of each clip in a mean over the batch, so that it estimates the mean over all clips; 1
                            unless some are drawn more often */
} ds_batch;

typedef struct ds_loader ds_loader;

/* Errors: FWM_INVALID (an option out of range), FWM_DATA (no trajectory of the split is as long as a clip),
 * FWM_MEMORY (the ring would not fit: says its size and what to lower), FWM_LIBRARY (no thread). */
fwm_status ds_loader_create(ds_loader **out, ds_dataset *ds, const ds_loader_options *options) FWM_MUST_USE;
void ds_loader_destroy(ds_loader **loader);

/* Clips of this split are drawn in proportion to scores [clips] (times what key_state_weight says), from the next batch
 * on; their weights undo it in the mean. NULL: all alike. The scores are copied. They are part of what decides a batch:
 * a resumed run sets the same. Errors: FWM_INVALID (one below 0 or not finite, a sum of 0), FWM_MEMORY. */
fwm_status ds_loader_set_scores(ds_loader *loader, const double *scores) FWM_MUST_USE;
/* Clip i of ds_loader_clips. */
void ds_loader_clip(const ds_loader *loader, int64_t i, int64_t *trajectory, int64_t *start);

/* The next batch is batch `step`. */
fwm_status ds_loader_seek(ds_loader *loader, int64_t step) FWM_MUST_USE;

/* Waits for the next batch. Errors: what the thread met while reading it, with its message. */
fwm_status ds_loader_next(ds_loader *loader, ds_batch *out) FWM_MUST_USE;

/* Clips in an epoch, bytes of the ring, seconds that ds_loader_next waited, bytes delivered so far. */
int64_t ds_loader_clips(const ds_loader *loader);
size_t ds_loader_memory(const ds_loader *loader);
double ds_loader_waited(const ds_loader *loader);
int64_t ds_loader_delivered(const ds_loader *loader);

/* Whole trajectories of a split in ascending order, up to `batch` of one length at a time. */
typedef struct ds_sequence ds_sequence;

/* `limit` and `skip` as above (skip may be NULL). Errors as ds_loader_create. */
fwm_status ds_sequence_create(ds_sequence **out, ds_dataset *ds, ds_split split, int64_t batch, int64_t limit,
                              const bool skip[DS_FIELDS]) FWM_MUST_USE;
void ds_sequence_destroy(ds_sequence **sequence);

/* How many trajectories there are in all. */
int64_t ds_sequence_count(const ds_sequence *sequence);

/* The next ones (start = 0, length = their steps); out->count is 0 after the last. Arrays live until
 * the next call. */
fwm_status ds_sequence_next(ds_sequence *sequence, ds_batch *out) FWM_MUST_USE;

#endif
