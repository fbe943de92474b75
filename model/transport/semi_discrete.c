/* Heights from a bank (Adam), from Sinkhorn's dual, and the correction by groups. Exact cells: cells.c. */
#include "model/transport/semi_discrete.h"

#include "model/base/arena.h"
#include "model/transport/numeric.h"

#include <math.h>
#include <string.h>

enum { CHUNKS = 16, STAGES = 4, NEWTON_STEPS = 60, HALVINGS = 40 };

static const double weight_tolerance = 1e-4;

static void centre(int64_t N, double *g)
{
    double mean = 0;
    for (int64_t j = 0; j < N; j++)
        mean += g[j] / (double)N;
    for (int64_t j = 0; j < N; j++)
        g[j] -= mean;
}

void ot_heights_sinkhorn(double *g, int64_t N, const ot_sinkhorn *s)
{
    const double *dual;
    ot_sinkhorn_last(s, NULL, NULL, &dual);
    memcpy(g, dual, (size_t)N * sizeof *g);
    centre(N, g);
}

/* ---- Adam ---- */

/* Gradient mass - nu of the heights in `sites` on the first n source points; returns its 2-norm. */
static double mass_gradient(const ot_sites *sites, double *grad, const double *nu, int64_t *cell, int64_t n,
                            const void *source)
{
    int64_t N = ot_sites_count(sites);
    double norm = 0;
    ot_sites_cells(sites, cell, NULL, n, source);
    for (int64_t j = 0; j < N; j++)
        grad[j] = nu ? -nu[j] : -1.0 / (double)N;
    for (int64_t i = 0; i < n; i++)
        grad[cell[i]] += 1.0 / (double)n;
    for (int64_t j = 0; j < N; j++)
        norm += grad[j] * grad[j];
    return sqrt(norm);
}

static void adam_step(int64_t N, double *g, double *m, double *v, const double *grad, double rate, int64_t step)
{
    const double beta1 = 0.9, beta2 = 0.999, tiny = 1e-8;
    double c1 = 1 - pow(beta1, (double)step), c2 = 1 - pow(beta2, (double)step);
    for (int64_t j = 0; j < N; j++) {
        m[j] = beta1 * m[j] + (1 - beta1) * grad[j];
        v[j] = beta2 * v[j] + (1 - beta2) * grad[j] * grad[j];
        g[j] -= rate * (m[j] / c1) / (sqrt(v[j] / c2) + tiny);
    }
    centre(N, g);
}

fwm_status ot_heights_adam(double *g, ot_adam_result *result, ot_sites *sites, const double *nu, int64_t n,
                           const void *source, const ot_adam_options *o)
{
    int64_t N = ot_sites_count(sites), batch = o->batch < n ? o->batch : n, waited = 0, step = 0;
    FWM_CHECK(o->rate > 0 && o->tol >= 0 && o->batch >= 1 && o->patience >= 1 && o->steps >= 0 && n >= 1, FWM_INVALID,
              "Adam on heights: expected a positive rate, batch, patience and number of source points, found %g, %lld, "
              "%lld, %lld",
              o->rate, (long long)o->batch, (long long)o->patience, (long long)n);
    int64_t d = ot_sites_dimension(sites);
    for (int64_t i = 0; i < n * d; i++)
        FWM_CHECK(isfinite(ot_number(ot_sites_dtype(sites), source, i)), FWM_NUMERIC,
                  "Adam on heights: coordinate %lld of source point %lld is not finite", (long long)(i % d),
                  (long long)(i / d));
    double *work = fwm_calloc((size_t)N * 3, sizeof *work), *m = work, *v = work + N, *grad = work + 2 * N;
    int64_t *cell = fwm_malloc((size_t)n, sizeof *cell);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, work && cell, FWM_MEMORY, "Adam on heights: out of memory");
    double rate = o->rate, least = INFINITY;
    ot_sites_set_heights(sites, g);
    double error = mass_gradient(sites, grad, nu, cell, batch, source);
    while (step < o->steps && (error > o->tol || batch < n)) {
        waited = error < least ? 0 : waited + 1;
        least = error < least ? error : least;
        if (waited >= o->patience || error <= o->tol) {
            batch = 2 * batch < n ? 2 * batch : n;
            rate *= 0.5;
            waited = 0;
            least = INFINITY;
        }
        adam_step(N, g, m, v, grad, rate, ++step);
        ot_sites_set_heights(sites, g);
        error = mass_gradient(sites, grad, nu, cell, batch, source);
    }
    if (result)
        *result = (ot_adam_result){.steps = step, .batch = batch, .error = error};
done:
    fwm_free(work);
    fwm_free(cell);
    return status;
}

/* ---- the correction by groups ---- */

struct ot_correction {
    int64_t n, N, K;
    void *block;
    size_t size;
    double *best;             /* [n][K]: S_k(x) */
    double *partial;          /* [CHUNKS][K + K^2 + 1] */
    double *t, *trial, *step; /* [K] */
    double *mass, *hessian;   /* [K], [K][K] */
    double *target;           /* [K] */
    double *heights;          /* [N] */
    const int64_t *group;     /* of the run */
    int64_t points, groups;
};

