#include "model/transport/kernels/softmin.h"

#include "model/base/threads.h"
#include "model/transport/kernels/exp.h"

#include <math.h>

/* One register of numbers. */
#if FWM_ISA_LEVEL >= 4
enum { REGISTER = 64 };
#elif FWM_ISA_LEVEL >= 3
enum { REGISTER = 32 };
#else
enum { REGISTER = 16 };
#endif
typedef real vec __attribute__((vector_size(REGISTER)));
enum { LANES = REGISTER / sizeof(real), ROWS = 4, TILE = 64 };

#if FWM_REAL_BITS == 64
static const double smallest_sum = 1e-290, largest_sum = 1e290;
#else
static const double smallest_sum = 1e-28, largest_sum = 1e28;
#endif

/* What a padded column has for h: its exponential is the smallest number. */
static const real nothing = (real)-1e30;

static bool is_large(const ot_pair *p)
{
    return p->M * p->ld > FWM_PARALLEL_MIN;
}

/* ---- cost ---- */

/* ROWS rows against one panel: the sums stay in registers. Rows past the last are given as the last. */
static void cost_tile(int64_t d, const real *const x[ROWS], const real *restrict panel, real *const c[ROWS])
{
    const real *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    for (int first = 0; first < OT_PAD; first += 2 * LANES) {
        vec a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0};
        for (int64_t k = 0; k < d; k++) {
            vec a = *(const vec *)(panel + k * OT_PAD + first), b = *(const vec *)(panel + k * OT_PAD + first + LANES);
            a0 += (a - x0[k]) * (a - x0[k]);
            b0 += (b - x0[k]) * (b - x0[k]);
            a1 += (a - x1[k]) * (a - x1[k]);
            b1 += (b - x1[k]) * (b - x1[k]);
            a2 += (a - x2[k]) * (a - x2[k]);
            b2 += (b - x2[k]) * (b - x2[k]);
            a3 += (a - x3[k]) * (a - x3[k]);
            b3 += (b - x3[k]) * (b - x3[k]);
        }
        const vec low[ROWS] = {a0, a1, a2, a3}, high[ROWS] = {b0, b1, b2, b3};
        for (int r = 0; r < ROWS; r++) {
            *(vec *)(c[r] + first) = low[r] * (real)0.5;
            *(vec *)(c[r] + first + LANES) = high[r] * (real)0.5;
        }
    }
}

static void cost(const ot_pair *p, int64_t d, int64_t dp, const void *x, const void *y_panels)
{
#pragma omp parallel for schedule(static) if (is_large(p))
    for (int64_t i = 0; i < p->M; i += ROWS)
        for (int64_t j = 0; j < p->ld; j += OT_PAD) {
            const real *from[ROWS];
            real *to[ROWS];
            for (int64_t r = 0; r < ROWS; r++) {
                int64_t row = i + r < p->M ? i + r : p->M - 1;
                from[r] = (const real *)x + row * dp;
                to[r] = (real *)p->C + row * p->ld + j;
            }
            cost_tile(d, from, (const real *)y_panels + j * d, to);
        }
}

/* ---- the plan's sums ---- */

static void load_potentials(const ot_pair *p, double eps)
{
    real *k = p->k, *h = p->h;
    for (int64_t i = 0; i < p->M; i++)
        k[i] = (real)(p->log_a[i] + p->f[i] / eps);
    for (int64_t j = 0; j < p->ld; j++)
        h[j] = j < p->N ? (real)(p->log_b[j] + p->g[j] / eps) : nothing;
}

/* Sum of a row's plan over [first, last), which are multiples of OT_PAD. */
static real row_part(const real *restrict c, const real *restrict h, real k, real scale, int64_t first, int64_t last)
{
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = first; j < last; j++)
        sum += ot_exp(k + h[j] - c[j] * scale);
    return sum;
}

/* The same, with every entry added to its column too. */
static real row_and_columns(const real *restrict c, const real *restrict h, real *restrict column, real k, real scale,
                            int64_t first, int64_t last)
{
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = first; j < last; j++) {
        real e = ot_exp(k + h[j] - c[j] * scale);
        sum += e;
        column[j] += e;
    }
    return sum;
}

