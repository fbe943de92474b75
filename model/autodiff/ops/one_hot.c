/* y[...,k] = 1 where k is the rounded index, else 0; i[0] classes, which become the last axis. No gradient. */
#include "model/autodiff/ops/index.h"

static fwm_status run(const ad_call *call)
{
    int64_t n = ad_shape_count(call->in_shape[0]), classes = call->attr->i[0];
    const real *index = call->in[0];
    real *y = call->out;
    FWM_TRY(index_check("one_hot", index, n, classes));
#pragma omp parallel for schedule(static) if (n * classes > FWM_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        memset(y + i * classes, 0, (size_t)classes * sizeof *y);
        y[i * classes + index_at(index[i])] = 1;
    }
    return FWM_OK;
}
AD_KERNEL(one_hot, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    FWM_CHECK(attr->i[0] >= 1 && attr->i[0] <= INDEX_LIMIT, FWM_INVALID, "expected 1 to %d classes, found %lld",
              INDEX_LIMIT, (long long)attr->i[0]);
    FWM_CHECK(in[0]->rank < AD_MAX_RANK, FWM_SHAPE, "expected indices of less than %d axes", AD_MAX_RANK);
    *out = *in[0];
    out->dim[out->rank++] = attr->i[0];
    return FWM_OK;
}
AD_SAMPLES({1, {{1, {9}}}, 0, 4, {.i = {5}}}, {1, {{2, {3, 4}}}, 0, 2, {.i = {3}}})
const ad_op ad_op_one_hot = {
    .name = "one_hot",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_NO_GRADIENT,
    .shape = shape,
    .onnx = "OneHot",
    .samples = samples,
};

ad_value ad_one_hot(ad_graph *g, ad_value index, int64_t classes)
{
    ad_attributes attr = {.i = {classes}};
    return ad_apply(g, &ad_op_one_hot, 1, &index, &attr);
}
#endif
