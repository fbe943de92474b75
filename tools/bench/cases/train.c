/* Training and imagination as configs/heat_plate.yaml has them, on a few trajectories simulated for the purpose. */
#include "model/base/arena.h"
#include "tools/bench/bench.h"
#include "tools/simulation/simulation.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/rollout.h"
#include "train/world.h"

#include <math.h>

typedef struct state {
    tr_config *config;
    tr_world *world;
    tr_objective *objective;
    tr_rollout *rollout;
    ds_loader *loader;
    ds_sequence *sequence;
    ds_batch truth;
    float *vector[5]; /* p, g, m, v, average */
    float *states, *frames;
    int64_t size, step;
} state;

enum { P, G, M, V, AVERAGE, VECTORS };

/* The experiment with a dataset of its shapes: two short trajectories, in a file that has no name any more. */
static fwm_status open_world(state *s, const char *config)
{
    static const char *const sets[] = {"simulate.train=2",    "simulate.validation=0", "simulate.test=0",
                                       "simulate.test_ood=0", "simulate.steps=8",      "data.trajectories=0"};
    char path[BENCH_PATH];
    FWM_TRY(tr_config_load(&s->config, config, sets, (int64_t)(sizeof sets / sizeof *sets)));
    FWM_TRY(bench_temporary(path));
    fwm_status status = fwm_simulate_dataset(s->config, path, "", false);
    if (status == FWM_OK)
        status = tr_world_open(&s->world, s->config, path, NULL);
    bench_forget(path);
    return status;
}

/* Parameters of the objective or rollout that has been built, and room for what goes with them. */
static fwm_status make_vectors(state *s, int count)
{
    s->size = nn_store_size(s->world->store);
    for (int k = 0; k < count; k++)
        FWM_TRY(fwm_block_alloc((void **)&s->vector[k], (size_t)s->size * sizeof(float)));
    nn_store_initialise(s->world->store, (uint64_t)s->config->seed, AD_F32, s->vector[P]);
    for (int64_t k = 0; k < s->world->model.state.count; k++) {
        const double change = s->world->info->fields[DS_STATE].stats.delta_std[k];
        s->world->correction_scale[k] = fmax(change, 1e-6);
    }
    return FWM_OK;
}

static fwm_status begin(bench_job *job, state **out)
{
    state *s = job->self = *out = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    return open_world(s, job->settings->config);
}

/* size: unroll length. */
static fwm_status open_step(bench_job *job)
{
    state *s;
    FWM_TRY(begin(job, &s));
    const tr_config *c = s->config;
    const tr_objective_spec spec = {.config = c,
                                    .model = &s->world->model,
                                    .law = s->world->law,
                                    .store = s->world->store,
                                    .dtype = AD_F32,
                                    .batch = c->data.batch,
                                    .clip = c->data.clip,
                                    .unroll = (int)job->row->size[0]};
    FWM_TRY(tr_objective_create(&s->objective, &spec));
    FWM_TRY(make_vectors(s, VECTORS));
    FWM_TRY(tr_objective_prepare(s->objective, s->vector[P], s->vector[G]));
    tr_objective_set_scale(s->objective, s->world->correction_scale);
    const ds_loader_options clips = {.split = DS_TRAIN,
                                     .clip = c->data.clip,
                                     .batch = c->data.batch,
                                     .seed = (uint64_t)c->seed,
                                     .depth = (int)c->data.prefetch,
                                     .bytes = true,
                                     .state_noise = c->data.state_noise};
    FWM_TRY(ds_loader_create(&s->loader, s->world->ds, &clips));
    job->items = 1;
    job->need = ad_plan_flops(tr_objective_plan(s->objective));
    return FWM_OK;
}

