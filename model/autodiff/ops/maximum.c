/* y = max(a, b), NaN if either is NaN;  dy goes to the one that won, at a tie to a. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
AD_BINARY(maximum)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value a = ad_input_of(g, y, 0);
    ad_value b = ad_input_of(g, y, 1);
    ad_value b_won = ad_greater(g, b, a), zero = ad_fill(g, (ad_shape){1, {1}}, 0.0);
    if (need[0])
        dx[0] = ad_where(g, b_won, zero, dy);
    if (need[1])
        dx[1] = ad_where(g, b_won, dy, zero);
}
AD_BINARY_DEFINE(maximum, gradient, 0, "Max", -1.0, 1.0)
AD_BINARY_BUILD(maximum)
#endif
