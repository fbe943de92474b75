/* y = a + b;  da = dy, db = dy. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(a, b) ((a) + (b))
AD_BINARY(add)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need, (void)y, (void)g;
    dx[0] = dy;
    dx[1] = dy;
}
AD_BINARY_DEFINE(add, gradient, AD_LINEAR, "Add", -1.0, 1.0)
AD_BINARY_BUILD(add)
#endif
