/* The simulator: the truth and the cheap simulation of batches of trajectories, step by step. */
#include "physics/simulate_impl.h"

#include "model/base/arena.h"
#include "model/base/threads.h"
#include "physics/kernel.h"

#include <math.h>
#include <omp.h>

enum { CHANNELS = 3 };
static const double TOLERANCE = 1e-10; /* of the truth's Newton updates */

const char *fem_split_name(int split)
{
    static const char *const names[FEM_SPLIT_COUNT] = {"train", "validation", "test", "test_ood"};
    return split >= 0 && split < FEM_SPLIT_COUNT ? names[split] : "unknown";
}

void fem_simulate_defaults(fem_simulate_spec *spec)
{
    static const double heater[4][2] = {{0.22, 0.25}, {0.25, 0.78}, {0.78, 0.28}, {0.72, 0.75}};
    *spec = (fem_simulate_spec){
        .seed = 0,
        .equation = "heat",
        .mesh = {FEM_P1, 64, 64, 1, 1},
        .coarse = {FEM_P1, 16, 16, 1, 1},
        .count = {64, 16, 32, 32},
        .frames = 41,
        .height = 64,
        .width = 64,
        .dt = 5e-4,
        .substeps = 4,
        .truth = {1, 10, 0.1, 3}, /* conductivity, loss, radiation, temperature */
        .nominal = {1},
        .n_inclusions = 3,
        .inclusion = {{0.2, 0.30, 0.62, 0.14}, {5, 0.70, 0.66, 0.16}, {0.5, 0.55, 0.27, 0.14}},
        .n_sources = 4,
        .power_probability = 0.7,
        .control = FEM_HELD,
        .ambient_control = FEM_CONSTANT,
        .power = {0, 1},
        .power_ood = {1, 2},
        .hold_lo = 4,
        .hold_hi = 12,
        .ambient = {-0.5, 0.5},
        .ambient_ood = {-0.5, 0.5},
        .correlation = {0.10, 0.25},
        .deviation = {0.4, 0.8},
        .offset = {-0.2, 0.2},
        .shown = {-2, 4},
        .vignetting = 0.7,
        .noise = 0.02,
        .key_rate = 0.25,
    };
    for (int h = 0; h < 4; h++)
        spec->source[h] = (fem_source){.x = heater[h][0], .y = heater[h][1], .half_width = 0.1, .power = 300};
}

static fwm_status check_range(const char *name, fem_range r, double least)
{
    FWM_CHECK(isfinite(r.lo) && isfinite(r.hi) && r.lo <= r.hi && r.lo >= least, FWM_INVALID,
              "simulate: %s: expected a range from at least %g, found %g to %g", name, least, r.lo, r.hi);
    return FWM_OK;
}

static fwm_status check_law(const fem_simulate_spec *s, const fem_equation *e)
{
    FWM_CHECK(s->n_sources >= 0 && s->n_sources + e->n_ambient <= FEM_MAX_ACTIONS, FWM_INVALID,
              "simulate: expected at most %d sources, found %d", FEM_MAX_ACTIONS - e->n_ambient, s->n_sources);
    FWM_CHECK(s->n_inclusions >= 0 && s->n_inclusions <= FEM_MAX_INCLUSIONS, FWM_INVALID,
              "simulate: expected at most %d inclusions, found %d", FEM_MAX_INCLUSIONS, s->n_inclusions);
    FWM_CHECK(s->n_inclusions == 0 ||
                  (s->inclusion_of >= 0 && s->inclusion_of < e->n_parameters && e->parameter[s->inclusion_of].per_cell),
              FWM_INVALID, "simulate: inclusions: expected a parameter of %s that varies in space, found %d", e->name,
              s->inclusion_of);
    for (int k = 0; k < s->n_inclusions; k++) {
        const fem_parameter *p = &e->parameter[s->inclusion_of];
        FWM_CHECK(s->inclusion[k].radius > 0 && s->inclusion[k].value >= p->lo && s->inclusion[k].value <= p->hi,
                  FWM_INVALID,
                  "simulate: inclusion %d: expected a positive radius and %s from %g to %g, found %g and %g", k,
                  p->name, p->lo, p->hi, s->inclusion[k].radius, s->inclusion[k].value);
    }
    for (int k = 0; k < e->n_parameters; k++) {
        const fem_parameter *p = &e->parameter[k];
        FWM_CHECK(s->truth[k] >= p->lo && s->truth[k] <= p->hi, FWM_INVALID,
                  "simulate: truth: expected %s from %g to %g %s, found %g", p->name, p->lo, p->hi, p->unit,
                  s->truth[k]);
        FWM_CHECK(s->nominal[k] >= p->lo && s->nominal[k] <= p->hi, FWM_INVALID,
                  "simulate: nominal: expected %s from %g to %g %s, found %g", p->name, p->lo, p->hi, p->unit,
                  s->nominal[k]);
    }
    return FWM_OK;
}

