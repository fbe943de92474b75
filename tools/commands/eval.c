/* fwm eval: open-loop rollouts of a checkpoint against the truth; metrics.json and report.html beside it. */
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tools/command.h"
#include "tools/config_option.h"
#include "tools/report/evaluation_report.h"
#include "tools/report/points_report.h"
#include "train/trainer.h"

#include <math.h>
#include <string.h>

static const struct argp_option options[] = {
    {"data", 0, "FILE", 0, "The dataset (default: the one that the model was trained on)", 0},
    {"split", 0, "NAME", 0, "train, validation, test or test_ood (default: eval.split)", 0},
    {"horizon", 0, "N", 0, "Steps of a rollout (default: eval.horizon)", 0},
    {"samples", 0, "K", 0, "Rollouts for each trajectory, averaged (default: eval.samples)", 0},
    {"weights", 0, "KIND", 0, "ema or last (default: export.weights)", 0},
    {"set", 0, "KEY=VALUE", 0, "Override a key of the checkpoint's configuration", 0},
    {"out", 'o', "DIR", 0, "Where metrics and report go (default: the checkpoint's folder)", 0},
    {"no-report", 0, NULL, 0, "Write no report.html", 0},
    {0}};

const fwm_command fwm_command_eval = {
    .name = "eval",
    .summary = "measure a checkpoint: metrics for each horizon beside persistence and the cheap simulation",
    .arguments = "CKPT",
    .doc =
        "Rolls the model out open loop over a split and prints VRMSE, PSNR and the physics residual under the true "
        "operator at each "
        "horizon, with the same figures for persistence and for the cheap simulation alone, and fitted parameters "
        "beside the true ones; how the codes of predicted states are distributed (W2, mode mixing, coverage), and how "
        "well boundary states are found where the simulator knows basins. "
        "Writes metrics.json (metrics_<split>.json for another split than eval.split), and report.html with curves "
        "and image strips.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

static fwm_status evaluate_options(fwm_call *call, const tr_trained *t, tr_evaluate_options *o)
{
    const tr_config *c = t->config;
    const char *split = fwm_call_text(call, "split", tr_config_word("eval.split", c->eval.split));
    if (ds_split_parse(split, &o->split) != FWM_OK)
        return fwm_misuse(call, "--split: %s", fwm_error_message());
    o->horizon = c->eval.horizon;
    o->samples = c->eval.samples;
    o->trajectories = c->eval.trajectories;
    FWM_TRY(fwm_call_int(call, "horizon", 1, 100000, &o->horizon));
    FWM_TRY(fwm_call_int(call, "samples", 1, 1024, &o->samples));
    o->start = c->data.context - 1;
    o->seed = (uint64_t)c->seed;
    o->from_frame = c->eval.start == TR_START_FRAME;
    o->frames = o->residual = o->codes = true;
    o->example = !fwm_call_has(call, "no-report");
    return FWM_OK;
}

static void print_row(const tr_evaluation *e, const char *name, const int *at, int n, int method)
{
    (void)printf("  %-14s", name);
    for (int k = 0; k < n; k++) {
        int h = at[k];
        double vrmse = tr_metrics_average(e->table[method], TR_VRMSE, h, TR_ALL_FIELDS, TR_MEAN);
        double psnr = tr_metrics_average(e->table[method], TR_PSNR, h, TR_ALL_FIELDS, TR_MEAN);
        (void)printf("  %8.4f", vrmse);
        if (isfinite(psnr))
            (void)printf(" %6.2f", psnr);
        else
            (void)printf("      -");
        if (e->residual[method])
            (void)printf(" %8.1e", e->residual[method][h - 1]);
        else
            (void)printf("        -");
    }
    (void)printf("\n");
}

static void print_table(const tr_evaluation *e, const tr_ints *horizons, const char *split)
{
    enum { MAX_COLUMNS = 8 };
    int at[MAX_COLUMNS], n = 0;
    for (int64_t k = 0; k < horizons->count && n < MAX_COLUMNS; k++)
        if (horizons->items[k] <= e->horizon)
            at[n++] = (int)horizons->items[k];
    (void)printf("%s: %lld trajectories, open loop\n  %-14s", split, (long long)e->trajectories, "");
    for (int k = 0; k < n; k++)
        (void)printf("  %-24s", "");
    (void)printf("\n  %-14s", "steps");
    for (int k = 0; k < n; k++)
        (void)printf("  %8d %6s %8s", at[k], "", "");
    (void)printf("\n  %-14s", "");
    for (int k = 0; k < n; k++)
        (void)printf("  %8s %6s %8s", "VRMSE", "PSNR", "residual");
    (void)printf("\n");
    for (int m = 0; m < TR_METHOD_COUNT; m++)
        print_row(e, tr_method_name(m), at, n, m);
    const tr_codes_report *c = &e->codes;
    (void)printf(
        "  codes: W2 %.4f, sliced %.4f (of their deviation); off the truth %.4f, coverage %.4f; mode mixing %.4f "
        "between %lld %s\n",
        c->w2, c->sliced, c->off, c->coverage, c->mixing, (long long)c->components, c->basins ? "basins" : "sheets");
    if (isfinite(c->boundary_auc))
        (void)printf("  boundary states: AUC %.3f (%lld of %lld)\n", c->boundary_auc, (long long)c->boundary_states,
                     (long long)c->judged);
    for (int k = 0; k < e->n_fits; k++) {
        (void)printf("  %-20s fitted %9.4f", e->fit[k].name, e->fit[k].fitted);
        if (isfinite(e->fit[k].truth))
            (void)printf("  true %9.4f", e->fit[k].truth);
        if (isfinite(e->fit[k].iou))
            (void)printf("  (median of %lld cells, IoU %.3f)", (long long)e->fit[k].cells, e->fit[k].iou);
        (void)printf("\n");
    }
}

static void folder_of(const char *path, char out[1024])
{
    const char *slash = strrchr(path, '/');
    if (slash)
        (void)snprintf(out, 1024, "%.*s", (int)(slash - path), path);
    else
        (void)snprintf(out, 1024, ".");
}

static fwm_status write_json(const json_t *o, const char *path)
{
    FWM_CHECK(json_dump_file(o, path, JSON_INDENT(2) | JSON_REAL_PRECISION(8)) == 0, FWM_IO, "%s: cannot be written",
              path);
    return FWM_OK;
}

/* Where the figures go: metrics.json, or metrics_<split>.json for another split than the configured one (its figures
 * are the run's). */
static void metrics_path(char path[1100], const char *out, const tr_config *c, const char *split)
{
    bool main_split = strcmp(split, tr_config_word("eval.split", c->eval.split)) == 0;
    (void)snprintf(path, 1100, "%s/metrics%s%s.json", out, main_split ? "" : "_", main_split ? "" : split);
}

static fwm_status publish(fwm_call *call, const tr_trained *t, const tr_evaluate_options *o, const tr_evaluation *e)
{
    const char *split = ds_split_name(o->split);
    char folder[1024], path[1100];
    folder_of(call->arguments[0], folder);
    const char *out = fwm_call_text(call, "out", folder);
    json_t *json = NULL;
    FWM_TRY(tr_evaluation_json(e, &t->config->eval.horizons, &json));
    (void)json_object_set_new(json, "checkpoint", json_string(call->arguments[0]));
    (void)json_object_set_new(json, "data", json_string(ds_path(t->world->ds)));
    (void)json_object_set_new(json, "split", json_string(split));
    metrics_path(path, out, t->config, split);
    fwm_status status = fwm_make_parent(path);
    if (status == FWM_OK)
        status = write_json(json, path);
    if (status == FWM_OK && o->example) {
        (void)snprintf(path, sizeof path, "%s/report.html", out);
        char log[1100];
        (void)snprintf(log, sizeof log, "%s/metrics.jsonl", folder);
        status = report_evaluation(path, t, e, split, log);
        if (status == FWM_OK)
            fwm_log(FWM_LOG_INFO, "%s", path);
    }
    if (status == FWM_OK && call->json)
        return fwm_print_json(json);
    if (status == FWM_OK)
        print_table(e, &t->config->eval.horizons, split);
    json_decref(json);
    return status;
}

static void print_points(const tr_points_report *r, const char *split)
{
    (void)printf("%s: %lld points\n  mode mixing %.4f  off the truth %.4f  coverage %.4f\n  W2 %.4f  with contexts "
                 "%.4f  sliced %.4f\n",
                 split, (long long)r->count, r->mixing, r->off, r->coverage, r->w2, r->joint_w2, r->sliced);
    if (isfinite(r->squared_error))
        (void)printf("  squared error %.4f of the codes' variance\n", r->squared_error);
}

static fwm_status eval_points(fwm_call *call, const tr_trained *t, tr_points_report *r)
{
    ds_split split;
    const char *name = fwm_call_text(call, "split", tr_config_word("eval.split", t->config->eval.split));
    if (ds_split_parse(name, &split) != FWM_OK)
        return fwm_misuse(call, "--split: %s", fwm_error_message());
    FWM_TRY(tr_points_measure(r, t->world, t->memory, t->gate, t->flat, split, (uint64_t)t->config->seed));
    char folder[1024], path[1100], log[1100];
    folder_of(call->arguments[0], folder);
    const char *out = fwm_call_text(call, "out", folder);
    json_t *json = NULL;
    FWM_TRY(tr_points_json(r, &json));
    metrics_path(path, out, t->config, name);
    fwm_status status = fwm_make_parent(path);
    if (status == FWM_OK)
        status = write_json(json, path);
    (void)snprintf(path, sizeof path, "%s/report.html", out);
    (void)snprintf(log, sizeof log, "%s/metrics.jsonl", folder);
    if (status == FWM_OK && !fwm_call_has(call, "no-report"))
        status = report_points(path, t, r, name, log);
    if (status == FWM_OK && call->json)
        return fwm_print_json(json);
    if (status == FWM_OK)
        print_points(r, name);
    json_decref(json);
    return status;
}

static fwm_status eval_world(fwm_call *call, const tr_trained *t)
{
    tr_evaluate_options o = {0};
    tr_evaluation *e = NULL;
    fwm_status status = evaluate_options(call, t, &o);
    if (status == FWM_OK)
        status = tr_evaluate(&e, t->world, t->rollout, t->flat, &o);
    if (status == FWM_OK)
        status = publish(call, t, &o, e);
    tr_evaluation_destroy(&e);
    return status;
}

fwm_status fwm_run_eval(fwm_call *call)
{
    enum { BATCH = 16 };
    const char *sets[FWM_MAX_SETS];
    int64_t n = 0;
    tr_trained t;
    FWM_TRY(fwm_call_sets(call, sets, &n));
    const char *weights = fwm_call_text(call, "weights", NULL);
    if (weights && strcmp(weights, "ema") != 0 && strcmp(weights, "last") != 0)
        return fwm_misuse(call, "--weights: expected ema or last, found '%s'", weights);
    FWM_TRY(fwm_threads_init(0));
    FWM_TRY(tr_trained_open(&t, call->arguments[0], fwm_call_text(call, "data", NULL), sets, n, weights, BATCH));
    fwm_status status;
    if (t.config->model.kind == TR_MODEL_POINTS) {
        tr_points_report *r = fwm_calloc(1, sizeof *r);
        status = r ? eval_points(call, &t, r) : fwm_fail(FWM_MEMORY, "out of memory");
        fwm_free(r);
    } else {
        status = eval_world(call, &t);
    }
    tr_trained_close(&t);
    return status;
}
