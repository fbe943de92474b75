/* y = x Phi(x), Phi(x) = (1 + erf(x / 2^(1/2))) / 2: the exact form;  dx = dy (Phi(x) + x phi(x)), in one pass.
 * The absolute error is eps |x|: in the left tail Phi is a difference. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) (x) * (real)0.5 * (1 + real_erf((x) * (real)0.70710678118654752))
AD_UNARY(gelu)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_gelu_grad(g, dy, x);
}
AD_UNARY_DEFINE(gelu, gradient, 0, "Gelu (opset 20), or Mul, Erf, Add before", -2.0, 2.0)
AD_UNARY_BUILD(gelu)
#endif
