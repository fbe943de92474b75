/* y = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which does not overflow;  dx = dy sigmoid(x). */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) (((x) > 0 ? (x) : 0) + real_log1p(real_exp(-REAL_FN(fabs)(x))))
AD_UNARY(softplus)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_mul(g, dy, ad_sigmoid(g, x));
}
AD_UNARY_DEFINE(softplus, gradient, 0, "Softplus", -2.0, 2.0)
AD_UNARY_BUILD(softplus)
#endif
