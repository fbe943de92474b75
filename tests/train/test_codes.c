/* Codes of rollouts: what is measured where the answer is known, and the detector on a bistable scalar. */
#include "model/base/random.h"
#include "model/base/threads.h"
#include "tests/train/small.h"
#include "train/codes.h"

#include <math.h>

Test(codes, area_under_the_curve)
{
    const double score[6] = {0.1, 0.9, 0.8, 0.2, 0.5, 0.5};
    const unsigned char right[6] = {0, 1, 1, 0, 0, 1}, wrong[6] = {1, 0, 0, 1, 1, 0}, none[6] = {0};
    cr_expect_float_eq(tr_area_under_curve(6, score, right), 8.5 / 9, 1e-12);
    cr_expect_float_eq(tr_area_under_curve(6, score, wrong), 0.5 / 9, 1e-12);
    cr_expect(isnan(tr_area_under_curve(6, score, none)));
}

enum { TRAJECTORIES = 40, STEPS = 31 };

typedef struct scene {
    tr_config *config;
    tr_world *world;
    float *flat, *truth, *predicted, *actions;
    double basin[STEPS];
    int64_t size;
} scene;

static void open_scene(scene *s)
{
    char file[SMALL_PATH + 32];
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    (void)snprintf(file, sizeof file, "data.file=%s", small_data());
    const char *sets[] = {file, "transport.code=state"};
    cr_assert_eq(tr_config_load(&s->config, SMALL_CONFIG, sets, 2), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_world_open(&s->world, s->config, NULL, NULL), FWM_OK, "%s", fwm_error_message());
    s->size = s->world->model.nodes * s->world->model.state.count;
    s->flat = calloc(16, sizeof *s->flat); /* a picture of the state needs no parameters */
    s->truth = calloc((size_t)(STEPS * s->size), sizeof *s->truth);
    s->predicted = calloc((size_t)(STEPS * s->size), sizeof *s->predicted);
    s->actions = calloc((size_t)(STEPS * s->world->model.actions), sizeof *s->actions);
}

static void close_scene(scene *s)
{
    tr_world_close(&s->world);
    tr_config_destroy(s->config);
    free(s->flat), free(s->truth), free(s->predicted), free(s->actions);
}

/* Uniform fields of height v(t) (+ a little noise), v' = v - v^3 with pushes that sometimes tip it; basins are the
 * sign. Predictions are `factor` times the truth. */
static void draw(scene *s, int64_t trajectory, double factor)
{
    double v = 2 * fwm_random_uniform((fwm_key){8, 1}, (uint64_t)trajectory, 0) - 1;
    for (int64_t t = 0; t < STEPS; t++) {
        double noise = 0.02 * fwm_random_normal((fwm_key){8, 2}, (uint64_t)trajectory, (uint32_t)t);
        for (int64_t i = 0; i < s->size; i++) {
            s->truth[t * s->size + i] = (float)(v + noise);
            s->predicted[t * s->size + i] = (float)(factor * (v + noise));
        }
        s->basin[t] = v > 0;
        double push =
            t % 12 < 4 ? 0.8 * (2 * fwm_random_uniform((fwm_key){8, 3}, (uint64_t)trajectory, (uint32_t)(t / 12)) - 1)
                       : 0;
        v += 0.3 * (v - v * v * v + push);
    }
}

Test(codes, what_is_known_is_measured, .timeout = 60)
{
    static const double factor[] = {1, 0.3};
    scene s;
    open_scene(&s);
    for (int k = 0; k < 2; k++) {
        tr_codes *codes;
        tr_codes_report r;
        cr_assert_eq(tr_codes_create(&codes, s.world, s.flat, TRAJECTORIES, STEPS), FWM_OK, "%s", fwm_error_message());
        for (int64_t n = 0; n < TRAJECTORIES; n++) {
            draw(&s, n, factor[k]);
            cr_assert_eq(tr_codes_add(codes, s.predicted, s.truth, s.actions, s.basin), FWM_OK);
        }
        cr_expect(tr_codes_add(codes, s.predicted, s.truth, s.actions, s.basin) == FWM_INVALID);
        cr_assert_eq(tr_codes_measure(codes, &r), FWM_OK, "%s", fwm_error_message());
        cr_log_info("factor %g: W2 %.3f mixing %.3f off %.3f coverage %.3f AUC %.3f", factor[k], r.w2, r.mixing, r.off,
                    r.coverage, r.boundary_auc);
        cr_expect(r.basins && r.components == 2 && r.count > 500);
        if (k == 0) {
            cr_expect_lt(r.w2, 1e-6);
            cr_expect(r.mixing == 0 && r.off == 0 && r.coverage == 1);
        } else { /* |v| about 1 becomes .3: W2 about .7 of the deviation, few of the true codes are reached */
            cr_expect(fabs(r.w2 - 0.7) < 0.1 && r.coverage < 0.5);
        }
        cr_expect_gt(r.boundary_auc, 0.9);
        tr_codes_destroy(&codes);
    }
    close_scene(&s);
}

/* Under a law with stable states the detector follows each state to where it leads: the simulator's basins, which it
 * does not see, are told apart. */
Test(codes, a_law_with_stable_states_tells_where_they_lead, .timeout = 120)
{
    static const char tiny[] =
        "--set simulate.train=2 --set simulate.validation=1 --set simulate.test=24 --set simulate.test_ood=0 --set "
        "simulate.steps=22 --set simulate.cells='[8, 8]' --set simulate.coarse_cells='[4, 4]' --set "
        "simulate.frame='[16, 16]' --set data.batch=2 --set physics.identification.steps=2 --set "
        "physics.identification.batch=2 --set model.encoder.widths='[8, 8, 8]' --set model.predictor.grid=8 --set "
        "model.predictor.widths='[8]' --set model.decoder.width=8 --set model.groups=4 --set objective.unroll='[1]' "
        "--set objective.unroll_start='[0.0]' --set trainer.steps=1 --set schedule.warmup=1 --set eval.horizon=20 "
        "--set eval.horizons='[1]'";
    char folder[SMALL_PATH], path[SMALL_PATH + 32];
    small_folder(folder);
    cr_assert_eq(
        small_shell("%s simulate configs/bistable_small.yaml %s --set data.file=%s/data.h5 >/dev/null 2>%s/err",
                    small_program(), tiny, folder, folder),
        0, "%s", small_text(folder, "err"));
    cr_assert_eq(small_shell("%s train configs/bistable_small.yaml %s --set data.file=%s/data.h5 --out %s/run "
                             ">/dev/null 2>%s/err",
                             small_program(), tiny, folder, folder, folder),
                 0, "%s", small_text(folder, "err"));
    cr_assert_eq(small_shell("%s eval %s/run/last.ckpt --json --no-report >%s/eval.json 2>%s/err", small_program(),
                             folder, folder, folder),
                 0, "%s", small_text(folder, "err"));
    (void)snprintf(path, sizeof path, "%s/eval.json", folder);
    json_t *result = small_json(path), *codes = json_object_get(result, "codes");
    const double auc = json_number_value(json_object_get(codes, "boundary_auc"));
    cr_log_info("AUC %.3f", auc);
    cr_expect(json_is_true(json_object_get(codes, "basins")));
    cr_expect_gt(auc, 0.85);
    json_decref(result);
    small_remove(folder);
}
