#include "model/transport/edge_term.h"

#include "model/autodiff/ops.h"
#include "model/base/arena.h"
#include "model/transport/numeric.h"
#include "model/transport/semi_discrete.h"

#include <math.h>
#include <string.h>

static const double settled = 1e-2; /* of the sheets' masses */

struct ot_edge_term {
    ot_memory *memory;
    ad_dtype dtype;
    int64_t M, P, d, dc; /* P: points of the source */
    ot_edge_options o;
    ot_sinkhorn *sinkhorn;
    ot_edge *edge;
    ot_correction *correction;
    ot_sites *joints;
    ot_edge_report last;
    ad_custom custom;
    bool weighted;
    void *source;   /* [P,d+dc] */
    double *weight; /* [P] */
    double *g;      /* heights of codes */
    void *block;
    size_t size;
};

static void place(ot_edge_term *t, ot_cursor *c)
{
    int64_t N = ot_memory_get_options(t->memory)->codes;
    t->source = ot_cursor_take(c, t->P, t->d + t->dc, ad_dtype_size(t->dtype));
    t->weight = ot_cursor_take(c, t->P, 1, sizeof(double));
    t->g = ot_cursor_take(c, N, 1, sizeof(double));
}

static fwm_status allocate(ot_edge_term *t)
{
    const ot_memory_options *m = ot_memory_get_options(t->memory);
    ot_cursor c = {0};
    FWM_TRY(ot_edge_create(&t->edge, t->dtype, t->M, m->codes, t->d, t->dc));
    if (t->o.hinge)
        return FWM_OK;
    place(t, &c);
    FWM_CHECK(!c.overflow, FWM_OVERFLOW, "edge term: %lld points of a source are too many", (long long)t->P);
    FWM_TRY(fwm_block_alloc(&t->block, c.at));
    t->size = c.at;
    c = (ot_cursor){.base = t->block};
    place(t, &c);
    const ot_sinkhorn_options so = {
        .blur = 1, .scaling = t->o.scaling, .extra = t->o.extra, .fixed_y = true, .biased = true};
    FWM_TRY(ot_sinkhorn_create(&t->sinkhorn, t->dtype, t->P, m->codes, t->d + t->dc, &so));
    FWM_TRY(ot_sites_create(&t->joints, t->dtype, m->codes, t->d + t->dc));
    return ot_correction_create(&t->correction, t->P, m->codes, OT_MEMORY_ANCHORS);
}

fwm_status ot_edge_term_create(ot_edge_term **out, ot_memory *memory, int64_t M, const ot_edge_options *options)
{
    const ot_memory_options *m = ot_memory_get_options(memory);
    *out = NULL;
    FWM_CHECK(M >= 1 && options->rho >= 0 && isfinite(options->rho), FWM_INVALID,
              "edge term: expected predictions and rho of 0 or more, found %lld and %g", (long long)M, options->rho);
    ot_edge_term *t = fwm_calloc(1, sizeof *t);
    FWM_CHECK(t, FWM_MEMORY, "edge term: out of memory");
    *t = (ot_edge_term){.memory = memory,
                        .dtype = ot_memory_dtype(memory),
                        .M = M,
                        .P = M > m->predictions ? M : m->predictions,
                        .d = m->d,
                        .dc = m->dc,
                        .o = *options};
    fwm_status status = allocate(t);
    if (status != FWM_OK)
        ot_edge_term_destroy(&t);
    *out = t;
    return status;
}

void ot_edge_term_destroy(ot_edge_term **t)
{
    if (!t || !*t)
        return;
    ot_sinkhorn_destroy(&(*t)->sinkhorn);
    ot_edge_destroy(&(*t)->edge);
    ot_correction_destroy(&(*t)->correction);
    ot_sites_destroy(&(*t)->joints);
    if ((*t)->block)
        fwm_block_free((*t)->block, (*t)->size);
    fwm_free(*t);
    *t = NULL;
}

size_t ot_edge_term_bytes(const ot_edge_term *t)
{
    size_t all = sizeof *t + t->size + ot_edge_memory(t->edge);
    return t->o.hinge ? all : all + ot_sinkhorn_memory(t->sinkhorn) + ot_sites_memory(t->joints);
}

const ot_edge_report *ot_edge_last(const ot_edge_term *t)
{
    return &t->last;
}

/* ---- heights ---- */

static void put_row(const ot_edge_term *t, int64_t row, const void *p, const void *x, int64_t i, double factor)
{
    int64_t width = t->d + t->dc;
    for (int64_t k = 0; k < t->d; k++)
        ot_number_put(t->dtype, t->source, row * width + k, ot_number(t->dtype, p, i * t->d + k));
    for (int64_t k = 0; k < t->dc; k++)
        ot_number_put(t->dtype, t->source, row * width + t->d + k, factor * ot_number(t->dtype, x, i * t->dc + k));
}

/* The batch's predictions, then remembered ones from the newest back; rows without a point repeat the first at weight
 * 0.
 */
