/* y = -x;  dx = -dy. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) (-(x))
AD_UNARY(neg)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need, (void)y;
    dx[0] = ad_neg(g, dy);
}
AD_UNARY_DEFINE(neg, gradient, AD_LINEAR, "Neg", -1.0, 1.0)
AD_UNARY_BUILD(neg)
#endif
