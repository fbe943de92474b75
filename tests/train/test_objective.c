/* The whole objective in float64: the gradient that training uses against a directional difference of the loss. */
#include "model/base/arena.h"
#include "model/base/random.h"
#include "model/base/threads.h"
#include "tests/train/small.h"
#include "train/identify.h"
#include "train/objective.h"
#include "train/world.h"

#include <math.h>

typedef struct setting {
    char folder[SMALL_PATH];
    tr_config *config;
    tr_world *world;
    ot_memory *memory;
    ot_gate *gate;
    tr_objective *objective;
    double *flat, *grad;
    int64_t size;
    ds_loader *loader;
    ds_batch batch;
} setting;

/* A memory that has looked, at codes about as far apart as those of an untrained model are. */
static void open_memory(setting *s)
{
    enum { CODES = 64, MOST = 64 };
    double y[CODES * MOST], x[CODES * MOST];
    ot_memory_options o = {.codes = CODES, .predictions = 4, .every = 1, .eta = 0.5, .seed = 1};
    wm_transport_sizes(&s->world->model, &o.d, &o.dc);
    cr_assert(o.d <= MOST && o.dc <= MOST);
    cr_assert_eq(ot_memory_create(&s->memory, AD_F64, &o), FWM_OK, "%s", fwm_error_message());
    const bool gated = s->config->model.latent.gate == TR_GATE_SHEETS;
    for (int64_t i = 0; i < CODES * o.d; i++) /* in two sheets: without a gap between codes there is no edge term */
        y[i] =
            0.05 * fwm_random_normal((fwm_key){17, 1}, 0, (uint32_t)i) + (i / o.d % (gated ? 2 : 6) == 1 ? 0.4 : 0.0);
    for (int64_t i = 0; i < CODES * o.dc; i++)
        x[i] = 0.05 * fwm_random_normal((fwm_key){17, 2}, 0, (uint32_t)i);
    cr_assert_eq(ot_memory_push(s->memory, 1, CODES, y, x, 4, y, x, NULL), FWM_OK, "%s", fwm_error_message());
    cr_assert(ot_memory_geometry(s->memory)->ready);
    if (gated) {
        cr_assert_eq(ot_gate_create(&s->gate, s->memory, 0, s->config->model.latent.classes), FWM_OK);
        for (int k = 0; k < OT_GATE_LOOKS; k++) { /* the same codes each time */
            cr_assert_eq(ot_gate_update(s->gate), FWM_OK);
            cr_assert_eq(ot_memory_push(s->memory, 2 + k, CODES, y, x, 4, y, x, NULL), FWM_OK);
        }
        cr_assert(ot_gate_is_set(s->gate));
        cr_assert_eq(ot_gate_classes(s->gate), 2);
    }
}

static const char *extra_setting = "seed=1";

