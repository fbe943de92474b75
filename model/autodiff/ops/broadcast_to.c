/* y[i] = x[i with 0 where x has size 1], of shape i[1..i[0]];  dx = dy, summed back by the walk. */
#include "model/autodiff/ops/elementwise.h"
#include "model/autodiff/ops/shape_attribute.h"

static void row(const ad_attributes *attr, int64_t n, real *y, const real *const *x, const int *stride)
{
    (void)attr;
    const real *a = x[0], a0 = *a;
    if (stride[0])
        memcpy(y, a, (size_t)n * sizeof *y);
    else
        AD_SIMD_LOOP y[i] = a0;
}
static fwm_status run(const ad_call *call)
{
    return ad_elementwise_run(call, row);
}
AD_KERNEL(broadcast_to, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    ad_shape want = ad_attribute_shape(attr);
    char a[96], b[96];
    FWM_CHECK(ad_shape_broadcast(in[0], &want, out) && ad_shape_equal(out, &want), FWM_SHAPE,
              "expected a shape that %s broadcasts to, found %s", ad_shape_text(in[0], a), ad_shape_text(&want, b));
    return FWM_OK;
}
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)g, (void)y, (void)need;
    dx[0] = dy;
}
AD_SAMPLES({1, {{1, {3}}}, -1, 1, {.i = {2, 4, 3}}}, {1, {{3, {3, 1, 2}}}, -1, 1, {.i = {3, 3, 4, 2}}},
           {1, {{1, {1}}}, -1, 1, {.i = {3, 2, 3, 4}}}, {1, {{4, {2, 1, 1, 3}}}, -1, 1, {.i = {4, 2, 2, 2, 3}}})
const ad_op ad_op_broadcast_to = {
    .name = "broadcast_to",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Expand",
    .samples = samples,
};

ad_value ad_broadcast_to(ad_graph *g, ad_value x, ad_shape shape_wanted)
{
    if (x < 0 || ad_shape_equal(ad_shape_of(g, x), &shape_wanted))
        return x;
    ad_attributes attr = ad_shape_attribute(&shape_wanted);
    return ad_apply(g, &ad_op_broadcast_to, 1, &x, &attr);
}
#endif
