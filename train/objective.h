/* The training objective as one graph: the model unrolled over k steps, every term of the loss, and the gradients.
 *
 *     L = w_state L_state + w_frame L_frame + w_kl L_kl + w_phys L_phys + w_ot L_ot + w_edge L_edge + w_start L_start
 *
 *     L_state  mean over batch, steps, fields of sum_i mass_i |s^ - s|^2 / scale^2, scale the correction's own
 *              deviation [-]
 *     L_frame  mean |x^ - x|^2 [-]
 *     L_kl     balanced KL with free bits, and with the gate -log p of the true sheet (latent.c) [nat]
 *     L_phys   |R(s^(t+1), s^(t), a; theta)|^2 in the configured norm (physics/fem.h) [-]
 *     L_ot     Sinkhorn divergence between the codes of predicted and of true next states, contexts joined to both,
 *              over the codes' variance [-]
 *     L_edge   how far codes of predictions are off the sheets of the bank of true codes (model/transport/edge_term.h)
 * [-] L_start  the state estimator's error at t = 0, over the state's variance [-]
 *
 * The first step starts from the data; later ones are fed with what the model said, as in a rollout. The weights are an
 * input of the graph, so that ramps, and the norm of one term's gradient, need no other graph. */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include "data/loader.h"
#include "model/transport/edge_term.h"
#include "model/transport/gate.h"
#include "model/world_model.h"
#include "train/config.h"
#include "train/law.h"

typedef enum tr_term {
    TR_TERM_STATE,
    TR_TERM_FRAME,
    TR_TERM_KL,
    TR_TERM_PHYSICS,
    TR_TERM_TRANSPORT,
    TR_TERM_EDGE,
    TR_TERM_START,
    TR_TERM_COUNT
} tr_term;
const char *tr_term_name(tr_term term); /* "state", "frame", "kl", "phys", "ot", "edge", "start" */

typedef struct tr_objective_spec {
    const tr_config *config;
    const wm_config *model;
    tr_law *law;
    nn_store *store;
    ot_memory *memory; /* of the graph's type, outlives the objective; NULL: no transport terms, no gate */
    ot_gate *gate;     /* likewise; NULL where model.latent.gate is none */
    ad_dtype dtype;
    int64_t batch, clip; /* clip: frames that the loader gives; at least unroll + 1 */
    int unroll;
    size_t budget;  /* bytes that the step's workspace may take, 0: any */
    size_t *least;  /* may be NULL: gets the smallest workspace found where the budget cannot be met */
    bool train_law; /* law/ parameters get gradients too */
} tr_objective_spec;

typedef struct tr_objective tr_objective;

/* Builds, differentiates and plans; allocates no workspace yet. */
fwm_status tr_objective_create(tr_objective **objective, const tr_objective_spec *spec) FWM_MUST_USE;
void tr_objective_destroy(tr_objective **objective);

/* Binds parameters and gradients to flat vectors of nn_store_size elements and allocates the workspace. Gradients of
 * what is not trained are left untouched (zero them once). */
fwm_status tr_objective_prepare(tr_objective *objective, void *flat, void *flat_grad) FWM_MUST_USE;

const ad_plan *tr_objective_plan(const tr_objective *objective);
ad_plan *tr_objective_plan_mutable(tr_objective *objective);

/* Deviation of the correction, [fields]. */
void tr_objective_set_scale(tr_objective *objective, const double *scale);

/* Copies a batch [B,clip,...] in. */
fwm_status tr_objective_load(tr_objective *objective, const ds_batch *batch) FWM_MUST_USE;

/* One forward and backward pass with these weights: gradients are in flat_grad, terms [TR_TERM_COUNT] (unweighted) and
 * the weighted total in *loss; *kl (may be NULL) is the plain KL without clip and balance [nat]. */
fwm_status tr_objective_run(tr_objective *objective, const double weights[TR_TERM_COUNT], uint64_t seed, uint64_t step,
                            double *loss, double terms[TR_TERM_COUNT], double *kl) FWM_MUST_USE;

/* What transport saw in the last run; NULL where there is no edge term. */
const ot_edge_report *tr_objective_edge(const tr_objective *objective);

/* The first step's transition in the last run, float32: what was predicted from s0 [B,n,c] under a [B,A]. False where
 * no law judges predictions, or the graph is not in float32. */
bool tr_objective_transition(const tr_objective *objective, const float **s1, const float **s0, const float **a);

/* Contexts [B,*width] of the last run's first step, in float32 graphs with a memory. */
const float *tr_objective_contexts(const tr_objective *objective, int64_t *width);

/* Gives the last run's codes to the memory, as update `step`. Call once an update, after it. Errors: FWM_NUMERIC. */
fwm_status tr_objective_remember(tr_objective *objective, int64_t step) FWM_MUST_USE;

#endif
