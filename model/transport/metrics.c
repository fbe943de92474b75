#include "model/transport/metrics.h"

#include "model/base/arena.h"
#include "model/base/checked.h"
#include "model/base/threads.h"
#include "model/transport/numeric.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const double off_quantile = .99, between = .2, near_enough = 1.5;

/* ---- one dimension and slices ---- */

void ot_line_distance(double *w1, double *w2, int64_t M, const double *x, const double *a, int64_t N, const double *y,
                      const double *b, int64_t *index)
{
    int64_t *order_x = index, *order_y = index + 2 * M, i = 0, j = 0;
    double sum1 = 0, sum2 = 0, left_x, left_y;
    ot_sort_indices(M, x, order_x, index + M);
    ot_sort_indices(N, y, order_y, index + 2 * M + N);
    left_x = a ? a[order_x[0]] : 1.0 / (double)M;
    left_y = b ? b[order_y[0]] : 1.0 / (double)N;
    while (i < M && j < N) {
        /* At the end of one cloud rounding may leave the other a little mass, which is dropped. */
        double mass = left_x < left_y ? left_x : left_y, gap = x[order_x[i]] - y[order_y[j]];
        sum1 += mass * fabs(gap);
        sum2 += mass * gap * gap;
        left_x -= mass;
        left_y -= mass;
        bool next_x = left_x <= left_y;
        if (next_x && ++i < M)
            left_x = a ? a[order_x[i]] : 1.0 / (double)M;
        if (!next_x && ++j < N)
            left_y = b ? b[order_y[j]] : 1.0 / (double)N;
    }
    if (w1)
        *w1 = sum1;
    if (w2)
        *w2 = sum2;
}

/* A thread's own. */
typedef struct slice {
    double *direction, *x, *y;
    int64_t *index;
} slice;

struct ot_sliced {
    ad_dtype dtype;
    int64_t M, N, d, directions;
    int slots;
    void *block;
    size_t size;
    slice *slot;
    double *value;
};

static void place(ot_sliced *s, ot_cursor *c)
{
    s->value = ot_cursor_take(c, s->directions, 1, sizeof(double));
    s->slot = ot_cursor_take(c, s->slots, 1, sizeof *s->slot);
    for (int t = 0; t < s->slots; t++) {
        slice one = {.direction = ot_cursor_take(c, s->d, 1, sizeof(double)),
                     .x = ot_cursor_take(c, s->M, 1, sizeof(double))};
        one.y = ot_cursor_take(c, s->N, 1, sizeof(double));
        one.index = ot_cursor_take(c, s->M + s->N, 2, sizeof(int64_t));
        if (c->base)
            s->slot[t] = one;
    }
}

fwm_status ot_sliced_create(ot_sliced **out, ad_dtype dtype, int64_t M, int64_t N, int64_t d, int64_t directions)
{
    *out = NULL;
    FWM_CHECK(M >= 1 && N >= 1 && d >= 1 && directions >= 1 && d <= INT32_MAX && M < INT64_MAX / 4 && N < INT64_MAX / 4,
              FWM_INVALID,
              "sliced distance: expected points, coordinates and directions, found %lld, %lld, %lld and %lld",
              (long long)M, (long long)N, (long long)d, (long long)directions);
    ot_sliced *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "sliced distance: out of memory");
    *s = (ot_sliced){.dtype = dtype, .M = M, .N = N, .d = d, .directions = directions, .slots = fwm_threads_count()};
    fwm_status status = FWM_OK;
    ot_cursor c = {0};
    place(s, &c);
    FWM_CHECK_GOTO(status, !c.overflow, FWM_OVERFLOW, "sliced distance: clouds of %lld and %lld points are too large",
                   (long long)M, (long long)N);
    FWM_TRY_GOTO(status, fwm_block_alloc(&s->block, c.at));
    s->size = c.at;
    c = (ot_cursor){.base = s->block};
    place(s, &c);
    *out = s;
    return FWM_OK;
done:
    ot_sliced_destroy(&s);
    return status;
}

void ot_sliced_destroy(ot_sliced **s)
{
    if (!s || !*s)
        return;
    if ((*s)->block)
        fwm_block_free((*s)->block, (*s)->size);
    fwm_free(*s);
    *s = NULL;
}

/* Uniform on the sphere. Direction l of step t is the normals of step t * directions + l. */
static void draw_direction(const ot_sliced *s, double *u, fwm_key key, uint64_t at)
{
    double square = 0;
    for (int64_t k = 0; k < s->d; k++) {
        u[k] = fwm_random_normal(key, at, (uint32_t)k);
        square += u[k] * u[k];
    }
    for (int64_t k = 0; k < s->d; k++)
        u[k] /= sqrt(square);
}

static void project(const ot_sliced *s, double *to, int64_t n, const void *x, const double *u)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < s->d; k++)
            sum += u[k] * ot_number(s->dtype, x, i * s->d + k);
        to[i] = sum;
    }
}