/* Rows [first, last) of a chunk. Of a symmetric plan only what lies right of the diagonal block is swept, for both
 * sides. */
static void sweep_chunk(const ot_pair *p, real scale, int64_t first, int64_t last, real *column)
{
    const real *k = p->k, *h = p->h;
    for (int64_t j = 0; j < p->ld; j++)
        column[j] = 0;
    for (int64_t i = first; i < last; i++) {
        const real *c = (const real *)p->C + i * p->ld;
        int64_t diagonal = p->self ? i / OT_PAD * OT_PAD : 0, right = p->self ? diagonal + OT_PAD : 0;
        real sum = row_part(c, h, k[i], scale, diagonal, right);
        p->row_sum[i] = (double)(sum + row_and_columns(c, h, column, k[i], scale, right, p->ld));
    }
}

static void sweep(const ot_pair *p, double eps)
{
    real scale = (real)(1.0 / eps);
    int64_t blocks = (p->M + OT_PAD - 1) / OT_PAD;
#pragma omp parallel if (is_large(p))
    {
#pragma omp for schedule(dynamic, 1)
        for (int64_t n = 0; n < OT_CHUNKS; n++) {
            int64_t first = blocks * n / OT_CHUNKS * OT_PAD, last = blocks * (n + 1) / OT_CHUNKS * OT_PAD;
            sweep_chunk(p, scale, first, last < p->M ? last : p->M, (real *)p->partial + n * p->ld);
        }
#pragma omp for schedule(static)
        for (int64_t j = 0; j < p->N; j++) {
            double sum = 0;
            for (int64_t n = 0; n < OT_CHUNKS; n++)
                sum += (double)((const real *)p->partial)[n * p->ld + j];
            if (p->self)
                p->row_sum[j] += sum;
            else
                p->col_sum[j] = sum;
        }
    }
}

static bool sums_are_safe(int64_t n, const double *sum)
{
    double lo = largest_sum, hi = 0, bad = 0;
#pragma omp simd reduction(min : lo) reduction(max : hi) reduction(+ : bad)
    for (int64_t i = 0; i < n; i++) {
        lo = sum[i] < lo ? sum[i] : lo;
        hi = sum[i] > hi ? sum[i] : hi;
        bad += sum[i] == sum[i] ? 0.0 : 1.0;
    }
    return lo >= smallest_sum && hi <= largest_sum && bad == 0;
}

/* ---- soft minima with the maximum taken off first ---- */

static void stable_rows(const ot_pair *p, double eps, double *ft)
{
    real scale = (real)(1.0 / eps);
    const real *restrict h = p->h;
#pragma omp parallel for schedule(static) if (is_large(p))
    for (int64_t i = 0; i < p->M; i++) {
        const real *restrict c = (const real *)p->C + i * p->ld;
        real most = h[0] - c[0] * scale;
#pragma omp simd reduction(max : most)
        for (int64_t j = 0; j < p->ld; j++) {
            real v = h[j] - c[j] * scale;
            most = v > most ? v : most;
        }
        ft[i] = -eps * ((double)most + log((double)row_part(c, h, -most, scale, 0, p->ld)));
    }
}

static void stable_columns(const ot_pair *p, double eps, double *gt)
{
    real scale = (real)(1.0 / eps);
    const real *k = p->k;
#pragma omp parallel for schedule(static) if (is_large(p))
    for (int64_t first = 0; first < p->ld; first += OT_PAD) {
        real most[OT_PAD], sum[OT_PAD] = {0};
        for (int t = 0; t < OT_PAD; t++)
            most[t] = k[0] - ((const real *)p->C)[first + t] * scale;
        for (int64_t i = 1; i < p->M; i++)
            for (int t = 0; t < OT_PAD; t++) {
                real v = k[i] - ((const real *)p->C)[i * p->ld + first + t] * scale;
                most[t] = v > most[t] ? v : most[t];
            }
        for (int64_t i = 0; i < p->M; i++) {
            const real *restrict c = (const real *)p->C + i * p->ld + first;
#pragma omp simd
            for (int t = 0; t < OT_PAD; t++)
                sum[t] += ot_exp(k[i] - c[t] * scale - most[t]);
        }
        for (int t = 0; t < OT_PAD && first + t < p->N; t++)
            gt[first + t] = -eps * ((double)most[t] + log((double)sum[t]));
    }
}

