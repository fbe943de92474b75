/* y = log sum e^x over the last axis, which becomes 1;  dx = dy softmax(x). */
#include "model/autodiff/ops/rows.h"

static fwm_status run(const ad_call *call)
{
    int64_t n = row_length(call->in_shape[0]), rows = ad_shape_count(call->out_shape);
    const real *x = call->in[0];
    real *y = call->out;
#pragma omp parallel for schedule(static) if (rows * n > FWM_PARALLEL_MIN)
    for (int64_t r = 0; r < rows; r++) {
        real m = row_max(n, x + r * n);
        y[r] = m + row_log_sum(n, x + r * n, m);
    }
    return FWM_OK;
}
AD_KERNEL(logsumexp, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    FWM_TRY(row_shape(n, in, attr, out));
    out->dim[out->rank - 1] = 1;
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_mul(g, ad_softmax(g, ad_input_of(g, y, 0)), dy);
}

const ad_op ad_op_logsumexp = {
    .name = "logsumexp",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .gradient = gradient,
    .onnx = "ReduceLogSumExp (axis -1, keepdims)",
    .samples = row_samples,
};

ad_value ad_logsumexp(ad_graph *g, ad_value x)
{
    return ad_apply(g, &ad_op_logsumexp, 1, &x, NULL);
}
#endif
