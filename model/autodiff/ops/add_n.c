/* y = x[0] + ... + x[n-1], equal shapes, added in this order;  dx[k] = dy. */
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

enum { BLOCK = 2048 };

/* Block by block, so that the running sum stays in the first-level cache. A block of y is written when that block of
 * every input has been read, so y may be the memory of any of them. */
static void add_block(const ad_call *call, int64_t at, int64_t n)
{
    real sum[BLOCK];
    const real *a = (const real *)call->in[0] + at;
    for (int64_t i = 0; i < n; i++)
        sum[i] = a[i];
    for (int k = 1; k < call->n_in; k++) {
        const real *b = (const real *)call->in[k] + at;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            sum[i] += b[i];
    }
    real *y = (real *)call->out + at;
    for (int64_t i = 0; i < n; i++)
        y[i] = sum[i];
}

static fwm_status run(const ad_call *call)
{
    int64_t n = ad_shape_count(call->out_shape), blocks = (n + BLOCK - 1) / BLOCK;
    if (blocks == 1) { /* also a tile of a chain, which runs inside a parallel region */
        add_block(call, 0, n);
        return FWM_OK;
    }
#pragma omp parallel for schedule(static) if (n > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < blocks; b++)
        add_block(call, b * BLOCK, n - b * BLOCK < BLOCK ? n - b * BLOCK : BLOCK);
    return FWM_OK;
}
AD_KERNEL(add_n, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)attr;
    char a[96], b[96];
    *out = *in[0];
    for (int k = 1; k < n; k++)
        FWM_CHECK(ad_shape_equal(in[k], in[0]), FWM_SHAPE, "expected equal shapes, found %s and %s (input %d)",
                  ad_shape_text(in[0], a), ad_shape_text(in[k], b), k);
    return FWM_OK;
}
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    for (int k = 0; k < ad_input_count(g, y); k++)
        if (need[k])
            dx[k] = dy;
}
AD_SAMPLES({2, {{2, {3, 5}}, {2, {3, 5}}}, -1, 1, {.i = {0}}},
           {3, {{1, {37}}, {1, {37}}, {1, {37}}}, -1, 1, {.i = {0}}}, {1, {{1, {4}}}, -1, 1, {.i = {0}}})
const ad_op ad_op_add_n = {
    .name = "add_n",
    .min_inputs = 1,
    .max_inputs = -1,
    .flags = AD_IN_PLACE | AD_ELEMENTWISE | AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Sum",
    .samples = samples,
};

ad_value ad_add_n(ad_graph *g, int n, const ad_value *x)
{
    if (n == 1)
        return x[0];
    if (n == 2)
        return ad_add(g, x[0], x[1]);
    return ad_apply(g, &ad_op_add_n, n, x, NULL);
}
#endif
