#include "model/autodiff/kernels/optimizer.h"

#include "model/base/variant.h"

#include <math.h>

/* A kernel from the lines that make an element's new `mi`, `pi` (and `vi`) out of `gi`. Two loops rather than a test
 * inside: both are plain streams that vectorise. Multiplication by (1 - d) of a difference keeps an average that has
 * arrived where it is. */
#define KERNEL(name, ...)                                                                                              \
    static void name(void *p_, void *m_, void *v_, void *ema_, const void *g_, const ad_update *a, int64_t n)          \
    {                                                                                                                  \
        real *restrict p = p_, *restrict m = m_, *restrict v = v_, *restrict ema = ema_;                               \
        const real *restrict g = g_;                                                                                   \
        const real s = (real)a->g_scale, b1 = (real)a->beta1, b2 = (real)a->beta2, c1 = (real)(1 - a->beta1),          \
                   c2 = (real)(1 - a->beta2), keep = (real)a->keep, rate = (real)a->rate, v_scale = (real)a->v_scale,  \
                   eps = (real)a->eps, d = (real)a->ema, of_g = (real)a->nesterov,                                     \
                   of_m = (real)(a->nesterov ? a->beta1 : 1);                                                          \
        (void)b2, (void)c1, (void)c2, (void)v_scale, (void)eps, (void)of_g, (void)of_m, (void)v;                       \
        if (ema) {                                                                                                     \
            _Pragma("omp simd") for (int64_t i = 0; i < n; i++)                                                        \
            {                                                                                                          \
                real gi = s * g[i];                                                                                    \
                __VA_ARGS__                                                                                            \
                m[i] = mi, p[i] = pi;                                                                                  \
                ema[i] += d * (pi - ema[i]);                                                                           \
            }                                                                                                          \
        } else {                                                                                                       \
            _Pragma("omp simd") for (int64_t i = 0; i < n; i++)                                                        \
            {                                                                                                          \
                real gi = s * g[i];                                                                                    \
                __VA_ARGS__                                                                                            \
                m[i] = mi, p[i] = pi;                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }

KERNEL(adamw, real mi = b1 * m[i] + c1 * gi; real vi = b2 * v[i] + c2 * gi * gi; v[i] = vi;
       real pi = keep * p[i] - rate * (mi / (REAL_FN(sqrt)(vi) * v_scale + eps));)
KERNEL(laprop, real vi = b2 * v[i] + c2 * gi * gi; v[i] = vi;
       real mi = b1 * m[i] + c1 * (gi / (REAL_FN(sqrt)(vi) * v_scale + eps)); real pi = keep * p[i] - rate * mi;)
/* The step is mi, or Nesterov's gi + b1 mi. */
KERNEL(sgd, real mi = b1 * m[i] + gi; real pi = keep * p[i] - rate * (of_g * gi + of_m * mi);)

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
const ad_optimizer_kernels FWM_V(ad_optimizer_kernels) = {
    .adamw = adamw, .laprop = laprop, .sgd = sgd, .square_sum = square_sum};

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
