/* (x, u, scale) -> P(x)(scale u), the gradient of rms_norm in x: see rms_norm.h. f[0]: eps. */
#include "model/autodiff/ops/rms_norm.h"

static fwm_status run(const ad_call *call)
{
    int64_t C = call->out_shape->dim[call->out_shape->rank - 1], rows = ad_shape_count(call->out_shape) / C;
    const real *x = call->in[0], *u = call->in[1], *scale = call->in[2];
    real *y = call->out;
#pragma omp parallel for schedule(static) if (rows * C > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++) {
        const real *from = x + row * C, *du = u + row * C;
        real *restrict to = y + row * C;
        double r = rms_scale(C, from, call->attr->f[0]), sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < C; c++)
            sum += (double)(du[c] * scale[c]) * (double)from[c];
        real s = (real)r, m = (real)(r * r * r * sum / (double)C);
        for (int64_t c = 0; c < C; c++)
            to[c] = s * du[c] * scale[c] - m * from[c];
    }
    return FWM_OK;
}
AD_KERNEL(rms_norm_dx, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    *out = *in[0];
    return layer_check(in[0], in[1], in[2]);
}

/* With cotangent v, U = scale u, a = mean(U x), b = mean(v x): U gets V = P v, since P is symmetric;
 * x gets -r^3 (x (mean(v U) - 3 r^2 a b) + U b + v a), because dr = -r^3 mean(x dx). */
static void gradient(ad_graph *g, ad_value y, ad_value v, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), u = ad_input_of(g, y, 1), scale = ad_input_of(g, y, 2);
    ad_attributes attr = *ad_attributes_of(g, y);
    const int last[] = {-1};
    if (need[1] || need[2]) {
        ad_value V = layer_apply(g, "rms_norm_dx", 3, (ad_value[]){x, v, layer_constant(g, x, 1)}, &attr);
        dx[1] = ad_mul(g, scale, V);
        dx[2] = ad_mul(g, u, V);
    }
    if (!need[0])
        return;
    ad_value U = ad_mul(g, scale, u);
    ad_value r = ad_rsqrt(g, ad_affine(g, ad_mean(g, ad_square(g, x), 1, last, true), 1, attr.f[0]));
    ad_value a = ad_mean(g, ad_mul(g, U, x), 1, last, true), b = ad_mean(g, ad_mul(g, v, x), 1, last, true);
    ad_value vU = ad_mean(g, ad_mul(g, v, U), 1, last, true), square = ad_square(g, r);
    ad_value along = ad_sub(g, vU, ad_affine(g, ad_mul(g, square, ad_mul(g, a, b)), 3, 0));
    ad_value total = ad_add(g, ad_mul(g, x, along), ad_add(g, ad_mul(g, U, b), ad_mul(g, v, a)));
    dx[0] = ad_neg(g, ad_mul(g, ad_mul(g, r, square), total));
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)attr;
    return 9.0 * (double)ad_shape_count(out);
}

static int samples(ad_sample *s, int capacity)
{
    return layer_samples(s, capacity, "xxc");
}

const ad_op ad_op_rms_norm_dx = {
    .name = "rms_norm_dx",
    .min_inputs = 3,
    .max_inputs = 3,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
