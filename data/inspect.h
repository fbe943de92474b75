/* What a dataset holds, as JSON for `fwm inspect`. Reads every value once, in bounded memory. */
#ifndef FWM_DATA_INSPECT_H
#define FWM_DATA_INSPECT_H

#include "data/dataset.h"

#include <jansson.h>

/* A new object with the keys kind, layout, name, equation, generator, trajectories, steps, frames ([H,W,C] or null),
 * fields (names of the state's channels), actions (how many), dt, nan (values that are NaN or infinite, in all fields
 * and parameters), splits, ranges, parameters, mesh, coarse_mesh, grid (null, or
 * axes with their edges, and conditions), truth, residual (null: the caller knows the
 * equation). The caller drops it.
 * Errors: as ds_read, FWM_MEMORY. */
fwm_status ds_inspect(ds_dataset *ds, json_t **out) FWM_MUST_USE;

#endif
