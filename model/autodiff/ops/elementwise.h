/* What element-wise operators share: loops over equal shapes and over broadcast ones, shape rules, samples. */
#ifndef FWM_AUTODIFF_OPS_ELEMENTWISE_H
#define FWM_AUTODIFF_OPS_ELEMENTWISE_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <math.h>

/* y[i] = VALUE(x[i]); VALUE may read the attributes as `attr`. */
#define AD_UNARY(op_name, VALUE)                                                                                    \
    static fwm_status run(const ad_call *call)                                                                      \
    {                                                                                                               \
        int64_t n = ad_shape_count(call->out_shape);                                                                \
        const ad_attributes *attr = call->attr;                                                                     \
        (void)attr;                                                                                                 \
        const real *x = call->in[0];                                                                                \
        real *y = call->out;                                                                                        \
        _Pragma("omp parallel for simd schedule(static) if (n > FWM_PARALLEL_MIN)") for (int64_t i = 0; i < n; i++) \
            y[i] = VALUE(x[i]);                                                                                     \
        return FWM_OK;                                                                                              \
    }                                                                                                               \
    AD_KERNEL(op_name, run)

#ifdef FWM_DEFINITION
static fwm_status ad_unary_shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    *out = *in[0];
    return FWM_OK;
}

#define AD_UNARY_DEFINE(op_name, gradient_rule, more_flags, onnx_form, low, high)             \
    static int samples(ad_sample *s, int capacity)                                            \
    {                                                                                         \
        if (capacity < 2)                                                                     \
            return 0;                                                                         \
        s[0] = (ad_sample){.n_in = 1, .in = {ad_shape_make(2, 3, 5)}, .lo = low, .hi = high}; \
        s[1] = (ad_sample){.n_in = 1, .in = {ad_shape_make(1, 37)}, .lo = low, .hi = high};   \
        return 2;                                                                             \
    }                                                                                         \
    const ad_op ad_op_##op_name = {                                                           \
        .name = #op_name,                                                                     \
        .min_inputs = 1,                                                                      \
        .max_inputs = 1,                                                                      \
        .flags = AD_IN_PLACE | (more_flags),                                                  \
        .shape = ad_unary_shape,                                                              \
        .gradient = gradient_rule,                                                            \
        .onnx = onnx_form,                                                                    \
        .samples = samples,                                                                   \
    };
#endif

#endif
