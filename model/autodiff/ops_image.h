/* Builders for signals, images and volumes beside those of ops.h: [B,L,C], [B,H,W,C], [B,D,H,W,C]. Pairs and triples
 * are in the order of the axes. Included by ops.h. */
#ifndef FWM_AUTODIFF_OPS_IMAGE_BUILDERS_H
#define FWM_AUTODIFF_OPS_IMAGE_BUILDERS_H

#include "model/autodiff/graph.h"

/* ---- pooling ---- */
typedef struct ad_pool {
    int kernel[2], stride[2], pad_before[2], pad_after[2]; /* stride 0: the kernel's; padding below the kernel */
} ad_pool;
ad_value ad_max_pool(ad_graph *g, ad_value x, const ad_pool *p); /* gradient to the first maximum */
/* Mean over each window; `count_padding`: its zeros count in the mean, as in PyTorch's default. */
ad_value ad_average_pool_window(ad_graph *g, ad_value x, const ad_pool *p, bool count_padding);
ad_value ad_global_average_pool(ad_graph *g, ad_value x); /* [B,...,C] -> [B,C] */
ad_value ad_global_max_pool(ad_graph *g, ad_value x);

/* ---- convolution in one and three dimensions, by the two-dimensional one; cross-correlation, no bias ---- */
typedef struct ad_conv1 {
    int stride, pad_before, pad_after, dilation, groups; /* zeros mean 1 for stride, dilation, groups */
} ad_conv1;
/* x [B,L,Cin], w [k,Cin/groups,Cout]. */
ad_value ad_conv1d(ad_graph *g, ad_value x, ad_value w, const ad_conv1 *c);
/* Its adjoint in x: x [B,l,Cout of w] -> [B,L,Cin]. */
ad_value ad_conv1d_transpose(ad_graph *g, ad_value x, ad_value w, int64_t L, const ad_conv1 *c);

typedef struct ad_conv3 {
    int stride[3], pad_before[3], pad_after[3], dilation[3], groups;
} ad_conv3;
/* x [B,D,H,W,Cin], w [kd,kh,kw,Cin/groups,Cout]: kd convolutions of the slices, and their sum. */
ad_value ad_conv3d(ad_graph *g, ad_value x, ad_value w, const ad_conv3 *c);

/* ad_conv2d of ad_upsample_nearest(x, 2) with 3x3 kernels and padding 1, in 4/9 of the products.
 * x [B,h,w,Cin], w [3,3,Cin,Cout] -> [B,2h,2w,Cout]. */
ad_value ad_conv2d_doubled(ad_graph *g, ad_value x, ad_value w);

/* ---- padding along one axis, beside ad_pad's zeros; convolve without padding afterwards ---- */
ad_value ad_pad_reflect(ad_graph *g, ad_value x, int axis, int64_t before, int64_t after);  /* c b | a b c | b a */
ad_value ad_pad_periodic(ad_graph *g, ad_value x, int axis, int64_t before, int64_t after); /* b c | a b c | a b */

/* ---- resizing: cells cover the same length (align_corners false), edges are repeated; no smoothing when shrinking
 * ---- */
ad_value ad_interpolate(ad_graph *g, ad_value x, int axis, int64_t length); /* linear, along one axis */
ad_value ad_resize_bilinear(ad_graph *g, ad_value x, int64_t H, int64_t W); /* [B,h,w,C] -> [B,H,W,C] */

#endif
