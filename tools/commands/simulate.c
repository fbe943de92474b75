/* fwm simulate: the finite-element generator connected to the writer of datasets. */
#include "physics/simulate.h"
#include "data/toys.h"
#include "data/writer.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tools/command.h"
#include "tools/commands/simulate.h"
#include "tools/config_option.h"
#include "train/mesh_data.h"

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
    int64_t first[FEM_SPLIT_COUNT], done;
} sink_state;

static fwm_status take(void *context, const fem_trajectory *t)
{
    sink_state *s = context;
    ds_trajectory out = {.frames = t->frame, .actions = t->actions, .state = t->state, .s_phy = t->cheap};
    FWM_TRY(ds_writer_put(s->writer, s->first[t->split] + t->index, &out));
    fwm_progress_update(&s->bar, ++s->done, "");
    return FWM_OK;
}

static double named(const tr_map *map, const char *name, double otherwise)
{
    for (int64_t i = 0; i < map->count; i++)
        if (strcmp(map->items[i].name, name) == 0)
            return map->items[i].value;
    return otherwise;
}

static fwm_status known_names(const tr_map *map, const char *block)
{
    const fem_equation *eq;
    FWM_TRY(fem_equation_find("heat", &eq));
    for (int64_t i = 0; i < map->count; i++) {
        int k;
        fwm_status status = fem_parameter_find(eq, map->items[i].name, &k);
        if (status != FWM_OK)
            return fwm_fail_within(FWM_CONFIG, "%s", block);
    }
    return FWM_OK;
}

static fem_range range(const double x[2])
{
    return (fem_range){x[0], x[1]};
}

static fwm_status fill_spec(const tr_config *c, fem_simulate_spec *s)
{
    fem_element element;
    FWM_CHECK(c->physics.equation == TR_EQUATION_HEAT, FWM_CONFIG,
              "physics.equation: simulate knows 'heat', found '%s'",
              tr_config_word("physics.equation", c->physics.equation));
    FWM_TRY(fem_element_parse(tr_config_word("simulate.cell", c->simulate.cell),
                              tr_config_word("simulate.space", c->simulate.space), &element));
    FWM_TRY(known_names(&c->simulate.truth, "simulate.truth"));
    FWM_TRY(known_names(&c->simulate.nominal, "simulate.nominal"));
    fem_simulate_defaults(s);
    s->seed = (uint64_t)c->seed;
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
    s->conductivity = named(&c->simulate.truth, "conductivity", s->conductivity);
    s->loss = named(&c->simulate.truth, "loss", s->loss);
    s->radiation = named(&c->simulate.truth, "radiation", s->radiation);
    s->temperature = named(&c->simulate.truth, "temperature", s->temperature);
    s->cheap_conductivity = named(&c->simulate.nominal, "conductivity", s->cheap_conductivity);
    FWM_CHECK(c->simulate.inclusions.rows <= FEM_MAX_INCLUSIONS && c->simulate.heaters.rows < FEM_MAX_ACTIONS,
              FWM_CONFIG, "simulate: at most %d inclusions and %d heaters, found %lld and %lld", FEM_MAX_INCLUSIONS,
              FEM_MAX_ACTIONS - 1, (long long)c->simulate.inclusions.rows, (long long)c->simulate.heaters.rows);
    s->n_inclusions = (int)c->simulate.inclusions.rows;
    for (int k = 0; k < s->n_inclusions; k++) {
        const double *row = c->simulate.inclusions.items + 4 * k;
        s->inclusion[k] = (fem_inclusion){row[0], row[1], row[2], row[3]};
    }
    s->n_heaters = (int)c->simulate.heaters.rows;
    for (int k = 0; k < s->n_heaters; k++)
        s->heater[k] = (fem_source){.x = c->simulate.heaters.items[2 * k],
                                    .y = c->simulate.heaters.items[2 * k + 1],
                                    .half_width = c->simulate.heater_half_width,
                                    .power = c->simulate.heater_power};
    s->power_probability = c->simulate.on_probability;
    s->power_ood = range(c->simulate.ood_power);
    s->hold_lo = c->simulate.hold[0];
    s->hold_hi = c->simulate.hold[1];
    s->ambient = range(c->simulate.ambient);
    s->correlation = range(c->simulate.correlation_length);
    s->deviation = range(c->simulate.deviation);
    s->offset = range(c->simulate.offset);
    s->shown = range(c->simulate.frame_range);
    s->vignetting = c->simulate.vignetting;
    s->noise = c->simulate.noise;
    return FWM_OK;
}

