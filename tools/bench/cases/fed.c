/* A training step of the reference model S that takes its batch from the loader, beside the same step on a batch that
 * is there already: whether steps wait for their data. */
#include "data/loader.h"
#include "data/numbers.h"
#include "data/writer.h"
#include "model/base/arena.h"
#include "model/base/random.h"
#include "tools/bench/bench.h"
#include "tools/bench/reference.h"

#include <string.h>

enum {
    EDGE = 64,
    COLORS = 3,
    FRAME = EDGE * EDGE * COLORS,
    STATE = 1024,
    CLIP = BENCH_REFERENCE_CLIP,
    BATCH = BENCH_REFERENCE_BATCH,
    STEPS = 32,
    TRAJECTORIES = 32
};

typedef struct state {
    bench_reference *model;
    ds_dataset *ds;
    ds_loader *loader;
} state;

/* A slow gradient under noise, and normal states. */
static fwm_status put_all(ds_writer *writer)
{
    uint8_t *frames = fwm_malloc((size_t)STEPS * FRAME, 1);
    float *states = fwm_malloc((size_t)STEPS * STATE, sizeof *states);
    fwm_status status = frames && states ? FWM_OK : fwm_fail(FWM_MEMORY, "out of memory");
    for (int64_t i = 0; i < TRAJECTORIES && status == FWM_OK; i++) {
        for (int64_t k = 0; k < STEPS * FRAME; k += 4) {
            uint32_t word[4];
            fwm_random_words((fwm_key){.seed = 2, .stream = (uint32_t)i}, (uint64_t)(k / FRAME), (uint32_t)(k % FRAME),
                             word);
            for (int j = 0; j < 4; j++)
                frames[k + j] = (uint8_t)((k % FRAME) / (COLORS * EDGE) * 3 + word[j] % 11);
        }
        fwm_random_normal_f32((fwm_key){.seed = 3, .stream = (uint32_t)i}, 0, STEPS * STATE, states);
        status = ds_writer_put(writer, i, &(ds_trajectory){.frames = frames, .state = states});
    }
    fwm_free(frames);
    fwm_free(states);
    return status;
}

static fwm_status write_file(const char *path, int gzip)
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
    info.fields[DS_STATE] = (ds_field_info){.points = STATE, .channels = 1};
    const ds_writer_options options = {.gzip = gzip, .chunk_steps = CLIP};
    ds_writer *writer = NULL;
    FWM_TRY(ds_writer_create(&writer, path, &info, &options));
    fwm_status status = put_all(writer);
    if (status == FWM_OK)
        status = ds_writer_finish(&writer);
    ds_writer_abort(&writer);
    return status;
}

/* size: gzip level. */
static fwm_status open_case(bench_job *job)
{
    static const bench_reference_spec spec = {.recurrent = true, .dtype = AD_F32, .batch = BATCH, .clip = CLIP};
    static const ds_loader_options options = {
        .split = DS_TRAIN, .clip = CLIP, .batch = BATCH, .seed = 1, .bytes = true};
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    char path[BENCH_PATH];
    FWM_TRY(bench_temporary(path));
    fwm_status status = write_file(path, (int)job->row->size[0]);
    if (status == FWM_OK)
        status = ds_open(&s->ds, path, "auto");
    bench_forget(path);
    FWM_TRY(status);
    FWM_TRY(ds_loader_create(&s->loader, s->ds, &options));
    FWM_TRY(bench_reference_create(&s->model, &spec));
    job->items = 1;
    return FWM_OK;
}

/* [B,T,...] to [T*B,...]. */
static void load(const bench_reference *r, const ds_batch *batch)
{
    float *frames = ad_plan_data(r->plan, r->input[0]), *states = ad_plan_data(r->plan, r->input[1]);
    for (int64_t b = 0; b < BATCH; b++)
        for (int64_t t = 0; t < CLIP; t++) {
            const int64_t from = b * CLIP + t, to = t * BATCH + b;
            ds_bytes_to_floats(frames + to * FRAME, batch->clip.frame_bytes + from * FRAME, FRAME, DS_BRIGHTEST);
            memcpy(states + to * STATE, batch->clip.state + from * STATE, STATE * sizeof *states);
        }
}

static fwm_status run_bare(void *self)
{
    double loss;
    return bench_reference_train(((state *)self)->model, 1e-9, &loss);
}

static fwm_status run_case(void *self)
{
    state *s = self;
    ds_batch batch;
    FWM_TRY(ds_loader_next(s->loader, &batch));
    load(s->model, &batch);
    return run_bare(s);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    ds_loader_destroy(&s->loader);
    ds_close(&s->ds);
    bench_reference_destroy(&s->model);
    fwm_free(s);
}

#define FED(name, what, gzip)                                                                                          \
    {                                                                                                                  \
        name, "training step of S with its batch from the loader, " what "; limit: the same with no loader", BENCH_MS, \
            BENCH_OWN, .size = {gzip}, .open = open_case, .run = run_case, .limit_run = run_bare, .close = close_case  \
    }

extern const bench_case bench_cases_fed[];
const bench_case bench_cases_fed[] = {
    FED("step_s_fed", "chunks of 8 frames", 0), FED("step_s_fed_gzip", "chunks of 8 frames, gzip level 1", 1), {0}};
