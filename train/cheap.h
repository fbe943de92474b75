/* The cheap simulation of data that others recorded: the named equation with the starting values of its parameters
 * (physics.parameters) on a coarse mesh, one call of its step a frame, open loop from the data's first state and
 * actions.
 *
 * It is computed once, whole blocks of trajectories at a time on all cores, and kept in a file with a key of all that
 * it depends on: PATH.s_phy-KEY.h5 beside the dataset, or in $XDG_CACHE_HOME/fwm (~/.cache/fwm) where that cannot be
 * written. Another key is another file, so it is never stale. The file is a dataset in the native layout whose state is
 * s_phy. */
#ifndef TRAIN_CHEAP_H
#define TRAIN_CHEAP_H

#include "data/dataset.h"
#include "train/config.h"

/* Takes over `ds`, on error too; gives it back with s_phy, itself where it has one. Errors: those of the equation on
 * the coarse mesh (FWM_NUMERIC naming trajectory and time), FWM_IO where nothing can be written. */
fwm_status tr_cheap(ds_dataset **out, ds_dataset *ds, const tr_config *config) FWM_MUST_USE;

#endif
