/* y = x^p (attribute f[0]);  dx = p x^(p-1) dy. Exponents that have an operator of their own become it. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) REAL_FN(pow)((x), p0)
AD_UNARY(power)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    double p = ad_attributes_of(g, y)->f[0];
    if (p != 0.0)
        dx[0] = ad_mul(g, dy, ad_affine(g, ad_power(g, x, p - 1.0), p, 0.0));
}
AD_UNARY_DEFINE(power, gradient, 0, "Pow", 0.25, 2.0, 2.5)

ad_value ad_power(ad_graph *g, ad_value x, double exponent)
{
    if (exponent == 1.0)
        return x;
    if (exponent == 2.0)
        return ad_square(g, x);
    if (exponent == 0.5)
        return ad_sqrt(g, x);
    if (exponent == -0.5)
        return ad_rsqrt(g, x);
    if (exponent == -1.0)
        return ad_reciprocal(g, x);
    ad_attributes attr = {.f = {exponent}};
    return ad_apply(g, &ad_op_power, 1, &x, &attr);
}
#endif
