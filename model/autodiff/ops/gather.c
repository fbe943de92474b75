/* y[b,m,a] = x[b,index[m],a] along axis i[0]: the axis becomes the axes of index;  dx = scatter_add(dy, index); in
 * index 0. */
#include "model/autodiff/ops/index.h"

static void copy_rows(const index_view *v, const real *x, const real *index, int64_t count, real *y)
{
    for (int64_t m = 0; m < count; m++, y += v->after) {
        const real *from = x + index_at(index[m]) * v->after;
        if (v->after < INDEX_COLUMNS)
            for (int64_t a = 0; a < v->after; a++)
                y[a] = from[a];
        else
            memcpy(y, from, (size_t)v->after * sizeof *y);
    }
}

static fwm_status run(const ad_call *call)
{
    index_view v = index_view_of(call->in_shape[0], (int)call->attr->i[0]);
    const real *x = call->in[0], *index = call->in[1];
    real *y = call->out;
    int64_t M = ad_shape_count(call->in_shape[1]);
    FWM_TRY(index_check("gather", index, M, v.length));
#pragma omp parallel for collapse(2) schedule(static) if (v.before * M * v.after > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < v.before; b++)
        for (int64_t m = 0; m < M; m += INDEX_ROWS)
            copy_rows(&v, x + b * v.length * v.after, index + m, M - m < INDEX_ROWS ? M - m : INDEX_ROWS,
                      y + (b * M + m) * v.after);
    return FWM_OK;
}
AD_KERNEL(gather, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    const ad_shape *x = in[0], *index = in[1];
    int64_t axis = attr->i[0];
    FWM_TRY(index_check_axis(x, axis, axis >= 0 && axis < x->rank ? x->dim[axis] : 0));
    FWM_CHECK(x->rank - 1 + index->rank <= AD_MAX_RANK, FWM_SHAPE, "expected a result of at most %d axes, found %d",
              AD_MAX_RANK, x->rank - 1 + index->rank);
    for (int k = 0; k < axis; k++)
        out->dim[out->rank++] = x->dim[k];
    for (int k = 0; k < index->rank; k++)
        out->dim[out->rank++] = index->dim[k];
    for (int k = (int)axis + 1; k < x->rank; k++)
        out->dim[out->rank++] = x->dim[k];
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    int axis = (int)ad_attributes_of(g, y)->i[0];
    ad_value x = ad_input_of(g, y, 0), index = ad_input_of(g, y, 1);
    if (need[0])
        dx[0] = ad_scatter_add(g, dy, index, axis, ad_dim(g, x, axis));
}

AD_SAMPLES({2, {{2, {6, 3}}, {1, {4}}}, 0, 5, {.i = {0}}}, {2, {{3, {2, 5, 3}}, {2, {3, 4}}}, 0, 4, {.i = {1}}},
           {2, {{2, {4, 7}}, {1, {9}}}, 0, 6, {.i = {1}}}, {2, {{2, {3, 70}}, {1, {5}}}, 0, 2, {.i = {0}}})
const ad_op ad_op_gather = {
    .name = "gather",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Gather (indices rounded: Round, Cast to int64)",
    .samples = samples,
};

ad_value ad_gather(ad_graph *g, ad_value x, ad_value index, int axis)
{
    if (x < 0)
        return AD_NONE;
    ad_attributes attr = {.i = {index_axis(g, x, axis)}};
    return ad_apply(g, &ad_op_gather, 2, (ad_value[]){x, index}, &attr);
}
#endif
