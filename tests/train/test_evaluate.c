/* What an evaluation reports, against plain loops over the simulator's own functions. */
#include "model/base/random.h"
#include "model/base/threads.h"
#include "tests/train/small.h"
#include "train/evaluate.h"
#include "train/true_law.h"

#include <math.h>

enum { HORIZON = 6, BATCH = 3 };

typedef struct setting {
    char data[SMALL_PATH + 16];
    tr_config *config;
    tr_world *world;
    tr_rollout *rollout;
    float *flat;
} setting;

static void open_setting(setting *s)
{
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    (void)snprintf(s->data, sizeof s->data, "data.file=%s", small_data());
    const char *sets[] = {s->data, "physics.parameters.loss=7"};
    cr_assert_eq(tr_config_load(&s->config, SMALL_CONFIG, sets, 2), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_world_open(&s->world, s->config, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    s->world->correction_scale[0] = 0.05;
    cr_assert_eq(tr_rollout_create(&s->rollout, s->world, BATCH), FWM_OK, "%s", fwm_error_message());
    s->flat = calloc((size_t)nn_store_size(s->world->store), sizeof *s->flat);
    nn_store_initialise(s->world->store, 1, AD_F32, s->flat);
}

static void prepare(setting *s)
{
    cr_assert_eq(tr_rollout_prepare(s->rollout, s->flat), FWM_OK, "%s", fwm_error_message());
}

/* Away from the start, where the correction is zero. */
static void disturb(setting *s)
{
    for (int k = 0; k < nn_store_count(s->world->store); k++) {
        const nn_slot *slot = nn_store_slot(s->world->store, k);
        for (int64_t i = 0; i < slot->count; i++)
            s->flat[slot->offset + i] += (float)(0.05 * fwm_random_normal((fwm_key){3, 9}, (uint64_t)k, (uint32_t)i));
    }
}

static void close_setting(setting *s)
{
    free(s->flat);
    tr_rollout_destroy(&s->rollout);
    tr_world_close(&s->world);
    tr_config_destroy(s->config);
}

static tr_evaluation *evaluate(setting *s, int64_t start, int64_t samples, uint64_t seed, bool from_frame)
{
    const tr_evaluate_options o = {.split = DS_TEST,
                                   .start = start,
                                   .horizon = HORIZON,
                                   .samples = samples,
                                   .seed = seed,
                                   .from_frame = from_frame,
                                   .frames = true,
                                   .residual = true,
                                   .example = true};
    tr_evaluation *e;
    cr_assert_eq(tr_evaluate(&e, s->world, s->rollout, s->flat, &o), FWM_OK, "%s", fwm_error_message());
    return e;
}

/* Everything about one trajectory of the split, read without the loader. */
typedef struct trajectory {
    float *state, *actions, *s_phy, *frames;
    int64_t index;
} trajectory;

static trajectory read_trajectory(const setting *s, int64_t k)
{
    const ds_info *info = s->world->info;
    int64_t list[64], T = info->steps;
    cr_assert_lt(k, ds_split_list(info, DS_TEST, list));
    trajectory t = {.index = list[k]};
    float **field[] = {&t.frames, &t.actions, &t.state, &t.s_phy};
    static const ds_field kind[] = {DS_FRAMES, DS_ACTIONS, DS_STATE, DS_S_PHY};
    ds_clip clip = {0};
    for (int f = 0; f < 4; f++) {
        *field[f] = malloc((size_t)(T * info->fields[kind[f]].points * info->fields[kind[f]].channels) * sizeof(float));
        clip.field[kind[f]] = *field[f];
    }
    cr_assert_eq(ds_read(s->world->ds, t.index, 0, T, &clip), FWM_OK, "%s", fwm_error_message());
    return t;
}

static void free_trajectory(trajectory *t)
{
    free(t->state);
    free(t->actions);
    free(t->s_phy);
    free(t->frames);
}

/* sqrt(mean (x-y)^2 / variance of y), weighted by the lumped mass w, in float64; the variance is the unbiased one, over
 * 1 - sum (w / sum w)^2. */
static double vrmse(const setting *s, const float *x, const float *y)
{
    const fem_mesh *mesh = tr_law_mesh(s->world->law);
    double w = 0, squares = 0, mean = 0, error = 0, variance = 0;
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        w += mesh->lumped[i];
        squares += mesh->lumped[i] * mesh->lumped[i];
        mean += mesh->lumped[i] * (double)y[i];
    }
    mean /= w;
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        error += mesh->lumped[i] * ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        variance += mesh->lumped[i] * ((double)y[i] - mean) * ((double)y[i] - mean);
    }
    return sqrt(error * (1 - squares / (w * w)) / variance);
}

