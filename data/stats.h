/* Mean and deviation of channels, of values and of their increments from one step to the next.
 *
 * Accumulated in float64 block by block, as differences from the mean so far, and merged pairwise (Chan, Golub, LeVeque
 * 1983, eq. 2.1), so that the result does not suffer from cancellation however long the data. Values that are NaN or
 * infinite are left out. Deviations are of the population (divided by the count). */
#ifndef FWM_DATA_STATS_H
#define FWM_DATA_STATS_H

#include "model/base/arena.h"

#include <stdint.h>

/* [channels] each; all NULL where statistics are not known. */
typedef struct ds_stats {
    const double *mean, *std;             /* of values */
    const double *delta_mean, *delta_std; /* of x(t+1) - x(t) */
} ds_stats;

/* Running moments of one channel. All zero is the empty set. */
typedef struct ds_moments {
    int64_t count;
    double mean, m2; /* m2: sum of squared deviations */
} ds_moments;

/* *into becomes the moments of both sets. */
void ds_moments_merge(ds_moments *into, const ds_moments *from);
/* sqrt(m2 / count); 0 for the empty set. */
double ds_moments_std(const ds_moments *m);

/* Merges x [steps, points, channels] into value[channels]. */
void ds_moments_add_values(ds_moments *value, const float *x, int64_t steps, int64_t points, int64_t channels);
/* Merges the steps - 1 increments of x into delta[channels]. */
void ds_moments_add_deltas(ds_moments *delta, const float *x, int64_t steps, int64_t points, int64_t channels);

/* The statistics of value[channels] and delta[channels], in the arena. Errors: FWM_MEMORY. */
fwm_status ds_stats_store(ds_stats *out, fwm_arena *arena, int64_t channels, const ds_moments *value,
                          const ds_moments *delta) FWM_MUST_USE;

#endif
