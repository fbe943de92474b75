/* y = the inputs one after another along axis i[0];  dx[k] = the slice of dy that came from it. */
#include "model/autodiff/kernels/copy.h"
#include "model/autodiff/ops/axis.h"

static fwm_status run(const ad_call *call)
{
    int axis = (int)call->attr->i[0];
    int64_t y_stride = ad_run_from(call->out_shape, axis), rows = ad_shape_count(call->out_shape) / y_stride;
    real *y = call->out;
    for (int k = 0; k < call->n_in; k++) {
        int64_t length = ad_run_from(call->in_shape[k], axis);
        real_copy_rows(y, y_stride, call->in[k], length, length, rows);
        y += length;
    }
    return FWM_OK;
}
AD_KERNEL(concat, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    int axis = (int)attr->i[0];
    char a[96], b[96];
    *out = *in[0];
    FWM_CHECK(axis >= 0 && axis < out->rank, FWM_SHAPE, "expected an axis of %s, found %d", ad_shape_text(out, a),
              axis);
    for (int k = 1; k < n; k++) {
        ad_shape same = *in[k];
        FWM_CHECK(same.rank == out->rank, FWM_SHAPE, "expected %d axes in every input, found %s (input %d)", out->rank,
                  ad_shape_text(in[k], b), k);
        same.dim[axis] = in[0]->dim[axis];
        FWM_CHECK(ad_shape_equal(&same, in[0]), FWM_SHAPE, "expected %s but for axis %d, found %s (input %d)",
                  ad_shape_text(in[0], a), axis, ad_shape_text(in[k], b), k);
        out->dim[axis] += in[k]->dim[axis];
    }
    return FWM_OK;
}
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    int axis = (int)ad_attributes_of(g, y)->i[0];
    int64_t start = 0;
    for (int k = 0; k < ad_input_count(g, y); k++) {
        int64_t length = ad_dim(g, ad_input_of(g, y, k), axis);
        if (need[k])
            dx[k] = ad_slice(g, dy, axis, start, length);
        start += length;
    }
}
AD_SAMPLES({2, {{2, {3, 2}}, {2, {3, 4}}}, -1, 1, {.i = {1}}}, {3, {{1, {3}}, {1, {1}}, {1, {4}}}, -1, 1, {.i = {0}}},
           {2, {{4, {2, 2, 3, 2}}, {4, {2, 2, 3, 3}}}, -1, 1, {.i = {3}}}, {1, {{2, {2, 3}}}, -1, 1, {.i = {1}}})
const ad_op ad_op_concat = {
    .name = "concat",
    .min_inputs = 1,
    .max_inputs = -1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Concat",
    .samples = samples,
};

ad_value ad_concat(ad_graph *g, int n, const ad_value *x, int axis)
{
    if (n < 1 || x[0] < 0)
        return n < 1 ? ad_graph_fail(g, FWM_INVALID, "concat: expected at least one input, found %d", n) : AD_NONE;
    if (n == 1)
        return x[0];
    int normal = ad_axis(axis, ad_shape_of(g, x[0])->rank);
    ad_attributes attr = {.i = {normal >= 0 ? normal : axis}};
    return ad_apply(g, &ad_op_concat, n, x, &attr);
}
#endif
