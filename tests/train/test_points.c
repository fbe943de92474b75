/* Generators of points: gradients of the whole objective, runs that go on to the same bits, the gate's effect. */
#include "model/base/random.h"
#include "model/base/threads.h"
#include "tests/train/small.h"
#include "train/objective.h"
#include "train/trainer.h"

#include <math.h>

typedef struct toy {
    char folder[SMALL_PATH], data[SMALL_PATH + 32];
    tr_config *config;
} toy;

static void open_toy(toy *t, const char *file, const char *variant, const char *const *more)
{
    enum { MOST = 16 };
    const char *sets[MOST];
    char config[SMALL_PATH];
    int n = 0;
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    small_folder(t->folder);
    (void)snprintf(config, sizeof config, "configs/toy/%s.yaml", file);
    (void)snprintf(t->data, sizeof t->data, "data.file=%s/data.h5", t->folder);
    sets[n++] = t->data;
    for (; more && more[n - 1]; n++)
        sets[n] = more[n - 1];
    tr_config *whole;
    cr_assert_eq(tr_config_load(&whole, config, sets, n), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_config_variant(whole, variant, &t->config), FWM_OK, "%s", fwm_error_message());
    tr_config_destroy(whole);
    cr_assert_eq(small_shell("%s simulate %s --set simulate.train=600 --set simulate.validation=64 --set "
                             "simulate.test=400 --out %s/data.h5 >/dev/null 2>%s/err",
                             small_program(), config, t->folder, t->folder),
                 0, "%s", small_text(t->folder, "err"));
}

static void close_toy(toy *t)
{
    tr_config_destroy(t->config);
    small_remove(t->folder);
}

/* ---- gradients ---- */

static double loss_of(tr_objective *o, const double weights[TR_TERM_COUNT])
{
    double loss, terms[TR_TERM_COUNT];
    cr_assert_eq(tr_objective_run(o, weights, 4, 2, &loss, terms, NULL), FWM_OK, "%s", fwm_error_message());
    return loss;
}

static void check_gradient(const char *file, const char *variant, const double weights[TR_TERM_COUNT])
{
    static const char *const more[] = {
        "data.batch=24",     "model.points.draw=12",    "transport.extra=400",   "transport.blur=0.4",
        "transport.bank=24", "transport.predictions=8", "transport.scaling=0.8", NULL};
    toy t;
    tr_world *w;
    open_toy(&t, file, variant, more);
    cr_assert_eq(tr_world_open(&w, t.config, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    ot_memory *memory;
    ot_gate *gate = NULL;
    const int64_t d = w->model.state.count;
    const ot_memory_options mo = {
        .d = d, .dc = t.config->data.clip > 1 ? d : 0, .codes = 24, .predictions = 8, .every = 50, .eta = 1};
    cr_assert_eq(ot_memory_create(&memory, AD_F64, &mo), FWM_OK);
    if (t.config->model.latent.gate == TR_GATE_SHEETS)
        cr_assert_eq(ot_gate_create(&gate, memory, mo.dc > 0 ? 0 : 2, t.config->model.latent.classes), FWM_OK);
    tr_objective_spec spec = {.config = t.config,
                              .model = &w->model,
                              .store = w->store,
                              .memory = memory,
                              .gate = gate,
                              .dtype = AD_F64,
                              .batch = 24,
                              .clip = t.config->data.clip,
                              .unroll = 1};
    tr_objective *o;
    cr_assert_eq(tr_objective_create(&o, &spec), FWM_OK, "%s", fwm_error_message());
    int64_t size = nn_store_size(w->store);
    double *flat = calloc((size_t)size, sizeof *flat), *grad = calloc((size_t)size, sizeof *grad),
           *v = calloc((size_t)size, sizeof *v), *x = calloc((size_t)size, sizeof *x);
    nn_store_initialise(w->store, 1, AD_F64, flat);
    cr_assert_eq(tr_objective_prepare(o, flat, grad), FWM_OK, "%s", fwm_error_message());
    ds_loader *loader;
    ds_batch batch;
    ds_loader_options lo = {.split = DS_TRAIN, .clip = t.config->data.clip, .batch = 24, .seed = 1};
    cr_assert_eq(ds_loader_create(&loader, w->ds, &lo), FWM_OK);
    cr_assert_eq(ds_loader_next(loader, &batch), FWM_OK);
    cr_assert_eq(tr_objective_load(o, &batch), FWM_OK);
    (void)loss_of(o, weights);
    for (int64_t k = 0; k < OT_GATE_LOOKS; k++) /* a full bank: it looks, as often as a gate wants to see agree */
        cr_assert_eq(tr_objective_remember(o, 1 + k * t.config->transport.every), FWM_OK, "%s", fwm_error_message());
    cr_assert(ot_memory_geometry(memory)->ready && (!gate || ot_gate_is_set(gate)));
    (void)loss_of(o, weights);
    double claimed = 0, h = 1e-6, at[2];
    memcpy(x, flat, (size_t)size * sizeof *x);
    for (int k = 0; k < nn_store_count(w->store); k++) {
        const nn_slot *slot = nn_store_slot(w->store, k);
        for (int64_t i = slot->offset; i < slot->offset + slot->count; i++) {
            v[i] = fwm_random_normal((fwm_key){7, 5}, 0, (uint32_t)i);
            claimed += v[i] * grad[i];
        }
    }
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < size; i++)
            flat[i] = x[i] + (side ? -h : h) * v[i];
        at[side] = loss_of(o, weights);
    }
    double measured = (at[0] - at[1]) / (2 * h), error = fabs(measured - claimed) / fmax(fabs(measured), 1e-300);
    cr_log_info("%s %s: claimed %.10g measured %.10g", file, variant, claimed, measured);
    cr_expect(isfinite(measured) && measured != 0 && error < 1e-5, "%s %s: claimed %.10g, measured %.10g", file,
              variant, claimed, measured);
    ds_loader_destroy(&loader);
    tr_objective_destroy(&o);
    ot_gate_destroy(&gate);
    ot_memory_destroy(&memory);
    tr_world_close(&w);
    free(flat), free(grad), free(v), free(x);
    close_toy(&t);
}

