/* z = lo <= x <= hi ? d : 0 (attributes f[0], f[1]);  dd = the same of dz; in x: 0. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(d, x) ((x) >= p0 && (x) <= p1 ? (d) : 0)
AD_BINARY(clamp_grad)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    const ad_attributes *attr = ad_attributes_of(g, y);
    dx[0] = ad_clamp_grad(g, dy, ad_input_of(g, y, 1), attr->f[0], attr->f[1]);
}
AD_BINARY_DEFINE(clamp_grad, gradient, 0, "Where (And)", -1.0, 1.0, -0.5, 0.5)
ad_value ad_clamp_grad(ad_graph *g, ad_value dy, ad_value x, double lo, double hi)
{
    ad_attributes attr = {.f = {lo, hi}};
    return ad_apply(g, &ad_op_clamp_grad, 2, (ad_value[2]){dy, x}, &attr);
}
#endif
