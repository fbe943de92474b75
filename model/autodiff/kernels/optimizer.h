/* Kernels of the optimiser on a run of contiguous numbers: no threads, no groups, no decisions (train/optimizer has
 * those). One table for each number type and instruction set. */
#ifndef FWM_AUTODIFF_KERNELS_OPTIMIZER_H
#define FWM_AUTODIFF_KERNELS_OPTIMIZER_H

#include "model/autodiff/graph.h"

/* The constants of one update, as train/optimizer.h defines them. */
typedef struct ad_update {
    double g_scale;      /* s: what the gradient is multiplied by */
    double beta1, beta2; /* beta1: the momentum of sgd */
    double keep;         /* 1 - lr wd */
    double rate;         /* lr / (1 - b1^t); sgd: lr */
    double v_scale, eps; /* 1 / sqrt(1 - b2^t) */
    bool nesterov;       /* sgd */
    double ema;          /* 1 - d */
} ad_update;

/* p, m, v, ema [n] change in place, g [n] is read; ema may be NULL; sgd does not touch v. Nothing may alias. */
typedef void (*ad_update_fn)(void *p, void *m, void *v, void *ema, const void *g, const ad_update *a, int64_t n);

typedef struct ad_optimizer_kernels {
    ad_update_fn adamw, laprop, sgd;
    /* Sum of x^2 over x [n], in float64. */
    double (*square_sum)(const void *x, int64_t n);
} ad_optimizer_kernels;

/* `isa_level` as fwm_isa_level() tells it. */
const ad_optimizer_kernels *ad_optimizer_find(ad_dtype dtype, int isa_level);

#endif
