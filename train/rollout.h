/* Imagination: the model run open loop. After the context, frames come from the decoder, s_phy from the cheap
 * simulation (which needs no observation), actions from the data, and z from the prior: its mean, or samples whose mean
 * is the prediction. */
#ifndef TRAIN_ROLLOUT_H
#define TRAIN_ROLLOUT_H

#include "data/loader.h"
#include "train/world.h"

typedef struct tr_rollout tr_rollout;

/* Plans one step for `batch` trajectories at once. */
fwm_status tr_rollout_create(tr_rollout **rollout, tr_world *world, int64_t batch) FWM_MUST_USE;
void tr_rollout_destroy(tr_rollout **rollout);
int64_t tr_rollout_batch(const tr_rollout *rollout);
const ad_plan *tr_rollout_plan(const tr_rollout *rollout);

/* Binds weights (a flat vector of the store) and allocates. */
fwm_status tr_rollout_prepare(tr_rollout *rollout, float *flat) FWM_MUST_USE;

typedef struct tr_rollout_options {
    int64_t start;   /* time of the first state; 0-based */
    int64_t horizon; /* steps */
    int64_t samples; /* 1: the prior's mean; more: mean of that many samples */
    uint64_t seed;
    bool from_frame; /* s(start) from the frame and the cheap simulation instead of the data */
} tr_rollout_options;

/* Whole trajectories [B,T,...] (B at most the plan's batch; fewer are padded) with T > start + horizon. Writes
 * states [B,horizon+1,n,c] (the start first) and frames [B,horizon+1,H,W,C]; frames may be NULL, and are
 * not touched by a model without. */
fwm_status tr_rollout_run(tr_rollout *rollout, const ds_batch *truth, const tr_rollout_options *options, float *states,
                          float *frames) FWM_MUST_USE;

#endif
