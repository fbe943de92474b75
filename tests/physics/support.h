/* What the physics tests share: a small plate with uneven conductivity, fields, and the Taylor test. */
#ifndef FWM_TESTS_PHYSICS_SUPPORT_H
#define FWM_TESTS_PHYSICS_SUPPORT_H

#include "model/base/random.h"
#include "model/base/threads.h"
#include "physics/fem.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call) cr_assert_eq((call), FWM_OK, "%s", fwm_error_message())

enum { CONDUCTIVITY, LOSS, RADIATION, TEMPERATURE, PARAMETERS };

typedef struct plate {
    fem_mesh *mesh;
    fem_problem *problem;
    double *k, *scalar; /* conductivity [n_cells]; loss, radiation, temperature */
    int64_t n, actions;
} plate;

static inline double *noise(uint32_t stream, int64_t n, double lo, double hi)
{
    double *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = lo + (hi - lo) * fwm_random_uniform((fwm_key){17, stream}, 0, (uint32_t)i);
    return x;
}

static inline float *to_float(const double *x, int64_t n)
{
    float *y = malloc((size_t)n * sizeof *y);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)x[i];
    return y;
}

/* Two heaters, k in [0.5,2] cell by cell, lam 3, eps `radiation`, T0 `temperature`. */
static inline plate plate_make(fem_element element, int64_t nx, int64_t ny, double dt, int substeps, fem_norm norm,
                               double radiation, double temperature)
{
    static const fem_source heaters[2] = {{.x = 0.3, .y = 0.4, .half_width = 0.13, .power = 20},
                                          {.x = 0.7, .y = 0.6, .half_width = 0.21, .power = 10}};
    plate p = {.actions = 3, .scalar = malloc(3 * sizeof(double))};
    memcpy(p.scalar, (double[]){3, radiation, temperature}, 3 * sizeof(double));
    MUST(fwm_threads_init(2));
    MUST(fem_mesh_create(&p.mesh, &(fem_mesh_spec){.element = element, .nx = nx, .ny = ny, .lx = 1.2, .ly = 0.9}));
    MUST(fem_problem_create(&p.problem, &(fem_problem_spec){.equation = "heat",
                                                            .mesh = p.mesh,
                                                            .dt = dt,
                                                            .substeps = substeps,
                                                            .n_sources = 2,
                                                            .source = heaters,
                                                            .norm = norm,
                                                            .scale = 0.7}));
    p.k = noise(1, p.mesh->n_cells, 0.5, 2);
    p.n = p.mesh->n_nodes;
    return p;
}

static inline fem_theta plate_theta(const plate *p)
{
    return (fem_theta){{p->k, &p->scalar[0], &p->scalar[1], &p->scalar[2]}, {p->mesh->n_cells, 1, 1, 1}};
}

static inline void plate_free(plate *p)
{
    free(p->k);
    free(p->scalar);
    fem_problem_destroy(&p->problem);
    fem_mesh_destroy(&p->mesh);
}

static inline double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static inline double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

#endif
