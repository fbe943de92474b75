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
