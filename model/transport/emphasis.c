#include "model/transport/emphasis.h"

#include "model/autodiff/ops.h"
#include "model/base/arena.h"

#include <math.h>
#include <string.h>

struct ot_emphasis {
    ot_memory *memory;
    int64_t n, M;
    double gamma;
    double *score, *weight;
    int64_t *index;
    ad_custom custom;
};

void ot_emphasis_draw(int64_t *index, double *weight, int64_t M, int64_t n, const double *score, double gamma, double u)
{
    double sum = 0, at = 0;
    int64_t i = -1;
    for (int64_t k = 0; k < n; k++)
        sum += score[k];
    double share = sum > 0 ? gamma : 0.0, q = 0;
    for (int64_t m = 0; m < M; m++) {
        double mark = ((double)m + u) / (double)M;
        while (i < 0 || (at <= mark && i < n - 1)) {
            i++;
            q = (1 - share) / (double)n + (sum > 0 ? share * score[i] / sum : 0.0);
            at += q;
        }
        index[m] = i;
        weight[m] = 1.0 / ((double)n * q);
    }
}

fwm_status ot_emphasis_create(ot_emphasis **out, ot_memory *memory, int64_t n, int64_t M, double gamma)
{
    *out = NULL;
    FWM_CHECK(n >= 1 && M >= 1 && gamma >= 0 && gamma < 1, FWM_INVALID,
              "emphasis: expected a pool, a draw and gamma in [0,1), found %lld, %lld and %g", (long long)n,
              (long long)M, gamma);
    ot_emphasis *e = fwm_calloc(1, sizeof *e);
    FWM_CHECK(e, FWM_MEMORY, "emphasis: out of memory");
    *e = (ot_emphasis){.memory = memory, .n = n, .M = M, .gamma = gamma};
    e->score = fwm_calloc((size_t)n, sizeof *e->score);
    e->weight = fwm_calloc((size_t)M, sizeof *e->weight);
    e->index = fwm_calloc((size_t)M, sizeof *e->index);
    if (!e->score || !e->weight || !e->index) {
        ot_emphasis_destroy(&e);
        return fwm_fail(FWM_MEMORY, "emphasis: out of memory");
    }
    *out = e;
    return FWM_OK;
}

void ot_emphasis_destroy(ot_emphasis **e)
{
    if (!e || !*e)
        return;
    fwm_free((*e)->score);
    fwm_free((*e)->weight);
    fwm_free((*e)->index);
    fwm_free(*e);
    *e = NULL;
}

static fwm_status shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    const ot_emphasis *e = self;
    int64_t d = ot_memory_get_options(e->memory)->d;
    FWM_CHECK(n == 2 && ad_shape_count(&in[0]) == e->n * d && ad_shape_count(&in[1]) == 1, FWM_SHAPE,
              "expected a pool [%lld,%lld] and one number", (long long)e->n, (long long)d);
    *out = ad_shape_make(2, 2, e->M);
    return FWM_OK;
}

static fwm_status forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    ot_emphasis *e = self;
    if (ot_memory_geometry(e->memory)->ready)
        ot_support_score(ot_memory_support(e->memory), e->score, e->n, in[0]);
    else
        memset(e->score, 0, (size_t)e->n * sizeof *e->score);
    for (int64_t i = 0; i < e->n; i++)
        FWM_CHECK(isfinite(e->score[i]), FWM_NUMERIC, "emphasis: prediction %lld of the pool is not finite",
                  (long long)i);
    ot_emphasis_draw(e->index, e->weight, e->M, e->n, e->score, e->gamma, ot_number(dtype, in[1], 0));
    for (int64_t m = 0; m < e->M; m++) {
        ot_number_put(dtype, out, m, (double)e->index[m]);
        ot_number_put(dtype, out, e->M + m, e->weight[m]);
    }
    return FWM_OK;
}

ad_value ot_emphasis_value(ad_graph *g, ot_emphasis *e, ad_value pool, ad_value u)
{
    e->custom = (ad_custom){.name = "emphasis", .self = e, .shape = shape, .forward = forward};
    ad_value in[2] = {ad_stop_gradient(g, pool), ad_stop_gradient(g, u)};
    return ad_custom_apply(g, &e->custom, 2, in);
}