static fwm_status check_spec(const fem_simulate_spec *s)
{
    FWM_CHECK(s->frames >= 2 && s->frames < (INT64_C(1) << 20), FWM_INVALID,
              "simulate: expected 2 to 2^20 - 1 frames, found %lld", (long long)s->frames);
    for (int k = 0; k < FEM_SPLIT_COUNT; k++)
        FWM_CHECK(s->count[k] >= 0 && s->count[k] < (INT64_C(1) << 32), FWM_INVALID,
                  "simulate: %s: expected a number of trajectories, found %lld", fem_split_name(k),
                  (long long)s->count[k]);
    FWM_CHECK(s->hold_lo >= 1 && s->hold_lo <= s->hold_hi && s->hold_hi < (1 << 20), FWM_INVALID,
              "simulate: actions: expected to be held for 1 frame or more, found %lld to %lld", (long long)s->hold_lo,
              (long long)s->hold_hi);
    FWM_CHECK(s->power_probability >= 0 && s->power_probability <= 1, FWM_INVALID,
              "simulate: power_probability: expected 0 to 1, found %g", s->power_probability);
    FWM_CHECK(isfinite(s->vignetting) && isfinite(s->noise) && s->noise >= 0, FWM_INVALID,
              "simulate: expected a finite vignetting and a noise of at least 0, found %g and %g", s->vignetting,
              s->noise);
    FWM_CHECK((s->control == FEM_HELD || s->control == FEM_SMOOTH) && (int)s->ambient_control >= 0 &&
                  s->ambient_control < FEM_CONTROL_COUNT,
              FWM_INVALID, "simulate: control: expected held or smooth powers, found %d and %d", (int)s->control,
              (int)s->ambient_control);
    FWM_CHECK(s->key_rate > 0, FWM_INVALID, "simulate: key_rate: expected a rate above 0, found %g", s->key_rate);
    FWM_TRY(check_range("power", s->power, -INFINITY));
    FWM_TRY(check_range("power_ood", s->power_ood, -INFINITY));
    FWM_TRY(check_range("ambient", s->ambient, -INFINITY));
    FWM_TRY(check_range("ambient_ood", s->ambient_ood, -INFINITY));
    FWM_TRY(check_range("correlation", s->correlation, 1e-6));
    FWM_TRY(check_range("deviation", s->deviation, 0));
    FWM_TRY(check_range("offset", s->offset, -INFINITY));
    FWM_TRY(check_range("shown", s->shown, -INFINITY));
    FWM_CHECK(s->shown.hi > s->shown.lo, FWM_INVALID, "simulate: shown: expected two different values, found %g twice",
              s->shown.lo);
    return FWM_OK;
}

/* ---- set-up ---- */

static void fill_varying(fem_simulation *s)
{
    for (int64_t c = 0; c < s->mesh->n_cells; c++) {
        s->varying[c] = s->spec.truth[s->spec.inclusion_of];
        for (int k = 0; k < s->spec.n_inclusions; k++) {
            const fem_inclusion *i = &s->spec.inclusion[k];
            if (hypot(s->mesh->centroid[2 * c] - i->x, s->mesh->centroid[2 * c + 1] - i->y) < i->radius)
                s->varying[c] = i->value;
        }
    }
}

static fwm_status make_laws(fem_simulation *s)
{
    fem_simulate_spec *spec = &s->spec;
    for (int k = 0; k < s->equation->n_parameters; k++) {
        s->truth_theta.value[k] = &spec->truth[k];
        s->cheap_theta.value[k] = &spec->nominal[k];
        s->truth_theta.count[k] = s->cheap_theta.count[k] = 1;
    }
    if (spec->n_inclusions > 0) {
        s->varying = fwm_malloc((size_t)s->mesh->n_cells, sizeof *s->varying);
        FWM_CHECK(s->varying, FWM_MEMORY, "out of memory for %lld cells", (long long)s->mesh->n_cells);
        fill_varying(s);
        s->truth_theta.value[spec->inclusion_of] = s->varying;
        s->truth_theta.count[spec->inclusion_of] = s->mesh->n_cells;
    }
    fem_problem_spec p = {.equation = spec->equation,
                          .mesh = s->mesh,
                          .dt = spec->dt,
                          .substeps = spec->substeps,
                          .n_sources = spec->n_sources,
                          .source = spec->source,
                          .tolerance = TOLERANCE};
    FWM_TRY(fem_problem_create(&s->truth, &p));
    if (s->equation->basin) {
        p.substeps = 2;
        p.tolerance = 1e-6;
        FWM_TRY(fem_problem_create(&s->relax, &p));
        p.tolerance = TOLERANCE;
    }
    p.mesh = s->coarse;
    p.substeps = 1;
    return fem_problem_create(&s->cheap, &p);
}