/* Weights are float32 of the mass and the metric guards its variance: 1e-5 of the value bounds both. */
static void expect_near(double found, double expected, double tolerance, const char *what, int64_t k, int64_t h)
{
    cr_expect_lt(fabs(found - expected), tolerance * fabs(expected),
                 "%s, trajectory %lld, step %lld: found %.9g, expected %.9g", what, (long long)k, (long long)h, found,
                 expected);
}

/* The correction begins at zero: an untrained model is the simulation. Its rollouts are loops of fem_step with the
 * law's starting values. Both work in float32, whose solver stops at 2e-6 of the state; six steps of a contracting
 * equation leave 1e-4 of the error. */
Test(evaluate, an_untrained_model_is_a_loop_of_steps, .timeout = 60)
{
    setting s = {.config = NULL};
    open_setting(&s);
    prepare(&s);
    const int64_t start = 2, n = s.world->model.nodes, A = s.world->model.actions;
    tr_evaluation *e = evaluate(&s, start, 1, 0, false);
    cr_assert_eq(e->trajectories, 4);
    cr_assert_eq(e->context, start + 1);
    float theta_value[FEM_MAX_PARAMETERS][1024];
    fem_theta theta = {0};
    const fem_equation *eq = tr_law_equation(s.world->law);
    for (int k = 0; k < eq->n_parameters; k++) {
        double values[1024];
        theta.count[k] = tr_law_count(s.world->law, k);
        cr_assert_leq(theta.count[k], 1024);
        tr_law_values(s.world->law, s.world->store, AD_F32, s.flat, k, values);
        for (int64_t i = 0; i < theta.count[k]; i++)
            theta_value[k][i] = (float)values[i];
        theta.value[k] = theta_value[k];
    }
    float *u = malloc((size_t)n * sizeof *u), *next = malloc((size_t)n * sizeof *next);
    for (int64_t k = 0; k < e->trajectories; k++) {
        trajectory t = read_trajectory(&s, k);
        memcpy(u, t.state + start * n, (size_t)n * sizeof *u);
        for (int64_t h = 1; h <= HORIZON; h++) {
            cr_assert_eq(
                fem_step(tr_law_problem(s.world->law), AD_F32, next, u, t.actions + (start + h - 1) * A, &theta, 1),
                FWM_OK, "%s", fwm_error_message());
            memcpy(u, next, (size_t)n * sizeof *u);
            expect_near(tr_metrics_value(e->table[TR_METHOD_MODEL], TR_VRMSE, k, (int)h, TR_ALL_FIELDS),
                        vrmse(&s, u, t.state + (start + h) * n), 1e-4, "model", k, h);
        }
        if (k == 0)
            for (int64_t i = 0; i < n; i++)
                cr_assert_lt(fabsf(e->example.state[HORIZON * n + i] - u[i]), 2e-5f);
        free_trajectory(&t);
    }
    free(u);
    free(next);
    tr_evaluation_destroy(&e);
    close_setting(&s);
}

Test(evaluate, persistence_and_the_cheap_simulation, .timeout = 60)
{
    setting s = {.config = NULL};
    open_setting(&s);
    prepare(&s);
    const wm_config *c = &s.world->model;
    const int64_t n = c->nodes, m = c->coarse_nodes, start = 1, pixels = c->height * c->width * c->colors;
    tr_evaluation *e = evaluate(&s, start, 1, 0, false);
    fem_csr *prolong;
    cr_assert_eq(fem_prolong(&prolong, tr_law_coarse_mesh(s.world->law), tr_law_mesh(s.world->law)), FWM_OK);
    double *coarse = malloc((size_t)m * sizeof *coarse), *fine = malloc((size_t)n * sizeof *fine);
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t k = 0; k < e->trajectories; k++) {
        trajectory t = read_trajectory(&s, k);
        for (int64_t h = 1; h <= HORIZON; h++) {
            const float *y = t.state + (start + h) * n, *picture = t.frames + (start + h) * pixels;
            for (int64_t i = 0; i < m; i++)
                coarse[i] = (double)t.s_phy[(start + h) * m + i];
            fem_csr_apply(prolong, coarse, fine);
            for (int64_t i = 0; i < n; i++)
                x[i] = (float)fine[i];
            expect_near(tr_metrics_value(e->table[TR_METHOD_PHYSICS], TR_VRMSE, k, (int)h, 0), vrmse(&s, x, y), 1e-5,
                        "physics_only", k, h);
            expect_near(tr_metrics_value(e->table[TR_METHOD_PERSISTENCE], TR_VRMSE, k, (int)h, 0),
                        vrmse(&s, t.state + start * n, y), 1e-5, "persistence", k, h);
            double square = 0;
            for (int64_t i = 0; i < pixels; i++)
                square += pow((double)t.frames[start * pixels + i] - (double)picture[i], 2);
            expect_near(tr_metrics_value(e->table[TR_METHOD_PERSISTENCE], TR_PSNR, k, (int)h, 0),
                        -10 * log10(square / (double)pixels), 1e-5, "persistence, frames", k, h);
        }
        cr_expect(isnan(tr_metrics_value(e->table[TR_METHOD_PHYSICS], TR_PSNR, k, 1, 0)),
                  "the cheap simulation makes no frames");
        free_trajectory(&t);
    }
    fem_csr_destroy(&prolong);
    free(coarse);
    free(fine);
    free(x);
    tr_evaluation_destroy(&e);
    close_setting(&s);
}