static void place(ot_correction *c, ot_cursor *at)
{
    int64_t K = c->K;
    c->best = ot_cursor_take(at, c->n, K, sizeof(double));
    c->partial = ot_cursor_take(at, CHUNKS, K + K * K + 1, sizeof(double));
    c->t = ot_cursor_take(at, K, 1, sizeof(double));
    c->trial = ot_cursor_take(at, K, 1, sizeof(double));
    c->step = ot_cursor_take(at, K, 1, sizeof(double));
    c->mass = ot_cursor_take(at, K, 1, sizeof(double));
    c->target = ot_cursor_take(at, K, 1, sizeof(double));
    c->hessian = ot_cursor_take(at, K, K, sizeof(double));
    c->heights = ot_cursor_take(at, c->N, 1, sizeof(double));
}

fwm_status ot_correction_create(ot_correction **out, int64_t n, int64_t N, int64_t K)
{
    *out = NULL;
    FWM_CHECK(n >= 1 && N >= 1 && K >= 1 && K <= 4096, FWM_INVALID,
              "correction of heights: expected source points, points and 1 to 4096 groups, found %lld, %lld and %lld",
              (long long)n, (long long)N, (long long)K);
    ot_correction *c = fwm_calloc(1, sizeof *c);
    FWM_CHECK(c, FWM_MEMORY, "correction of heights: out of memory");
    c->n = n, c->N = N, c->K = K;
    fwm_status status = FWM_OK;
    ot_cursor at = {0};
    place(c, &at);
    FWM_CHECK_GOTO(status, !at.overflow, FWM_OVERFLOW,
                   "correction of heights: %lld source points and %lld groups are too many", (long long)n,
                   (long long)K);
    FWM_TRY_GOTO(status, fwm_block_alloc(&c->block, at.at));
    c->size = at.at;
    at = (ot_cursor){.base = c->block};
    place(c, &at);
    *out = c;
    return FWM_OK;
done:
    ot_correction_destroy(&c);
    return status;
}

void ot_correction_destroy(ot_correction **c)
{
    if (!c || !*c)
        return;
    if ((*c)->block)
        fwm_block_free((*c)->block, (*c)->size);
    fwm_free(*c);
    *c = NULL;
}

static void best_of_groups(void *self, int64_t row, double *cost)
{
    const ot_correction *c = self;
    double *best = c->best + row * c->groups;
    for (int64_t k = 0; k < c->groups; k++)
        best[k] = -INFINITY;
    for (int64_t j = 0; j < c->points; j++) {
        double score = c->heights[j] - cost[j];
        int64_t k = c->group[j];
        best[k] = score > best[k] ? score : best[k];
    }
}

/* Of one chunk of source points: sum of tau LSE, of p and of p p^T (lower triangle), to sums [1 + K + K^2]. */
static void chunk_sums(const ot_correction *c, double *sums, const double *t, double tau, int64_t first, int64_t last,
                       double *p)
{
    int64_t K = c->groups;
    memset(sums, 0, (size_t)(1 + K + K * K) * sizeof *sums);
    for (int64_t i = first; i < last; i++) {
        const double *best = c->best + i * K;
        double most = -INFINITY, sum = 0;
        for (int64_t k = 0; k < K; k++)
            most = best[k] + t[k] > most ? best[k] + t[k] : most;
        for (int64_t k = 0; k < K; k++)
            sum += p[k] = exp((best[k] + t[k] - most) / tau);
        sums[0] += most + tau * log(sum);
        for (int64_t k = 0; k < K; k++) {
            p[k] /= sum;
            sums[1 + k] += p[k];
            for (int64_t l = 0; l <= k && p[k] > 0; l++)
                sums[1 + K + k * K + l] += p[k] * p[l];
        }
    }
}

/* Objective at t; masses and Hessian are left in c. Sums over CHUNKS parts in their order: threads do not matter. */
static double objective(ot_correction *c, const double *t, double tau, int64_t n)
{
    int64_t K = c->groups, length = 1 + K + K * K;
#pragma omp parallel for schedule(dynamic, 1) if (n * K > 4096)
    for (int64_t q = 0; q < CHUNKS; q++) {
        double p[K];
        chunk_sums(c, c->partial + q * length, t, tau, n * q / CHUNKS, n * (q + 1) / CHUNKS, p);
    }
    double value = 0;
    memset(c->mass, 0, (size_t)K * sizeof(double));
    memset(c->hessian, 0, (size_t)(K * K) * sizeof(double));
    for (int64_t q = 0; q < CHUNKS; q++) {
        const double *sums = c->partial + q * length;
        value += sums[0] / (double)n;
        for (int64_t k = 0; k < K; k++)
            c->mass[k] += sums[1 + k] / (double)n;
        for (int64_t k = 0; k < K * K; k++)
            c->hessian[k] -= sums[1 + K + k] / ((double)n * tau);
    }
    for (int64_t k = 0; k < K; k++) {
        value -= c->target[k] * t[k];
        c->hessian[k * K + k] += c->mass[k] / tau;
    }
    return value;
}

