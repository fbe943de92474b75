/* What the processor and its memory can do at best, for `fwm bench`: loops with nothing in the way. One table for each
 * number type and instruction set; each call is one thread's share. */
#ifndef FWM_AUTODIFF_KERNELS_MACHINE_H
#define FWM_AUTODIFF_KERNELS_MACHINE_H

#include "model/autodiff/graph.h"

typedef struct ad_machine_kernels {
    /* `rounds` of independent multiply-adds in registers; the result depends on all of them. */
    double (*multiply_add)(int64_t rounds, double factor, double term);
    double flops_per_round;
    /* a = b + factor c over n numbers, a multiple of 32, all aligned to 64 bytes. Stores pass by the caches, so three
     * numbers move and none is read only to be overwritten (McCalpin's STREAM counts the same three). */
    void (*triad)(void *a, const void *b, const void *c, double factor, int64_t n);
} ad_machine_kernels;

/* `isa_level` as fwm_isa_level() tells it. */
const ad_machine_kernels *ad_machine_find(ad_dtype dtype, int isa_level);

#endif
