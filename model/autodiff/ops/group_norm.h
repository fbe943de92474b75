/* Group normalisation of x [B,...,C] with optional SiLU, channels last, in fused passes.
 *
 *   xhat = (x - mu) r,  n = scale xhat + shift,  y = n or n sigmoid(n);  mu, r = 1/sqrt(var + eps) of each sample and
 * group
 *
 * Operators, each an explicit function of its inputs:
 *   group_norm      (x, scale, shift)            -> y
 *   group_norm_sums (x, dy, scale, shift)        -> [B, 2C+2G]: sum dn | sum dn xhat | mu | r,  dn = dy (dy silu'(n))
 *   group_norm_dx   (x, dy, sums, scale, shift)  -> r (scale dn - m1 - xhat m2); m1 = sum_c scale sum1 / N, m2 likewise
 *   group_norm_grad (x, dy, scale, shift)        -> dx and the sums in one vector: the gate is computed once, dn kept
 *
 * The gradients of scale and shift are the second and the first part of the sums, added over the batch.
 *
 * Sums run in `real` over 16 pixels, then in double over chunks whose length depends on the shape alone, and are
 * combined in order: the bits do not depend on the number of threads. A pivot, each channel's first pixel, is taken off
 * before squaring: no cancellation. A sample that stays in the second-level cache is read once from memory when there
 * are enough samples for the threads.
 */
#ifndef FWM_AUTODIFF_OPS_GROUP_NORM_H
#define FWM_AUTODIFF_OPS_GROUP_NORM_H

#include "model/autodiff/kernels/lanes.h"
#include "model/autodiff/kernels/mathfun.h"
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"

#include <math.h>
#include <string.h>

enum { NORM_CHUNK = 16384 }; /* elements */

typedef struct norm_geometry {
    int64_t B, S, C, G, K; /* samples, pixels, channels, groups, channels of a group */
    int64_t rows, chunks;  /* pixels of a chunk, chunks of a sample */
} norm_geometry;

static inline norm_geometry norm_geometry_of(const ad_shape *x, const ad_attributes *attr)
{
    norm_geometry s = {.B = x->dim[0], .C = x->dim[x->rank - 1], .G = attr->i[0]};
    s.S = ad_shape_count(x) / (s.B * s.C);
    s.K = s.C / s.G;
    s.rows = s.C < NORM_CHUNK ? NORM_CHUNK / s.C : 1;
    s.chunks = (s.S + s.rows - 1) / s.rows;
    return s;
}

/* Per-channel numbers of one sample that the pixel loops read. */
enum { NORM_COEFFICIENTS = 4 };

/* Scratch: [B][chunks][2C] double partial sums, then [B][4][C] coefficients. */
static inline size_t norm_scratch_size(const norm_geometry *s, size_t real_size)
{
    return (size_t)(s->B * s->chunks * 2 * s->C) * sizeof(double) +
           (size_t)(s->B * NORM_COEFFICIENTS * s->C) * real_size;
}

typedef struct norm_pass {
    norm_geometry s;
    const real *x, *dy, *scale, *shift, *sums;
    real *out;
    real *found; /* sums [B, 2C+2G] that are written */
    real *dn;    /* [B,S,C] where dn is kept; NULL: not */
    double *partial;
    real *coefficient;
    double eps;
    bool silu;
} norm_pass;

static inline norm_pass norm_pass_of(const ad_call *call)
{
    norm_pass p = {.s = norm_geometry_of(call->in_shape[0], call->attr), .x = call->in[0], .out = call->out};
    p.partial = call->scratch;
    p.coefficient = (real *)(p.partial + p.s.B * p.s.chunks * 2 * p.s.C);
    p.eps = call->attr->f[0];
    p.silu = call->attr->i[1] != 0;
    return p;
}

static inline double *norm_partial(const norm_pass *p, int64_t b, int64_t chunk)
{
    return p->partial + (b * p->s.chunks + chunk) * 2 * p->s.C;
}

static inline real *norm_coefficient(const norm_pass *p, int64_t b, int which)
{
    return p->coefficient + (b * NORM_COEFFICIENTS + which) * p->s.C;
}

