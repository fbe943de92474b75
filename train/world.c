#include "train/world.h"

#include "model/base/arena.h"
#include "train/recorded.h"

#include <math.h>
#include <string.h>

static fwm_status copy_stats(const tr_world *w, ds_field field, int64_t limit, double *mean, double *std)
{
    const ds_field_info *f = &w->info->fields[field];
    FWM_CHECK(f->channels <= limit, FWM_UNSUPPORTED, "%s: /%s: expected at most %lld channels, found %lld",
              ds_path(w->ds), ds_field_name(field), (long long)limit, (long long)f->channels);
    for (int64_t k = 0; k < f->channels; k++) {
        mean[k] = f->stats.mean ? f->stats.mean[k] : 0.0;
        std[k] = f->stats.std ? f->stats.std[k] : 1.0;
        FWM_CHECK(isfinite(mean[k]) && isfinite(std[k]), FWM_DATA,
                  "%s: /%s: expected a finite mean and deviation of channel %lld, found %g and %g", ds_path(w->ds),
                  ds_field_name(field), (long long)k, mean[k], std[k]);
        std[k] = fmax(std[k], TR_STD_FLOOR);
    }
    return FWM_OK;
}

static fwm_status require_field(const tr_world *w, ds_field field, const char *why)
{
    FWM_CHECK(w->info->fields[field].channels > 0, FWM_DATA, "%s: /%s: expected a dataset, found none; %s",
              ds_path(w->ds), ds_field_name(field), why);
    return FWM_OK;
}

/* What the configuration alone decides. */
static void fill_parts(const tr_config *c, wm_config *m)
{
    for (int k = 0; k < WM_SCALES; k++)
        m->encoder.width[k] = c->model.encoder.widths.items[k];
    m->encoder.frame_tower = c->model.encoder.frame_tower && m->colors > 0;
    m->encoder.physics_tower = c->model.encoder.physics_tower && m->s_phy.count > 0;
    m->predictor.prior_fem = c->model.predictor.prior == TR_PRIOR_FEM;
    m->predictor.unshuffle = 2;
    m->predictor.grid = m->predictor.unshuffle * c->model.predictor.grid;
    m->predictor.levels = (int)c->model.predictor.widths.count;
    for (int k = 0; k < m->predictor.levels; k++)
        m->predictor.width[k] = c->model.predictor.widths.items[k];
    m->predictor.position_bias = c->model.predictor.position_bias;
    m->latent.size = c->model.latent.size;
    m->latent.classes = c->model.latent.gate == TR_GATE_SHEETS ? c->model.latent.classes : 0;
    m->latent.min_log_std = c->model.latent.min_log_std;
    m->latent.max_log_std = c->model.latent.max_log_std;
    m->latent.free_nats = c->model.latent.free_nats;
    m->latent.balance_prior = c->objective.kl_balance[0];
    m->latent.balance_posterior = c->objective.kl_balance[1];
    m->decoder.width = c->model.decoder.width;
    m->transport.code = c->transport.code == TR_CODE_LATENT    ? WM_CODE_LATENT
                        : c->transport.code == TR_CODE_FEATURE ? WM_CODE_FEATURE
                                                               : WM_CODE_STATE;
    m->transport.size = c->transport.size;
}

static fwm_status fill_model(tr_world *w)
{
    const tr_config *c = w->config;
    wm_config *m = &w->model;
    const ds_field_info *state = &w->info->fields[DS_STATE], *s_phy = &w->info->fields[DS_S_PHY];
    FWM_TRY(require_field(w, DS_STATE, "the predictor works on nodal states"));
    FWM_CHECK(c->model.encoder.widths.count == WM_SCALES, FWM_CONFIG,
              "model.encoder.widths: expected %d numbers, found %lld", WM_SCALES,
              (long long)c->model.encoder.widths.count);
    FWM_CHECK(c->model.predictor.widths.count >= 1 && c->model.predictor.widths.count <= WM_MAX_LEVELS, FWM_CONFIG,
              "model.predictor.widths: expected 1 to %d numbers, found %lld", WM_MAX_LEVELS,
              (long long)c->model.predictor.widths.count);
    const bool pictured = w->info->fields[DS_FRAMES].channels > 0;
    *m = (wm_config){.height = pictured ? w->info->height : TR_BLANK_SIDE,
                     .width = pictured ? w->info->width : TR_BLANK_SIDE,
                     .colors = w->info->fields[DS_FRAMES].channels,
                     .nodes = state->points,
                     .coarse_nodes = s_phy->points,
                     .actions = w->info->fields[DS_ACTIONS].channels,
                     .groups = (int)c->model.groups};
    m->state.count = state->channels;
    m->s_phy.count = s_phy->channels;
    FWM_TRY(copy_stats(w, DS_STATE, WM_MAX_CHANNELS, m->state.mean, m->state.std));
    FWM_TRY(copy_stats(w, DS_S_PHY, WM_MAX_CHANNELS, m->s_phy.mean, m->s_phy.std));
    FWM_TRY(copy_stats(w, DS_ACTIONS, WM_MAX_ACTIONS, m->action_mean, m->action_std));
    for (int64_t k = 0; k < state->channels; k++) {
        const double change = state->stats.delta_std ? fmax(state->stats.delta_std[k], TR_STD_FLOOR) : m->state.std[k];
        m->rate_scale[k] = change / (w->info->dt > 0 ? w->info->dt : 1.0);
    }
    fill_parts(c, m);
    return FWM_OK;
}

