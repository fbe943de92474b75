/* The reduction of x [before, reduced, after] over its middle, as a template: define REDUCE_START (the neutral element)
 * and REDUCE_STEP(acc, x) in double, then include this in one .c of ops/.
 *
 * Work is cut into pieces that depend on the shape alone, and partial results are combined in order, so that a result
 * does not depend on the thread count. A piece adds rows of `after` elements into an array of double accumulators;
 * where `after` is short, several rows are taken as one long one so that the loop stays vector code. */
#include "model/autodiff/ops/reduction.h"
#include "model/base/threads.h"

enum {
    REDUCE_LANES = 64,    /* shortest array of accumulators, */
    REDUCE_FEW_LANES = 8, /* but for a single row of less than REDUCE_LONG_ROW */
    REDUCE_LONG_ROW = 512,
    REDUCE_BLOCK = 512,  /* longest */
    REDUCE_CHUNK = 4096, /* elements of the smallest chunk; with as many results, nothing is cut */
    REDUCE_MAX_CHUNKS = 16
};

/* Into how many chunks the reduced length is cut: only where the results are too few to share out. */
static int64_t reduce_chunks(const ad_span *s)
{
    if (s->before * s->after >= REDUCE_CHUNK)
        return 1;
    int64_t n = s->reduced * s->after / REDUCE_CHUNK;
    return n < 1 ? 1 : n > REDUCE_MAX_CHUNKS ? REDUCE_MAX_CHUNKS : n;
}

/* total[0..after-1] over `rows` rows of a short `after`. */
static void reduce_short(const real *x, int64_t rows, int64_t after, double *total)
{
    double acc[2 * REDUCE_LANES];
    int64_t group = (REDUCE_LANES + after - 1) / after, width = group * after;
    for (int64_t i = 0; i < width; i++)
        acc[i] = REDUCE_START;
    int64_t r = 0;
    for (; r + group <= rows; r += group, x += width) {
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            acc[i] = REDUCE_STEP(acc[i], (double)x[i]);
    }
    for (int64_t i = 0; i < (rows - r) * after; i++)
        acc[i] = REDUCE_STEP(acc[i], (double)x[i]);
    for (int64_t i = 0; i < after; i++) {
        double t = acc[i];
        for (int64_t k = 1; k < group; k++)
            t = REDUCE_STEP(t, acc[k * after + i]);
        total[i] = t;
    }
}

/* As above with after = 1: the fixed number of accumulators lets them stay in registers, and few suit short rows. */
static inline __attribute__((always_inline)) void reduce_lanes(const real *x, int64_t n, int lanes, double *total)
{
    double acc[REDUCE_LANES];
    for (int i = 0; i < lanes; i++)
        acc[i] = REDUCE_START;
    int64_t at = 0;
    for (; at + lanes <= n; at += lanes) {
#pragma omp simd
        for (int i = 0; i < lanes; i++)
            acc[i] = REDUCE_STEP(acc[i], (double)x[at + i]);
    }
    for (int64_t i = at; i < n; i++)
        acc[i - at] = REDUCE_STEP(acc[i - at], (double)x[i]);
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            acc[i] = REDUCE_STEP(acc[i], acc[half + i]);
    *total = acc[0];
}

static void reduce_row(const real *x, int64_t n, double *total)
{
    if (n < REDUCE_LONG_ROW)
        reduce_lanes(x, n, REDUCE_FEW_LANES, total);
    else
        reduce_lanes(x, n, REDUCE_LANES, total);
}

/* total[0..width-1] over `rows` rows that are `stride` apart; width <= REDUCE_BLOCK. */
static void reduce_wide(const real *x, int64_t rows, int64_t stride, int64_t width, double *total)
{
    for (int64_t i = 0; i < width; i++)
        total[i] = REDUCE_START;
    for (int64_t r = 0; r < rows; r++, x += stride) {
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            total[i] = REDUCE_STEP(total[i], (double)x[i]);
    }
}

/* Chunk `chunk` of `chunks` of the reduced length, columns q0 .. q0+width-1, of outer index p. */
static void reduce_piece(const real *x, const ad_span *s, int64_t p, int64_t chunk, int64_t chunks, int64_t q0,
                         int64_t width, double *total)
{
    int64_t r0 = s->reduced * chunk / chunks, rows = s->reduced * (chunk + 1) / chunks - r0;
    x += (p * s->reduced + r0) * s->after + q0;
    if (s->after == 1)
        reduce_row(x, rows, total);
    else if (s->after < REDUCE_LANES)
        reduce_short(x, rows, s->after, total);
    else
        reduce_wide(x, rows, s->after, width, total);
}

#ifdef FWM_DEFINITION
static size_t reduce_scratch(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                             const ad_attributes *attr)
{
    (void)dtype, (void)n, (void)out;
    ad_span s = ad_span_of(in[0], attr);
    int64_t chunks = reduce_chunks(&s);
    return chunks == 1 ? 0 : (size_t)(s.before * chunks * s.after) * sizeof(double);
}
#endif

static fwm_status reduce_run(const ad_call *call)
{
    ad_span s = ad_span_of(call->in_shape[0], call->attr);
    int64_t chunks = reduce_chunks(&s), blocks = (s.after + REDUCE_BLOCK - 1) / REDUCE_BLOCK;
    int64_t items = s.before * chunks * blocks;
    const real *x = call->in[0];
    real *y = call->out;
    double *partial = call->scratch;
#pragma omp parallel for schedule(static) if (s.before * s.reduced * s.after > FWM_PARALLEL_MIN)
    for (int64_t item = 0; item < items; item++) {
        int64_t p = item / (chunks * blocks), chunk = item / blocks % chunks, q0 = item % blocks * REDUCE_BLOCK;
        int64_t width = s.after - q0 < REDUCE_BLOCK ? s.after - q0 : REDUCE_BLOCK;
        double total[REDUCE_BLOCK];
        double *to = chunks == 1 ? total : partial + (p * chunks + chunk) * s.after + q0;
        reduce_piece(x, &s, p, chunk, chunks, q0, width, to);
        if (chunks == 1)
            for (int64_t i = 0; i < width; i++)
                y[p * s.after + q0 + i] = (real)total[i];
    }
    if (chunks == 1)
        return FWM_OK;
    for (int64_t p = 0; p < s.before; p++)
        for (int64_t q = 0; q < s.after; q++) {
            double total = partial[p * chunks * s.after + q];
            for (int64_t chunk = 1; chunk < chunks; chunk++)
                total = REDUCE_STEP(total, partial[(p * chunks + chunk) * s.after + q]);
            y[p * s.after + q] = (real)total;
        }
    return FWM_OK;
}
