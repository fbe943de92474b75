/* y = scale (x - mu) r + shift, optionally through SiLU: see group_norm.h. i[0]: groups, i[1]: SiLU, f[0]: eps. */
#include "model/autodiff/ops/group_norm.h"

/* y = alpha x + beta with alpha = scale r, beta = shift - scale mu r. */
static void fold(const norm_pass *p, int64_t b)
{
    real *alpha = norm_coefficient(p, b, 0), *beta = norm_coefficient(p, b, 1);
    for (int64_t group = 0; group < p->s.G; group++) {
        double mu, r;
        norm_group_moments(p, b, group, &mu, &r);
        for (int64_t c = group * p->s.K; c < (group + 1) * p->s.K; c++) {
            alpha[c] = (real)((double)p->scale[c] * r);
            beta[c] = (real)((double)p->shift[c] - (double)p->scale[c] * mu * r);
        }
    }
}

static void write_chunk(const norm_pass *p, int64_t b, int64_t chunk)
{
    int64_t C = p->s.C;
    const real *restrict alpha = norm_coefficient(p, b, 0), *restrict beta = norm_coefficient(p, b, 1);
    for (int64_t row = chunk * p->s.rows; row < norm_last_row(p, chunk); row++) {
        const real *x = p->x + (b * p->s.S + row) * C;
        real *y = p->out + (b * p->s.S + row) * C;
        if (p->silu) {
#pragma omp simd
            for (int64_t c = 0; c < C; c++) {
                real n = alpha[c] * x[c] + beta[c];
                y[c] = n * real_gate(n);
            }
        } else {
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                y[c] = alpha[c] * x[c] + beta[c];
        }
    }
}

static fwm_status run(const ad_call *call)
{
    norm_pass p = norm_pass_of(call);
    p.scale = call->in[1], p.shift = call->in[2];
    norm_run(&p, 2, (const norm_phase[]){{norm_moments_chunk, fold}, {write_chunk, NULL}});
    return FWM_OK;
}
AD_KERNEL(group_norm, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    *out = *in[0];
    return norm_check(in[0], in[1], in[2], attr);
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), scale = ad_input_of(g, y, 1), shift = ad_input_of(g, y, 2);
    ad_attributes attr = *ad_attributes_of(g, y);
    int64_t C = ad_dim(g, x, -1);
    const int64_t B = ad_dim(g, x, 0), n = ad_count(g, x), width = 2 * C + 2 * attr.i[0];
    const ad_value in[] = {x, dy, scale, shift};
    const char *op = need[0] ? "group_norm_grad" : "group_norm_sums";
    ad_value sums = ad_apply(g, ad_op_find(op), 4, in, &attr);
    if (need[0]) {
        const ad_shape whole = *ad_shape_of(g, x); /* builders move the graph's nodes */
        dx[0] = ad_reshape(g, ad_slice(g, sums, 0, 0, n), whole);
        sums = ad_reshape(g, ad_slice(g, sums, 0, n, B * width), ad_shape_make(2, B, width));
    }
    if (need[1])
        dx[1] = ad_sum(g, ad_slice(g, sums, 1, C, C), 1, (const int[]){0}, false);
    if (need[2])
        dx[2] = ad_sum(g, ad_slice(g, sums, 1, 0, C), 1, (const int[]){0}, false);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in;
    return (attr->i[1] ? 24.0 : 6.0) * (double)ad_shape_count(out);
}

static int samples(ad_sample *s, int capacity)
{
    return norm_samples(s, capacity, 3, "xcc");
}

const ad_op ad_op_group_norm = {
    .name = "group_norm",
    .min_inputs = 3,
    .max_inputs = 3,
    .shape = shape,
    .gradient = gradient,
    .scratch = norm_scratch,
    .flops = flops,
    .onnx = "Reshape, InstanceNormalization, Reshape, Mul, Add; with SiLU also Sigmoid, Mul",
    .samples = samples,
};

ad_value ad_group_norm(ad_graph *g, ad_value x, ad_value scale, ad_value shift, int groups, double eps, bool silu)
{
    ad_attributes attr = {.i = {groups, silu}, .f = {eps}};
    return ad_apply(g, &ad_op_group_norm, 3, (ad_value[]){x, scale, shift}, &attr);
}
#endif
