/* y = log x;  dx = dy / x. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) real_log(x)
AD_UNARY(log)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_div(g, dy, x);
}
AD_UNARY_DEFINE(log, gradient, 0, "Log", 0.25, 2.0)
AD_UNARY_BUILD(log)
#endif
