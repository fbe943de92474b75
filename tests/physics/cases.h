/* Every equation with what a test of all of them needs: states, parameters and steps within its range, and a problem
 * on any element with conditions, sources and actions of every kind that it knows. */
#ifndef FWM_TESTS_PHYSICS_CASES_H
#define FWM_TESTS_PHYSICS_CASES_H

#include "boxes.h"

#include <stdio.h>

enum { CASE_SOURCES = 3, CASE_FIELDS = 2 };

typedef struct equation_case {
    const char *name;
    double lo[CASE_FIELDS], hi[CASE_FIELDS];                           /* of each field's values */
    double theta_lo[FEM_MAX_PARAMETERS], theta_hi[FEM_MAX_PARAMETERS]; /* of each parameter's */
    double dt;
    const char *held;    /* the field that a driven essential condition holds on the left side */
    const char *sourced; /* the component that sources act on */
    unsigned unread[4];  /* parameters (as bits) that are not read, in 2 and 3 dimensions */
} equation_case;

#define CASE_SOLID_LO                                                                                                  \
    {                                                                                                                  \
        1, 0.2, 0.8, 0.1                                                                                               \
    }
#define CASE_SOLID_HI                                                                                                  \
    {                                                                                                                  \
        2, 0.4, 1.5, 0.3                                                                                               \
    }
static const equation_case equation_cases[] = {
    {"heat", {-0.5}, {1}, {0.5, 1, 0.02, 2.5}, {2, 4, 0.1, 3.5}, 0.05, "temperature", "temperature", {0}},
    {"conduction",
     {-0.5},
     {1},
     {0.5, 0.8, 0.5, 0.01, 2.5},
     {2, 1.5, 1, 0.05, 3.5},
     0.05,
     "temperature",
     "temperature",
     {0}},
    {"advection_diffusion",
     {-1},
     {1},
     {0.01, 0.1, 0.5, 0.3, -0.8},
     {0.05, 0.5, 1.5, 0.9, -0.3},
     0.05,
     "concentration",
     "concentration",
     {0, 0, 1 << 4}},
    {"allen_cahn", {-1.1}, {1.2}, {0.01, 0.5}, {0.03, 1.5}, 0.25, "phase", "phase", {0}},
    {"wave", {-1, -1}, {1, 1}, {0.7, 0.1}, {1.4, 0.4}, 0.1, "displacement", "velocity", {0}},
    {"elasticity", {-0.3, -0.5}, {0.3, 0.5}, CASE_SOLID_LO, CASE_SOLID_HI, 0.1, "displacement", "velocity.y", {0}},
    {"neo_hookean", {-0.015, -0.2}, {0.015, 0.2}, CASE_SOLID_LO, CASE_SOLID_HI, 0.1, "displacement", "velocity.y", {0}},
    {"stable_neo_hookean",
     {-0.03, -0.2},
     {0.03, 0.2},
     CASE_SOLID_LO,
     CASE_SOLID_HI,
     0.1,
     "displacement",
     "velocity.y",
     {0}},
    {"gray_scott",
     {0.3, 0.1},
     {1, 0.5},
     {0.02, 0.01, 0.03, 0.05},
     {0.04, 0.03, 0.05, 0.07},
     0.5,
     "substrate",
     "activator",
     {0}},
    {"fitzhugh_nagumo",
     {-0.5, -0.5},
     {0.5, 0.5},
     {0.02, 0.03, 0.005, 0.8, 0.8},
     {0.04, 0.05, 0.01, 1.2, 1.2},
     0.2,
     "activator",
     "inhibitor",
     {0}},
    {"burgers", {-1}, {1}, {0.05}, {0.2}, 0.05, "velocity.x", "velocity.y", {0}},
    /* Into the right and the top sides: an outflow that turns back, away from its kink. */
    {"navier_stokes", {-1, -0.5}, {-0.2, 0.5}, {0.05}, {0.2}, 0.05, "velocity", "velocity.x", {0}},
    {"shallow_water",
     {0.9, -0.2},
     {1.1, 0.2},
     {0.8, 0.02, 0.1, 0.2},
     {1.2, 0.05, 0.3, 0.4},
     0.05,
     "discharge.x",
     "depth",
     {0}},
};
enum { EQUATION_CASES = sizeof equation_cases / sizeof *equation_cases };

static inline const fem_equation *case_equation(const equation_case *c)
{
    const fem_equation *e = NULL;
    MUST(fem_equation_find(c->name, &e));
    return e;
}

static inline bool case_lives(const equation_case *c, fem_element element)
{
    const fem_equation *e = case_equation(c);
    return e->max_dim == 0 || fem_element_dim(element) <= e->max_dim;
}

