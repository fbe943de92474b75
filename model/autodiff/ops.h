/* Builders: one function for each operator, and composites made of them.
 *
 * Broadcasting follows numpy (aligned at the last axis). Axes may be negative. Images are [B,H,W,C], convolution
 * weights [kh,kw,Cin,Cout], matrices are the last two axes. On failure AD_NONE, see graph.h. */
#ifndef FWM_AUTODIFF_OPS_H
#define FWM_AUTODIFF_OPS_H

#include "model/autodiff/graph.h"
#include "model/autodiff/ops_image.h"
#include "model/autodiff/ops_index.h"
#include "model/autodiff/ops_sequence.h"

/* ---- element-wise, one argument ---- */
ad_value ad_neg(ad_graph *g, ad_value x);
ad_value ad_abs(ad_graph *g, ad_value x);  /* gradient sign(x), 0 at 0 */
ad_value ad_sign(ad_graph *g, ad_value x); /* gradient 0 */
ad_value ad_square(ad_graph *g, ad_value x);
ad_value ad_sqrt(ad_graph *g, ad_value x);
ad_value ad_rsqrt(ad_graph *g, ad_value x);
ad_value ad_reciprocal(ad_graph *g, ad_value x);
ad_value ad_exp(ad_graph *g, ad_value x);
ad_value ad_log(ad_graph *g, ad_value x);
ad_value ad_sin(ad_graph *g, ad_value x);
ad_value ad_cos(ad_graph *g, ad_value x);
ad_value ad_tanh(ad_graph *g, ad_value x);
ad_value ad_sigmoid(ad_graph *g, ad_value x);
ad_value ad_erf(ad_graph *g, ad_value x);
ad_value ad_relu(ad_graph *g, ad_value x);
ad_value ad_silu(ad_graph *g, ad_value x);                               /* x sigmoid(x) */
ad_value ad_gelu(ad_graph *g, ad_value x);                               /* exact form: x Phi(x) */
ad_value ad_softplus(ad_graph *g, ad_value x);                           /* log(1 + e^x), stable */
ad_value ad_affine(ad_graph *g, ad_value x, double scale, double shift); /* scale x + shift */
ad_value ad_clamp(ad_graph *g, ad_value x, double lo, double hi);        /* gradient 1 inside [lo,hi], 0 outside */
ad_value ad_power(ad_graph *g, ad_value x, double exponent);
ad_value ad_stop_gradient(ad_graph *g, ad_value x);

/* ---- element-wise, two and three arguments, with broadcasting ---- */
ad_value ad_add(ad_graph *g, ad_value a, ad_value b);
ad_value ad_sub(ad_graph *g, ad_value a, ad_value b);
ad_value ad_mul(ad_graph *g, ad_value a, ad_value b);
ad_value ad_div(ad_graph *g, ad_value a, ad_value b);
ad_value ad_maximum(ad_graph *g, ad_value a, ad_value b); /* at a tie the gradient goes to a */
ad_value ad_minimum(ad_graph *g, ad_value a, ad_value b);
ad_value ad_greater(ad_graph *g, ad_value a, ad_value b); /* 1 where a > b, else 0; gradient 0 */
ad_value ad_where(ad_graph *g, ad_value cond, ad_value a,
                  ad_value b);                            /* cond != 0 ? a : b; equal shapes after broadcast */
ad_value ad_add_n(ad_graph *g, int n, const ad_value *x); /* equal shapes */

/* ---- reductions (f64 accumulation, fixed chunks: the result does not depend on the thread count) ---- */
ad_value ad_sum(ad_graph *g, ad_value x, int n_axes, const int *axes, bool keep); /* n_axes 0: all axes */
ad_value ad_mean(ad_graph *g, ad_value x, int n_axes, const int *axes, bool keep);
ad_value ad_max(ad_graph *g, ad_value x, int n_axes, const int *axes, bool keep); /* gradient to the first maximum */
ad_value ad_sum_all(ad_graph *g, ad_value x);                                     /* [1] */
ad_value ad_mean_all(ad_graph *g, ad_value x);                                    /* [1] */
ad_value ad_sum_to(ad_graph *g, ad_value x, ad_shape shape);                      /* adjoint of broadcast_to */
ad_value ad_broadcast_to(ad_graph *g, ad_value x, ad_shape shape);
ad_value ad_softmax(ad_graph *g, ad_value x);     /* last axis */
ad_value ad_log_softmax(ad_graph *g, ad_value x); /* last axis */
ad_value ad_logsumexp(ad_graph *g, ad_value x);   /* last axis, which becomes 1 */