static void open_setting(setting *s, const char *code)
{
    char file[SMALL_PATH + 64], transport[64];
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    small_folder(s->folder);
    small_simulate(s->folder);
    (void)snprintf(file, sizeof file, "data.file=%s/data.h5", s->folder);
    (void)snprintf(transport, sizeof transport, "transport.code=%s", code);
    /* The envelope theorem holds at convergence: enough iterations to get there. */
    const char *sets[] = {file,
                          transport,
                          "transport.weight=1",
                          "transport.extra=150",
                          "transport.blur=1.5",
                          "data.batch=2",
                          "objective.kl_balance=[0.5, 0.5]",
                          "model.latent.free_nats=0.01",
                          extra_setting};
    cr_assert_eq(tr_config_load(&s->config, SMALL_CONFIG, sets, sizeof sets / sizeof *sets), FWM_OK, "%s",
                 fwm_error_message());
    cr_assert_eq(tr_world_open(&s->world, s->config, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    s->world->correction_scale[0] = 0.05;
    open_memory(s);
    tr_objective_spec spec = {.config = s->config,
                              .model = &s->world->model,
                              .law = s->world->law,
                              .store = s->world->store,
                              .memory = s->memory,
                              .gate = s->gate,
                              .dtype = AD_F64,
                              .batch = 2,
                              .clip = s->config->data.clip,
                              .unroll = 2,
                              .train_law = true};
    cr_assert_eq(tr_objective_create(&s->objective, &spec), FWM_OK, "%s", fwm_error_message());
    s->size = nn_store_size(s->world->store);
    s->flat = calloc((size_t)s->size, sizeof *s->flat);
    s->grad = calloc((size_t)s->size, sizeof *s->grad);
    nn_store_initialise(s->world->store, 1, AD_F64, s->flat);
    /* Away from the start, where last layers are zero and gradients behind them vanish. */
    for (int k = 0; k < nn_store_count(s->world->store); k++) {
        const nn_slot *slot = nn_store_slot(s->world->store, k);
        for (int64_t i = 0; i < slot->count; i++)
            s->flat[slot->offset + i] += 0.05 * fwm_random_normal((fwm_key){3, 9}, (uint64_t)k, (uint32_t)i);
    }
    cr_assert_eq(tr_objective_prepare(s->objective, s->flat, s->grad), FWM_OK, "%s", fwm_error_message());
    tr_objective_set_scale(s->objective, s->world->correction_scale);
    ds_loader_options options = {.split = DS_TRAIN, .clip = s->config->data.clip, .batch = 2, .seed = 1};
    cr_assert_eq(ds_loader_create(&s->loader, s->world->ds, &options), FWM_OK);
    cr_assert_eq(ds_loader_next(s->loader, &s->batch), FWM_OK);
    cr_assert_eq(tr_objective_load(s->objective, &s->batch), FWM_OK);
}

static void close_setting(setting *s)
{
    ds_loader_destroy(&s->loader);
    tr_objective_destroy(&s->objective);
    ot_gate_destroy(&s->gate);
    ot_memory_destroy(&s->memory);
    tr_world_close(&s->world);
    tr_config_destroy(s->config);
    free(s->flat);
    free(s->grad);
    small_remove(s->folder);
}

static double loss_of(setting *s, const double weights[TR_TERM_COUNT], double terms[TR_TERM_COUNT])
{
    double loss;
    cr_assert_eq(tr_objective_run(s->objective, weights, 4, 2, &loss, terms, NULL), FWM_OK, "%s", fwm_error_message());
    return loss;
}

/* Directional derivative along a random direction by a central difference: its own error is O(h^2) = 1e-12 of the third
 * derivative, cancellation 1e-16 L / h = 1e-10 L; the bar is 1e-5. */
static double halves = 2; /* of the KL that count twice in the loss */

static void check(setting *s, const double weights[TR_TERM_COUNT], const char *prefix, const char *what)
{
    double terms[TR_TERM_COUNT], *v = calloc((size_t)s->size, sizeof *v), *x = malloc((size_t)s->size * sizeof *x);
    memcpy(x, s->flat, (size_t)s->size * sizeof *x);
    /* The KL's two halves are each blind, by stop_gradient, to one of its arguments. With equal balance their gradients
     * add up to that of one KL while their values add up to two: the difference of half the loss is what the gradient
     * is of. */
    double twice[TR_TERM_COUNT];
    memcpy(twice, weights, sizeof twice);
    twice[TR_TERM_KL] *= halves;
    (void)loss_of(s, twice, terms);
    double claimed = 0, norm = 0, h = 1e-6, at[2];
    for (int k = 0; k < nn_store_count(s->world->store); k++) {
        const nn_slot *slot = nn_store_slot(s->world->store, k);
        if (strncmp(slot->name, prefix, strlen(prefix)) != 0)
            continue;
        for (int64_t i = slot->offset; i < slot->offset + slot->count; i++) {
            v[i] = fwm_random_normal((fwm_key){7, 5}, 0, (uint32_t)i);
            claimed += v[i] * s->grad[i];
            norm += v[i] * v[i];
        }
    }
    cr_assert_gt(norm, 0, "no parameter begins with '%s'", prefix);
    static const double steps[2] = {1, -1};
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < s->size; i++)
            s->flat[i] = x[i] + steps[k] * h * v[i];
        at[k] = loss_of(s, weights, terms);
    }
    memcpy(s->flat, x, (size_t)s->size * sizeof *x);
    double measured = (at[0] - at[1]) / (2 * h);
    cr_assert(isfinite(measured) && measured != 0);
    double error = fabs(measured - claimed) / fmax(fabs(measured), fabs(claimed));
    cr_log_info("%s: claimed %.10g measured %.10g, relative error %.2e", what, claimed, measured, error);
    cr_assert_lt(error, 1e-5, "%s: claimed %.12g, measured %.12g, relative error %.2e", what, claimed, measured, error);
    free(v);
    free(x);
}

Test(objective, gradient_of_the_whole_loss, .timeout = 120)
{
    setting s = {.folder = ""};
    open_setting(&s, "state");
    const double all[TR_TERM_COUNT] = {1, 1, 0.1, 100, 1, 1, 0.1};
    check(&s, all, "", "all parameters");
    check(&s, all, "law/", "the law's parameters");
    check(&s, all, "pf_enc/", "the encoder");
    close_setting(&s);
}

Test(objective, gradient_of_each_term, .timeout = 120)
{
    setting s = {.folder = ""};
    open_setting(&s, "state");
    for (int k = 0; k < TR_TERM_COUNT; k++) {
        double one[TR_TERM_COUNT] = {0};
        one[k] = 1;
        check(&s, one, "", tr_term_name((tr_term)k));
    }
    close_setting(&s);
}

Test(objective, transport_moves_states_and_not_the_ruler, .timeout = 120)
{
    static const char *const codes[] = {"latent", "feature"};
    for (int c = 0; c < 2; c++) {
        setting s = {.folder = ""};
        open_setting(&s, codes[c]);
        const double one[TR_TERM_COUNT] = {[TR_TERM_TRANSPORT] = 1, [TR_TERM_EDGE] = 1};
        double terms[TR_TERM_COUNT], inside = 0, outside = 0;
        cr_assert_gt(loss_of(&s, one, terms), 0);
        for (int k = 0; k < nn_store_count(s.world->store); k++) {
            const nn_slot *slot = nn_store_slot(s.world->store, k);
            bool ruler = strncmp(slot->name, "prior/", 6) == 0, predictor = strncmp(slot->name, "df_pred/", 8) == 0;
            for (int64_t i = 0; i < slot->count; i++) {
                inside += ruler ? fabs(s.grad[slot->offset + i]) : 0;
                outside += predictor ? fabs(s.grad[slot->offset + i]) : 0;
            }
        }
        cr_assert_eq(inside, 0, "%s: the encoder of codes is pulled by the term that it measures", codes[c]);
        cr_assert_gt(outside, 0, "%s: the predictor feels nothing", codes[c]);
        close_setting(&s);
    }
}

