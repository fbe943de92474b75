/* y = op(a) op(b) over the last two axes; i[0], i[1]: transpose a, b. Leading axes are equal, or absent in one of the
 * two. With Y = A B: dA = dY B^T, dB = A^T dY, each transposed where its operand was. [B,T,K] x [K,N] is one product of
 * B T rows, and so is its weight gradient. */
#include "model/autodiff/dnnl/matmul.h"
#include "model/autodiff/choice.h"
#include "model/autodiff/kernels/gemm.h"
#include "model/autodiff/kernels/product.h"
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/arena.h"
#include "model/base/threads.h"

#include <string.h>

/* y[p] = op(a[p * step_a]) op(b[p * step_b]), p < batch, each product m x n x k. */
typedef struct product {
    int64_t batch, m, n, k, step_a, step_b;
} product;

/* What runs float32: one primitive for many products, or our kernel for one; without a state a library by shape. */
typedef struct matmul_state {
    ad_dnnl_matmul *batch; /* NULL: the product */
    ad_product product;
} matmul_state;

static int64_t leading(const ad_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank - 2; i++)
        n *= s->dim[i];
    return n;
}

static product product_of(const ad_shape *a, const ad_shape *b, const ad_attributes *attr)
{
    bool ta = attr->i[0] != 0, tb = attr->i[1] != 0;
    int64_t batch_a = leading(a), batch_b = leading(b);
    product p = {.batch = batch_a > batch_b ? batch_a : batch_b,
                 .m = a->dim[a->rank - (ta ? 1 : 2)],
                 .k = a->dim[a->rank - (ta ? 2 : 1)],
                 .n = b->dim[b->rank - (tb ? 2 : 1)]};
    if (batch_b == 1 && !ta) {
        p.m *= p.batch;
        p.batch = 1;
    }
    p.step_a = batch_a > 1 ? p.m * p.k : 0;
    p.step_b = batch_b > 1 ? p.k * p.n : 0;
    return p;
}

static fwm_status run(const ad_call *call)
{
    product p = product_of(call->in_shape[0], call->in_shape[1], call->attr);
    const real *a = call->in[0], *b = call->in[1];
    real *y = call->out;
    const matmul_state *state = call->state;
    if (state && state->batch)
        return ad_dnnl_matmul_run(state->batch, call->out, call->in[0], call->in[1], call->scratch);
    if (state) {
        ad_product_find(call->dtype, FWM_ISA_LEVEL)(&state->product, y, a, b, call->scratch);
        return FWM_OK;
    }
    for (int64_t i = 0; i < p.batch; i++)
        FWM_TRY(ad_gemm(y + i * p.m * p.n, a + i * p.step_a, b + i * p.step_b, call->attr->i[0] != 0,
                        call->attr->i[1] != 0, p.m, p.n, p.k));
    return FWM_OK;
}
AD_KERNEL(matmul, run)

#ifdef FWM_DEFINITION
#include <limits.h>

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    const ad_shape *a = in[0], *b = in[1];
    char ta[96], tb[96];
    ad_shape_text(a, ta), ad_shape_text(b, tb);
    FWM_CHECK(a->rank >= 2 && b->rank >= 2, FWM_SHAPE, "expected matrices in the last two axes, found %s and %s", ta,
              tb);
    FWM_CHECK(a->dim[a->rank - (attr->i[0] ? 2 : 1)] == b->dim[b->rank - (attr->i[1] ? 1 : 2)], FWM_SHAPE,
              "expected equal inner lengths, found %s%s and %s%s", ta, attr->i[0] ? " transposed" : "", tb,
              attr->i[1] ? " transposed" : "");
    bool equal = a->rank == b->rank;
    for (int i = 0; equal && i < a->rank - 2; i++)
        equal = a->dim[i] == b->dim[i];
    FWM_CHECK(equal || a->rank == 2 || b->rank == 2, FWM_SHAPE,
              "expected leading axes that are equal, or absent in one of the two, found %s and %s", ta, tb);
    product p = product_of(a, b, attr);
    FWM_CHECK(p.m <= INT_MAX && p.n <= INT_MAX && p.k <= INT_MAX, FWM_OVERFLOW,
              "expected matrix sizes up to %d, found %lld x %lld x %lld", INT_MAX, (long long)p.m, (long long)p.n,
              (long long)p.k);
    *out = a->rank >= b->rank ? *a : *b;
    out->dim[out->rank - 2] = a->dim[a->rank - (attr->i[0] ? 1 : 2)];
    out->dim[out->rank - 1] = p.n;
    return FWM_OK;
}

