/* y = 1 / (1 + e^-x);  dx = dy y (1 - y). */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) real_sigmoid(x)
AD_UNARY(sigmoid)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_sigmoid_grad(g, dy, y);
}
AD_UNARY_DEFINE(sigmoid, gradient, 0, "Sigmoid", -2.0, 2.0)
AD_UNARY_BUILD(sigmoid)
#endif
