/* How far two clouds are apart, cheaply, and whether a model's points fall between the components of the truth. */
#ifndef OT_METRICS_H
#define OT_METRICS_H

#include "model/base/random.h"
#include "model/transport/sites.h"

/* ---- one dimension and slices ---- */

/* Transport on the line from points x [M] with weights a to y [N] with weights b (sums 1; NULL: uniform): *w1 = int
 * |dq|, *w2 = int dq^2 (W1 and W2 squared) of the difference of quantile functions; either may be NULL. index: scratch
 * [2 (M + N)]. Sorting and one pass. */
void ot_line_distance(double *w1, double *w2, int64_t M, const double *x, const double *a, int64_t N, const double *y,
                      const double *b, int64_t *index);

typedef struct ot_sliced ot_sliced;

/* For clouds of up to M and N points of d coordinates and `directions` slices. Errors: FWM_INVALID, FWM_OVERFLOW,
 * FWM_MEMORY. */
fwm_status ot_sliced_create(ot_sliced **s, ad_dtype dtype, int64_t M, int64_t N, int64_t d,
                            int64_t directions) FWM_MUST_USE;
void ot_sliced_destroy(ot_sliced **s);

/* Mean over random directions (fixed by key and step) of the squared W2 of the projected clouds, uniform weights. A
 * monitor: it is blind to thin gaps in high dimension (moving a cloud by t gives |t|^2/d). Allocates nothing; threads
 * do not matter. Errors: FWM_INVALID for sizes past the room,
 * FWM_NUMERIC where the value is not finite. */
fwm_status ot_sliced_run(ot_sliced *s, double *value, int64_t M, int64_t N, const void *x, const void *y, fwm_key key,
                         uint64_t step) FWM_MUST_USE;

/* ---- mode mixing ---- */

typedef struct ot_mixing {
    double threshold; /* 99 % quantile of the truth's distance to its nearest other point */
    double mixing;   /* share of generated points off the truth (d1 > threshold) and between components: d1/(d1+d2) > .2
                      * with the   distances to the nearest and the second nearest component */
    double off;      /* share of generated points with d1 > threshold */
    double coverage; /* share of true points with a generated one within 1.5 thresholds */
} ot_mixing;

/* Generated points p [M,d] against fresh truth y [N,d] with components label [N] in 0..K-1 (K = 1: mixing is 0).
 * Allocates. Errors: FWM_INVALID, FWM_NUMERIC, FWM_MEMORY. */
fwm_status ot_mixing_measure(ot_mixing *result, ad_dtype dtype, int64_t M, const void *p, int64_t N, const void *y,
                             const int64_t *label, int64_t K, int64_t d) FWM_MUST_USE;

#endif