/* The field of a component. */
static inline int case_field(const fem_equation *e, int dim, int component)
{
    int k = 0;
    for (; component >= (e->field_kind[k] & FEM_FIELD_VECTOR ? dim : 1); k++)
        component -= e->field_kind[k] & FEM_FIELD_VECTOR ? dim : 1;
    return k;
}

/* Random states [batch,n,c] within the fields' ranges. */
static inline double *case_states(const equation_case *c, const fem_mesh *mesh, uint32_t stream, int64_t batch)
{
    const fem_equation *e = case_equation(c);
    const int components = fem_equation_components(e, mesh->dim);
    double *u = noise(stream, batch * mesh->n_nodes * components, 0, 1);
    for (int64_t i = 0; i < batch * mesh->n_nodes * components; i++) {
        const int field = case_field(e, mesh->dim, (int)(i % components));
        u[i] = c->lo[field] + (c->hi[field] - c->lo[field]) * u[i];
    }
    return u;
}

/* One value a cell where the parameter may vary, else one. */
static inline double *case_parameter(const equation_case *c, const fem_mesh *mesh, int k, int64_t *count)
{
    *count = case_equation(c)->parameter[k].per_cell ? mesh->n_cells : 1;
    return noise(70 + (uint32_t)k, *count, c->theta_lo[k], c->theta_hi[k]);
}

/* A few cells, no two alike, quadrilaterals and hexahedra not parallel. */
static inline fem_mesh *case_mesh(fem_element element)
{
    if (fem_element_dim(element) == 2)
        return crooked_box(element, 2);
    fem_mesh *box, *mesh;
    MUST(fwm_threads_init(2));
    MUST(fem_mesh_create(
        &box, &(fem_mesh_spec){.element = element, .nx = 2, .ny = 1, .nz = 1, .lx = 1.2, .ly = 0.7, .lz = 0.8}));
    for (int64_t i = 0; i < box->n_vertices; i++)
        if (fabs(box->vertices[3 * i] - 0.6) < 0.1)
            box->vertices[3 * i] += 0.1 * cos(5.0 * (double)i);
    MUST(fem_mesh_from_arrays(&mesh, element, box->n_vertices, box->vertices, box->n_cells, box->cells));
    fem_mesh_destroy(&box);
    return mesh;
}

static inline double case_bump(const double *x, void *dim)
{
    return 0.6 + 0.5 * sin(2 * x[0] + x[1] + (*(const int *)dim == 3 ? 1.5 * x[2] : 0));
}

/* The last component that is no multiplier, by name. */
static inline const char *case_last(const fem_equation *e, int dim, char name[FEM_NAME_BYTES])
{
    int k = e->n_fields - 1;
    while (e->field_kind[k] & FEM_FIELD_MULTIPLIER)
        k--;
    const bool vector = e->field_kind[k] & FEM_FIELD_VECTOR;
    (void)snprintf(name, FEM_NAME_BYTES, vector ? "%s.%c" : "%s", e->field[k], "xyz"[dim - 1]);
    return name;
}

/* Every natural condition of the equation at the top, the last also at the right, after the n conditions there are. */
static inline int case_natural(const fem_equation *e, fem_condition *conditions, int n)
{
    for (int k = 0; k < e->n_natural; k++)
        conditions[n++] = (fem_condition){.boundary = "top", .natural = e->natural[k]};
    if (e->n_natural > 0)
        conditions[n++] = (fem_condition){.boundary = "right", .natural = e->natural[e->n_natural - 1]};
    return n;
}

/* A driven essential condition on the left, every natural one that the equation knows at the top, its last on the
 * right too, densities and a load on a boundary. *dim outlives the problem. */
static inline fem_problem *case_problem(const equation_case *c, const fem_mesh *mesh, const int *dim, fem_scheme scheme,
                                        int substeps)
{
    const fem_equation *e = case_equation(c);
    void *context = (void *)(uintptr_t)dim;
    char last[FEM_NAME_BYTES];
    const fem_source sources[CASE_SOURCES] = {
        {.power = 0.3, .field = c->sourced, .density = case_bump, .context = context},
        {.power = 0.2, .field = c->sourced, .boundary = "right"},
        {.power = 0.1, .field = case_last(e, *dim, last), .density = case_bump, .context = context}};
    fem_condition conditions[FEM_MAX_NATURAL + 2] = {{.boundary = "left",
                                                      .field = c->held,
                                                      .constant = 0.02,
                                                      .gain = 0.03,
                                                      .profile = case_bump,
                                                      .context = context,
                                                      .driven = true}};
    const int n = case_natural(e, conditions, 1);
    fem_problem *p;
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = c->name,
                                                    .mesh = mesh,
                                                    .dt = c->dt,
                                                    .substeps = substeps,
                                                    .scheme = scheme,
                                                    .spectral_radius = 0.5,
                                                    .n_sources = CASE_SOURCES,
                                                    .source = sources,
                                                    .n_conditions = n,
                                                    .condition = conditions}));
    return p;
}

#endif
