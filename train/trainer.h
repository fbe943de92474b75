/* A training run: identification of the law, then the network, in one folder that can be left and taken up at any
 * instant.
 *
 *     FOLDER/config.yaml      resolved configuration
 *     FOLDER/metrics.jsonl    one object a line
 *     FOLDER/last.ckpt        newest state; last.ckpt.prev the one before
 *     FOLDER/best.ckpt        the lowest validation error so far
 *     FOLDER/lock             one writer
 *
 * Invariant: the state after update k is a function of (configuration, dataset, k) on one machine, instruction set and
 * thread count: batches, noise and schedules are functions of (seed, k), so that a run that was killed continues to the
 * same bits. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "train/evaluate.h"
#include "train/points.h"

#include <stdio.h>

typedef struct tr_train_options {
    const char *folder; /* NULL: checkpoints/<experiment> */
    bool must_resume;   /* fail where there is nothing to go on from */
    bool dry_run;       /* plan, print, run at most two steps, write nothing */
    bool print_plan;    /* with the whole list of calls */
    bool profile;       /* measure each call; print at the end */
    int64_t stop_after; /* > 0: stop cleanly after this many updates in this process (for tests) */
} tr_train_options;

typedef struct tr_train_result {
    int64_t steps, identified, to_identify, parameters;
    int64_t horizon;                      /* of validation; 0 where there is no validation split */
    double seconds, loss, best;           /* best: validation VRMSE at the horizon; NaN where none was finite */
    size_t peak_predicted, peak_measured; /* bytes of resident memory */
    bool interrupted;
    int stop_signal;   /* what interrupted it */
    char folder[1024]; /* holds last.ckpt and, where `best` is a number, best.ckpt */
} tr_train_result;

/* Trains (or goes on). Plans go to `out`. Errors: everything that can be wrong with configuration, data and folder;
 * FWM_DATA where the data are not finite; FWM_NUMERIC where the loss stays NaN. After an error the newest checkpoint is
 * whole and finite. On SIGINT, SIGTERM and SIGUSR1 the run saves and returns FWM_OK with `interrupted`; a second SIGINT
 * ends the process at once. */
fwm_status tr_train(tr_train_result *result, const tr_config *config, const tr_train_options *options,
                    FILE *out) FWM_MUST_USE;

/* A trained model ready to run: config and normalisation from the checkpoint, data from `data` (NULL: the one that it
 * was trained on). `weights`: "ema", "last", or NULL for what export.weights says. */
typedef struct tr_trained {
    tr_checkpoint *checkpoint;
    tr_config *config;
    tr_world *world;
    tr_rollout *rollout; /* NULL for model.kind points */
    ot_memory *memory;   /* of points; NULL for a world model */
    ot_gate *gate;       /* of points with a gate */
    float *flat;
} tr_trained;
fwm_status tr_trained_open(tr_trained *trained, const char *checkpoint, const char *data, const char *const *sets,
                           int64_t n_sets, const char *weights, int64_t batch) FWM_MUST_USE;
void tr_trained_close(tr_trained *trained);

/* Makes a folder and those that lead to it. Errors: FWM_IO. */
fwm_status tr_folder_make(const char *path) FWM_MUST_USE;

#endif
