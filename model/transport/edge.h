/* The edge term of the boundary regulariser, and its gradient with respect to predictions.
 *
 *   L_edge = 1/M sum_i [ |p_i - T_i| - tau ]_+ / s,   T_i = y_j*(i),  j*(i) = argmax_j g_j - |p_i - y_j|^2/2 - eta^2/2
 * |x_i - X_j|^2
 *
 * g: heights of transport from predictions to codes (Sinkhorn's dual), so that every code draws its share and pushing
 * cannot empty a sheet, as a pull to the nearest code does. The norm is not squared: the force is constant on the few
 * points in a gap, and nothing on the sheets. Contexts x, X make it a conditional transport (eta = 1 where both are
 * standardised); without them eta = 0. Variant for heads without a distribution ("hinge"): the mean distance to the two
 * nearest codes stands for |p_i - T_i|.
 *
 * T, g, tau, s and contexts are constants of the gradient: dL/dp_i = (p_i - T_i) / |p_i - T_i| / (M s) beyond tau, 0 up
 * to it. The norm is sqrt(|.|^2 + 1e-12 s^2), so that the term does not change when all codes are scaled, and has no
 * corner at 0. Workspace once; a call allocates nothing; M N (d + dc) multiply-adds; threads do not matter. */
#ifndef OT_EDGE_H
#define OT_EDGE_H

#include "model/transport/sites.h"

typedef struct ot_edge ot_edge;

typedef struct ot_edge_result {
    double value;  /* L_edge [-] */
    double active; /* share of predictions beyond tau */
} ot_edge_result;

/* For up to M predictions and N codes [.,d] with contexts [.,dc] (dc = 0: none). Errors: FWM_INVALID, FWM_OVERFLOW,
 * FWM_MEMORY. */
fwm_status ot_edge_create(ot_edge **e, ad_dtype dtype, int64_t M, int64_t N, int64_t d, int64_t dc) FWM_MUST_USE;
void ot_edge_destroy(ot_edge **e);
size_t ot_edge_memory(const ot_edge *e);

/* The transport form. p [M,d], y [N,d], contexts x [M,dc], X [N,dc] of the type (not read where dc or eta is 0), g [N]
 * (NULL: zeros). dp [M,d] gets the gradient, cell [M] the targets j*; either may be NULL. tau >= 0, s > 0. Errors:
 * FWM_INVALID, FWM_NUMERIC for numbers that are not finite (which cloud, point, coordinate). */
fwm_status ot_edge_run(ot_edge *e, ot_edge_result *result, void *dp, int64_t *cell, int64_t M, int64_t N, const void *p,
                       const void *y, const void *x, const void *X, double eta, const double *g, double tau,
                       double s) FWM_MUST_USE;

/* The hinge variant, without heights and contexts. */
fwm_status ot_edge_hinge(ot_edge *e, ot_edge_result *result, void *dp, int64_t M, int64_t N, const void *p,
                         const void *y, double tau, double s) FWM_MUST_USE;

#endif
