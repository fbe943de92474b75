/* y = min(max(x, lo), hi), NaN for NaN (attributes f[0], f[1]);  dx = dy where lo <= x <= hi, else 0. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) ((x) < p0 ? p0 : (x) > p1 ? p1 : (x))
AD_UNARY(clamp)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    const ad_attributes *attr = ad_attributes_of(g, y);
    dx[0] = ad_clamp_grad(g, dy, x, attr->f[0], attr->f[1]);
}
AD_UNARY_DEFINE(clamp, gradient, 0, "Clip", -1.0, 1.0, -0.5, 0.5)

ad_value ad_clamp(ad_graph *g, ad_value x, double lo, double hi)
{
    if (!(lo <= hi))
        return ad_graph_fail(g, FWM_INVALID, "clamp: expected lo <= hi, found %g and %g", lo, hi);
    ad_attributes attr = {.f = {lo, hi}};
    return ad_apply(g, &ad_op_clamp, 1, &x, &attr);
}
#endif
