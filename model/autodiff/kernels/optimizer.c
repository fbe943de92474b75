#include "model/autodiff/kernels/optimizer.h"

#include "model/base/variant.h"

#include <math.h>

/* Two loops rather than a test inside: both are plain streams that vectorise. Multiplication by (1 - d) of a difference
 * keeps an average that has arrived where it is. */
static void adamw(void *p_, void *m_, void *v_, void *ema_, const void *g_, const ad_adamw *a, int64_t n)
{
    real *restrict p = p_, *restrict m = m_, *restrict v = v_, *restrict ema = ema_;
    const real *restrict g = g_;
    const real s = (real)a->g_scale, b1 = (real)a->beta1, b2 = (real)a->beta2, c1 = (real)(1 - a->beta1),
               c2 = (real)(1 - a->beta2), keep = (real)a->keep, rate = (real)a->rate, v_scale = (real)a->v_scale,
               eps = (real)a->eps, d = (real)a->ema;
#define UPDATE(i)                                                                                                      \
    real gi = s * g[i];                                                                                                \
    real mi = b1 * m[i] + c1 * gi;                                                                                     \
    real vi = b2 * v[i] + c2 * gi * gi;                                                                                \
    real step = mi / (REAL_FN(sqrt)(vi) * v_scale + eps);                                                              \
    real pi = keep * p[i] - rate * step;                                                                               \
    m[i] = mi, v[i] = vi, p[i] = pi
    if (ema) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            UPDATE(i);
            ema[i] += d * (pi - ema[i]);
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            UPDATE(i);
        }
    }
#undef UPDATE
}

/* Thirty-two sums side by side hide the latency of the addition; they are combined in a fixed order. */
static double square_sum(const void *x_, int64_t n)
{
    enum { LANES = 32 };
    const real *x = x_;
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
#pragma omp simd
        for (int k = 0; k < LANES; k++)
            sum[k] += (double)x[i + k] * (double)x[i + k];
    for (int k = 0; i < n; i++, k++)
        sum[k] += (double)x[i] * (double)x[i];
    double total = 0;
    for (int k = 0; k < LANES; k++)
        total += sum[k];
    return total;
}

extern const ad_optimizer_kernels FWM_V(ad_optimizer_kernels);
const ad_optimizer_kernels FWM_V(ad_optimizer_kernels) = {.adamw = adamw, .square_sum = square_sum};

#ifdef FWM_DEFINITION
extern const ad_optimizer_kernels ad_optimizer_kernels_f32_v1, ad_optimizer_kernels_f32_v3, ad_optimizer_kernels_f32_v4,
    ad_optimizer_kernels_f64_v3, ad_optimizer_kernels_f64_v4;

const ad_optimizer_kernels *ad_optimizer_find(ad_dtype dtype, int isa_level)
{
    static const ad_optimizer_kernels *const table[2][3] = {
        [AD_F32] = {&ad_optimizer_kernels_f32_v1, &ad_optimizer_kernels_f32_v3, &ad_optimizer_kernels_f32_v4},
        [AD_F64] = {&ad_optimizer_kernels_f64_v1, &ad_optimizer_kernels_f64_v3, &ad_optimizer_kernels_f64_v4},
    };
    return table[dtype == AD_F64][isa_level >= 4 ? 2 : isa_level >= 3 ? 1 : 0];
}
#endif
