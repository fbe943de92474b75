/* y[b,p,q,c] = max of x over the window of (p,q): see pool.h, NaN if one is NaN;  dx = dy at the first maximum, summed
 * over windows: put_along by max_pool_index. */
#include "model/autodiff/ops/pool.h"

static void pool_pixel(const real *x, int64_t W, int64_t C, const pool_window *w, real *restrict y)
{
    memcpy(y, x + (w->row0 * W + w->column0) * C, (size_t)C * sizeof *y);
    for (int64_t r = w->row0; r < w->row1; r++)
        for (int64_t k = w->column0; k < w->column1; k++) {
            const real *restrict from = x + (r * W + k) * C;
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                y[c] = from[c] > y[c] || from[c] != from[c] ? from[c] : y[c];
        }
}

static fwm_status run(const ad_call *call)
{
    const ad_shape *s = call->in_shape[0], *out = call->out_shape;
    int64_t rows = out->dim[0] * out->dim[1], h = out->dim[1], w = out->dim[2], C = s->dim[3];
    const real *x = call->in[0];
    real *y = call->out;
    int64_t work = ad_shape_count(out) * call->attr->i[POOL_KERNEL] * call->attr->i[POOL_KERNEL + 1];
#pragma omp parallel for schedule(static) if (work > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t q = 0; q < w; q++) {
            pool_window window = pool_window_of(s, call->attr, row % h, q);
            pool_pixel(x + row / h * s->dim[1] * s->dim[2] * C, s->dim[2], C, &window, y + (row * w + q) * C);
        }
    return FWM_OK;
}
AD_KERNEL(max_pool, run)

#ifdef FWM_DEFINITION
#include "model/autodiff/ops/fused.h"

/* Pixels of the image, and of the result, as one axis. */
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0);
    ad_attributes attr = *ad_attributes_of(g, y);
    ad_shape s = *ad_shape_of(g, x), out = *ad_shape_of(g, y);
    ad_shape pixels = ad_shape_make(3, out.dim[0], out.dim[1] * out.dim[2], out.dim[3]);
    ad_value index = ad_reshape(g, ad_max_pool_index(g, x, &attr), pixels);
    dx[0] = ad_reshape(g, ad_put_along(g, ad_reshape(g, dy, pixels), index, 1, s.dim[1] * s.dim[2]), s);
}

const ad_op ad_op_max_pool = {
    .name = "max_pool",
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = pool_shape,
    .gradient = gradient,
    .flops = pool_flops,
    .onnx = "MaxPool (NCHW: Transpose around it)",
    .samples = pool_samples,
};

ad_value ad_max_pool(ad_graph *g, ad_value x, const ad_pool *p)
{
    ad_attributes attr;
    memset(&attr, 0, sizeof attr);
    for (int a = 0; a < 2; a++) {
        attr.i[POOL_KERNEL + a] = p->kernel[a];
        attr.i[POOL_STRIDE + a] = p->stride[a] ? p->stride[a] : p->kernel[a];
        attr.i[POOL_BEFORE + a] = p->pad_before[a];
        attr.i[POOL_AFTER + a] = p->pad_after[a];
    }
    return ad_apply(g, &ad_op_max_pool, 1, &x, &attr);
}
#endif
