/* The simulator: the truth and the cheap simulation of batches of trajectories, step by step. */
#include "physics/simulate_impl.h"

#include "model/base/arena.h"
#include "model/base/threads.h"
#include "physics/gmsh.h"
#include "physics/kernel.h"
#include "physics/refine.h"
#include "physics/scheme.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { CHANNELS = 3 };

/* ---- set-up ---- */

/* The values of a parameter cell by cell, made where they are asked for first. */
static fwm_status vary(fem_simulation *s, int parameter)
{
    if (s->varying[parameter])
        return FWM_OK;
    double *values = fwm_malloc((size_t)s->mesh->n_cells, sizeof *values);
    FWM_CHECK(values, FWM_MEMORY, "out of memory for %lld cells", (long long)s->mesh->n_cells);
    for (int64_t c = 0; c < s->mesh->n_cells; c++)
        values[c] = s->spec.truth[parameter];
    s->varying[parameter] = values;
    s->truth_theta.value[parameter] = values;
    s->truth_theta.count[parameter] = s->mesh->n_cells;
    return FWM_OK;
}

static fwm_status fill_regions(fem_simulation *s)
{
    for (int k = 0; k < s->spec.n_region_values; k++) {
        const fem_region_value *r = &s->spec.region_value[k];
        int region;
        FWM_TRY(fem_mesh_region(s->mesh, r->region, &region));
        FWM_TRY(vary(s, r->parameter));
        for (int64_t c = 0; c < s->mesh->n_cells; c++)
            if (s->mesh->cell_region[c] == region)
                s->varying[r->parameter][c] = r->value;
    }
    return FWM_OK;
}

static fwm_status fill_inclusions(fem_simulation *s)
{
    const int parameter = s->spec.inclusion_of;
    if (s->spec.n_inclusions == 0)
        return FWM_OK;
    FWM_TRY(vary(s, parameter));
    for (int64_t c = 0; c < s->mesh->n_cells; c++)
        for (int k = 0; k < s->spec.n_inclusions; k++) {
            const fem_inclusion *i = &s->spec.inclusion[k];
            if (fem_disc_holds(s->mesh, c, i->x, i->y, i->radius))
                s->varying[parameter][c] = i->value;
        }
    return FWM_OK;
}

static fwm_status make_parameters(fem_simulation *s)
{
    fem_simulate_spec *spec = &s->spec;
    for (int k = 0; k < s->equation->n_parameters; k++) {
        s->truth_theta.value[k] = &spec->truth[k];
        s->truth_theta.count[k] = 1;
    }
    for (int k = 0; k < s->cheap_equation->n_parameters; k++) {
        s->cheap_theta.value[k] = &spec->nominal[k];
        s->cheap_theta.count[k] = 1;
    }
    FWM_TRY(fill_regions(s));
    return fill_inclusions(s);
}

static fwm_status make_laws(fem_simulation *s)
{
    fem_simulate_spec *spec = &s->spec;
    fem_span span[FEM_MAX_CONDITIONS];
    fem_condition *condition = s->condition;
    const int least = fem_scheme_substeps(spec->scheme);
    fem_problem_spec p = {.equation = s->equation->name,
                          .mesh = s->mesh,
                          .dt = spec->dt,
                          .substeps = spec->substeps,
                          .scheme = spec->scheme,
                          .spectral_radius = spec->spectral_radius,
                          .n_sources = spec->n_sources,
                          .source = spec->source,
                          .n_conditions = spec->n_conditions,
                          .condition = condition,
                          .tolerance = spec->tolerance > 0 ? spec->tolerance : 1e-10};
    const double tolerance = p.tolerance;
    FWM_TRY(make_parameters(s));
    memcpy(condition, spec->condition, sizeof spec->condition);
    FWM_TRY(fem_conditions_shape(condition, s->span, spec->parabolic, spec->n_conditions, s->mesh));
    FWM_TRY(fem_ladders_create(s, &p));
    if (s->equation->basin) {
        p.substeps = least > 2 ? least : 2;
        p.tolerance = 1e-6;
        FWM_TRY(fem_problem_create(&s->relax, &p));
    }
    fem_condition coarse[FEM_MAX_CONDITIONS];
    memcpy(coarse, spec->condition, sizeof coarse);
    FWM_TRY(fem_conditions_shape(coarse, span, spec->parabolic, spec->n_conditions, s->coarse));
    p.equation = s->cheap_equation->name;
    p.condition = coarse;
    p.mesh = s->coarse;
    p.substeps = spec->cheap_substeps > 0 ? spec->cheap_substeps : least;
    p.tolerance = tolerance;
    return fem_problem_create(&s->cheap, &p);
}

