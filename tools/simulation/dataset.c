/* What is simulated, as a dataset in the native layout. */
#include "model/base/arena.h"
#include "tools/simulation/simulation.h"
#include "train/mesh_data.h"

#include <stdio.h>
#include <string.h>

/* What was drawn of a parameter, [N, values]: as /truth/NAME.each, beside the truth's own. */
static fwm_status write_random(ds_writer *w, const fem_simulation *sim, const fem_simulate_spec *spec, int random,
                               int64_t trajectories)
{
    char name[80];
    int parameter;
    const int64_t count = fem_simulation_drawn(sim, random, &parameter);
    double *values = fwm_malloc((size_t)(trajectories * count), sizeof *values);
    FWM_CHECK(values, FWM_MEMORY, "simulate: out of memory for the parameters of %lld trajectories",
              (long long)trajectories);
    for (int64_t k = 0, at = 0; k < FEM_SPLIT_COUNT; k++)
        for (int64_t i = 0; i < spec->count[k]; i++, at++)
            fem_simulation_draw(sim, (int)k, i, random, values + at * count);
    (void)snprintf(name, sizeof name, "%.60s.each", fem_simulation_equation(sim)->parameter[parameter].name);
    const fwm_status status = ds_writer_truth(w, name, trajectories * count, values);
    fwm_free(values);
    return status;
}

static fwm_status write_truths(ds_writer *w, const fem_simulation *sim, const fem_simulate_spec *spec,
                               const fwm_simulated_file *file)
{
    const fem_equation *eq = fem_simulation_equation(sim);
    const fem_theta *theta = fem_simulation_theta(sim);
    for (int k = 0; k < eq->n_parameters; k++)
        FWM_TRY(ds_writer_truth(w, eq->parameter[k].name, theta->count[k], theta->value[k]));
    for (int k = 0; k < spec->n_random; k++)
        FWM_TRY(write_random(w, sim, spec, k, file->done));
    return file->basin ? ds_writer_truth(w, "basin", file->done * file->frames, file->basin) : FWM_OK;
}

/* Names and units of the components of all fields: "velocity.x" where a field is a vector. */
typedef struct component_names {
    char name[FEM_MAX_COMPONENTS][48];
    const char *names[FEM_MAX_COMPONENTS], *units[FEM_MAX_COMPONENTS];
    int count;
} component_names;

static void name_components(component_names *c, const fem_equation *eq, int dim)
{
    c->count = 0;
    for (int f = 0; f < eq->n_fields; f++) {
        const bool vector = (eq->field_kind[f] & FEM_FIELD_VECTOR) != 0;
        for (int d = 0; d < (vector ? dim : 1) && c->count < FEM_MAX_COMPONENTS; d++) {
            (void)snprintf(c->name[c->count], sizeof c->name[0], vector ? "%.40s.%c" : "%.40s", eq->field[f], "xyz"[d]);
            c->names[c->count] = c->name[c->count];
            c->units[c->count++] = eq->field_unit[f];
        }
    }
}

typedef struct action_names {
    char name[FEM_MAX_ACTIONS][32];
    const char *names[FEM_MAX_ACTIONS], *units[FEM_MAX_ACTIONS];
    int count;
} action_names;

/* Sources and loads, ambient values, what drives conditions. */
static void name_actions(action_names *a, const fem_simulate_spec *spec, const fem_equation *eq)
{
    a->count = 0;
    for (int k = 0; k < spec->n_sources; k++) {
        (void)snprintf(a->name[k], sizeof a->name[k], "%.20s%d", eq->source ? eq->source : "source", k);
        a->names[a->count] = spec->source_name[k] ? spec->source_name[k] : a->name[k];
        a->units[a->count++] = "full power";
    }
    for (int k = 0; k < eq->n_ambient; k++) {
        a->names[a->count] = eq->ambient[k];
        a->units[a->count++] = eq->ambient_unit[k];
    }
    for (int k = 0; k < spec->n_conditions; k++)
        if (spec->condition[k].driven) {
            a->names[a->count] = spec->condition_name[k];
            a->units[a->count++] = "gain";
        }
}

