/* Root-mean-square normalisation over the last axis: r = (mean(x^2) + eps)^(-1/2), y = scale r x.
 *
 * P(x) u = r u - r^3 mean(u x) x is the (symmetric) derivative of r x in x, so two operators close the family:
 *   rms_norm    (x, scale)    -> scale r x
 *   rms_norm_dx (x, u, scale) -> P(x)(scale u)
 * A row belongs to one thread and is summed in double. Attribute f[0]: eps.
 * Zhang and Sennrich, Root Mean Square Layer Normalization, 2019. */
#ifndef FWM_AUTODIFF_OPS_RMS_NORM_H
#define FWM_AUTODIFF_OPS_RMS_NORM_H

#include "model/autodiff/ops/layer_norm.h"

static inline double rms_scale(int64_t C, const real *x, double eps)
{
    double square = 0;
#pragma omp simd reduction(+ : square)
    for (int64_t c = 0; c < C; c++)
        square += (double)x[c] * (double)x[c];
    return 1.0 / sqrt(square / (double)C + eps);
}

#endif
