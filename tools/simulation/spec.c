/* From the configuration's `simulate` block to what the simulator is given. */
#include "model/base/arena.h"
#include "tools/simulation/simulation.h"
#include "train/scene.h"

#include <string.h>

/* Values in the equation's order; a parameter that the map lacks is 0, or its preset where it cannot be. */
static void parameters(const tr_map *map, const fem_equation *eq, double *value)
{
    for (int k = 0; k < eq->n_parameters; k++) {
        value[k] = eq->parameter[k].lo > 0 ? eq->parameter[k].preset : 0;
        for (int64_t i = 0; i < map->count; i++)
            if (strcmp(map->items[i].name, eq->parameter[k].name) == 0)
                value[k] = map->items[i].value;
    }
}

static fem_range range(const double x[2])
{
    return (fem_range){x[0], x[1]};
}

/* The parameter that inclusions change: the one that is named, or the first that may vary. */
static int inclusion_parameter(const tr_config *c, const fem_equation *eq)
{
    int found = 0;
    for (int k = eq->n_parameters - 1; k >= 0; k--)
        if (c->simulate.inclusion_of[0] ? strcmp(eq->parameter[k].name, c->simulate.inclusion_of) == 0
                                        : eq->parameter[k].per_cell)
            found = k;
    return found;
}

static fwm_status fill_law(const tr_config *c, const fem_equation *eq, fem_simulate_spec *s)
{
    const fem_equation *cheap = eq;
    s->equation = eq->name;
    if (c->simulate.nominal_equation > 0) {
        cheap = fem_equation_at(c->simulate.nominal_equation - 1);
        s->cheap_equation = cheap->name;
    }
    parameters(&c->simulate.truth, eq, s->truth);
    parameters(&c->simulate.nominal, cheap, s->nominal);
    FWM_CHECK(c->simulate.inclusions.rows <= FEM_MAX_INCLUSIONS, FWM_CONFIG,
              "simulate.inclusions: expected at most %d, found %lld", FEM_MAX_INCLUSIONS,
              (long long)c->simulate.inclusions.rows);
    s->n_inclusions = (int)c->simulate.inclusions.rows;
    s->inclusion_of = inclusion_parameter(c, eq);
    for (int k = 0; k < s->n_inclusions; k++) {
        const double *row = c->simulate.inclusions.items + 4 * k;
        s->inclusion[k] = (fem_inclusion){row[0], row[1], row[2], row[3]};
    }
    tr_scene scene;
    FWM_TRY(tr_scene_fill(&scene, c, eq));
    s->n_sources = scene.n_sources;
    s->n_conditions = scene.n_conditions;
    memcpy(s->source, scene.source, sizeof s->source);
    memcpy(s->source_name, scene.source_name, sizeof s->source_name);
    memcpy(s->condition, scene.condition, sizeof s->condition);
    memcpy(s->parabolic, scene.parabolic, sizeof s->parabolic);
    memcpy(s->condition_name, scene.condition_name, sizeof s->condition_name);
    return FWM_OK;
}

static void fill_starts(const tr_config *c, fem_simulate_spec *s)
{
    const tr_field_start *start = c->simulate.start.items;
    s->n_starts = (int)c->simulate.start.count;
    for (int k = 0; k < s->n_starts; k++)
        s->start[k] = (fem_start){.field = start[k].field,
                                  .mean = range(start[k].mean),
                                  .deviation = range(start[k].deviation),
                                  .correlation = range(start[k].correlation_length),
                                  .blobs_lo = start[k].blobs[0],
                                  .blobs_hi = start[k].blobs[1],
                                  .blob_value = range(start[k].blob_value),
                                  .blob_radius = range(start[k].blob_radius)};
    s->correlation = range(c->simulate.correlation_length);
    s->deviation = range(c->simulate.deviation);
    s->offset = range(c->simulate.offset);
}

static fwm_status fill_meshes(const tr_config *c, fem_simulate_spec *s)
{
    fem_element element;
    FWM_TRY(fem_element_parse(tr_config_word("simulate.cell", c->simulate.cell),
                              tr_config_word("simulate.space", c->simulate.space), &element));
    s->mesh = (fem_mesh_spec){.element = element,
                              .nx = c->simulate.cells[0],
                              .ny = c->simulate.cells[1],
                              .lx = c->simulate.size[0],
                              .ly = c->simulate.size[1]};
    for (int64_t k = 0; k < c->simulate.periodic.count; k++)
        s->mesh.periodic[c->simulate.periodic.items[k][0] - 'x'] = true;
    s->coarse = s->mesh;
    s->coarse.nx = c->simulate.coarse_cells[0];
    s->coarse.ny = c->simulate.coarse_cells[1];
    return FWM_OK;
}

fwm_status fwm_simulation_spec(const tr_config *c, fem_simulate_spec *s)
{
    const fem_equation *eq;
    FWM_TRY(fem_equation_find(tr_config_word("simulate.equation", c->simulate.equation), &eq));
    fem_simulate_defaults(s);
    s->seed = (uint64_t)c->seed;
    FWM_TRY(fill_meshes(c, s));
    FWM_TRY(fill_law(c, eq, s));
    fill_starts(c, s);
    s->count[FEM_TRAIN] = c->simulate.train;
    s->count[FEM_VALIDATION] = c->simulate.validation;
    s->count[FEM_TEST] = c->simulate.test;
    s->count[FEM_TEST_OOD] = c->simulate.test_ood;
    s->frames = c->simulate.steps;
    s->warmup = c->simulate.warmup;
    s->height = c->simulate.frame[0];
    s->width = c->simulate.frame[1];
    s->dt = c->simulate.dt;
    s->substeps = (int)c->simulate.substeps;
    s->cheap_substeps = (int)c->simulate.nominal_substeps;
    s->scheme = tr_scheme_of(c->simulate.scheme);
    s->spectral_radius = c->simulate.spectral_radius;
    s->tolerance = c->simulate.tolerance;
    s->power_probability = c->simulate.on_probability;
    s->control = (fem_control)(c->simulate.control + 1); /* constant is no choice for powers */
    s->ambient_control = (fem_control)c->simulate.ambient_control;
    s->power = range(c->simulate.power);
    s->power_ood = range(c->simulate.ood_power);
    s->hold_lo = c->simulate.hold[0];
    s->hold_hi = c->simulate.hold[1];
    s->ambient = range(c->simulate.ambient);
    s->ambient_ood = range(c->simulate.ood_ambient);
    s->key_rate = c->simulate.key_rate;
    s->shown_field = c->simulate.frame_field[0] != '\0' ? c->simulate.frame_field : NULL;
    s->shown = range(c->simulate.frame_range);
    s->vignetting = c->simulate.vignetting;
    s->noise = c->simulate.noise;
    return FWM_OK;
}

/* What decides the bytes: seed, equation and the simulate block. */
fwm_status fwm_simulation_recipe(const tr_config *c, char **text)
{
    json_t *all = NULL;
    FWM_TRY(tr_config_json(c, &all));
    json_t *part = json_pack("{s:I, s:O}", "seed", (json_int_t)c->seed, "simulate", json_object_get(all, "simulate"));
    char *dump = part ? json_dumps(part, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    *text = dump ? fwm_strdup(dump) : NULL;
    free(dump);
    json_decref(part);
    json_decref(all);
    FWM_CHECK(*text, FWM_MEMORY, "simulate: out of memory");
    return FWM_OK;
}
