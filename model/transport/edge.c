#include "model/transport/edge.h"

#include "model/base/arena.h"
#include "model/transport/numeric.h"

#include <math.h>
#include <string.h>

static const double corner = 1e-12; /* of s^2, under the root */

struct ot_edge {
    ad_dtype dtype;
    int64_t M, N, d, dc;
    ot_sites *codes, *joint; /* of d, and of d + dc coordinates (NULL: no contexts) */
    void *block;
    size_t size;
    void *rows, *columns; /* joint clouds */
    int64_t *nearest;     /* [M][2] */
};

static void place(ot_edge *e, ot_cursor *c)
{
    size_t element = ad_dtype_size(e->dtype);
    e->rows = ot_cursor_take(c, e->M, e->dc ? e->d + e->dc : 0, element);
    e->columns = ot_cursor_take(c, e->N, e->dc ? e->d + e->dc : 0, element);
    e->nearest = ot_cursor_take(c, e->M, 2, sizeof(int64_t));
}

fwm_status ot_edge_create(ot_edge **out, ad_dtype dtype, int64_t M, int64_t N, int64_t d, int64_t dc)
{
    *out = NULL;
    FWM_CHECK(M >= 1 && dc >= 0, FWM_INVALID,
              "edge term: expected predictions, and contexts of 0 or more coordinates, found %lld "
              "and %lld",
              (long long)M, (long long)dc);
    ot_edge *e = fwm_calloc(1, sizeof *e);
    FWM_CHECK(e, FWM_MEMORY, "edge term: out of memory");
    *e = (ot_edge){.dtype = dtype, .M = M, .N = N, .d = d, .dc = dc};
    fwm_status status = FWM_OK;
    FWM_TRY_GOTO(status, ot_sites_create(&e->codes, dtype, N, d));
    if (dc > 0)
        FWM_TRY_GOTO(status, ot_sites_create(&e->joint, dtype, N, d + dc));
    ot_cursor c = {0};
    place(e, &c);
    FWM_CHECK_GOTO(status, !c.overflow, FWM_OVERFLOW, "edge term: %lld predictions in %lld dimensions are too many",
                   (long long)M, (long long)d);
    FWM_TRY_GOTO(status, fwm_block_alloc(&e->block, c.at));
    e->size = c.at;
    c = (ot_cursor){.base = e->block};
    place(e, &c);
    *out = e;
    return FWM_OK;
done:
    ot_edge_destroy(&e);
    return status;
}

void ot_edge_destroy(ot_edge **e)
{
    if (!e || !*e)
        return;
    ot_sites_destroy(&(*e)->codes);
    ot_sites_destroy(&(*e)->joint);
    if ((*e)->block)
        fwm_block_free((*e)->block, (*e)->size);
    fwm_free(*e);
    *e = NULL;
}

size_t ot_edge_memory(const ot_edge *e)
{
    return sizeof *e + e->size + ot_sites_memory(e->codes) + (e->joint ? ot_sites_memory(e->joint) : 0);
}

static fwm_status check(const ot_edge *e, int64_t M, int64_t N, const void *p, double tau, double s)
{
    FWM_CHECK(M >= 1 && M <= e->M && N >= 1 && N <= e->N, FWM_INVALID,
              "edge term: made for %lld predictions and %lld codes, found %lld and %lld", (long long)e->M,
              (long long)e->N, (long long)M, (long long)N);
    FWM_CHECK(
        isfinite(tau) && tau >= 0 && isfinite(s) && s > 0, FWM_INVALID,
        "edge term: expected a tolerance of at least 0 and a positive scale, found %g and %g; are all codes one point?",
        tau, s);
    for (int64_t i = 0; i < M * e->d; i++)
        FWM_CHECK(isfinite(ot_number(e->dtype, p, i)), FWM_NUMERIC,
                  "edge term: coordinate %lld of prediction %lld is %g", (long long)(i % e->d), (long long)(i / e->d),
                  ot_number(e->dtype, p, i));
    return FWM_OK;
}

/* Rows [a, eta b] of n points. */
static void join(const ot_edge *e, void *to, int64_t n, const void *a, const void *b, double eta)
{
    int64_t width = e->d + e->dc;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < e->d; k++)
            ot_number_put(e->dtype, to, i * width + k, ot_number(e->dtype, a, i * e->d + k));
        for (int64_t k = 0; k < e->dc; k++)
            ot_number_put(e->dtype, to, i * width + e->d + k, eta * ot_number(e->dtype, b, i * e->dc + k));
    }
}

