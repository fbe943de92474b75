/* y[b,p,a] = (1 - t_p) x[b,i_p,a] + t_p x[b,j_p,a]: see interpolate.h;  dx = interpolate_adjoint(dy). */
#include "model/autodiff/ops/interpolate.h"

static fwm_status run(const ad_call *call)
{
    index_view v = index_view_of(call->in_shape[0], (int)call->attr->i[0]);
    int64_t n = call->attr->i[1];
    const real *x = call->in[0];
    real *y = call->out;
    interpolate_tap *tap = call->scratch;
    interpolate_taps(v.length, n, tap);
#pragma omp parallel for collapse(2) schedule(static) if (v.before * n * v.after > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < v.before; b++)
        for (int64_t p = 0; p < n; p++) {
            const real *restrict first = x + (b * v.length + tap[p].first) * v.after;
            const real *restrict second = x + (b * v.length + tap[p].second) * v.after;
            real *restrict to = y + (b * n + p) * v.after, t = (real)tap[p].t;
#pragma omp simd
            for (int64_t a = 0; a < v.after; a++)
                to[a] = first[a] + t * (second[a] - first[a]);
        }
    return FWM_OK;
}
AD_KERNEL(interpolate, run)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    int axis = (int)ad_attributes_of(g, y)->i[0];
    dx[0] = interpolate_apply(g, "interpolate_adjoint", dy, axis, ad_dim(g, ad_input_of(g, y, 0), axis));
}

const ad_op ad_op_interpolate = {
    .name = "interpolate",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = interpolate_shape,
    .gradient = gradient,
    .scratch = interpolate_scratch,
    .flops = interpolate_flops,
    .onnx = "Resize (linear, half_pixel)",
    .samples = interpolate_samples,
};

ad_value ad_interpolate(ad_graph *g, ad_value x, int axis, int64_t length)
{
    if (x < 0)
        return AD_NONE;
    int normal = index_axis(g, x, axis);
    if (normal >= 0 && normal < ad_shape_of(g, x)->rank && ad_dim(g, x, normal) == length)
        return x;
    return interpolate_apply(g, "interpolate", x, normal, length);
}
#endif