/* Points and pairs: a state of one node, of one step or two. */
static fwm_status fill_points(tr_world *w)
{
    const ds_field_info *state = &w->info->fields[DS_STATE];
    wm_config *m = &w->model;
    FWM_TRY(require_field(w, DS_STATE, "points are states of one node"));
    FWM_CHECK(state->points == 1 && w->info->steps == w->config->data.clip && w->info->steps <= 2, FWM_DATA,
              "%s: /state: expected points (N,1,1,d) or pairs (N,2,1,d) and data.clip %lld, found %lld steps of %lld "
              "nodes",
              ds_path(w->ds), (long long)w->info->steps, (long long)w->info->steps, (long long)state->points);
    *m = (wm_config){.nodes = 1, .rate_scale = {1}};
    m->state.count = state->channels;
    return copy_stats(w, DS_STATE, WM_MAX_CHANNELS, m->state.mean, m->state.std);
}

/* ---- normalisation in a checkpoint ---- */

typedef struct stat_row {
    const char *name;
    int64_t count;
    double *value;
} stat_row;

enum { STAT_ROWS = 8 };

static void stat_rows(tr_world *w, stat_row row[STAT_ROWS])
{
    wm_config *m = &w->model;
    row[0] = (stat_row){"state_mean", m->state.count, m->state.mean};
    row[1] = (stat_row){"state_std", m->state.count, m->state.std};
    row[2] = (stat_row){"s_phy_mean", m->s_phy.count, m->s_phy.mean};
    row[3] = (stat_row){"s_phy_std", m->s_phy.count, m->s_phy.std};
    row[4] = (stat_row){"action_mean", m->actions, m->action_mean};
    row[5] = (stat_row){"action_std", m->actions, m->action_std};
    row[6] = (stat_row){"rate_scale", m->state.count, m->rate_scale};
    row[7] = (stat_row){"correction_scale", m->state.count, w->correction_scale};
}

fwm_status tr_world_normalisation(const tr_world *world, json_t **json)
{
    stat_row row[STAT_ROWS];
    tr_world copy = *world;
    stat_rows(&copy, row);
    *json = json_object();
    for (int r = 0; r < STAT_ROWS; r++) {
        json_t *list = json_array();
        for (int64_t k = 0; k < row[r].count; k++)
            (void)json_array_append_new(list, json_real(row[r].value[k]));
        (void)json_object_set_new(*json, row[r].name, list);
    }
    FWM_CHECK(json_object_size(*json) == STAT_ROWS, FWM_MEMORY, "normalisation: out of memory");
    return FWM_OK;
}

/* A row of the checkpoint's normalisation: as many finite numbers as the dataset asks for. */
static fwm_status read_row(const tr_checkpoint *checkpoint, const stat_row *row, double *value)
{
    const json_t *list = json_object_get(json_object_get(tr_checkpoint_about(checkpoint), "normalisation"), row->name);
    FWM_CHECK(json_array_size(list) == (size_t)row->count, FWM_DATA,
              "%s: normalisation.%s: expected %lld numbers (the dataset's), found %zu", tr_checkpoint_path(checkpoint),
              row->name, (long long)row->count, json_array_size(list));
    for (int64_t k = 0; k < row->count; k++) {
        const json_t *x = json_array_get(list, (size_t)k);
        FWM_CHECK(json_is_number(x), FWM_DATA, "%s: normalisation.%s: expected numbers", tr_checkpoint_path(checkpoint),
                  row->name);
        value[k] = json_number_value(x);
    }
    return FWM_OK;
}

