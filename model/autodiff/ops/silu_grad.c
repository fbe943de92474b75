/* z = d s (1 + x (1 - s)), s = sigmoid x;  dd = dz s (1 + x (1 - s)), dx = dz d s (1 - s) (2 + x (1 - 2 s)). */
#include "model/autodiff/ops/elementwise.h"

static inline real value(real d, real x)
{
    real s = real_sigmoid(x);
    return d * s * (1 + x * (1 - s));
}
#define VALUE(d, x) value(d, x)
AD_BINARY(silu_grad)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value d = ad_input_of(g, y, 0), x = ad_input_of(g, y, 1);
    if (need[0])
        dx[0] = ad_silu_grad(g, dy, x);
    if (need[1]) {
        ad_value s = ad_sigmoid(g, x);
        ad_value slope = ad_mul(g, s, ad_affine(g, s, -1.0, 1.0));
        ad_value bend = ad_affine(g, ad_mul(g, x, ad_affine(g, s, -2.0, 1.0)), 1.0, 2.0);
        dx[1] = ad_mul(g, ad_mul(g, dy, d), ad_mul(g, slope, bend));
    }
}
AD_BINARY_DEFINE(silu_grad, gradient, 0, "Mul, Sigmoid, Add", -2.0, 2.0)
AD_BINARY_BUILD(silu_grad)
#endif
