/* y = tanh x;  dx = dy (1 - y^2). */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) real_tanh(x)
AD_UNARY(tanh)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_tanh_grad(g, dy, y);
}
AD_UNARY_DEFINE(tanh, gradient, 0, "Tanh", -2.0, 2.0)
AD_UNARY_BUILD(tanh)
#endif