static fwm_status make_room(fem_simulation *s)
{
    const int64_t c = s->components, n = s->mesh->n_nodes * c, m = s->coarse->n_nodes * c, frames = s->spec.frames;
    s->room = (int64_t)fem_lane_kernels_find(AD_F64)->lanes * fwm_threads_count();
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
    FWM_CHECK(s->u && s->u_next && s->v && s->v_next && s->a && s->state && s->cheap_state && s->actions && s->frame &&
                  s->key_state && s->basin && s->open,
              FWM_MEMORY, "out of memory for %lld trajectories of %lld frames", (long long)s->room, (long long)frames);
    return FWM_OK;
}

fwm_status fem_simulation_create(fem_simulation **simulation, const fem_simulate_spec *spec)
{
    *simulation = NULL;
    const fem_equation *equation;
    FWM_TRY(check_spec(spec));
    FWM_TRY(fem_equation_find(spec->equation, &equation));
    FWM_TRY(check_law(spec, equation));
    fem_simulation *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory for the simulator");
    s->spec = *spec;
    s->equation = equation;
    s->components = fem_equation_components(equation, fem_element_dim(spec->mesh.element));
    s->n_actions = spec->n_sources + equation->n_ambient;
    fwm_status status;
    FWM_TRY_GOTO(status, fem_mesh_create(&s->mesh, &spec->mesh));
    FWM_TRY_GOTO(status, fem_mesh_create(&s->coarse, &spec->coarse));
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
    fem_problem_destroy(&s->truth);
    fem_problem_destroy(&s->cheap);
    fem_problem_destroy(&s->relax);
    fem_csr_destroy(&s->render);
    fem_csr_destroy(&s->restriction);
    fem_mesh_destroy(&s->mesh);
    fem_mesh_destroy(&s->coarse);
    void *arrays[] = {s->varying, s->mask,        s->light,   s->u,     s->u_next,    s->v,     s->v_next, s->a,
                      s->state,   s->cheap_state, s->actions, s->frame, s->key_state, s->basin, s->open};
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
    fem_camera_shoot(s, state, NULL, frame);
    return FWM_OK;
}

/* ---- running ---- */

static void keep(float *out, const double *u, int64_t batch, int64_t n, int64_t t, int64_t frames)
{
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < n; i++)
            out[(b * frames + t) * n + i] = (float)u[b * n + i];
}

static void draw_batch(fem_simulation *s, fem_split split, int64_t first, int64_t batch)
{
    int64_t n = s->mesh->n_nodes, m = s->coarse->n_nodes;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; b++) {
        double ambient[4] = {0};
        fem_draw_start(s, split, first + b, s->u + b * n, ambient);
        fem_draw_actions(s, split, first + b, ambient, s->actions + b * s->spec.frames * s->n_actions);
        fem_csr_apply(s->restriction, s->u + b * n, s->v + b * m);
    }
}

static void swap(double **a, double **b)
{
    double *keep_a = *a;
    *a = *b;
    *b = keep_a;
}

static fwm_status march(fem_simulation *s, int64_t batch)
{
    const int64_t c = s->components, n = s->mesh->n_nodes * c, m = s->coarse->n_nodes * c, frames = s->spec.frames,
                  actions = s->n_actions;
    for (int64_t t = 0; t < frames; t++) {
        keep(s->state, s->u, batch, n, t, frames);
        keep(s->cheap_state, s->v, batch, m, t, frames);
        if (t == frames - 1)
            break;
        for (int64_t b = 0; b < batch; b++)
            for (int64_t k = 0; k < actions; k++)
                s->a[b * actions + k] = (double)s->actions[(b * frames + t) * actions + k];
        FWM_TRY(fem_step(s->truth, AD_F64, s->u_next, s->u, s->a, &s->truth_theta, batch));
        FWM_TRY(fem_step(s->cheap, AD_F64, s->v_next, s->v, s->a, &s->cheap_theta, batch));
        swap(&s->u, &s->u_next);
        swap(&s->v, &s->v_next);
    }
    return FWM_OK;
}

static fwm_status film(fem_simulation *s, fem_split split, int64_t first, int64_t batch)
{
    int64_t frames = s->spec.frames, values = s->spec.height * s->spec.width * CHANNELS;
    float *noise = fwm_malloc((size_t)(values * fwm_threads_count()), sizeof *noise);
    FWM_CHECK(noise, FWM_MEMORY, "out of memory for a frame's noise");
    fwm_key key = {s->spec.seed, FEM_STREAM_NOISE};
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < batch * frames; k++) {
        float *own = noise + values * omp_get_thread_num();
        fwm_random_normal_f32(key, fem_trajectory_key(split, first + k / frames) + (uint64_t)(k % frames), values, own);
        fem_camera_shoot(s, s->state + k * s->mesh->n_nodes * s->components, own, s->frame + k * values);
    }
    fwm_free(noise);
    return FWM_OK;
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
        draw_batch(s, split, first, batch);
        fwm_status status = march(s, batch);
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
