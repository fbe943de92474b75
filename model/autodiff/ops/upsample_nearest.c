/* y[b,p,q,c] = x[b,p/f,q/f,c];  dx = f^2 average_pool(dy). Images [B,H,W,C], factor f in i[0]. */
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <string.h>

static fwm_status run(const ad_call *call)
{
    const ad_shape *s = call->in_shape[0];
    int64_t rows = s->dim[0] * s->dim[1], W = s->dim[2], C = s->dim[3], f = call->attr->i[0];
    const real *x = call->in[0];
    real *y = call->out;
#pragma omp parallel for schedule(static) if (rows * W * C * f * f > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++) {
        real *first = y + row * f * W * f * C;
        for (int64_t q = 0; q < W; q++)
            for (int64_t k = 0; k < f; k++)
                memcpy(first + (q * f + k) * C, x + (row * W + q) * C, (size_t)C * sizeof *x);
        for (int64_t k = 1; k < f; k++)
            memcpy(first + k * W * f * C, first, (size_t)(W * f * C) * sizeof *x);
    }
    return FWM_OK;
}
AD_KERNEL(upsample_nearest, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    FWM_CHECK(in[0]->rank == 4, FWM_SHAPE, "expected images [B,H,W,C], found rank %d", in[0]->rank);
    FWM_CHECK(attr->i[0] >= 1, FWM_INVALID, "expected a factor of at least 1, found %lld", (long long)attr->i[0]);
    *out = *in[0];
    out->dim[1] *= attr->i[0];
    out->dim[2] *= attr->i[0];
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    int factor = (int)ad_attributes_of(g, y)->i[0];
    dx[0] = ad_affine(g, ad_average_pool(g, dy, factor), (double)factor * factor, 0.0);
}

static int samples(ad_sample *s, int capacity)
{
    for (int k = 0; k < 2 && k < capacity; k++)
        s[k] =
            (ad_sample){.n_in = 1, .in = {ad_shape_make(4, 2, 3, 2, 1 + 2 * k)}, .lo = -1, .hi = 1, .attr.i = {2 + k}};
    return capacity < 2 ? capacity : 2;
}

const ad_op ad_op_upsample_nearest = {
    .name = "upsample_nearest",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Resize (mode nearest, asymmetric, floor; NCHW: Transpose around it)",
    .samples = samples,
};

ad_value ad_upsample_nearest(ad_graph *g, ad_value x, int factor)
{
    ad_attributes attr = {.i = {factor}};
    return ad_apply(g, &ad_op_upsample_nearest, 1, &x, &attr);
}
#endif
