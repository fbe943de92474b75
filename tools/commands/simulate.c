/* fwm simulate: the finite-element generator connected to the writer of datasets. */
#include "physics/simulate.h"
#include "data/writer.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tools/command.h"
#include "tools/commands/simulate.h"
#include "tools/config_option.h"

#include <string.h>

static const struct argp_option options[] = {
    {"out", 'o', "FILE.h5", 0, "Where the dataset goes (default: data.file)", 0},
    {"set", 0, "KEY=VALUE", 0, "Override a key of the configuration", 0},
    {"force", 0, NULL, 0, "Simulate even where the file is there already", 0},
    {0}};

const fwm_command fwm_command_simulate = {
    .name = "simulate",
    .summary = "run the finite-element generator: an HDF5 dataset of videos, states and actions",
    .arguments = "CONFIG",
    .doc = "Simulates the trajectories of the configuration's `simulate` block with the true law on the fine mesh and "
           "the nominal law on "
           "the coarse one, renders frames, and writes a dataset in the native layout. The file appears when it is "
           "complete. An existing "
           "file that was made from the same block is kept; one made from another is refused without --force.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

typedef struct sink_state {
    ds_writer *writer;
    fwm_progress bar;
    int64_t first[FEM_SPLIT_COUNT], done, frames;
    double *basin; /* [N,T], NULL where the equation has none */
} sink_state;

static fwm_status take(void *context, const fem_trajectory *t)
{
    sink_state *s = context;
    const int64_t at = s->first[t->split] + t->index;
    ds_trajectory out = {
        .frames = t->frame, .actions = t->actions, .state = t->state, .s_phy = t->cheap, .key_state = t->key_state};
    FWM_TRY(ds_writer_put(s->writer, at, &out));
    for (int64_t k = 0; t->basin && k < t->frames; k++)
        s->basin[at * t->frames + k] = t->basin[k];
    fwm_progress_update(&s->bar, ++s->done, "");
    return FWM_OK;
}

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

static fwm_status fill_spec(const tr_config *c, fem_simulate_spec *s)
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

/* A mesh of physics/ as data/ stores it. Boundary faces are grouped by label into `faces`. */
typedef struct stored_mesh {
    ds_mesh mesh;
    ds_boundary boundary[FEM_MAX_NAMES];
    int32_t *faces;
} stored_mesh;

static fwm_status store_mesh(stored_mesh *s, const fem_mesh *m)
{
    int k = m->face_vertices;
    s->faces = fwm_malloc((size_t)(m->n_faces * k) + 1, sizeof *s->faces);
    FWM_CHECK(s->faces, FWM_MEMORY, "simulate: out of memory");
    int64_t at = 0;
    int labels = 0;
    for (int label = 0; label < m->n_labels; label++) {
        int64_t first = at;
        for (int64_t f = 0; f < m->n_faces; f++)
            if (m->face_label[f] == label) {
                memcpy(s->faces + k * at, m->faces + k * f, (size_t)k * sizeof *s->faces);
                at++;
            }
        if (at > first)
            s->boundary[labels++] =
                (ds_boundary){.name = m->label_name[label], .count = at - first, .k = k, .faces = s->faces + k * first};
    }
    bool own_nodes = m->n_nodes != m->n_vertices;
    s->mesh = (ds_mesh){.dim = m->dim,
                        .nv = m->n_vertices,
                        .ncell = m->n_cells,
                        .k = m->cell_vertices,
                        .cell = fem_element_cell(m->element),
                        .space = fem_element_space(m->element),
                        .vertices = m->vertices,
                        .cells = m->cells,
                        .nboundary = labels,
                        .boundary = s->boundary,
                        .n = m->n_nodes,
                        .kn = m->cell_node_count,
                        .nodes = own_nodes ? m->nodes : NULL,
                        .cell_nodes = own_nodes ? m->cell_nodes : NULL};
    return FWM_OK;
}

static fwm_status write_truths(ds_writer *w, const fem_simulation *sim, const sink_state *sink)
{
    const fem_equation *eq = fem_simulation_equation(sim);
    const fem_theta *theta = fem_simulation_theta(sim);
    for (int k = 0; k < eq->n_parameters; k++)
        FWM_TRY(ds_writer_truth(w, eq->parameter[k].name, theta->count[k], theta->value[k]));
    return sink->basin ? ds_writer_truth(w, "basin", sink->done * sink->frames, sink->basin) : FWM_OK;
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

static fwm_status begin_file(const tr_config *c, const fem_simulate_spec *spec, const fem_simulation *sim,
                             const char *path, const char *text, sink_state *sink)
{
    const fem_equation *eq = fem_simulation_equation(sim);
    stored_mesh fine = {0}, coarse = {0};
    component_names field;
    int64_t n = 0;
    name_components(&field, eq, fem_simulation_mesh(sim)->dim);
    for (int k = 0; k < FEM_SPLIT_COUNT; k++) {
        sink->first[k] = n;
        n += spec->count[k];
    }
    uint8_t *splits = fwm_malloc((size_t)n + 1, 1);
    FWM_CHECK(splits, FWM_MEMORY, "simulate: out of memory");
    for (int k = 0; k < FEM_SPLIT_COUNT; k++)
        memset(splits + sink->first[k], k, (size_t)spec->count[k]);
    const char *names[FEM_MAX_ACTIONS], *units[FEM_MAX_ACTIONS], *rgb[] = {"red", "green", "blue"},
                                                                 *none[] = {"", "", ""};
    char source[FEM_MAX_ACTIONS][32];
    for (int k = 0; k < spec->n_sources; k++) {
        (void)snprintf(source[k], sizeof source[k], "%.20s%d", eq->source ? eq->source : "source", k);
        names[k] = source[k];
        units[k] = "full power";
    }
    for (int k = 0; k < eq->n_ambient; k++) {
        names[spec->n_sources + k] = eq->ambient[k];
        units[spec->n_sources + k] = eq->ambient_unit[k];
    }
    sink->frames = spec->frames;
    sink->basin = eq->basin ? fwm_malloc((size_t)(n * spec->frames), sizeof *sink->basin) : NULL;
    fwm_status status = FWM_OK;
    if (eq->basin && !sink->basin)
        status = fwm_fail(FWM_MEMORY, "simulate: out of memory");
    if (status == FWM_OK)
        status = store_mesh(&fine, fem_simulation_mesh(sim));
    if (status == FWM_OK)
        status = store_mesh(&coarse, fem_simulation_coarse_mesh(sim));
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
                        .mesh = &fine.mesh,
                        .coarse_mesh = &coarse.mesh};
        info.fields[DS_FRAMES] =
            (ds_field_info){.points = spec->height * spec->width, .channels = 3, .names = rgb, .units = none};
        info.fields[DS_ACTIONS] =
            (ds_field_info){.points = 1, .channels = spec->n_sources + eq->n_ambient, .names = names, .units = units};
        info.fields[DS_STATE] =
            (ds_field_info){.points = fine.mesh.n, .channels = field.count, .names = field.names, .units = field.units};
        info.fields[DS_S_PHY] = (ds_field_info){
            .points = coarse.mesh.n, .channels = field.count, .names = field.names, .units = field.units};
        ds_writer_options writing = {.gzip = c->simulate.compress ? 1 : 0};
        status = ds_writer_create(&sink->writer, path, &info, &writing);
    }
    fwm_free(splits);
    fwm_free(fine.faces);
    fwm_free(coarse.faces);
    return status;
}

