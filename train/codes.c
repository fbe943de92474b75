#include "train/codes.h"

#include "model/base/arena.h"
#include "model/transport/boundary.h"
#include "model/transport/exact.h"
#include "model/transport/metrics.h"
#include "model/transport/support.h"
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16, MAX_PARAMETERS = 512, EXACT = 512, MOST = 2048, DIRECTIONS = 128 };
enum { LAG = 2, RELAX = 48, MOST_RELAXED = 512, REACH = 2, ANCHORS = 48 }; /* of the detector */

struct tr_codes {
    tr_world *w;
    int64_t H, D, room, trajectories;
    ad_graph *g;
    ad_plan *plan;
    const float *flat;
    ad_value s, a, code;
    float *predicted, *truth; /* [room,H,D]: of states 0..H-1; the first with the action that follows it */
    float *led; /* [room,H,D]: where the true ones lead, of the first `relaxed` trajectories at even places;
                   NULL: the law has no stable states */
    int64_t relaxed;
    double *basin; /* [room,H] */
    bool has_basins;
};

static fwm_status build(tr_codes *c, const float *flat)
{
    const wm_config *m = &c->w->model;
    wm_model model;
    ad_value all[MAX_PARAMETERS];
    FWM_TRY(ad_graph_create(&c->g, AD_F32));
    FWM_TRY(wm_model_begin(&model, c->g, c->w->store, m, tr_law_physics(c->w->law, c->w->store)));
    c->s = ad_input(c->g, "s", ad_shape_make(3, BATCH, m->nodes, m->state.count));
    c->a = m->actions > 0 ? ad_input(c->g, "a", ad_shape_make(2, BATCH, m->actions)) : AD_NONE;
    c->code = wm_transport_code(&model, c->s, c->a);
    FWM_TRY(ad_graph_status(c->g));
    FWM_TRY(ad_plan_create(&c->plan, c->g, 1, &c->code, NULL));
    int n = nn_graph_parameters(&model.nn, all, NULL, MAX_PARAMETERS);
    FWM_TRY(nn_store_bind(&model.nn, c->plan, (void *)flat, n, all, NULL, NULL));
    FWM_TRY(ad_plan_prepare(c->plan));
    c->D = ad_dim(c->g, c->code, 1);
    size_t rows = (size_t)(c->room * c->H);
    c->predicted = fwm_calloc(rows * (size_t)c->D, sizeof *c->predicted);
    c->truth = fwm_calloc(rows * (size_t)c->D, sizeof *c->truth);
    c->basin = fwm_calloc(rows, sizeof *c->basin);
    FWM_CHECK(c->predicted && c->truth && c->basin, FWM_MEMORY, "codes: out of memory");
    const fem_equation *law = tr_law_equation(c->w->law);
    if (law && law->basin) {
        c->led = fwm_calloc(rows * (size_t)c->D, sizeof *c->led);
        FWM_CHECK(c->led, FWM_MEMORY, "codes: out of memory");
    }
    return FWM_OK;
}

fwm_status tr_codes_create(tr_codes **out, tr_world *world, const float *flat, int64_t trajectories, int64_t H)
{
    *out = NULL;
    tr_codes *c = fwm_calloc(1, sizeof *c);
    FWM_CHECK(c, FWM_MEMORY, "codes: out of memory");
    *c = (tr_codes){.w = world, .H = H, .room = trajectories, .flat = flat};
    fwm_status status = build(c, flat);
    if (status != FWM_OK)
        tr_codes_destroy(&c);
    *out = c;
    return status;
}

void tr_codes_destroy(tr_codes **c)
{
    if (!c || !*c)
        return;
    ad_plan_destroy(&(*c)->plan);
    ad_graph_destroy(&(*c)->g);
    fwm_free((*c)->predicted);
    fwm_free((*c)->truth);
    fwm_free((*c)->led);
    fwm_free((*c)->basin);
    fwm_free(*c);
    *c = NULL;
}

/* Codes of H states, each with the action before it. */
static fwm_status encode(tr_codes *c, const float *states, const float *actions, float *out)
{
    const wm_config *m = &c->w->model;
    int64_t size = m->nodes * m->state.count, A = m->actions;
    float *s = ad_plan_data(c->plan, c->s), *a = c->a == AD_NONE ? NULL : ad_plan_data(c->plan, c->a);
    for (int64_t at = 0; at < c->H; at += BATCH) {
        for (int64_t b = 0; b < BATCH; b++) {
            int64_t h = at + b < c->H ? at + b : c->H - 1;
            if (s)
                memcpy(s + b * size, states + h * size, (size_t)size * sizeof *s);
            if (a)
                memcpy(a + b * A, actions + (h > 0 ? h - 1 : 0) * A, (size_t)A * sizeof *a);
        }
        FWM_TRY(ad_plan_run(c->plan, 0, 0));
        int64_t n = c->H - at < BATCH ? c->H - at : BATCH;
        memcpy(out + at * c->D, ad_plan_data(c->plan, c->code), (size_t)(n * c->D) * sizeof *out);
    }
    return FWM_OK;
}

