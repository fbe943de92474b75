/* y = x, through which no gradient flows. */
#include "model/autodiff/ops/samples.h"
#include "model/autodiff/ops/view.h"

AD_KERNEL(stop_gradient, ad_view_copy)

#ifdef FWM_DEFINITION
#include "model/autodiff/ops.h"

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    *out = *in[0];
    return FWM_OK;
}
AD_SAMPLES({1, {{2, {3, 5}}}, -1, 1, {.i = {0}}})
const ad_op ad_op_stop_gradient = {
    .name = "stop_gradient",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_VIEW | AD_NO_GRADIENT,
    .shape = shape,
    .onnx = "Identity",
    .samples = samples,
};

ad_value ad_stop_gradient(ad_graph *g, ad_value x)
{
    return ad_apply(g, &ad_op_stop_gradient, 1, &x, NULL);
}
#endif
