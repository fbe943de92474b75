/* What operators along one axis share. */
#ifndef FWM_AUTODIFF_OPS_AXIS_H
#define FWM_AUTODIFF_OPS_AXIS_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/variant.h"

/* Elements of one run over `axis` and all axes after it. */
static inline int64_t ad_run_from(const ad_shape *s, int axis)
{
    int64_t n = 1;
    for (int k = axis; k < s->rank; k++)
        n *= s->dim[k];
    return n;
}

#endif