static inline int64_t norm_last_row(const norm_pass *p, int64_t chunk)
{
    int64_t last = (chunk + 1) * p->s.rows;
    return last < p->s.S ? last : p->s.S;
}

static inline real norm_silu_slope(real n)
{
    real sigma = real_gate(n);
    return sigma * ((real)1 + n * ((real)1 - sigma));
}

/* Pixels and channels whose sums run in `real`: for moments in registers, otherwise in the first-level cache. */
enum { NORM_RUN = 16, NORM_SPAN = 256, NORM_VECTORS = 4, NORM_BLOCK = NORM_VECTORS * LANES };

/* Of some rows of NORM_BLOCK channels, C apart. */
LANES_INLINE void norm_moments_block(int64_t rows, int64_t C, const real *x, const real *pivot, double *restrict sum,
                                     double *restrict square)
{
    lanes part[NORM_VECTORS], squares[NORM_VECTORS], centre[NORM_VECTORS];
    real parts[NORM_BLOCK], all[NORM_BLOCK];
#pragma GCC unroll 4
    for (int v = 0; v < NORM_VECTORS; v++) {
        part[v] = squares[v] = (lanes){0};
        centre[v] = lanes_load(pivot + v * LANES);
    }
    for (int64_t k = 0; k < rows; k++, x += C)
#pragma GCC unroll 4
        for (int v = 0; v < NORM_VECTORS; v++) {
            const lanes d = lanes_load(x + v * LANES) - centre[v];
            part[v] += d;
            squares[v] += d * d;
        }
#pragma GCC unroll 4
    for (int v = 0; v < NORM_VECTORS; v++) {
        lanes_store(parts + v * LANES, part[v]);
        lanes_store(all + v * LANES, squares[v]);
    }
#pragma omp simd
    for (int i = 0; i < NORM_BLOCK; i++) {
        sum[i] += (double)parts[i];
        square[i] += (double)all[i];
    }
}

/* Sums of (x - pivot) and its square for each channel of one chunk. */
static inline void norm_moments_chunk(const norm_pass *p, int64_t b, int64_t chunk)
{
    const int64_t C = p->s.C, last = norm_last_row(p, chunk);
    const real *pivot = p->x + b * p->s.S * C;
    double *sum = norm_partial(p, b, chunk), *square = sum + C;
    memset(sum, 0, (size_t)(2 * C) * sizeof *sum);
    for (int64_t row = chunk * p->s.rows; row < last; row += NORM_RUN) {
        const int64_t rows = last - row < NORM_RUN ? last - row : NORM_RUN;
        const real *x = pivot + row * C;
        int64_t c = 0;
        for (; c + NORM_BLOCK <= C; c += NORM_BLOCK)
            norm_moments_block(rows, C, x + c, pivot + c, sum + c, square + c);
        for (; c < C; c++) {
            real part = 0, squares = 0;
            for (int64_t k = 0; k < rows; k++) {
                const real d = x[k * C + c] - pivot[c];
                part += d;
                squares += d * d;
            }
            sum[c] += (double)part;
            square[c] += (double)squares;
        }
    }
}

/* mu and r of one group from the chunks' moments. */
static inline void norm_group_moments(const norm_pass *p, int64_t b, int64_t group, double *mu, double *r)
{
    int64_t C = p->s.C, K = p->s.K, first = group * K;
    const real *pivot = p->x + b * p->s.S * C;
    double n = (double)(p->s.S * K), total = 0, spread = 0;
    double *all = norm_partial(p, b, 0); /* the later chunks are added to the first */
    for (int64_t c = first; c < first + K; c++) {
        for (int64_t chunk = 1; chunk < p->s.chunks; chunk++) {
            all[c] += norm_partial(p, b, chunk)[c];
            all[C + c] += norm_partial(p, b, chunk)[C + c];
        }
        total += (double)p->s.S * (double)pivot[c] + all[c];
    }
    *mu = total / n;
    for (int64_t c = first; c < first + K; c++) {
        double d = *mu - (double)pivot[c];
        spread += all[C + c] - 2 * d * all[c] + (double)p->s.S * d * d;
    }
    *r = 1.0 / sqrt((spread > 0 ? spread : spread < 0 ? 0 : spread) / n + p->eps);
}