/* Damped Newton at one tau. A group that gets no source point has an empty row in the Hessian: the small diagonal turns
 * its step into one along the gradient. */
static int minimise(ot_correction *c, double tau, int64_t n, double unit)
{
    const double tiny = 1e-6 / unit, enough = 1e-10;
    int64_t K = c->groups;
    int steps = 0;
    double value = objective(c, c->t, tau, n);
    for (; steps < NEWTON_STEPS; steps++) {
        double largest = 0, slope = 0, longest = 0;
        for (int64_t k = 0; k < K; k++) {
            c->step[k] = c->target[k] - c->mass[k];
            largest = fmax(largest, fabs(c->step[k]));
            c->hessian[k * K + k] += tiny;
        }
        memcpy(c->trial, c->step, (size_t)K * sizeof(double));
        if (largest < enough || !ot_cholesky_solve(K, c->hessian, c->step))
            break;
        for (int64_t k = 0; k < K; k++) {
            slope += c->trial[k] * c->step[k];
            longest = fmax(longest, fabs(c->step[k]));
        }
        double length = longest > unit ? unit / longest : 1.0, before = value;
        for (int half = 0; half < HALVINGS; half++, length *= 0.5) {
            for (int64_t k = 0; k < K; k++)
                c->trial[k] = c->t[k] + length * c->step[k];
            value = objective(c, c->trial, tau, n);
            if (value <= before - 1e-4 * length * slope)
                break;
        }
        if (!(value < before))
            break;
        memcpy(c->t, c->trial, (size_t)K * sizeof(double));
    }
    return steps;
}

static double hard_error(const ot_correction *c, int64_t n)
{
    int64_t K = c->groups;
    double *mass = c->mass, most = 0;
    memset(mass, 0, (size_t)K * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int64_t k = 1; k < K; k++)
            at = c->best[i * K + k] + c->t[k] > c->best[i * K + at] + c->t[at] ? k : at;
        mass[at] += 1.0 / (double)n;
    }
    for (int64_t k = 0; k < K; k++)
        most = fmax(most, fabs(mass[k] - c->target[k]));
    return most;
}

static double deviation(const double *v, int64_t n)
{
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (v[i] - mean) * (v[i] - mean) / (double)n;
    return sqrt(square);
}

static fwm_status check_run(ot_correction *c, const ot_sites *sites, int64_t K, const int64_t *group, const double *nu,
                            int64_t n)
{
    int64_t N = ot_sites_count(sites);
    double sum = 0;
    FWM_CHECK(
        n >= 1 && n <= c->n && N <= c->N && K >= 1 && K <= c->K, FWM_INVALID,
        "correction of heights: made for %lld source points, %lld points and %lld groups, found %lld, %lld and %lld",
        (long long)c->n, (long long)c->N, (long long)c->K, (long long)n, (long long)N, (long long)K);
    for (int64_t k = 0; k < K; k++)
        c->mass[k] = 0;
    for (int64_t j = 0; j < N; j++) {
        FWM_CHECK(group[j] >= 0 && group[j] < K, FWM_INVALID,
                  "correction of heights: point %lld is in group %lld of %lld", (long long)j, (long long)group[j],
                  (long long)K);
        c->mass[group[j]] += 1;
    }
    for (int64_t k = 0; k < K; k++) {
        FWM_CHECK(isfinite(nu[k]) && nu[k] >= 0 && c->mass[k] > 0, FWM_INVALID,
                  "correction of heights: group %lld has mass %g and %g points, expected at least 0 and 1",
                  (long long)k, nu[k], c->mass[k]);
        sum += nu[k];
    }
    FWM_CHECK(fabs(sum - 1) <= weight_tolerance, FWM_INVALID, "correction of heights: masses sum to %g, expected 1",
              sum);
    for (int64_t k = 0; k < K; k++)
        c->target[k] = nu[k] / sum;
    return FWM_OK;
}

fwm_status ot_correction_run(ot_correction *c, ot_correction_result *result, double *g, ot_sites *sites, int64_t K,
                             const int64_t *group, const double *nu, int64_t n, const void *source)
{
    static const double stage[STAGES] = {0.3, 0.1, 0.03, 0.01};
    ot_correction_result r = {0};
    int64_t N = ot_sites_count(sites);
    FWM_TRY(check_run(c, sites, K, group, nu, n));
    c->group = group, c->points = N, c->groups = K;
    memcpy(c->heights, g, (size_t)N * sizeof *g);
    memset(c->t, 0, (size_t)K * sizeof(double));
    ot_sites_each(sites, n, source, best_of_groups, c);
    r.before = hard_error(c, n);
    double unit = deviation(c->best, n * K);
    FWM_CHECK(isfinite(unit), FWM_NUMERIC, "correction of heights: scores of the source points are not finite");
    for (int q = 0; unit > 0 && q < STAGES; q++)
        r.steps += minimise(c, stage[q] * unit, n, unit);
    r.error = hard_error(c, n);
    for (int64_t j = 0; j < N; j++)
        g[j] += c->t[group[j]];
    centre(N, g);
    ot_sites_set_heights(sites, g);
    if (result)
        *result = r;
    return FWM_OK;
}
