#include "data/clips.h"
#include "model/base/arena.h"

struct ds_sequence {
    ds_dataset *ds;
    int64_t *list; /* trajectories, ascending */
    int64_t count, next, batch;
    bool skip[DS_FIELDS];
    ds_clip_room room; /* for the longest */
    ds_clip_shape shape;
};

static fwm_status prepare(ds_sequence *s, ds_split split, int64_t limit)
{
    const ds_info *info = ds_get_info(s->ds);
    size_t size;
    FWM_CHECK(split < DS_SPLITS && s->batch >= 1 && s->batch <= INT32_MAX && limit >= 0, FWM_INVALID,
              "sequence: expected a batch of 1 or more and a limit of 0 or more, found %lld and %lld",
              (long long)s->batch, (long long)limit);
    s->list = fwm_malloc((size_t)info->trajectories, sizeof *s->list);
    FWM_CHECK(s->list, FWM_MEMORY, "sequence: out of memory");
    s->count = ds_split_list(info, split, s->list);
    FWM_CHECK(s->count > 0, FWM_DATA, "%s: expected trajectories of split %s, found none", ds_path(s->ds),
              ds_split_name(split));
    if (limit > 0 && limit < s->count)
        s->count = limit;
    if (s->batch > s->count)
        s->batch = s->count;
    s->shape = ds_clip_shape_of(info, info->steps, s->skip);
    FWM_TRY(ds_clip_size(&s->shape, s->batch, &size));
    FWM_TRY(ds_clip_check_memory(size, "sequence: a batch of whole trajectories"));
    return ds_clip_room_create(&s->room, &s->shape, s->batch);
}

fwm_status ds_sequence_create(ds_sequence **out, ds_dataset *ds, ds_split split, int64_t batch, int64_t limit,
                              const bool skip[DS_FIELDS])
{
    *out = NULL;
    ds_sequence *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "sequence: out of memory");
    s->ds = ds;
    s->batch = batch;
    for (int f = 0; f < DS_FIELDS; f++)
        s->skip[f] = skip && skip[f];
    fwm_status status = prepare(s, split, limit);
    if (status != FWM_OK) {
        ds_sequence_destroy(&s);
        return status;
    }
    *out = s;
    return FWM_OK;
}

void ds_sequence_destroy(ds_sequence **sequence)
{
    ds_sequence *s = *sequence;
    if (!s)
        return;
    ds_clip_room_destroy(&s->room);
    fwm_free(s->list);
    fwm_free(s);
    *sequence = NULL;
}

int64_t ds_sequence_count(const ds_sequence *s)
{
    return s->count;
}

fwm_status ds_sequence_next(ds_sequence *s, ds_batch *out)
{
    const int64_t *lengths = ds_get_info(s->ds)->lengths;
    int64_t rows = 0, steps = s->next < s->count ? lengths[s->list[s->next]] : 0;
    ds_clip_shape shape = s->shape;
    shape.steps = steps;
    *out = s->room.batch;
    out->step = s->next;
    out->length = steps;
    for (; rows < s->batch && s->next < s->count && lengths[s->list[s->next]] == steps; rows++, s->next++)
        FWM_TRY(ds_clip_read(s->ds, &shape, out, rows, s->list[s->next], 0));
    out->count = rows;
    return FWM_OK;
}