/* A step of the trainer: batch, gradients of the whole objective, update. */
static fwm_status run_step(void *self)
{
    state *s = self;
    const tr_config *c = s->config;
    ds_batch batch;
    double loss, terms[TR_TERM_COUNT];
    const double weights[TR_TERM_COUNT] = {[TR_TERM_STATE] = c->objective.state,
                                           [TR_TERM_FRAME] = c->objective.frame,
                                           [TR_TERM_KL] = c->objective.kl,
                                           [TR_TERM_PHYSICS] = c->objective.physics,
                                           [TR_TERM_TRANSPORT] = c->transport.weight,
                                           [TR_TERM_START] = c->objective.start};
    const tr_optimizer_options o = {.beta1 = c->optimizer.betas[0],
                                    .beta2 = c->optimizer.betas[1],
                                    .eps = c->optimizer.eps,
                                    .weight_decay = c->optimizer.weight_decay,
                                    .clip = c->optimizer.clip,
                                    .ema = c->optimizer.ema};
    float **x = s->vector;
    FWM_TRY(ds_loader_next(s->loader, &batch));
    FWM_TRY(tr_objective_load(s->objective, &batch));
    FWM_TRY(tr_objective_run(s->objective, weights, (uint64_t)c->seed, (uint64_t)s->step, &loss, terms, NULL));
    /* A rate that changes nothing to speak of: the work is the same, and the hundredth step costs what the first did.
     */
    const tr_vectors all = {.p = x[P], .m = x[M], .v = x[V], .ema = x[AVERAGE], .g = x[G]};
    return tr_optimizer_step(NULL, &all, &o, 1e-9, ++s->step, AD_F32, s->size);
}

static ad_plan *plan_of(void *self)
{
    return tr_objective_plan_mutable(((state *)self)->objective);
}

static fwm_status open_infer(bench_job *job)
{
    state *s;
    FWM_TRY(begin(job, &s));
    const wm_config *m = &s->world->model;
    FWM_TRY(tr_rollout_create(&s->rollout, s->world, 1));
    FWM_TRY(make_vectors(s, 1));
    FWM_TRY(tr_rollout_prepare(s->rollout, s->vector[P]));
    FWM_TRY(ds_sequence_create(&s->sequence, s->world->ds, DS_TRAIN, 1, 1, NULL));
    FWM_TRY(ds_sequence_next(s->sequence, &s->truth));
    s->states = fwm_malloc((size_t)(2 * m->nodes * m->state.count), sizeof *s->states);
    s->frames = fwm_malloc((size_t)(2 * m->height * m->width * m->colors), sizeof *s->frames);
    FWM_CHECK(s->states && s->frames, FWM_MEMORY, "out of memory");
    job->items = 1;
    job->need = ad_plan_flops(tr_rollout_plan(s->rollout));
    return FWM_OK;
}

static fwm_status run_infer(void *self)
{
    state *s = self;
    const tr_rollout_options o = {.horizon = 1, .samples = 1};
    return tr_rollout_run(s->rollout, &s->truth, &o, s->states, s->frames);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    ds_loader_destroy(&s->loader);
    ds_sequence_destroy(&s->sequence);
    tr_objective_destroy(&s->objective);
    tr_rollout_destroy(&s->rollout);
    for (int k = 0; k < VECTORS; k++)
        fwm_block_free(s->vector[k], (size_t)s->size * sizeof(float));
    fwm_free(s->states);
    fwm_free(s->frames);
    tr_world_close(&s->world);
    tr_config_destroy(s->config);
    fwm_free(s);
}

extern const bench_case bench_cases_train[];
const bench_case bench_cases_train[] = {
    {"step_heat", "training step of configs/heat_plate.yaml, unroll 1", BENCH_MS, BENCH_FMA, .size = {1},
     .open = open_step, .run = run_step, .plan = plan_of, .close = close_case},
    {"step_heat_2", "training step of configs/heat_plate.yaml, unroll 2", BENCH_MS, BENCH_FMA, .size = {2},
     .open = open_step, .run = run_step, .plan = plan_of, .close = close_case},
    {"infer_1", "one imagined step of configs/heat_plate.yaml, batch 1, state and frame", BENCH_MS, BENCH_FMA,
     .open = open_infer, .run = run_infer, .close = close_case},
    {0}};
