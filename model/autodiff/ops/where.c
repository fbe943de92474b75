/* y = cond != 0 ? a : b;  da = cond ? dy : 0, db = cond ? 0 : dy. The inputs in order: a, b, cond (so that what is
 * differentiated comes first); the builder takes cond first, as ONNX does. */
#include "model/autodiff/ops/elementwise.h"

AD_ROW_HEAD
const real *a = x[0], *b = x[1], *c = x[2], a0 = *a, b0 = *b, c0 = *c;
if (!stride[2]) {
    const real *from = c0 != 0 ? a : b;
    const int step = c0 != 0 ? stride[0] : stride[1];
    for (int64_t i = 0; i < n; i++)
        y[i] = from[i * step];
} else if (stride[0] && stride[1]) {
    AD_SIMD_LOOP y[i] = c[i] != 0 ? a[i] : b[i];
} else if (stride[0]) {
    AD_SIMD_LOOP y[i] = c[i] != 0 ? a[i] : b0;
} else if (stride[1]) {
    AD_SIMD_LOOP y[i] = c[i] != 0 ? a0 : b[i];
} else {
    AD_SIMD_LOOP y[i] = c[i] != 0 ? a0 : b0;
}
AD_ROW_TAIL(where)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value cond = ad_input_of(g, y, 2), zero = ad_fill(g, (ad_shape){1, {1}}, 0.0);
    if (need[0])
        dx[0] = ad_where(g, cond, dy, zero);
    if (need[1])
        dx[1] = ad_where(g, cond, zero, dy);
}
AD_SAMPLES({3, {{2, {3, 5}}, {2, {3, 5}}, {2, {3, 5}}}, -1, 1, {.i = {0}}},
           {3, {{1, {5}}, {2, {3, 5}}, {2, {3, 1}}}, -1, 1, {.i = {0}}},
           {3, {{2, {3, 1}}, {1, {1}}, {2, {3, 5}}}, -1, 1, {.i = {0}}},
           {3, {{3, {2, 4, 3}}, {3, {2, 1, 1}}, {1, {3}}}, -1, 1, {.i = {0}}},
           {3, {{2, {3, 5}}, {1, {1}}, {1, {1}}}, -1, 1, {.i = {0}}})
AD_ELEMENTWISE_OP(where, 3, ad_broadcast_shape, gradient, 0, "Where (Cast of cond to bool)")
ad_value ad_where(ad_graph *g, ad_value cond, ad_value a, ad_value b)
{
    return ad_apply(g, &ad_op_where, 3, (ad_value[3]){a, b, cond}, NULL);
}
#endif