fwm_status fwm_simulated_begin(fwm_simulated_file *file, const tr_config *c, const fem_simulate_spec *spec,
                               const fem_simulation *sim, const char *path, const char *text)
{
    const fem_equation *eq = fem_simulation_equation(sim);
    ds_mesh fine, coarse;
    fwm_arena *arena = fwm_arena_create();
    component_names field;
    int64_t n = 0;
    name_components(&field, eq, fem_simulation_mesh(sim)->dim);
    for (int k = 0; k < FEM_SPLIT_COUNT; k++) {
        file->first[k] = n;
        n += spec->count[k];
    }
    uint8_t *splits = arena ? fwm_arena_alloc(arena, (size_t)n + 1) : NULL;
    if (!splits) {
        fwm_arena_destroy(arena);
        return fwm_fail(FWM_MEMORY, "simulate: out of memory");
    }
    for (int k = 0; k < FEM_SPLIT_COUNT; k++)
        memset(splits + file->first[k], k, (size_t)spec->count[k]);
    action_names action;
    name_actions(&action, spec, eq);
    const char *rgb[] = {"red", "green", "blue"}, *none[] = {"", "", ""};
    file->frames = spec->frames;
    file->basin = eq->basin ? fwm_malloc((size_t)(n * spec->frames), sizeof *file->basin) : NULL;
    fwm_status status = FWM_OK;
    if (eq->basin && !file->basin)
        status = fwm_fail(FWM_MEMORY, "simulate: out of memory");
    if (status == FWM_OK)
        status = tr_mesh_to_data(&fine, arena, fem_simulation_mesh(sim));
    if (status == FWM_OK)
        status = tr_mesh_to_data(&coarse, arena, fem_simulation_coarse_mesh(sim));
    if (status == FWM_OK) {
        ds_info info = {.name = c->experiment,
                        .equation = eq->name,
                        .generator = "fwm " FWM_VERSION,
                        .config = text,
                        .dt = spec->dt,
                        .seed = c->seed,
                        .trajectories = n,
                        .steps = spec->frames,
                        .splits = splits,
                        .height = spec->height,
                        .width = spec->width,
                        .frames_are_bytes = true,
                        .has_key_state = eq->event_rate != NULL,
                        .mesh = &fine,
                        .coarse_mesh = &coarse};
        info.fields[DS_FRAMES] =
            (ds_field_info){.points = spec->height * spec->width, .channels = 3, .names = rgb, .units = none};
        info.fields[DS_ACTIONS] =
            (ds_field_info){.points = 1, .channels = action.count, .names = action.names, .units = action.units};
        info.fields[DS_STATE] =
            (ds_field_info){.points = fine.n, .channels = field.count, .names = field.names, .units = field.units};
        info.fields[DS_S_PHY] =
            (ds_field_info){.points = coarse.n, .channels = field.count, .names = field.names, .units = field.units};
        ds_writer_options writing = {.gzip = c->simulate.compress ? 1 : 0};
        status = ds_writer_create(&file->writer, path, &info, &writing);
    }
    fwm_arena_destroy(arena);
    return status;
}

fwm_status fwm_simulated_put(void *context, const fem_trajectory *t)
{
    fwm_simulated_file *file = context;
    const int64_t at = file->first[t->split] + t->index;
    const ds_trajectory out = {
        .frames = t->frame, .actions = t->actions, .state = t->state, .s_phy = t->cheap, .key_state = t->key_state};
    FWM_TRY(ds_writer_put(file->writer, at, &out));
    for (int64_t k = 0; t->basin && k < t->frames; k++)
        file->basin[at * t->frames + k] = t->basin[k];
    file->done++;
    return FWM_OK;
}

fwm_status fwm_simulated_finish(fwm_simulated_file *file, const fem_simulate_spec *spec, const fem_simulation *sim)
{
    FWM_TRY(write_truths(file->writer, sim, spec, file));
    return ds_writer_finish(&file->writer);
}

void fwm_simulated_abort(fwm_simulated_file *file)
{
    ds_writer_abort(&file->writer);
    fwm_free(file->basin);
    file->basin = NULL;
}