static fwm_status read_normalisation(tr_world *w, const tr_checkpoint *checkpoint)
{
    stat_row row[STAT_ROWS];
    stat_rows(w, row);
    for (int r = 0; r < STAT_ROWS; r++)
        FWM_TRY(read_row(checkpoint, &row[r], row[r].value));
    return FWM_OK;
}

fwm_status tr_world_take_up(tr_world *w, const tr_checkpoint *checkpoint)
{
    stat_row row[STAT_ROWS];
    stat_rows(w, row);
    for (int r = 0; r < STAT_ROWS; r++) {
        double then[WM_MAX_ACTIONS];
        FWM_TRY(read_row(checkpoint, &row[r], then));
        for (int64_t k = 0; k < row[r].count; k++) {
            if (row[r].value == w->correction_scale)
                w->correction_scale[k] = then[k];
            FWM_CHECK(
                row[r].value[k] == then[k], FWM_DATA,
                "%s: the dataset is not the one that %s was trained on: its %s was %.9g and is %.9g; bring the old one "
                "back, or begin anew with --out",
                ds_path(w->ds), tr_checkpoint_path(checkpoint), row[r].name, then[k], row[r].value[k]);
        }
    }
    return FWM_OK;
}

fwm_status tr_world_check_batch(const tr_world *w, const ds_batch *batch)
{
    for (int f = 0; f < DS_FIELDS; f++) {
        const float *x = batch->clip.field[f];
        int64_t size = w->info->fields[f].points * w->info->fields[f].channels;
        for (int64_t row = 0; x && row < batch->count * batch->length; row++)
            for (int64_t i = 0; i < size; i++)
                FWM_CHECK(isfinite(x[row * size + i]), FWM_DATA,
                          "%s: /%s: trajectory %lld, time %lld, value %lld: expected a finite number, found %g; `fwm "
                          "inspect` "
                          "counts them",
                          ds_path(w->ds), ds_field_name((ds_field)f), (long long)batch->trajectory[row / batch->length],
                          (long long)(batch->start[row / batch->length] + row % batch->length), (long long)i,
                          (double)x[row * size + i]);
    }
    return FWM_OK;
}

fwm_status tr_world_load(const tr_world *w, const tr_checkpoint *checkpoint, const char *prefix, float *flat)
{
    memset(flat, 0, (size_t)nn_store_size(w->store) * sizeof *flat);
    for (int k = 0; k < nn_store_count(w->store); k++) {
        const nn_slot *slot = nn_store_slot(w->store, k);
        char name[512];
        (void)snprintf(name, sizeof name, "%s%s", prefix, slot->name);
        FWM_TRY(tr_checkpoint_copy(checkpoint, name, TR_F32, slot->shape.rank, slot->shape.dim, flat + slot->offset));
    }
    return FWM_OK;
}

/* ---- opening ---- */

static fwm_status open_world(tr_world *w, const char *data, const tr_checkpoint *checkpoint)
{
    const tr_config *c = w->config;
    const char *const given[] = {c->data.frames, c->data.state, c->data.actions};
    const char *chosen[3];
    for (int k = 0; k < 3; k++)
        chosen[k] = strcmp(given[k], "auto") != 0 ? given[k] : NULL;
    const ds_options options = {.frames = chosen[0], .state = chosen[1], .actions = chosen[2]};
    ds_dataset *file;
    FWM_TRY(ds_open_with(&file, data ? data : c->data.file, tr_config_word("data.layout", c->data.layout), &options));
    FWM_TRY(tr_recorded(&w->ds, file, c));
    w->info = ds_get_info(w->ds);
    bool points = c->model.kind == TR_MODEL_POINTS;
    FWM_TRY(points ? fill_points(w) : fill_model(w));
    if (checkpoint)
        FWM_TRY(read_normalisation(w, checkpoint));
    FWM_TRY(nn_store_create(&w->store));
    return points ? FWM_OK : tr_law_create(&w->law, c, w->ds, w->model.state.std);
}

fwm_status tr_world_open(tr_world **world, const tr_config *config, const char *data, const tr_checkpoint *checkpoint)
{
    tr_world *w = fwm_calloc(1, sizeof *w);
    *world = NULL;
    FWM_CHECK(w, FWM_MEMORY, "out of memory");
    w->config = config;
    fwm_status status = open_world(w, data, checkpoint);
    if (status != FWM_OK)
        tr_world_close(&w);
    *world = w;
    return status;
}

void tr_world_close(tr_world **world)
{
    tr_world *w = world ? *world : NULL;
    if (!w)
        return;
    tr_law_destroy(&w->law);
    nn_store_destroy(&w->store);
    ds_close(&w->ds);
    fwm_free(w);
    *world = NULL;
}
