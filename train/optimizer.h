/* AdamW on flat vectors: gradient norm, clipping, moments, decoupled decay, parameters and their moving average.
 *
 *     s = min(1, clip / |g|)            m = b1 m + (1-b1) s g        v = b2 v + (1-b2) (s g)^2
 *     p = (1 - lr wd) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)        ema = ema + (1 - d) (p - ema)
 * (Loshchilov & Hutter, ICLR 2019, algorithm 2, with the bias corrections of Kingma & Ba 2015.) lr and wd are scaled by
 * the parameter's group.
 *
 * Invariant: the result does not depend on the number of threads; the norm is summed in float64 over a fixed number of
 * chunks, combined in order. Nothing is allocated.
 * Cost: one pass that reads p, g, m, v and writes p, m, v (28 bytes a float32 parameter; 36 with the average), after a
 * pass that reads g (4 bytes) for the norm. */
#ifndef FWM_TRAIN_OPTIMIZER_H
#define FWM_TRAIN_OPTIMIZER_H

#include "model/autodiff/graph.h"
#include "model/base/status.h"

#include <stdint.h>

/* Parameters [begin, end) with their own factors on learning rate and decay (0: frozen, not decayed). */
typedef struct tr_group {
    int64_t begin, end;
    double lr_scale, decay_scale;
} tr_group;

typedef struct tr_adamw_options {
    double beta1, beta2;    /* [0, 1) */
    double eps;             /* > 0 */
    double weight_decay;    /* >= 0, per unit of learning rate */
    double clip;            /* largest norm of the gradient; 0: none */
    double ema;             /* decay d of the moving average, [0, 1]; read where an average is kept */
    const tr_group *groups; /* sorted, disjoint; parameters in none of them have both factors 1 */
    int64_t n_groups;
} tr_adamw_options;

typedef struct tr_adamw_report {
    double norm;  /* |g| before clipping; set on FWM_NUMERIC too */
    double scale; /* what g was multiplied by: 1 or clip / |g| */
} tr_adamw_report;

/* Holds that the options make sense for n parameters. Errors: FWM_INVALID. */
fwm_status tr_adamw_check(const tr_adamw_options *options, int64_t n) FWM_MUST_USE;

/* |g|_2 of g [n], summed in float64. NaN or infinite where g is (or where float64 squares overflow). */
double tr_gradient_norm(ad_dtype dtype, const void *g, int64_t n);

/* Update number `step` (1, 2, ...) with learning rate lr [-]: p, m, v, ema [n] change in place, g [n] is read; ema may
 * be NULL; report may be NULL. Nothing may alias. Errors: FWM_INVALID; FWM_NUMERIC when the norm is not finite, or, in
 * float32 and after clipping, 1e19 or more (its square would not be finite). After
 * an error nothing was changed but the report, so that the caller may skip the batch. */
fwm_status tr_adamw_step(tr_adamw_report *report, void *p, void *m, void *v, void *ema, const void *g,
                         const tr_adamw_options *options, double lr, int64_t step, ad_dtype dtype,
                         int64_t n) FWM_MUST_USE;

#endif
