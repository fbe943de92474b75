/* The optimiser's update on flat vectors: gradient norms, clipping, moments, decoupled decay, parameters and their
 * moving average, in one pass.
 *
 *     s = min(1, clip / |g|)                                                   global norm
 *     u = min(1, agc max(|p|, 1e-3) / |g|)     over each group                 adaptive clipping, applied before
 *     adamw    m = b1 m + (1-b1) g    v = b2 v + (1-b2) g^2
 *              step = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 *     laprop   v = b2 v + (1-b2) g^2    m = b1 m + (1-b1) g / (sqrt(v / (1 - b2^t)) + eps)    step = m / (1 - b1^t)
 *     sgd      m = b1 m + g             step = m, or g + b1 m (Nesterov)
 *     p = (1 - lr wd) p - lr step       ema = ema + (1 - d) (p - ema)          with s u g for g
 *
 * AdamW: Loshchilov & Hutter, ICLR 2019, algorithm 2, with the bias corrections of Kingma & Ba 2015; LaProp: Ziyin,
 * Wang & Ueda 2020, algorithm 1; Nesterov's momentum as in Sutskever et al., ICML 2013, in the form that PyTorch has;
 * adaptive clipping: Brock et al., ICML 2021, with a whole tensor as the unit, as Hafner et al. 2023 (DreamerV3) have
 * it. lr and wd are scaled by the parameter's group.
 *
 * Invariant: the result does not depend on the number of threads; norms are summed in float64 over a fixed number of
 * chunks, combined in order. Nothing is allocated.
 * Cost: one pass that reads p, g, m, v and writes p, m, v (28 bytes a float32 parameter; sgd 20; with the average 8
 * more), after a pass that reads g (4 bytes) for the norm, with adaptive clipping g and p (8). */
#ifndef FWM_TRAIN_OPTIMIZER_H
#define FWM_TRAIN_OPTIMIZER_H

#include "model/autodiff/graph.h"
#include "model/base/status.h"

#include <stdint.h>

typedef enum tr_rule { TR_RULE_ADAMW, TR_RULE_LAPROP, TR_RULE_SGD, TR_RULE_COUNT } tr_rule;

/* Parameters [begin, end) with their own factors on learning rate and decay (0: frozen, not decayed); the unit of
 * adaptive clipping. */
typedef struct tr_group {
    int64_t begin, end;
    double lr_scale, decay_scale;
} tr_group;

typedef struct tr_optimizer_options {
    tr_rule rule;
    double beta1, beta2;    /* [0, 1); beta1 is sgd's momentum, which has no beta2 */
    bool nesterov;          /* sgd */
    double eps;             /* >= 1e-30 (0 in float32 would divide by it); not read by sgd */
    double weight_decay;    /* >= 0, per unit of learning rate */
    double clip;            /* largest norm of the gradient; 0: none */
    double agc;             /* largest |g| / max(|p|, 1e-3) of a group; 0: none */
    double ema;             /* decay d of the moving average, [0, 1]; read where an average is kept */
    const tr_group *groups; /* sorted, disjoint; parameters in none of them have both factors 1 and no adaptive clip */
    int64_t n_groups;
    double *factors; /* [n_groups]: workspace, wanted where agc > 0; u of each group afterwards */
} tr_optimizer_options;

/* The vectors [n] of one update; ema may be NULL, v too for sgd. Nothing may alias. */
typedef struct tr_vectors {
    void *p, *m, *v, *ema;
    const void *g;
} tr_vectors;

typedef struct tr_optimizer_report {
    double norm;     /* |g| before any clipping; set on FWM_NUMERIC too */
    double scale;    /* s: 1 or clip / (the norm after adaptive clipping) */
    int64_t clipped; /* groups that were clipped adaptively */
} tr_optimizer_report;

/* Holds that the options make sense for n parameters. Errors: FWM_INVALID. */
fwm_status tr_optimizer_check(const tr_optimizer_options *options, int64_t n) FWM_MUST_USE;

/* |g|_2 of g [n], summed in float64. NaN or infinite where g is (or where float64 squares overflow). */
double tr_gradient_norm(ad_dtype dtype, const void *g, int64_t n);

/* Update number `step` (1, 2, ...) with learning rate lr [-]: all but g change in place; report may be NULL. Errors:
 * FWM_INVALID; FWM_NUMERIC when the norm is not finite, or, in float32 and after clipping, 1e19 or more (its square
 * would not be finite). After an error nothing was changed but the report, so that the caller may skip the batch. */
fwm_status tr_optimizer_step(tr_optimizer_report *report, const tr_vectors *x, const tr_optimizer_options *options,
                             double lr, int64_t step, ad_dtype dtype, int64_t n) FWM_MUST_USE;

#endif
