/* The matrices of affine equations against the sweep: residual and transpose, on every element, with conditions,
 * sources and parameters of every kind. */
#include "cases.h"

#include "physics/problem_impl.h"

TestSuite(affine, .fini = fem_finalize);

enum { BATCH = 11 };

static double distance(const double *x, const double *y, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i] - y[i]));
    return most / largest(y, n);
}

/* Affine by its parameters: without radiation, emission, reaction. */
static fem_theta affine_theta(const equation_case *c, const fem_mesh *mesh, double *value[FEM_MAX_PARAMETERS])
{
    const fem_equation *e = case_equation(c);
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < e->n_parameters; k++) {
        const char *name = e->parameter[k].name;
        const bool off = strcmp(name, "radiation") == 0 || strcmp(name, "emission") == 0 ||
                         (strcmp(name, "reaction") == 0 && strcmp(c->name, "allen_cahn") == 0);
        value[k] = case_parameter(c, mesh, k, &theta.count[k]);
        for (int64_t i = 0; i < theta.count[k] && off; i++)
            value[k][i] = 0;
        theta.value[k] = value[k];
    }
    return theta;
}

static void compare(const equation_case *c, fem_element element, fem_scheme scheme)
{
    fem_mesh *mesh = case_mesh(element);
    const int dim = mesh->dim;
    fem_problem *p = case_problem(c, mesh, &dim, scheme, 1);
    const int64_t n = BATCH * p->dof, actions = BATCH * fem_problem_actions(p);
    double *value[FEM_MAX_PARAMETERS], *a = noise(3, actions, 0.1, 1), *w = noise(30, n, -1, 1);
    double *u1 = case_states(c, mesh, 1, BATCH), *u0 = case_states(c, mesh, 2, BATCH), *r = malloc((size_t)n * 16);
    double *g[2][3];
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 3; i++)
            g[k][i] = malloc((size_t)(i < 2 ? n : actions) * 8);
    const fem_theta theta = affine_theta(c, mesh, value);
    MUST(fem_residual(p, AD_F64, r, u1, u0, a, &theta, BATCH));
    cr_expect(p->sparse[AD_F64].good, "%s on %s: the matrices do not serve", c->name, fem_element_space(element));
    for (int k = 0; k < 2; k++) { /* then by the sweep */
        const fem_bars bars = {.u1 = g[k][0], .u0 = g[k][1], .a = g[k][2]};
        MUST(fem_residual(p, AD_F64, r + k * n, u1, u0, a, &theta, BATCH));
        MUST(fem_residual_vjp(p, AD_F64, &bars, w, u1, u0, a, &theta, BATCH));
        cr_expect_eq(p->sparse[AD_F64].serves != NULL, k == 0);
        p->sparse[AD_F64].good = false;
    }
    double off = distance(r, r + n, n);
    for (int i = 0; i < 3; i++)
        off = fmax(off, distance(g[0][i], g[1][i], i < 2 ? n : actions));
    cr_expect(off < 1e-12, "%s on %s %s: off by %g", c->name, fem_element_cell(element), fem_element_space(element),
              off);
    for (int k = 0; k < case_equation(c)->n_parameters; k++)
        free(value[k]);
    for (int k = 0; k < 6; k++)
        free(g[k / 3][k % 3]);
    free(a), free(w), free(u1), free(u0), free(r);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

Test(affine, matrices_are_the_sweep)
{
    static const char *const affine[] = {"heat",       "conduction", "advection_diffusion",
                                         "allen_cahn", "wave",       "elasticity"};
    MUST(fwm_threads_init(2));
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++)
        for (int k = 0; k < EQUATION_CASES; k++)
            for (size_t i = 0; i < sizeof affine / sizeof *affine; i++)
                if (strcmp(equation_cases[k].name, affine[i]) == 0)
                    compare(&equation_cases[k], (fem_element)e, e % 2 ? FEM_MIDPOINT : FEM_BACKWARD_EULER);
}

/* Another theta makes other matrices; theta's gradients, and a law that is not affine, are the sweep's. */
Test(affine, matrices_follow_theta)
{
    plate p = plate_make(FEM_P1, 5, 4, 2e-3, 1, FEM_NORM_DUAL, 0, 3);
    const fem_theta theta = plate_theta(&p);
    double *u1 = noise(2, BATCH * p.n, -1, 1), *u0 = noise(3, BATCH * p.n, -1, 1), a[BATCH * 3] = {0}, k_bar[1000];
    double *r = malloc((size_t)(BATCH * p.n) * 16), *other = r + BATCH * p.n;
    fem_sparse *s = &p.problem->sparse[AD_F64];
    MUST(fem_residual(p.problem, AD_F64, r, u1, u0, a, &theta, BATCH));
    p.k[7] *= 2;
    MUST(fem_residual(p.problem, AD_F64, r, u1, u0, a, &theta, BATCH));
    cr_expect(s->serves != NULL);
    s->good = false;
    MUST(fem_residual(p.problem, AD_F64, other, u1, u0, a, &theta, BATCH));
    cr_expect(distance(r, other, BATCH * p.n) < 1e-12);
    s->good = true;
    const fem_bars bars = {.u0 = other, .theta = {k_bar}};
    MUST(fem_residual_vjp(p.problem, AD_F64, &bars, r, u1, u0, a, &theta, BATCH));
    cr_expect_null(s->serves);
    p.scalar[1] = 0.1;
    MUST(fem_residual(p.problem, AD_F64, r, u1, u0, a, &theta, BATCH));
    cr_expect_null(s->serves);
    free(u1), free(u0), free(r);
    plate_free(&p);
}
