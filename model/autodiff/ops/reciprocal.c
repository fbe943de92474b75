/* y = 1 / x;  dx = -dy y^2. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) (1 / (x))
AD_UNARY(reciprocal)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_neg(g, ad_mul(g, dy, ad_square(g, y)));
}
AD_UNARY_DEFINE(reciprocal, gradient, 0, "Reciprocal", 0.25, 2.0)
AD_UNARY_BUILD(reciprocal)
#endif
