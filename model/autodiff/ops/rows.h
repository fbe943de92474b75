/* What the operators over the last axis share: rows, shape rule, samples. A row belongs to one thread and is summed in
 * one order, so that the bits do not depend on the number of threads. */
#ifndef FWM_AUTODIFF_OPS_ROWS_H
#define FWM_AUTODIFF_OPS_ROWS_H

#include "model/autodiff/kernels/mathfun.h"
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"

#include <math.h>

static inline int64_t row_length(const ad_shape *s)
{
    return s->dim[s->rank - 1];
}

/* The largest element; NaN where the row has one. */
static inline real row_max(int64_t n, const real *x)
{
    real m = x[0], bad = 0;
#pragma omp simd reduction(max : m) reduction(+ : bad)
    for (int64_t i = 0; i < n; i++) {
        m = x[i] > m ? x[i] : m;
        bad += x[i] == x[i] ? (real)0 : (real)1;
    }
    return bad == 0 ? m : (real)NAN;
}

/* log sum exp of a row whose largest element is m, less m. */
static inline real row_log_sum(int64_t n, const real *x, real m)
{
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += real_exp(x[i] - m);
    return REAL_FN(log)(sum);
}

#ifdef FWM_DEFINITION
static inline fwm_status row_shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    FWM_CHECK(in[0]->rank >= 1, FWM_SHAPE, "expected at least one axis");
    *out = *in[0];
    return FWM_OK;
}

static inline int row_samples(ad_sample *s, int capacity)
{
    for (int k = 0; k < 2 && k < capacity; k++)
        s[k] =
            (ad_sample){.n_in = 1, .in = {k ? ad_shape_make(3, 2, 3, 19) : ad_shape_make(2, 4, 5)}, .lo = -2, .hi = 2};
    return capacity < 2 ? capacity : 2;
}

/* Sum over the last axis, which stays as 1. */
static inline ad_value row_sum(ad_graph *g, ad_value x)
{
    return ad_sum(g, x, 1, (const int[]){-1}, true);
}
#endif
#endif
