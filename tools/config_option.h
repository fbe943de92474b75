/* What commands that take a CONFIG share. */
#ifndef TOOLS_CONFIG_OPTION_H
#define TOOLS_CONFIG_OPTION_H

#include "tools/command.h"
#include "train/config.h"

enum { FWM_MAX_SETS = 64 };

/* Loads the configuration of argument 0 with every --set applied. */
fwm_status fwm_call_config(fwm_call *call, tr_config **config) FWM_MUST_USE;

/* The values of --set: at most FWM_MAX_SETS. */
fwm_status fwm_call_sets(fwm_call *call, const char **sets, int64_t *n) FWM_MUST_USE;

/* Makes the folders that lead to `path`. */
fwm_status fwm_make_parent(const char *path) FWM_MUST_USE;

#endif
