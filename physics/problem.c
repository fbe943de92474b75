/* Problems: checks, set-up, workspace. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"
#include "model/base/threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks ---- */

static fwm_status check_spec(const fem_problem_spec *spec)
{
    FWM_CHECK(spec->mesh, FWM_INVALID, "problem: a mesh is needed");
    FWM_CHECK(isfinite(spec->dt) && spec->dt > 0, FWM_INVALID, "problem: expected a positive time step dt, found %g",
              spec->dt);
    FWM_CHECK(spec->substeps >= 0 && spec->substeps <= FEM_MAX_SUBSTEPS, FWM_INVALID,
              "problem: expected 1 to %d substeps, found %d", FEM_MAX_SUBSTEPS, spec->substeps);
    FWM_CHECK(spec->n_sources >= 0 && spec->n_sources <= FEM_MAX_ACTIONS, FWM_INVALID,
              "problem: expected 0 to %d sources, found %d", FEM_MAX_ACTIONS, spec->n_sources);
    FWM_CHECK((int)spec->norm >= 0 && spec->norm < FEM_NORM_COUNT, FWM_INVALID, "problem: unknown norm %d",
              (int)spec->norm);
    FWM_CHECK(isfinite(spec->scale) && spec->scale >= 0, FWM_INVALID, "problem: expected a scale above 0, found %g",
              spec->scale);
    FWM_CHECK(isfinite(spec->tolerance) && spec->tolerance >= 0 && spec->tolerance < 1, FWM_INVALID,
              "problem: expected a tolerance below 1, found %g", spec->tolerance);
    FWM_CHECK((int)spec->scheme >= 0 && spec->scheme < FEM_SCHEME_COUNT, FWM_INVALID, "problem: unknown scheme %d",
              (int)spec->scheme);
    const int least = fem_scheme_substeps(spec->scheme), substeps = spec->substeps > 0 ? spec->substeps : 1;
    FWM_CHECK(substeps >= least, FWM_INVALID, "problem: the scheme %s needs at least %d substeps, found %d",
              fem_scheme_name(spec->scheme), least, substeps);
    FWM_CHECK(spec->spectral_radius >= 0 && spec->spectral_radius <= 1, FWM_INVALID,
              "problem: expected a spectral radius of 0 to 1, found %g", spec->spectral_radius);
    FWM_CHECK(spec->n_conditions >= 0 && spec->n_conditions <= FEM_MAX_CONDITIONS, FWM_INVALID,
              "problem: expected 0 to %d conditions, found %d", FEM_MAX_CONDITIONS, spec->n_conditions);
    for (int j = 0; j < spec->n_sources; j++) {
        const fem_source *s = &spec->source[j];
        FWM_CHECK(isfinite(s->power), FWM_INVALID, "problem: source %d: power is not finite", j);
        FWM_CHECK(s->density || s->boundary || spec->mesh->dim == 2, FWM_INVALID,
                  "problem: source %d: in three dimensions expected a density or a boundary", j);
        FWM_CHECK(s->density || s->boundary ||
                      (isfinite(s->x) && isfinite(s->y) && isfinite(s->half_width) && s->half_width > 0),
                  FWM_INVALID, "problem: source %d: expected a centre and a positive half width, found (%g,%g) and %g",
                  j, s->x, s->y, s->half_width);
    }
    return FWM_OK;
}

static fwm_status check_values(const fem_parameter *q, const char *equation, ad_dtype dtype, const fem_theta *theta,
                               int k)
{
    for (int64_t i = 0; i < theta->count[k]; i++) {
        double v = fem_theta_at(dtype, theta, k, i);
        FWM_CHECK(v >= q->lo && v <= q->hi, FWM_INVALID, "%s: %s[%lld] = %g: expected %g to %g %s", equation, q->name,
                  (long long)i, v, q->lo, q->hi, q->unit);
    }
    return FWM_OK;
}

