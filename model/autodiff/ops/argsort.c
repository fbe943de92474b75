/* y = the places of the last axis' elements in rising order (i[0]: falling), as numbers; equal ones keep their order,
 * NaN comes last. No gradient: ad_sort takes the elements along these places. Merge sort from runs of one, per row. */
#include "model/autodiff/ops/index.h"

static inline bool goes_before(real a, real b, bool falling)
{
    if (a != a || b != b)
        return a == a && b != b;
    return falling ? a > b : a < b;
}

/* Merges the sorted runs from[0..middle) and from[middle..n) of places in x. */
static void merge(const real *x, bool falling, const int32_t *from, int64_t middle, int64_t n, int32_t *to)
{
    int64_t i = 0, j = middle;
    for (int64_t k = 0; k < n; k++) {
        bool right = i >= middle || (j < n && goes_before(x[from[j]], x[from[i]], falling));
        to[k] = right ? from[j++] : from[i++];
    }
}

static void sort_row(const real *x, int64_t n, bool falling, int32_t *a, int32_t *b, real *y)
{
    for (int64_t i = 0; i < n; i++)
        a[i] = (int32_t)i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t at = 0; at < n; at += 2 * width) {
            int64_t length = n - at < 2 * width ? n - at : 2 * width;
            merge(x, falling, a + at, width < length ? width : length, length, b + at);
        }
        int32_t *t = a;
        a = b;
        b = t;
    }
    for (int64_t i = 0; i < n; i++)
        y[i] = (real)a[i];
}

static fwm_status run(const ad_call *call)
{
    int64_t n = call->out_shape->dim[call->out_shape->rank - 1], rows = ad_shape_count(call->out_shape) / n;
    const real *x = call->in[0];
    real *y = call->out;
    int32_t *place = call->scratch;
#pragma omp parallel for schedule(static) if (rows * n > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++)
        sort_row(x + row * n, n, call->attr->i[0] != 0, place + 2 * row * n, place + (2 * row + 1) * n, y + row * n);
    return FWM_OK;
}
AD_KERNEL(argsort, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    FWM_CHECK(in[0]->rank >= 1, FWM_SHAPE, "expected at least one axis");
    *out = *in[0];
    return index_check_axis(out, out->rank - 1, out->dim[out->rank - 1]);
}

static size_t scratch(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)dtype, (void)n, (void)in, (void)attr;
    return 2 * (size_t)ad_shape_count(out) * sizeof(int32_t);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)attr;
    return (double)ad_shape_count(out) * ceil(log2((double)out->dim[out->rank - 1] + 1));
}

AD_SAMPLES({1, {{2, {3, 7}}}, -1, 1, {.i = {0}}}, {1, {{1, {33}}}, -1, 1, {.i = {1}}},
           {1, {{2, {4, 1}}}, -1, 1, {.i = {0}}})
const ad_op ad_op_argsort = {
    .name = "argsort",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_NO_GRADIENT,
    .shape = shape,
    .scratch = scratch,
    .flops = flops,
    .onnx = "TopK (all of the last axis, sorted), its indices",
    .samples = samples,
};

ad_value ad_argsort(ad_graph *g, ad_value x, bool descending)
{
    ad_attributes attr = {.i = {descending}};
    return ad_apply(g, &ad_op_argsort, 1, &x, &attr);
}
#endif
