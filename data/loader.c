#include "data/loader.h"

#include "data/clips.h"
#include "model/base/arena.h"
#include "model/base/checked.h"
#include "model/base/random.h"
#include "model/base/threads.h"

#include <pthread.h>
#include <string.h>

enum { DEPTH_DEFAULT = 3, DEPTH_MAX = 64, STREAM_ORDER = 0x6f726472, STREAM_NOISE = 0x6e6f6973 };

typedef struct ring_slot {
    ds_clip_room room;
    bool ready;
    fwm_status status;
    char message[FWM_ERROR_CAPACITY];
} ring_slot;

struct ds_loader {
    ds_dataset *ds;
    ds_loader_options options;
    ds_clip_shape shape;
    int64_t trajectories;
    int64_t *trajectory; /* [trajectories] that have a clip */
    int64_t *first_clip; /* [trajectories + 1] clips before each */
    float *noise;        /* one step of the state, where there is noise */
    size_t memory;

    /* Under the mutex. Batch k lives in slot k % depth; slots of [consumed, produced) are ready or being filled. */
    pthread_mutex_t mutex;
    pthread_cond_t filled, freed;
    pthread_t thread;
    bool started, stop, holding;
    int64_t consumed, produced; /* next batch to hand out, next to read */
    int64_t generation;         /* of seeks: what was begun before one is dropped */
    double waited;
    int64_t delivered;
    ring_slot slots[DEPTH_MAX];
};

/* ---- which clips ----------------------------------------------------------------------------------------------- */

static fwm_status list_clips(ds_loader *l)
{
    const ds_info *info = ds_get_info(l->ds);
    const ds_loader_options *o = &l->options;
    int64_t n = ds_split_list(info, o->split, NULL), all = 0, kept = 0;
    l->trajectory = fwm_malloc((size_t)n + 1, sizeof *l->trajectory);
    l->first_clip = fwm_malloc((size_t)n + 1, sizeof *l->first_clip);
    FWM_CHECK(l->trajectory && l->first_clip, FWM_MEMORY, "loader: out of memory for %lld trajectories", (long long)n);
    (void)ds_split_list(info, o->split, l->trajectory);
    if (o->limit > 0 && o->limit < n)
        n = o->limit;
    for (int64_t i = 0; i < n; i++) {
        int64_t clips = info->lengths[l->trajectory[i]] - o->clip + 1;
        if (clips < 1)
            continue;
        l->trajectory[kept] = l->trajectory[i];
        l->first_clip[kept++] = all;
        FWM_CHECK(fwm_add_i64(all, clips, &all), FWM_OVERFLOW, "%s: more clips than can be counted", ds_path(l->ds));
    }
    l->first_clip[kept] = all;
    l->trajectories = kept;
    FWM_CHECK(kept > 0, FWM_DATA,
              "%s: expected trajectories of split %s with at least %lld steps, found %lld trajectories of up to %lld",
              ds_path(l->ds), ds_split_name(o->split), (long long)o->clip, (long long)n, (long long)info->steps);
    return FWM_OK;
}