/* Runs phases over all samples: `before` and `after` on every chunk, `between` once for each sample. With enough
 * samples each thread takes whole samples, otherwise the chunks are shared; the numbers are the same. */
typedef void (*norm_chunk)(const norm_pass *p, int64_t b, int64_t chunk);
typedef void (*norm_sample)(const norm_pass *p, int64_t b);
typedef struct norm_phase {
    norm_chunk chunk;
    norm_sample sample;
} norm_phase;

static inline void norm_run(const norm_pass *p, int n, const norm_phase *phase)
{
    int64_t B = p->s.B, chunks = p->s.chunks, threads = fwm_threads_count();
    bool by_sample = B % threads == 0 || B >= 4 * threads;
#pragma omp parallel if (B * p->s.S * p->s.C > FWM_PARALLEL_MIN)
    {
        if (by_sample) {
#pragma omp for schedule(static)
            for (int64_t b = 0; b < B; b++)
                for (int k = 0; k < n; k++) {
                    for (int64_t chunk = 0; phase[k].chunk && chunk < chunks; chunk++)
                        phase[k].chunk(p, b, chunk);
                    if (phase[k].sample)
                        phase[k].sample(p, b);
                }
        } else {
            for (int k = 0; k < n; k++) {
                if (phase[k].chunk) {
#pragma omp for schedule(static)
                    for (int64_t unit = 0; unit < B * chunks; unit++)
                        phase[k].chunk(p, unit / chunks, unit % chunks);
                }
                if (phase[k].sample) {
#pragma omp for schedule(static)
                    for (int64_t b = 0; b < B; b++)
                        phase[k].sample(p, b);
                }
            }
        }
    }
}

#ifdef FWM_DEFINITION

static inline fwm_status norm_check(const ad_shape *x, const ad_shape *scale, const ad_shape *shift,
                                    const ad_attributes *attr)
{
    FWM_CHECK(x->rank >= 2, FWM_SHAPE, "expected x [B,...,C], found rank %d", x->rank);
    int64_t C = x->dim[x->rank - 1], G = attr->i[0];
    FWM_CHECK(G >= 1 && C % G == 0, FWM_SHAPE, "%lld groups do not divide %lld channels", (long long)G, (long long)C);
    FWM_CHECK(scale->rank == 1 && scale->dim[0] == C && shift->rank == 1 && shift->dim[0] == C, FWM_SHAPE,
              "expected scale and shift of shape [%lld]", (long long)C);
    return FWM_OK;
}

static inline size_t norm_scratch(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                                  const ad_attributes *attr)
{
    (void)n, (void)out;
    norm_geometry s = norm_geometry_of(in[0], attr);
    return norm_scratch_size(&s, ad_dtype_size(dtype));
}

/* Samples: several groups, one group, a group a channel, a fused SiLU, one pixel. `n_in` inputs in the operator's
 * order. */
static inline int norm_samples(ad_sample *out, int capacity, int n_in, const char *order)
{
    static const struct {
        int64_t B, H, C, G, silu;
    } all[] = {{2, 3, 6, 3, 0}, {2, 3, 4, 2, 1}, {1, 5, 3, 3, 1}, {3, 2, 4, 1, 0}};
    int n = (int)(sizeof all / sizeof *all);
    for (int k = 0; k < n && k < capacity; k++) {
        int64_t C = all[k].C;
        out[k] = (ad_sample){.n_in = n_in, .lo = -1, .hi = 1, .attr.i = {all[k].G, all[k].silu}, .attr.f = {1e-3}};
        for (int i = 0; i < n_in; i++)
            out[k].in[i] = order[i] == 'x'   ? ad_shape_make(4, all[k].B, all[k].H, 2, C)
                           : order[i] == 's' ? ad_shape_make(2, all[k].B, 2 * C + 2 * all[k].G)
                                             : ad_shape_make(1, C);
    }
    return n < capacity ? n : capacity;
}

/* ---- the graph of second derivatives: [B,S,G,K] views of everything ---- */

