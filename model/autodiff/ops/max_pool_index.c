/* y[b,p,q,c] = row W + column of the first maximum of x in the window of (p,q), the first NaN where there is one: what
 * the gradient of max_pool moves by. See pool.h. No gradient. */
#include "model/autodiff/ops/pool.h"

enum { CHANNELS = 32 };

/* `n` channels; the largest so far rests on the stack. */
static void index_pixel(const real *x, int64_t W, int64_t C, const pool_window *w, int64_t n, real *restrict y)
{
    real best[CHANNELS];
    int64_t start = w->row0 * W + w->column0;
    for (int64_t c = 0; c < n; c++) {
        best[c] = x[start * C + c];
        y[c] = (real)start;
    }
    for (int64_t r = w->row0; r < w->row1; r++)
        for (int64_t k = w->column0; k < w->column1; k++) {
            const real *restrict from = x + (r * W + k) * C;
            real place = (real)(r * W + k);
#pragma omp simd
            for (int64_t c = 0; c < n; c++) {
                bool larger = from[c] > best[c] || (from[c] != from[c] && best[c] == best[c]);
                best[c] = larger ? from[c] : best[c];
                y[c] = larger ? place : y[c];
            }
        }
}

static fwm_status run(const ad_call *call)
{
    const ad_shape *s = call->in_shape[0], *out = call->out_shape;
    int64_t rows = out->dim[0] * out->dim[1], h = out->dim[1], w = out->dim[2], C = s->dim[3];
    real *y = call->out;
    int64_t work = ad_shape_count(out) * call->attr->i[POOL_KERNEL] * call->attr->i[POOL_KERNEL + 1];
#pragma omp parallel for schedule(static) if (work > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++) {
        const real *x = (const real *)call->in[0] + row / h * s->dim[1] * s->dim[2] * C;
        for (int64_t q = 0; q < w; q++) {
            pool_window window = pool_window_of(s, call->attr, row % h, q);
            for (int64_t c = 0; c < C; c += CHANNELS)
                index_pixel(x + c, s->dim[2], C, &window, C - c < CHANNELS ? C - c : CHANNELS,
                            y + (row * w + q) * C + c);
        }
    }
    return FWM_OK;
}
AD_KERNEL(max_pool_index, run)

#ifdef FWM_DEFINITION
#include "model/autodiff/ops/fused.h"

const ad_op ad_op_max_pool_index = {
    .name = "max_pool_index",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_NO_GRADIENT,
    .shape = pool_shape,
    .flops = pool_flops,
    .onnx = "MaxPool, its indices",
    .samples = pool_samples,
};

ad_value ad_max_pool_index(ad_graph *g, ad_value x, const ad_attributes *like)
{
    ad_attributes attr = *like;
    return ad_apply(g, &ad_op_max_pool_index, 1, &x, &attr);
}
#endif
