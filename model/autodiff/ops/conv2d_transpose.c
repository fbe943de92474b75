/* x = conv^T(y, w): the adjoint of conv2d in x, the transposed convolution of decoders (never with a bias).
 * y [B,h,w,Cout], w [kh,kw,Cin/groups,Cout], x [B,H,W,Cin], H and W in the attributes.
 * With cotangent c of x:  dy = conv2d(c, w), dw = conv2d_weight_grad(c, y). */
#include "model/autodiff/ops/conv.h"

static fwm_status run(const ad_call *call)
{
    ad_conv_geometry s = conv_geometry(call->out_shape, call->in_shape[1], call->in_shape[0], call->attr);
    return conv_run(AD_CONV_BACKWARD_DATA, &s, call, call->out, call->in[1], call->in[0]);
}
AD_KERNEL(conv2d_transpose, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    const ad_shape *y = in[0], *w = in[1];
    FWM_TRY(conv_check_ranks(y, w));
    FWM_CHECK(y->dim[3] == w->dim[3], FWM_SHAPE, "the images have %lld channels, the weights give %lld",
              (long long)y->dim[3], (long long)w->dim[3]);
    *out = *y;
    out->dim[3] = w->dim[2] * attr->i[CONV_GROUPS];
    FWM_TRY(conv_check_channels(attr, out->dim[3], w->dim[3], w->dim[2]));
    for (int axis = 0; axis < 2; axis++) {
        int64_t size = 0, H = attr->i[CONV_SIZE + axis];
        FWM_TRY(conv_output_size(attr, axis, H, w->dim[axis], &size));
        FWM_CHECK(size == y->dim[axis + 1], FWM_SHAPE,
                  "an image of %lld positions on axis %d gives %lld after convolution, found %lld: choose another size",
                  (long long)H, axis + 1, (long long)size, (long long)y->dim[axis + 1]);
        out->dim[axis + 1] = H;
    }
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value x, ad_value c, const bool *need, ad_value *dx)
{
    ad_value y = ad_input_of(g, x, 0), w = ad_input_of(g, x, 1);
    ad_attributes attr = *ad_attributes_of(g, x);
    if (need[0])
        dx[0] = conv_apply(g, "conv2d", c, w, &attr, 0, 0);
    if (need[1])
        dx[1] = conv_apply(g, "conv2d_weight_grad", c, y, &attr, ad_dim(g, w, 0), ad_dim(g, w, 1));
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    (void)n;
    ad_conv_geometry s = conv_geometry(out, in[1], in[0], attr);
    return conv_prepare(AD_CONV_BACKWARD_DATA, dtype, &s, state, scratch_size);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n;
    ad_conv_geometry s = conv_geometry(out, in[1], in[0], attr);
    return conv_flops(&s);
}

static int samples(ad_sample *s, int capacity)
{
    return conv_samples(AD_CONV_BACKWARD_DATA, s, capacity);
}

const ad_op ad_op_conv2d_transpose = {
    .name = "conv2d_transpose",
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
    .onnx = "ConvTranspose (NCHW: Transpose around it)",
    .samples = samples,
};

ad_value ad_conv2d_transpose(ad_graph *g, ad_value x, ad_value w, int64_t H, int64_t W, const ad_conv *c)
{
    ad_attributes attr = conv_attributes(c);
    attr.i[CONV_SIZE] = H;
    attr.i[CONV_SIZE + 1] = W;
    return ad_apply(g, &ad_op_conv2d_transpose, 2, (ad_value[]){x, w}, &attr);
}
#endif
