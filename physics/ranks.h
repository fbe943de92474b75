/* Processes under a launcher (mpirun), for work that is shared out by trajectories. Without one there is one rank. */
#ifndef FWM_PHYSICS_RANKS_H
#define FWM_PHYSICS_RANKS_H

#include "model/base/status.h"

#include <stdint.h>

/* Starts MPI where it does not run (fem_init). Errors: FWM_LIBRARY. */
fwm_status fem_ranks(int *rank, int *count) FWM_MUST_USE;

/* All ranks call these, each waiting for the others. */

/* The smallest of everybody's values. */
fwm_status fem_ranks_least(int64_t mine, int64_t *least) FWM_MUST_USE;
/* FWM_OK where every rank brings FWM_OK; a rank's own failure with its own message; where only others failed, their
 * status with a message that says so. */
fwm_status fem_ranks_agree(fwm_status mine) FWM_MUST_USE;

#endif
