/* y = x^(1/2);  dx = dy / (2 y). */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) REAL_FN(sqrt)(x)
AD_UNARY(sqrt)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_div(g, ad_affine(g, dy, 0.5, 0.0), y);
}
AD_UNARY_DEFINE(sqrt, gradient, 0, "Sqrt", 0.25, 2.0)
AD_UNARY_BUILD(sqrt)
#endif
