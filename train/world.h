/* What training, evaluation and export share: the dataset with its statistics, the law, the parameter store, and the
 * model's configuration in numbers. */
#ifndef TRAIN_WORLD_H
#define TRAIN_WORLD_H

#include "data/dataset.h"
#include "model/world_model.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/law.h"

typedef struct tr_world {
    const tr_config *config;
    ds_dataset *ds;
    const ds_info *info;
    tr_law *law;
    nn_store *store;
    wm_config model;
    double correction_scale[WM_MAX_CHANNELS]; /* 0 until known */
} tr_world;

/* Opens the dataset (`data` instead of config->data.file where not NULL), fills statistics, builds the law. With a
 * checkpoint, statistics and the correction's scale are the ones that it was trained with. Errors name the file and the
 * place in it. */
fwm_status tr_world_open(tr_world **world, const tr_config *config, const char *data,
                         const tr_checkpoint *checkpoint) FWM_MUST_USE;
void tr_world_close(tr_world **world);

/* The statistics as JSON, for a checkpoint's `about`. */
fwm_status tr_world_normalisation(const tr_world *world, json_t **json) FWM_MUST_USE;

/* Copies weights of a prefix (TR_WEIGHTS or TR_EMA) into a flat vector laid out by the store. */
fwm_status tr_world_load(const tr_world *world, const tr_checkpoint *checkpoint, const char *prefix,
                         float *flat) FWM_MUST_USE;

#endif
