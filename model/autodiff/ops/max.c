/* y = max of x over axes i[0] .. i[0]+i[1]-1 (i[2]: keep them as 1), NaN if one is NaN;  dx = dy at the first maximum.
 */
#define REDUCE_START (-(double)INFINITY)
#define REDUCE_STEP(acc, x) ((x) > (acc) || (x) != (x) ? (x) : (acc))
#include <math.h>

#include "model/autodiff/kernels/reduce.h"

AD_KERNEL(max, reduce_run)

#ifdef FWM_DEFINITION
#include "model/autodiff/ops/fused.h"

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_attributes attr = *ad_attributes_of(g, y);
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_mul(g, ad_max_mask(g, x, (int)attr.i[0], (int)attr.i[1]), ad_reduction_kept(g, x, dy, &attr));
}
AD_REDUCTION_SAMPLES
const ad_op ad_op_max = {
    .name = "max",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = ad_reduction_shape,
    .gradient = gradient,
    .scratch = reduce_scratch,
    .onnx = "ReduceMax",
    .samples = samples,
};

ad_value ad_max(ad_graph *g, ad_value x, int n_axes, const int *axes, bool keep)
{
    return ad_reduction_apply(g, &ad_op_max, x, n_axes, axes, keep);
}
#endif
