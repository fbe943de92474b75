#include "tools/report/evaluation_report.h"

#include "model/base/arena.h"
#include "tools/report/report.h"
#include "train/events.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Steps with still images, and steps of the films (a longer rollout is shown at so many of its steps). */
enum {
    MAX_SHOWN = 6,
    MAX_TIMES = 48,
    FILM_RATE = 6,
    MAX_SERIES = 8,
    MAX_CHARTS = 8,
    MAX_METRICS = 32,
    MAX_TEXTS = 64,
    SIDE = 96
};

typedef struct page {
    const tr_trained *t;
    const tr_evaluation *e;
    fwm_arena *arena;
    report r;
    report_fact headlines[4], facts[16];
    report_metric metrics[MAX_METRICS];
    report_parameter parameters[TR_MAX_FITS];
    report_chart charts[MAX_CHARTS];
    report_strip strips[2];
    report_prediction predictions[2][2];
    const char *labels[MAX_TIMES];
    int times[MAX_TIMES], n_times, shown[MAX_SHOWN], n_shown;
} page;

static const char *text(page *p, const char *fmt, ...) FWM_PRINTF(2, 3);

static const char *text(page *p, const char *fmt, ...)
{
    char buffer[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(buffer, sizeof buffer, fmt, args);
    va_end(args);
    const char *copy = fwm_arena_strdup(p->arena, buffer);
    return copy ? copy : "";
}

static double average(const page *p, int method, tr_metric metric, int h)
{
    return tr_metrics_average(p->e->table[method], metric, h, TR_ALL_FIELDS, TR_MEAN);
}

static void add_fact(page *p, const char *label, const char *value, const char *note)
{
    p->facts[p->r.n_facts++] = (report_fact){label, value, note};
}

static void add_facts(page *p, const char *split)
{
    const tr_evaluation *e = p->e;
    int H = (int)e->horizon;
    int64_t step = 0;
    p->headlines[0] = (report_fact){
        text(p, "state VRMSE at step %d", H), text(p, "%.4f", average(p, TR_METHOD_MODEL, TR_VRMSE, H)),
        p->t->world->model.s_phy.count > 0
            ? text(p, "cheap simulation %.3f, persistence %.3f", average(p, TR_METHOD_PHYSICS, TR_VRMSE, H),
                   average(p, TR_METHOD_PERSISTENCE, TR_VRMSE, H))
            : text(p, "persistence %.3f", average(p, TR_METHOD_PERSISTENCE, TR_VRMSE, H))};
    p->r.n_headlines = 1;
    if (p->t->world->model.colors > 0)
        p->headlines[p->r.n_headlines++] =
            (report_fact){text(p, "frames at step %d", H), text(p, "%.2f dB", average(p, TR_METHOD_MODEL, TR_PSNR, H)),
                          text(p, "SSIM %.3f; noise ceiling %.1f dB", average(p, TR_METHOD_MODEL, TR_SSIM, H),
                               -20 * log10(fmax(p->t->config->simulate.noise, 1e-6)))};
    if (e->residual[TR_METHOD_MODEL])
        p->headlines[p->r.n_headlines++] = (report_fact){
            text(p, "physics residual at step %d", H), text(p, "%.2e", e->residual[TR_METHOD_MODEL][H - 1]),
            text(p, "the data's own %.2e, cheap simulation %.2e", e->truth_residual[H - 1],
                 e->residual[TR_METHOD_PHYSICS][H - 1])};
    add_fact(p, "checkpoint", tr_checkpoint_path(p->t->checkpoint), NULL);
    add_fact(p, "data", ds_path(p->t->world->ds),
             text(p, "split %s, %lld trajectories", split, (long long)e->trajectories));
    if (tr_checkpoint_int(p->t->checkpoint, "step", &step) == FWM_OK)
        add_fact(p, "steps", text(p, "%lld", (long long)step), NULL);
    add_fact(p, "parameters", text(p, "%lld", (long long)nn_store_parameters(p->t->world->store)), NULL);
    add_fact(p, "rollout", text(p, "%lld context, %lld steps", (long long)e->context, (long long)e->horizon), NULL);
    add_fact(p, "evaluation", text(p, "%.1f s", e->seconds), NULL);
}

static void add_metric(page *p, const char *name, const char *unit, bool higher, const double *values)
{
    double *copy = fwm_arena_alloc(p->arena, TR_METHOD_COUNT * sizeof *copy);
    if (!copy || p->r.n_metrics == MAX_METRICS)
        return;
    memcpy(copy, values, TR_METHOD_COUNT * sizeof *copy);
    p->metrics[p->r.n_metrics++] = (report_metric){name, unit, higher, copy};
}

static void add_metrics(page *p)
{
    static const struct {
        tr_metric metric;
        const char *name, *unit;
        bool higher;
    } rows[] = {{TR_VRMSE, "VRMSE", NULL, false},
                {TR_RMSE, "RMSE", NULL, false},
                {TR_PSNR, "PSNR", "dB", true},
                {TR_SSIM, "SSIM", NULL, true}};
    const tr_ints *at = &p->t->config->eval.horizons;
    double values[TR_METHOD_COUNT];
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        for (int64_t i = 0; i < at->count; i++) {
            if (at->items[i] > p->e->horizon)
                continue;
            for (int m = 0; m < TR_METHOD_COUNT; m++)
                values[m] = average(p, m, rows[k].metric, (int)at->items[i]);
            add_metric(p, text(p, "%s at step %lld", rows[k].name, (long long)at->items[i]), rows[k].unit,
                       rows[k].higher, values);
        }
    for (int64_t i = 0; i < at->count && p->e->residual[0]; i++) {
        if (at->items[i] > p->e->horizon)
            continue;
        for (int m = 0; m < TR_METHOD_COUNT; m++)
            values[m] = p->e->residual[m][at->items[i] - 1];
        add_metric(p, text(p, "physics residual at step %lld", (long long)at->items[i]), NULL, false, values);
    }
}

static void add_parameters(page *p)
{
    for (int k = 0; k < p->e->n_fits; k++)
        p->parameters[p->r.n_parameters++] = (report_parameter){.name = p->e->fit[k].name,
                                                                .initial = p->e->fit[k].initial,
                                                                .fitted = p->e->fit[k].fitted,
                                                                .truth = p->e->fit[k].truth};
}

static report_series *new_chart(page *p, const char *title, const char *x, const char *y, bool log_y)
{
    report_series *series = fwm_arena_alloc(p->arena, MAX_SERIES * sizeof *series);
    if (!series || p->r.n_charts == MAX_CHARTS)
        return NULL;
    p->charts[p->r.n_charts++] =
        (report_chart){.title = title, .x_label = x, .y_label = y, .log_y = log_y, .series = series};
    return series;
}

static void add_horizon_chart(page *p, tr_metric metric, const char *title, const char *label, bool log_y)
{
    report_series *s = new_chart(p, title, "step", label, log_y);
    int n = (int)p->e->horizon;
    for (int m = 0; s && m < TR_METHOD_COUNT; m++) {
        double *x = fwm_arena_alloc(p->arena, (size_t)n * sizeof *x),
               *y = fwm_arena_alloc(p->arena, (size_t)n * sizeof *y);
        if (!x || !y)
            return;
        bool any = false;
        for (int h = 1; h <= n; h++) {
            x[h - 1] = h;
            y[h - 1] = average(p, m, metric, h);
            any = any || isfinite(y[h - 1]);
        }
        if (any)
            s[p->charts[p->r.n_charts - 1].n_series++] = (report_series){tr_method_name(m), x, y, n};
    }
}

static void add_residual_chart(page *p)
{
    if (!p->e->residual[0])
        return;
    report_series *s = new_chart(p, "Physics residual under the true operator", "step", "dual norm", true);
    int n = (int)p->e->horizon;
    double *x = fwm_arena_alloc(p->arena, (size_t)n * sizeof *x);
    if (!s || !x)
        return;
    for (int h = 1; h <= n; h++)
        x[h - 1] = h;
    report_chart *c = &p->charts[p->r.n_charts - 1];
    for (int m = 0; m < TR_METHOD_COUNT; m++)
        s[c->n_series++] = (report_series){tr_method_name(m), x, p->e->residual[m], n};
    s[c->n_series++] = (report_series){"truth", x, p->e->truth_residual, n};
}

/* The lines of the log that have `name`, joined, as one more series of the latest chart. */
static void add_logged(page *p, const tr_history *h, report_series *series, const char *name, const char *label)
{
    double *x = fwm_arena_alloc(p->arena, 2 * (size_t)h->rows * sizeof *x);
    if (!series || !x)
        return;
    int64_t n = tr_history_series(h, name, x, x + h->rows);
    if (n > 0)
        series[p->charts[p->r.n_charts - 1].n_series++] = (report_series){label, x, x + h->rows, n};
}

static void add_training_charts(page *p, const tr_history *h)
{
    static const char *const losses[] = {"loss", "loss_state", "loss_frame", "loss_kl", "loss_phys", "loss_ot"};
    if (tr_history_column(h, "loss")) {
        report_series *s = new_chart(p, "Training losses", "update", "loss", true);
        for (size_t k = 0; k < sizeof losses / sizeof *losses; k++)
            add_logged(p, h, s, losses[k], losses[k]);
    }
    if (tr_history_column(h, "val_vrmse")) {
        report_series *s = new_chart(p, "Validation", "update", "VRMSE", true);
        add_logged(p, h, s, "val_vrmse", text(p, "at step %lld", (long long)p->t->config->eval.horizon));
        add_logged(p, h, s, "val_vrmse_1", "at step 1");
    }
}

/* Field 0 of states [H+1,n,c] at the chosen times as pictures. */
static float *render(page *p, const float *states, const ad_sparse *m)
{
    int64_t c = p->t->world->model.state.count, n = p->t->world->model.nodes;
    float *out = fwm_arena_alloc(p->arena, (size_t)(p->n_times * SIDE * SIDE) * sizeof *out);
    for (int k = 0; out && k < p->n_times; k++)
        for (int64_t i = 0; i < m->rows; i++) {
            double sum = m->row_start[i] == m->row_start[i + 1] ? (double)NAN : 0;
            for (int64_t j = m->row_start[i]; j < m->row_start[i + 1]; j++)
                sum += m->weight[j] * (double)states[((int64_t)p->times[k] * n + m->column[j]) * c];
            out[(int64_t)k * SIDE * SIDE + i] = (float)sum;
        }
    return out;
}

static float *pick_frames(page *p, const float *frames)
{
    const wm_config *c = &p->t->world->model;
    size_t size = (size_t)(c->height * c->width * c->colors);
    float *out = fwm_arena_alloc(p->arena, (size_t)p->n_times * size * sizeof *out);
    for (int k = 0; out && k < p->n_times; k++)
        memcpy(out + (size_t)k * size, frames + (size_t)p->times[k] * size, size * sizeof *out);
    return out;
}

/* Number k of n steps spread evenly over 1..last, both ends among them. */
static int spread(int k, int n, int last)
{
    return n > 1 ? 1 + (int)((int64_t)(last - 1) * k / (n - 1)) : last;
}

static fwm_status add_strips(page *p)
{
    const tr_example *x = &p->e->example;
    const wm_config *c = &p->t->world->model;
    const ad_sparse *m;
    p->n_times = p->e->horizon < MAX_TIMES ? (int)p->e->horizon : MAX_TIMES;
    for (int k = 0; k < p->n_times; k++) {
        p->times[k] = spread(k, p->n_times, (int)p->e->horizon);
        p->labels[k] = text(p, "step %d", p->times[k]);
    }
    p->n_shown = p->n_times < MAX_SHOWN ? p->n_times : MAX_SHOWN;
    for (int k = 0; k < p->n_shown; k++)
        p->shown[k] = spread(k, p->n_shown, p->n_times) - 1;
    FWM_TRY(tr_law_render(p->t->world->law, SIDE, SIDE, &m));
    const ds_field_info *field = &p->t->world->info->fields[DS_STATE];
    p->predictions[0][0] = (report_prediction){"model", render(p, x->state, m)};
    if (x->physics_state)
        p->predictions[0][1] = (report_prediction){"cheap simulation", render(p, x->physics_state, m)};
    p->strips[p->r.n_strips++] =
        (report_strip){.title = text(p, "State %s, trajectory %lld", field->names[0], (long long)x->trajectory),
                       .unit = field->units[0],
                       .times = p->n_times,
                       .height = SIDE,
                       .width = SIDE,
                       .channels = 1,
                       .labels = p->labels,
                       .shown = p->shown,
                       .n_shown = p->n_shown,
                       .fps = FILM_RATE,
                       .truth = render(p, x->truth_state, m),
                       .predictions = p->predictions[0],
                       .n_predictions = x->physics_state ? 2 : 1};
    if (x->frame && c->colors == 3) {
        p->predictions[1][0] = (report_prediction){"model", pick_frames(p, x->frame)};
        p->strips[p->r.n_strips++] =
            (report_strip){.title = text(p, "Frames, trajectory %lld", (long long)x->trajectory),
                           .times = p->n_times,
                           .height = (int)c->height,
                           .width = (int)c->width,
                           .channels = 3,
                           .labels = p->labels,
                           .shown = p->shown,
                           .n_shown = p->n_shown,
                           .fps = FILM_RATE,
                           .truth = pick_frames(p, x->truth_frame),
                           .predictions = p->predictions[1],
                           .n_predictions = 1};
    }
    return FWM_OK;
}

static fwm_status fill(page *p, const char *split, const tr_history *history)
{
    static const char *const methods[TR_METHOD_COUNT] = {"model", "persistence", "cheap simulation"};
    p->r = (report){.title = p->t->config->experiment,
                    .subtitle = "fusion world model: open-loop rollouts against the truth",
                    .headlines = p->headlines,
                    .facts = p->facts,
                    .methods = methods,
                    .n_methods = TR_METHOD_COUNT,
                    .metrics = p->metrics,
                    .parameters = p->parameters,
                    .charts = p->charts,
                    .strips = p->strips,
                    .config = tr_checkpoint_config(p->t->checkpoint)};
    add_facts(p, split);
    add_metrics(p);
    add_parameters(p);
    add_horizon_chart(p, TR_VRMSE, "State error against the horizon", "VRMSE", true);
    add_horizon_chart(p, TR_PSNR, "Frames against the horizon", "PSNR [dB]", false);
    add_residual_chart(p);
    add_training_charts(p, history);
    return p->e->example.state ? add_strips(p) : FWM_OK;
}

fwm_status report_evaluation(const char *path, const tr_trained *trained, const tr_evaluation *evaluation,
                             const char *split, const char *log)
{
    tr_history history = {0};
    if (tr_history_read(&history, log) != FWM_OK)
        history = (tr_history){0}; /* a checkpoint that was moved has no log beside it */
    page *p = fwm_calloc(1, sizeof *p);
    fwm_arena *arena = fwm_arena_create();
    fwm_status status = p && arena ? FWM_OK : fwm_fail(FWM_MEMORY, "report: out of memory");
    if (status == FWM_OK) {
        p->t = trained;
        p->e = evaluation;
        p->arena = arena;
        status = fill(p, split, &history);
    }
    if (status == FWM_OK)
        status = report_write(path, &p->r);
    tr_history_free(&history);
    fwm_arena_destroy(arena);
    fwm_free(p);
    return status;
}
