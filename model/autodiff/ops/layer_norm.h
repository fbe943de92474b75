/* Layer normalisation over the last axis: xhat = (x - mu) r, r = 1/sqrt(var + eps), y = scale xhat + shift.
 *
 * P(x) u = r (u - mean(u) - xhat mean(u xhat)) is the (symmetric) derivative of xhat in x, so three operators close the
 * family:
 *
 *   layer_norm        (x, scale, shift) -> y
 *   layer_norm_dx     (x, u, scale)     -> P(x)(scale u)
 *   layer_norm_params (x, u)            -> [2,C]: sum u xhat | sum u
 *
 * A row belongs to one thread and is summed in double; the sums over rows run over fixed chunks, combined in order. */
#ifndef FWM_AUTODIFF_OPS_LAYER_NORM_H
#define FWM_AUTODIFF_OPS_LAYER_NORM_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <math.h>

/* mu and r of a row; the second pass takes mu off first, so nothing cancels. */
static inline void layer_moments(int64_t C, const real *x, double eps, double *mu, double *r)
{
    double sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; c++)
        sum += (double)x[c];
    double mean = sum / (double)C;
#pragma omp simd reduction(+ : square)
    for (int64_t c = 0; c < C; c++)
        square += ((double)x[c] - mean) * ((double)x[c] - mean);
    *mu = mean;
    *r = 1.0 / sqrt(square / (double)C + eps);
}

#ifdef FWM_DEFINITION

static inline fwm_status layer_check(const ad_shape *x, const ad_shape *u, const ad_shape *scale)
{
    FWM_CHECK(x->rank >= 1, FWM_SHAPE, "expected at least one axis");
    FWM_CHECK(!u || ad_shape_equal(x, u), FWM_SHAPE, "x and its cotangent differ in shape");
    FWM_CHECK(!scale || (scale->rank == 1 && scale->dim[0] == x->dim[x->rank - 1]), FWM_SHAPE,
              "expected scale and shift of shape [%lld]", (long long)x->dim[x->rank - 1]);
    return FWM_OK;
}

static inline int64_t layer_rows(const ad_shape *x)
{
    return ad_shape_count(x) / x->dim[x->rank - 1];
}

/* Samples: `order` names the inputs, x for a tensor, c for a vector. */
static inline int layer_samples(ad_sample *out, int capacity, const char *order)
{
    for (int k = 0; k < 2 && k < capacity; k++) {
        int64_t C = k ? 5 : 4;
        out[k] = (ad_sample){.lo = -1, .hi = 1, .attr.f = {1e-3}};
        for (; order[out[k].n_in]; out[k].n_in++)
            out[k].in[out[k].n_in] = order[out[k].n_in] == 'c' ? ad_shape_make(1, C)
                                     : k                       ? ad_shape_make(3, 2, 3, C)
                                                               : ad_shape_make(2, 3, C);
    }
    return capacity < 2 ? capacity : 2;
}

/* The operators on values; eps as in `like`. */
static inline ad_value layer_apply(ad_graph *g, const char *name, int n, const ad_value *in, const ad_attributes *like)
{
    ad_attributes attr = {.f = {like->f[0]}};
    return ad_apply(g, ad_op_find(name), n, in, &attr);
}

static inline ad_value layer_constant(ad_graph *g, ad_value x, double value)
{
    return ad_fill(g, ad_shape_make(1, ad_dim(g, x, -1)), value);
}

/* Row 0 or 1 of layer_norm_params, as [C]. */
static inline ad_value layer_row(ad_graph *g, ad_value params, int row)
{
    return ad_reshape(g, ad_slice(g, params, 0, row, 1), ad_shape_make(1, ad_dim(g, params, 1)));
}

#endif
#endif
