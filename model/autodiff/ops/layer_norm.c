/* y = scale (x - mu) r + shift over the last axis: see layer_norm.h. f[0]: eps. */
#include "model/autodiff/ops/layer_norm.h"

static fwm_status run(const ad_call *call)
{
    int64_t C = call->out_shape->dim[call->out_shape->rank - 1], rows = ad_shape_count(call->out_shape) / C;
    const real *x = call->in[0], *scale = call->in[1], *shift = call->in[2];
    real *y = call->out;
#pragma omp parallel for schedule(static) if (rows * C > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++) {
        const real *from = x + row * C;
        real *restrict to = y + row * C;
        double mu, r;
        layer_moments(C, from, call->attr->f[0], &mu, &r);
        real m = (real)mu, s = (real)r;
        for (int64_t c = 0; c < C; c++)
            to[c] = (from[c] - m) * s * scale[c] + shift[c];
    }
    return FWM_OK;
}
AD_KERNEL(layer_norm, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    FWM_TRY(layer_check(in[0], NULL, in[1]));
    *out = *in[0];
    return layer_check(in[0], NULL, in[2]);
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), scale = ad_input_of(g, y, 1);
    ad_attributes attr = *ad_attributes_of(g, y);
    if (need[0])
        dx[0] = layer_apply(g, "layer_norm_dx", 3, (ad_value[]){x, dy, scale}, &attr);
    if (!need[1] && !need[2])
        return;
    ad_value params = layer_apply(g, "layer_norm_params", 2, (ad_value[]){x, dy}, &attr);
    dx[1] = layer_row(g, params, 0);
    dx[2] = layer_row(g, params, 1);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)attr;
    return 8.0 * (double)ad_shape_count(out);
}

static int samples(ad_sample *s, int capacity)
{
    return layer_samples(s, capacity, "xcc");
}

const ad_op ad_op_layer_norm = {
    .name = "layer_norm",
    .min_inputs = 3,
    .max_inputs = 3,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "LayerNormalization (axis -1)",
    .samples = samples,
};

ad_value ad_layer_norm(ad_graph *g, ad_value x, ad_value scale, ad_value shift, double eps)
{
    ad_attributes attr = {.f = {eps}};
    return ad_apply(g, &ad_op_layer_norm, 3, (ad_value[]){x, scale, shift}, &attr);
}
#endif
