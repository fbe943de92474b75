/* y[b,index[b,m,a],a] += u[b,m,a] from zero, along axis i[0] of length i[1];  du = take_along(dy, index); in index 0.
 * The terms of an element are added in the order of m by one thread, so that bits do not depend on the thread count. */
#include "model/autodiff/ops/index.h"

static fwm_status run(const ad_call *call)
{
    index_view v = index_view_of(call->out_shape, (int)call->attr->i[0]);
    int64_t M = call->in_shape[0]->dim[call->attr->i[0]];
    const real *u = call->in[0], *index = call->in[1];
    real *y = call->out;
    FWM_TRY(index_check("put_along", index, v.before * M * v.after, v.length));
#pragma omp parallel for collapse(2) schedule(static) if (v.before * (M + v.length) * v.after > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < v.before; b++)
        for (int64_t a = 0; a < v.after; a += INDEX_COLUMNS) {
            int64_t width = v.after - a < INDEX_COLUMNS ? v.after - a : INDEX_COLUMNS;
            real *to = y + b * v.length * v.after + a;
            for (int64_t k = 0; k < v.length; k++)
                memset(to + k * v.after, 0, (size_t)width * sizeof *to);
            for (int64_t m = 0; m < M; m++) {
                const real *from = u + (b * M + m) * v.after + a, *k = index + (b * M + m) * v.after + a;
                for (int64_t c = 0; c < width; c++)
                    to[index_at(k[c]) * v.after + c] += from[c];
            }
        }
    return FWM_OK;
}
AD_KERNEL(put_along, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    char a[96], b[96];
    FWM_TRY(index_check_axis(in[0], attr->i[0], attr->i[1]));
    FWM_CHECK(ad_shape_equal(in[0], in[1]), FWM_SHAPE, "expected an index for every element of %s, found %s",
              ad_shape_text(in[0], a), ad_shape_text(in[1], b));
    *out = *in[0];
    out->dim[attr->i[0]] = attr->i[1];
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    int axis = (int)ad_attributes_of(g, y)->i[0];
    if (need[0])
        dx[0] = ad_take_along(g, dy, ad_input_of(g, y, 1), axis);
}

AD_SAMPLES({2, {{2, {3, 5}}, {2, {3, 5}}}, 0, 2, {.i = {1, 3}}},
           {2, {{3, {2, 4, 3}}, {3, {2, 4, 3}}}, 0, 4, {.i = {1, 5}}},
           {2, {{2, {6, 2}}, {2, {6, 2}}}, 0, 3, {.i = {0, 4}}})
const ad_op ad_op_put_along = {
    .name = "put_along",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .gradient = gradient,
    .onnx = "ScatterElements (reduction add) into zeros",
    .samples = samples,
};

ad_value ad_put_along(ad_graph *g, ad_value u, ad_value index, int axis, int64_t length)
{
    if (u < 0)
        return AD_NONE;
    ad_attributes attr = {.i = {index_axis(g, u, axis), length}};
    return ad_apply(g, &ad_op_put_along, 2, (ad_value[]){u, index}, &attr);
}
#endif
