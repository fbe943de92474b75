#include "data/clips.h"

#include "model/base/arena.h"
#include "model/base/checked.h"

#include <string.h>
#include <unistd.h>

enum { ALIGN = 64 };

ds_clip_shape ds_clip_shape_of(const ds_info *info, int64_t steps, const bool skip[DS_FIELDS])
{
    ds_clip_shape shape = {.steps = steps, .parameters = info->parameters, .key_state = info->has_key_state};
    for (ds_field f = 0; f < DS_FIELDS; f++)
        shape.width[f] = skip && skip[f] ? 0 : info->fields[f].points * info->fields[f].channels;
    return shape;
}

/* Adds an array of count x steps x width x size bytes, aligned; its offset in *at. */
static bool add_array(size_t *total, int64_t count, int64_t steps, int64_t width, size_t size, size_t *at)
{
    size_t bytes;
    *at = *total;
    return fwm_mul_size((size_t)count, (size_t)steps, &bytes) && fwm_mul_size(bytes, (size_t)width, &bytes) &&
           fwm_mul_size(bytes, size, &bytes) && fwm_align_size(bytes, ALIGN, &bytes) &&
           fwm_add_size(*total, bytes, total) && *total <= PTRDIFF_MAX;
}

enum { PARAMETERS = DS_FIELDS, KEY_STATE, TRAJECTORY, START, WEIGHT, ARRAYS };

/* Offsets of all arrays in one block. */
static bool lay_out(const ds_clip_shape *shape, int64_t count, size_t at[ARRAYS], size_t *total)
{
    bool ok = true;
    *total = 0;
    for (int f = 0; f < DS_FIELDS; f++)
        ok = ok && add_array(total, count, shape->steps, shape->width[f],
                             f == DS_FRAMES && shape->bytes ? 1 : sizeof(float), &at[f]);
    return ok && add_array(total, count, 1, shape->parameters, sizeof(float), &at[PARAMETERS]) &&
           add_array(total, count, shape->steps, shape->key_state, 1, &at[KEY_STATE]) &&
           add_array(total, count, 1, 1, sizeof(int64_t), &at[TRAJECTORY]) &&
           add_array(total, count, 1, 1, sizeof(int64_t), &at[START]) &&
           add_array(total, count, 1, 1, sizeof(float), &at[WEIGHT]);
}

fwm_status ds_clip_size(const ds_clip_shape *shape, int64_t count, size_t *out)
{
    size_t at[ARRAYS];
    FWM_CHECK(lay_out(shape, count, at, out), FWM_OVERFLOW,
              "a batch of %lld clips of %lld steps has more bytes than can be addressed", (long long)count,
              (long long)shape->steps);
    return FWM_OK;
}

fwm_status ds_clip_check_memory(size_t size, const char *what)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t memory = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX;
    FWM_CHECK(size <= memory / 2, FWM_MEMORY,
              "%s would take %.2f GiB, more than half of this machine's %.2f GiB; lower the batch, the clip or the "
              "prefetch depth",
              what, (double)size / 1073741824.0, (double)memory / 1073741824.0);
    return FWM_OK;
}

fwm_status ds_clip_room_create(ds_clip_room *room, const ds_clip_shape *shape, int64_t count)
{
    size_t at[ARRAYS];
    memset(room, 0, sizeof *room);
    FWM_CHECK(lay_out(shape, count, at, &room->size), FWM_OVERFLOW, "a batch of %lld clips cannot be addressed",
              (long long)count);
    FWM_TRY(fwm_block_alloc(&room->block, room->size));
    char *base = room->block;
    ds_batch *batch = &room->batch;
    for (int f = 0; f < DS_FIELDS; f++)
        batch->clip.field[f] = shape->width[f] > 0 ? (float *)(void *)(base + at[f]) : NULL;
    if (shape->bytes) {
        batch->clip.frame_bytes = (uint8_t *)batch->clip.frames;
        batch->clip.frames = NULL;
    }
    batch->clip.parameters = shape->parameters > 0 ? (float *)(void *)(base + at[PARAMETERS]) : NULL;
    batch->clip.key_state = shape->key_state ? (uint8_t *)(base + at[KEY_STATE]) : NULL;
    batch->trajectory = (int64_t *)(void *)(base + at[TRAJECTORY]);
    batch->start = (int64_t *)(void *)(base + at[START]);
    batch->weight = (float *)(void *)(base + at[WEIGHT]);
    batch->count = count;
    batch->length = shape->steps;
    return FWM_OK;
}

void ds_clip_room_destroy(ds_clip_room *room)
{
    if (room->block)
        fwm_block_free(room->block, room->size);
    memset(room, 0, sizeof *room);
}

ds_clip ds_clip_row(const ds_clip_shape *shape, const ds_batch *batch, int64_t row)
{
    ds_clip clip = {0};
    for (int f = 0; f < DS_FIELDS; f++)
        if (batch->clip.field[f])
            clip.field[f] = batch->clip.field[f] + row * shape->steps * shape->width[f];
    if (batch->clip.frame_bytes)
        clip.frame_bytes = batch->clip.frame_bytes + row * shape->steps * shape->width[DS_FRAMES];
    if (batch->clip.parameters)
        clip.parameters = batch->clip.parameters + row * shape->parameters;
    if (batch->clip.key_state)
        clip.key_state = batch->clip.key_state + row * shape->steps;
    return clip;
}

fwm_status ds_clip_read(ds_dataset *ds, const ds_clip_shape *shape, const ds_batch *batch, int64_t row,
                        int64_t trajectory, int64_t start)
{
    const ds_clip clip = ds_clip_row(shape, batch, row);
    batch->trajectory[row] = trajectory;
    batch->start[row] = start;
    batch->weight[row] = 1.0F;
    return ds_read(ds, trajectory, start, shape->steps, &clip);
}
