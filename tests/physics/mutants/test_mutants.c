/* Every member that an equation's transposed point functions write, made 5 % too large: the Taylor test of the residual
 * must notice it. */
#include "../cases.h"
#include "../taylor.h"
#include "mutants.h"

#include "physics/problem_impl.h"

TestSuite(mutants, .fini = fem_finalize);

#define EQUATIONS(X)                                                                                                   \
    X(heat)                                                                                                            \
    X(conduction)                                                                                                      \
    X(advection_diffusion)                                                                                             \
    X(allen_cahn)                                                                                                      \
    X(wave)                                                                                                            \
    X(elasticity)                                                                                                      \
    X(neo_hookean)                                                                                                     \
    X(stable_neo_hookean)                                                                                              \
    X(gray_scott)                                                                                                      \
    X(fitzhugh_nagumo)                                                                                                 \
    X(burgers)                                                                                                         \
    X(navier_stokes)                                                                                                   \
    X(shallow_water)

#define DECLARE(name) extern const fem_mutant fem_mutant_##name;
#define LISTED(name) &fem_mutant_##name,
EQUATIONS(DECLARE)
static const fem_mutant *const mutants[EQUATION_CASES] = {EQUATIONS(LISTED)};

typedef struct gradients {
    double *g[TAYLOR_INPUTS];
} gradients;

static gradients pull(const taylor *t, const double *w, int inputs)
{
    gradients g = {{NULL}};
    for (int k = 0; k < inputs; k++)
        g.g[k] = calloc((size_t)t->count[k] + 1, sizeof(double));
    taylor_pull(t, g.g, w);
    return g;
}

static void gradients_free(gradients *g, int inputs)
{
    for (int k = 0; k < inputs; k++)
        free(g->g[k]);
}

/* Whether an input whose gradient is another than the good one fails its test. */
static bool is_noticed(taylor *t, const gradients *good, const double *w, int inputs)
{
    gradients bad = pull(t, w, inputs);
    bool noticed = false;
    for (int k = 0; k < inputs && !noticed; k++)
        if (memcmp(bad.g[k], good->g[k], (size_t)t->count[k] * sizeof(double)) != 0)
            noticed = !taylor_is_good(taylor_measure(t, k, bad.g[k], w));
    gradients_free(&bad, inputs);
    return noticed;
}

static void check_equation(const equation_case *c, const fem_mutant *m)
{
    const fem_equation *e = case_equation(c);
    fem_mesh *mesh = case_mesh(FEM_Q1);
    const int dim = mesh->dim, inputs = 3 + e->n_parameters;
    fem_problem *p = case_problem(c, mesh, &dim, FEM_BACKWARD_EULER, 1);
    const int64_t n = TAYLOR_BATCH * mesh->n_nodes * fem_problem_components(p),
                  actions = TAYLOR_BATCH * fem_problem_actions(p);
    taylor t = {
        .problem = p,
        .kind = TAYLOR_RESIDUAL,
        .x = {case_states(c, mesh, 1, TAYLOR_BATCH), case_states(c, mesh, 2, TAYLOR_BATCH), noise(3, actions, 0.1, 1)},
        .count = {n, n, actions},
        .first_step = 1.0 / 64};
    for (int k = 0; k < e->n_parameters; k++)
        t.x[3 + k] = case_parameter(c, mesh, k, &t.count[3 + k]);
    cr_assert_eq(m->kernels->lanes, p->lane[AD_F64]->lanes);
    p->form[AD_F64] = m->kernels;
    double *w = noise(30, n, 0.2, 1);
    m->choose(-1);
    gradients good = pull(&t, w, inputs);
    int found = 0, of = 0;
    for (int k = 0; k < inputs; k++)
        cr_expect(t.count[k] == 0 || taylor_is_good(taylor_measure(&t, k, good.g[k], w)),
                  "%s: input %d without a mutant", c->name, k);
    for (int k = 0; k < 2 * m->members; k++) {
        if (!m->written(k))
            continue;
        m->choose(k);
        const bool noticed = is_noticed(&t, &good, w, inputs);
        cr_expect(noticed, "%s: member %d of %s is 5 %% too large, and nothing notices", c->name, k % m->members,
                  k < m->members ? "qb" : "bb");
        found += noticed;
        of++;
    }
    fprintf(stderr, "%-20s %d of %d mutants noticed\n", c->name, found, of);
    cr_expect(of > 3, "%s: %d members", c->name, of);
    gradients_free(&good, inputs);
    for (int k = 0; k < inputs; k++)
        free(t.x[k]);
    free(w);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

Test(mutants, all_are_noticed)
{
    setenv("FWM_ISA", "1", 1);
    MUST(fwm_threads_init(1));
    for (int k = 0; k < EQUATION_CASES; k++) {
        cr_assert_str_eq(mutants[k]->name, equation_cases[k].name);
        check_equation(&equation_cases[k], mutants[k]);
    }
}