static fwm_status find_targets(ot_edge *e, int64_t *cell, int64_t M, int64_t N, const void *p, const void *y,
                               const void *x, const void *X, double eta, const double *g)
{
    if (e->dc == 0 || eta == 0) {
        FWM_TRY(ot_sites_set(e->codes, N, y, g));
        ot_sites_cells(e->codes, cell, NULL, M, p);
        return FWM_OK;
    }
    for (int64_t i = 0; i < M * e->dc; i++)
        FWM_CHECK(isfinite(eta * ot_number(e->dtype, x, i)), FWM_NUMERIC,
                  "edge term: coordinate %lld of context %lld is %g", (long long)(i % e->dc), (long long)(i / e->dc),
                  ot_number(e->dtype, x, i));
    join(e, e->rows, M, p, x, eta);
    join(e, e->columns, N, y, X, eta);
    FWM_TRY(ot_sites_set(e->joint, N, e->columns, g));
    ot_sites_cells(e->joint, cell, NULL, M, e->rows);
    return FWM_OK;
}

/* |p_i - y_j| with its corner rounded. */
static double length(const ot_edge *e, const void *p, int64_t i, const void *y, int64_t j, double s)
{
    double square = corner * s * s;
    for (int64_t k = 0; k < e->d; k++) {
        double u = ot_number(e->dtype, p, i * e->d + k) - ot_number(e->dtype, y, j * e->d + k);
        square += u * u;
    }
    return sqrt(square);
}

/* dp_i += factor (p_i - y_j) */
static void pull(const ot_edge *e, void *dp, const void *p, int64_t i, const void *y, int64_t j, double factor)
{
    for (int64_t k = 0; k < e->d; k++) {
        int64_t at = i * e->d + k;
        double u = ot_number(e->dtype, p, at) - ot_number(e->dtype, y, j * e->d + k);
        ot_number_put(e->dtype, dp, at, ot_number(e->dtype, dp, at) + factor * u);
    }
}

/* Both variants: the mean distance of p_i to its `each` targets in target [M][each]. */
static void evaluate(const ot_edge *e, ot_edge_result *r, void *dp, int each, const int64_t *target, int64_t M,
                     const void *p, const void *y, double tau, double s)
{
    int64_t active = 0;
    double sum = 0, share = 1.0 / ((double)M * s * each);
    if (dp)
        memset(dp, 0, (size_t)(M * e->d) * ad_dtype_size(e->dtype));
    for (int64_t i = 0; i < M; i++) {
        double l[2], mean = 0;
        for (int q = 0; q < each; q++)
            mean += (l[q] = length(e, p, i, y, target[i * each + q], s)) / each;
        if (!(mean > tau))
            continue;
        sum += mean - tau;
        active++;
        for (int q = 0; dp && q < each; q++)
            pull(e, dp, p, i, y, target[i * each + q], share / l[q]);
    }
    *r = (ot_edge_result){.value = sum / ((double)M * s), .active = (double)active / (double)M};
}

fwm_status ot_edge_run(ot_edge *e, ot_edge_result *result, void *dp, int64_t *cell, int64_t M, int64_t N, const void *p,
                       const void *y, const void *x, const void *X, double eta, const double *g, double tau, double s)
{
    FWM_TRY(check(e, M, N, p, tau, s));
    FWM_TRY(find_targets(e, e->nearest, M, N, p, y, x, X, eta, g));
    evaluate(e, result, dp, 1, e->nearest, M, p, y, tau, s);
    if (cell)
        memcpy(cell, e->nearest, (size_t)M * sizeof *cell);
    return FWM_OK;
}

fwm_status ot_edge_hinge(ot_edge *e, ot_edge_result *result, void *dp, int64_t M, int64_t N, const void *p,
                         const void *y, double tau, double s)
{
    FWM_TRY(check(e, M, N, p, tau, s));
    FWM_TRY(ot_sites_set(e->codes, N, y, NULL));
    ot_sites_nearest(e->codes, e->nearest, NULL, M, p, false);
    for (int64_t i = 0; N == 1 && i < 2 * M; i++)
        e->nearest[i] = 0;
    evaluate(e, result, dp, 2, e->nearest, M, p, y, tau, s);
    return FWM_OK;
}
