/* The generator connected to a writer, for those who need a dataset on the way. */
#ifndef TOOLS_COMMANDS_SIMULATE_H
#define TOOLS_COMMANDS_SIMULATE_H

#include "train/config.h"

/* Simulates the configuration's `simulate` block into a new dataset at `path`. `recipe` is kept in the file's header;
 * `show`: with a progress bar. Errors: FWM_CONFIG, FWM_IO, FWM_MEMORY; no file is left then. */
fwm_status fwm_simulate_dataset(const tr_config *config, const char *path, const char *recipe, bool show) FWM_MUST_USE;

#endif
