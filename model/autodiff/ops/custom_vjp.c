/* The vector-Jacobian product of a custom operator. Inputs: those of the custom value, the value, its cotangent.
 * attr.object: the ad_custom; i[0]: bit k is set where input k's cotangent is wanted. Output: the wanted cotangents,
 * flat, one after the other. It cannot be differentiated: asking for that is a named failure of the graph. */
#include "model/autodiff/ops/custom.h"

static fwm_status run(const ad_call *call)
{
    const ad_custom *custom = call->attr->object;
    void *dx[CUSTOM_MAX_INPUTS] = {NULL};
    int n = call->n_in - 2;
    real *at = call->out;
    for (int k = 0; k < n; k++)
        if (call->attr->i[0] >> k & 1) {
            dx[k] = at;
            at += ad_shape_count(call->in_shape[k]);
        }
    return custom->vjp(custom->self, call->dtype, call->in, call->in[n], call->in[n + 1], dx);
}
AD_KERNEL(custom_vjp, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    const ad_custom *custom = attr->object;
    int64_t count = 0;
    FWM_CHECK(custom && custom->vjp, FWM_INVALID, "expected a description with the callback vjp");
    FWM_CHECK(ad_shape_equal(in[n - 2], in[n - 1]), FWM_SHAPE, "the cotangent does not have the value's shape");
    for (int k = 0; k < n - 2; k++)
        if (attr->i[0] >> k & 1)
            count += ad_shape_count(in[k]);
    *out = ad_shape_make(1, count);
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)dy, (void)need, (void)dx;
    const ad_custom *custom = ad_attributes_of(g, y)->object;
    (void)ad_graph_fail(
        g, FWM_UNSUPPORTED,
        "custom operator '%s' gives first derivatives only: keep what needs second derivatives out of it, or "
        "put stop_gradient before it",
        custom->name);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)out;
    return 2.0 * ((const ad_custom *)attr->object)->flops;
}

/* Covered by the gradient of custom's samples: alone it has no derivative to check. */
static int samples(ad_sample *s, int capacity)
{
    (void)s, (void)capacity;
    return 0;
}

const ad_op ad_op_custom_vjp = {
    .name = "custom_vjp",
    .min_inputs = 3,
    .max_inputs = CUSTOM_MAX_INPUTS + 2,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