/* -eps (log sum - k), or by the stable sweep. The rounded k is the one that the sum was made with. */
static bool rows_from_sums(const ot_pair *p, double eps, double *ft)
{
    const real *k = p->k;
    if (!sums_are_safe(p->M, p->row_sum)) {
        stable_rows(p, eps, ft);
        return false;
    }
    for (int64_t i = 0; i < p->M; i++)
        ft[i] = -eps * (log(p->row_sum[i]) - (double)k[i]);
    return true;
}

static bool columns_from_sums(const ot_pair *p, double eps, double *gt)
{
    const real *h = p->h;
    if (!sums_are_safe(p->N, p->col_sum)) {
        stable_columns(p, eps, gt);
        return false;
    }
    for (int64_t j = 0; j < p->N; j++)
        gt[j] = -eps * (log(p->col_sum[j]) - (double)h[j]);
    return true;
}

static void softmin(const ot_pair *p, double eps, double *ft, double *gt)
{
    load_potentials(p, eps);
    sweep(p, eps);
    (void)rows_from_sums(p, eps, ft);
    if (!p->self)
        (void)columns_from_sums(p, eps, gt);
}

/* ---- barycentres ---- */

/* e[r][t] = exp(k_i + h_j - C_ij/eps) of rows x width, width a multiple of OT_PAD. */
static void plan_tile(const ot_pair *p, real scale, int64_t i, int64_t rows, int64_t j, int64_t width, real e[][TILE])
{
    const real *k = p->k, *restrict h = (const real *)p->h + j;
    for (int64_t r = 0; r < rows; r++) {
        const real *restrict c = (const real *)p->C + (i + r) * p->ld + j;
        real *restrict to = e[r];
#pragma omp simd
        for (int64_t t = 0; t < width; t++)
            to[t] = ot_exp(k[i + r] + h[t] - c[t] * scale);
    }
}

/* to[r] += sum_t w[r][t] y[t] for ROWS rows of dp numbers; w[r][t] = weight[r * row + t * column]. */
static inline void accumulate(real *to, int64_t dp, const real *weight, int64_t row, int64_t column, const real *y,
                              int64_t n)
{
    for (int64_t k = 0; k < dp; k += LANES) {
        vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (int64_t t = 0; t < n; t++) {
            vec v = *(const vec *)(y + t * dp + k);
            const real *w = weight + t * column;
            s0 += v * w[0];
            s1 += v * w[row];
            s2 += v * w[2 * row];
            s3 += v * w[3 * row];
        }
        *(vec *)(to + k) += s0;
        *(vec *)(to + dp + k) += s1;
        *(vec *)(to + 2 * dp + k) += s2;
        *(vec *)(to + 3 * dp + k) += s3;
    }
}

static void divide(real *to, int64_t n, double sum)
{
    for (int64_t k = 0; k < n; k++)
        to[k] = (real)((double)to[k] / sum);
}

static void barycentre_rows(const ot_pair *p, double eps, real *bar, int64_t dp, const real *y)
{
    real scale = (real)(1.0 / eps);
#pragma omp parallel for schedule(static) if (is_large(p))
    for (int64_t i = 0; i < p->M; i += ROWS) {
        real e[ROWS][TILE] __attribute__((aligned(64))) = {{0}};
        real *to = bar + i * dp; /* bar has room for a multiple of ROWS rows */
        double sum[ROWS] = {0};
        int64_t rows = p->M - i < ROWS ? p->M - i : ROWS;
        for (int64_t n = 0; n < ROWS * dp; n++)
            to[n] = 0;
        for (int64_t j = 0; j < p->ld; j += TILE) {
            int64_t width = p->ld - j < TILE ? p->ld - j : TILE;
            plan_tile(p, scale, i, rows, j, width, e);
            for (int64_t r = 0; r < rows; r++) {
                real part = 0;
#pragma omp simd reduction(+ : part)
                for (int64_t t = 0; t < width; t++)
                    part += e[r][t];
                sum[r] += (double)part;
            }
            accumulate(to, dp, &e[0][0], TILE, 1, y + j * dp, width);
        }
        for (int64_t r = 0; r < rows; r++) {
            p->row_sum[i + r] = sum[r];
            divide(to + r * dp, dp, sum[r]);
        }
    }
}

