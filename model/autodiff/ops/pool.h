/* What max_pool and its index share. Images [B,H,W,C]; attributes are pairs (vertical, horizontal). Padding never wins;
 * it is shorter than the kernel, so that every window holds an element. */
#ifndef FWM_AUTODIFF_OPS_POOL_H
#define FWM_AUTODIFF_OPS_POOL_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <string.h>

enum { POOL_KERNEL = 0, POOL_STRIDE = 2, POOL_BEFORE = 4, POOL_AFTER = 6 };

typedef struct pool_window {
    int64_t row0, row1, column0, column1; /* of the image, the second ones excluded */
} pool_window;

static inline void pool_range(const ad_attributes *attr, int axis, int64_t place, int64_t size, int64_t *first,
                              int64_t *last)
{
    int64_t start = place * attr->i[POOL_STRIDE + axis] - attr->i[POOL_BEFORE + axis];
    int64_t end = start + attr->i[POOL_KERNEL + axis];
    *first = start > 0 ? start : 0;
    *last = end < size ? end : size;
}

static inline pool_window pool_window_of(const ad_shape *x, const ad_attributes *attr, int64_t p, int64_t q)
{
    pool_window w;
    pool_range(attr, 0, p, x->dim[1], &w.row0, &w.row1);
    pool_range(attr, 1, q, x->dim[2], &w.column0, &w.column1);
    return w;
}

#ifdef FWM_DEFINITION
static inline fwm_status pool_shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    FWM_CHECK(in[0]->rank == 4, FWM_SHAPE, "expected images [B,H,W,C], found rank %d", in[0]->rank);
    *out = *in[0];
    for (int a = 0; a < 2; a++) {
        int64_t kernel = attr->i[POOL_KERNEL + a], stride = attr->i[POOL_STRIDE + a];
        int64_t before = attr->i[POOL_BEFORE + a], after = attr->i[POOL_AFTER + a];
        FWM_CHECK(
            kernel >= 1 && stride >= 1 && before >= 0 && before < kernel && after >= 0 && after < kernel, FWM_INVALID,
            "expected kernel and stride of at least 1 and padding of 0 to kernel - 1; found %lld, %lld, %lld, %lld",
            (long long)kernel, (long long)stride, (long long)before, (long long)after);
        int64_t room = in[0]->dim[1 + a] + before + after - kernel;
        FWM_CHECK(room >= 0, FWM_SHAPE, "the window spans %lld positions, the padded image has only %lld",
                  (long long)kernel, (long long)(room + kernel));
        out->dim[1 + a] = room / stride + 1;
    }
    return FWM_OK;
}

static inline double pool_flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in;
    return (double)ad_shape_count(out) * (double)(attr->i[POOL_KERNEL] * attr->i[POOL_KERNEL + 1]);
}

/* Windows that overlap, leave gaps, and reach over an edge; one channel, few, and more than a block of the kernel. */
static inline int pool_samples(ad_sample *s, int capacity)
{
    const ad_sample all[] = {
        {1, {{4, {2, 4, 6, 3}}}, -1, 1, {.i = {2, 2, 2, 2}}},
        {1, {{4, {1, 5, 6, 1}}}, -1, 1, {.i = {3, 3, 2, 2, 1, 1, 1, 1}}},
        {1, {{4, {1, 3, 3, 40}}}, -1, 1, {.i = {3, 2, 1, 1, 1, 0, 1, 1}}},
        {1, {{4, {1, 7, 5, 2}}}, -1, 1, {.i = {1, 2, 3, 2, 0, 1, 0, 0}}},
    };
    return ad_samples_copy(s, capacity, all, (int)(sizeof all / sizeof *all));
}
#endif
#endif
