/* y = f(x_0, ...) computed outside the engine: attr.object is an ad_custom that the caller owns.
 * Its gradient is one custom_vjp value, a flat vector with the cotangents of the wanted inputs one after the other, of
 * which each is a slice. */
#include "model/autodiff/ops/custom.h"

static fwm_status run(const ad_call *call)
{
    const ad_custom *custom = call->attr->object;
    return custom->forward(custom->self, call->dtype, call->in, call->out);
}
AD_KERNEL(custom, run)

#ifdef FWM_DEFINITION
extern const ad_op ad_op_custom_vjp;

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    const ad_custom *custom = attr->object;
    ad_shape copy[CUSTOM_MAX_INPUTS];
    FWM_CHECK(custom && custom->shape && custom->forward, FWM_INVALID,
              "expected a description with the callbacks shape and forward");
    for (int k = 0; k < n; k++)
        copy[k] = *in[k];
    fwm_status status = custom->shape(custom->self, n, copy, out);
    return status == FWM_OK ? FWM_OK : fwm_fail_within(status, "%s", custom->name);
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    const ad_custom *custom = ad_attributes_of(g, y)->object;
    int n = ad_input_count(g, y);
    if (!custom->vjp) {
        (void)ad_graph_fail(g, FWM_UNSUPPORTED, "custom operator '%s' has no derivative", custom->name);
        return;
    }
    ad_value in[CUSTOM_MAX_INPUTS + 2];
    ad_attributes attr = {.object = custom};
    for (int k = 0; k < n; k++) {
        in[k] = ad_input_of(g, y, k);
        if (need[k])
            attr.i[0] |= INT64_C(1) << k;
    }
    in[n] = y;
    in[n + 1] = dy;
    ad_value packed = ad_apply(g, &ad_op_custom_vjp, n + 2, in, &attr);
    int64_t at = 0;
    for (int k = 0; k < n; k++) {
        if (!need[k])
            continue;
        ad_shape s = *ad_shape_of(g, in[k]);
        dx[k] = ad_reshape(g, ad_slice(g, packed, 0, at, ad_shape_count(&s)), s);
        at += ad_shape_count(&s);
    }
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)out;
    return ((const ad_custom *)attr->object)->flops;
}

/* The test's object computes x0 sin(x1). */
static int samples(ad_sample *s, int capacity)
{
    if (capacity < 1)
        return 0;
    s[0] = (ad_sample){.n_in = 2, .in = {ad_shape_make(2, 3, 4), ad_shape_make(2, 3, 4)}, .lo = -1, .hi = 1};
    return 1;
}

const ad_op ad_op_custom = {
    .name = "custom",
    .min_inputs = 1,
    .max_inputs = CUSTOM_MAX_INPUTS,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "none (the exporter refuses it by name)",
    .samples = samples,
};

ad_value ad_custom_apply(ad_graph *g, const ad_custom *custom, int n, const ad_value *inputs)
{
    ad_attributes attr = {.object = custom};
    return ad_apply(g, &ad_op_custom, n, inputs, &attr);
}
#endif