fwm_status fwm_simulate_dataset(const tr_config *c, const char *path, const char *text, bool show)
{
    fem_simulate_spec spec;
    fem_simulation *sim = NULL;
    sink_state sink = {0};
    FWM_TRY(fill_spec(c, &spec));
    FWM_TRY(fem_simulation_create(&sim, &spec));
    fwm_status status = begin_file(c, &spec, sim, path, text, &sink);
    if (status == FWM_OK) {
        int64_t total = spec.count[0] + spec.count[1] + spec.count[2] + spec.count[3];
        if (show)
            fwm_progress_start(&sink.bar, "simulate", 0, total);
        status = fem_simulate(sim, take, &sink);
        fwm_progress_finish(&sink.bar, sink.done, "trajectories");
    }
    if (status == FWM_OK)
        status = write_truths(sink.writer, sim, &sink);
    if (status == FWM_OK)
        status = ds_writer_finish(&sink.writer);
    ds_writer_abort(&sink.writer);
    fwm_free(sink.basin);
    fem_simulation_destroy(&sim);
    return status;
}

/* What decides the bytes: seed, equation and the simulate block. */
static fwm_status recipe(const tr_config *c, char **text)
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

/* Is there a whole file made by the same recipe? Another recipe is an error: a dataset is never overwritten by
 * accident. */
static fwm_status already_there(const char *path, const char *text, bool *same)
{
    *same = false;
    FILE *f = fopen(path, "rb");
    if (!f)
        return FWM_OK;
    (void)fclose(f);
    ds_dataset *ds = NULL;
    fwm_status status = ds_open(&ds, path, "fwm");
    if (status != FWM_OK)
        return fwm_fail_within(status,
                               "is there already and cannot be read; give another --out (or data.file), or --force");
    *same = strcmp(ds_get_info(ds)->config, text) == 0;
    ds_close(&ds);
    FWM_CHECK(*same, FWM_IO,
              "%s: is there already and was simulated from another configuration; give another --out (or data.file), "
              "or --force",
              path);
    return FWM_OK;
}

fwm_status fwm_run_simulate(fwm_call *call)
{
    tr_config *c = NULL;
    char *text = NULL;
    bool same = false;
    FWM_TRY(fwm_call_config(call, &c));
    const char *path = fwm_call_text(call, "out", c->data.file);
    double start = fwm_seconds();
    fwm_status status = fwm_threads_init((int)c->trainer.threads);
    if (status == FWM_OK)
        status = recipe(c, &text);
    if (status == FWM_OK && !fwm_call_has(call, "force"))
        status = already_there(path, text, &same);
    if (status == FWM_OK && !same)
        status = fwm_make_parent(path);
    if (status == FWM_OK && !same)
        status = fwm_simulate_dataset(c, path, text, true);
    if (status == FWM_OK) {
        double seconds = fwm_seconds() - start;
        fwm_log(FWM_LOG_INFO, same ? "%s: is there already, from this configuration" : "%s: written in %.1f s", path,
                seconds);
        if (call->json)
            status = fwm_print_json(json_pack("{s:s, s:b, s:f}", "data", path, "simulated", !same, "seconds", seconds));
        else
            (void)printf("%s\n", path);
    }
    fwm_free(text);
    tr_config_destroy(c);
    return status;
}
