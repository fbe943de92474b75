/* y = x from i[1], i[2] long, along axis i[0];  dx = dy padded with zeros. */
#include "model/autodiff/kernels/copy.h"
#include "model/autodiff/ops/axis.h"

static fwm_status run(const ad_call *call)
{
    int axis = (int)call->attr->i[0];
    int64_t x_stride = ad_run_from(call->in_shape[0], axis), length = ad_run_from(call->out_shape, axis);
    const real *x = (const real *)call->in[0] + call->attr->i[1] * ad_run_from(call->in_shape[0], axis + 1);
    real_copy_rows(call->out, length, x, x_stride, length, ad_shape_count(call->out_shape) / length);
    return FWM_OK;
}
AD_KERNEL(slice, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    int64_t axis = attr->i[0], start = attr->i[1], length = attr->i[2];
    char a[96];
    *out = *in[0];
    FWM_CHECK(axis >= 0 && axis < out->rank, FWM_SHAPE, "expected an axis of %s, found %lld", ad_shape_text(out, a),
              (long long)axis);
    FWM_CHECK(start >= 0 && length >= 1 && start <= out->dim[axis] - length, FWM_SHAPE,
              "expected a range inside axis %lld of %s, found start %lld, length %lld", (long long)axis,
              ad_shape_text(out, a), (long long)start, (long long)length);
    out->dim[axis] = length;
    return FWM_OK;
}
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    const ad_attributes *attr = ad_attributes_of(g, y);
    int axis = (int)attr->i[0];
    int64_t whole = ad_dim(g, ad_input_of(g, y, 0), axis);
    dx[0] = ad_pad(g, dy, axis, attr->i[1], whole - attr->i[1] - attr->i[2]);
}
AD_SAMPLES({1, {{2, {3, 5}}}, -1, 1, {.i = {1, 1, 3}}}, {1, {{3, {4, 2, 3}}}, -1, 1, {.i = {0, 2, 2}}},
           {1, {{3, {2, 5, 40}}}, -1, 1, {.i = {1, 0, 2}}})
/* One run of memory where every axis before the sliced one is 1 long: then the value is a view. */
static int64_t view_offset(const ad_shape *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)out;
    int axis = (int)attr->i[0];
    for (int k = 0; k < axis; k++)
        if (in->dim[k] != 1)
            return -1;
    return attr->i[1] * ad_run_from(in, axis + 1);
}
const ad_op ad_op_slice = {
    .name = "slice",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .view_offset = view_offset,
    .onnx = "Slice",
    .samples = samples,
};

ad_value ad_slice(ad_graph *g, ad_value x, int axis, int64_t start, int64_t length)
{
    if (x < 0)
        return AD_NONE;
    int normal = ad_axis(axis, ad_shape_of(g, x)->rank);
    if (normal >= 0 && start == 0 && length == ad_dim(g, x, normal))
        return x;
    ad_attributes attr = {.i = {normal >= 0 ? normal : axis, start, length}};
    return ad_apply(g, &ad_op_slice, 1, &x, &attr);
}
#endif
