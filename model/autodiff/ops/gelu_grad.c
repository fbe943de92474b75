/* z = d (Phi(x) + x phi(x));  dd = dz (Phi(x) + x phi(x)), dx = dz d phi(x) (2 - x^2), phi(x) = (2 pi)^(-1/2)
 * e^(-x^2/2). */
#include "model/autodiff/ops/elementwise.h"

static inline real value(real d, real x)
{
    real Phi = (real)0.5 * (1 + real_erf(x * (real)0.70710678118654752));
    real phi = (real)0.39894228040143268 * real_exp((real)-0.5 * x * x);
    return d * (Phi + x * phi);
}
#define VALUE(d, x) value(d, x)
AD_BINARY(gelu_grad)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value d = ad_input_of(g, y, 0), x = ad_input_of(g, y, 1);
    if (need[0])
        dx[0] = ad_gelu_grad(g, dy, x);
    if (need[1]) {
        ad_value square = ad_square(g, x);
        ad_value phi = ad_affine(g, ad_exp(g, ad_affine(g, square, -0.5, 0.0)), 0.39894228040143268, 0.0);
        dx[1] = ad_mul(g, ad_mul(g, dy, d), ad_mul(g, phi, ad_affine(g, square, -1.0, 2.0)));
    }
}
AD_BINARY_DEFINE(gelu_grad, gradient, 0, "Mul, Erf, Exp, Add", -2.0, 2.0)
AD_BINARY_BUILD(gelu_grad)
#endif
