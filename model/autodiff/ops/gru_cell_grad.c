/* (e, gx, gh, h, bx, bh) -> [7B,H]: dgx in its first 3B rows, read as [B,3H], dgh in the next 3B, dh in the last B: see
 * gru.h. Its own gradient is the walk's, of the same made of graph operators. */
#include "model/autodiff/ops/fused.h"
#include "model/autodiff/ops/gru.h"

static fwm_status run(const ad_call *call)
{
    int64_t B = call->in_shape[0]->dim[0], H = call->in_shape[0]->dim[1];
    real *out = call->out;
#pragma omp parallel for schedule(static) if (3 * B * H > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < B; row++) {
        gru_row s = gru_row_of(call, 1, row, H);
        const real *e = (const real *)call->in[0] + row * H;
        real *restrict dgx = out + row * 3 * H, *restrict dgh = out + (B + row) * 3 * H,
                       *restrict dh = out + (6 * B + row) * H;
#pragma omp simd
        for (int64_t c = 0; c < H; c++) {
            GRU_GATES(s, H, c)
            real dn = e[c] * (1 - z) * (1 - n * n);
            real dz = e[c] * (s.h[c] - n) * z * (1 - z);
            real dr = dn * q * r * (1 - r);
            dgx[c] = dgh[c] = dz;
            dgx[H + c] = dgh[H + c] = dr;
            dgx[2 * H + c] = dn;
            dgh[2 * H + c] = r * dn;
            dh[c] = e[c] * z;
        }
    }
    return FWM_OK;
}
AD_KERNEL(gru_cell_grad, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)attr;
    FWM_TRY(gru_check(in + 1));
    FWM_CHECK(ad_shape_equal(in[0], in[3]), FWM_SHAPE, "the cotangent and the state differ in shape");
    *out = ad_shape_make(2, 7 * in[3]->dim[0], in[3]->dim[1]);
    return FWM_OK;
}

/* The packed gradients, of graph operators; in as the operator's. */
static ad_value composed(ad_graph *g, const ad_value in[6])
{
    int64_t H = ad_dim(g, in[3], 1);
    ad_value e = in[0], x = ad_add(g, in[1], in[4]), h = ad_add(g, in[2], in[5]);
    ad_value gates = ad_sigmoid(g, ad_add(g, ad_slice(g, x, 1, 0, 2 * H), ad_slice(g, h, 1, 0, 2 * H)));
    ad_value z = ad_slice(g, gates, 1, 0, H), r = ad_slice(g, gates, 1, H, H), q = ad_slice(g, h, 1, 2 * H, H);
    ad_value n = ad_tanh(g, ad_add(g, ad_slice(g, x, 1, 2 * H, H), ad_mul(g, r, q)));
    ad_value dn = ad_tanh_grad(g, ad_mul(g, e, ad_affine(g, z, -1, 1)), n);
    ad_value dz = ad_sigmoid_grad(g, ad_mul(g, e, ad_sub(g, in[3], n)), z);
    ad_value dr = ad_sigmoid_grad(g, ad_mul(g, dn, q), r);
    ad_shape rows = {2, {-1, H}};
    ad_value dgx = ad_reshape(g, ad_concat(g, 3, (ad_value[]){dz, dr, dn}, 1), rows);
    ad_value dgh = ad_reshape(g, ad_concat(g, 3, (ad_value[]){dz, dr, ad_mul(g, r, dn)}, 1), rows);
    return ad_concat(g, 3, (ad_value[]){dgx, dgh, ad_mul(g, e, z)}, 0);
}

/* The walk through the composed form, with respect to copies of the inputs: it then ends at the copies, although one
 * input (h R) may depend on another (h). Equal inputs share a copy, whose gradient is already the sum for both. */
static void gradient(ad_graph *g, ad_value y, ad_value v, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value copy[6];
    for (int k = 0; k < 6; k++)
        copy[k] =
            ad_apply(g, ad_op_find("affine"), 1, (ad_value[]){ad_input_of(g, y, k)}, &(ad_attributes){.f = {1, 0}});
    ad_value packed = composed(g, copy);
    if (ad_graph_status(g) != FWM_OK)
        return;
    fwm_status status = ad_vjp(g, packed, v, 6, copy, dx);
    if (status != FWM_OK)
        (void)ad_graph_fail(g, status, "%s", fwm_error_message());
    for (int k = 1; k < 6; k++)
        for (int j = 0; j < k; j++)
            if (copy[j] == copy[k])
                dx[k] = AD_NONE;
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)out, (void)attr;
    return 60.0 * (double)ad_shape_count(in[0]);
}

static int samples(ad_sample *s, int capacity)
{
    return gru_samples(s, capacity, true);
}

const ad_op ad_op_gru_cell_grad = {
    .name = "gru_cell_grad",
    .min_inputs = 6,
    .max_inputs = 6,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "none (training only)",
    .samples = samples,
};
#endif
