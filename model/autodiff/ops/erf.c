/* y = erf x;  dx = dy 2 pi^(-1/2) e^(-x^2). */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) real_erf(x)
AD_UNARY(erf)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    const double two_over_root_pi = 1.1283791670955126;
    dx[0] = ad_mul(g, dy, ad_affine(g, ad_exp(g, ad_neg(g, ad_square(g, x))), two_over_root_pi, 0.0));
}
AD_UNARY_DEFINE(erf, gradient, 0, "Erf", -2.0, 2.0)
AD_UNARY_BUILD(erf)
#endif