static fwm_status make_room(fem_simulation *s)
{
    const int64_t c = s->components, n = s->mesh->n_nodes * c, m = s->coarse->n_nodes * c, frames = s->spec.frames;
    for (int k = 0, parameter; k < s->spec.n_random; k++)
        s->drawn_size += fem_simulation_drawn(s, k, &parameter);
    size_t room = (size_t)s->room, all = (size_t)(s->room * frames);
    s->u = fwm_malloc(room * (size_t)n, sizeof *s->u);
    s->u_next = fwm_malloc(room * (size_t)n, sizeof *s->u_next);
    s->v = fwm_malloc(room * (size_t)m, sizeof *s->v);
    s->v_next = fwm_malloc(room * (size_t)m, sizeof *s->v_next);
    s->a = fwm_malloc(room * (size_t)s->n_actions, sizeof *s->a);
    s->state = fwm_malloc(all * (size_t)n, sizeof *s->state);
    s->cheap_state = fwm_malloc(all * (size_t)m, sizeof *s->cheap_state);
    s->actions = fwm_malloc(all * (size_t)s->n_actions, sizeof *s->actions);
    s->frame = fwm_malloc(all * (size_t)(s->spec.height * s->spec.width), CHANNELS);
    s->key_state = fwm_malloc(all, sizeof *s->key_state);
    s->basin = fwm_malloc(all, sizeof *s->basin);
    s->open = fwm_malloc(room, sizeof *s->open);
    s->drawn = fwm_malloc(room * (size_t)s->drawn_size, sizeof *s->drawn);
    FWM_CHECK(s->u && s->u_next && s->v && s->v_next && s->a && s->state && s->cheap_state && s->actions && s->frame &&
                  s->key_state && s->basin && s->open && s->drawn,
              FWM_MEMORY, "out of memory for %lld trajectories of %lld frames", (long long)s->room, (long long)frames);
    return FWM_OK;
}

/* Boxes, or a file's mesh and its refinement. */
static fwm_status make_meshes(fem_simulation *s)
{
    const fem_simulate_spec *spec = &s->spec;
    if (!spec->mesh_file) {
        FWM_TRY(fem_mesh_create(&s->mesh, &spec->mesh));
        return fem_mesh_create(&s->coarse, &spec->coarse);
    }
    const fem_element e = spec->mesh.element;
    FWM_TRY(fem_mesh_from_gmsh(&s->coarse, spec->mesh_file, fem_element_space(e)[1] - '0'));
    FWM_CHECK(s->coarse->element == e, FWM_INVALID,
              "%s: expected %s cells (simulate.cell, simulate.space %s), found %s", spec->mesh_file,
              fem_element_cell(e), fem_element_space(e), fem_element_cell(s->coarse->element));
    const fem_mesh *from = s->coarse;
    for (int k = 0; k < spec->refine; k++) {
        fem_mesh *fine;
        FWM_TRY(fem_mesh_refine(&fine, from));
        fem_mesh_destroy(&s->mesh);
        from = s->mesh = fine;
    }
    return FWM_OK;
}

/* The components that starts fill and that frames show. */
static fwm_status find_components(fem_simulation *s)
{
    const int dim = s->mesh->dim;
    for (int k = 0; k < s->spec.n_starts; k++)
        FWM_TRY(
            fem_equation_component(s->equation, dim, s->spec.start[k].field, &s->start_first[k], &s->start_count[k]));
    s->shown_count = 1;
    const char *shown = s->spec.shown_field;
    if (s->spec.deformed) {
        int count = 0;
        const fwm_status status = fem_equation_component(s->equation, dim, "displacement", &s->displacement, &count);
        FWM_CHECK(status == FWM_OK && count == dim, FWM_INVALID,
                  "simulate: deformed: expected an equation whose displacement is a vector, found %s",
                  s->equation->name);
    }
    return shown ? fem_equation_component(s->equation, dim, shown, &s->shown, &s->shown_count) : FWM_OK;
}

