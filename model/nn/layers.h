/* Layers: small functions that add parameters and operators to a graph. Images are [B,H,W,C]; vectors [B,D]. */
#ifndef FWM_NN_LAYERS_H
#define FWM_NN_LAYERS_H

#include "model/autodiff/ops.h"
#include "model/nn/store.h"

/* y = x W + b;  x [...,in] -> [...,out]. Weights N(0, gain^2 / in); gain 0 gives zeros. */
ad_value nn_linear(const nn_builder *b, const char *name, ad_value x, int64_t out, double gain);

/* Convolution with a square kernel and "same" padding for stride 1; for stride 2, k = 4 pads 1 and k = 3 pads 1. With
 * bias where asked: not in front of a norm, whose shift does its work. */
ad_value nn_conv(const nn_builder *b, const char *name, ad_value x, int64_t out, int kernel, int stride, bool bias,
                 double gain);

/* Transposed convolution, kernel 4, stride 2: [B,h,w,C] -> [B,2h,2w,out], without bias (a norm's shift, or none,
 * follows). */
ad_value nn_conv_up(const nn_builder *b, const char *name, ad_value x, int64_t out, double gain);

/* Gated recurrent unit with the reset gate behind the recurrent product (cuDNN's and ONNX's linear_before_reset form):
 * x [B,in], h [B,size] -> [B,size]. */
ad_value nn_gru(const nn_builder *b, const char *name, ad_value x, ad_value h);

/* Group norm with learned scale and shift, fused with SiLU. groups is lowered to the largest divisor of C. */
ad_value nn_norm_silu(const nn_builder *b, const char *name, ad_value x, int groups);

/* conv (no bias) -> group norm -> SiLU. */
ad_value nn_conv_block(const nn_builder *b, const char *name, ad_value x, int64_t out, int kernel, int stride,
                       int groups);

/* The same, 3x3, of a coarse image doubled in size and a fine one, joined by channels: one weight [3,3,Ca+Cb,out] in
 * that order. Neither the doubled nor the joined image is made. coarse [B,h,w,Ca], fine [B,2h,2w,Cb]. */
ad_value nn_conv_block_join(const nn_builder *b, const char *name, ad_value coarse, ad_value fine, int64_t out,
                            int groups);

/* x (1 + scale(cond)) + shift(cond), one pair a channel; starts as the identity (Perez et al. 2018). cond [B,D]. */
ad_value nn_film(const nn_builder *b, const char *name, ad_value x, ad_value cond);

/* x + p with p [1,H,W,C] learned, zero at first: lets the network know where it is. */
ad_value nn_position_bias(const nn_builder *b, const char *name, ad_value x);

/* Two layers with SiLU between: in -> hidden -> out. */
ad_value nn_mlp(const nn_builder *b, const char *name, ad_value x, int64_t hidden, int64_t out, double gain);

/* [B,...] -> [B,D]. */
ad_value nn_flatten(const nn_builder *b, ad_value x);

#endif
