/* y[b,k,a] = sum over j <= k (i[1]: j >= k) of x[b,j,a], along axis i[0];  dx = the same of dy the other way. Sums are
 * carried in double. */
#include "model/autodiff/ops/index.h"

static void sum_columns(const real *x, int64_t n, int64_t stride, int64_t width, bool reverse, real *y)
{
    double sum[INDEX_COLUMNS] = {0};
    for (int64_t k = 0; k < n; k++) {
        int64_t at = (reverse ? n - 1 - k : k) * stride;
#pragma omp simd
        for (int64_t c = 0; c < width; c++) {
            sum[c] += (double)x[at + c];
            y[at + c] = (real)sum[c];
        }
    }
}

static fwm_status run(const ad_call *call)
{
    index_view v = index_view_of(call->out_shape, (int)call->attr->i[0]);
    const real *x = call->in[0];
    real *y = call->out;
#pragma omp parallel for collapse(2) schedule(static) if (v.before * v.length * v.after > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < v.before; b++)
        for (int64_t a = 0; a < v.after; a += INDEX_COLUMNS) {
            int64_t at = b * v.length * v.after + a, width = v.after - a < INDEX_COLUMNS ? v.after - a : INDEX_COLUMNS;
            sum_columns(x + at, v.length, v.after, width, call->attr->i[1] != 0, y + at);
        }
    return FWM_OK;
}
AD_KERNEL(cumsum, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    char text[96];
    *out = *in[0];
    FWM_CHECK(attr->i[0] >= 0 && attr->i[0] < out->rank, FWM_SHAPE, "expected an axis of %s, found %lld",
              ad_shape_text(out, text), (long long)attr->i[0]);
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_attributes attr = *ad_attributes_of(g, y);
    dx[0] = ad_cumsum(g, dy, (int)attr.i[0], !attr.i[1]);
}

AD_SAMPLES({1, {{2, {3, 7}}}, -1, 1, {.i = {1, 0}}}, {1, {{2, {6, 5}}}, -1, 1, {.i = {0, 1}}},
           {1, {{3, {2, 4, 70}}}, -1, 1, {.i = {1, 1}}})
const ad_op ad_op_cumsum = {
    .name = "cumsum",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "CumSum (reverse)",
    .samples = samples,
};

ad_value ad_cumsum(ad_graph *g, ad_value x, int axis, bool reverse)
{
    if (x < 0)
        return AD_NONE;
    ad_attributes attr = {.i = {index_axis(g, x, axis), reverse}};
    return ad_apply(g, &ad_op_cumsum, 1, &x, &attr);
}
#endif
