/* The statistics file of The Well (stats.yaml): for each of mean, std, mean_delta and std_delta, a number, a list or a
 * list of lists for each field. */
#ifndef FWM_DATA_WELL_STATS_H
#define FWM_DATA_WELL_STATS_H

#include "data/stats.h"

#include <stdbool.h>

typedef struct ds_well_field {
    const char *name;          /* without component suffixes */
    int64_t channel, channels; /* where its components stand among the state's, row by row */
    bool constant;             /* in time: its increments are zero and need not be listed */
} ds_well_field;

/* Fills *out from the file at `path`; leaves it as it was where the file lacks a field (then statistics are computed).
 * A number stands for all components of its field. Errors: FWM_IO, FWM_DATA (not YAML, not as above), FWM_MEMORY. */
fwm_status ds_well_stats_read(const char *path, const ds_well_field *fields, int64_t count, int64_t channels,
                              fwm_arena *arena, ds_stats *out) FWM_MUST_USE;

#endif
