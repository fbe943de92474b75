/* (x, dy, scale, shift) -> one vector: dx as group_norm_dx gives it, then the sums of group_norm_sums: see
 * group_norm.h. dn is kept where dx will stand, so that a sample in the second-level cache is all that is read twice.
 */
#include "model/autodiff/ops/group_norm_backward.h"

static fwm_status run(const ad_call *call)
{
    norm_pass p = norm_pass_of(call);
    p.dn = p.out;
    p.found = p.out + p.s.B * p.s.S * p.s.C;
    p.sums = p.found;
    p.dy = call->in[1], p.scale = call->in[2], p.shift = call->in[3];
    norm_run(&p, 4,
             (const norm_phase[]){{norm_moments_chunk, norm_keep_moments},
                                  {norm_sum_chunk, norm_combine},
                                  {NULL, norm_spread},
                                  {norm_dx_chunk, NULL}});
    return FWM_OK;
}
AD_KERNEL(group_norm_grad, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    FWM_TRY(norm_check(in[0], in[2], in[3], attr));
    FWM_CHECK(ad_shape_equal(in[0], in[1]), FWM_SHAPE, "x and dy differ in shape");
    const norm_geometry s = norm_geometry_of(in[0], attr);
    *out = ad_shape_make(1, ad_shape_count(in[0]) + s.B * norm_width(&s));
    return FWM_OK;
}

/* The walk through the two operators whose results stand here, with respect to copies of the inputs: it ends there,
 * although dy may depend on x. Equal inputs share a copy, whose gradient is already the sum for both. */
static void gradient(ad_graph *g, ad_value y, ad_value v, const bool *need, ad_value *dx)
{
    (void)need;
    const ad_attributes attr = *ad_attributes_of(g, y), none = {.f = {1, 0}};
    const ad_shape flat = {1, {-1}};
    ad_value in[4];
    for (int k = 0; k < 4; k++)
        in[k] = ad_apply(g, ad_op_find("affine"), 1, (ad_value[]){ad_input_of(g, y, k)}, &none);
    const ad_value sums = ad_apply(g, ad_op_find("group_norm_sums"), 4, in, &attr);
    const ad_value part =
        ad_apply(g, ad_op_find("group_norm_dx"), 5, (ad_value[]){in[0], in[1], sums, in[2], in[3]}, &attr);
    const ad_value packed = ad_concat(g, 2, (ad_value[]){ad_reshape(g, part, flat), ad_reshape(g, sums, flat)}, 0);
    if (ad_graph_status(g) != FWM_OK)
        return;
    const fwm_status status = ad_vjp(g, packed, v, 4, in, dx);
    if (status != FWM_OK)
        (void)ad_graph_fail(g, status, "%s", fwm_error_message());
    for (int k = 1; k < 4; k++)
        for (int j = 0; j < k; j++)
            if (in[j] == in[k])
                dx[k] = AD_NONE;
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)out;
    return (attr->i[1] ? 40.0 : 16.0) * (double)ad_shape_count(in[0]);
}

static int samples(ad_sample *s, int capacity)
{
    return norm_samples(s, capacity, 4, "xxcc");
}

const ad_op ad_op_group_norm_grad = {
    .name = "group_norm_grad",
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