/* Codes of where H states lead when they are left alone. */
static fwm_status relax(tr_codes *c, const float *states, float *out)
{
    const wm_config *m = &c->w->model;
    const size_t size = (size_t)(c->H * m->nodes * m->state.count), actions = (size_t)(c->H * m->actions);
    float *s = fwm_malloc(size, sizeof *s), *off = fwm_calloc(actions + 1, sizeof *off);
    fwm_status status = s && off ? FWM_OK : fwm_fail(FWM_MEMORY, "codes: out of memory");
    if (status == FWM_OK) {
        memcpy(s, states, size * sizeof *s);
        status = tr_law_relax(c->w->law, c->w->config, c->w->ds, c->w->store, c->flat, s, c->H, RELAX);
    }
    if (status == FWM_OK)
        status = encode(c, s, off, out);
    fwm_free(s);
    fwm_free(off);
    return status;
}

fwm_status tr_codes_add(tr_codes *c, const float *predicted, const float *truth, const float *actions,
                        const double *basin)
{
    FWM_CHECK(c->trajectories < c->room, FWM_INVALID, "codes: made for %lld trajectories", (long long)c->room);
    int64_t at = c->trajectories * c->H;
    FWM_TRY(encode(c, predicted, actions, c->predicted + at * c->D));
    FWM_TRY(encode(c, truth, actions, c->truth + at * c->D));
    if (c->led && basin && c->trajectories % 2 == 0 && c->relaxed * c->H < MOST_RELAXED) {
        FWM_TRY(relax(c, truth, c->led + at * c->D));
        c->relaxed++;
    }
    for (int64_t h = 0; h < c->H; h++)
        c->basin[at + h] = basin ? basin[h] : -1;
    c->has_basins |= basin != NULL;
    c->trajectories++;
    return FWM_OK;
}

/* ---- the detector ---- */

typedef struct ranked {
    double score;
    unsigned char flag;
} ranked;

static int by_score(const void *a, const void *b)
{
    double x = ((const ranked *)a)->score, y = ((const ranked *)b)->score;
    return (x > y) - (x < y);
}

double tr_area_under_curve(int64_t n, const double *score, const unsigned char *flag)
{
    ranked *r = fwm_malloc((size_t)n + 1, sizeof *r);
    double sum = 0, count[2] = {0, 0};
    for (int64_t i = 0; r && i < n; i++) {
        r[i] = (ranked){score[i], flag[i] != 0};
        count[r[i].flag]++;
    }
    if (r)
        qsort(r, (size_t)n, sizeof *r, by_score);
    for (int64_t i = 0; r && i < n;) { /* equal scores share their mean rank */
        int64_t end = i;
        double flagged = 0;
        for (; end < n && r[end].score == r[i].score; end++)
            flagged += r[end].flag;
        sum += flagged * (0.5 * (double)(i + end - 1) + 1);
        i = end;
    }
    fwm_free(r);
    return count[0] > 0 && count[1] > 0 ? (sum - count[1] * (count[1] + 1) / 2) / (count[0] * count[1]) : (double)NAN;
}

/* Whether a trajectory goes from one basin to another within REACH steps of t. On the way it may be where the simulator
 * cannot tell: the passage begins after the last state of one basin and ends at the first of the other. */
static bool crosses(const double *basin, int64_t H, int64_t t)
{
    for (int64_t u = 0; u < H; u++) {
        int64_t next = u + 1;
        while (next < H && basin[next] < 0)
            next++;
        if (basin[u] >= 0 && next < H && basin[next] != basin[u] && t > u - REACH && t < next + REACH)
            return true;
    }
    return false;
}

/* States of trajectories of one parity: contexts, outcomes, and whether each is near a passage. */
typedef struct pairs {
    int64_t n;
    float *context, *outcome;
    unsigned char *flag;
} pairs;

