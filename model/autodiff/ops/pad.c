/* y = i[1] zeros, x, i[2] zeros along axis i[0];  dx = the slice of dy in the middle. */
#include "model/autodiff/kernels/copy.h"
#include "model/autodiff/ops/axis.h"

static fwm_status run(const ad_call *call)
{
    int axis = (int)call->attr->i[0];
    int64_t one = ad_run_from(call->out_shape, axis + 1), length = ad_run_from(call->in_shape[0], axis);
    int64_t y_stride = ad_run_from(call->out_shape, axis), rows = ad_shape_count(call->out_shape) / y_stride;
    int64_t before = call->attr->i[1] * one, after = call->attr->i[2] * one;
    real *y = call->out;
    real_zero_rows(y, y_stride, before, rows);
    real_copy_rows(y + before, y_stride, call->in[0], length, length, rows);
    real_zero_rows(y + before + length, y_stride, after, rows);
    return FWM_OK;
}
AD_KERNEL(pad, run)

#ifdef FWM_DEFINITION
#include "model/base/checked.h"

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    int64_t axis = attr->i[0];
    char a[96];
    *out = *in[0];
    FWM_CHECK(axis >= 0 && axis < out->rank, FWM_SHAPE, "expected an axis of %s, found %lld", ad_shape_text(out, a),
              (long long)axis);
    FWM_CHECK(attr->i[1] >= 0 && attr->i[2] >= 0 && fwm_add_i64(out->dim[axis], attr->i[1], &out->dim[axis]) &&
                  fwm_add_i64(out->dim[axis], attr->i[2], &out->dim[axis]),
              FWM_SHAPE, "expected counts of zeros that fit, found %lld before and %lld after", (long long)attr->i[1],
              (long long)attr->i[2]);
    return FWM_OK;
}
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    const ad_attributes *attr = ad_attributes_of(g, y);
    int axis = (int)attr->i[0];
    dx[0] = ad_slice(g, dy, axis, attr->i[1], ad_dim(g, ad_input_of(g, y, 0), axis));
}
AD_SAMPLES({1, {{2, {3, 4}}}, -1, 1, {.i = {1, 2, 1}}}, {1, {{3, {2, 2, 3}}}, -1, 1, {.i = {0, 0, 2}}},
           {1, {{2, {2, 40}}}, -1, 1, {.i = {0, 3, 0}}})
const ad_op ad_op_pad = {
    .name = "pad",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Pad (constant 0)",
    .samples = samples,
};

ad_value ad_pad(ad_graph *g, ad_value x, int axis, int64_t before, int64_t after)
{
    if (x < 0)
        return AD_NONE;
    if (before == 0 && after == 0)
        return x;
    int normal = ad_axis(axis, ad_shape_of(g, x)->rank);
    ad_attributes attr = {.i = {normal >= 0 ? normal : axis, before, after}};
    return ad_apply(g, &ad_op_pad, 1, &x, &attr);
}
#endif
