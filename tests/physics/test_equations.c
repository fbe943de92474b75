/* Every equation on every element that it lives on: Taylor remainders of residual and step in every input, the adjoint
 * solve's own check; and the order in time of every scheme. A new equation is one row of cases.h. */
#include "cases.h"
#include "taylor.h"

TestSuite(equations, .fini = fem_finalize);

/* An equation without a row would pass unseen. */
Test(equations, every_one_has_a_case)
{
    for (int k = 0; fem_equation_at(k); k++) {
        bool found = false;
        for (int i = 0; i < EQUATION_CASES; i++)
            found = found || strcmp(equation_cases[i].name, fem_equation_at(k)->name) == 0;
        cr_expect(found, "%s has no row in cases.h", fem_equation_at(k)->name);
    }
}

/* ---- gradients ---- */

static void check_gradients(const equation_case *c, taylor_kind kind, fem_element element, fem_scheme scheme,
                            int substeps)
{
    const fem_equation *e = case_equation(c);
    fem_mesh *mesh = case_mesh(element);
    const int dim = mesh->dim;
    fem_problem *p = case_problem(c, mesh, &dim, scheme, substeps);
    const int64_t n = TAYLOR_BATCH * mesh->n_nodes * fem_problem_components(p),
                  actions = TAYLOR_BATCH * fem_problem_actions(p);
    taylor t = {
        .problem = p,
        .kind = kind,
        .x = {case_states(c, mesh, 1, TAYLOR_BATCH), case_states(c, mesh, 2, TAYLOR_BATCH), noise(3, actions, 0.1, 1)},
        .count = {n, n, actions},
        .first_step = 1.0 / 64};
    for (int k = 0; k < e->n_parameters; k++)
        t.x[3 + k] = case_parameter(c, mesh, k, &t.count[3 + k]);
    taylor_check(&t, c->unread[dim] << 3);
    if (kind == TAYLOR_STEP) {
        const double error = fem_problem_adjoint_error(p, AD_F64);
        cr_expect(error > 0 && error < 1e-8, "%s on %s %s: adjoint solves are off by %g", c->name,
                  fem_element_cell(element), fem_element_space(element), error);
    }
    for (int k = 0; k < 3 + e->n_parameters; k++)
        free(t.x[k]);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

/* Schemes take turns, so that each meets every equation. */
static void check_element(fem_element element)
{
    MUST(fwm_threads_init(2));
    for (int k = 0; k < EQUATION_CASES; k++) {
        const equation_case *c = &equation_cases[k];
        if (!case_lives(c, element))
            continue;
        const fem_scheme scheme = (fem_scheme)(((int)element + k) % FEM_SCHEME_COUNT);
        const int substeps = scheme == FEM_BDF2 ? 2 : scheme == FEM_GENERALISED_ALPHA ? 3 : 1;
        const double start = fwm_seconds();
        check_gradients(c, TAYLOR_RESIDUAL, element, scheme, substeps);
        check_gradients(c, TAYLOR_STEP, element, scheme, substeps);
        fprintf(stderr, "%-20s %s %s (%s): %.2f s\n", c->name, fem_element_cell(element), fem_element_space(element),
                fem_scheme_name(scheme), fwm_seconds() - start);
    }
}

Test(equations, gradients_on_triangles)
{
    check_element(FEM_P1);
}
Test(equations, gradients_on_quadrilaterals)
{
    check_element(FEM_Q1);
}
Test(equations, gradients_on_quadratic_triangles)
{
    check_element(FEM_P2);
}
Test(equations, gradients_on_quadratic_quadrilaterals)
{
    check_element(FEM_Q2);
}
Test(equations, gradients_on_tetrahedra)
{
    check_element(FEM_TET_P1);
}
Test(equations, gradients_on_hexahedra)
{
    check_element(FEM_HEX_Q1);
}
Test(equations, gradients_on_quadratic_tetrahedra)
{
    check_element(FEM_TET_P2);
}
Test(equations, gradients_on_quadratic_hexahedra)
{
    check_element(FEM_HEX_Q2);
}

/* ---- orders in time ---- */

/* Smooth fields within their ranges, nearly at rest where waves would be fast. */
static void smooth_state(const equation_case *c, const fem_mesh *mesh, double *u)
{
    const fem_equation *e = case_equation(c);
    const int components = fem_equation_components(e, mesh->dim);
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        for (int k = 0; k < components; k++) {
            const double *x = mesh->nodes + mesh->dim * i, *lo = &c->lo[case_field(e, mesh->dim, k)],
                         *hi = &c->hi[case_field(e, mesh->dim, k)];
            u[i * components + k] = (*lo + *hi) / 2 + 0.4 * (*hi - *lo) * sin(1.7 * x[0] - 1.1 * x[1] + 0.8 * k);
        }
}

/* A field in x that the transport of advection and diffusion leaves linear: its strong residual vanishes, so that the
 * stabilisation, whose tau holds the step, adds nothing. */
static void linear_state(const fem_mesh *mesh, double *u)
{
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        u[i] = 0.3 + 0.5 * mesh->nodes[2 * i] - 0.4 * mesh->nodes[2 * i + 1];
}

typedef struct time_case {
    const equation_case *c;
    fem_mesh *mesh;
    fem_theta theta;
    double value[FEM_MAX_PARAMETERS], span, *start, *a;
    int64_t dof;
} time_case;

static fem_problem *time_problem(const time_case *t, double dt, fem_scheme scheme, int substeps)
{
    fem_problem *p;
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = t->c->name,
                                                    .mesh = t->mesh,
                                                    .dt = dt,
                                                    .substeps = substeps,
                                                    .scheme = scheme,
                                                    .spectral_radius = 0.5}));
    return p;
}

