/* y[b,m,a] = x[b,index[b,m,a],a] along axis i[0], an index for every element;  dx = put_along(dy, index); in index 0.
 */
#include "model/autodiff/ops/index.h"

static fwm_status run(const ad_call *call)
{
    index_view v = index_view_of(call->in_shape[0], (int)call->attr->i[0]);
    int64_t M = call->out_shape->dim[call->attr->i[0]];
    const real *x = call->in[0], *index = call->in[1];
    real *y = call->out;
    FWM_TRY(index_check("take_along", index, v.before * M * v.after, v.length));
#pragma omp parallel for collapse(2) schedule(static) if (v.before * M * v.after > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < v.before; b++)
        for (int64_t m = 0; m < M; m++) {
            const real *from = x + b * v.length * v.after, *k = index + (b * M + m) * v.after;
            real *to = y + (b * M + m) * v.after;
            for (int64_t a = 0; a < v.after; a++)
                to[a] = from[index_at(k[a]) * v.after + a];
        }
    return FWM_OK;
}
AD_KERNEL(take_along, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    int64_t axis = attr->i[0];
    char a[96], b[96];
    FWM_TRY(index_check_axis(in[0], axis, axis >= 0 && axis < in[0]->rank ? in[0]->dim[axis] : 0));
    ad_shape same = *in[1];
    if (same.rank == in[0]->rank)
        same.dim[axis] = in[0]->dim[axis];
    FWM_CHECK(ad_shape_equal(&same, in[0]), FWM_SHAPE,
              "expected indices of the shape of %s but for axis %lld, found %s", ad_shape_text(in[0], a),
              (long long)axis, ad_shape_text(in[1], b));
    *out = *in[1];
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    int axis = (int)ad_attributes_of(g, y)->i[0];
    if (need[0])
        dx[0] = ad_put_along(g, dy, ad_input_of(g, y, 1), axis, ad_dim(g, ad_input_of(g, y, 0), axis));
}

AD_SAMPLES({2, {{2, {3, 5}}, {2, {3, 7}}}, 0, 4, {.i = {1}}}, {2, {{3, {2, 4, 3}}, {3, {2, 2, 3}}}, 0, 3, {.i = {1}}},
           {2, {{2, {6, 2}}, {2, {4, 2}}}, 0, 5, {.i = {0}}})
const ad_op ad_op_take_along = {
    .name = "take_along",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .gradient = gradient,
    .onnx = "GatherElements (indices rounded: Round, Cast to int64)",
    .samples = samples,
};

ad_value ad_take_along(ad_graph *g, ad_value x, ad_value index, int axis)
{
    if (x < 0)
        return AD_NONE;
    ad_attributes attr = {.i = {index_axis(g, x, axis)}};
    return ad_apply(g, &ad_op_take_along, 2, (ad_value[]){x, index}, &attr);
}
#endif