/* A thread owns a panel of columns, so nothing is shared. */
static void barycentre_columns(const ot_pair *p, double eps, real *bar, int64_t dp, const real *x)
{
    real scale = (real)(1.0 / eps);
#pragma omp parallel for schedule(static) if (is_large(p))
    for (int64_t j = 0; j < p->ld; j += OT_PAD) {
        real e[TILE][TILE] __attribute__((aligned(64))), *to = bar + j * dp;
        double sum[OT_PAD] = {0};
        for (int64_t n = 0; n < OT_PAD * dp; n++)
            to[n] = 0;
        for (int64_t i = 0; i < p->M; i += TILE) {
            int64_t rows = p->M - i < TILE ? p->M - i : TILE;
            plan_tile(p, scale, i, rows, j, OT_PAD, e);
            for (int64_t r = 0; r < rows; r++)
                for (int t = 0; t < OT_PAD; t++)
                    sum[t] += (double)e[r][t];
            for (int t = 0; t < OT_PAD; t += ROWS)
                accumulate(to + t * dp, dp, &e[0][t], 1, TILE, x + i * dp, rows);
        }
        for (int64_t t = 0; t < OT_PAD && j + t < p->N; t++) {
            p->col_sum[j + t] = sum[t];
            divide(to + t * dp, dp, sum[t]);
        }
    }
}

/* With ft known, exp(h_j + ft_i/eps - C_ij/eps) are the normalised rows whatever the potentials were. */
static void normalise_rows(const ot_pair *p, double eps, const double *ft)
{
    for (int64_t i = 0; i < p->M; i++)
        ((real *)p->k)[i] = (real)(ft[i] / eps);
}

static void normalise_columns(const ot_pair *p, double eps, const double *gt)
{
    for (int64_t j = 0; j < p->N; j++)
        ((real *)p->h)[j] = (real)(gt[j] / eps);
}

static void barycentre(const ot_pair *p, double eps, double *ft, double *gt, void *bar_x, void *bar_y, int64_t dp,
                       const void *x, const void *y)
{
    load_potentials(p, eps);
    barycentre_rows(p, eps, bar_x, dp, y);
    if (!rows_from_sums(p, eps, ft)) {
        normalise_rows(p, eps, ft);
        barycentre_rows(p, eps, bar_x, dp, y);
        load_potentials(p, eps);
    }
    if (p->self)
        return;
    if (!bar_y) {
        sweep(p, eps);
        (void)columns_from_sums(p, eps, gt);
        return;
    }
    barycentre_columns(p, eps, bar_y, dp, x);
    if (!columns_from_sums(p, eps, gt)) {
        normalise_columns(p, eps, gt);
        barycentre_columns(p, eps, bar_y, dp, x);
    }
}

extern const ot_kernels FWM_V(ot_kernels);
const ot_kernels FWM_V(ot_kernels) = {cost, softmin, barycentre};

#ifdef FWM_DEFINITION
extern const ot_kernels ot_kernels_f32_v1, ot_kernels_f32_v3, ot_kernels_f32_v4, ot_kernels_f64_v3, ot_kernels_f64_v4;

const ot_kernels *ot_kernels_find(bool is_double)
{
    static const ot_kernels *const table[2][3] = {{&ot_kernels_f32_v1, &ot_kernels_f32_v3, &ot_kernels_f32_v4},
                                                  {&ot_kernels_f64_v1, &ot_kernels_f64_v3, &ot_kernels_f64_v4}};
    int level = fwm_isa_level();
    return table[is_double][level >= 4 ? 2 : level >= 3 ? 1 : 0];
}
#endif