fwm_status ot_sliced_run(ot_sliced *s, double *value, int64_t M, int64_t N, const void *x, const void *y, fwm_key key,
                         uint64_t step)
{
    FWM_CHECK(M >= 1 && M <= s->M && N >= 1 && N <= s->N, FWM_INVALID,
              "sliced distance: made for %lld and %lld points, found %lld and %lld", (long long)s->M, (long long)s->N,
              (long long)M, (long long)N);
    int threads = fwm_threads_count() < s->slots ? fwm_threads_count() : s->slots;
#pragma omp parallel for schedule(dynamic, 1)                                                                          \
    num_threads(threads) if (s->directions * (M + N) * s->d > FWM_PARALLEL_MIN)
    for (int64_t l = 0; l < s->directions; l++) {
        const slice *t = &s->slot[omp_get_thread_num()];
        draw_direction(s, t->direction, key, step * (uint64_t)s->directions + (uint64_t)l);
        project(s, t->x, M, x, t->direction);
        project(s, t->y, N, y, t->direction);
        ot_line_distance(NULL, &s->value[l], M, t->x, NULL, N, t->y, NULL, t->index);
    }
    *value = 0;
    for (int64_t l = 0; l < s->directions; l++)
        *value += s->value[l] / (double)s->directions;
    FWM_CHECK(isfinite(*value), FWM_NUMERIC,
              "sliced distance: the value is %g; a point is not finite, or squares overflow", *value);
    return FWM_OK;
}

/* ---- mode mixing ---- */

typedef struct by_component {
    const int64_t *label;
    int64_t N, K;
    double *nearest; /* [M][K] */
} by_component;

static void nearest_of_components(void *self, int64_t row, double *cost)
{
    const by_component *c = self;
    double *nearest = c->nearest + row * c->K;
    for (int64_t k = 0; k < c->K; k++)
        nearest[k] = INFINITY;
    for (int64_t j = 0; j < c->N; j++)
        nearest[c->label[j]] = fmin(nearest[c->label[j]], cost[j]);
}

static void count_mixed(ot_mixing *r, int64_t M, int64_t K, const double *nearest)
{
    int64_t mixed = 0, off = 0;
    for (int64_t i = 0; i < M; i++) {
        double d1 = INFINITY, d2 = INFINITY;
        for (int64_t k = 0; k < K; k++) {
            double v = sqrt(2 * nearest[i * K + k]), larger = fmax(v, d1);
            d1 = fmin(v, d1);
            d2 = fmin(larger, d2);
        }
        off += d1 > r->threshold;
        mixed += d1 > r->threshold && isfinite(d2) && d1 > between * (d1 + d2);
    }
    r->off = (double)off / (double)M;
    r->mixing = (double)mixed / (double)M;
}

fwm_status ot_mixing_measure(ot_mixing *result, ad_dtype dtype, int64_t M, const void *p, int64_t N, const void *y,
                             const int64_t *label, int64_t K, int64_t d)
{
    FWM_CHECK(M >= 1 && N >= 2 && K >= 1, FWM_INVALID,
              "mode mixing: expected generated points, two true points and a component, found %lld, %lld and %lld",
              (long long)M, (long long)N, (long long)K);
    for (int64_t j = 0; j < N; j++)
        FWM_CHECK(label[j] >= 0 && label[j] < K, FWM_INVALID, "mode mixing: point %lld is of component %lld of %lld",
                  (long long)j, (long long)label[j], (long long)K);
    ot_sites *truth = NULL, *generated = NULL;
    double *work = NULL, *nearest = NULL;
    fwm_status status;
    int64_t covered = 0;
    FWM_TRY_GOTO(status, ot_sites_create(&truth, dtype, N, d));
    FWM_TRY_GOTO(status, ot_sites_create(&generated, dtype, M, d));
    FWM_TRY_GOTO(status, ot_sites_set(truth, N, y, NULL));
    FWM_TRY_GOTO(status, ot_sites_set(generated, M, p, NULL));
    work = fwm_malloc((size_t)N * 3, sizeof *work);
    nearest = fwm_malloc((size_t)M * (size_t)K, sizeof *nearest);
    FWM_CHECK_GOTO(status, work && nearest, FWM_MEMORY, "mode mixing: out of memory");
    ot_sites_nearest(truth, NULL, work, N, y, true);
    for (int64_t j = 0; j < N; j++)
        work[j] = work[2 * j];
    result->threshold = ot_quantile(N, work, off_quantile, work + N);
    by_component c = {label, N, K, nearest};
    ot_sites_each(truth, M, p, nearest_of_components, &c);
    count_mixed(result, M, K, nearest);
    ot_sites_nearest(generated, NULL, work, N, y, false);
    for (int64_t j = 0; j < N; j++)
        covered += work[2 * j] <= near_enough * result->threshold;
    result->coverage = (double)covered / (double)N;
done:
    ot_sites_destroy(&truth);
    ot_sites_destroy(&generated);
    fwm_free(work);
    fwm_free(nearest);
    return status;
}
