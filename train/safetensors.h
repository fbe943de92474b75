/* The safetensors container: u64 little-endian header length, JSON header, tensor data.
 *
 * The reader trusts nothing: see safetensors.c for the list of what it refuses. It maps the file and copies no data, so
 * a tensor's `data` points into the mapping, lives as long as the reader, and is aligned only as the file has it (files
 * written here: to 64 bytes at the start of the data and naturally for each tensor): read foreign files by memcpy.
 * The writer streams (header, then tensors), writes aside, synchronises, renames, synchronises the folder: at every
 * instant the path holds the old file or the new one, whole.
 * Format: https://github.com/huggingface/safetensors (README, "Format"). */
#ifndef TRAIN_SAFETENSORS_H
#define TRAIN_SAFETENSORS_H

#include "model/base/status.h"

#include <jansson.h>
#include <stdint.h>

typedef enum tr_dtype { TR_F32, TR_F64, TR_I64, TR_I32, TR_U8, TR_DTYPE_COUNT } tr_dtype;

enum { TR_TENSOR_RANK_MAX = 8 };

typedef struct tr_tensor {
    const char *name; /* UTF-8, not "__metadata__" */
    tr_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t shape[TR_TENSOR_RANK_MAX];
    const void *data; /* row-major, little-endian */
} tr_tensor;

size_t tr_dtype_size(tr_dtype dtype);      /* bytes an element */
const char *tr_dtype_name(tr_dtype dtype); /* "F32" */

/* Elements and bytes of a tensor, from dtype and shape. Errors: FWM_INVALID (dtype, rank, negative size), FWM_OVERFLOW.
 */
fwm_status tr_tensor_size(const tr_tensor *tensor, int64_t *elements, size_t *bytes) FWM_MUST_USE;

typedef struct tr_safetensors tr_safetensors;

/* Maps `path` and checks the whole header. Errors: FWM_IO, FWM_DATA (which rule the file breaks), FWM_UNSUPPORTED
 * (dtype). */
fwm_status tr_safetensors_open(tr_safetensors **out, const char *path) FWM_MUST_USE;

/* The same for bytes in memory, which stay the caller's and must outlive the reader; `name` is for messages. */
fwm_status tr_safetensors_read(tr_safetensors **out, const void *bytes, size_t size, const char *name) FWM_MUST_USE;

void tr_safetensors_close(tr_safetensors *file);

/* Tensors in the order of their data. */
int64_t tr_safetensors_count(const tr_safetensors *file);
const tr_tensor *tr_safetensors_at(const tr_safetensors *file, int64_t i);
const tr_tensor *tr_safetensors_find(const tr_safetensors *file, const char *name);

/* The metadata value of `key`, NULL where there is none; and the whole object (borrowed; empty where there is none). */
const char *tr_safetensors_text(const tr_safetensors *file, const char *key);
const json_t *tr_safetensors_metadata(const tr_safetensors *file);

/* Writes `path` whole or not at all. metadata: an object of strings, or NULL. Data are written sorted by element size
 * (widest first), then by name. Errors: FWM_INVALID (names, metadata), FWM_IO; `path` is then what it was before. */
fwm_status tr_safetensors_write(const char *path, const tr_tensor *tensors, int64_t count,
                                const json_t *metadata) FWM_MUST_USE;

/* Synchronises the folder that holds `path`, so that a rename in it outlives a power cut. Error: FWM_IO. */
fwm_status tr_safetensors_sync(const char *path) FWM_MUST_USE;

#endif