/* The gate: its class is an input of the predictor, its classifier learns the true codes' sheets. */
Test(objective, gradient_with_the_gate, .timeout = 120)
{
    setting s = {.folder = ""};
    extra_setting = "model.latent.gate=sheets";
    open_setting(&s, "state");
    /* Without the edge term, which knows no class: its hard targets jump where two sheets are far apart, and a
     * difference over a jump says nothing. */
    const double others[TR_TERM_COUNT] = {1, 1, 0, 100, 1, 0, 0.1}, kl[TR_TERM_COUNT] = {[TR_TERM_KL] = 1};
    check(&s, others, "", "all parameters, gated");
    halves = 1; /* the cross entropy is not one of two halves */
    check(&s, kl, "prior/gate/", "the gate's classifier");
    halves = 2;
    double terms[TR_TERM_COUNT];
    (void)loss_of(&s, others, terms);
    for (int k = 0; k < nn_store_count(s.world->store); k++) {
        const nn_slot *slot = nn_store_slot(s.world->store, k);
        for (int64_t i = 0; i < slot->count && strncmp(slot->name, "prior/gate/", 11) == 0; i++)
            cr_assert_eq(s.grad[slot->offset + i], 0, "only its own loss teaches the classifier");
    }
    close_setting(&s);
}

Test(objective, steps_do_not_allocate, .timeout = 120)
{
    setting s = {.folder = ""};
    open_setting(&s, "state");
    const double all[TR_TERM_COUNT] = {1, 1, 0.1, 0.1, 0.01, 0.03, 0.1};
    double terms[TR_TERM_COUNT];
    (void)loss_of(&s, all, terms);
    size_t before = fwm_allocation_count();
    for (int k = 0; k < 5; k++) {
        cr_assert_eq(ds_loader_next(s.loader, &s.batch), FWM_OK);
        cr_assert_eq(tr_objective_load(s.objective, &s.batch), FWM_OK);
        (void)loss_of(&s, all, terms);
        cr_assert_eq(tr_objective_remember(s.objective, 1000 * k), FWM_OK, "%s", fwm_error_message());
    }
    cr_assert_eq(fwm_allocation_count(), before, "%zu allocations in five steps", fwm_allocation_count() - before);
    close_setting(&s);
}

/* With weights, each term is the mean of what its clips give times their weights: linear in them, and the same as
 * without where they are 1. */
Test(objective, clips_weigh_what_the_loader_says, .timeout = 120)
{
    setting plain = {.folder = ""}, s = {.folder = ""};
    const double all[TR_TERM_COUNT] = {1, 1, 0.1, 0.1, 0, 0, 0.1};
    const float weights[4][2] = {{1, 1}, {2, 0}, {0, 2}, {0.5F, 1.75F}};
    double terms[5][TR_TERM_COUNT];
    open_setting(&plain, "state");
    (void)loss_of(&plain, all, terms[4]);
    close_setting(&plain);
    extra_setting = "data.key_state_weight=3";
    open_setting(&s, "state");
    for (int k = 0; k < 4; k++) {
        s.batch.weight[0] = weights[k][0];
        s.batch.weight[1] = weights[k][1];
        cr_assert_eq(tr_objective_load(s.objective, &s.batch), FWM_OK);
        (void)loss_of(&s, all, terms[k]);
    }
    for (int t = 0; t < TR_TERM_COUNT; t++) {
        if (t == TR_TERM_TRANSPORT || t == TR_TERM_EDGE)
            continue; /* clouds, not means */
        const double a = terms[1][t], b = terms[2][t], tolerance = 1e-12 * (fabs(a) + fabs(b));
        /* Two graphs draw their latent noise differently: only the estimate of the start has none. */
        cr_expect(t != TR_TERM_START || fabs(terms[0][t] - terms[4][t]) <= tolerance,
                  "%s: with weights of 1: %.17g, without: %.17g", tr_term_name((tr_term)t), terms[0][t], terms[4][t]);
        cr_expect(fabs(terms[0][t] - (a + b) / 2) <= tolerance, "%s: %.17g", tr_term_name((tr_term)t), terms[0][t]);
        cr_expect(fabs(terms[3][t] - (0.5 * a + 1.75 * b) / 2) <= tolerance, "%s", tr_term_name((tr_term)t));
        cr_expect(a > 0 && b > 0 && a != b, "%s: %g %g", tr_term_name((tr_term)t), a, b);
    }
    check(&s, all, "", "weighted clips");
    close_setting(&s);
}
