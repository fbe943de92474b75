/* (gx, gh, h, bx, bh) -> h': see gru.h;  all gradients by one gru_cell_grad. */
#include "model/autodiff/ops/gru.h"

static fwm_status run(const ad_call *call)
{
    int64_t B = call->out_shape->dim[0], H = call->out_shape->dim[1];
#pragma omp parallel for schedule(static) if (3 * B * H > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < B; row++) {
        gru_row s = gru_row_of(call, 0, row, H);
        real *restrict y = (real *)call->out + row * H;
#pragma omp simd
        for (int64_t c = 0; c < H; c++) {
            GRU_GATES(s, H, c)
            y[c] = n + z * (s.h[c] - n);
        }
    }
    return FWM_OK;
}
AD_KERNEL(gru_cell, run)

#ifdef FWM_DEFINITION
extern const ad_op ad_op_gru_cell_grad;

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    *out = *in[2];
    return gru_check(in);
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value in[6] = {dy};
    for (int k = 0; k < 5; k++)
        in[k + 1] = ad_input_of(g, y, k);
    int64_t B = ad_dim(g, y, 0), H = ad_dim(g, y, 1);
    ad_value packed = ad_apply(g, &ad_op_gru_cell_grad, 6, in, NULL);
    if (need[0] || need[3])
        dx[0] = ad_reshape(g, ad_slice(g, packed, 0, 0, 3 * B), ad_shape_make(2, B, 3 * H));
    if (need[1] || need[4])
        dx[1] = ad_reshape(g, ad_slice(g, packed, 0, 3 * B, 3 * B), ad_shape_make(2, B, 3 * H));
    if (need[2])
        dx[2] = ad_slice(g, packed, 0, 6 * B, B);
    dx[3] = dx[0];
    dx[4] = dx[1];
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in, (void)attr;
    return 40.0 * (double)ad_shape_count(out);
}

static int samples(ad_sample *s, int capacity)
{
    return gru_samples(s, capacity, false);
}

const ad_op ad_op_gru_cell = {
    .name = "gru_cell",
    .min_inputs = 5,
    .max_inputs = 5,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "GRU (linear_before_reset 1, one step) with the products before it, or Add, Sigmoid, Tanh, Mul",
    .samples = samples,
};

ad_value ad_gru_cell(ad_graph *g, ad_value gx, ad_value gh, ad_value h, ad_value bx, ad_value bh)
{
    return ad_apply(g, &ad_op_gru_cell, 5, (ad_value[]){gx, gh, h, bx, bh}, NULL);
}
#endif