fwm_status fem_theta_count_check(const fem_problem *p, int k, int64_t count)
{
    const fem_parameter *q = &p->equation->parameter[k];
    const int64_t cells = p->mesh->n_cells, regions = p->mesh->n_regions;
    if (count == 1 || (q->per_cell && (count == cells || count == regions)))
        return FWM_OK;
    if (!q->per_cell)
        return fwm_fail(FWM_SHAPE, "%s: %s has %lld values, expected 1: it cannot vary in space", p->equation->name,
                        q->name, (long long)count);
    return fwm_fail(FWM_SHAPE, "%s: %s has %lld values, expected 1, one a cell (%lld) or one a region (%lld)",
                    p->equation->name, q->name, (long long)count, (long long)cells, (long long)regions);
}

fwm_status fem_theta_check(const fem_problem *p, ad_dtype dtype, const fem_theta *theta)
{
    const fem_equation *e = p->equation;
    for (int k = 0; k < e->n_parameters; k++) {
        const fem_parameter *q = &e->parameter[k];
        FWM_CHECK(theta->value[k], FWM_INVALID, "%s: parameter %s is missing", e->name, q->name);
        FWM_TRY(fem_theta_count_check(p, k, theta->count[k]));
        FWM_TRY(check_values(q, e->name, dtype, theta, k));
    }
    return FWM_OK;
}

bool fem_theta_linear(const fem_problem *p, ad_dtype dtype, const fem_theta *theta)
{
    double first[FEM_MAX_PARAMETERS];
    for (int k = 0; k < p->equation->n_parameters; k++)
        first[k] = fem_theta_at(dtype, theta, k, 0);
    return p->equation->is_linear(first);
}

/* ---- workspace ---- */

static void workspace_free(fem_workspace *w)
{
    for (int t = 0; t < w->threads; t++) {
        free(w->thread[t].fields);
        free(w->thread[t].a);
        free(w->thread[t].a_bar);
        free(w->thread[t].broken);
        fem_lane_factor_destroy(&w->thread[t].factor);
    }
    fwm_free(w->thread);
    fwm_free(w->theta_bar);
    fwm_free(w->failed);
    fwm_free(w->index);
    fwm_free(w->failure);
    fwm_free(w->state);
    fwm_free(w->state_bar);
    *w = (fem_workspace){0};
}

void *fem_vector_alloc(size_t n, size_t size)
{
    size_t bytes = (n * size + 63) / 64 * 64;
    void *counted = fwm_malloc(0, 1); /* keeps the count of allocations honest */
    fwm_free(counted);
    void *block = aligned_alloc(64, bytes > 0 ? bytes : 64);
    if (block)
        memset(block, 0, bytes > 0 ? bytes : 64);
    return block;
}

fwm_status fem_grow_threads(fem_problem *p, ad_dtype dtype, int threads)
{
    fem_workspace *w = &p->work[dtype];
    if (threads <= w->threads)
        return FWM_OK;
    fem_thread_work *grown = fwm_realloc(w->thread, (size_t)threads, sizeof *grown);
    FWM_CHECK(grown, FWM_MEMORY, "out of memory for the work of %d threads", threads);
    w->thread = grown;
    size_t number = fem_number_size(dtype), lanes = (size_t)p->lane[dtype]->lanes, dof = (size_t)p->dof,
           steps = (size_t)p->spec.substeps + 1,
           slots = (size_t)SLOT_STATES + steps * (fem_scheme_remembers(p->spec.scheme) ? 2 : 1);
    while (w->threads < threads) {
        fem_thread_work t = {.fields = fem_vector_alloc(slots * dof * lanes, number),
                             .a = fem_vector_alloc((size_t)p->n_actions * lanes, number),
                             .a_bar = fem_vector_alloc((size_t)p->n_actions * lanes, number)};
        w->thread[w->threads++] = t;
        FWM_CHECK(t.fields && t.a && t.a_bar, FWM_MEMORY, "out of memory for the work of %d threads", threads);
    }
    return FWM_OK;
}

