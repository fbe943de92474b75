#include "data/loader.h"

#include "data/clips.h"
#include "data/sampler.h"
#include "model/base/arena.h"
#include "model/base/checked.h"
#include "model/base/random.h"
#include "model/base/threads.h"

#include <pthread.h>
#include <string.h>

enum {
    DEPTH_DEFAULT = 3,
    DEPTH_MAX = 64,
    THREADS_DEFAULT = 2,
    THREADS_MAX = 16,
    TURN_BYTES = 1 << 18, /* a thread takes about so many at a time */
    STREAM_NOISE = 0x6e6f6973
};

typedef struct ring_slot {
    ds_clip_room room;
    int64_t done; /* rows that were read, or failed */
    fwm_status status;
    char message[FWM_ERROR_CAPACITY];
} ring_slot;

typedef struct reader {
    struct ds_loader *loader;
    pthread_t thread;
    float *noise;   /* one step of the state, where there is noise */
    float *scratch; /* where clips are augmented */
} reader;

struct ds_loader {
    ds_dataset *ds;
    ds_loader_options options;
    ds_clip_shape shape;
    ds_sampler sampler;
    int64_t turn; /* rows that a thread takes at a time */
    size_t memory;
    reader readers[THREADS_MAX];
    int started;

    /* Under the mutex. Batch k lives in slot k % depth. Rows before `taken` of batch `reading` are read or being read,
     * by `busy` threads. */
    pthread_mutex_t mutex;
    pthread_cond_t filled, freed, idle;
    bool stop, holding, paused;
    int busy;
    int64_t consumed, reading, taken; /* next batch to hand out; where the threads are */
    double waited;
    int64_t delivered;
    ring_slot slots[DEPTH_MAX];
};

/* ---- reading a batch ------------------------------------------------------------------------------------------- */

static void add_noise(const ds_loader *l, float *noise, float *state, int64_t trajectory, int64_t start)
{
    const ds_info *info = ds_get_info(l->ds);
    const ds_field_info *field = &info->fields[DS_STATE];
    fwm_key key = {l->options.seed, STREAM_NOISE};
    int64_t width = l->shape.width[DS_STATE];
    for (int64_t t = 0; t < l->shape.steps; t++, state += width) {
        fwm_random_normal_f32(key, (uint64_t)(trajectory * info->steps + start + t), width, noise);
        for (int64_t p = 0; p < field->points; p++)
            for (int64_t c = 0; c < field->channels; c++) {
                int64_t i = p * field->channels + c;
                state[i] += (float)(l->options.state_noise * field->stats.std[c]) * noise[i];
            }
    }
}

/* Rows [first, first + count) of batch `step`. */
static fwm_status read_rows(reader *r, const ds_batch *batch, int64_t step, int64_t first, int64_t count)
{
    ds_loader *l = r->loader;
    const ds_loader_options *o = &l->options;
    for (int64_t b = first; b < first + count; b++) {
        const ds_draw d = ds_sampler_draw(&l->sampler, step, o->rank * o->batch + b);
        FWM_TRY(ds_clip_read(l->ds, &l->shape, batch, b, d.trajectory, d.start));
        batch->weight[b] = d.weight;
        if (r->noise)
            add_noise(l, r->noise, batch->clip.state + b * o->clip * l->shape.width[DS_STATE], d.trajectory, d.start);
        if (r->scratch) {
            const ds_clip row = ds_clip_row(&l->shape, batch, b);
            const int64_t rows = o->ranks * o->batch;
            ds_augment_clip(&o->augment, ds_get_info(l->ds), o->seed, (uint64_t)(step * rows + o->rank * o->batch + b),
                            o->clip, &row, r->scratch);
        }
    }
    return FWM_OK;
}

/* Whether there is a batch to read into: one slot may be in the consumer's hands. */
static bool has_room(const ds_loader *l)
{
    return !l->paused && l->reading - l->consumed + (l->holding ? 1 : 0) < l->options.depth;
}

/* The next rows that nobody reads. The mutex is held. */
static void take_turn(ds_loader *l, int64_t *step, int64_t *first, int64_t *count)
{
    ring_slot *slot = &l->slots[l->reading % l->options.depth];
    if (l->taken == 0) {
        slot->done = 0;
        slot->status = FWM_OK;
        slot->room.batch.step = l->reading;
    }
    *step = l->reading;
    *first = l->taken;
    *count = l->options.batch - l->taken < l->turn ? l->options.batch - l->taken : l->turn;
    l->taken += *count;
    if (l->taken == l->options.batch) {
        l->taken = 0;
        l->reading++;
    }
}

