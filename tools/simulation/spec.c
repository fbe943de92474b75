/* From the configuration's `simulate` block to what the simulator is given. */
#include "model/base/arena.h"
#include "tools/simulation/simulation.h"

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

fwm_status fwm_simulation_spec(const tr_config *c, fem_simulate_spec *s)
{
    fem_element element;
    const fem_equation *eq;
    FWM_TRY(fem_equation_find(tr_config_word("simulate.equation", c->simulate.equation), &eq));
    FWM_TRY(fem_element_parse(tr_config_word("simulate.cell", c->simulate.cell),
                              tr_config_word("simulate.space", c->simulate.space), &element));
    fem_simulate_defaults(s);
    s->seed = (uint64_t)c->seed;
    s->equation = eq->name;
    s->mesh = (fem_mesh_spec){.element = element,
                              .nx = c->simulate.cells[0],
                              .ny = c->simulate.cells[1],
                              .lx = c->simulate.size[0],
                              .ly = c->simulate.size[1]};
    s->coarse = s->mesh;
    s->coarse.nx = c->simulate.coarse_cells[0];
    s->coarse.ny = c->simulate.coarse_cells[1];
    s->count[FEM_TRAIN] = c->simulate.train;
    s->count[FEM_VALIDATION] = c->simulate.validation;
    s->count[FEM_TEST] = c->simulate.test;
    s->count[FEM_TEST_OOD] = c->simulate.test_ood;
    s->frames = c->simulate.steps;
    s->height = c->simulate.frame[0];
    s->width = c->simulate.frame[1];
    s->dt = c->simulate.dt;
    s->substeps = (int)c->simulate.substeps;
    parameters(&c->simulate.truth, eq, s->truth);
    parameters(&c->simulate.nominal, eq, s->nominal);
    FWM_CHECK(c->simulate.inclusions.rows <= FEM_MAX_INCLUSIONS &&
                  c->simulate.sources.rows + eq->n_ambient <= FEM_MAX_ACTIONS,
              FWM_CONFIG, "simulate: at most %d inclusions and %d sources, found %lld and %lld", FEM_MAX_INCLUSIONS,
              FEM_MAX_ACTIONS - eq->n_ambient, (long long)c->simulate.inclusions.rows,
              (long long)c->simulate.sources.rows);
    s->n_inclusions = (int)c->simulate.inclusions.rows;
    s->inclusion_of = 0;
    for (int k = eq->n_parameters - 1; k >= 0; k--) /* the first that may vary, or the one that is named */
        if (c->simulate.inclusion_of[0] ? strcmp(eq->parameter[k].name, c->simulate.inclusion_of) == 0
                                        : eq->parameter[k].per_cell)
            s->inclusion_of = k;
    for (int k = 0; k < s->n_inclusions; k++) {
        const double *row = c->simulate.inclusions.items + 4 * k;
        s->inclusion[k] = (fem_inclusion){row[0], row[1], row[2], row[3]};
    }
    s->n_sources = (int)c->simulate.sources.rows;
    for (int k = 0; k < s->n_sources; k++)
        s->source[k] = (fem_source){.x = c->simulate.sources.items[2 * k],
                                    .y = c->simulate.sources.items[2 * k + 1],
                                    .half_width = c->simulate.source_half_width,
                                    .power = c->simulate.source_power};
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
    s->correlation = range(c->simulate.correlation_length);
    s->deviation = range(c->simulate.deviation);
    s->offset = range(c->simulate.offset);
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
