/* y = a - b;  da = dy, db = -dy. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(a, b) ((a) - (b))
AD_BINARY(sub)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)y;
    dx[0] = dy;
    if (need[1])
        dx[1] = ad_neg(g, dy);
}
AD_BINARY_DEFINE(sub, gradient, AD_LINEAR, "Sub", -1.0, 1.0)
AD_BINARY_BUILD(sub)
#endif
