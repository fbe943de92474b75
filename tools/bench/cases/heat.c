/* The heat equation on the mesh of heat_plate: residual, its adjoint, the implicit step, for a batch of states. The law
 * of the `heat` rows is the one that the model knows, a conductivity for each cell and a linear loss, which takes the
 * fast path of affine equations; that of the `radiating` rows is the truth's, which is swept, with bars of all its
 * parameters. */
#include "model/base/arena.h"
#include "physics/fem.h"
#include "tools/bench/bench.h"

enum { CONDUCTIVITY, LOSS, RADIATION, TEMPERATURE, PARAMETERS };
enum { BATCH = 16, CELLS = 64, HEATERS = 4, ACTIONS = HEATERS + 1, ARRAYS = 8 };
enum array { U1, U0, A, RESIDUAL, BAR_U1, BAR_U0, BAR_A, BAR_K };

typedef struct state {
    fem_mesh *mesh;
    fem_problem *problem;
    ad_dtype dtype;
    void *array[ARRAYS], *k, *scalar, *bar_scalar; /* the scalars [PARAMETERS], of which the first is not used */
    bool radiates;
} state;

static void put(const state *s, void *x, int64_t i, double value)
{
    if (s->dtype == AD_F64)
        ((double *)x)[i] = value;
    else
        ((float *)x)[i] = (float)value;
}

static fwm_status make_numbers(state *s)
{
    const int64_t n = BATCH * s->mesh->n_nodes, cells = s->mesh->n_cells;
    const int64_t count[ARRAYS] = {n, n, BATCH * ACTIONS, n, n, n, BATCH * ACTIONS, cells};
    const size_t size = ad_dtype_size(s->dtype);
    float *normal = fwm_malloc((size_t)n, sizeof *normal);
    FWM_CHECK(normal, FWM_MEMORY, "out of memory");
    bench_fill(normal, n);
    bool whole = true;
    for (int a = 0; a < ARRAYS; a++) {
        s->array[a] = fwm_calloc((size_t)count[a], size);
        whole = whole && s->array[a];
        for (int64_t i = 0; s->array[a] && i < count[a] && i < n; i++)
            put(s, s->array[a], i, (a == U1 ? 0.9 : 1) * (double)normal[i]);
    }
    s->k = fwm_malloc((size_t)cells, size);
    s->scalar = fwm_malloc(PARAMETERS, size);
    s->bar_scalar = fwm_malloc(PARAMETERS, size);
    whole = whole && s->k && s->scalar && s->bar_scalar;
    for (int64_t i = 0; whole && i < cells; i++)
        put(s, s->k, i, 1 + 0.5 * (double)(i % 3));
    const double preset[PARAMETERS] = {[LOSS] = 5, [RADIATION] = s->radiates ? 0.1 : 0, [TEMPERATURE] = 3};
    for (int k = 0; whole && k < PARAMETERS; k++)
        put(s, s->scalar, k, preset[k]);
    fwm_free(normal);
    FWM_CHECK(whole, FWM_MEMORY, "out of memory");
    return FWM_OK;
}

/* size: element, dtype, whether it radiates. */
static fwm_status open_case(bench_job *job)
{
    static const fem_source heater[HEATERS] = {{.x = 0.22, .y = 0.25, .half_width = 0.1, .power = 300},
                                               {.x = 0.25, .y = 0.78, .half_width = 0.1, .power = 300},
                                               {.x = 0.78, .y = 0.28, .half_width = 0.1, .power = 300},
                                               {.x = 0.72, .y = 0.75, .half_width = 0.1, .power = 300}};
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    s->dtype = (ad_dtype)job->row->size[1];
    s->radiates = job->row->size[2] != 0;
    const fem_mesh_spec box = {.element = (fem_element)job->row->size[0], .nx = CELLS, .ny = CELLS, .lx = 1, .ly = 1};
    FWM_TRY(fem_mesh_create(&s->mesh, &box));
    const fem_problem_spec spec = {
        .equation = "heat", .mesh = s->mesh, .dt = 5e-4, .substeps = 1, .n_sources = HEATERS, .source = heater};
    FWM_TRY(fem_problem_create(&s->problem, &spec));
    FWM_TRY(fem_problem_reserve(s->problem, s->dtype, BATCH));
    job->items = BATCH;
    return make_numbers(s);
}

static fem_theta theta_of(const state *s)
{
    fem_theta theta = {.value = {s->k}, .count = {s->mesh->n_cells}};
    for (int k = LOSS; k < PARAMETERS; k++) {
        theta.value[k] = (const char *)s->scalar + (size_t)k * ad_dtype_size(s->dtype);
        theta.count[k] = 1;
    }
    return theta;
}

static fwm_status run_residual(void *self)
{
    const state *s = self;
    const fem_theta theta = theta_of(s);
    return fem_residual(s->problem, s->dtype, s->array[RESIDUAL], s->array[U1], s->array[U0], s->array[A], &theta,
                        BATCH);
}