static fwm_status write_truths(ds_writer *w, const fem_simulation *sim)
{
    const fem_equation *eq;
    FWM_TRY(fem_equation_find("heat", &eq));
    const fem_theta *theta = fem_simulation_theta(sim);
    for (int k = 0; k < eq->n_parameters; k++)
        FWM_TRY(ds_writer_truth(w, eq->parameter[k].name, theta->count[k], theta->value[k]));
    return FWM_OK;
}

static fwm_status begin_file(const tr_config *c, const fem_simulate_spec *spec, const fem_simulation *sim,
                             const char *path, const char *text, sink_state *sink)
{
    ds_mesh fine, coarse;
    fwm_arena *arena = fwm_arena_create();
    int64_t n = 0;
    for (int k = 0; k < FEM_SPLIT_COUNT; k++) {
        sink->first[k] = n;
        n += spec->count[k];
    }
    uint8_t *splits = arena ? fwm_arena_alloc(arena, (size_t)n + 1) : NULL;
    if (!splits) {
        fwm_arena_destroy(arena);
        return fwm_fail(FWM_MEMORY, "simulate: out of memory");
    }
    for (int k = 0; k < FEM_SPLIT_COUNT; k++)
        memset(splits + sink->first[k], k, (size_t)spec->count[k]);
    const char *names[FEM_MAX_ACTIONS], *units[FEM_MAX_ACTIONS],
        *field[] = {"u"}, *unit[] = {"100 K"}, *rgb[] = {"red", "green", "blue"}, *none[] = {"", "", ""};
    char heater[FEM_MAX_ACTIONS][24];
    for (int k = 0; k < spec->n_heaters; k++) {
        (void)snprintf(heater[k], sizeof heater[k], "heater%d", k);
        names[k] = heater[k];
        units[k] = "full power";
    }
    names[spec->n_heaters] = "ambient";
    units[spec->n_heaters] = "100 K";
    fwm_status status = tr_mesh_to_data(&fine, arena, fem_simulation_mesh(sim));
    if (status == FWM_OK)
        status = tr_mesh_to_data(&coarse, arena, fem_simulation_coarse_mesh(sim));
    if (status == FWM_OK) {
        ds_info info = {.name = c->experiment,
                        .equation = "heat",
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
                        .mesh = &fine,
                        .coarse_mesh = &coarse};
        info.fields[DS_FRAMES] =
            (ds_field_info){.points = spec->height * spec->width, .channels = 3, .names = rgb, .units = none};
        info.fields[DS_ACTIONS] =
            (ds_field_info){.points = 1, .channels = spec->n_heaters + 1, .names = names, .units = units};
        info.fields[DS_STATE] = (ds_field_info){.points = fine.n, .channels = 1, .names = field, .units = unit};
        info.fields[DS_S_PHY] = (ds_field_info){.points = coarse.n, .channels = 1, .names = field, .units = unit};
        ds_writer_options writing = {.gzip = c->simulate.compress ? 1 : 0};
        status = ds_writer_create(&sink->writer, path, &info, &writing);
    }
    fwm_arena_destroy(arena);
    return status;
}

/* Points in place of a simulation. */
static fwm_status write_toy(const tr_config *c, const char *path, const char *text)
{
    static const ds_toy toys[] = {0, DS_TOY_DISCS, DS_TOY_MOONS, DS_TOY_GAUSSIANS, DS_TOY_LINE, DS_TOY_DUFFING};
    const ds_toy_options o = {
        .toy = toys[c->simulate.toy],
        .count = {c->simulate.train, c->simulate.validation, c->simulate.test, c->simulate.test_ood},
        .dimensions = c->simulate.toy_dimensions,
        .share = c->simulate.toy_share,
        .seed = (uint64_t)c->seed,
        .name = c->experiment,
        .config = text,
        .generator = "fwm " FWM_VERSION};
    return ds_toy_write(&o, path);
}

fwm_status fwm_simulate_dataset(const tr_config *c, const char *path, const char *text, bool show)
{
    fem_simulate_spec spec;
    fem_simulation *sim = NULL;
    sink_state sink = {0};
    if (c->simulate.toy != TR_TOY_NONE)
        return write_toy(c, path, text);
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
        status = write_truths(sink.writer, sim);
    if (status == FWM_OK)
        status = ds_writer_finish(&sink.writer);
    ds_writer_abort(&sink.writer);
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
