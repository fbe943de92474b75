/* y = cos x;  dx = -dy sin x. */
#include "model/autodiff/ops/elementwise.h"

/* The vector form holds up to REAL_TRIG_LIMIT; a stretch with a larger argument (or NaN) takes the library's. */
static void row(const ad_attributes *attr, int64_t n, real *y, const real *const *x, const int *stride)
{
    (void)attr, (void)stride;
    enum { STRETCH = 256 };
    for (int64_t at = 0; at < n; at += STRETCH) {
        int64_t end = n - at < STRETCH ? n : at + STRETCH;
        int beyond = 0;
#pragma omp simd reduction(| : beyond)
        for (int64_t i = at; i < end; i++)
            beyond |= !(REAL_FN(fabs)(x[0][i]) <= (real)REAL_TRIG_LIMIT);
        if (beyond) {
            for (int64_t i = at; i < end; i++)
                y[i] = REAL_FN(cos)(x[0][i]);
        } else {
#pragma omp simd
            for (int64_t i = at; i < end; i++)
                y[i] = real_cos(x[0][i]);
        }
    }
}
static fwm_status run(const ad_call *call)
{
    return ad_elementwise_run(call, row);
}
AD_KERNEL(cos, run)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    dx[0] = ad_neg(g, ad_mul(g, dy, ad_sin(g, x)));
}
AD_UNARY_DEFINE(cos, gradient, 0, "Cos", -2.0, 2.0)
AD_UNARY_BUILD(cos)
#endif
