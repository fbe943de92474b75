/* The debiased Sinkhorn divergence of two weighted clouds, and its gradient.
 *
 *   S(a,b) = OT(a,b) - OT(a,a)/2 - OT(b,b)/2,  OT(a,b) = min_P <P,C> + eps KL(P | a b^T),  C = |x-y|^2/2,  eps = blur^2
 *
 * S is positive, zero only where the clouds are equal, and goes from W2^2/2 (blur -> 0) to half the squared distance of
 * the means (blur -> infinity). Log domain, eps falling from the squared diameter to blur^2, averaged symmetric
 * updates, a last full step (Feydy et al., Interpolating between Optimal Transport and MMD using Sinkhorn Divergences,
 * AISTATS 2019, algorithm 1). Gradient by the envelope theorem, without unrolling: dS/dx_i = a_i (sum_k Q_ik x_k -
 * sum_j P_ij y_j) with rows of the plans P (of a,b) and Q (of a,a) normalised; dS/da = f - p.
 *
 * With rho > 0 the marginals are relaxed: OT(a,b) = min_P <P,C> + eps KL(P | a b^T) + rho KL(P 1 | a) + rho KL(P^T 1 |
 * b), and S gains eps/2 (sum a - sum b)^2; mass further than about sqrt(rho) is rather created than carried, and
 * weights may have any sum (Sejourne, Feydy, Vialard, Trouve, Peyre, Sinkhorn Divergences for Unbalanced Optimal
 * Transport, 2019).
 *
 * An ot_sinkhorn holds the workspace of one problem size (three cost matrices): create once, run often; a run allocates
 * nothing. One run at a time. float32 needs blur^2 >= 1e-5 max |x - mean|^2: below, the exponents lose their digits.
 * Cost: about (2 steps + 5) N^2 exponentials, and N^2 d multiply-adds for costs and for barycentres, three or four
 * times. */
#ifndef OT_SINKHORN_H
#define OT_SINKHORN_H

#include "model/autodiff/graph.h"

typedef struct ot_sinkhorn ot_sinkhorn;

typedef struct ot_sinkhorn_options {
    double blur; /* > 0, in the clouds' unit; if `relative`, times the root mean square distance from the joint mean */
    bool relative;  /* the gradient takes the resulting blur as constant */
    double scaling; /* factor of the blur between steps, in (0,1); 0 means 0.5. Closer to 1: more steps, nearer to
                       convergence */
    int extra;      /* most further steps at the final blur, >= 0 */
    double tol;     /* ends the further steps when max |f_new - f| / eps is below it; 0: never */
    double rho;     /* 0: the marginals are met; > 0: how dear it is to miss them, in squared distances */
    bool fixed_y;   /* y carries no gradient: it is neither computed nor passed on */
    bool biased;    /* OT(a,b) alone, a third of the work: for potentials, and costs that need no debiasing */
} ot_sinkhorn_options;

typedef struct ot_sinkhorn_result {
    double value;     /* S */
    double transport; /* OT(a,b), entropy's part included */
    double mass;      /* of the plan of a,b: 1 unless relaxed */
    double blur;      /* as used */
    int iterations;   /* averaged steps, without first and last */
    double change;    /* max |f_new - f| / eps of the last step, over the four potentials */
    /* Before the last step the larger of sum_i |sum_j P_ij - a_i| and the same for the columns; relaxed, how far the
     * potentials are from their fixed point in the same measure. */
    double marginal_error;
} ot_sinkhorn_result;

/* For clouds [M,d] and [N,d] of the type. Errors: FWM_INVALID (options, sizes), FWM_OVERFLOW, FWM_MEMORY. */
fwm_status ot_sinkhorn_create(ot_sinkhorn **s, ad_dtype dtype, int64_t M, int64_t N, int64_t d,
                              const ot_sinkhorn_options *options) FWM_MUST_USE;
void ot_sinkhorn_destroy(ot_sinkhorn **s);
size_t ot_sinkhorn_memory(const ot_sinkhorn *s);

/* Another blur, and another rho, for the runs to come. Error: FWM_INVALID (blur not positive, rho negative). */
fwm_status ot_sinkhorn_set_scales(ot_sinkhorn *s, double blur, double rho) FWM_MUST_USE;

/* One divergence. x [M,d], y [N,d] of the type; weights a [M], b [N], NULL for uniform, not negative with sum 1 (to
 * 1e-4; they are normalised; relaxed, any sum and left so). dx [M,d] and dy [N,d] get gradients, da [M] and db [N] the
 * weights' gradients, shifted to mean 0 because only differences matter on sums of 1 (relaxed: not shifted); each may
 * be NULL. Errors: FWM_NUMERIC for a number that is not finite (which cloud, point and coordinate), FWM_INVALID for
 * weights; outputs are undefined then. */
fwm_status ot_sinkhorn_run(ot_sinkhorn *s, ot_sinkhorn_result *result, void *dx, void *dy, double *da, double *db,
                           const void *x, const void *y, const double *a, const double *b) FWM_MUST_USE;

/* Of the last run: the result, and the dual potentials f [M], g [N] of OT(a,b) (up to f + c, g - c). */
void ot_sinkhorn_last(const ot_sinkhorn *s, ot_sinkhorn_result *result, const double **f, const double **g);

/* Of the last run: the largest |mass carried to group k - mass of group k| before the last step, over groups 0..K-1 of
 * the points of y (group [N]; others are left out). How disconnected groups stand to each other is the slowest mode of
 * the iteration: above about 1e-2 the boundary between groups is in the wrong place (ot_correction mends it). O(K N).
 */
double ot_sinkhorn_group_error(const ot_sinkhorn *s, int64_t K, const int64_t *group);

/* The divergence as a graph value [1] with uniform weights: x [M,d] (or [M,1,d], ..., M d elements in that order), y
 * alike. Value and gradients are computed together, once; second derivatives are refused by name. `s` belongs to the
 * caller, must outlive the graph's plans, and serves one value of one graph. */
ad_value ot_sinkhorn_divergence(ad_graph *g, ot_sinkhorn *s, ad_value x, ad_value y);

/* The same with weights a [M] of x and b [N] of y, each a value with a gradient, or AD_NONE for uniform ones. As in
 * ot_sinkhorn_run they are normalised, and their gradients shifted to mean 0: right for weights whose sum stays 1
 * (a softmax, constants). */
ad_value ot_sinkhorn_weighted(ad_graph *g, ot_sinkhorn *s, ad_value x, ad_value y, ad_value a, ad_value b);

#endif
