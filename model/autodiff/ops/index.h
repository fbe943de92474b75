/* What operators with indices share. The graph has one number type, so indices are numbers of that type: rounded to the
 * nearest and held to [0, limit) before anything is read or written. float32 counts exactly up to 2^24, the largest
 * limit. */
#ifndef FWM_AUTODIFF_OPS_INDEX_H
#define FWM_AUTODIFF_OPS_INDEX_H

#include "model/autodiff/ops/axis.h"
#include "model/autodiff/ops_index.h"
#include "model/base/threads.h"

#include <math.h>
#include <string.h>

enum { INDEX_LIMIT = 1 << 24, INDEX_COLUMNS = 64, INDEX_ROWS = 256 };

static inline int64_t index_at(real x)
{
    return (int64_t)REAL_FN(floor)(x + (real)0.5);
}

/* FWM_OK, or FWM_DATA with the first of n indices that is not in [0, limit) (NaN is not). */
static inline fwm_status index_check(const char *op, const real *index, int64_t n, int64_t limit)
{
    int64_t bad = n;
#pragma omp parallel for reduction(min : bad) schedule(static) if (n > FWM_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++) {
        real k = REAL_FN(floor)(index[i] + (real)0.5);
        if (!(k >= 0 && k < (real)limit) && i < bad)
            bad = i;
    }
    FWM_CHECK(bad == n, FWM_DATA, "%s: expected indices from 0 to %lld, found %g at [%lld]", op, (long long)(limit - 1),
              (double)index[bad], (long long)bad);
    return FWM_OK;
}

/* x seen as [before, length, after] around one axis. */
typedef struct index_view {
    int64_t before, length, after;
} index_view;

static inline index_view index_view_of(const ad_shape *s, int axis)
{
    int64_t after = ad_run_from(s, axis + 1);
    return (index_view){ad_shape_count(s) / (after * s->dim[axis]), s->dim[axis], after};
}

#ifdef FWM_DEFINITION
static inline fwm_status index_check_axis(const ad_shape *s, int64_t axis, int64_t limit)
{
    char text[96];
    FWM_CHECK(axis >= 0 && axis < s->rank, FWM_SHAPE, "expected an axis of %s, found %lld", ad_shape_text(s, text),
              (long long)axis);
    FWM_CHECK(limit >= 1 && limit <= INDEX_LIMIT, FWM_SHAPE, "expected a length of 1 to %d to index, found %lld",
              INDEX_LIMIT, (long long)limit);
    return FWM_OK;
}

/* A builder's axis, which may be negative; left as it is where it is none, for the shape rule to refuse. */
static inline int index_axis(const ad_graph *g, ad_value x, int axis)
{
    int normal = ad_axis(axis, ad_shape_of(g, x)->rank);
    return normal >= 0 ? normal : axis;
}
#endif
#endif
