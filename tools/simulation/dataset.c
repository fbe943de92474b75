/* What is simulated, as a dataset in the native layout. */
#include "model/base/arena.h"
#include "tools/simulation/simulation.h"

#include <stdio.h>
#include <string.h>

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

static fwm_status write_truths(ds_writer *w, const fem_simulation *sim, const fwm_simulated_file *file)
{
    const fem_equation *eq = fem_simulation_equation(sim);
    const fem_theta *theta = fem_simulation_theta(sim);
    for (int k = 0; k < eq->n_parameters; k++)
        FWM_TRY(ds_writer_truth(w, eq->parameter[k].name, theta->count[k], theta->value[k]));
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

fwm_status fwm_simulated_begin(fwm_simulated_file *file, const tr_config *c, const fem_simulate_spec *spec,
                               const fem_simulation *sim, const char *path, const char *text)
{
    const fem_equation *eq = fem_simulation_equation(sim);
    stored_mesh fine = {0}, coarse = {0};
    component_names field;
    int64_t n = 0;
    name_components(&field, eq, fem_simulation_mesh(sim)->dim);
    for (int k = 0; k < FEM_SPLIT_COUNT; k++) {
        file->first[k] = n;
        n += spec->count[k];
    }
    uint8_t *splits = fwm_malloc((size_t)n + 1, 1);
    FWM_CHECK(splits, FWM_MEMORY, "simulate: out of memory");
    for (int k = 0; k < FEM_SPLIT_COUNT; k++)
        memset(splits + file->first[k], k, (size_t)spec->count[k]);
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
    file->frames = spec->frames;
    file->basin = eq->basin ? fwm_malloc((size_t)(n * spec->frames), sizeof *file->basin) : NULL;
    fwm_status status = FWM_OK;
    if (eq->basin && !file->basin)
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
        status = ds_writer_create(&file->writer, path, &info, &writing);
    }
    fwm_free(splits);
    fwm_free(fine.faces);
    fwm_free(coarse.faces);
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

fwm_status fwm_simulated_finish(fwm_simulated_file *file, const fem_simulation *sim)
{
    FWM_TRY(write_truths(file->writer, sim, file));
    return ds_writer_finish(&file->writer);
}

void fwm_simulated_abort(fwm_simulated_file *file)
{
    ds_writer_abort(&file->writer);
    fwm_free(file->basin);
    file->basin = NULL;
}
