/* One driver for every element-wise operator with numpy broadcasting: one to three inputs, equal or broadcast.
 *
 * An operator gives a `row`: the loop over n contiguous results, where input k advances by stride[k], 0 or 1. The
 * driver drops and merges dimensions until that is all that is left, expands short repeated rows ([..,C] with [C], C
 * small) into a buffer on the stack so that loops stay long, and divides long work among threads. Each result depends
 * on its own inputs only, so bits do not depend on the division. y may be the memory of an input of its own size. */
#ifndef FWM_AUTODIFF_KERNELS_ELEMENTWISE_H
#define FWM_AUTODIFF_KERNELS_ELEMENTWISE_H

#include "model/autodiff/op.h"
#include "model/base/variant.h"

enum { AD_ELEMENTWISE_MAX_INPUTS = 3 };

typedef void (*ad_row)(const ad_attributes *attr, int64_t n, real *y, const real *const *x, const int *stride);

#define ad_elementwise_run FWM_V(ad_elementwise_run)
fwm_status ad_elementwise_run(const ad_call *call, ad_row row);

#endif
