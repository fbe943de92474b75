/* What loader and sequence share: room for batches of clips, and which trajectories they draw from. */
#ifndef FWM_DATA_CLIPS_H
#define FWM_DATA_CLIPS_H

#include "data/loader.h"

/* Widths of a clip's arrays. */
typedef struct ds_clip_shape {
    int64_t steps;
    int64_t width[DS_FIELDS]; /* values of a step; 0 where the field is not read */
    int64_t parameters;
    bool key_state;
    bool bytes; /* frames come as bytes */
} ds_clip_shape;

/* Room for one batch: one block. */
typedef struct ds_clip_room {
    void *block;
    size_t size;
    ds_batch batch;
} ds_clip_room;

ds_clip_shape ds_clip_shape_of(const ds_info *info, int64_t steps, const bool skip[DS_FIELDS]);

/* Bytes of a batch of `count` clips; FWM_OVERFLOW where they cannot be counted. */
fwm_status ds_clip_size(const ds_clip_shape *shape, int64_t count, size_t *out) FWM_MUST_USE;
/* FWM_MEMORY, naming `what` and the settings that would help, when `size` is more than half of
 * the machine's memory. */
fwm_status ds_clip_check_memory(size_t size, const char *what) FWM_MUST_USE;

fwm_status ds_clip_room_create(ds_clip_room *room, const ds_clip_shape *shape, int64_t count) FWM_MUST_USE;
void ds_clip_room_destroy(ds_clip_room *room);

/* The arrays of row `row` of a batch. */
ds_clip ds_clip_row(const ds_clip_shape *shape, const ds_batch *batch, int64_t row);

/* Reads shape->steps steps of a trajectory into row `row` of the batch. */
fwm_status ds_clip_read(ds_dataset *ds, const ds_clip_shape *shape, const ds_batch *batch, int64_t row,
                        int64_t trajectory, int64_t start) FWM_MUST_USE;

#endif
