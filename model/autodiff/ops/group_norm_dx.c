/* (x, dy, sums, scale, shift) -> r (scale dn - m1 - xhat m2), the gradient of group_norm in x: see group_norm.h. */
#include "model/autodiff/ops/group_norm_backward.h"

static fwm_status run(const ad_call *call)
{
    norm_pass p = norm_pass_of(call);
    p.dy = call->in[1], p.sums = call->in[2], p.scale = call->in[3], p.shift = call->in[4];
    norm_run(&p, 2, (const norm_phase[]){{NULL, norm_spread}, {norm_dx_chunk, NULL}});
    return FWM_OK;
}
AD_KERNEL(group_norm_dx, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    FWM_TRY(norm_check(in[0], in[3], in[4], attr));
    norm_geometry s = norm_geometry_of(in[0], attr);
    FWM_CHECK(ad_shape_equal(in[0], in[1]), FWM_SHAPE, "x and dy differ in shape");
    FWM_CHECK(in[2]->rank == 2 && in[2]->dim[0] == s.B && in[2]->dim[1] == 2 * s.C + 2 * s.G, FWM_SHAPE,
              "expected sums [%lld,%lld]", (long long)s.B, (long long)(2 * s.C + 2 * s.G));
    *out = *in[0];
    return FWM_OK;
}

/* y = r T, T = scale dn - m1 - xhat m2; with cotangent v and q = v r:  T passes q scale to dn, -sum q to m1, -sum q
 * xhat to m2, -q m2 to xhat; m1 and m2 pass on to the sums and to the scale; xhat to x, mu and r. */
static void gradient(ad_graph *g, ad_value y, ad_value v, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), dy = ad_input_of(g, y, 1), sums = ad_input_of(g, y, 2);
    ad_attributes attr = *ad_attributes_of(g, y);
    norm_graph q = norm_graph_of(g, x, dy, sums, ad_input_of(g, y, 3), ad_input_of(g, y, 4), &attr);
    int64_t B = q.s.B, C = q.s.C, G = q.s.G;
    double n = (double)(q.s.S * q.s.K);
    const int last[] = {3};
    ad_value m1 = ad_affine(g, ad_sum(g, ad_mul(g, q.sum1, q.scale), 1, last, true), 1 / n, 0);
    ad_value m2 = ad_affine(g, ad_sum(g, ad_mul(g, q.sum2, q.scale), 1, last, true), 1 / n, 0);
    ad_value full = ad_reshape(g, v, ad_shape_make(4, B, q.s.S, G, q.s.K)), w = ad_mul(g, full, q.r);
    ad_value dm1 = ad_affine(g, norm_group_sum(&q, w), -1 / n, 0);
    ad_value dm2 = ad_affine(g, norm_group_sum(&q, ad_mul(g, w, q.xhat)), -1 / n, 0);
    norm_through t = norm_through_dn(&q, ad_mul(g, w, q.scale));
    ad_value h = norm_plus(&q, ad_neg(g, ad_mul(g, w, m2)), t.xhat), hr = ad_mul(g, h, q.r);
    if (need[0])
        dx[0] = ad_reshape(g, hr, *ad_shape_of(g, x));
    if (need[1])
        dx[1] = ad_reshape(g, t.dy, *ad_shape_of(g, dy));
    if (need[2]) {
        ad_value inner = ad_sub(g, ad_sub(g, ad_mul(g, q.scale, q.dn), m1), ad_mul(g, q.xhat, m2));
        ad_value dr = norm_group_sum(&q, ad_add(g, ad_mul(g, full, inner), ad_mul(g, h, q.centred)));
        ad_shape channels = ad_shape_make(2, B, C), groups = ad_shape_make(2, B, G);
        ad_value part[] = {ad_reshape(g, ad_mul(g, dm1, q.scale), channels),
                           ad_reshape(g, ad_mul(g, dm2, q.scale), channels),
                           ad_reshape(g, ad_neg(g, norm_group_sum(&q, hr)), groups), ad_reshape(g, dr, groups)};
        dx[2] = ad_concat(g, 4, part, 1);
    }
    if (need[3]) {
        ad_value direct = norm_channel_sum(&q, norm_plus(&q, ad_mul(g, w, q.dn), t.scale));
        ad_value means = ad_add(g, ad_mul(g, dm1, q.sum1), ad_mul(g, dm2, q.sum2));
        dx[3] = ad_add(g, direct, norm_channel_sum(&q, means));
    }
    if (need[4])
        dx[4] = norm_channel_sum(&q, t.shift);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in;
    return (attr->i[1] ? 28.0 : 7.0) * (double)ad_shape_count(out);
}

static int samples(ad_sample *s, int capacity)
{
    return norm_samples(s, capacity, 5, "xxscc");
}

const ad_op ad_op_group_norm_dx = {
    .name = "group_norm_dx",
    .min_inputs = 5,
    .max_inputs = 5,
    .shape = shape,
    .gradient = gradient,
    .scratch = norm_scratch,
    .flops = flops,
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