/* The bank (parity 0) or the states that are judged by it. */
static fwm_status collect(const tr_codes *c, int parity, pairs *p)
{
    const int64_t lag = c->led ? 0 : LAG, per = c->H > lag ? c->H - lag : 0, H = c->H;
    const int64_t end = c->led && parity == 0 ? 2 * c->relaxed : c->trajectories, most = (end + 1) / 2 * per;
    const float *outcome = c->led ? c->led : c->truth;
    size_t D = (size_t)c->D;
    *p = (pairs){.context = fwm_malloc((size_t)most * D + 1, sizeof(float)),
                 .outcome = fwm_malloc((size_t)most * D + 1, sizeof(float)),
                 .flag = fwm_calloc((size_t)most + 1, 1)};
    FWM_CHECK(p->context && p->outcome && p->flag, FWM_MEMORY, "codes: out of memory");
    for (int64_t k = parity; k < end && k < c->trajectories; k += 2)
        for (int64_t t = 0; t < per; t++) {
            memcpy(p->context + (size_t)p->n * D, c->truth + (size_t)(k * H + t) * D, D * sizeof(float));
            memcpy(p->outcome + (size_t)p->n * D, outcome + (size_t)(k * H + t + lag) * D, D * sizeof(float));
            p->flag[p->n++] = crosses(c->basin + k * H, H, t);
        }
    return FWM_OK;
}

static void release(pairs *p)
{
    fwm_free(p->context);
    fwm_free(p->outcome);
    fwm_free(p->flag);
}

static fwm_status rank(const tr_codes *c, const pairs *bank, const pairs *judged, double *score, bool *found)
{
    ot_support *support = NULL;
    ot_boundary *boundary = NULL;
    int64_t *j = fwm_calloc(2 * (size_t)judged->n + 1, sizeof *j);
    fwm_status status = j ? FWM_OK : fwm_fail(FWM_MEMORY, "codes: out of memory");
    const ot_support_options so = {.anchors = ANCHORS};
    if (status == FWM_OK)
        status = ot_support_create(&support, AD_F32, bank->n, c->D, &so);
    if (status == FWM_OK)
        status = ot_support_update(support, bank->n, bank->outcome, (fwm_key){1, 1}, 0);
    const ot_support_view *v = support ? ot_support_get(support) : NULL;
    if (status == FWM_OK)
        status = ot_boundary_create(&boundary, AD_F32, bank->n, c->D, v->K, judged->n);
    if (status == FWM_OK)
        status = ot_boundary_set(boundary, bank->n, bank->context, NULL, v->K, v->anchor, v->invisible);
    if (status == FWM_OK)
        status = ot_boundary_distance(boundary, score, j, j + judged->n, judged->n, judged->context);
    *found = false;
    for (int64_t i = 0; status == FWM_OK && i < judged->n; i++) {
        *found |= isfinite(score[i]);
        score[i] = -score[i];
    }
    ot_boundary_destroy(&boundary);
    ot_support_destroy(&support);
    fwm_free(j);
    return status;
}

static fwm_status judge_boundary(const tr_codes *c, tr_codes_report *r)
{
    pairs bank = {0}, judged = {0};
    bool found = false;
    double *score = NULL;
    r->boundary_auc = NAN;
    fwm_status status = collect(c, 0, &bank);
    if (status == FWM_OK)
        status = collect(c, 1, &judged);
    if (status == FWM_OK && c->has_basins && bank.n >= 64 && judged.n > 0) {
        score = fwm_calloc((size_t)judged.n, sizeof *score);
        status = score ? rank(c, &bank, &judged, score, &found) : fwm_fail(FWM_MEMORY, "codes: out of memory");
        r->judged = judged.n;
        for (int64_t i = 0; i < judged.n; i++)
            r->boundary_states += judged.flag[i];
        if (status == FWM_OK && found)
            r->boundary_auc = tr_area_under_curve(judged.n, score, judged.flag);
    }
    fwm_free(score);
    release(&bank);
    release(&judged);
    return status;
}

/* ---- distributions ---- */

typedef struct clouds {
    int64_t n, known;
    float *p, *y;
    int64_t *label;
    double *w; /* [2,n,D] */
} clouds;

/* At most MOST codes of steps 1..H-1, evenly spread. */
static fwm_status thin(const tr_codes *c, clouds *k)
{
    int64_t per = c->H - 1, all = c->trajectories * per, stride = (all + MOST - 1) / MOST;
    size_t D = (size_t)c->D, most = (size_t)(stride > 0 ? all / stride : 0) + 1;
    k->p = fwm_malloc(most * D, sizeof *k->p);
    k->y = fwm_malloc(most * D, sizeof *k->y);
    k->label = fwm_malloc(most, sizeof *k->label);
    k->w = fwm_malloc(2 * most * D, sizeof *k->w);
    FWM_CHECK(k->p && k->y && k->label && k->w, FWM_MEMORY, "codes: out of memory");
    for (int64_t i = 0; i < all; i += stride) {
        int64_t at = i / per * c->H + 1 + i % per;
        memcpy(k->p + (size_t)k->n * D, c->predicted + (size_t)at * D, D * sizeof *k->p);
        memcpy(k->y + (size_t)k->n * D, c->truth + (size_t)at * D, D * sizeof *k->y);
        k->label[k->n] = (int64_t)c->basin[at];
        k->known += k->label[k->n++] >= 0;
    }
    return FWM_OK;
}