Test(evaluate, residuals_under_the_true_operator, .timeout = 60)
{
    setting s = {.config = NULL};
    open_setting(&s);
    prepare(&s);
    tr_evaluation *e = evaluate(&s, 0, 1, 0, false);
    tr_true_law truth;
    bool known;
    double sum[HORIZON] = {0}, one[HORIZON];
    cr_assert_eq(tr_true_law_create(&truth, s.world->law, s.config, s.world->ds, s.world->model.state.std, &known),
                 FWM_OK);
    cr_assert(known);
    for (int64_t k = 0; k < e->trajectories; k++) {
        trajectory t = read_trajectory(&s, k);
        const fem_theta theta = tr_true_theta(&truth, k); /* the same for all */
        cr_assert_eq(fem_trajectory_residual(truth.problem, one, t.state, t.actions, &theta, HORIZON + 1), FWM_OK);
        for (int h = 0; h < HORIZON; h++)
            sum[h] += one[h] / (double)e->trajectories;
        free_trajectory(&t);
    }
    for (int h = 0; h < HORIZON; h++) {
        expect_near(e->truth_residual[h], sum[h], 1e-12, "truth", 0, h);
        /* The truth is closest to its own law; what stands still, while heaters burn, is far from it. */
        cr_expect_lt(e->truth_residual[h], e->residual[TR_METHOD_MODEL][h], "step %d: %g and the model's %g", h,
                     e->truth_residual[h], e->residual[TR_METHOD_MODEL][h]);
        cr_expect_lt(e->truth_residual[h], e->residual[TR_METHOD_PERSISTENCE][h], "step %d: %g and persistence's %g", h,
                     e->truth_residual[h], e->residual[TR_METHOD_PERSISTENCE][h]);
    }
    /* Three inclusions and the plate: a row for each true value, and one for the loss. */
    cr_expect_eq(e->n_fits, 5);
    for (int k = 0; k < e->n_fits; k++) {
        cr_expect(isfinite(e->fit[k].truth), "%s", e->fit[k].name);
        cr_expect_float_eq(e->fit[k].fitted, e->fit[k].initial, 1e-5, "%s", e->fit[k].name);
    }
    tr_true_law_destroy(&truth);
    tr_evaluation_destroy(&e);
    close_setting(&s);
}

/* ---- rollouts ---- */

typedef struct imagined {
    ds_sequence *sequence;
    ds_batch batch;
    float *states, *frames;
    size_t n_states, n_frames;
} imagined;

static void open_imagined(const setting *s, imagined *m)
{
    const wm_config *c = &s->world->model;
    cr_assert_eq(ds_sequence_create(&m->sequence, s->world->ds, DS_TEST, BATCH, 0, NULL), FWM_OK);
    cr_assert_eq(ds_sequence_next(m->sequence, &m->batch), FWM_OK);
    m->n_states = (size_t)(m->batch.count * (HORIZON + 1) * c->nodes);
    m->n_frames = (size_t)(m->batch.count * (HORIZON + 1) * c->height * c->width * c->colors);
    m->states = malloc(m->n_states * sizeof(float));
    m->frames = malloc(m->n_frames * sizeof(float));
}

static void close_imagined(imagined *m)
{
    ds_sequence_destroy(&m->sequence);
    free(m->states);
    free(m->frames);
}

static void imagine(const setting *s, imagined *m, int64_t samples, uint64_t seed, bool from_frame)
{
    const tr_rollout_options o = {
        .start = 1, .horizon = HORIZON, .samples = samples, .seed = seed, .from_frame = from_frame};
    cr_assert_eq(tr_rollout_run(s->rollout, &m->batch, &o, m->states, m->frames), FWM_OK, "%s", fwm_error_message());
    for (size_t i = 0; i < m->n_states; i++)
        cr_assert(isfinite(m->states[i]));
}

