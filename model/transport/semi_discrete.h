/* Semi-discrete transport: heights g of points y_j (masses nu_j) whose power diagram cuts a source into cells of those
 * masses.
 *
 *   cell_j = {x : s_j(x) largest}, s_j(x) = g_j - |x - y_j|^2 / 2; the optimal map sends cell_j to y_j; Brenier's
 * heights are h_j = g_j - |y_j|^2 / 2. E(g) = int max_j s_j - <nu, g> is convex with gradient mass(cell_j) - nu_j.
 *
 * Four ways to g, all returned with mean 0:
 *   exact cells and damped Newton for a uniform source on an interval or a rectangle (Kitagawa, Merigot, Thibert,
 * Convergence of a Newton algorithm for semi-discrete optimal transport, JEMS 2019): for tests and for references; Adam
 * on the masses of a bank of source points (as An et al., AE-OT, ICLR 2020): any source, any dimension, slow; the dual
 * potential of a Sinkhorn run, which a training step has for free; and the correction by groups, needed after either of
 * the last two: how the heights of disconnected groups of points
 *   ("sheets") stand to each other is the slowest mode of those solvers, and a boundary sits there. */
#ifndef OT_SEMI_DISCRETE_H
#define OT_SEMI_DISCRETE_H

#include "model/transport/sinkhorn.h"
#include "model/transport/sites.h"

/* ---- damped Newton on exact cells ---- */

enum { OT_NEWTON_SITES = 2048 };

typedef struct ot_newton_result {
    int steps;            /* accepted */
    double error;         /* |mass - nu|_2 */
    double smallest_cell; /* mass */
} ot_newton_result;

/* Heights g [N] and the masses [N] of their cells (NULL: not wanted) for the uniform source on box = {lo, hi} (d = 1)
 * or {lo_0, lo_1, hi_0, hi_1} (d = 2), points y [N,d], masses nu [N] > 0 with sum 1 (NULL: equal). Ends when |mass -
 * nu|_2 <= tol. N^2 half-plane cuts and N^3/6 multiply-adds a step; allocates. Errors: FWM_INVALID (arguments; points
 * that coincide), FWM_NUMERIC when `tol` was not reached in max_steps. */
fwm_status ot_heights_newton(double *g, double *mass, ot_newton_result *result, int64_t N, int64_t d, const double *y,
                             const double *nu, const double *box, double tol, int max_steps) FWM_MUST_USE;

/* Masses [N] of the cells of heights g for the same source. Errors as above. */
fwm_status ot_cells_exact(double *mass, int64_t N, int64_t d, const double *y, const double *g,
                          const double *box) FWM_MUST_USE;

/* ---- Adam on a bank ---- */

typedef struct ot_adam_options {
    double rate;      /* of a step, in the unit of g: about 1e-2 of the squared extent */
    double tol;       /* ends at |mass - nu|_2 below it, on the whole bank */
    int64_t batch;    /* source points at first; doubles as the gradient stops falling, while the rate halves */
    int64_t patience; /* steps without a smaller gradient before that */
    int64_t steps;    /* at most */
} ot_adam_options;

typedef struct ot_adam_result {
    int64_t steps, batch;
    double error; /* |mass - nu|_2 on the last batch */
} ot_adam_result;

/* Improves g [N] (in and out) for the points of `sites` (its heights become g) and source points [n,d] of the sites'
 * type, used from the first on: order them so that every beginning is a fair sample (Sobol points are). nu NULL: equal.
 * Allocates. Errors: FWM_INVALID, FWM_NUMERIC for a source point that is not finite, FWM_MEMORY. */
fwm_status ot_heights_adam(double *g, ot_adam_result *result, ot_sites *sites, const double *nu, int64_t n,
                           const void *source, const ot_adam_options *options) FWM_MUST_USE;

/* ---- from Sinkhorn's dual ---- */

/* The potential of y of the last run, shifted to mean 0, to g [N]. */
void ot_heights_sinkhorn(double *g, int64_t N, const ot_sinkhorn *s);

/* ---- the correction by groups ---- */

typedef struct ot_correction ot_correction;

typedef struct ot_correction_result {
    int steps;     /* Newton's, over all stages */
    double error;  /* largest |mass - nu| of a group, of the hard cells on the source points */
    double before; /* the same before the correction */
} ot_correction_result;

/* Workspace for up to n source points, N points in up to K groups. Errors: FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY. */
fwm_status ot_correction_create(ot_correction **c, int64_t n, int64_t N, int64_t K) FWM_MUST_USE;
void ot_correction_destroy(ot_correction **c);

/* Raises every group k of points by a t_k so that the groups' cells together have masses nu [K] (sum 1, to 1e-4;
 * normalised): minimises mean_x tau LSE_k((S_k(x) + t_k)/tau) - <nu,t>, S_k(x) the best score within group k, tau = .3,
 * .1, .03, .01 standard deviations of S, by damped Newton. g [N] in and out, and set as the heights of `sites`; group
 * [N] in 0..K-1, source points [n,d] of the sites' type. Allocates nothing. (n K^2 + K^3) a step, n N d once. Errors:
 * FWM_INVALID (sizes, a group out of range, masses, a group without points), FWM_NUMERIC for source
 * points that are not finite; g is then unchanged. */
fwm_status ot_correction_run(ot_correction *c, ot_correction_result *result, double *g, ot_sites *sites, int64_t K,
                             const int64_t *group, const double *nu, int64_t n, const void *source) FWM_MUST_USE;

#endif
