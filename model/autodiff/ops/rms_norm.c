/* y = scale r x, r = (mean(x^2) + eps)^(-1/2) over the last axis: see rms_norm.h. f[0]: eps. */
#include "model/autodiff/ops/rms_norm.h"

static fwm_status run(const ad_call *call)
{
    int64_t C = call->out_shape->dim[call->out_shape->rank - 1], rows = ad_shape_count(call->out_shape) / C;
    const real *x = call->in[0], *scale = call->in[1];
    real *y = call->out;
#pragma omp parallel for schedule(static) if (rows * C > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++) {
        const real *from = x + row * C;
        real *restrict to = y + row * C, r = (real)rms_scale(C, from, call->attr->f[0]);
        for (int64_t c = 0; c < C; c++)
            to[c] = from[c] * r * scale[c];
    }
    return FWM_OK;
}
AD_KERNEL(rms_norm, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    *out = *in[0];
    return layer_check(in[0], NULL, in[1]);
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), scale = ad_input_of(g, y, 1);
    ad_attributes attr = *ad_attributes_of(g, y);
    if (need[0])
        dx[0] = layer_apply(g, "rms_norm_dx", 3, (ad_value[]){x, dy, scale}, &attr);
    if (need[1])
        dx[1] = ad_mul(g, dy, layer_apply(g, "rms_norm", 2, (ad_value[]){x, layer_constant(g, x, 1)}, &attr));
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)attr;
    return 4.0 * (double)ad_shape_count(out);
}

static int samples(ad_sample *s, int capacity)
{
    return layer_samples(s, capacity, "xc");
}

const ad_op ad_op_rms_norm = {
    .name = "rms_norm",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "RMSNormalization (opset 23), or Mul, ReduceMean, Add, Sqrt, Div before",
    .samples = samples,
};

ad_value ad_rms_norm(ad_graph *g, ad_value x, ad_value scale, double eps)
{
    ad_attributes attr = {.f = {eps}};
    return ad_apply(g, &ad_op_rms_norm, 2, (ad_value[]){x, scale}, &attr);
}
#endif