Test(points, gradients_of_the_objective, .timeout = 120)
{
    const double fit[TR_TERM_COUNT] = {[TR_TERM_TRANSPORT] = 1}, edge[TR_TERM_COUNT] = {[TR_TERM_EDGE] = 1},
                 class_of[TR_TERM_COUNT] = {[TR_TERM_KL] = 1}, square[TR_TERM_COUNT] = {[TR_TERM_STATE] = 1};
    check_gradient("discs", "hard", fit);
    check_gradient("discs", "hard", edge);
    check_gradient("duffing", "hard", fit);
    check_gradient("duffing", "hard", edge);
    check_gradient("duffing", "gate", class_of);
    check_gradient("duffing_mse", "hinge", square);
    check_gradient("duffing_mse", "hinge", edge);
}

/* ---- runs ---- */

static tr_train_result train(const toy *t, const char *name, int64_t stop_after)
{
    static char folder[SMALL_PATH + 32];
    (void)snprintf(folder, sizeof folder, "%s/%s", t->folder, name);
    tr_train_options o = {.folder = folder, .stop_after = stop_after};
    tr_train_result r;
    FILE *null = fopen("/dev/null", "w");
    cr_assert_eq(tr_train(&r, t->config, &o, null), FWM_OK, "%s", fwm_error_message());
    (void)fclose(null);
    return r;
}

static void digest_of(const toy *t, const char *name, char text[32])
{
    char path[SMALL_PATH + 64];
    tr_checkpoint *ck;
    (void)snprintf(path, sizeof path, "%s/%s/last.ckpt", t->folder, name);
    cr_assert_eq(tr_checkpoint_load(&ck, path), FWM_OK, "%s", fwm_error_message());
    (void)snprintf(text, 32, "%s", tr_checkpoint_digest(ck));
    tr_checkpoint_destroy(ck);
}

Test(points, a_run_that_was_stopped_goes_on_to_the_same_bits, .timeout = 120)
{
    static const char *const more[] = {"data.batch=64",          "model.points.draw=32",   "transport.bank=128",
                                       "transport.every=4",      "trainer.steps=16",       "trainer.log_every=4",
                                       "transport.edge_start=0", "transport.edge_end=0.3", NULL};
    static const char *const cases[][2] = {{"discs", "hard_is"}, {"discs", "gate"}, {"duffing", "gate"}};
    for (int c = 0; c < 3; c++) {
        toy t;
        char whole[32], part[32];
        open_toy(&t, cases[c][0], cases[c][1], more);
        cr_expect_eq(train(&t, "whole", 0).steps, 16);
        cr_expect(train(&t, "part", 3).interrupted); /* once before the memory has looked, once after it */
        cr_expect(train(&t, "part", 6).interrupted);
        cr_expect_eq(train(&t, "part", 0).steps, 16);
        digest_of(&t, "whole", whole);
        digest_of(&t, "part", part);
        cr_expect_str_eq(whole, part, "%s %s", cases[c][0], cases[c][1]);
        close_toy(&t);
    }
}

/* A short training: the gate's generator leaves the gap empty, the plain one crosses it; figures and report are
 * written. */
Test(points, the_gate_empties_the_gap, .timeout = 200)
{
    static const char *const more[] = {"data.batch=256", "trainer.steps=300", "transport.bank=256", NULL};
    double mixing[2];
    for (int gate = 0; gate < 2; gate++) {
        toy t;
        open_toy(&t, "discs", gate ? "gate" : "base", more);
        (void)train(&t, "run", 0);
        cr_assert_eq(
            small_shell("%s eval %s/run/last.ckpt > %s/out 2>%s/err", small_program(), t.folder, t.folder, t.folder), 0,
            "%s", small_text(t.folder, "err"));
        cr_expect(strstr(small_text(t.folder, "out"), "mode mixing"));
        cr_expect(strstr(small_text(t.folder, "run/report.html"), "Detected boundary"));
        char path[SMALL_PATH + 64];
        (void)snprintf(path, sizeof path, "%s/run/metrics.json", t.folder);
        json_t *o = small_json(path);
        mixing[gate] = json_number_value(json_object_get(o, "mixing"));
        cr_expect(json_is_number(json_object_get(o, "w2")) && json_is_number(json_object_get(o, "coverage")));
        json_decref(o);
        close_toy(&t);
    }
    cr_log_info("mode mixing after 300 steps: %.4f, with the gate %.4f", mixing[0], mixing[1]);
    cr_expect_lt(mixing[1], 0.03);
    cr_expect_gt(mixing[0], 0.08);
}

Test(points, settings_that_contradict_are_named)
{
    static const char *const bad[][2] = {{"model.points.head=regressor", "transport.emphasis"},
                                         {"transport.weight=0", "transport.weight"},
                                         {"physics.equation=heat", "physics.equation"}};
    for (int k = 0; k < 3; k++) {
        tr_config *c;
        cr_expect(tr_config_load(&c, "configs/toy/discs.yaml", &bad[k][0], 1) == FWM_CONFIG);
        cr_expect(strstr(fwm_error_message(), bad[k][1]), "%s", fwm_error_message());
    }
}
