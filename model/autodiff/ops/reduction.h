/* What sum and max share: reduction over a run of neighbouring axes, the operator's attributes i = {first axis, count,
 * keep}. The builders make reductions over other sets of axes of several such. */
#ifndef FWM_AUTODIFF_OPS_REDUCTION_H
#define FWM_AUTODIFF_OPS_REDUCTION_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/variant.h"

/* x seen as [before, reduced, after]. */
typedef struct ad_span {
    int64_t before, reduced, after;
} ad_span;

static inline ad_span ad_span_of(const ad_shape *x, const ad_attributes *attr)
{
    ad_span s = {1, 1, 1};
    for (int i = 0; i < x->rank; i++) {
        int64_t *part = i < attr->i[0] ? &s.before : i < attr->i[0] + attr->i[1] ? &s.reduced : &s.after;
        *part *= x->dim[i];
    }
    return s;
}

#ifdef FWM_DEFINITION
static inline fwm_status ad_reduction_shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    int rank = in[0]->rank, first = (int)attr->i[0], count = (int)attr->i[1];
    char text[96];
    FWM_CHECK(first >= 0 && count >= 1 && first + count <= rank, FWM_SHAPE, "expected axes inside %s, found %d to %d",
              ad_shape_text(in[0], text), first, first + count - 1);
    out->rank = 0;
    for (int i = 0; i < rank; i++) {
        bool inside = i >= first && i < first + count;
        if (!inside)
            out->dim[out->rank++] = in[0]->dim[i];
        else if (attr->i[2])
            out->dim[out->rank++] = 1;
    }
    if (out->rank == 0)
        out->dim[out->rank++] = 1;
    return FWM_OK;
}

/* dy, in the shape that reduction with `keep` would have had: what dx broadcasts from. */
static inline ad_value ad_reduction_kept(ad_graph *g, ad_value x, ad_value dy, const ad_attributes *attr)
{
    if (x < 0 || dy < 0)
        return AD_NONE;
    ad_shape kept = *ad_shape_of(g, x);
    for (int64_t i = attr->i[0]; i < attr->i[0] + attr->i[1]; i++)
        kept.dim[i] = 1;
    return ad_reshape(g, dy, kept);
}

/* Reduces x over the axes by runs of neighbours, last run first so that earlier axes keep their numbers. */
static inline ad_value ad_reduction_apply(ad_graph *g, const ad_op *op, ad_value x, int n_axes, const int *axes,
                                          bool keep)
{
    if (x < 0)
        return AD_NONE;
    int rank = ad_shape_of(g, x)->rank;
    bool marked[AD_MAX_RANK] = {false};
    for (int i = 0; i < rank && n_axes == 0; i++)
        marked[i] = true;
    for (int k = 0; k < n_axes; k++) {
        int axis = ad_axis(axes[k], rank);
        char text[96];
        if (axis < 0 || marked[axis])
            return ad_graph_fail(g, FWM_SHAPE, "%s: expected distinct axes of %s, found axis %d", op->name,
                                 ad_shape_text(ad_shape_of(g, x), text), axes[k]);
        marked[axis] = true;
    }
    for (int last = rank - 1; last >= 0; last--) {
        if (!marked[last])
            continue;
        int first = last;
        while (first > 0 && marked[first - 1])
            first--;
        ad_attributes attr = {.i = {first, last - first + 1, keep}};
        x = ad_apply(g, op, 1, &x, &attr);
        last = first;
    }
    return x;
}

/* Rows, columns, the middle, everything, a short last axis, more than one chunk. */
#define AD_REDUCTION_SAMPLES                                                                                           \
    AD_SAMPLES({1, {{2, {3, 5}}}, -1, 1, {.i = {1, 1, 0}}}, {1, {{2, {4, 5}}}, -1, 1, {.i = {0, 1, 1}}},               \
               {1, {{4, {2, 3, 2, 4}}}, -1, 1, {.i = {1, 2, 0}}}, {1, {{3, {2, 3, 4}}}, -1, 1, {.i = {0, 3, 0}}},      \
               {1, {{3, {5, 3, 1}}}, -1, 1, {.i = {0, 2, 1}}}, {1, {{2, {7, 70}}}, -1, 1, {.i = {0, 1, 0}}},           \
               {1, {{1, {131}}}, -1, 1, {.i = {0, 1, 0}}})
#endif
#endif
