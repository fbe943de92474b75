/* Evaluation: open-loop rollouts of a split against the truth, beside persistence and the cheap simulation. */
#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include "train/codes.h"
#include "train/metrics.h"
#include "train/rollout.h"

enum { TR_METHOD_MODEL, TR_METHOD_PERSISTENCE, TR_METHOD_PHYSICS, TR_METHOD_COUNT };
const char *tr_method_name(int method); /* "model", "persistence", "physics_only" */

/* What of one trajectory a report shows. */
typedef struct tr_example {
    int64_t trajectory;
    float *truth_state, *state, *physics_state; /* [H+1,n,c]; the last NULL where there is no cheap simulation */
    float *truth_frame, *frame;                 /* [H+1,h,w,C]; NULL where there are no frames */
} tr_example;

/* A learned parameter against the truth. Where the truth is piecewise constant over cells there is one row a value: the
 * median of the fitted field over the region, and the region's intersection over union when each cell is given to the
 * nearest value. */
typedef struct tr_fit {
    char name[64];
    double initial, fitted, truth, iou; /* NaN where unknown */
    int64_t cells;
} tr_fit;
enum { TR_MAX_FITS = 32 };

/* Key states (fem_equation.event_rate above simulate.key_rate) over all trajectories and steps of a rollout: a true one
 * is recalled where the prediction has one within a step of it, a predicted one is precise where the truth has. */
typedef struct tr_key_score {
    int64_t truth, recalled, predicted, precise;
} tr_key_score;

typedef struct tr_evaluation {
    int64_t trajectories, context, horizon;
    double seconds;
    tr_metrics *table[TR_METHOD_COUNT];
    double *
        residual[TR_METHOD_COUNT]; /* [horizon]: mean over trajectories under the true operator; NULL where not known */
    double *truth_residual;        /* the data's own */
    bool has_key_states;           /* the equation has the criterion */
    tr_key_score key[TR_METHOD_COUNT];
    tr_example example; /* trajectory 0 */
    tr_fit fit[TR_MAX_FITS];
    int n_fits;
    bool has_codes;
    tr_codes_report codes; /* predicted and true codes of all steps */
} tr_evaluation;

typedef struct tr_evaluate_options {
    ds_split split;
    int64_t start, horizon, samples, trajectories; /* trajectories 0: all */
    uint64_t seed;
    bool from_frame, frames, residual, example; /* what to compute; residual: with it the fitted parameters */
    bool codes;                                 /* distributions of codes, and the boundary detector */
} tr_evaluate_options;

/* Evaluates flat weights bound to `rollout`. */
fwm_status tr_evaluate(tr_evaluation **evaluation, tr_world *world, tr_rollout *rollout, const float *flat,
                       const tr_evaluate_options *options) FWM_MUST_USE;
void tr_evaluation_destroy(tr_evaluation **evaluation);

/* The object that `fwm eval --json` prints, but for "checkpoint", "data" and "split". */
fwm_status tr_evaluation_json(const tr_evaluation *evaluation, const tr_ints *horizons, json_t **json) FWM_MUST_USE;

#endif
