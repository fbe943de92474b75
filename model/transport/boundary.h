/* Where the optimal map jumps: scores of states by their distance to a boundary between mutually invisible cells.
 *
 * A power diagram has sites S_j with heights g_j, and each site a group (an anchor, or a sheet); some groups are
 * mutually invisible (support.h). With s_j(x) = g_j - |x - S_j|^2 / 2 and j1 the cell of x,
 *
 *   delta(x) = min over j invisible from j1 of (s_j1 - s_j) / |S_j1 - S_j|     the exact distance to that bisector
 *   b(x) = exp(-delta^2 / (2 ell^2)); 0 where nothing is invisible
 *
 * Two modes:
 *
 *   paired (dynamics)   sites are contexts x_j, heights 0, groups those of the outcomes y_j: the map is the data's own
 *   unpaired (noise)    sites are codes y_j, heights from transport, corrected by sheets (ot_correction)
 *
 * For dynamics take the pairs: a flow is not the gradient of a convex function, and an unpaired map draws another
 * boundary. In high dimension with clustered codes take the sheets' means as sites. delta is a lower bound of the
 * distance to the boundary: the nearest such bisector need not carry a facet of x's cell.
 *
 * Workspace once, no allocation in a call; threads do not matter. Cost: 2 N d multiply-adds and N square roots a state.
 */
#ifndef OT_BOUNDARY_H
#define OT_BOUNDARY_H

#include "model/transport/sites.h"

typedef struct ot_boundary ot_boundary;

/* Room for N sites of d coordinates, K groups and M states a call. Errors: FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY. */
fwm_status ot_boundary_create(ot_boundary **b, ad_dtype dtype, int64_t N, int64_t d, int64_t K, int64_t M) FWM_MUST_USE;
void ot_boundary_destroy(ot_boundary **b);
size_t ot_boundary_memory(const ot_boundary *b);

/* Takes copies: sites S [N,d] of the type, heights g [N] (NULL: zeros), group [N] in 0..K-1, invisible [K][K] (NULL:
 * every group from every other). Errors: FWM_INVALID, FWM_NUMERIC. */
fwm_status ot_boundary_set(ot_boundary *b, int64_t N, const void *S, const double *g, int64_t K, const int64_t *group,
                           const unsigned char *invisible) FWM_MUST_USE;

/* delta [M] (infinite where no site is invisible), j1 [M] and j2 [M] (-1 there) of states x [M,d] of the type. Where
 * the two sites coincide, delta is 0. Errors: FWM_INVALID when M exceeds the room, FWM_NUMERIC for a state
 * that is not finite (which, and which coordinate). */
fwm_status ot_boundary_distance(ot_boundary *b, double *delta, int64_t *j1, int64_t *j2, int64_t M,
                                const void *x) FWM_MUST_USE;

/* How far states x [M,d] are from where the map jumps, to distance [M]: from delta's lower bound to the boundary
 * itself. With f = max over sites that the state's own cell sees, minus max over those invisible from it, of s_j,
 * piecewise linear and 0 on the boundary, x moves along the gradient y_a - y_b to the zero of the present piece until f
 * is 0 (at most 16 pieces); the distance is that of the end from the start. Infinite where nothing is invisible. delta,
 * j1, j2 are of ot_boundary_distance on the same states; place [M,d] of the type gets the end points (not the
 * states' own array). M N d a piece. */
fwm_status ot_boundary_refine(ot_boundary *b, double *distance, void *place, int64_t M, const void *x,
                              const double *delta, const int64_t *j1) FWM_MUST_USE;

/* score [M] = exp(-delta^2 / (2 ell^2)), ell > 0; may alias delta. */
void ot_boundary_score(double *score, const double *delta, double ell, int64_t M);

/* ell for which a share of the states (0 < share <= 1) scores 1/2 or more. Infinite deltas count. scratch [2 M]. Where
 * even that share has no boundary: infinity. Another choice of ell is twice ot_sites_spacing of the sources. */
double ot_boundary_ell(int64_t M, const double *delta, double share, double *scratch);

/* The sites, for ot_sites_spacing. */
ot_sites *ot_boundary_sites(ot_boundary *b);

/* A pair of sites with a boundary that states came near to, first < second. */
typedef struct ot_singular_pair {
    int64_t first, second;
    int64_t states;  /* that scored 1/2 or more between them */
    double distance; /* the smallest delta of them */
    double jump;     /* |y_first - y_second| */
    double angle;    /* between (y_first,-1) and (y_second,-1) [rad] */
} ot_singular_pair;

/* The pairs (j1,j2) of states with delta <= ell sqrt(2 ln 2), each once, in the order of their first states, to pair
 * [room]; *count is how many there are, which may exceed `room` (the rest is left out). Labels y [N,dy] of the type
 * `label`: in unpaired mode the sites themselves. */
fwm_status ot_boundary_pairs(ot_boundary *b, ot_singular_pair *pair, int64_t room, int64_t *count, int64_t M,
                             const double *delta, const int64_t *j1, const int64_t *j2, double ell, ad_dtype label,
                             int64_t dy, const void *y) FWM_MUST_USE;

#endif