typedef struct norm_graph {
    ad_graph *g;
    norm_geometry s;
    bool silu;
    ad_value x, dy, scale, shift; /* [B,S,G,K], [B,S,G,K], [G,K], [G,K] */
    ad_value sum1, sum2, mu, r;   /* [B,1,G,K] twice, [B,1,G,1] twice */
    ad_value centred, xhat, dn;   /* x - mu, xhat, dy s'(n) */
    ad_value slope, bend;         /* s'(n), dy s''(n) */
} norm_graph;

/* Columns [at, at + count) of [B, 2C+2G], as [B,1,G,count/G]. */
static inline ad_value norm_part(const norm_graph *q, ad_value packed, int64_t at, int64_t count)
{
    return ad_reshape(q->g, ad_slice(q->g, packed, 1, at, count), ad_shape_make(4, q->s.B, 1, q->s.G, count / q->s.G));
}

static inline norm_graph norm_graph_of(ad_graph *g, ad_value x, ad_value dy, ad_value sums, ad_value scale,
                                       ad_value shift, const ad_attributes *attr)
{
    norm_graph q = {.g = g, .s = norm_geometry_of(ad_shape_of(g, x), attr), .silu = attr->i[1] != 0};
    int64_t C = q.s.C, G = q.s.G;
    ad_shape full = ad_shape_make(4, q.s.B, q.s.S, G, q.s.K), channel = ad_shape_make(2, G, q.s.K);
    q.x = ad_reshape(g, x, full);
    q.dy = ad_reshape(g, dy, full);
    q.scale = ad_reshape(g, scale, channel);
    q.shift = ad_reshape(g, shift, channel);
    q.sum1 = norm_part(&q, sums, 0, C);
    q.sum2 = norm_part(&q, sums, C, C);
    q.mu = norm_part(&q, sums, 2 * C, G);
    q.r = norm_part(&q, sums, 2 * C + G, G);
    q.centred = ad_sub(g, q.x, q.mu);
    q.xhat = ad_mul(g, q.centred, q.r);
    q.dn = q.dy;
    if (q.silu) {
        ad_value n = ad_add(g, ad_mul(g, q.xhat, q.scale), q.shift), sigma = ad_sigmoid(g, n);
        ad_value rest = ad_affine(g, sigma, -1, 1);
        q.slope = ad_mul(g, sigma, ad_affine(g, ad_mul(g, n, rest), 1, 1));
        ad_value second =
            ad_mul(g, ad_mul(g, sigma, rest), ad_affine(g, ad_mul(g, n, ad_affine(g, sigma, -2, 1)), 1, 2));
        q.dn = ad_mul(g, q.dy, q.slope);
        q.bend = ad_mul(g, q.dy, second);
    }
    return q;
}

/* Sum over the pixels and the channels of a group: [B,S,G,K] -> [B,1,G,1]. */
static inline ad_value norm_group_sum(const norm_graph *q, ad_value v)
{
    return ad_sum(q->g, v, 2, (const int[]){1, 3}, true);
}

/* What a cotangent `e` of dn passes on to dy, scale and shift, and to xhat through n (AD_NONE without SiLU). */
typedef struct norm_through {
    ad_value dy, scale, shift, xhat;
} norm_through;

static inline norm_through norm_through_dn(const norm_graph *q, ad_value e)
{
    if (!q->silu)
        return (norm_through){e, AD_NONE, AD_NONE, AD_NONE};
    ad_value dn = ad_mul(q->g, e, q->bend); /* cotangent of n */
    return (norm_through){ad_mul(q->g, e, q->slope), ad_mul(q->g, dn, q->xhat), dn, ad_mul(q->g, dn, q->scale)};
}

static inline ad_value norm_plus(const norm_graph *q, ad_value a, ad_value b)
{
    return b == AD_NONE ? a : ad_add(q->g, a, b);
}

/* Summed over all but the channels, as [C]; zeros for AD_NONE. */
static inline ad_value norm_channel_sum(const norm_graph *q, ad_value v)
{
    ad_shape flat = ad_shape_make(1, q->s.C);
    if (v == AD_NONE)
        return ad_fill(q->g, flat, 0);
    return ad_reshape(q->g, ad_sum(q->g, v, 2, (const int[]){0, 1}, false), flat);
}

#endif
#endif
