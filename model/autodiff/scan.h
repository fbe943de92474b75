/* What the operators scan and scan_vjp share: the body of a loop over time as a graph of its own with its own plan, and
 * the loop. The builder and the user's side are in ops_sequence.h.
 *
 * The value of a scan is one vector: the stack of each state h_0 .. h_T [T+1, |h|], then each output y_0 .. y_(T-1),
 * then (scan->store) what the gradient of each step reads of its inside. That of scan_vjp: the cotangents of the wanted
 * inputs, one after the other. */
#ifndef FWM_AUTODIFF_SCAN_H
#define FWM_AUTODIFF_SCAN_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops_sequence.h"

typedef struct ad_scan_state ad_scan_state;

/* The length of the vector, by building the body once. `in`: states, sequences [T,...], shared, as of `scan`. */
fwm_status ad_scan_length(const ad_scan *scan, int n, const ad_shape *const *in, int64_t *length) FWM_MUST_USE;

/* The shapes of the outputs of one step. */
fwm_status ad_scan_outputs(const ad_scan *scan, int n, const ad_shape *const *in, ad_shape *shape) FWM_MUST_USE;

/* Builds and plans the body; with `wanted` (one bit an input) its gradient. *scratch gets the bytes of a run. */
fwm_status ad_scan_open(ad_scan_state **state, const ad_scan *scan, ad_dtype dtype, int n, const ad_shape *const *in,
                        bool backward, int64_t wanted, size_t *scratch) FWM_MUST_USE;
void ad_scan_close(ad_scan_state **state);

/* y: the vector; in: as above. */
fwm_status ad_scan_forward(ad_scan_state *state, void *y, const void *const *in, void *scratch) FWM_MUST_USE;
/* dx: the cotangents of the wanted inputs; in: the vector, its cotangent, then as above. */
fwm_status ad_scan_backward(ad_scan_state *state, void *dx, const void *const *in, void *scratch) FWM_MUST_USE;

/* Operations of one step times the steps. */
double ad_scan_flops(const ad_scan *scan, int n, const ad_shape *const *in);

#endif
