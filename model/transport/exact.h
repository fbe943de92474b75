/* Exact transport between two weighted sets: network simplex with a certificate. For tests and evaluation: it
 * allocates.
 *
 *   min <P,C> over P >= 0 with rows a and columns b  =  max <a,f> + <b,g> with f_i + g_j <= C_ij
 *
 * Primal simplex on the transportation problem: a spanning tree of M+N-1 arcs, start by row minima, entering arc the
 * most negative of a row, rows in turn. Cycling is excluded by Orden's perturbation (a_i + delta, b_N + M delta); flows
 * of the final tree are computed anew from the weights as given, potentials anew from the tree. About N^2 log N work in
 * practice. */
#ifndef OT_EXACT_H
#define OT_EXACT_H

#include "model/autodiff/graph.h"

typedef struct ot_exact_result {
    double cost;  /* <P,C> */
    double dual;  /* <a,f> + <b,g> */
    double slack; /* min_ij C_ij - f_i - g_j: at least -1e-9 max|C| */
    double flow;  /* the least entry of P on the tree: at least -1e-9 */
    int64_t pivots;
} ot_exact_result;

/* An arc of the final tree. */
typedef struct ot_exact_arc {
    int64_t row, column;
    double mass;
} ot_exact_arc;

/* C [M,N]; a [M], b [N] not negative with sum 1 (to 1e-9; NULL: uniform). f [M], g [N] and arc [M+N-1] may be NULL. The
 * result is certified: |cost - dual| <= 1e-9 max|C|, slack and flow as above, else FWM_NUMERIC. Other errors:
 * FWM_INVALID, FWM_MEMORY, FWM_OVERFLOW. */
fwm_status ot_exact_solve(ot_exact_result *result, double *f, double *g, ot_exact_arc *arc, int64_t M, int64_t N,
                          const double *C, const double *a, const double *b) FWM_MUST_USE;

/* The same for C = |x - y|^2 / 2 of clouds x [M,d], y [N,d] of the type: cost is W2^2 / 2. */
fwm_status ot_exact_clouds(ot_exact_result *result, ad_dtype dtype, int64_t M, int64_t N, int64_t d, const void *x,
                           const void *y, const double *a, const double *b) FWM_MUST_USE;

#endif
