/* y = e^x;  dx = dy y. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) REAL_FN(exp)(x)
AD_UNARY(exp, VALUE)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_mul(g, dy, y);
}
AD_UNARY_DEFINE(exp, gradient, 0, "Exp", -1.0, 1.0)
ad_value ad_exp(ad_graph *g, ad_value x)
{
    return ad_apply(g, &ad_op_exp, 1, &x, NULL);
}
#endif
