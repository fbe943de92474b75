/* (x, u) -> [2,C]: sum u xhat | sum u over the rows, the gradients of layer_norm in scale and shift: see layer_norm.h.
 * f[0]: eps. */
#include "model/autodiff/ops/layer_norm.h"

#include <string.h>

enum { CHUNK = 16384 }; /* elements */

static inline int64_t chunk_rows(int64_t C)
{
    return C < CHUNK ? CHUNK / C : 1;
}

static void sum_rows(const ad_call *call, int64_t C, int64_t first, int64_t last, double *restrict sum)
{
    const real *x = call->in[0], *u = call->in[1];
    memset(sum, 0, (size_t)(2 * C) * sizeof *sum);
    for (int64_t row = first; row < last; row++) {
        const real *restrict from = x + row * C, *restrict du = u + row * C;
        double mu, r;
        layer_moments(C, from, call->attr->f[0], &mu, &r);
        real m = (real)mu, s = (real)r;
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            sum[c] += (double)(du[c] * ((from[c] - m) * s));
            sum[C + c] += (double)du[c];
        }
    }
}

static fwm_status run(const ad_call *call)
{
    int64_t C = call->out_shape->dim[1], rows = ad_shape_count(call->in_shape[0]) / C;
    int64_t step = chunk_rows(C), chunks = (rows + step - 1) / step;
    double *partial = call->scratch;
    real *out = call->out;
#pragma omp parallel for schedule(static) if (rows * C > FWM_PARALLEL_MIN)
    for (int64_t k = 0; k < chunks; k++)
        sum_rows(call, C, k * step, (k + 1) * step < rows ? (k + 1) * step : rows, partial + k * 2 * C);
    for (int64_t c = 0; c < 2 * C; c++) {
        double sum = 0;
        for (int64_t k = 0; k < chunks; k++)
            sum += partial[k * 2 * C + c];
        out[c] = (real)sum;
    }
    return FWM_OK;
}
AD_KERNEL(layer_norm_params, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    FWM_TRY(layer_check(in[0], in[1], NULL));
    *out = ad_shape_make(2, 2, in[0]->dim[in[0]->rank - 1]);
    return FWM_OK;
}

/* With cotangent (a, b): u gets a xhat + b, which is layer_norm(x, a, b); x gets P(x)(a u). */
static void gradient(ad_graph *g, ad_value y, ad_value cotangent, const bool *need, ad_value *dx)
{
    ad_value x = ad_input_of(g, y, 0), u = ad_input_of(g, y, 1);
    ad_attributes attr = *ad_attributes_of(g, y);
    ad_value a = layer_row(g, cotangent, 0), b = layer_row(g, cotangent, 1);
    if (need[0])
        dx[0] = layer_apply(g, "layer_norm_dx", 3, (ad_value[]){x, u, a}, &attr);
    if (need[1])
        dx[1] = layer_apply(g, "layer_norm", 3, (ad_value[]){x, a, b}, &attr);
}

static size_t scratch(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)dtype, (void)n, (void)attr;
    int64_t C = out->dim[1], step = chunk_rows(C);
    return (size_t)((layer_rows(in[0]) + step - 1) / step * 2 * C) * sizeof(double);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)out, (void)attr;
    return 10.0 * (double)ad_shape_count(in[0]);
}

static int samples(ad_sample *s, int capacity)
{
    return layer_samples(s, capacity, "xx");
}

const ad_op ad_op_layer_norm_params = {
    .name = "layer_norm_params",
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .gradient = gradient,
    .scratch = scratch,
    .flops = flops,
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
