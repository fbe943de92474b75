/* (x, dy, scale, shift) -> [B, 2C+2G]: sum dn | sum dn xhat | mu | r of each sample: see group_norm.h. */
#include "model/autodiff/ops/group_norm_backward.h"

static fwm_status run(const ad_call *call)
{
    norm_pass p = norm_pass_of(call);
    p.found = call->out;
    p.dy = call->in[1], p.scale = call->in[2], p.shift = call->in[3];
    norm_run(&p, 2, (const norm_phase[]){{norm_moments_chunk, norm_keep_moments}, {norm_sum_chunk, norm_combine}});
    return FWM_OK;
}
AD_KERNEL(group_norm_sums, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    FWM_TRY(norm_check(in[0], in[2], in[3], attr));
    FWM_CHECK(ad_shape_equal(in[0], in[1]), FWM_SHAPE, "x and dy differ in shape");
    norm_geometry s = norm_geometry_of(in[0], attr);
    *out = ad_shape_make(2, s.B, norm_width(&s));
    return FWM_OK;
}

/* With cotangents d1, d2 of the sums and e = d1 + d2 xhat of dn; what reaches xhat goes on to x, mu and r, and these,
 * being functions of x, pass dmu / N - dr r^2 xhat / N. */
static void gradient(ad_graph *g, ad_value y, ad_value cotangent, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), dy = ad_input_of(g, y, 1);
    ad_attributes attr = *ad_attributes_of(g, y);
    norm_graph q = norm_graph_of(g, x, dy, y, ad_input_of(g, y, 2), ad_input_of(g, y, 3), &attr);
    int64_t C = q.s.C, G = q.s.G;
    double n = (double)(q.s.S * q.s.K);
    ad_value d1 = norm_part(&q, cotangent, 0, C), d2 = norm_part(&q, cotangent, C, C);
    ad_value e = ad_add(g, d1, ad_mul(g, d2, q.xhat));
    norm_through t = norm_through_dn(&q, e);
    if (need[0]) {
        ad_value h = norm_plus(&q, ad_mul(g, d2, q.dn), t.xhat), hr = ad_mul(g, h, q.r);
        ad_value dmu = ad_sub(g, norm_part(&q, cotangent, 2 * C, G), norm_group_sum(&q, hr));
        ad_value dr = ad_add(g, norm_part(&q, cotangent, 2 * C + G, G), norm_group_sum(&q, ad_mul(g, h, q.centred)));
        ad_value pull = ad_mul(g, ad_mul(g, dr, ad_square(g, q.r)), q.xhat);
        ad_value total = ad_add(g, hr, ad_affine(g, ad_sub(g, dmu, pull), 1 / n, 0));
        dx[0] = ad_reshape(g, total, *ad_shape_of(g, x));
    }
    if (need[1])
        dx[1] = ad_reshape(g, t.dy, *ad_shape_of(g, dy));
    if (need[2])
        dx[2] = norm_channel_sum(&q, t.scale);
    if (need[3])
        dx[3] = norm_channel_sum(&q, t.shift);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)out;
    return (attr->i[1] ? 32.0 : 10.0) * (double)ad_shape_count(in[0]);
}

static int samples(ad_sample *s, int capacity)
{
    return norm_samples(s, capacity, 4, "xxcc");
}

const ad_op ad_op_group_norm_sums = {
    .name = "group_norm_sums",
    .min_inputs = 4,
    .max_inputs = 4,
    .shape = shape,
    .gradient = gradient,
    .scratch = norm_scratch,
    .flops = flops,
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
