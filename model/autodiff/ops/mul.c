/* y = a b;  da = dy b, db = dy a. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(a, b) ((a) * (b))
AD_BINARY(mul)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value a = ad_input_of(g, y, 0);
    ad_value b = ad_input_of(g, y, 1);
    if (need[0])
        dx[0] = ad_mul(g, dy, b);
    if (need[1])
        dx[1] = ad_mul(g, dy, a);
}
AD_BINARY_DEFINE(mul, gradient, AD_LINEAR, "Mul", -1.0, 1.0)
AD_BINARY_BUILD(mul)
#endif