static void time_step(const time_case *t, double *u1, const double *u0, double dt, fem_scheme scheme, int substeps)
{
    fem_problem *p = time_problem(t, dt, scheme, substeps);
    MUST(fem_step(p, AD_F64, u1, u0, t->a, &t->theta, 1));
    fem_problem_destroy(&p);
}

/* Quadratic elements for Navier-Stokes (whose linear ones hold the step in tau), no stabilisation for shallow water
 * (whose coefficient is that of the state before); a first short step makes velocities free of divergence. */
static time_case time_case_make(const equation_case *c)
{
    time_case t = {.c = c, .span = c->dt};
    const bool flow = strcmp(c->name, "navier_stokes") == 0, wind = strcmp(c->name, "advection_diffusion") == 0;
    const fem_equation *e = case_equation(c);
    if (e->n_fields > 1 && strcmp(e->field[1], "velocity") == 0) /* the mesh's own waves want a shorter one */
        t.span = c->dt / 2;
    MUST(fem_mesh_create(&t.mesh,
                         &(fem_mesh_spec){.element = flow ? FEM_Q2 : FEM_Q1, .nx = 4, .ny = 4, .lx = 1, .ly = 1}));
    for (int k = 0; k < e->n_parameters; k++) {
        t.value[k] = (c->theta_lo[k] + c->theta_hi[k]) / 2;
        t.theta.count[k] = 1;
        if (strcmp(e->parameter[k].name, "stabilisation") == 0)
            t.value[k] = 0;
        if (wind && k == 0)
            t.value[k] = e->parameter[k].lo;
    }
    t.dof = t.mesh->n_nodes * fem_equation_components(e, 2);
    t.start = malloc((size_t)t.dof * sizeof *t.start);
    t.a = noise(5, FEM_MAX_ACTIONS, 0.1, 0.2);
    double *u = malloc((size_t)t.dof * sizeof *u);
    if (wind)
        linear_state(t.mesh, u);
    else
        smooth_state(c, t.mesh, u);
    for (int k = 0; k < e->n_parameters; k++)
        t.theta.value[k] = t.value + k;
    time_step(&t, t.start, u, c->dt / 50, FEM_BACKWARD_EULER, 1);
    free(u);
    return t;
}

/* Largest difference in components that are no multiplier. */
static double apart(const time_case *t, const double *x, const double *y)
{
    const fem_equation *e = case_equation(t->c);
    const int components = fem_equation_components(e, 2);
    double most = 0;
    for (int64_t i = 0; i < t->dof; i++)
        if (!(e->field_kind[case_field(e, 2, (int)(i % components))] & FEM_FIELD_MULTIPLIER))
            most = fmax(most, fabs(x[i] - y[i]));
    return most;
}

/* Successive differences over 8, 16, 32, 64 substeps fall at the scheme's order, and all schemes end in one state. The
 * midpoint rule of displacement and velocity is Newmark's method. */
Test(equations, every_scheme_has_its_order_in_time)
{
    enum { RUNS = 4, FIRST = 8 };
    static const double order[FEM_SCHEME_COUNT] = {1, 2, 2, 2};
    MUST(fwm_threads_init(1));
    for (int k = 0; k < EQUATION_CASES; k++) {
        time_case t = time_case_make(&equation_cases[k]);
        for (int i = 0; i < case_equation(t.c)->n_parameters; i++)
            t.theta.value[i] = t.value + i;
        double *u[2] = {malloc((size_t)t.dof * 8), malloc((size_t)t.dof * 8)}, *limit = malloc((size_t)t.dof * 8);
        time_step(&t, limit, t.start, t.span, FEM_MIDPOINT, FEM_MAX_SUBSTEPS);
        double limit_error = 0;
        for (int s = 0; s < FEM_SCHEME_COUNT; s++) {
            const fem_scheme scheme = (fem_scheme)(s == 0 ? FEM_MIDPOINT : s == FEM_MIDPOINT ? FEM_BACKWARD_EULER : s);
            double d[RUNS] = {0};
            for (int r = 0; r < RUNS; r++) {
                time_step(&t, u[r % 2], t.start, t.span, scheme, FIRST << r);
                d[r] = r > 0 ? apart(&t, u[0], u[1]) : 0;
            }
            const double found = log2(d[RUNS - 2] / d[RUNS - 1]), off = apart(&t, u[(RUNS - 1) % 2], limit);
            if (scheme == FEM_MIDPOINT)
                limit_error = d[RUNS - 1];
            fprintf(stderr, "%-20s %-18s order %.3f (last difference %.1e)\n", t.c->name, fem_scheme_name(scheme),
                    found, d[RUNS - 1]);
            cr_expect(d[RUNS - 1] > 1e-10 && fabs(found - order[scheme]) < 0.1, "%s, %s: order %.3f", t.c->name,
                      fem_scheme_name(scheme), found);
            cr_expect(off < 1.5 * (d[RUNS - 1] + limit_error), "%s, %s: ends %g from the midpoint rule, errors %g %g",
                      t.c->name, fem_scheme_name(scheme), off, d[RUNS - 1], limit_error);
        }
        free(u[0]), free(u[1]), free(limit), free(t.start), free(t.a);
        fem_mesh_destroy(&t.mesh);
    }
}
