/* y[b,p,q,c] = mean of the f x f block of x;  dx = upsample_nearest(dy) / f^2. Images [B,H,W,C], factor f in i[0]. */
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <string.h>

static fwm_status run(const ad_call *call)
{
    const ad_shape *s = call->out_shape;
    int64_t rows = s->dim[0] * s->dim[1], W = s->dim[2], C = s->dim[3], f = call->attr->i[0];
    const real *x = call->in[0];
    real *y = call->out;
    real weight = (real)1 / (real)(f * f);
#pragma omp parallel for schedule(static) if (rows * W * C * f * f > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t q = 0; q < W; q++) {
            real *restrict to = y + (row * W + q) * C;
            memset(to, 0, (size_t)C * sizeof *to);
            for (int64_t i = 0; i < f; i++)
                for (int64_t j = 0; j < f; j++) {
                    const real *restrict from = x + ((row * f + i) * W * f + q * f + j) * C;
                    for (int64_t c = 0; c < C; c++)
                        to[c] += from[c];
                }
            for (int64_t c = 0; c < C; c++)
                to[c] *= weight;
        }
    return FWM_OK;
}
AD_KERNEL(average_pool, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    int64_t f = attr->i[0];
    FWM_CHECK(in[0]->rank == 4, FWM_SHAPE, "expected images [B,H,W,C], found rank %d", in[0]->rank);
    FWM_CHECK(f >= 1, FWM_INVALID, "expected a factor of at least 1, found %lld", (long long)f);
    FWM_CHECK(in[0]->dim[1] % f == 0 && in[0]->dim[2] % f == 0, FWM_SHAPE,
              "a factor of %lld does not divide %lld x %lld", (long long)f, (long long)in[0]->dim[1],
              (long long)in[0]->dim[2]);
    *out = *in[0];
    out->dim[1] /= f;
    out->dim[2] /= f;
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    int factor = (int)ad_attributes_of(g, y)->i[0];
    dx[0] = ad_affine(g, ad_upsample_nearest(g, dy, factor), 1.0 / ((double)factor * factor), 0.0);
}

static int samples(ad_sample *s, int capacity)
{
    for (int k = 0; k < 2 && k < capacity; k++)
        s[k] =
            (ad_sample){.n_in = 1, .in = {ad_shape_make(4, 2, 6, 12, 1 + 2 * k)}, .lo = -1, .hi = 1, .attr.i = {2 + k}};
    return capacity < 2 ? capacity : 2;
}

const ad_op ad_op_average_pool = {
    .name = "average_pool",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "AveragePool (kernel and stride f; NCHW: Transpose around it)",
    .samples = samples,
};

ad_value ad_average_pool(ad_graph *g, ad_value x, int factor)
{
    ad_attributes attr = {.i = {factor}};
    return ad_apply(g, &ad_op_average_pool, 1, &x, &attr);
}
#endif
