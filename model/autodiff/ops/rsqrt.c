/* y = x^(-1/2);  dx = -dy y^3 / 2. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) (1 / REAL_FN(sqrt)(x))
AD_UNARY(rsqrt)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_mul(g, ad_affine(g, dy, -0.5, 0.0), ad_mul(g, y, ad_square(g, y)));
}
AD_UNARY_DEFINE(rsqrt, gradient, 0, "Reciprocal (Sqrt)", 0.25, 2.0)
AD_UNARY_BUILD(rsqrt)
#endif
