/* Pictures of deformed bodies: a picture drawn in the reference configuration (fem_render, once) moved by the
 * displacement at its pixels (fem_render again), with gradients for both. Nothing is located again in a step.
 *
 * A pixel at x shows the reference point X with X + u(X) = x, found by Newton's method on the displacement between
 * pixels (bilinear, clamped at the edge); its colour is the picture's at X, likewise. Pixels whose X lies outside the
 * picture, or where the body is folded over (no X with det(I + grad u) > 0 is found), show the background and pass no
 * gradient.
 *
 *     out_x = sum_k w_k(X) I_k,    I_bar_k = sum_x w_k out_bar_x,
 *     u_bar_k = - sum_x w_k l_x,   (I + grad u)^T l_x = sum_c out_bar_xc grad I_c(X)     (implicit function theorem)
 *
 * The gradient is that of the bilinear picture: it jumps where X crosses a line of pixel centres. */
#ifndef FWM_PHYSICS_WARP_H
#define FWM_PHYSICS_WARP_H

#include "model/autodiff/ops.h"

typedef struct fem_warp_spec {
    int64_t height, width, channels; /* of the picture; row 0 on top */
    double lower[2], upper[2];       /* the box that it shows [L] */
    double background;
} fem_warp_spec;

typedef struct fem_warp fem_warp;

/* For one batch size. Errors: FWM_INVALID for sides outside 2..8192, channels outside 1..64, an empty box. */
fwm_status fem_warp_create(fem_warp **out, const fem_warp_spec *spec, int64_t batch) FWM_MUST_USE;
void fem_warp_destroy(fem_warp **w);

/* out [B,H,W,C] from picture [B,H,W,C] and displacement [B,H,W,2] [L] (x to the right, y up). Computed in float64. */
fwm_status fem_warp_apply(const fem_warp *w, ad_dtype dtype, void *out, const void *picture,
                          const void *displacement) FWM_MUST_USE;
/* Overwrites the bars; NULL: not wanted. */
fwm_status fem_warp_vjp(const fem_warp *w, ad_dtype dtype, void *picture_bar, void *displacement_bar,
                        const void *out_bar, const void *picture, const void *displacement) FWM_MUST_USE;

/* The same as an operator of the graph on (picture, displacement); the warp must outlive the plans. */
const ad_custom *fem_warp_custom(const fem_warp *w);

#endif
