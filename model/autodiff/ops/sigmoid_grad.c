/* z = d v (1 - v), v = sigmoid x;  dd = dz v (1 - v), dv = dz d (1 - 2 v). */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(d, v) ((d) * (v) * (1 - (v)))
AD_BINARY(sigmoid_grad)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value d = ad_input_of(g, y, 0);
    ad_value v = ad_input_of(g, y, 1);
    if (need[0])
        dx[0] = ad_sigmoid_grad(g, dy, v);
    if (need[1])
        dx[1] = ad_mul(g, dy, ad_mul(g, ad_affine(g, v, -2.0, 1.0), d));
}
AD_BINARY_DEFINE(sigmoid_grad, gradient, 0, "Mul, Sub", -1.0, 1.0)
AD_BINARY_BUILD(sigmoid_grad)
#endif
