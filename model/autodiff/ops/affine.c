/* y = scale x + shift (attributes f[0], f[1]);  dx = scale dy. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) (p0 * (x) + p1)
AD_UNARY(affine)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_affine(g, dy, ad_attributes_of(g, y)->f[0], 0.0);
}
AD_UNARY_DEFINE(affine, gradient, AD_LINEAR, "Mul, Add with constants", -1.0, 1.0, -1.5, 0.25)

ad_value ad_affine(ad_graph *g, ad_value x, double scale, double shift)
{
    if (scale == 1.0 && shift == 0.0)
        return x;
    ad_attributes attr = {.f = {scale, shift}};
    return ad_apply(g, &ad_op_affine, 1, &x, &attr);
}
#endif