/* Leading axes and rows as one axis. */
static ad_value flat(ad_graph *g, ad_value x)
{
    return x < 0 ? AD_NONE : ad_reshape(g, x, (ad_shape){2, {-1, ad_dim(g, x, -1)}});
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    const ad_attributes *attr = ad_attributes_of(g, y);
    bool ta = attr->i[0] != 0, tb = attr->i[1] != 0;
    ad_value a = ad_input_of(g, y, 0), b = ad_input_of(g, y, 1);
    if (need[0])
        dx[0] = ta ? ad_matmul(g, b, dy, tb, true) : ad_matmul(g, dy, b, false, !tb);
    if (!need[1])
        return;
    if (!ta && ad_shape_of(g, b)->rank == 2) {
        a = flat(g, a);
        dy = flat(g, dy);
    }
    dx[1] = tb ? ad_matmul(g, dy, a, true, ta) : ad_matmul(g, a, dy, !ta, false);
}

static const char *const candidates[] = {"library", "panels", NULL};

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    (void)n, (void)out;
    const product p = product_of(in[0], in[1], attr);
    const bool ta = attr->i[0] != 0, tb = attr->i[1] != 0, many = p.step_a != 0 && p.step_b != 0;
    matmul_state s = {.batch = NULL};
    const char *name = ad_preparing_choice();
    const bool panels =
        !many && p.batch == 1 && (name ? strcmp(name, "panels") == 0 : ad_product_pays(p.m, p.n, p.k, ta, tb));
    if (name && strcmp(name, "panels") == 0 && (!panels || !ad_product_fits(p.m, p.n, p.k, ta, tb)))
        return FWM_UNSUPPORTED;
    if (dtype != AD_F32 || (!many && !panels))
        return FWM_OK;
    if (many) {
        FWM_TRY(ad_dnnl_matmul_create(&s.batch, p.batch, p.m, p.n, p.k, ta, tb, scratch_size));
        if (!s.batch)
            return FWM_OK;
    } else {
        s.product = ad_product_plan(p.m, p.n, p.k, ta, tb, fwm_threads_count());
        *scratch_size = ad_product_scratch(&s.product, sizeof(float));
    }
    *state = fwm_calloc(1, sizeof s);
    if (!*state)
        ad_dnnl_matmul_destroy(&s.batch);
    FWM_CHECK(*state, FWM_MEMORY, "matrix product: out of memory");
    memcpy(*state, &s, sizeof s);
    return FWM_OK;
}

static void release(void *state)
{
    matmul_state *s = state;
    ad_dnnl_matmul_destroy(&s->batch);
    fwm_free(s);
}

static const char *implementation(const void *state)
{
    const matmul_state *s = state;
    return !s ? "library by shape" : s->batch ? ad_dnnl_matmul_implementation(s->batch) : ad_product_name(&s->product);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)out;
    product p = product_of(in[0], in[1], attr);
    return 2.0 * (double)p.batch * (double)p.m * (double)p.n * (double)p.k;
}

AD_SAMPLES({2, {{2, {3, 5}}, {2, {5, 4}}}, -1, 1, {.i = {0, 0}}}, {2, {{2, {5, 3}}, {2, {5, 4}}}, -1, 1, {.i = {1, 0}}},
           {2, {{2, {3, 5}}, {2, {4, 5}}}, -1, 1, {.i = {0, 1}}}, {2, {{2, {5, 3}}, {2, {4, 5}}}, -1, 1, {.i = {1, 1}}},
           {2, {{3, {2, 3, 5}}, {2, {5, 4}}}, -1, 1, {.i = {0, 0}}},
           {2, {{3, {2, 3, 5}}, {2, {4, 5}}}, -1, 1, {.i = {0, 1}}},
           {2, {{3, {2, 5, 3}}, {2, {5, 4}}}, -1, 1, {.i = {1, 0}}},
           {2, {{2, {3, 5}}, {3, {2, 5, 4}}}, -1, 1, {.i = {0, 0}}},
           {2, {{2, {5, 3}}, {3, {2, 4, 5}}}, -1, 1, {.i = {1, 1}}},
           {2, {{3, {2, 3, 5}}, {3, {2, 5, 4}}}, -1, 1, {.i = {0, 0}}},
           {2, {{3, {2, 5, 3}}, {3, {2, 4, 5}}}, -1, 1, {.i = {1, 1}}},
           {2, {{2, {1, 7}}, {2, {7, 1}}}, -1, 1, {.i = {0, 0}}},
           {2, {{4, {2, 2, 3, 4}}, {4, {2, 2, 4, 2}}}, -1, 1, {.i = {0, 0}}})
const ad_op ad_op_matmul = {
    .name = "matmul",
    .min_inputs = 2,
    .max_inputs = 2,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .prepare = prepare,
    .release = release,
    .implementation = implementation,
    .candidates = candidates,
    .flops = flops,
    .onnx = "MatMul, Transpose before it where asked",
    .samples = samples,
};

ad_value ad_matmul(ad_graph *g, ad_value a, ad_value b, bool trans_a, bool trans_b)
{
    ad_attributes attr = {.i = {trans_a, trans_b}};
    return ad_apply(g, &ad_op_matmul, 2, (ad_value[2]){a, b}, &attr);
}
#endif