static void *run_thread(void *context)
{
    reader *r = context;
    ds_loader *l = r->loader;
    fwm_flush_denormals();
    pthread_mutex_lock(&l->mutex);
    while (!l->stop) {
        int64_t step, first, count;
        if (!has_room(l)) {
            pthread_cond_wait(&l->freed, &l->mutex);
            continue;
        }
        take_turn(l, &step, &first, &count);
        ring_slot *slot = &l->slots[step % l->options.depth];
        l->busy++;
        pthread_mutex_unlock(&l->mutex);
        const fwm_status status = read_rows(r, &slot->room.batch, step, first, count);
        pthread_mutex_lock(&l->mutex);
        if (status != FWM_OK && slot->status == FWM_OK) {
            slot->status = status;
            fwm_error_get(slot->message, sizeof slot->message);
        }
        slot->done += count;
        if (slot->done == l->options.batch)
            pthread_cond_signal(&l->filled);
        if (--l->busy == 0)
            pthread_cond_signal(&l->idle);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* ---- creating -------------------------------------------------------------------------------------------------- */

static fwm_status check_options(ds_loader_options *o, const ds_info *info)
{
    if (o->depth == 0)
        o->depth = DEPTH_DEFAULT;
    if (o->threads == 0)
        o->threads = THREADS_DEFAULT;
    if (o->ranks == 0)
        o->ranks = 1;
    if (o->key_state_weight == 0)
        o->key_state_weight = 1;
    o->bytes = o->bytes && info->frames_are_bytes && info->fields[DS_FRAMES].points > 0 && !o->skip[DS_FRAMES];
    FWM_CHECK(o->split >= 0 && o->split < DS_SPLITS, FWM_INVALID, "loader: no such split: %d", (int)o->split);
    FWM_CHECK(o->clip >= 1 && o->batch >= 1 && o->batch <= INT32_MAX && o->limit >= 0, FWM_INVALID,
              "loader: expected clip and batch of 1 or more, limit of 0 or more, found %lld, %lld, %lld",
              (long long)o->clip, (long long)o->batch, (long long)o->limit);
    FWM_CHECK(o->depth >= 1 && o->depth <= DEPTH_MAX, FWM_INVALID,
              "loader: expected a prefetch depth of 1 to %d, found %d", DEPTH_MAX, o->depth);
    FWM_CHECK(o->threads >= 1 && o->threads <= THREADS_MAX, FWM_INVALID, "loader: expected 1 to %d threads, found %d",
              THREADS_MAX, o->threads);
    FWM_CHECK(o->key_state_weight > 0 && o->key_state_weight <= 1e6, FWM_INVALID,
              "loader: expected a key state weight above 0, found %g", o->key_state_weight);
    FWM_CHECK(o->ranks >= 1 && o->rank >= 0 && o->rank < o->ranks, FWM_INVALID,
              "loader: expected a rank below %d, found %d", o->ranks, o->rank);
    FWM_CHECK(o->state_noise >= 0 && o->state_noise <= 1e6, FWM_INVALID,
              "loader: expected state noise of 0 or more, found %g", o->state_noise);
    FWM_CHECK(o->state_noise == 0 || (info->fields[DS_STATE].points > 0 && !o->skip[DS_STATE]), FWM_INVALID,
              "loader: state noise was asked for, but no state is read");
    return FWM_OK;
}

/* A thread's turn is a good part of a megabyte, and no more than its share of the batch. */
static int64_t turn_of(const ds_loader *l, size_t batch_bytes)
{
    const int64_t rows = l->options.batch, share = (rows + l->options.threads - 1) / l->options.threads;
    const int64_t row_bytes = (int64_t)(batch_bytes / (size_t)rows) + 1, turn = TURN_BYTES / row_bytes;
    return turn < 1 ? 1 : turn < share ? turn : share;
}

static fwm_status start_reader(ds_loader *l)
{
    reader *r = &l->readers[l->started];
    r->loader = l;
    if (l->options.state_noise > 0) {
        r->noise = fwm_malloc((size_t)l->shape.width[DS_STATE], sizeof *r->noise);
        FWM_CHECK(r->noise, FWM_MEMORY, "loader: out of memory for noise");
    }
    if (ds_augment_is_on(&l->options.augment)) {
        r->scratch = fwm_malloc((size_t)ds_augment_scratch(ds_get_info(l->ds)), sizeof *r->scratch);
        FWM_CHECK(r->scratch, FWM_MEMORY, "loader: out of memory for augmentation");
    }
    const int error = pthread_create(&r->thread, NULL, run_thread, r);
    FWM_CHECK(error == 0, FWM_LIBRARY, "loader: no thread: %s", strerror(error));
    l->started++;
    return FWM_OK;
}

static fwm_status prepare(ds_loader *l)
{
    size_t size = 0;
    const ds_info *info = ds_get_info(l->ds);
    FWM_TRY(check_options(&l->options, info));
    FWM_TRY(ds_sampler_create(&l->sampler, l->ds, &l->options));
    l->shape = ds_clip_shape_of(info, l->options.clip, l->options.skip);
    l->shape.bytes = l->options.bytes;
    FWM_TRY(ds_clip_size(&l->shape, l->options.batch, &size));
    FWM_CHECK(fwm_mul_size(size, (size_t)l->options.depth, &l->memory), FWM_OVERFLOW,
              "loader: its ring cannot be addressed");
    FWM_TRY(ds_clip_check_memory(l->memory, "loader: the ring of batches"));
    l->turn = turn_of(l, size);
    for (int i = 0; i < l->options.depth; i++)
        FWM_TRY(ds_clip_room_create(&l->slots[i].room, &l->shape, l->options.batch));
    if (l->options.state_noise > 0)
        FWM_TRY(ds_ensure_stats_of(l->ds, (const bool[DS_FIELDS]){[DS_STATE] = true}));
    while (l->started < l->options.threads)
        FWM_TRY(start_reader(l));
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
    pthread_cond_init(&l->idle, NULL);
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
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_broadcast(&l->freed);
    pthread_mutex_unlock(&l->mutex);
    for (int i = 0; i < l->started; i++)
        pthread_join(l->readers[i].thread, NULL);
    for (int i = 0; i < THREADS_MAX; i++) {
        fwm_free(l->readers[i].noise);
        fwm_free(l->readers[i].scratch);
    }
    for (int i = 0; i < DEPTH_MAX; i++)
        ds_clip_room_destroy(&l->slots[i].room);
    pthread_cond_destroy(&l->idle);
    pthread_cond_destroy(&l->freed);
    pthread_cond_destroy(&l->filled);
    pthread_mutex_destroy(&l->mutex);
    ds_sampler_destroy(&l->sampler);
    fwm_free(l);
    *out = NULL;
}

/* ---- consuming ------------------------------------------------------------------------------------------------- */

/* Waits until no thread reads; none begins until resume_at. The mutex is held. */
static void pause_readers(ds_loader *l)
{
    l->paused = true;
    while (l->busy > 0)
        pthread_cond_wait(&l->idle, &l->mutex);
}

/* Drops what was read ahead; the next batch is `step`. The mutex is held. */
static void resume_at(ds_loader *l, int64_t step)
{
    l->consumed = l->reading = step;
    l->taken = 0;
    l->holding = l->paused = false;
    for (int i = 0; i < l->options.depth; i++)
        l->slots[i].done = 0;
    pthread_cond_broadcast(&l->freed);
}

fwm_status ds_loader_seek(ds_loader *l, int64_t step)
{
    int64_t last;
    FWM_CHECK(step >= 0 && fwm_mul_i64(step, (int64_t)l->options.ranks * l->options.batch, &last) &&
                  last < INT64_MAX / 2,
              FWM_INVALID, "loader: expected a step of 0 or more, found %lld", (long long)step);
    pthread_mutex_lock(&l->mutex);
    pause_readers(l);
    resume_at(l, step);
    pthread_mutex_unlock(&l->mutex);
    return FWM_OK;
}

fwm_status ds_loader_set_scores(ds_loader *l, const double *scores)
{
    pthread_mutex_lock(&l->mutex);
    pause_readers(l);
    const fwm_status status = ds_sampler_set_scores(&l->sampler, scores);
    resume_at(l, l->consumed);
    pthread_mutex_unlock(&l->mutex);
    return status;
}

fwm_status ds_loader_next(ds_loader *l, ds_batch *out)
{
    pthread_mutex_lock(&l->mutex);
    if (l->holding) {
        l->holding = false;
        pthread_cond_broadcast(&l->freed);
    }
    ring_slot *slot = &l->slots[l->consumed % l->options.depth];
    if (slot->done < l->options.batch) {
        double from = fwm_seconds();
        while (slot->done < l->options.batch)
            pthread_cond_wait(&l->filled, &l->mutex);
        l->waited += fwm_seconds() - from;
    }
    fwm_status status = slot->status;
    slot->done = 0;
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
    return ds_sampler_clips(&l->sampler);
}

void ds_loader_clip(const ds_loader *l, int64_t i, int64_t *trajectory, int64_t *start)
{
    ds_sampler_clip(&l->sampler, i, trajectory, start);
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
