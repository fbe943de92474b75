/* Leaves: their shape is in the attributes (rank, dimensions); the plan gives them memory, and no kernel runs. */
#ifndef FWM_AUTODIFF_OPS_LEAF_H
#define FWM_AUTODIFF_OPS_LEAF_H

#include "model/autodiff/op.h"
#include "model/base/variant.h"

static fwm_status run(const ad_call *call)
{
    (void)call;
    return fwm_fail(FWM_INTERNAL, "a leaf has no kernel");
}

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)in;
    FWM_CHECK(attr->i[0] >= 0 && attr->i[0] <= AD_MAX_RANK, FWM_SHAPE, "rank: expected 0 to %d, found %lld",
              AD_MAX_RANK, (long long)attr->i[0]);
    out->rank = (int)attr->i[0];
    for (int k = 0; k < out->rank; k++)
        out->dim[k] = attr->i[k + 1];
    return FWM_OK;
}

#define AD_LEAF_DEFINE(op_name, onnx_form)                                                                             \
    const ad_op ad_op_##op_name = {                                                                                    \
        .name = #op_name, .flags = AD_LEAF | AD_NO_GRADIENT, .shape = shape, .onnx = onnx_form};
#else
#define AD_LEAF_DEFINE(op_name, onnx_form)
#endif

#define AD_LEAF_OP(op_name, onnx_form) AD_KERNEL(op_name, run) AD_LEAF_DEFINE(op_name, onnx_form)

#endif
