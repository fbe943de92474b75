/* (x, u, scale) -> P(x)(scale u), the gradient of layer_norm in x: see layer_norm.h. f[0]: eps. */
#include "model/autodiff/ops/layer_norm.h"

static fwm_status run(const ad_call *call)
{
    int64_t C = call->out_shape->dim[call->out_shape->rank - 1], rows = ad_shape_count(call->out_shape) / C;
    const real *x = call->in[0], *u = call->in[1], *scale = call->in[2];
    real *y = call->out;
#pragma omp parallel for schedule(static) if (rows * C > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++) {
        const real *from = x + row * C, *du = u + row * C;
        real *restrict to = y + row * C;
        double mu, r, sum1 = 0, sum2 = 0;
        layer_moments(C, from, call->attr->f[0], &mu, &r);
        real m = (real)mu, s = (real)r;
#pragma omp simd reduction(+ : sum1, sum2)
        for (int64_t c = 0; c < C; c++) {
            real v = du[c] * scale[c], xhat = (from[c] - m) * s;
            sum1 += (double)v;
            sum2 += (double)(v * xhat);
        }
        real m1 = (real)(sum1 / (double)C), m2 = (real)(sum2 / (double)C);
        for (int64_t c = 0; c < C; c++)
            to[c] = s * (du[c] * scale[c] - m1 - (from[c] - m) * s * m2);
    }
    return FWM_OK;
}
AD_KERNEL(layer_norm_dx, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    *out = *in[0];
    return layer_check(in[0], in[1], in[2]);
}

/* With cotangent v, U = scale u, Y = P U and V = P v:  U gets V;
 * x gets -r xhat mean(v Y) - r mean(U xhat) V - r mean(v xhat) Y, because dr = -r^2 xhat / C and dxhat = P. */
static void gradient(ad_graph *g, ad_value y, ad_value v, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), u = ad_input_of(g, y, 1), scale = ad_input_of(g, y, 2);
    ad_attributes attr = *ad_attributes_of(g, y);
    const int last[] = {-1};
    ad_value one = layer_constant(g, x, 1);
    ad_value V = layer_apply(g, "layer_norm_dx", 3, (ad_value[]){x, v, one}, &attr);
    if (need[1])
        dx[1] = ad_mul(g, scale, V);
    if (need[2])
        dx[2] = ad_mul(g, u, V);
    if (!need[0])
        return;
    ad_value xhat = layer_apply(g, "layer_norm", 3, (ad_value[]){x, one, layer_constant(g, x, 0)}, &attr);
    ad_value centred = ad_sub(g, x, ad_mean(g, x, 1, last, true));
    ad_value r = ad_rsqrt(g, ad_affine(g, ad_mean(g, ad_square(g, centred), 1, last, true), 1, attr.f[0]));
    ad_value a = ad_mean(g, ad_mul(g, v, y), 1, last, true);
    ad_value b = ad_mean(g, ad_mul(g, ad_mul(g, scale, u), xhat), 1, last, true);
    ad_value c = ad_mean(g, ad_mul(g, v, xhat), 1, last, true);
    ad_value total = ad_add(g, ad_add(g, ad_mul(g, a, xhat), ad_mul(g, b, V)), ad_mul(g, c, y));
    dx[0] = ad_neg(g, ad_mul(g, r, total));
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)attr;
    return 16.0 * (double)ad_shape_count(out);
}

static int samples(ad_sample *s, int capacity)
{
    return layer_samples(s, capacity, "xxc");
}

const ad_op ad_op_layer_norm_dx = {
    .name = "layer_norm_dx",
    .min_inputs = 3,
    .max_inputs = 3,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
