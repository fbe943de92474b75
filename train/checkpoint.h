/* Checkpoints: one file that holds everything a run needs to go on, and any tool can read (it is a safetensors file).
 *
 * Invariants: a file that loads is the file that was saved (each tensor and all text carry checksums, verified on every
 * load); the file before the newest stays beside it as PATH.prev, and a damaged or missing newest falls back to it with
 * a warning; at every instant of a save, killed or not, one of the two is whole. Cost: one write, one fsync, one
 * reading back; XXH64 runs at memory speed.
 *
 * Names of tensors, by convention: TR_WEIGHTS "name" (parameters), TR_EMA "name" (their moving average), and whatever
 * else the trainer keeps (moments, statistics), each under a prefix of its own. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "train/safetensors.h"

#include <stdbool.h>

#define TR_WEIGHTS "weights/"
#define TR_EMA "ema/"

/* What is saved. Nothing is kept after the call. */
typedef struct tr_checkpoint_content {
    const tr_tensor *tensors;
    int64_t count;
    /* Integers that, with the tensors, decide the future: at least "step" and "seed"; epoch, sampler position, ... */
    const json_t *position;
    /* Everything else, any JSON: normalisation, threads, ranks, isa, metrics, mesh, ...; may be NULL. The program's
     * version is added. */
    const json_t *about;
    const char *config; /* resolved YAML (tr_config_dump) */
} tr_checkpoint_content;

/* Writes aside, reads back and verifies, keeps what `path` held as PATH.prev (where keep_previous), renames.
 * Errors: FWM_INVALID, FWM_IO, FWM_DATA (what was read back differs); `path` and PATH.prev still load then. */
fwm_status tr_checkpoint_save(const char *path, const tr_checkpoint_content *content, bool keep_previous) FWM_MUST_USE;

typedef struct tr_checkpoint tr_checkpoint;

/* Loads and verifies `path`, or PATH.prev where `path` is damaged or missing (a warning says so and why).
 * Errors: FWM_IO, FWM_DATA. */
fwm_status tr_checkpoint_load(tr_checkpoint **out, const char *path) FWM_MUST_USE;

/* The same for bytes in memory, without falling back; the bytes must outlive the checkpoint. */
fwm_status tr_checkpoint_read(tr_checkpoint **out, const void *bytes, size_t size, const char *name) FWM_MUST_USE;

void tr_checkpoint_destroy(tr_checkpoint *checkpoint);

/* Is `file` a checkpoint (rather than some other safetensors file)? */
bool tr_checkpoint_is(const tr_safetensors *file);

int64_t tr_checkpoint_count(const tr_checkpoint *checkpoint);
const tr_tensor *tr_checkpoint_at(const tr_checkpoint *checkpoint, int64_t i);
const tr_tensor *tr_checkpoint_find(const tr_checkpoint *checkpoint, const char *name);
uint64_t tr_checkpoint_hash(const tr_checkpoint *checkpoint, int64_t i); /* XXH64 of tensor i's bytes */

/* Copies a tensor of exactly this type and shape to `data`. Errors: FWM_DATA (absent), FWM_SHAPE (another type or
 * shape). */
fwm_status tr_checkpoint_copy(const tr_checkpoint *checkpoint, const char *name, tr_dtype dtype, int rank,
                              const int64_t *shape, void *data) FWM_MUST_USE;

/* An integer of `position`. Error: FWM_DATA (absent). */
fwm_status tr_checkpoint_int(const tr_checkpoint *checkpoint, const char *name, int64_t *value) FWM_MUST_USE;

const json_t *tr_checkpoint_position(const tr_checkpoint *checkpoint);
const json_t *tr_checkpoint_about(const tr_checkpoint *checkpoint); /* has at least "version" */
const char *tr_checkpoint_config(const tr_checkpoint *checkpoint);  /* YAML */
const char *tr_checkpoint_path(const tr_checkpoint *checkpoint);    /* the file that was loaded in the end */

/* 16 hexadecimal digits over every tensor (name, type, shape, bytes) and every integer of `position`: two runs whose
 * digests agree go on alike. */
const char *tr_checkpoint_digest(const tr_checkpoint *checkpoint);

/* Elements of all tensors under TR_WEIGHTS. */
int64_t tr_checkpoint_parameters(const tr_checkpoint *checkpoint);

/* The lock of a run's folder: one writer. The kernel holds it for the process, so that it goes with it, kill -9
 * included. The file FOLDER/lock names the holder. Errors: FWM_IO (held by process N on host H; or the folder cannot be
 * written). */
typedef struct tr_lock tr_lock;
fwm_status tr_lock_acquire(tr_lock **out, const char *folder) FWM_MUST_USE;
void tr_lock_release(tr_lock *lock);

#endif