static fwm_status grow_batch(fem_problem *p, ad_dtype dtype, int64_t batch, int64_t counts)
{
    fem_workspace *w = &p->work[dtype];
    int64_t blocks = fem_block_count(p, dtype, batch) + fem_block_count(p, AD_F64, batch);
    if (blocks * counts > w->theta_room) {
        fwm_free(w->theta_bar);
        w->theta_room = 0;
        w->theta_bar = fwm_malloc((size_t)(blocks * counts), sizeof *w->theta_bar);
        FWM_CHECK(w->theta_bar, FWM_MEMORY, "out of memory for the gradients of %lld samples", (long long)batch);
        w->theta_room = blocks * counts;
    }
    if (batch > w->batch) {
        fwm_free(w->failed);
        fwm_free(w->index);
        fwm_free(w->failure);
        fwm_free(w->state);
        fwm_free(w->state_bar);
        w->batch = 0;
        bool step = p->spec.norm == FEM_NORM_STEP;
        size_t n = (size_t)batch * (size_t)p->dof;
        w->failed = fwm_malloc((size_t)batch, 1);
        w->index = fwm_malloc((size_t)batch, sizeof *w->index);
        w->failure = fwm_malloc((size_t)batch, sizeof *w->failure);
        w->state = step ? fwm_malloc(n, fem_number_size(dtype)) : NULL;
        w->state_bar = step ? fwm_malloc(n, fem_number_size(dtype)) : NULL;
        FWM_CHECK(w->failed && w->index && w->failure && (!step || (w->state && w->state_bar)), FWM_MEMORY,
                  "out of memory for a batch of %lld", (long long)batch);
        w->batch = batch;
    }
    return FWM_OK;
}

static fwm_status reserve(fem_problem *p, ad_dtype dtype, int64_t batch, int64_t counts)
{
    FWM_TRY(fem_grow_threads(p, dtype, fwm_threads_count()));
    return grow_batch(p, dtype, batch, counts);
}

fwm_status fem_problem_reserve(fem_problem *p, ad_dtype dtype, int64_t batch)
{
    int64_t counts = 0;
    for (int k = 0; k < p->equation->n_parameters; k++)
        counts += p->equation->parameter[k].per_cell ? p->mesh->n_cells : 1;
    FWM_CHECK(batch >= 1, FWM_INVALID, "batch: expected at least 1, found %lld", (long long)batch);
    return reserve(p, dtype, batch, counts);
}

fwm_status fem_call_start(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t batch)
{
    FWM_CHECK(batch >= 1, FWM_INVALID, "batch: expected at least 1, found %lld", (long long)batch);
    p->sparse[AD_F32].serves = p->sparse[AD_F64].serves = NULL;
    FWM_TRY(fem_theta_check(p, dtype, theta));
    int64_t counts = 0;
    for (int k = 0; k < p->equation->n_parameters; k++)
        counts += theta->count[k];
    return reserve(p, dtype, batch, counts);
}

int64_t fem_block_count(const fem_problem *p, ad_dtype dtype, int64_t batch)
{
    int64_t lanes = p->lane[dtype]->lanes;
    return (batch + lanes - 1) / lanes;
}

fem_block fem_block_at(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t batch, int64_t block, int thread)
{
    int64_t lanes = p->lane[dtype]->lanes, first = block * lanes, left = batch - first;
    return (fem_block){.p = p,
                       .dtype = dtype,
                       .lane = p->lane[dtype],
                       .work = &p->work[dtype].thread[thread],
                       .theta = theta,
                       .first = first,
                       .count = (int)(left < lanes ? left : lanes)};
}

/* ---- making ---- */

/* Rows and columns of means go to what they average: K <- T^T K T, T the interpolation of a cell. */
static void fold_means(const fem_problem *p, double *ke)
{
    const fem_mesh *mesh = p->mesh;
    const int nodes = mesh->cell_node_count, c_n = p->components, dofs = nodes * c_n;
    for (int64_t row = 0; row < mesh->n_cells * dofs; row++) {
        const int64_t cell = row / dofs;
        const int i = (int)(row % dofs) / c_n, c = (int)(row % dofs) % c_n;
        const fem_average *m = &p->average[i];
        if (m->count == 0 || !fem_on_vertices(p, c))
            continue;
        double *k = ke + cell * dofs * dofs;
        const double share = 1.0 / m->count;
        for (int v = 0; v < m->count; v++)
            for (int j = 0; j < dofs; j++)
                k[(m->vertex[v] * c_n + c) * dofs + j] += share * k[(i * c_n + c) * dofs + j];
        for (int v = 0; v < m->count; v++)
            for (int j = 0; j < dofs; j++)
                k[j * dofs + m->vertex[v] * c_n + c] += share * k[j * dofs + i * c_n + c];
        for (int j = 0; j < dofs; j++)
            k[(i * c_n + c) * dofs + j] = k[j * dofs + i * c_n + c] = 0;
    }
}

