/* Parameter groups of a run: which parameters are frozen or not decayed, and the factors that the configuration gives
 * by name.
 *
 * A pattern is a shell's (fnmatch) over whole names such as "decoder/up0/conv/weight"; `*` passes '/' too. The factors
 * of all patterns that match a name are multiplied, so that their order does not matter. */
#ifndef TRAIN_GROUPS_H
#define TRAIN_GROUPS_H

#include "model/nn/store.h"
#include "train/config.h"
#include "train/optimizer.h"

/* Does optimizer.frozen name it? Such a parameter has no gradient and takes no part in norms. */
bool tr_is_frozen(const tr_config *config, const char *name);

/* One group for each parameter of the store, in its order: groups [nn_store_count]. Frozen are those that the
 * configuration names, and with physics.identification.freeze those that begin before law_size. Errors: FWM_CONFIG for
 * a pattern that matches no parameter, with the names that there are. */
fwm_status tr_groups_fill(tr_group *groups, const tr_config *config, const nn_store *store,
                          int64_t law_size) FWM_MUST_USE;

#endif
