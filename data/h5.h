/* HDF5 for the files of this room: one lock, quiet errors, small typed readers. Arrays are in array.h.
 *
 * Debian's parallel HDF5 is not thread-safe, so every call of it stands between ds_h5_lock and ds_h5_unlock. The
 * functions below expect the lock to be held.
 * Invariant: before anything is allocated for a part of a file, its size is compared with what the file could hold.
 * Messages name the file, the place in it, what was expected and what was found; HDF5's own stack is not printed, its
 * innermost entry is quoted. */
#ifndef FWM_DATA_H5_H
#define FWM_DATA_H5_H

#include "model/base/arena.h"
#include "model/base/status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

enum { DS_RANK_MAX = 8 };

void ds_h5_lock(void);
void ds_h5_unlock(void);

/* The innermost message of the HDF5 call that has just failed; valid until the next call on this thread. */
const char *ds_h5_reason(void);

typedef struct ds_h5 {
    hid_t id;
    char *path;
    int64_t size;              /* bytes */
    int fd;                    /* HDF5's own descriptor, for positioned reads; -1 where there is none */
    int64_t base;              /* where HDF5's addresses begin in the file */
    int offset_bytes;          /* of an address */
    struct ds_undoer *resting; /* buffers of readers, see boxes.h */
} ds_h5;

/* Opens for reading. What is not HDF5 (a git-lfs pointer, a web page, an archive) is named for what it is. */
fwm_status ds_h5_open(ds_h5 **out, const char *path) FWM_MUST_USE;
void ds_h5_close(ds_h5 **file);

/* Whether an absolute path leads to an object. */
bool ds_h5_exists(const ds_h5 *file, const char *object);
bool ds_h5_is_dataset(const ds_h5 *file, const char *object);
/* The names of a group's members in name order, into the arena; *count 0 for a missing group. At most `max`. */
fwm_status ds_h5_members(const ds_h5 *file, const char *group, int64_t max, fwm_arena *arena, int64_t *count,
                         const char ***names) FWM_MUST_USE;

/* Attributes of an object. When the attribute is absent: FWM_DATA if `required`, else the output is left
 * as it was. */
fwm_status ds_h5_attr_text(const ds_h5 *file, const char *object, const char *name, bool required, fwm_arena *arena,
                           const char **out) FWM_MUST_USE;
fwm_status ds_h5_attr_f64(const ds_h5 *file, const char *object, const char *name, bool required,
                          double *out) FWM_MUST_USE;
fwm_status ds_h5_attr_i64(const ds_h5 *file, const char *object, const char *name, bool required,
                          int64_t *out) FWM_MUST_USE;
/* A list of `count` texts (a scalar is a list of one). Absent: *out is left as it was. */
fwm_status ds_h5_attr_texts(const ds_h5 *file, const char *object, const char *name, int64_t count, fwm_arena *arena,
                            const char *const **out) FWM_MUST_USE;

/* A list of up to `max` texts; an empty one may have any type. */
fwm_status ds_h5_attr_list(const ds_h5 *file, const char *object, const char *name, bool required, int64_t max,
                           fwm_arena *arena, int64_t *count, const char ***out) FWM_MUST_USE;
/* `count` (at most 16) booleans, as enumerations or integers. */
fwm_status ds_h5_attr_flags(const ds_h5 *file, const char *object, const char *name, bool required, int64_t count,
                            bool *out) FWM_MUST_USE;
/* All attributes that are one number, in name order; at most `max`. */
fwm_status ds_h5_attr_numbers(const ds_h5 *file, const char *object, int64_t max, fwm_arena *arena, int64_t *count,
                              const char ***names, const double **values) FWM_MUST_USE;

/* The texts of a dataset, of fixed or variable length. */
fwm_status ds_h5_read_texts(const ds_h5 *file, const char *name, int64_t max, fwm_arena *arena, int64_t *count,
                            const char ***out) FWM_MUST_USE;

/* The `count` texts of variable length that an open attribute or dataset holds, into the arena. Its message does not
 * name the place. */
fwm_status ds_h5_heap_texts(const ds_h5 *file, hid_t holder, int64_t count, fwm_arena *arena,
                            const char **out) FWM_MUST_USE;

/* A whole small dataset of any rank, a scalar too. */
fwm_status ds_h5_read_f64_any(const ds_h5 *file, const char *name, fwm_arena *arena, int *rank,
                              int64_t dims[DS_RANK_MAX], const double **out) FWM_MUST_USE;
/* A whole small dataset of the given rank, into the arena; dims[rank] receives its extents. */
fwm_status ds_h5_read_f64(const ds_h5 *file, const char *name, int rank, fwm_arena *arena, int64_t *dims,
                          const double **out) FWM_MUST_USE;
fwm_status ds_h5_read_i32(const ds_h5 *file, const char *name, int rank, fwm_arena *arena, int64_t *dims,
                          const int32_t **out) FWM_MUST_USE;
fwm_status ds_h5_read_u8(const ds_h5 *file, const char *name, int rank, fwm_arena *arena, int64_t *dims,
                         const uint8_t **out) FWM_MUST_USE;

#endif