/* ---- shape ---- */
ad_value ad_reshape(ad_graph *g, ad_value x, ad_shape shape);    /* a view; one dimension may be -1 */
ad_value ad_transpose(ad_graph *g, ad_value x, const int *perm); /* y.dim[k] = x.dim[perm[k]] */
ad_value ad_concat(ad_graph *g, int n, const ad_value *x, int axis);
ad_value ad_slice(ad_graph *g, ad_value x, int axis, int64_t start, int64_t length);
ad_value ad_pad(ad_graph *g, ad_value x, int axis, int64_t before, int64_t after); /* zeros */

/* ---- linear algebra ---- */
/* y = op(a) op(b), op transposes the last two axes where asked; leading axes equal, or absent in one of the two. */
ad_value ad_matmul(ad_graph *g, ad_value a, ad_value b, bool trans_a, bool trans_b);

/* A constant sparse matrix in CSR; not owned by the graph, must outlive its plans. `transpose` is its transpose, made
 * once. */
typedef struct ad_sparse {
    int64_t rows, cols, nnz;
    int64_t *row_start; /* [rows+1] */
    int32_t *column;    /* [nnz] */
    double *weight;     /* [nnz] */
    float *weight_f32;  /* [nnz] */
    struct ad_sparse *transpose;
} ad_sparse;
/* Copies rows+1, nnz, nnz entries; checks order and ranges; makes the transpose. */
fwm_status ad_sparse_create(ad_sparse **m, int64_t rows, int64_t cols, const int64_t *row_start, const int32_t *column,
                            const double *weight) FWM_MUST_USE;
void ad_sparse_destroy(ad_sparse **m);
/* y[b,i,c] = sum_j M[i,j] x[b,j,c];  x [B,cols,c] -> y [B,rows,c] */
ad_value ad_spmm(ad_graph *g, const ad_sparse *m, ad_value x);

/* ---- images [B,H,W,C] ---- */
typedef struct ad_conv {
    int stride[2], pad_before[2], pad_after[2], dilation[2], groups; /* zeros mean 1 for stride, dilation, groups */
} ad_conv;
ad_value ad_conv2d(ad_graph *g, ad_value x, ad_value w, const ad_conv *c); /* cross-correlation, no bias */
/* The adjoint of ad_conv2d in x: transposed convolution. x [B,h,w,Cout of w], w [kh,kw,Cin,Cout], y [B,H,W,Cin]. */
ad_value ad_conv2d_transpose(ad_graph *g, ad_value x, ad_value w, int64_t H, int64_t W, const ad_conv *c);
ad_value ad_upsample_nearest(ad_graph *g, ad_value x, int factor);
ad_value ad_average_pool(ad_graph *g, ad_value x, int factor);
ad_value ad_pixel_unshuffle(ad_graph *g, ad_value x, int factor); /* [B,H,W,C] -> [B,H/f,W/f,f*f*C] */
ad_value ad_pixel_shuffle(ad_graph *g, ad_value x, int factor);

/* ---- normalisation ---- */
/* Group norm over (all axes but first and last, channels of the group): x [B,...,C], scale and shift [C], eps inside
 * the root; `silu` fuses y = silu(norm). Layer norm over the last axis. RMS norm over the last axis, scale [C]. */
ad_value ad_group_norm(ad_graph *g, ad_value x, ad_value scale, ad_value shift, int groups, double eps, bool silu);
ad_value ad_layer_norm(ad_graph *g, ad_value x, ad_value scale, ad_value shift, double eps);
ad_value ad_rms_norm(ad_graph *g, ad_value x, ad_value scale, double eps);

/* ---- noise: a function of (seed, stream, step, index); the stream is drawn from the graph's counter ---- */
ad_value ad_random_normal(ad_graph *g, ad_shape shape);
ad_value ad_random_uniform(ad_graph *g, ad_shape shape);

/* ---- what lives outside the engine ---- */
/* Not owned; must outlive plans. Callbacks get f32 or f64 arrays as the graph's dtype says. They run on the thread that
 * runs the plan and may use OpenMP. `vjp` gets NULL in dx[k] for inputs whose gradient nobody needs, and overwrites the
 * others. */
typedef struct ad_custom {
    const char *name;
    void *self;
    fwm_status (*shape)(void *self, int n, const ad_shape *in, ad_shape *out);
    fwm_status (*forward)(void *self, ad_dtype dtype, const void *const *in, void *out);
    fwm_status (*vjp)(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                      void *const *dx);
    double flops, bytes; /* of one forward call, for the plan's print; 0 when unknown */
} ad_custom;
ad_value ad_custom_apply(ad_graph *g, const ad_custom *custom, int n, const ad_value *inputs);

#endif
