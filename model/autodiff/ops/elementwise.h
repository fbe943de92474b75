/* What element-wise operators share: their rows, shape rules, samples and descriptions.
 *
 * A file defines VALUE(x) or VALUE(a, b), then AD_UNARY(name) or AD_BINARY(name) for the kernel, and the matching
 * ..._DEFINE under FWM_DEFINITION. VALUE may use the attributes f[0] and f[1] as p0 and p1. */
#ifndef FWM_AUTODIFF_OPS_ELEMENTWISE_H
#define FWM_AUTODIFF_OPS_ELEMENTWISE_H

#include "model/autodiff/kernels/elementwise.h"
#include "model/autodiff/kernels/mathfun.h"
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/fused.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/variant.h"

#include <math.h>

#define AD_SIMD_LOOP _Pragma("omp simd") for (int64_t i = 0; i < n; i++)

#define AD_ROW_HEAD                                                                                                    \
    static void row(const ad_attributes *attr, int64_t n, real *y, const real *const *x, const int *stride)            \
    {                                                                                                                  \
        const real p0 = (real)attr->f[0], p1 = (real)attr->f[1];                                                       \
        (void)p0, (void)p1, (void)stride;

#define AD_ROW_TAIL(op_name)                                                                                           \
    }                                                                                                                  \
    static fwm_status run(const ad_call *call)                                                                         \
    {                                                                                                                  \
        return ad_elementwise_run(call, row);                                                                          \
    }                                                                                                                  \
    AD_KERNEL(op_name, run)

#define AD_UNARY(op_name)                                                                                              \
    AD_ROW_HEAD                                                                                                        \
    const real *a = x[0];                                                                                              \
    AD_SIMD_LOOP y[i] = VALUE(a[i]);                                                                                   \
    AD_ROW_TAIL(op_name)

/* An input that does not move is read once: the loop then has one stream less. */
#define AD_BINARY(op_name)                                                                                             \
    AD_ROW_HEAD                                                                                                        \
    const real *a = x[0], *b = x[1], a0 = *a, b0 = *b;                                                                 \
    if (stride[0] && stride[1]) {                                                                                      \
        AD_SIMD_LOOP y[i] = VALUE(a[i], b[i]);                                                                         \
    } else if (stride[0]) {                                                                                            \
        AD_SIMD_LOOP y[i] = VALUE(a[i], b0);                                                                           \
    } else {                                                                                                           \
        AD_SIMD_LOOP y[i] = VALUE(a0, b[i]);                                                                           \
    }                                                                                                                  \
    AD_ROW_TAIL(op_name)

#ifdef FWM_DEFINITION
extern const ad_op ad_op_broadcast_to;

static inline fwm_status ad_unary_shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    *out = *in[0];
    return FWM_OK;
}

/* The common shape of all inputs by numpy's rule. */
static inline fwm_status ad_broadcast_shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)attr;
    *out = *in[0];
    for (int k = 1; k < n; k++) {
        ad_shape so_far = *out;
        char a[96], b[96];
        FWM_CHECK(
            ad_shape_broadcast(&so_far, in[k], out), FWM_SHAPE,
            "expected shapes that broadcast (equal or 1 in each axis, aligned at the last), found %s and %s (input %d)",
            ad_shape_text(&so_far, a), ad_shape_text(in[k], b), k);
    }
    return FWM_OK;
}

/* An operand that is only a broadcast copy gives way to its source where the other operand alone spans the result:
 * gradients of reductions then need no memory of the large shape. */
static inline ad_value ad_binary_apply(ad_graph *g, const ad_op *op, ad_value a, ad_value b)
{
    ad_value in[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        if (in[0] < 0 || in[1] < 0 || ad_op_of(g, in[k]) != &ad_op_broadcast_to)
            continue;
        const ad_shape *other = ad_shape_of(g, in[1 - k]);
        ad_shape both;
        if (ad_shape_broadcast(ad_shape_of(g, in[k]), other, &both) && ad_shape_equal(&both, other))
            in[k] = ad_input_of(g, in[k], 0);
    }
    return ad_apply(g, op, 2, in, NULL);
}

