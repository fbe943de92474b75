/* Operators that only gradient rules build: the derivative of an activation times the cotangent in one pass. Each has
 * its own gradient rule, so that second derivatives work. dy comes first and is the input that they are linear in. */
#ifndef FWM_AUTODIFF_OPS_FUSED_H
#define FWM_AUTODIFF_OPS_FUSED_H

#include "model/autodiff/graph.h"

/* Of the output y: */
ad_value ad_relu_grad(ad_graph *g, ad_value dy, ad_value y);    /* y > 0 ? dy : 0 */
ad_value ad_tanh_grad(ad_graph *g, ad_value dy, ad_value y);    /* dy (1 - y^2) */
ad_value ad_sigmoid_grad(ad_graph *g, ad_value dy, ad_value y); /* dy y (1 - y) */
/* Of the input x: */
ad_value ad_silu_grad(ad_graph *g, ad_value dy, ad_value x); /* dy s (1 + x (1 - s)), s = sigmoid(x) */
ad_value ad_gelu_grad(ad_graph *g, ad_value dy, ad_value x); /* dy (Phi(x) + x phi(x)) */
ad_value ad_clamp_grad(ad_graph *g, ad_value dy, ad_value x, double lo, double hi); /* lo <= x <= hi ? dy : 0 */

/* Row W + column of each window's first maximum, with the attributes of the max_pool; gradient 0. */
ad_value ad_max_pool_index(ad_graph *g, ad_value x, const ad_attributes *like);

/* 1 at the first maximum over axes first..first+count-1 of x, 0 elsewhere; gradient 0. */
ad_value ad_max_mask(ad_graph *g, ad_value x, int first, int count);

#endif