static fwm_status run_vjp(void *self)
{
    const state *s = self;
    const fem_theta theta = theta_of(s);
    fem_bars bars = {.u1 = s->array[BAR_U1],
                     .u0 = s->array[BAR_U0],
                     .a = s->array[BAR_A],
                     .theta = {[CONDUCTIVITY] = s->array[BAR_K]}};
    for (int k = LOSS; k < (s->radiates ? PARAMETERS : RADIATION); k++)
        bars.theta[k] = (char *)s->bar_scalar + (size_t)k * ad_dtype_size(s->dtype);
    return fem_residual_vjp(s->problem, s->dtype, &bars, s->array[RESIDUAL], s->array[U1], s->array[U0], s->array[A],
                            &theta, BATCH);
}

static fwm_status run_step(void *self)
{
    const state *s = self;
    const fem_theta theta = theta_of(s);
    return fem_step(s->problem, s->dtype, s->array[U1], s->array[U0], s->array[A], &theta, BATCH);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    for (int a = 0; a < ARRAYS; a++)
        fwm_free(s->array[a]);
    fwm_free(s->k);
    fwm_free(s->scalar);
    fwm_free(s->bar_scalar);
    fem_problem_destroy(&s->problem);
    fem_mesh_destroy(&s->mesh);
    fwm_free(s);
}

#define HEAT(name, what, runner, element, dtype)                                                                       \
    {                                                                                                                  \
        name, what " of heat, batch 16, 64 x 64 cells", BENCH_US_STATE, BENCH_NONE,                                    \
            .size = {element, dtype, 0}, .open = open_case, .run = runner, .close = close_case                         \
    }

#define RADIATING(space, element)                                                                                      \
    {"residual_radiating_" space,                                                                                      \
     "residual of radiating heat, batch 16, 64 x 64 cells",                                                            \
     BENCH_US_STATE,                                                                                                   \
     BENCH_NONE,                                                                                                       \
     .size = {element, AD_F32, 1},                                                                                     \
     .open = open_case,                                                                                                \
     .run = run_residual,                                                                                              \
     .close = close_case},                                                                                             \
        {"residual_radiating_" space "_f64",                                                                           \
         "residual (float64) of radiating heat, batch 16, 64 x 64 cells",                                              \
         BENCH_US_STATE,                                                                                               \
         BENCH_NONE,                                                                                                   \
         .size = {element, AD_F64, 1},                                                                                 \
         .open = open_case,                                                                                            \
         .run = run_residual,                                                                                          \
         .close = close_case},                                                                                         \
        {"vjp_radiating_" space,                                                                                       \
         "all gradients of the residual of radiating heat, batch 16, 64 x 64 cells",                                   \
         BENCH_US_STATE,                                                                                               \
         BENCH_NONE,                                                                                                   \
         .size = {element, AD_F32, 1},                                                                                 \
         .open = open_case,                                                                                            \
         .run = run_vjp,                                                                                               \
         .close = close_case},                                                                                         \
    {                                                                                                                  \
        "vjp_radiating_" space "_f64",                                                                                 \
            "all gradients of the residual (float64) of radiating heat, batch 16, 64 x 64 "                            \
            "cells",                                                                                                   \
            BENCH_US_STATE, BENCH_NONE, .size = {element, AD_F64, 1}, .open = open_case, .run = run_vjp,               \
                                        .close = close_case                                                            \
    }

extern const bench_case bench_cases_heat[];
const bench_case bench_cases_heat[] = {
    HEAT("residual_heat_P1", "residual", run_residual, FEM_P1, AD_F32),
    HEAT("residual_heat_P1_f64", "residual (float64)", run_residual, FEM_P1, AD_F64),
    HEAT("vjp_heat_P1", "all gradients of the residual", run_vjp, FEM_P1, AD_F32),
    HEAT("vjp_heat_P1_f64", "all gradients of the residual (float64)", run_vjp, FEM_P1, AD_F64),
    HEAT("implicit_step_heat_P1", "implicit step, factor kept,", run_step, FEM_P1, AD_F32),
    HEAT("implicit_step_heat_P1_f64", "implicit step (float64), factor kept,", run_step, FEM_P1, AD_F64),
    HEAT("residual_heat_Q1", "residual", run_residual, FEM_Q1, AD_F32),
    HEAT("residual_heat_Q1_f64", "residual (float64)", run_residual, FEM_Q1, AD_F64),
    HEAT("vjp_heat_Q1", "all gradients of the residual", run_vjp, FEM_Q1, AD_F32),
    HEAT("vjp_heat_Q1_f64", "all gradients of the residual (float64)", run_vjp, FEM_Q1, AD_F64),
    HEAT("residual_heat_P2", "residual", run_residual, FEM_P2, AD_F32),
    HEAT("residual_heat_P2_f64", "residual (float64)", run_residual, FEM_P2, AD_F64),
    HEAT("vjp_heat_P2", "all gradients of the residual", run_vjp, FEM_P2, AD_F32),
    HEAT("vjp_heat_P2_f64", "all gradients of the residual (float64)", run_vjp, FEM_P2, AD_F64),
    RADIATING("P1", FEM_P1),
    RADIATING("Q1", FEM_Q1),
    RADIATING("P2", FEM_P2),
    RADIATING("Q2", FEM_Q2),
    {0}};
