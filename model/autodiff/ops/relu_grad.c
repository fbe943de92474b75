/* z = v > 0 ? d : 0, with v the output of relu;  dd = v > 0 ? dz : 0; in v: 0. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(d, v) ((v) > 0 ? (d) : 0)
AD_BINARY(relu_grad)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value v = ad_input_of(g, y, 1);
    dx[0] = ad_relu_grad(g, dy, v);
}
AD_BINARY_DEFINE(relu_grad, gradient, 0, "Where (Greater)", -1.0, 1.0)
AD_BINARY_BUILD(relu_grad)
#endif
