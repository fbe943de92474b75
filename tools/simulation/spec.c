/* From the configuration's `simulate` block to what the simulator is given. */
#include "model/base/arena.h"
#include "physics/gmsh.h"
#include "tools/simulation/simulation.h"
#include "train/scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

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

static fwm_status fill_regions(const tr_config *c, const fem_equation *eq, fem_simulate_spec *s)
{
    const tr_region *region = c->simulate.regions.items;
    s->n_region_values = (int)c->simulate.regions.count;
    for (int k = 0; k < s->n_region_values; k++) {
        s->region_value[k] = (fem_region_value){.region = region[k].region, .value = region[k].value};
        FWM_TRY(fem_parameter_find(eq, region[k].parameter, &s->region_value[k].parameter));
    }
    return FWM_OK;
}

static fwm_status fill_random(const tr_config *c, const fem_equation *eq, fem_simulate_spec *s)
{
    const tr_random *random = c->simulate.random.items;
    s->n_random = (int)c->simulate.random.count;
    for (int k = 0; k < s->n_random; k++) {
        const tr_random *r = &random[k];
        const bool same = r->ood_range[0] == 0 && r->ood_range[1] == 0;
        s->random[k] = (fem_random){.range = range(r->range),
                                    .range_ood = range(same ? r->range : r->ood_range),
                                    .logarithmic = r->spread == TR_SPREAD_LOGARITHMIC,
                                    .discs_lo = r->discs[0],
                                    .discs_hi = r->discs[1],
                                    .radius = range(r->radius)};
        FWM_TRY(fem_parameter_find(eq, r->parameter, &s->random[k].parameter));
    }
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

/* ---- meshes of files ---- */

/* XXH64 of a file in hex. */
static fwm_status hash_file(const char *path, char hash[17])
{
    FILE *f = fopen(path, "rb");
    FWM_CHECK(f, FWM_IO, "%s: cannot be read: %s", path, strerror(errno));
    XXH64_state_t *state = XXH64_createState();
    char block[1 << 14];
    size_t n = 0;
    bool good = state != NULL && XXH64_reset(state, 0) == XXH_OK;
    while (good && (n = fread(block, 1, sizeof block, f)) > 0)
        good = XXH64_update(state, block, n) == XXH_OK;
    good = good && !ferror(f);
    (void)snprintf(hash, 17, "%016llx", good ? (unsigned long long)XXH64_digest(state) : 0ULL);
    (void)XXH64_freeState(state);
    (void)fclose(f);
    FWM_CHECK(good, FWM_IO, "%s: cannot be read", path);
    return FWM_OK;
}

static fwm_status hold_name(tr_place at, const char *key, int64_t k, const char *name,
                            fwm_status (*find)(const fem_mesh *, const char *, int *), const fem_mesh *mesh)
{
    int found;
    if (name[0] == '\0' || find(mesh, name, &found) == FWM_OK)
        return FWM_OK;
    char why[FWM_ERROR_CAPACITY];
    fwm_error_get(why, sizeof why);
    return fwm_fail(FWM_CONFIG, "%s:%d:%d: simulate.%s[%lld]: %s", at.file, at.line, at.column, key, (long long)k, why);
}

/* Names of the file's boundaries and regions, each reported where the configuration has it. */
static fwm_status check_names(const tr_config *c, fem_element element)
{
    const tr_condition *condition = c->simulate.conditions.items;
    const tr_load *load = c->simulate.loads.items;
    const tr_region *region = c->simulate.regions.items;
    const char *given = c->simulate.mesh_hash;
    fem_mesh *mesh = NULL;
    char hash[17];
    fwm_status status = FWM_OK;
    FWM_TRY(hash_file(c->simulate.mesh, hash));
    FWM_CHECK(given[0] == '\0' || strcmp(given, hash) == 0, FWM_CONFIG,
              "simulate.mesh_hash: expected %s to hash to %s, found %s: the file is another one", c->simulate.mesh,
              given, hash);
    FWM_TRY(fem_mesh_from_gmsh(&mesh, c->simulate.mesh, fem_element_space(element)[1] - '0'));
    for (int64_t k = 0; k < c->simulate.conditions.count; k++)
        FWM_TRY_GOTO(status,
                     hold_name(condition[k].place, "conditions", k, condition[k].boundary, fem_mesh_label, mesh));
    for (int64_t k = 0; k < c->simulate.loads.count; k++)
        FWM_TRY_GOTO(status, hold_name(load[k].place, "loads", k, load[k].boundary, fem_mesh_label, mesh));
    for (int64_t k = 0; k < c->simulate.regions.count; k++)
        FWM_TRY_GOTO(status, hold_name(region[k].place, "regions", k, region[k].region, fem_mesh_region, mesh));
done:
    fem_mesh_destroy(&mesh);
    return status;
}

static void counts(const tr_ints *cells, int64_t n[FEM_MAX_DIM])
{
    for (int d = 0; d < FEM_MAX_DIM; d++)
        n[d] = d < cells->count ? cells->items[d] : 0;
}

static fwm_status fill_meshes(const tr_config *c, fem_simulate_spec *s)
{
    fem_element element;
    FWM_TRY(fem_element_parse(tr_config_word("simulate.cell", c->simulate.cell),
                              tr_config_word("simulate.space", c->simulate.space), &element));
    const tr_reals *size = &c->simulate.size;
    int64_t fine[FEM_MAX_DIM], coarse[FEM_MAX_DIM];
    counts(&c->simulate.cells, fine);
    counts(&c->simulate.coarse_cells, coarse);
    s->mesh = (fem_mesh_spec){.element = element,
                              .nx = fine[0],
                              .ny = fine[1],
                              .nz = fine[2],
                              .lx = size->items[0],
                              .ly = size->items[1],
                              .lz = size->count > 2 ? size->items[2] : 0};
    for (int64_t k = 0; k < c->simulate.periodic.count; k++)
        s->mesh.periodic[c->simulate.periodic.items[k][0] - 'x'] = true;
    s->coarse = s->mesh;
    s->coarse.nx = coarse[0];
    s->coarse.ny = coarse[1];
    s->coarse.nz = coarse[2];
    if (c->simulate.mesh[0] == '\0')
        return FWM_OK;
    s->mesh_file = c->simulate.mesh;
    s->refine = (int)c->simulate.refine;
    return check_names(c, element);
}

fwm_status fwm_simulation_spec(const tr_config *c, fem_simulate_spec *s)
{
    const fem_equation *eq;
    FWM_TRY(fem_equation_find(tr_config_word("simulate.equation", c->simulate.equation), &eq));
    fem_simulate_defaults(s);
    s->seed = (uint64_t)c->seed;
    FWM_TRY(fill_meshes(c, s));
    FWM_TRY(fill_law(c, eq, s));
    FWM_TRY(fill_regions(c, eq, s));
    FWM_TRY(fill_random(c, eq, s));
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
    s->adaptive = c->simulate.adaptive;
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
    s->cut = (fem_cut){.axis = c->simulate.cut_across, .share = c->simulate.cut};
    s->deformed = c->simulate.deformed;
    memcpy(s->margin, c->simulate.margin, sizeof s->margin);
    s->vignetting = c->simulate.vignetting;
    s->noise = c->simulate.noise;
    return FWM_OK;
}

/* What decides the bytes: seed, equation and the simulate block, with the hash of a mesh's file. */
fwm_status fwm_simulation_recipe(const tr_config *c, char **text)
{
    json_t *all = NULL;
    char hash[17] = "";
    *text = NULL;
    if (c->simulate.mesh[0] != '\0')
        FWM_TRY(hash_file(c->simulate.mesh, hash));
    FWM_TRY(tr_config_json(c, &all));
    (void)json_object_set_new(json_object_get(all, "simulate"), "mesh_hash", json_string(hash));
    json_t *part = json_pack("{s:I, s:O}", "seed", (json_int_t)c->seed, "simulate", json_object_get(all, "simulate"));
    char *dump = part ? json_dumps(part, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    *text = dump ? fwm_strdup(dump) : NULL;
    free(dump);
    json_decref(part);
    json_decref(all);
    FWM_CHECK(*text, FWM_MEMORY, "simulate: out of memory");
    return FWM_OK;
}
