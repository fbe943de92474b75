/* w[i,j,c,o] = sum over pixels of x[.., i, j, c] y[.., o]: the adjoint of conv2d in w. kh and kw are attributes.
 * With cotangent c of w:  dx = conv2d_transpose(y, c), dy = conv2d(x, c). */
#include "model/autodiff/ops/conv.h"

static fwm_status run(const ad_call *call)
{
    ad_conv_geometry s = conv_geometry(call->in_shape[0], call->out_shape, call->in_shape[1], call->attr);
    return conv_run(AD_CONV_BACKWARD_WEIGHTS, &s, call, call->in[0], call->out, call->in[1]);
}
AD_KERNEL(conv2d_weight_grad, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    const ad_shape *x = in[0], *y = in[1];
    FWM_TRY(conv_check_ranks(x, y));
    FWM_CHECK(x->dim[0] == y->dim[0], FWM_SHAPE, "batches of %lld and %lld images", (long long)x->dim[0],
              (long long)y->dim[0]);
    int64_t groups = attr->i[CONV_GROUPS];
    FWM_TRY(conv_check_channels(attr, x->dim[3], y->dim[3], groups > 0 ? x->dim[3] / groups : 0));
    *out = (ad_shape){.rank = 4};
    out->dim[2] = x->dim[3] / groups;
    out->dim[3] = y->dim[3];
    for (int axis = 0; axis < 2; axis++) {
        int64_t size = 0, kernel = attr->i[CONV_SIZE + axis];
        FWM_TRY(conv_output_size(attr, axis, x->dim[axis + 1], kernel, &size));
        FWM_CHECK(size == y->dim[axis + 1], FWM_SHAPE, "a kernel of %lld on axis %d gives %lld positions, found %lld",
                  (long long)kernel, axis, (long long)size, (long long)y->dim[axis + 1]);
        out->dim[axis] = kernel;
    }
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value w, ad_value c, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, w, 0), y = ad_input_of(g, w, 1);
    ad_attributes attr = *ad_attributes_of(g, w);
    if (need[0])
        dx[0] = conv_apply(g, "conv2d_transpose", y, c, &attr, ad_dim(g, x, 1), ad_dim(g, x, 2));
    if (need[1])
        dx[1] = conv_apply(g, "conv2d", x, c, &attr, 0, 0);
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    (void)n;
    ad_conv_geometry s = conv_geometry(in[0], out, in[1], attr);
    return conv_prepare(AD_CONV_BACKWARD_WEIGHTS, dtype, &s, state, scratch_size);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n;
    ad_conv_geometry s = conv_geometry(in[0], out, in[1], attr);
    return conv_flops(&s);
}

static int samples(ad_sample *s, int capacity)
{
    return conv_samples(AD_CONV_BACKWARD_WEIGHTS, s, capacity);
}

const ad_op ad_op_conv2d_weight_grad = {
    .name = "conv2d_weight_grad",
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
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