static bool same(const imagined *a, const imagined *b)
{
    return memcmp(a->states, b->states, a->n_states * sizeof(float)) == 0 &&
           memcmp(a->frames, b->frames, a->n_frames * sizeof(float)) == 0;
}

Test(evaluate, samples_are_a_function_of_the_seed, .timeout = 60)
{
    setting s = {.config = NULL};
    imagined a, b;
    open_setting(&s);
    disturb(&s);
    prepare(&s);
    open_imagined(&s, &a);
    open_imagined(&s, &b);
    imagine(&s, &a, 3, 5, false);
    imagine(&s, &b, 3, 6, false);
    cr_expect(!same(&a, &b), "the seed does not matter");
    imagine(&s, &b, 3, 5, false);
    cr_expect(same(&a, &b), "the same seed gives another rollout");
    imagine(&s, &b, 4, 5, false);
    cr_expect(!same(&a, &b), "the number of samples does not matter");
    imagine(&s, &a, 1, 5, false);
    imagine(&s, &b, 1, 6, false);
    cr_expect(same(&a, &b), "the mean of z has a seed");
    close_imagined(&a);
    close_imagined(&b);
    close_setting(&s);
}

/* From a frame, the true state is not looked at: neither at the start nor later. */
Test(evaluate, a_start_from_the_frame_does_not_see_the_state, .timeout = 60)
{
    setting s = {.config = NULL};
    imagined a, b;
    open_setting(&s);
    disturb(&s);
    prepare(&s);
    open_imagined(&s, &a);
    open_imagined(&s, &b);
    const int64_t n = s.world->model.nodes, T = b.batch.length;
    for (int64_t i = 0; i < b.batch.count * T * n; i++)
        b.batch.clip.state[i] = 1.5f - b.batch.clip.state[i];
    imagine(&s, &a, 1, 0, false);
    cr_expect_arr_eq(a.states, a.batch.clip.state + n, (size_t)n * sizeof(float), "begins with the data's state");
    imagine(&s, &b, 1, 0, false);
    cr_expect(!same(&a, &b));
    imagine(&s, &a, 1, 0, true);
    imagine(&s, &b, 1, 0, true);
    cr_expect(same(&a, &b), "the data's state is used");
    cr_expect_neq(memcmp(a.states, a.batch.clip.state + n, (size_t)n * sizeof(float)), 0);
    /* It does see the frame. */
    const int64_t pixels = s.world->model.height * s.world->model.width * s.world->model.colors;
    for (int64_t i = 0; i < pixels; i++)
        b.batch.clip.frames[pixels + i] = 1.0f - b.batch.clip.frames[pixels + i];
    imagine(&s, &b, 1, 0, true);
    cr_expect_neq(memcmp(a.states, b.states, (size_t)n * sizeof(float)), 0, "the frame is not used");
    close_imagined(&a);
    close_imagined(&b);
    close_setting(&s);
}

Test(evaluate, what_does_not_fit_is_refused, .timeout = 60)
{
    setting s = {.config = NULL};
    tr_evaluation *e;
    imagined m;
    open_setting(&s);
    prepare(&s);
    tr_evaluate_options o = {.split = DS_TEST, .horizon = 13, .samples = 1};
    cr_expect_eq(tr_evaluate(&e, s.world, s.rollout, s.flat, &o), FWM_CONFIG);
    cr_expect_not_null(strstr(fwm_error_message(), "eval.horizon: 13 steps from frame 0 need 14 frames"), "%s",
                       fwm_error_message());
    cr_expect_null(e);
    open_imagined(&s, &m);
    tr_rollout_options ro = {.start = 8, .horizon = 5, .samples = 1};
    cr_expect_eq(tr_rollout_run(s.rollout, &m.batch, &ro, m.states, NULL), FWM_INVALID);
    cr_expect_not_null(strstr(fwm_error_message(), "needs 14 frames, the trajectory has 13"), "%s",
                       fwm_error_message());
    ro = (tr_rollout_options){.start = 0, .horizon = 5};
    cr_expect_eq(tr_rollout_run(s.rollout, &m.batch, &ro, m.states, NULL), FWM_INVALID);
    m.batch.count = BATCH + 1;
    ro.samples = 1;
    cr_expect_eq(tr_rollout_run(s.rollout, &m.batch, &ro, m.states, NULL), FWM_INVALID);
    /* A state that is not finite is the data's fault, and is named. */
    m.batch.count = BATCH;
    m.batch.clip.state[7] = NAN;
    cr_expect_eq(tr_world_check_batch(s.world, &m.batch), FWM_DATA);
    cr_expect_not_null(strstr(fwm_error_message(), "/state: trajectory 10, time 0, value 7"), "%s",
                       fwm_error_message());
    close_imagined(&m);
    close_setting(&s);
}
