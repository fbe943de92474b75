/* The operator that made a dataset, where the simulator kept its parameters (/truth): the judge of rollouts, and of the
 * data themselves. Under any other operator the truth scores worse than wrong models. */
#ifndef TRAIN_TRUE_LAW_H
#define TRAIN_TRUE_LAW_H

#include "train/law.h"

typedef struct tr_true_law {
    fem_problem *problem;
    double *value[FEM_MAX_PARAMETERS];
    int64_t count[FEM_MAX_PARAMETERS]; /* of a trajectory */
    bool each[FEM_MAX_PARAMETERS];     /* every trajectory has its own: value is [N,count] */
} tr_true_law;

/* The parameters of one trajectory. */
fem_theta tr_true_theta(const tr_true_law *truth, int64_t trajectory);

/* *known is false, and *truth empty, where there is no equation or a parameter is missing from the data. `std` [c] is
 * the state's deviation [unit of u]. *truth is to be destroyed also after an error. Errors: FWM_DATA, FWM_MEMORY. */
fwm_status tr_true_law_create(tr_true_law *truth, const tr_law *law, const tr_config *config, ds_dataset *ds,
                              const double *std, bool *known) FWM_MUST_USE;
void tr_true_law_destroy(tr_true_law *truth);

/* The data's own residual: mean over the transitions of at most `most` trajectories, spread over the whole, of the dual
 * norm
 * [-] under the true operator and the configuration that the dataset keeps. NaN where the dataset does not say enough
 * (an equation, its parameters, its configuration). */
fwm_status tr_data_residual(ds_dataset *ds, int64_t most, double *mean) FWM_MUST_USE;

#endif