static fwm_status check_fields(const fem_simulation *s)
{
    const fem_equation *e = s->equation, *cheap = s->cheap_equation;
    bool same = e->n_fields == cheap->n_fields && e->n_ambient == cheap->n_ambient;
    for (int k = 0; k < e->n_fields && same; k++)
        same = strcmp(e->field[k], cheap->field[k]) == 0;
    FWM_CHECK(same, FWM_INVALID, "simulate: nominal_equation: expected an equation of the fields of %s, found %s",
              e->name, cheap->name);
    FWM_CHECK(e->max_dim == 0 || s->mesh->dim <= e->max_dim, FWM_INVALID,
              "simulate: %s: expected a mesh of %d dimensions, found %d", e->name, e->max_dim, s->mesh->dim);
    return FWM_OK;
}

fwm_status fem_simulation_create(fem_simulation **simulation, const fem_simulate_spec *spec)
{
    *simulation = NULL;
    const fem_equation *equation, *cheap;
    FWM_TRY(fem_simulate_check(spec));
    FWM_TRY(fem_equation_find(spec->equation, &equation));
    FWM_TRY(fem_equation_find(spec->cheap_equation ? spec->cheap_equation : spec->equation, &cheap));
    FWM_TRY(fem_simulate_check_law(spec, equation, cheap));
    fem_simulation *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory for the simulator");
    s->spec = *spec;
    s->equation = equation;
    s->cheap_equation = cheap;
    s->components = fem_equation_components(equation, fem_element_dim(spec->mesh.element));
    s->n_actions = fem_simulate_actions(spec, equation);
    fwm_status status;
    FWM_TRY_GOTO(status, make_meshes(s));
    FWM_TRY_GOTO(status, check_fields(s));
    FWM_TRY_GOTO(status, find_components(s));
    s->room = (int64_t)fem_lane_kernels_find(AD_F64)->lanes * fwm_threads_count();
    FWM_TRY_GOTO(status, make_laws(s));
    FWM_TRY_GOTO(status, fem_prolong(&s->restriction, s->mesh, s->coarse));
    FWM_TRY_GOTO(status, fem_camera_create(s));
    FWM_TRY_GOTO(status, make_room(s));
    *simulation = s;
    return FWM_OK;
done:
    fem_simulation_destroy(&s);
    return status;
}

void fem_simulation_destroy(fem_simulation **simulation)
{
    fem_simulation *s = *simulation;
    if (!s)
        return;
    *simulation = NULL;
    fem_ladders_destroy(s);
    fem_problem_destroy(&s->cheap);
    fem_problem_destroy(&s->relax);
    fem_warp_destroy(&s->warp);
    fem_csr_destroy(&s->render);
    fem_csr_destroy(&s->restriction);
    fem_mesh_destroy(&s->mesh);
    fem_mesh_destroy(&s->coarse);
    for (int k = 0; k < FEM_MAX_PARAMETERS; k++)
        fwm_free(s->varying[k]);
    void *arrays[] = {s->moved, s->mask,        s->light,   s->u,     s->u_next,    s->v,     s->v_next, s->a,
                      s->state, s->cheap_state, s->actions, s->frame, s->key_state, s->basin, s->open,   s->drawn};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free(s);
}

const fem_mesh *fem_simulation_mesh(const fem_simulation *s)
{
    return s->mesh;
}

const fem_mesh *fem_simulation_coarse_mesh(const fem_simulation *s)
{
    return s->coarse;
}

const fem_equation *fem_simulation_equation(const fem_simulation *s)
{
    return s->equation;
}

int64_t fem_simulation_room(const fem_simulation *s)
{
    return s->room;
}

const fem_theta *fem_simulation_theta(const fem_simulation *s)
{
    return &s->truth_theta;
}

fwm_status fem_simulation_picture(const fem_simulation *s, const float *state, uint8_t *frame)
{
    const int64_t fields = s->components;
    for (int64_t i = 0; i < s->mesh->n_nodes * fields; i++)
        FWM_CHECK(isfinite(state[i]), FWM_NUMERIC, "picture: the state at node %lld is not finite",
                  (long long)(i / fields));
    return fem_camera_shoot(s, state, NULL, frame);
}

/* ---- running ---- */

