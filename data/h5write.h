/* Small typed writers for HDF5, after h5.h: the lock is held by the caller, messages name file and place. */
#ifndef FWM_DATA_H5WRITE_H
#define FWM_DATA_H5WRITE_H

#include "data/h5.h"

typedef struct ds_h5_sink {
    hid_t id;
    const char *path; /* for messages */
} ds_h5_sink;

fwm_status ds_h5_put_group(const ds_h5_sink *sink, const char *group) FWM_MUST_USE;

/* Attributes: texts are variable-length UTF-8, as h5py writes them; a list of none is an empty float64 list,
 * likewise. */
fwm_status ds_h5_put_text(const ds_h5_sink *sink, const char *object, const char *name, const char *text) FWM_MUST_USE;
fwm_status ds_h5_put_texts(const ds_h5_sink *sink, const char *object, const char *name, int64_t count,
                           const char *const *texts) FWM_MUST_USE;
fwm_status ds_h5_put_number(const ds_h5_sink *sink, const char *object, const char *name, hid_t type,
                            const void *value) FWM_MUST_USE;

/* Booleans, as h5py writes them: an enumeration over bytes. count < 0: a scalar attribute. */
fwm_status ds_h5_put_flags(const ds_h5_sink *sink, const char *object, const char *name, int64_t count,
                           const bool *values) FWM_MUST_USE;
/* A whole dataset of them, values 0 or 1. */
fwm_status ds_h5_put_booleans(const ds_h5_sink *sink, const char *name, int rank, const int64_t *dims,
                              const uint8_t *values) FWM_MUST_USE;

/* A whole contiguous dataset; `stored` is the type in the file, `memory` that of the values. */
fwm_status ds_h5_put_array(const ds_h5_sink *sink, const char *name, hid_t stored, hid_t memory, int rank,
                           const int64_t *dims, const void *values) FWM_MUST_USE;

/* An empty dataset to be filled by slabs. chunk NULL: contiguous. gzip 0: no filter. */
fwm_status ds_h5_create_array(const ds_h5_sink *sink, const char *name, hid_t stored, int rank, const int64_t *dims,
                              const int64_t *chunk, int gzip, hid_t *out) FWM_MUST_USE;
/* The box [at, at + count) of an array; `name` is for messages. */
fwm_status ds_h5_put_box(const ds_h5_sink *sink, const char *name, hid_t array, hid_t memory, int rank,
                         const int64_t *at, const int64_t *count, const void *values) FWM_MUST_USE;
/* Member `index` along the first axis. */
fwm_status ds_h5_put_slab(const ds_h5_sink *sink, const char *name, hid_t array, hid_t memory, int rank,
                          const int64_t *dims, int64_t index, const void *values) FWM_MUST_USE;

/* Syncs a file that is complete, renames it, syncs its folder. Errors: FWM_IO, FWM_MEMORY. */
fwm_status ds_file_publish(const char *temporary, const char *target) FWM_MUST_USE;
/* Removes a folder with all that is in it, as far as it can. */
void ds_folder_remove(const char *path);

#endif