/* Element matrices of mass[c] M + stiffness[c] K in component c, others zero. */
static void riesz_matrices(const fem_problem *p, double *ke, const double *mass, const double *stiffness)
{
    const fem_mesh *mesh = p->mesh;
    const fem_tables *t = &mesh->impl->tables[AD_F64];
    const int nodes = mesh->cell_node_count, dim = mesh->dim, record = dim * dim + 1, c_n = p->components;
    const int dofs = nodes * c_n, points = mesh->impl->n_points;
    memset(ke, 0, (size_t)(mesh->n_cells * dofs * dofs) * sizeof *ke);
    for (int64_t at = 0; at < mesh->n_cells * points; at++) {
        const int64_t cell = at / points, q = at % points;
        const double *g = (const double *)t->geometry + (t->geometry_points == 1 ? cell : at) * record;
        const double *phi = (const double *)t->basis + q * nodes, *dphi = (const double *)t->dbasis + q * nodes * dim;
        const double w = ((const double *)t->weight)[q] * g[dim * dim];
        double slope[FEM_MAX_CELL_NODES][FEM_MAX_DIM];
        for (int i = 0; i < nodes; i++)
            for (int e = 0; e < dim; e++) {
                slope[i][e] = 0;
                for (int d = 0; d < dim; d++)
                    slope[i][e] += dphi[i * dim + d] * g[d * dim + e];
            }
        for (int i = 0; i < nodes; i++)
            for (int j = 0; j < nodes; j++) {
                double m = w * phi[i] * phi[j], k = 0;
                for (int e = 0; e < dim; e++)
                    k += w * slope[i][e] * slope[j][e];
                for (int c = 0; c < c_n; c++)
                    ke[cell * dofs * dofs + (i * c_n + c) * dofs + j * c_n + c] += mass[c] * m + stiffness[c] * k;
            }
    }
    fold_means(p, ke);
}

void fem_riesz_matrices(fem_problem *p)
{
    const fem_equation *e = p->equation;
    if (e->riesz) {
        double mass[FEM_MAX_COMPONENTS], stiffness[FEM_MAX_COMPONENTS];
        e->riesz(p->mesh->dim, p->reference_theta, p->spec.dt, mass, stiffness);
        riesz_matrices(p, p->ke, mass, stiffness);
        return;
    }
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < e->n_parameters; k++) {
        theta.value[k] = &p->reference_theta[k];
        theta.count[k] = 1;
    }
    const fem_stage stage = fem_scheme_single(FEM_BACKWARD_EULER, p->spec.dt);
    fem_jacobian(p, p->ke, p->rest, p->rest, p->rest + p->dof, &theta, &stage);
}

/* P: by the equation's own factors of mass and stiffness, else the Jacobian at u = 0; with reference parameters. */
static fwm_status make_riesz(fem_problem *p)
{
    int n = p->equation->n_parameters;
    p->reference_theta = fwm_malloc((size_t)n, sizeof *p->reference_theta);
    FWM_CHECK(p->reference_theta, FWM_MEMORY, "out of memory for a problem");
    for (int k = 0; k < n; k++) {
        const fem_parameter *q = &p->equation->parameter[k];
        double v = p->spec.reference[k] > 0 ? p->spec.reference[k] : q->reference;
        FWM_CHECK(v >= q->lo && v <= q->hi, FWM_INVALID, "problem: reference %s = %g: expected %g to %g", q->name, v,
                  q->lo, q->hi);
        p->reference_theta[k] = v;
    }
    if (p->equation->riesz) {
        const fem_pattern apart = {.components = p->components, .held = p->held, .apart = true};
        FWM_TRY(fem_symbolic_create(&p->riesz_symbolic, p->mesh, &apart));
        FWM_TRY(fem_factor_create(&p->riesz, p->riesz_symbolic, FEM_MATRIX_DEFINITE));
        fem_riesz_matrices(p);
        return fem_factor_compute(p->riesz, p->ke);
    }
    FWM_CHECK(p->equation->matrix == FEM_MATRIX_DEFINITE && p->components == 1, FWM_INTERNAL,
              "%s: needs `riesz`, the operator of its dual norm", p->equation->name);
    FWM_TRY(fem_factor_create(&p->riesz, p->symbolic, FEM_MATRIX_DEFINITE));
    fem_riesz_matrices(p);
    return fem_factor_compute(p->riesz, p->ke);
}

