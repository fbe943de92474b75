#include "tools/report/points_report.h"

#include "model/base/arena.h"
#include "tools/report/report.h"
#include "train/events.h"

#include <math.h>
#include <string.h>

enum { MAX_SERIES = 4, MAX_CHARTS = 3, MAX_STRIPS = 2, TEXT = 96 };

typedef struct page {
    report r;
    report_fact headlines[3], facts[6];
    report_chart charts[MAX_CHARTS];
    report_series series[MAX_CHARTS][MAX_SERIES];
    report_strip strips[MAX_STRIPS];
    report_prediction generated;
    char text[12][TEXT];
    double *column[MAX_CHARTS * MAX_SERIES];
    int n_columns;
} page;

static void add_chart(page *p, const tr_history *h, const char *title, const char *unit, int n,
                      const char *const *names)
{
    int at = p->r.n_charts;
    report_chart *c = &p->charts[at];
    *c = (report_chart){.title = title, .x_label = "update", .y_label = unit, .log_y = true, .series = p->series[at]};
    for (int k = 0; k < n && h->rows > 0; k++) {
        double *x = fwm_calloc(2 * (size_t)h->rows, sizeof *x);
        int64_t count = x ? tr_history_series(h, names[k], x, x + h->rows) : 0;
        p->column[p->n_columns++] = x;
        if (count > 0)
            p->series[at][c->n_series++] = (report_series){names[k], x, x + h->rows, count};
    }
    p->r.n_charts += c->n_series > 0;
}

static void add_pictures(page *p, const tr_points_report *r, bool paired)
{
    static const char *const label[] = {"all"};
    if (!r->has_picture)
        return;
    p->strips[0] = (report_strip){
        .title = "Detected boundary",
        .note = paired
                    ? "Score b of contexts in [0,1]: where the outcome jumps (paired power diagram). The square is "
                      "[-2,2] x [-2,2]."
                    : "Score b of the noise in [0,1]: where the optimal map from noise to codes jumps. The square is "
                      "[-1,1] x [-1,1].",
        .times = 1,
        .height = TR_POINTS_SIDE,
        .width = TR_POINTS_SIDE,
        .channels = 1,
        .labels = label,
        .truth = r->boundary};
    p->generated = (report_prediction){"model", r->density[1]};
    p->strips[1] = (report_strip){.title = "Points",
                                  .unit = "points a cell",
                                  .note = "True and generated points, counted on [-2,2] x [-2,2].",
                                  .times = 1,
                                  .height = TR_POINTS_SIDE,
                                  .width = TR_POINTS_SIDE,
                                  .channels = 1,
                                  .labels = label,
                                  .truth = r->density[0],
                                  .predictions = &p->generated,
                                  .n_predictions = 1};
    p->r.n_strips = 2;
}

static void fill(page *p, const tr_trained *t, const tr_points_report *r, const char *split, const tr_history *h)
{
    static const char *const losses[] = {"loss", "loss_ot", "loss_edge", "loss_kl"},
                             *const shares[] = {"val_mixing", "val_off", "edge_active", "ot_coverage"},
                             *const distances[] = {"val_w2"};
    bool paired = t->world->info->steps > 1;
    (void)snprintf(p->text[0], TEXT, "%.4f", r->mixing);
    (void)snprintf(p->text[1], TEXT, "%lld components; off the truth %.4f", (long long)r->components, r->off);
    (void)snprintf(p->text[2], TEXT, "%.4f", r->joint_w2);
    (void)snprintf(p->text[3], TEXT, "codes alone %.4f, sliced %.4f", r->w2, r->sliced);
    (void)snprintf(p->text[4], TEXT, "%.3f", r->coverage);
    (void)snprintf(p->text[5], TEXT, "%s, %lld points", split, (long long)r->count);
    (void)snprintf(p->text[6], TEXT, "%lld", (long long)nn_store_parameters(t->world->store));
    p->headlines[0] = (report_fact){"mode mixing", p->text[0], p->text[1]};
    p->headlines[1] = (report_fact){"W2", p->text[2], p->text[3]};
    p->headlines[2] = (report_fact){"coverage", p->text[4], "share of true points with a generated one near"};
    p->facts[0] = (report_fact){"checkpoint", tr_checkpoint_path(t->checkpoint), NULL};
    p->facts[1] = (report_fact){"data", ds_path(t->world->ds), p->text[5]};
    p->facts[2] = (report_fact){"parameters", p->text[6], NULL};
    p->r = (report){.title = t->config->experiment,
                    .subtitle = "points: a generator under the transport regulariser",
                    .headlines = p->headlines,
                    .n_headlines = 3,
                    .facts = p->facts,
                    .n_facts = 3,
                    .charts = p->charts,
                    .strips = p->strips,
                    .config = tr_checkpoint_config(t->checkpoint)};
    add_chart(p, h, "Training losses", "loss", 4, losses);
    add_chart(p, h, "Mixing and coverage", "share", 4, shares);
    add_chart(p, h, "Validation", "W2", 1, distances);
    add_pictures(p, r, paired);
}

fwm_status report_points(const char *path, const tr_trained *trained, const tr_points_report *points, const char *split,
                         const char *log)
{
    tr_history history = {0};
    if (tr_history_read(&history, log) != FWM_OK)
        history = (tr_history){0}; /* a checkpoint that was moved has no log beside it */
    page *p = fwm_calloc(1, sizeof *p);
    fwm_status status = p ? FWM_OK : fwm_fail(FWM_MEMORY, "report: out of memory");
    if (status == FWM_OK) {
        fill(p, trained, points, split, &history);
        status = report_write(path, &p->r);
        for (int k = 0; k < p->n_columns; k++)
            fwm_free(p->column[k]);
    }
    tr_history_free(&history);
    fwm_free(p);
    return status;
}
