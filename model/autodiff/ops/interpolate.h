/* Linear interpolation along one axis and its adjoint. Place p of n reads position (p + 1/2) N / n - 1/2 of N (the
 * centres of cells that cover the same length: ONNX half_pixel, PyTorch align_corners = False), held to [0, N-1].
 * Attributes: i[0] axis; i[1] the length of the result along it. The weights are a table in scratch. */
#ifndef FWM_AUTODIFF_OPS_INTERPOLATE_H
#define FWM_AUTODIFF_OPS_INTERPOLATE_H

#include "model/autodiff/ops/index.h"

/* Reads (1 - t) x[first] + t x[second]. */
typedef struct interpolate_tap {
    int32_t first, second;
    double t;
} interpolate_tap;

static inline void interpolate_taps(int64_t from, int64_t to, interpolate_tap *tap)
{
    for (int64_t p = 0; p < to; p++) {
        double at = ((double)p + 0.5) * (double)from / (double)to - 0.5;
        at = at < 0 ? 0 : at > (double)(from - 1) ? (double)(from - 1) : at;
        int64_t first = (int64_t)at, second = first + 1 < from ? first + 1 : first;
        tap[p] = (interpolate_tap){(int32_t)first, (int32_t)second, at - (double)first};
    }
}

#ifdef FWM_DEFINITION
static inline fwm_status interpolate_shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    *out = *in[0];
    FWM_TRY(index_check_axis(out, attr->i[0], attr->i[1]));
    FWM_TRY(index_check_axis(out, attr->i[0], out->dim[attr->i[0]]));
    out->dim[attr->i[0]] = attr->i[1];
    return FWM_OK;
}

/* Of the longer side, which is enough for both directions. */
static inline size_t interpolate_scratch(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                                         const ad_attributes *attr)
{
    (void)dtype, (void)n;
    int64_t a = in[0]->dim[attr->i[0]], b = out->dim[attr->i[0]];
    return (size_t)(a > b ? a : b) * sizeof(interpolate_tap);
}

static inline double interpolate_flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)attr;
    int64_t a = ad_shape_count(in[0]), b = ad_shape_count(out);
    return 3.0 * (double)(a > b ? a : b);
}

/* Up, down, odd ratios, one element, wide rows. */
static inline int interpolate_samples(ad_sample *s, int capacity)
{
    const ad_sample all[] = {
        {1, {{2, {3, 4}}}, -1, 1, {.i = {1, 8}}},    {1, {{3, {2, 6, 3}}}, -1, 1, {.i = {1, 3}}},
        {1, {{3, {2, 5, 2}}}, -1, 1, {.i = {1, 7}}}, {1, {{2, {7, 3}}}, -1, 1, {.i = {0, 2}}},
        {1, {{2, {1, 3}}}, -1, 1, {.i = {0, 4}}},    {1, {{2, {3, 70}}}, -1, 1, {.i = {0, 5}}},
    };
    return ad_samples_copy(s, capacity, all, (int)(sizeof all / sizeof *all));
}

static inline ad_value interpolate_apply(ad_graph *g, const char *name, ad_value x, int axis, int64_t length)
{
    ad_attributes attr = {.i = {axis, length}};
    return ad_apply(g, ad_op_find(name), 1, &x, &attr);
}
#endif
#endif
