/* Random clips of frames from a file in the page cache through the training loader, beside bare reads of as many bytes
 * at the same places of a plain file. */
#include "data/loader.h"
#include "data/writer.h"
#include "model/base/arena.h"
#include "model/base/random.h"
#include "tools/bench/bench.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

enum { EDGE = 64, COLORS = 3, FRAME = EDGE * EDGE * COLORS, CLIP = 8, BATCH = 16, STEPS = 64, TRAJECTORIES = 64 };

typedef struct place {
    int64_t trajectory, start;
} place;

typedef struct state {
    ds_dataset *ds;
    ds_loader *loader;
    int64_t batches, chunk;
    place *places; /* of the clips of one run */
    int fd;
    uint8_t *clip;
} state;

/* A slow wave under a camera's noise, so that compression meets what it meets in a video. */
static void draw(uint8_t *frames, int64_t trajectory)
{
    for (int64_t t = 0; t < STEPS; t++)
        for (int64_t i = 0; i < FRAME; i += 4) {
            uint32_t word[4];
            fwm_random_words((fwm_key){.seed = 1, .stream = (uint32_t)trajectory}, (uint64_t)t, (uint32_t)i, word);
            for (int k = 0; k < 4; k++) {
                const int64_t pixel = (i + k) / COLORS;
                const double wave =
                    sin(0.1 * (double)(pixel % EDGE + t) + (double)trajectory) * cos(0.07 * (double)(pixel / EDGE));
                frames[t * FRAME + i + k] = (uint8_t)(120 + 90 * wave + (double)(word[k] % 11));
            }
        }
}

static fwm_status put_all(ds_writer *writer)
{
    uint8_t *frames = fwm_malloc((size_t)STEPS * FRAME, 1);
    FWM_CHECK(frames, FWM_MEMORY, "out of memory");
    fwm_status status = FWM_OK;
    for (int64_t i = 0; i < TRAJECTORIES && status == FWM_OK; i++) {
        if (i % 8 == 0)
            draw(frames, i);
        status = ds_writer_put(writer, i, &(ds_trajectory){.frames = frames});
    }
    fwm_free(frames);
    return status;
}

static fwm_status write_file(const char *path, const ds_writer_options *options)
{
    ds_info info = {.name = "bench",
                    .equation = "",
                    .generator = "fwm bench",
                    .config = "",
                    .trajectories = TRAJECTORIES,
                    .steps = STEPS,
                    .height = EDGE,
                    .width = EDGE,
                    .frames_are_bytes = true};
    info.fields[DS_FRAMES] = (ds_field_info){.points = EDGE * EDGE, .channels = COLORS};
    ds_writer *writer = NULL;
    FWM_TRY(ds_writer_create(&writer, path, &info, options));
    fwm_status status = put_all(writer);
    if (status == FWM_OK)
        status = ds_writer_finish(&writer);
    ds_writer_abort(&writer);
    return status;
}

static fwm_status run(void *self)
{
    state *s = self;
    ds_batch batch;
    FWM_TRY(ds_loader_seek(s->loader, 0)); /* nothing is read ahead when the clock starts */
    for (int64_t k = 0; k < s->batches; k++) {
        FWM_TRY(ds_loader_next(s->loader, &batch));
        for (int64_t b = 0; b < BATCH; b++)
            s->places[k * BATCH + b] = (place){batch.trajectory[b], batch.start[b]};
    }
    return FWM_OK;
}

/* The same clips: one read for each piece that lies in one chunk. */
static fwm_status run_bare(void *self)
{
    state *s = self;
    for (int64_t i = 0; i < s->batches * BATCH; i++) {
        const place p = s->places[i];
        for (int64_t t = 0; t < CLIP;) {
            const int64_t left = s->chunk - (p.start + t) % s->chunk, n = left < CLIP - t ? left : CLIP - t;
            FWM_TRY(bench_read(s->fd, s->clip + t * FRAME, n * FRAME, (p.trajectory * STEPS + p.start + t) * FRAME));
            t += n;
        }
    }
    return FWM_OK;
}

/* The loader's thread reads ahead after the last batch was taken. */
static void rest(void *self)
{
    (void)self;
    (void)nanosleep(&(struct timespec){.tv_nsec = 15000000}, NULL);
}

/* size: steps of a chunk, gzip level, batches of a run, whether frames come as bytes. */
static fwm_status open_case(bench_job *job)
{
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    s->fd = -1;
    s->chunk = job->row->size[0];
    s->batches = job->row->size[2];
    s->places = fwm_calloc((size_t)(s->batches * BATCH), sizeof *s->places);
    s->clip = fwm_malloc((size_t)CLIP * FRAME, 1);
    FWM_CHECK(s->places && s->clip, FWM_MEMORY, "out of memory");
    char path[BENCH_PATH];
    FWM_TRY(bench_temporary(path));
    const ds_writer_options writing = {.gzip = (int)job->row->size[1], .chunk_steps = s->chunk};
    fwm_status status = write_file(path, &writing);
    if (status == FWM_OK)
        status = ds_open(&s->ds, path, "auto");
    bench_forget(path);
    FWM_TRY(status);
    FWM_TRY(bench_plain_file(&s->fd, (int64_t)TRAJECTORIES * STEPS * FRAME));
    const ds_loader_options options = {
        .split = DS_TRAIN, .clip = CLIP, .batch = BATCH, .seed = 1, .bytes = job->row->size[3] != 0};
    job->items = (double)(s->batches * BATCH) * CLIP * FRAME;
    return ds_loader_create(&s->loader, s->ds, &options);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    ds_loader_destroy(&s->loader);
    ds_close(&s->ds);
    if (s->fd >= 0)
        (void)close(s->fd);
    fwm_free(s->places);
    fwm_free(s->clip);
    fwm_free(s);
}

#define LOADER(name, what, ...)                                                                                        \
    {                                                                                                                  \
        name, "loader, random clips of 8 frames 64 x 64 x 3, cached, " what "; limit: bare reads", BENCH_GBS,          \
            BENCH_OWN, .size = {__VA_ARGS__}, .open = open_case, .run = run, .limit_run = run_bare, .rest = rest,      \
                       .close = close_case                                                                             \
    }

extern const bench_case bench_cases_loader[];
const bench_case bench_cases_loader[] = {
    LOADER("loader_chunked", "chunks of 8 frames, as bytes", CLIP, 0, 32, 1),
    LOADER("loader_contiguous", "whole trajectories in one piece, as bytes", STEPS, 0, 32, 1),
    LOADER("loader_floats", "chunks of 8 frames, as floats (bytes of the file counted)", CLIP, 0, 32, 0),
    LOADER("loader_gzip", "chunks of 8 frames, gzip level 1, as bytes", CLIP, 1, 8, 1),
    {0}};
