#include "train/trainer.h"

#include "model/base/arena.h"
#include "train/identify.h"

#include <string.h>

static fwm_status open_points(tr_trained *t)
{
    FWM_TRY(tr_memory_create(&t->memory, &t->gate, t->config, &t->world->model));
    FWM_TRY(tr_memory_load(t->memory, t->gate, t->checkpoint));
    return tr_points_declare(t->world);
}

static fwm_status open_rollout(tr_trained *t, int64_t batch)
{
    /* So that the law's parameters are in the store, and are loaded, also where the model's step does not read them. */
    tr_identify *identify = NULL;
    FWM_TRY(tr_identify_create(&identify, t->config, t->world->law, t->world->store, t->world->model.nodes,
                               t->world->model.state.count, t->world->model.actions, t->world->model.state.std));
    tr_identify_destroy(&identify);
    return tr_rollout_create(&t->rollout, t->world, batch);
}

static fwm_status open_trained(tr_trained *t, const char *path, const char *data, const char *const *sets,
                               int64_t n_sets, const char *weights, int64_t batch)
{
    FWM_TRY(tr_checkpoint_load(&t->checkpoint, path));
    const char *text = tr_checkpoint_config(t->checkpoint);
    FWM_TRY(tr_config_parse(&t->config, text, strlen(text), path, sets, n_sets));
    FWM_TRY(tr_world_open(&t->world, t->config, data, t->checkpoint));
    bool points = t->config->model.kind == TR_MODEL_POINTS;
    FWM_TRY(points ? open_points(t) : open_rollout(t, batch));
    FWM_TRY(fwm_block_alloc((void **)&t->flat, (size_t)nn_store_size(t->world->store) * sizeof(float)));
    const char *which = weights ? weights : tr_config_word("export.weights", t->config->export.weights);
    FWM_TRY(tr_world_load(t->world, t->checkpoint, strcmp(which, "ema") == 0 ? TR_EMA : TR_WEIGHTS, t->flat));
    return points ? FWM_OK : tr_rollout_prepare(t->rollout, t->flat);
}

fwm_status tr_trained_open(tr_trained *t, const char *path, const char *data, const char *const *sets, int64_t n_sets,
                           const char *weights, int64_t batch)
{
    *t = (tr_trained){0};
    fwm_status status = open_trained(t, path, data, sets, n_sets, weights, batch);
    if (status != FWM_OK)
        tr_trained_close(t);
    return status;
}

void tr_trained_close(tr_trained *t)
{
    tr_rollout_destroy(&t->rollout);
    ot_gate_destroy(&t->gate);
    ot_memory_destroy(&t->memory);
    if (t->world)
        fwm_block_free(t->flat, (size_t)nn_store_size(t->world->store) * sizeof(float));
    tr_world_close(&t->world);
    tr_config_destroy(t->config);
    tr_checkpoint_destroy(t->checkpoint);
    *t = (tr_trained){0};
}
