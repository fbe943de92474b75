/* y = x sigmoid(x);  dx = dy s (1 + x (1 - s)), s = sigmoid(x), in one pass. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) ((x)*real_sigmoid(x))
AD_UNARY(silu)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_silu_grad(g, dy, x);
}
AD_UNARY_DEFINE(silu, gradient, 0, "Mul (x, Sigmoid)", -2.0, 2.0)
AD_UNARY_BUILD(silu)
#endif
