/* The pointwise part of a gated recurrent unit whose reset gate acts after the recurrent product (oneDNN's lbr_gru,
 * ONNX linear_before_reset = 1): of the gates gx = x W and gh = h R, both [B,3H] in the order z | r | n, and biases bx,
 * bh [3H]
 *
 *     z = sigmoid(gx_z + bx_z + gh_z + bh_z)     r = sigmoid(gx_r + bx_r + gh_r + bh_r)
 *     q = gh_n + bh_n     n = tanh(gx_n + bx_n + r q)     h' = z h + (1 - z) n = n + z (h - n)
 *
 * and, with e the cotangent of h',
 *     dn' = e (1 - z)(1 - n^2)   dz' = e (h - n) z (1 - z)   dr' = dn' q r (1 - r)
 *     dgx = dz' | dr' | dn'      dgh = dz' | dr' | r dn'     dh = e z
 * dbx and dbh are the sums of dgx and dgh over the batch.
 * Cho et al., EMNLP 2014; the variant: cuDNN's and ONNX's. */
#ifndef FWM_AUTODIFF_OPS_GRU_H
#define FWM_AUTODIFF_OPS_GRU_H

#include "model/autodiff/kernels/mathfun.h"
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"

/* One row of the inputs. */
typedef struct gru_row {
    const real *gx, *gh, *h, *bx, *bh;
} gru_row;

static inline gru_row gru_row_of(const ad_call *call, int first, int64_t row, int64_t H)
{
    return (gru_row){(const real *)call->in[first] + row * 3 * H, (const real *)call->in[first + 1] + row * 3 * H,
                     (const real *)call->in[first + 2] + row * H, call->in[first + 3], call->in[first + 4]};
}

/* Gates of unit c. */
#define GRU_GATES(s, H, c)                                                                                             \
    real z = real_sigmoid((s).gx[c] + (s).bx[c] + (s).gh[c] + (s).bh[c]);                                              \
    real r = real_sigmoid((s).gx[(H) + (c)] + (s).bx[(H) + (c)] + (s).gh[(H) + (c)] + (s).bh[(H) + (c)]);              \
    real q = (s).gh[2 * (H) + (c)] + (s).bh[2 * (H) + (c)];                                                            \
    real n = real_tanh((s).gx[2 * (H) + (c)] + (s).bx[2 * (H) + (c)] + r * q);

#ifdef FWM_DEFINITION
static inline fwm_status gru_check(const ad_shape *const *in)
{
    char text[96];
    const ad_shape *h = in[2];
    FWM_CHECK(h->rank == 2, FWM_SHAPE, "expected a state [B,H], found %s", ad_shape_text(h, text));
    for (int k = 0; k < 5; k++) {
        if (k == 2)
            continue;
        ad_shape want = k < 2 ? ad_shape_make(2, h->dim[0], 3 * h->dim[1]) : ad_shape_make(1, 3 * h->dim[1]);
        FWM_CHECK(ad_shape_equal(in[k], &want), FWM_SHAPE,
                  "expected %s of three gates for each of %lld units, found %s", k < 2 ? "rows [B,3H]" : "a bias [3H]",
                  (long long)h->dim[1], ad_shape_text(in[k], text));
    }
    return FWM_OK;
}

/* Samples; `cotangent`: e [B,H] comes first. */
static inline int gru_samples(ad_sample *s, int capacity, bool cotangent)
{
    static const int64_t B[] = {3, 1}, H[] = {2, 5};
    for (int k = 0; k < 2 && k < capacity; k++) {
        ad_shape gates = ad_shape_make(2, B[k], 3 * H[k]), state = ad_shape_make(2, B[k], H[k]),
                 bias = ad_shape_make(1, 3 * H[k]);
        const ad_shape all[] = {state, gates, gates, state, bias, bias};
        s[k] = (ad_sample){.n_in = cotangent ? 6 : 5, .lo = -1.5, .hi = 1.5};
        for (int i = 0; i < s[k].n_in; i++)
            s[k].in[i] = all[i + (cotangent ? 0 : 1)];
    }
    return capacity < 2 ? capacity : 2;
}
#endif
#endif
