/* What the noise operators share: a draw is a function of (seed, stream, step, index) and has no gradient.
 * i[0]: stream, i[1]: rank, i[2..]: shape. */
#ifndef FWM_AUTODIFF_OPS_NOISE_H
#define FWM_AUTODIFF_OPS_NOISE_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/random.h"
#include "model/base/variant.h"

static inline fwm_key ad_noise_key(const ad_call *call)
{
    return (fwm_key){call->seed, (uint32_t)call->attr->i[0]};
}

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)in;
    FWM_CHECK(attr->i[1] >= 0 && attr->i[1] <= AD_MAX_RANK, FWM_INVALID, "rank %lld", (long long)attr->i[1]);
    *out = ad_shape_from((int)attr->i[1], attr->i + 2);
    return FWM_OK;
}

static int samples(ad_sample *s, int capacity)
{
    if (capacity < 1)
        return 0;
    s[0] = (ad_sample){.attr.i = {7, 2, 3, 5}};
    return 1;
}

/* The description and the builder, whose stream is one that no other operator of the graph has. */
#define AD_NOISE_DEFINE(op_name, onnx_form)                                                                            \
    const ad_op ad_op_##op_name = {                                                                                    \
        .name = #op_name,                                                                                              \
        .flags = AD_RANDOM | AD_NO_GRADIENT,                                                                           \
        .shape = shape,                                                                                                \
        .onnx = onnx_form " (an exported model takes the noise as an input)",                                          \
        .samples = samples,                                                                                            \
    };                                                                                                                 \
    ad_value ad_##op_name(ad_graph *g, ad_shape s)                                                                     \
    {                                                                                                                  \
        ad_attributes attr = {.i = {(int64_t)ad_graph_next_stream(g), s.rank}};                                        \
        for (int k = 0; k < s.rank && k < AD_MAX_RANK; k++)                                                            \
            attr.i[2 + k] = s.dim[k];                                                                                  \
        return ad_apply(g, &ad_op_##op_name, 0, NULL, &attr);                                                          \
    }
#else
#define AD_NOISE_DEFINE(op_name, onnx_form)
#endif

#endif
