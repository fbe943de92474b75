/* y = e^x;  dx = dy y. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) real_exp(x)
AD_UNARY(exp)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_mul(g, dy, y);
}
AD_UNARY_DEFINE(exp, gradient, 0, "Exp", -1.0, 1.0)
AD_UNARY_BUILD(exp)
#endif