static fwm_status make_weights(fem_problem *p)
{
    const fem_equation *e = p->equation;
    for (int k = 0, at = 0; k < e->n_fields; k++) {
        const double w = p->spec.field_weight[k], s = p->spec.field_scale[k];
        FWM_CHECK(isfinite(w) && isfinite(s) && s >= 0, FWM_INVALID,
                  "problem: %s: expected a finite weight and a scale above 0, found %g and %g", e->field[k], w, s);
        const double scale = s > 0 ? s : p->spec.scale, weight = w < 0 ? 0 : w > 0 ? w : 1;
        for (int c = 0; c < (e->field_kind[k] & FEM_FIELD_VECTOR ? p->mesh->dim : 1); c++)
            p->weight[at++] = weight / (scale * scale);
    }
    return FWM_OK;
}

static fwm_status make_patterns(fem_problem *p)
{
    const fem_equation *e = p->equation;
    bool late[FEM_MAX_COMPONENTS] = {false};
    for (int k = 0, at = 0; k < e->n_fields; k++)
        for (int c = 0; c < (e->field_kind[k] & FEM_FIELD_VECTOR ? p->mesh->dim : 1); c++)
            late[at++] = (e->field_kind[k] & FEM_FIELD_MULTIPLIER) != 0;
    const fem_pattern pattern = {.components = p->components, .held = p->held, .late = late};
    return fem_symbolic_create(&p->symbolic, p->mesh, &pattern);
}

static fwm_status make_parts(fem_problem *p)
{
    const fem_mesh *mesh = p->mesh;
    size_t dofs = (size_t)(mesh->cell_node_count * p->components);
    for (int d = 0; d < 2; d++) {
        p->lane[d] = fem_lane_kernels_find((ad_dtype)d);
        p->form[d] = fem_form_kernels_find(p->equation, (ad_dtype)d);
    }
    p->ke = fwm_malloc((size_t)mesh->n_cells, dofs * dofs * sizeof *p->ke);
    p->rest = fwm_calloc((size_t)(p->dof + p->n_actions), sizeof *p->rest);
    p->broken_nodes = fwm_malloc((size_t)(mesh->n_cells * mesh->cell_node_count), sizeof *p->broken_nodes);
    FWM_CHECK(p->ke && p->rest && p->broken_nodes, FWM_MEMORY, "out of memory for a problem on %lld cells",
              (long long)mesh->n_cells);
    for (int64_t i = 0; i < mesh->n_cells * mesh->cell_node_count; i++)
        p->broken_nodes[i] = (int32_t)i;
    FWM_TRY(fem_grow_threads(p, AD_F64, 1));
    FWM_TRY(fem_matrix_work_create(p, &p->work[AD_F64].thread[0]));
    FWM_TRY(fem_loads_create(p));
    FWM_TRY(fem_point_sources_create(p));
    FWM_TRY(fem_conditions_create(p));
    FWM_TRY(make_weights(p));
    FWM_TRY(make_patterns(p));
    FWM_TRY(make_riesz(p));
    for (int kind = 0; kind <= fem_substep(p, p->spec.substeps - 1).kind; kind++)
        FWM_TRY(fem_factor_create(&p->step[kind], p->symbolic, p->equation->matrix));
    for (int k = 0; k < p->equation->n_parameters; k++) {
        size_t room = p->equation->parameter[k].per_cell ? (size_t)mesh->n_cells : 1;
        p->step_theta[k] = fwm_malloc(room, sizeof(double));
        p->step_theta64[k] = fwm_malloc(room, sizeof(double));
        FWM_CHECK(p->step_theta[k] && p->step_theta64[k], FWM_MEMORY, "out of memory for a problem");
    }
    return FWM_OK;
}