static void fill_source(ot_edge_term *t, const void *p, const void *x, const void *w)
{
    const ot_geometry *look = ot_memory_geometry(t->memory);
    const ot_ring *made = ot_memory_predictions(t->memory);
    double sum = 0;
    for (int64_t i = 0; i < t->P; i++) {
        int64_t back = i - t->M, at = (made->next + made->room - 1 - back) % made->room;
        bool own = i < t->M, there = own || back < made->count; /* room for predictions is at least P */
        if (own || !there)
            put_row(t, i, p, x, own ? i : 0, look->factor);
        else
            put_row(t, i, made->code, made->context, at, look->factor);
        t->weight[i] = own ? (w ? ot_number(t->dtype, w, i) : 1.0) : there ? made->weight[at] : 0.0;
        t->last.source += there;
        sum += t->weight[i];
    }
    for (int64_t i = 0; i < t->P; i++)
        t->weight[i] /= sum;
}

static fwm_status find_heights(ot_edge_term *t)
{
    const ot_geometry *look = ot_memory_geometry(t->memory);
    const ot_support_view *v = look->support;
    FWM_TRY(ot_sinkhorn_set_scales(t->sinkhorn, fmax(look->spacing, 1e-3 * look->s), t->o.rho * look->s * look->s));
    FWM_TRY(ot_sinkhorn_run(t->sinkhorn, NULL, NULL, NULL, NULL, NULL, t->source, look->joint, t->weight, NULL));
    ot_heights_sinkhorn(t->g, look->N, t->sinkhorn);
    if (v->sheets < 2)
        return FWM_OK;
    t->last.group_error = ot_sinkhorn_group_error(t->sinkhorn, v->sheets, v->sheet);
    t->last.corrected = t->o.rho == 0 && t->last.group_error > settled;
    if (!t->last.corrected)
        return FWM_OK;
    ot_correction_result result;
    FWM_TRY(ot_sites_set(t->joints, look->N, look->joint, t->g));
    return ot_correction_run(t->correction, &result, t->g, t->joints, v->sheets, v->sheet, v->mass, t->last.source,
                             t->source);
}

/* ---- the graph value: [value, dL/dp] ---- */

static fwm_status edge_shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    const ot_edge_term *t = self;
    int64_t expected[3] = {t->M * t->d, t->dc > 0 ? t->M * t->dc : t->M, t->M};
    for (int k = 0; k < n; k++)
        FWM_CHECK(ad_shape_count(&in[k]) == expected[k], FWM_SHAPE, "input %d: expected %lld numbers, found %lld", k,
                  (long long)expected[k], (long long)ad_shape_count(&in[k]));
    *out = ad_shape_make(1, 1 + t->M * t->d);
    return FWM_OK;
}

static fwm_status edge_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    ot_edge_term *t = self;
    const ot_geometry *look = ot_memory_geometry(t->memory);
    void *dp = (char *)out + ad_dtype_size(dtype);
    FWM_CHECK(dtype == t->dtype, FWM_INVALID, "edge term: the memory's type is not the graph's");
    t->last = (ot_edge_report){0};
    memset(out, 0, (size_t)(1 + t->M * t->d) * ad_dtype_size(dtype));
    if (!look->ready || !look->gaps)
        return FWM_OK;
    ot_edge_result r;
    if (t->o.hinge) {
        FWM_TRY(ot_edge_hinge(t->edge, &r, dp, t->M, look->N, in[0], look->code, look->tau, look->s));
    } else {
        const void *x = t->dc > 0 ? in[1] : NULL;
        fill_source(t, in[0], x, t->weighted ? in[t->dc > 0 ? 2 : 1] : NULL);
        FWM_TRY(find_heights(t));
        FWM_TRY(ot_edge_run(t->edge, &r, dp, NULL, t->M, look->N, in[0], look->code, x, look->context, look->factor,
                            t->g, look->tau, look->s));
    }
    t->last.value = r.value;
    t->last.active = r.active;
    ot_number_put(dtype, out, 0, r.value);
    return FWM_OK;
}

static fwm_status edge_vjp(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                           void *const *dx)
{
    (void)in;
    const ot_edge_term *t = self;
    int64_t n = t->M * t->d;
    for (int64_t i = 1; i <= n; i++)
        FWM_CHECK(ot_number(dtype, dout, i) == 0, FWM_UNSUPPORTED,
                  "the edge term gives first derivatives only: put stop_gradient on its gradient");
    double scale = ot_number(dtype, dout, 0);
    for (int64_t i = 0; dx[0] && i < n; i++)
        ot_number_put(dtype, dx[0], i, scale * ot_number(dtype, out, 1 + i));
    return FWM_OK;
}

ad_value ot_edge_value(ad_graph *g, ot_edge_term *t, ad_value p, ad_value x, ad_value w)
{
    double N = (double)ot_memory_get_options(t->memory)->codes, width = (double)(t->d + t->dc);
    t->weighted = w != AD_NONE && !t->o.hinge;
    t->custom = (ad_custom){.name = "edge_term",
                            .self = t,
                            .shape = edge_shape,
                            .forward = edge_forward,
                            .vjp = edge_vjp,
                            .flops = t->o.hinge ? 3 * (double)t->M * N * (double)t->d
                                                : (double)t->P * N * (3 * width + 20.0 * (8 + t->o.extra))};
    ad_value in[3] = {p};
    int n = 1;
    if (t->dc > 0)
        in[n++] = ad_stop_gradient(g, x);
    if (t->weighted)
        in[n++] = ad_stop_gradient(g, w);
    return ad_slice(g, ad_custom_apply(g, &t->custom, n, in), 0, 0, 1);
}
