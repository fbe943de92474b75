/* y = 1 at the first maximum of x over axes i[0] .. i[0]+i[1]-1, 0 elsewhere: what the gradient of max multiplies with.
 * Where the maximum is NaN, the first NaN has the 1. No gradient. */
#include "model/autodiff/ops/fused.h"
#include "model/autodiff/ops/reduction.h"
#include "model/base/threads.h"

static fwm_status run(const ad_call *call)
{
    ad_span s = ad_span_of(call->in_shape[0], call->attr);
    const real *x = call->in[0];
    real *y = call->out;
#pragma omp parallel for collapse(2) schedule(static) if (s.before * s.reduced * s.after > FWM_PARALLEL_MIN)
    for (int64_t p = 0; p < s.before; p++)
        for (int64_t q = 0; q < s.after; q++) {
            int64_t start = p * s.reduced * s.after + q, best = start;
            for (int64_t r = 0; r < s.reduced; r++) {
                int64_t at = start + r * s.after;
                y[at] = 0;
                if (x[at] > x[best] || (x[at] != x[at] && x[best] == x[best]))
                    best = at;
            }
            y[best] = 1;
        }
    return FWM_OK;
}
AD_KERNEL(max_mask, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    FWM_TRY(ad_reduction_shape(n, in, attr, out));
    *out = *in[0];
    return FWM_OK;
}
AD_REDUCTION_SAMPLES
const ad_op ad_op_max_mask = {
    .name = "max_mask",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_NO_GRADIENT,
    .shape = shape,
    .onnx = "ArgMax, OneHot",
    .samples = samples,
};

ad_value ad_max_mask(ad_graph *g, ad_value x, int first, int count)
{
    ad_attributes attr = {.i = {first, count}};
    return ad_apply(g, &ad_op_max_mask, 1, &x, &attr);
}
#endif
