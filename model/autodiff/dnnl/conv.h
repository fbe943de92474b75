/* Convolution and its two adjoints by oneDNN, float32, channels last.
 *
 * x [B,H,W,Cin], w [kh,kw,Cin/groups,Cout], y [B,h,w,Cout], all row-major as the engine keeps them. Activations stay
 * nhwc; oneDNN chooses the layout of the weights, and a reorder runs inside the call (the weights are small beside the
 * activations). Scratchpads are the caller's memory: a run allocates nothing on our side. */
#ifndef FWM_AUTODIFF_DNNL_CONV_H
#define FWM_AUTODIFF_DNNL_CONV_H

#include "model/base/status.h"

#include <stdint.h>

typedef struct ad_conv_geometry {
    int64_t B, H, W, Cin, kh, kw, h, w, Cout, groups;
    int64_t stride[2], pad_before[2], pad_after[2], dilation[2];
} ad_conv_geometry;

typedef enum ad_conv_kind { AD_CONV_FORWARD, AD_CONV_BACKWARD_DATA, AD_CONV_BACKWARD_WEIGHTS } ad_conv_kind;

typedef struct ad_dnnl_conv ad_dnnl_conv;

/* *conv is NULL, without an error, where the deny-table forbids the shape or oneDNN has nothing but its reference code:
 * the caller then uses its own loops. `scratch_size` gets the bytes that a run needs, 64-byte aligned.
 * Errors: FWM_LIBRARY, FWM_MEMORY. */
fwm_status ad_dnnl_conv_create(ad_dnnl_conv **conv, ad_conv_kind kind, const ad_conv_geometry *geometry,
                               size_t *scratch_size) FWM_MUST_USE;
void ad_dnnl_conv_destroy(ad_dnnl_conv **conv);

/* y = conv(x, w) | x = conv^T(y, w) | w = sum over pixels of x y: two of the three are read, the one of the kind is
 * written. */
fwm_status ad_dnnl_conv_run(ad_dnnl_conv *conv, float *x, float *w, float *y, void *scratch) FWM_MUST_USE;

/* oneDNN's name for the code it chose, such as "jit:avx2". */
const char *ad_dnnl_conv_implementation(const ad_dnnl_conv *conv);

#endif