/* The trajectory that holds clip `i`: the last whose first clip is not after it. */
static int64_t find_trajectory(const ds_loader *l, int64_t i)
{
    int64_t low = 0, high = l->trajectories;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (l->first_clip[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- reading a batch ------------------------------------------------------------------------------------------- */

static void add_noise(const ds_loader *l, float *state, int64_t trajectory, int64_t start)
{
    const ds_info *info = ds_get_info(l->ds);
    const ds_field_info *field = &info->fields[DS_STATE];
    fwm_key key = {l->options.seed, STREAM_NOISE};
    int64_t width = l->shape.width[DS_STATE];
    for (int64_t t = 0; t < l->shape.steps; t++, state += width) {
        fwm_random_normal_f32(key, (uint64_t)(trajectory * info->steps + start + t), width, l->noise);
        for (int64_t p = 0; p < field->points; p++)
            for (int64_t c = 0; c < field->channels; c++) {
                int64_t i = p * field->channels + c;
                state[i] += (float)(l->options.state_noise * field->stats.std[c]) * l->noise[i];
            }
    }
}

static fwm_status read_batch(ds_loader *l, ds_batch *batch, int64_t step)
{
    const ds_loader_options *o = &l->options;
    int64_t clips = l->first_clip[l->trajectories];
    fwm_key key = {o->seed, STREAM_ORDER};
    batch->step = step;
    for (int64_t b = 0; b < o->batch; b++) {
        int64_t position = (step * o->ranks + o->rank) * o->batch + b;
        int64_t clip = (int64_t)fwm_random_permute(key, (uint64_t)(position / clips), (uint64_t)clips,
                                                   (uint64_t)(position % clips));
        int64_t i = find_trajectory(l, clip), start = clip - l->first_clip[i];
        FWM_TRY(ds_clip_read(l->ds, &l->shape, batch, b, l->trajectory[i], start));
        if (l->noise)
            add_noise(l, batch->clip.state + b * o->clip * l->shape.width[DS_STATE], l->trajectory[i], start);
    }
    return FWM_OK;
}

static void *run_thread(void *context)
{
    ds_loader *l = context;
    fwm_flush_denormals();
    pthread_mutex_lock(&l->mutex);
    while (!l->stop) {
        if (l->produced - l->consumed + (l->holding ? 1 : 0) >= l->options.depth) {
            pthread_cond_wait(&l->freed, &l->mutex);
            continue;
        }
        int64_t step = l->produced++, generation = l->generation;
        ring_slot *slot = &l->slots[step % l->options.depth];
        pthread_mutex_unlock(&l->mutex);
        fwm_status status = read_batch(l, &slot->room.batch, step);
        if (status != FWM_OK)
            fwm_error_get(slot->message, sizeof slot->message);
        pthread_mutex_lock(&l->mutex);
        if (generation == l->generation) {
            slot->status = status;
            slot->ready = true;
        }
        pthread_cond_signal(&l->filled);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* ---- creating -------------------------------------------------------------------------------------------------- */

static fwm_status check_options(ds_loader_options *o, const ds_info *info)
{
    if (o->depth == 0)
        o->depth = DEPTH_DEFAULT;
    if (o->ranks == 0)
        o->ranks = 1;
    FWM_CHECK(o->split >= 0 && o->split < DS_SPLITS, FWM_INVALID, "loader: no such split: %d", (int)o->split);
    FWM_CHECK(o->clip >= 1 && o->batch >= 1 && o->batch <= INT32_MAX && o->limit >= 0, FWM_INVALID,
              "loader: expected clip and batch of 1 or more, limit of 0 or more, found %lld, %lld, %lld",
              (long long)o->clip, (long long)o->batch, (long long)o->limit);
    FWM_CHECK(o->depth >= 1 && o->depth <= DEPTH_MAX, FWM_INVALID,
              "loader: expected a prefetch depth of 1 to %d, found %d", DEPTH_MAX, o->depth);
    FWM_CHECK(o->ranks >= 1 && o->rank >= 0 && o->rank < o->ranks, FWM_INVALID,
              "loader: expected a rank below %d, found %d", o->ranks, o->rank);
    FWM_CHECK(o->state_noise >= 0 && o->state_noise <= 1e6, FWM_INVALID,
              "loader: expected state noise of 0 or more, found %g", o->state_noise);
    FWM_CHECK(o->state_noise == 0 || (info->fields[DS_STATE].points > 0 && !o->skip[DS_STATE]), FWM_INVALID,
              "loader: state noise was asked for, but no state is read");
    return FWM_OK;
}

static fwm_status prepare(ds_loader *l)
{
    size_t size = 0;
    const ds_info *info = ds_get_info(l->ds);
    FWM_TRY(check_options(&l->options, info));
    FWM_TRY(list_clips(l));
    l->shape = ds_clip_shape_of(info, l->options.clip, l->options.skip);
    FWM_TRY(ds_clip_size(&l->shape, l->options.batch, &size));
    FWM_CHECK(fwm_mul_size(size, (size_t)l->options.depth, &l->memory), FWM_OVERFLOW,
              "loader: its ring cannot be addressed");
    FWM_TRY(ds_clip_check_memory(l->memory, "loader: the ring of batches"));
    for (int i = 0; i < l->options.depth; i++)
        FWM_TRY(ds_clip_room_create(&l->slots[i].room, &l->shape, l->options.batch));
    if (l->options.state_noise > 0) {
        FWM_TRY(ds_ensure_stats(l->ds));
        l->noise = fwm_malloc((size_t)l->shape.width[DS_STATE], sizeof *l->noise);
        FWM_CHECK(l->noise, FWM_MEMORY, "loader: out of memory for noise");
    }
    int error = pthread_create(&l->thread, NULL, run_thread, l);
    FWM_CHECK(error == 0, FWM_LIBRARY, "loader: no thread: %s", strerror(error));
    l->started = true;
    return FWM_OK;
}

fwm_status ds_loader_create(ds_loader **out, ds_dataset *ds, const ds_loader_options *options)
{
    *out = NULL;
    ds_loader *l = fwm_calloc(1, sizeof *l);
    FWM_CHECK(l, FWM_MEMORY, "loader: out of memory");
    l->ds = ds;
    l->options = *options;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->freed, NULL);
    fwm_status status = prepare(l);
    if (status != FWM_OK) {
        ds_loader_destroy(&l);
        return status;
    }
    *out = l;
    return FWM_OK;
}

void ds_loader_destroy(ds_loader **out)
{
    ds_loader *l = *out;
    if (!l)
        return;
    if (l->started) {
        pthread_mutex_lock(&l->mutex);
        l->stop = true;
        pthread_cond_signal(&l->freed);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->thread, NULL);
    }
    for (int i = 0; i < DEPTH_MAX; i++)
        ds_clip_room_destroy(&l->slots[i].room);
    pthread_cond_destroy(&l->freed);
    pthread_cond_destroy(&l->filled);
    pthread_mutex_destroy(&l->mutex);
    fwm_free(l->trajectory);
    fwm_free(l->first_clip);
    fwm_free(l->noise);
    fwm_free(l);
    *out = NULL;
}

/* ---- consuming ------------------------------------------------------------------------------------------------- */

fwm_status ds_loader_seek(ds_loader *l, int64_t step)
{
    int64_t last;
    FWM_CHECK(step >= 0 && fwm_mul_i64(step, (int64_t)l->options.ranks * l->options.batch, &last) &&
                  last < INT64_MAX / 2,
              FWM_INVALID, "loader: expected a step of 0 or more, found %lld", (long long)step);
    pthread_mutex_lock(&l->mutex);
    l->generation++;
    l->consumed = l->produced = step;
    l->holding = false;
    for (int i = 0; i < l->options.depth; i++)
        l->slots[i].ready = false;
    pthread_cond_signal(&l->freed);
    pthread_mutex_unlock(&l->mutex);
    return FWM_OK;
}

fwm_status ds_loader_next(ds_loader *l, ds_batch *out)
{
    pthread_mutex_lock(&l->mutex);
    if (l->holding) {
        l->holding = false;
        pthread_cond_signal(&l->freed);
    }
    ring_slot *slot = &l->slots[l->consumed % l->options.depth];
    if (!slot->ready) {
        double from = fwm_seconds();
        while (!slot->ready)
            pthread_cond_wait(&l->filled, &l->mutex);
        l->waited += fwm_seconds() - from;
    }
    fwm_status status = slot->status;
    slot->ready = false;
    l->consumed++;
    l->holding = true;
    if (status == FWM_OK) {
        l->delivered += (int64_t)slot->room.size;
        *out = slot->room.batch;
    } else {
        fwm_error_set(slot->message);
    }
    pthread_mutex_unlock(&l->mutex);
    return status;
}

int64_t ds_loader_clips(const ds_loader *l)
{
    return l->first_clip[l->trajectories];
}

size_t ds_loader_memory(const ds_loader *l)
{
    return l->memory;
}

double ds_loader_waited(const ds_loader *l)
{
    return l->waited;
}

int64_t ds_loader_delivered(const ds_loader *l)
{
    return l->delivered;
}