#define AD_ELEMENTWISE_OP(op_name, inputs, shape_rule, gradient_rule, more_flags, onnx_form)                           \
    const ad_op ad_op_##op_name = {                                                                                    \
        .name = #op_name,                                                                                              \
        .min_inputs = inputs,                                                                                          \
        .max_inputs = inputs,                                                                                          \
        .flags = AD_IN_PLACE | AD_ELEMENTWISE | (more_flags),                                                          \
        .shape = shape_rule,                                                                                           \
        .gradient = gradient_rule,                                                                                     \
        .onnx = onnx_form,                                                                                             \
        .samples = samples,                                                                                            \
    };

/* Samples on [low, high], with attributes f[0], f[1]. */
#define AD_UNARY_DEFINE(op_name, gradient_rule, more_flags, onnx_form, low, high, ...)                                 \
    static int samples(ad_sample *s, int capacity)                                                                     \
    {                                                                                                                  \
        const ad_sample all[] = {                                                                                      \
            {1, {{2, {3, 5}}}, low, high, {.f = {__VA_ARGS__}}},                                                       \
            {1, {{1, {37}}}, low, high, {.f = {__VA_ARGS__}}},                                                         \
            {1, {{3, {2, 1, 1}}}, low, high, {.f = {__VA_ARGS__}}},                                                    \
        };                                                                                                             \
        return ad_samples_copy(s, capacity, all, (int)(sizeof all / sizeof *all));                                     \
    }                                                                                                                  \
    AD_ELEMENTWISE_OP(op_name, 1, ad_unary_shape, gradient_rule, more_flags, onnx_form)

#define AD_UNARY_BUILD(op_name)                                                                                        \
    ad_value ad_##op_name(ad_graph *g, ad_value x)                                                                     \
    {                                                                                                                  \
        return ad_apply(g, &ad_op_##op_name, 1, &x, NULL);                                                             \
    }

/* Equal shapes; a bias; a column; a scalar; scale and shift of channels; two inputs that both broadcast. */
#define AD_BINARY_DEFINE(op_name, gradient_rule, more_flags, onnx_form, low, high, ...)                                \
    static int samples(ad_sample *s, int capacity)                                                                     \
    {                                                                                                                  \
        const ad_sample all[] = {                                                                                      \
            {2, {{2, {3, 5}}, {2, {3, 5}}}, low, high, {.f = {__VA_ARGS__}}},                                          \
            {2, {{2, {4, 3}}, {1, {3}}}, low, high, {.f = {__VA_ARGS__}}},                                             \
            {2, {{1, {4}}, {3, {2, 3, 4}}}, low, high, {.f = {__VA_ARGS__}}},                                          \
            {2, {{2, {3, 4}}, {2, {3, 1}}}, low, high, {.f = {__VA_ARGS__}}},                                          \
            {2, {{2, {3, 4}}, {1, {1}}}, low, high, {.f = {__VA_ARGS__}}},                                             \
            {2, {{4, {2, 2, 3, 2}}, {4, {2, 1, 1, 2}}}, low, high, {.f = {__VA_ARGS__}}},                              \
            {2, {{3, {3, 1, 2}}, {3, {1, 4, 2}}}, low, high, {.f = {__VA_ARGS__}}},                                    \
            {2, {{1, {1}}, {1, {1}}}, low, high, {.f = {__VA_ARGS__}}},                                                \
        };                                                                                                             \
        return ad_samples_copy(s, capacity, all, (int)(sizeof all / sizeof *all));                                     \
    }                                                                                                                  \
    AD_ELEMENTWISE_OP(op_name, 2, ad_broadcast_shape, gradient_rule, more_flags, onnx_form)

#define AD_BINARY_BUILD(op_name)                                                                                       \
    ad_value ad_##op_name(ad_graph *g, ad_value a, ad_value b)                                                         \
    {                                                                                                                  \
        return ad_binary_apply(g, &ad_op_##op_name, a, b);                                                             \
    }
#endif

#endif
