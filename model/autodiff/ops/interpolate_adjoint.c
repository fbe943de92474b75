/* The adjoint of interpolate: y[b,i_p,a] += (1 - t_p) u[b,p,a], y[b,j_p,a] += t_p u[b,p,a] from zero: see
 * interpolate.h; du = interpolate(dy). An element's terms are added in the order of p by one thread. */
#include "model/autodiff/ops/interpolate.h"

static void add_columns(const real *u, const interpolate_tap *tap, int64_t from, int64_t to, int64_t stride,
                        int64_t width, real *y)
{
    for (int64_t k = 0; k < to; k++)
        memset(y + k * stride, 0, (size_t)width * sizeof *y);
    for (int64_t p = 0; p < from; p++) {
        const real *restrict row = u + p * stride;
        real *first = y + tap[p].first * stride, *second = y + tap[p].second * stride, t = (real)tap[p].t;
        for (int64_t a = 0; a < width; a++)
            first[a] += (1 - t) * row[a];
        for (int64_t a = 0; a < width; a++)
            second[a] += t * row[a];
    }
}

static fwm_status run(const ad_call *call)
{
    index_view v = index_view_of(call->in_shape[0], (int)call->attr->i[0]);
    int64_t n = call->attr->i[1];
    interpolate_tap *tap = call->scratch;
    interpolate_taps(n, v.length, tap);
#pragma omp parallel for collapse(2) schedule(static) if (v.before * (n + v.length) * v.after > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < v.before; b++)
        for (int64_t a = 0; a < v.after; a += INDEX_COLUMNS)
            add_columns((const real *)call->in[0] + b * v.length * v.after + a, tap, v.length, n, v.after,
                        v.after - a < INDEX_COLUMNS ? v.after - a : INDEX_COLUMNS,
                        (real *)call->out + b * n * v.after + a);
    return FWM_OK;
}
AD_KERNEL(interpolate_adjoint, run)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    int axis = (int)ad_attributes_of(g, y)->i[0];
    dx[0] = interpolate_apply(g, "interpolate", dy, axis, ad_dim(g, ad_input_of(g, y, 0), axis));
}

const ad_op ad_op_interpolate_adjoint = {
    .name = "interpolate_adjoint",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = interpolate_shape,
    .gradient = gradient,
    .scratch = interpolate_scratch,
    .flops = interpolate_flops,
    .onnx = "none (training only)",
    .samples = interpolate_samples,
};
#endif
