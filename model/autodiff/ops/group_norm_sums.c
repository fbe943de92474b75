/* (x, dy, scale, shift) -> [B, 2C+2G]: sum dn | sum dn xhat | mu | r of each sample: see group_norm.h. */
#include "model/autodiff/ops/group_norm.h"

enum { MU, R };

static int64_t width(const norm_geometry *s)
{
    return 2 * s->C + 2 * s->G;
}

static void keep_moments(const norm_pass *p, int64_t b)
{
    real *out = p->out + b * width(&p->s) + 2 * p->s.C;
    for (int64_t group = 0; group < p->s.G; group++) {
        double mu, r;
        norm_group_moments(p, b, group, &mu, &r);
        out[group] = (real)mu;
        out[p->s.G + group] = (real)r;
        for (int64_t c = group * p->s.K; c < (group + 1) * p->s.K; c++) {
            norm_coefficient(p, b, MU)[c] = (real)mu;
            norm_coefficient(p, b, R)[c] = (real)r;
        }
    }
}

/* part[i] += dn, products[i] += dn xhat over one piece of a row. */
static inline void sum_span(const norm_pass *p, int64_t b, int64_t row, int64_t c, int64_t span, real *restrict part,
                            real *restrict products)
{
    int64_t at = (b * p->s.S + row) * p->s.C + c;
    const real *restrict x = p->x + at, *restrict dy = p->dy + at, *restrict scale = p->scale + c;
    const real *restrict shift = p->shift + c, *restrict mu = norm_coefficient(p, b, MU) + c;
    const real *restrict r = norm_coefficient(p, b, R) + c;
    if (p->silu) {
#pragma omp simd
        for (int64_t i = 0; i < span; i++) {
            real xhat = (x[i] - mu[i]) * r[i], dn = dy[i] * norm_silu_slope(scale[i] * xhat + shift[i]);
            part[i] += dn;
            products[i] += dn * xhat;
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < span; i++) {
            real xhat = (x[i] - mu[i]) * r[i];
            part[i] += dy[i];
            products[i] += dy[i] * xhat;
        }
    }
}

static void sum_chunk(const norm_pass *p, int64_t b, int64_t chunk)
{
    int64_t C = p->s.C, last = norm_last_row(p, chunk);
    double *sum1 = norm_partial(p, b, chunk), *sum2 = sum1 + C;
    memset(sum1, 0, (size_t)(2 * C) * sizeof *sum1);
    for (int64_t row = chunk * p->s.rows; row < last; row += NORM_RUN)
        for (int64_t c = 0; c < C; c += NORM_SPAN) {
            int64_t end = last - row < NORM_RUN ? last : row + NORM_RUN, span = C - c < NORM_SPAN ? C - c : NORM_SPAN;
            real part[NORM_SPAN] = {0}, products[NORM_SPAN] = {0};
            for (int64_t k = row; k < end; k++)
                sum_span(p, b, k, c, span, part, products);
            for (int64_t i = 0; i < span; i++) {
                sum1[c + i] += (double)part[i];
                sum2[c + i] += (double)products[i];
            }
        }
}

static void combine(const norm_pass *p, int64_t b)
{
    real *out = p->out + b * width(&p->s);
    for (int64_t c = 0; c < 2 * p->s.C; c++) {
        double sum = 0;
        for (int64_t chunk = 0; chunk < p->s.chunks; chunk++)
            sum += norm_partial(p, b, chunk)[c];
        out[c] = (real)sum;
    }
}

static fwm_status run(const ad_call *call)
{
    norm_pass p = norm_pass_of(call);
    p.dy = call->in[1], p.scale = call->in[2], p.shift = call->in[3];
    norm_run(&p, 2, (const norm_phase[]){{norm_moments_chunk, keep_moments}, {sum_chunk, combine}});
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
    *out = ad_shape_make(2, s.B, width(&s));
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
