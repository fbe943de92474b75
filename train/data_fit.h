/* How well data satisfy an equation, and with which parameters best: users have reported data that do not satisfy the
 * equation that they are said to come from. */
#ifndef TRAIN_DATA_FIT_H
#define TRAIN_DATA_FIT_H

#include "data/dataset.h"
#include "train/config.h"

#include <jansson.h>

enum { TR_FIT_TRANSITIONS = 128 };

/* Takes over `file`. The equation is physics.equation, as a law on the dataset completed by recorded.h (edges,
 * channels, strips: data.*). Over TR_FIT_TRANSITIONS transitions, spread evenly over trajectories and times, the mean
 * residual in the dual norm is minimised over the equation's parameters (those in physics.learn, else all but numerical
 * ones) within their bounds, by Newton's method with the Hessian from differences of exact gradients: one step where
 * the equation is affine in its parameters. *json:
 *
 *     {"equation", "transitions", "dt",
 *      "change":   mean |u1 - u0|^2 in L2 over the measure and the deviation squared: what is to be explained [-],
 *      "residual": {"start": at physics.parameters (else the equation's presets), "fitted"},  [-]
 *      "explained": 1 - fitted / change,
 *      "parameters": {NAME: {"start", "fitted", "unit", "at_bound"}}}
 *
 * The time scheme is the midpoint rule, so frames that are far apart in time leave a residual of their own. Errors:
 * those of tr_recorded, of the law, and FWM_NUMERIC where no step lowers the residual of a start that is not finite. */
fwm_status tr_data_fit(json_t **json, ds_dataset *file, const tr_config *config) FWM_MUST_USE;

#endif
