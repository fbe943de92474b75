/* What training, evaluation and export share: the dataset with its statistics, the law, the parameter store, and the
 * model's configuration in numbers. */
#ifndef TRAIN_WORLD_H
#define TRAIN_WORLD_H

#include "data/loader.h"
#include "model/world_model.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/law.h"

/* Side of the features of a model that sees no frames [pixels]. */
enum { TR_BLANK_SIDE = 16 };

#define TR_STD_FLOOR 1e-4 /* deviations below it are taken for it [unit of the field] */

typedef struct tr_world {
    const tr_config *config;
    ds_dataset *ds;
    const ds_info *info;
    tr_law *law;
    nn_store *store;
    wm_config model;
    double correction_scale[WM_MAX_CHANNELS]; /* 0 until known */
} tr_world;

/* Opens the dataset (`data` instead of config->data.file where not NULL) as recorded.h completes it, builds the law.
 * With a checkpoint, statistics and the correction's scale are the ones that it was trained with. Errors name the file
 * and the place in it. */
fwm_status tr_world_open(tr_world **world, const tr_config *config, const char *data,
                         const tr_checkpoint *checkpoint) FWM_MUST_USE;
void tr_world_close(tr_world **world);

/* For a run that goes on: the dataset's statistics must be the ones that the checkpoint was trained with (else
 * FWM_DATA: the dataset was made anew); the correction's scale is taken from it. */
fwm_status tr_world_take_up(tr_world *world, const tr_checkpoint *checkpoint) FWM_MUST_USE;

/* FWM_DATA, naming file, field, trajectory and time, where a number of the batch is not finite. Cost: one pass; it is
 * asked when a loss is not finite. */
fwm_status tr_world_check_batch(const tr_world *world, const ds_batch *batch) FWM_MUST_USE;

/* The statistics as JSON, for a checkpoint's `about`. */
fwm_status tr_world_normalisation(const tr_world *world, json_t **json) FWM_MUST_USE;

/* Copies weights of a prefix (TR_WEIGHTS or TR_EMA) into a flat vector laid out by the store. */
fwm_status tr_world_load(const tr_world *world, const tr_checkpoint *checkpoint, const char *prefix,
                         float *flat) FWM_MUST_USE;

#endif
