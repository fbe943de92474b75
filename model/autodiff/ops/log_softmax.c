/* y = x - log sum e^x over the last axis;  dx = dy - e^y sum(dy). */
#include "model/autodiff/ops/rows.h"

static fwm_status run(const ad_call *call)
{
    int64_t n = row_length(call->out_shape), rows = ad_shape_count(call->out_shape) / n;
    const real *x = call->in[0];
    real *y = call->out;
#pragma omp parallel for schedule(static) if (rows * n > FWM_PARALLEL_MIN)
    for (int64_t r = 0; r < rows; r++) {
        const real *from = x + r * n;
        real *to = y + r * n, m = row_max(n, from), rest = row_log_sum(n, from, m);
        for (int64_t i = 0; i < n; i++)
            to[i] = (from[i] - m) - rest;
    }
    return FWM_OK;
}
AD_KERNEL(log_softmax, run)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_sub(g, dy, ad_mul(g, ad_exp(g, y), row_sum(g, dy)));
}

const ad_op ad_op_log_softmax = {
    .name = "log_softmax",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_IN_PLACE,
    .shape = row_shape,
    .gradient = gradient,
    .onnx = "LogSoftmax (axis -1)",
    .samples = row_samples,
};

ad_value ad_log_softmax(ad_graph *g, ad_value x)
{
    return ad_apply(g, &ad_op_log_softmax, 1, &x, NULL);
}
#endif
