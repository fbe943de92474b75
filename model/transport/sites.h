/* A set of points with heights: the power diagram that it spans, and distances to it.
 *
 *   s_j(x) = g_j - |x - y_j|^2 / 2; the cell of x is argmax_j s_j(x), ties to the lowest index (g = 0: the nearest
 * point)
 *
 * Squared distances are sums of squared differences, without expansion, so that moving everything changes nothing but
 * rounding. A set holds its points by panels, and scratch for the threads that the process had at creation: no call
 * after creation allocates. Calls on one set must not overlap. Cost of a query: N d multiply-adds. */
#ifndef OT_SITES_H
#define OT_SITES_H

#include "model/autodiff/graph.h"

typedef struct ot_sites ot_sites;

/* Room for `capacity` points of d coordinates. Errors: FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY. */
fwm_status ot_sites_create(ot_sites **s, ad_dtype dtype, int64_t capacity, int64_t d) FWM_MUST_USE;
void ot_sites_destroy(ot_sites **s);
size_t ot_sites_memory(const ot_sites *s);

/* Takes a copy of y [N,d] of the type, 1 <= N <= capacity, and heights g [N] (NULL: zeros). Errors: FWM_INVALID,
 * FWM_NUMERIC for a number that is not finite (which point, which coordinate); the set is then as before. */
fwm_status ot_sites_set(ot_sites *s, int64_t N, const void *y, const double *g) FWM_MUST_USE;
void ot_sites_set_heights(ot_sites *s, const double *g);

int64_t ot_sites_count(const ot_sites *s);
int64_t ot_sites_dimension(const ot_sites *s);
ad_dtype ot_sites_dtype(const ot_sites *s);
/* Coordinate k of point j; of an array of the type, element i. */
double ot_sites_coordinate(const ot_sites *s, int64_t j, int64_t k);
double ot_number(ad_dtype dtype, const void *v, int64_t i);
void ot_number_put(ad_dtype dtype, void *v, int64_t i, double value);

/* The cells of x [M,d]: cell [M], and s_j there to score [M] (either may be NULL). Points that are not finite get cell
 * 0. */
void ot_sites_cells(const ot_sites *s, int64_t *cell, double *score, int64_t M, const void *x);

/* The two nearest points: index [M][2], distance [M][2] (either may be NULL). self: x are the sites themselves, in
 * order, and a point is no neighbour of its own. A missing neighbour has an infinite distance. */
void ot_sites_nearest(const ot_sites *s, int64_t *index, double *distance, int64_t M, const void *x, bool self);

/* Mean distance to the two nearest points, to d2 [M]: "how far from the sheet". With one neighbour only, the distance
 * to it. */
void ot_sites_distance(const ot_sites *s, double *d2, int64_t M, const void *x, bool self);

/* Calls visit(self, i, cost) for each row i of x [M,d], in parallel, with cost [N] = |x_i - y_j|^2 / 2, which it may
 * overwrite. */
typedef void (*ot_sites_visitor)(void *self, int64_t row, double *cost);
void ot_sites_each(const ot_sites *s, int64_t M, const void *x, ot_sites_visitor visit, void *self);

/* As ot_sites_each, with the costs of a second row too: those of the cell's own site, |y_cell - y_j|^2 / 2. */
typedef void (*ot_sites_cell_visitor)(void *self, int64_t row, int64_t cell, double *cost, double *between);
void ot_sites_each_cell(const ot_sites *s, int64_t M, const void *x, ot_sites_cell_visitor visit, void *self);

/* The median distance of a point to its nearest other one: a length to set ell by. scratch [2 N]. One point: 0. */
double ot_sites_spacing(const ot_sites *s, double *scratch);

#endif
