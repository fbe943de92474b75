/* y = conv(x, w) (cross-correlation, no bias);  dx = conv2d_transpose(dy, w), dw = conv2d_weight_grad(x, dy). */
#include "model/autodiff/ops/conv.h"

static fwm_status run(const ad_call *call)
{
    ad_conv_geometry s = conv_geometry(call->in_shape[0], call->in_shape[1], call->out_shape, call->attr);
    return conv_run(AD_CONV_FORWARD, &s, call, call->in[0], call->in[1], call->out);
}
AD_KERNEL(conv2d, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    const ad_shape *x = in[0], *w = in[1];
    FWM_TRY(conv_check_ranks(x, w));
    FWM_TRY(conv_check_channels(attr, x->dim[3], w->dim[3], w->dim[2]));
    *out = *x;
    out->dim[3] = w->dim[3];
    FWM_TRY(conv_output_size(attr, 0, x->dim[1], w->dim[0], &out->dim[1]));
    return conv_output_size(attr, 1, x->dim[2], w->dim[1], &out->dim[2]);
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), w = ad_input_of(g, y, 1);
    ad_attributes attr = *ad_attributes_of(g, y);
    if (need[0])
        dx[0] = conv_apply(g, "conv2d_transpose", dy, w, &attr, ad_dim(g, x, 1), ad_dim(g, x, 2));
    if (need[1])
        dx[1] = conv_apply(g, "conv2d_weight_grad", x, dy, &attr, ad_dim(g, w, 0), ad_dim(g, w, 1));
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    (void)n;
    ad_conv_geometry s = conv_geometry(in[0], in[1], out, attr);
    return conv_prepare(AD_CONV_FORWARD, dtype, &s, state, scratch_size);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n;
    ad_conv_geometry s = conv_geometry(in[0], in[1], out, attr);
    return conv_flops(&s);
}

static int samples(ad_sample *s, int capacity)
{
    return conv_samples(AD_CONV_FORWARD, s, capacity);
}

const ad_op ad_op_conv2d = {
    .name = "conv2d",
    .min_inputs = 2,
    .max_inputs = 2,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .prepare = prepare,
    .release = conv_release,
    .implementation = conv_implementation,
    .candidates = conv_candidates,
    .flops = flops,
    .onnx = "Conv (NCHW: Transpose around it, weights to OIHW)",
    .samples = samples,
};

ad_value ad_conv2d(ad_graph *g, ad_value x, ad_value w, const ad_conv *c)
{
    ad_attributes attr = conv_attributes(c);
    return ad_apply(g, &ad_op_conv2d, 2, (ad_value[]){x, w}, &attr);
}
#endif
