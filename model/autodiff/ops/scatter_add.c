/* y[b,index[m],a] += u[b,m,a] from zero, along axis i[0] of length i[1];  du = gather(dy, index); in index 0.
 * The terms of an element are added in the order of m by one thread, so that bits do not depend on the thread count. */
#include "model/autodiff/ops/index.h"

static fwm_status run(const ad_call *call)
{
    index_view v = index_view_of(call->out_shape, (int)call->attr->i[0]);
    const real *u = call->in[0], *index = call->in[1];
    real *y = call->out;
    int64_t M = ad_shape_count(call->in_shape[1]);
    FWM_TRY(index_check("scatter_add", index, M, v.length));
#pragma omp parallel for collapse(2) schedule(static) if (v.before * (M + v.length) * v.after > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < v.before; b++)
        for (int64_t a = 0; a < v.after; a += INDEX_COLUMNS) {
            int64_t width = v.after - a < INDEX_COLUMNS ? v.after - a : INDEX_COLUMNS;
            const real *from = u + b * M * v.after + a;
            real *to = y + b * v.length * v.after + a;
            for (int64_t k = 0; k < v.length; k++)
                memset(to + k * v.after, 0, (size_t)width * sizeof *to);
            for (int64_t m = 0; m < M; m++) {
                real *restrict row = to + index_at(index[m]) * v.after;
#pragma omp simd
                for (int64_t c = 0; c < width; c++)
                    row[c] += from[m * v.after + c];
            }
        }
    return FWM_OK;
}
AD_KERNEL(scatter_add, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    const ad_shape *u = in[0], *index = in[1];
    int64_t axis = attr->i[0];
    char a[96], b[96];
    FWM_TRY(index_check_axis(u, axis, attr->i[1]));
    bool fits = index->rank >= 1 && axis + index->rank <= u->rank;
    for (int k = 0; fits && k < index->rank; k++)
        fits = u->dim[axis + k] == index->dim[k];
    FWM_CHECK(fits, FWM_SHAPE, "expected the axes of the indices from axis %lld on, found %s and indices %s",
              (long long)axis, ad_shape_text(u, a), ad_shape_text(index, b));
    for (int k = 0; k < axis; k++)
        out->dim[out->rank++] = u->dim[k];
    out->dim[out->rank++] = attr->i[1];
    for (int k = (int)axis + index->rank; k < u->rank; k++)
        out->dim[out->rank++] = u->dim[k];
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    int axis = (int)ad_attributes_of(g, y)->i[0];
    if (need[0])
        dx[0] = ad_gather(g, dy, ad_input_of(g, y, 1), axis);
}

AD_SAMPLES({2, {{2, {7, 3}}, {1, {7}}}, 0, 3, {.i = {0, 4}}},
           {2, {{4, {2, 3, 4, 3}}, {2, {3, 4}}}, 0, 4, {.i = {1, 5}}},
           {2, {{2, {4, 9}}, {1, {9}}}, 0, 2, {.i = {1, 3}}}, {2, {{2, {5, 70}}, {1, {5}}}, 0, 2, {.i = {0, 3}}})
const ad_op ad_op_scatter_add = {
    .name = "scatter_add",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .gradient = gradient,
    .onnx = "ScatterND (reduction add) into zeros",
    .samples = samples,
};

ad_value ad_scatter_add(ad_graph *g, ad_value u, ad_value index, int axis, int64_t length)
{
    if (u < 0 || index < 0)
        return AD_NONE;
    int rank = ad_shape_of(g, u)->rank - ad_shape_of(g, index)->rank + 1; /* of the result */
    int normal = ad_axis(axis, rank);
    ad_attributes attr = {.i = {normal >= 0 ? normal : axis, length}};
    return ad_apply(g, &ad_op_scatter_add, 2, (ad_value[]){u, index}, &attr);
}
#endif
