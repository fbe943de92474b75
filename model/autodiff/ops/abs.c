/* y = |x|;  dx = dy sign(x), 0 at 0. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) REAL_FN(fabs)(x)
AD_UNARY(abs)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_mul(g, dy, ad_sign(g, x));
}
AD_UNARY_DEFINE(abs, gradient, 0, "Abs", -1.0, 1.0)
AD_UNARY_BUILD(abs)
#endif