fwm_status fem_problem_create(fem_problem **problem, const fem_problem_spec *spec)
{
    *problem = NULL;
    const fem_equation *equation;
    FWM_TRY(fem_equation_find(spec->equation, &equation));
    FWM_TRY(check_spec(spec));
    const int dim = spec->mesh->dim, components = fem_equation_components(equation, dim);
    FWM_CHECK(equation->max_dim == 0 || dim <= equation->max_dim, FWM_INVALID,
              "problem: %s lives in %d dimensions, the mesh has %d", equation->name, equation->max_dim, dim);
    FWM_CHECK(spec->mesh->n_nodes * components < INT32_MAX / 2, FWM_OVERFLOW, "problem: %lld nodes are too many",
              (long long)spec->mesh->n_nodes);
    fem_problem *p = fwm_calloc(1, sizeof *p);
    fem_source *sources = fwm_calloc((size_t)spec->n_sources, sizeof *sources);
    fem_condition *conditions = fwm_calloc((size_t)spec->n_conditions, sizeof *conditions);
    if (!p || !sources || !conditions) {
        fwm_free(p);
        fwm_free(sources);
        fwm_free(conditions);
        return fwm_fail(FWM_MEMORY, "out of memory for a problem");
    }
    if (spec->n_sources > 0)
        memcpy(sources, spec->source, (size_t)spec->n_sources * sizeof *sources);
    if (spec->n_conditions > 0)
        memcpy(conditions, spec->condition, (size_t)spec->n_conditions * sizeof *conditions);
    p->equation = equation;
    p->components = components;
    p->mesh = spec->mesh;
    p->spec = *spec;
    p->spec.source = sources;
    p->spec.condition = conditions;
    p->spec.substeps = spec->substeps > 0 ? spec->substeps : 1;
    p->spec.scale = spec->scale > 0 ? spec->scale : 1;
    p->n_sources = spec->n_sources;
    for (int k = 0; k < spec->n_conditions; k++)
        p->n_driven += conditions[k].driven;
    p->n_actions = spec->n_sources + equation->n_ambient + p->n_driven;
    p->dof = spec->mesh->n_nodes * components;
    fwm_status status =
        p->n_actions > FEM_MAX_ACTIONS
            ? fwm_fail(FWM_INVALID, "problem: expected at most %d actions, found %d", FEM_MAX_ACTIONS, p->n_actions)
            : make_parts(p);
    if (status != FWM_OK)
        fem_problem_destroy(&p);
    *problem = p;
    return status;
}

void fem_problem_destroy(fem_problem **problem)
{
    fem_problem *p = *problem;
    if (!p)
        return;
    *problem = NULL;
    fem_customs_destroy(p);
    fem_factor_destroy(&p->riesz);
    for (int kind = 0; kind < FEM_STAGE_KINDS; kind++)
        fem_factor_destroy(&p->step[kind]);
    fem_symbolic_destroy(&p->symbolic);
    fem_symbolic_destroy(&p->riesz_symbolic);
    fem_conditions_destroy(p);
    fem_point_sources_destroy(p);
    for (int k = 0; k < FEM_MAX_PARAMETERS; k++) {
        fwm_free(p->step_theta[k]);
        fwm_free(p->step_theta64[k]);
    }
    for (int d = 0; d < 2; d++) {
        workspace_free(&p->work[d]);
        fem_sparse_destroy(&p->sparse[d]);
    }
    void *arrays[] = {p->load_row, p->load_action, p->load_weight,  p->load_weight_f32,
                      p->ke,       p->rest,        p->broken_nodes, p->reference_theta};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free((void *)(uintptr_t)p->spec.source);
    fwm_free((void *)(uintptr_t)p->spec.condition);
    fwm_free(p);
}

const fem_equation *fem_problem_equation(const fem_problem *p)
{
    return p->equation;
}

const fem_mesh *fem_problem_mesh(const fem_problem *p)
{
    return p->mesh;
}

int fem_problem_components(const fem_problem *p)
{
    return p->components;
}

int fem_problem_actions(const fem_problem *p)
{
    return p->n_actions;
}