static fwm_status draw_batch(fem_simulation *s, fem_split split, int64_t first, int64_t batch)
{
    const int64_t n = s->mesh->n_nodes * s->components;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; b++) {
        double ambient[4] = {0};
        fem_draw_start(s, split, first + b, s->u + b * n, ambient);
        fem_draw_actions(s, split, first + b, ambient, s->actions + b * s->spec.frames * s->n_actions);
    }
    for (int64_t b = 0; b < batch && s->spec.n_random > 0; b++)
        fem_draw_law(s, split, first + b, b);
    fem_take_actions(s, s->a, 0, batch, 0);
    for (int64_t b = 0; b < batch; b++)
        FWM_TRY(fem_conditions_lay(s->u + b * n, s->condition, s->spec.n_conditions, s->equation, s->mesh,
                                   s->a + b * s->n_actions, (int)s->n_actions));
    return FWM_OK;
}

static fwm_status film(fem_simulation *s, fem_split split, int64_t first, int64_t batch)
{
    int64_t frames = s->spec.frames, values = s->spec.height * s->spec.width * CHANNELS;
    float *noise = fwm_malloc((size_t)(values * fwm_threads_count()), sizeof *noise);
    FWM_CHECK(noise, FWM_MEMORY, "out of memory for a frame's noise");
    fwm_key key = {s->spec.seed, FEM_STREAM_NOISE};
    fwm_status status = FWM_OK;
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < batch * frames; k++) {
        float *own = noise + values * omp_get_thread_num();
        fwm_random_normal_f32(key, fem_trajectory_key(split, first + k / frames) + (uint64_t)(k % frames), values, own);
        const fwm_status one =
            fem_camera_shoot(s, s->state + k * s->mesh->n_nodes * s->components, own, s->frame + k * values);
        if (one != FWM_OK) {
#pragma omp atomic write
            status = one;
        }
    }
    fwm_free(noise);
    return status;
}

static fwm_status deliver(fem_simulation *s, fem_split split, int64_t first, int64_t batch, fem_sink sink,
                          void *context)
{
    const int64_t c = s->components, n = s->mesh->n_nodes, m = s->coarse->n_nodes, frames = s->spec.frames,
                  values = s->spec.height * s->spec.width * CHANNELS;
    for (int64_t b = 0; b < batch; b++) {
        fem_trajectory t = {.split = split,
                            .index = first + b,
                            .count = s->spec.count[split],
                            .frames = frames,
                            .height = s->spec.height,
                            .width = s->spec.width,
                            .nodes = n,
                            .coarse_nodes = m,
                            .components = c,
                            .actions_count = s->n_actions,
                            .frame = s->frame + b * frames * values,
                            .state = s->state + b * frames * n * c,
                            .cheap = s->cheap_state + b * frames * m * c,
                            .actions = s->actions + b * frames * s->n_actions,
                            .key_state = s->equation->event_rate ? s->key_state + b * frames : NULL,
                            .basin = s->equation->basin ? s->basin + b * frames : NULL};
        FWM_TRY(sink(context, &t));
    }
    return FWM_OK;
}

fwm_status fem_simulate_some(fem_simulation *s, fem_split split, int64_t first, int64_t n, fem_sink sink, void *context)
{
    FWM_CHECK((int)split >= 0 && split < FEM_SPLIT_COUNT && first >= 0 && n >= 0 && first + n <= s->spec.count[split],
              FWM_INVALID, "simulate: expected trajectories within 0 to %lld of %s, found %lld to %lld",
              (long long)((int)split >= 0 && split < FEM_SPLIT_COUNT ? s->spec.count[split] : 0),
              fem_split_name((int)split), (long long)first, (long long)(first + n));
    for (int64_t end = first + n; first < end; first += s->room) {
        int64_t batch = end - first < s->room ? end - first : s->room;
        fwm_status status = draw_batch(s, split, first, batch);
        if (status == FWM_OK)
            status = fem_march(s, batch);
        if (status != FWM_OK)
            return fwm_fail_within(status, "simulate: %s trajectories from %lld", fem_split_name((int)split),
                                   (long long)first);
        FWM_TRY(fem_label(s, batch));
        FWM_TRY(film(s, split, first, batch));
        FWM_TRY(deliver(s, split, first, batch, sink, context));
    }
    return FWM_OK;
}

fwm_status fem_simulate(fem_simulation *s, fem_sink sink, void *context)
{
    for (int k = 0; k < FEM_SPLIT_COUNT; k++)
        FWM_TRY(fem_simulate_some(s, (fem_split)k, 0, s->spec.count[k], sink, context));
    return FWM_OK;
}
