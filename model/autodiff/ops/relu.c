/* y = max(x, 0), NaN for NaN;  dx = y > 0 ? dy : 0. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) ((x) < 0 ? 0 : (x))
AD_UNARY(relu)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_relu_grad(g, dy, y);
}
AD_UNARY_DEFINE(relu, gradient, 0, "Relu", -1.0, 1.0)
AD_UNARY_BUILD(relu)
#endif