/* A code whose basin is unknown gets that of the nearest one that is known; without basins: sheets. */
static fwm_status label_codes(const tr_codes *c, clouds *k, tr_codes_report *r)
{
    ot_support *support = NULL;
    const ot_support_options so = {.anchors = ANCHORS};
    FWM_TRY(ot_support_create(&support, AD_F32, k->n, c->D, &so));
    fwm_status status = ot_support_update(support, k->n, k->y, (fwm_key){1, 2}, 0);
    const ot_support_view *v = ot_support_get(support);
    r->scale = status == FWM_OK ? v->s : 0;
    r->basins = c->has_basins && k->known > 0;
    for (int64_t i = 0; status == FWM_OK && !r->basins && i < k->n; i++)
        k->label[i] = v->sheet[i];
    ot_support_destroy(&support);
    if (status != FWM_OK || !r->basins)
        return status;
    int64_t *filled = fwm_malloc((size_t)k->n, sizeof *filled);
    FWM_CHECK(filled, FWM_MEMORY, "codes: out of memory");
    for (int64_t i = 0; i < k->n; i++) {
        double least = INFINITY;
        filled[i] = k->label[i];
        for (int64_t j = 0; k->label[i] < 0 && j < k->n; j++) {
            double square = 0;
            for (int64_t d = 0; k->label[j] >= 0 && d < c->D; d++)
                square += pow((double)k->y[i * c->D + d] - (double)k->y[j * c->D + d], 2);
            if (k->label[j] >= 0 && square < least) {
                least = square;
                filled[i] = k->label[j];
            }
        }
    }
    memcpy(k->label, filled, (size_t)k->n * sizeof *filled);
    fwm_free(filled);
    return FWM_OK;
}

static fwm_status compare(const tr_codes *c, clouds *k, tr_codes_report *r)
{
    ot_mixing mixing;
    ot_sliced *slices = NULL;
    ot_exact_result exact;
    FWM_TRY(label_codes(c, k, r));
    r->count = k->n;
    for (int64_t i = 0; i < k->n; i++)
        r->components = k->label[i] + 1 > r->components ? k->label[i] + 1 : r->components;
    FWM_TRY(ot_mixing_measure(&mixing, AD_F32, k->n, k->p, k->n, k->y, k->label, r->components, c->D));
    r->mixing = mixing.mixing, r->off = mixing.off, r->coverage = mixing.coverage;
    FWM_TRY(ot_sliced_create(&slices, AD_F32, k->n, k->n, c->D, DIRECTIONS));
    fwm_status status = ot_sliced_run(slices, &r->sliced, k->n, k->n, k->p, k->y, (fwm_key){1, 3}, 0);
    ot_sliced_destroy(&slices);
    FWM_TRY(status);
    int64_t n = k->n < EXACT ? k->n : EXACT, stride = k->n / n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < c->D; d++) {
            k->w[i * c->D + d] = (double)k->p[i * stride * c->D + d];
            k->w[(n + i) * c->D + d] = (double)k->y[i * stride * c->D + d];
        }
    FWM_TRY(ot_exact_clouds(&exact, AD_F64, n, n, c->D, k->w, k->w + n * c->D, NULL, NULL));
    r->w2 = r->scale > 0 ? sqrt(2 * fmax(exact.cost, 0)) / r->scale : 0;
    r->sliced = r->scale > 0 ? sqrt(fmax(r->sliced, 0)) / r->scale : 0;
    return FWM_OK;
}

fwm_status tr_codes_measure(const tr_codes *c, tr_codes_report *r)
{
    clouds k = {0};
    *r = (tr_codes_report){.boundary_auc = NAN};
    fwm_status status = thin(c, &k);
    if (status == FWM_OK && k.n >= 2)
        status = compare(c, &k, r);
    fwm_free(k.p);
    fwm_free(k.y);
    fwm_free(k.label);
    fwm_free(k.w);
    return status == FWM_OK ? judge_boundary(c, r) : status;
}

fwm_status tr_codes_json(const tr_codes_report *r, json_t **json)
{
    *json = json_pack("{s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "codes", (json_int_t)r->count, "components",
                      (json_int_t)r->components, "basins", r->basins, "scale", tr_json_number(r->scale), "w2",
                      tr_json_number(r->w2), "sliced", tr_json_number(r->sliced), "mixing", tr_json_number(r->mixing),
                      "off", tr_json_number(r->off), "coverage", tr_json_number(r->coverage), "boundary_auc",
                      tr_json_number(r->boundary_auc));
    FWM_CHECK(*json, FWM_MEMORY, "codes: out of memory");
    return FWM_OK;
}
