/* System identification: the law's learned parameters fitted to transitions through the adjoint of the implicit step.
 *
 *     min over log theta of  mean |Step(s(t), a(t); theta) - s(t+1)|^2 / var(s)  +  w_tv TV(log theta)
 *
 * The step's error is what is minimised, never the residual: under noise in the state a residual is smallest where the
 * law vanishes (errors in variables). Adam on the logarithms; the same flat vector and store as the rest of the model.
 */
#ifndef TRAIN_IDENTIFY_H
#define TRAIN_IDENTIFY_H

#include "data/loader.h"
#include "train/config.h"
#include "train/law.h"

typedef struct tr_identify tr_identify;

/* Puts the law's parameters first into the store (slots 0..) and plans the fit. *identify is NULL, with FWM_OK, where
 * nothing is learned. `std` [fields] is the state's deviation. */
fwm_status tr_identify_create(tr_identify **identify, const tr_config *config, tr_law *law, nn_store *store,
                              int64_t nodes, int64_t fields, int64_t actions, const double *std) FWM_MUST_USE;
void tr_identify_destroy(tr_identify **identify);

/* Elements at the front of the flat vector that belong to the law. */
int64_t tr_identify_size(const tr_identify *identify);

fwm_status tr_identify_prepare(tr_identify *identify, float *flat) FWM_MUST_USE;
const ad_plan *tr_identify_plan(const tr_identify *identify);

/* One update (number `step` >= 1) from a batch of clips of two frames: changes flat and the moments m, v [size] in
 * place. *loss is the data's part, *variation the weighted total variation. */
fwm_status tr_identify_step(tr_identify *identify, const ds_batch *batch, float *flat, float *m, float *v, int64_t step,
                            double *loss, double *variation) FWM_MUST_USE;

/* Root mean square of Step(s, a) - s' per field over a batch (no update): adds squares to sum [fields], counts to
 * *count. */
fwm_status tr_identify_error(tr_identify *identify, const ds_batch *batch, double *sum, double *count) FWM_MUST_USE;

#endif
