/* y = x^2;  dx = 2 x dy. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) ((x) * (x))
AD_UNARY(square)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_mul(g, dy, ad_affine(g, x, 2.0, 0.0));
}
AD_UNARY_DEFINE(square, gradient, 0, "Mul (x, x)", -1.0, 1.0)
AD_UNARY_BUILD(square)
#endif
