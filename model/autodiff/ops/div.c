/* y = a / b;  da = dy / b, db = -y dy / b. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(a, b) ((a) / (b))
AD_BINARY(div)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value b = ad_input_of(g, y, 1);
    ad_value over_b = ad_div(g, dy, b);
    dx[0] = over_b;
    if (need[1])
        dx[1] = ad_neg(g, ad_mul(g, over_b, y));
}
AD_BINARY_DEFINE(div, gradient, 0, "Div", 0.25, 2.0)
AD_BINARY_BUILD(div)
#endif
