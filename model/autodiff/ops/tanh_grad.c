/* z = d (1 - v^2), v = tanh x;  dd = dz (1 - v^2), dv = -2 d v dz. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(d, v) ((d) * (1 - (v) * (v)))
AD_BINARY(tanh_grad)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value d = ad_input_of(g, y, 0);
    ad_value v = ad_input_of(g, y, 1);
    if (need[0])
        dx[0] = ad_tanh_grad(g, dy, v);
    if (need[1])
        dx[1] = ad_mul(g, dy, ad_mul(g, ad_affine(g, v, -2.0, 0.0), d));
}
AD_BINARY_DEFINE(tanh_grad, gradient, 0, "Mul, Sub", -1.0, 1.0)
AD_BINARY_BUILD(tanh_grad)
#endif
