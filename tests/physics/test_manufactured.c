/* Every equation on every element against a manufactured steady solution: orders in L2 and H1.
 *
 * The solutions are plane waves. Their strong forms are written out here by hand, independently of the weak forms under
 * physics/forms; essential conditions hold on all sides but the right one, where the exact flux is a load. One implicit
 * Euler step so long that the rate vanishes solves the steady problem; systems of first order in displacement and
 * velocity take a step of 10, where the rate of a solution that does not change vanishes as well, because the factor
 * does not pivot and u - dt v at 1e7 leaves no digits. Errors are root mean squares over points of an additive sequence
 * in the unit box, the same on every mesh.
 *
 * Orders are p + 1 in L2 and p in H1, but for one: plain Galerkin for a hyperbolic system, which shallow water is in
 * its depth, is only bound to p + 1/2 and p - 1/2 on general meshes, and takes it where p = 2. */
#include "support.h"

#include <stdio.h>

TestSuite(manufactured, .fini = fem_finalize);

enum { MADE_POINTS = 2000, MADE_COMPONENTS = 8 };

/* A component at a point: value, gradient, Hessian. */
typedef struct jet {
    double u, g[3], h[3][3];
} jet;

typedef struct wave_of {
    double mean, size, k[3], phase;
} wave_of;

typedef struct manufactured {
    const char *name;
    int components[4]; /* in 2 and 3 dimensions at [2] and [3]; 0: does not live there */
    int judged[4];     /* leading components whose error is taken: a pressure is of lower order */
    double theta[FEM_MAX_PARAMETERS];
    const wave_of *plane, *space;
    void (*strong)(int dim, const jet *u, const double *theta, double *s); /* sources [components] */
    void (*flux)(int dim, const jet *u, const double *theta, double *s);   /* f1 along x [components] */
    double dt;                                                             /* of the one step */
    double lost[3];                                                        /* of the order, by the space's degree */
} manufactured;

/* ---- what the equations' strong forms are made of ---- */

static double laplacian(int dim, const jet *u)
{
    double sum = 0;
    for (int d = 0; d < dim; d++)
        sum += u->h[d][d];
    return sum;
}

static double divergence(int dim, const jet *u)
{
    double sum = 0;
    for (int d = 0; d < dim; d++)
        sum += u[d].g[d];
    return sum;
}

/* (w . grad) u. */
static double along(int dim, const jet *w, const jet *u)
{
    double sum = 0;
    for (int d = 0; d < dim; d++)
        sum += w[d].u * u->g[d];
    return sum;
}

/* ---- heat, advection and diffusion, reactions ---- */

static void heat_strong(int dim, const jet *u, const double *t, double *s)
{
    s[0] = -t[0] * laplacian(dim, u) + t[1] * u->u + t[2] * (pow(t[3] + u->u, 4) - pow(t[3], 4));
}

static void diffusive_flux(int dim, const jet *u, const double *t, double *s)
{
    (void)dim;
    s[0] = t[0] * u->g[0];
}

static void advection_strong(int dim, const jet *u, const double *t, double *s)
{
    s[0] = -t[0] * laplacian(dim, u) + t[1] * u->u;
    for (int d = 0; d < dim; d++)
        s[0] += t[2 + d] * u->g[d];
}

static void allen_cahn_strong(int dim, const jet *u, const double *t, double *s)
{
    s[0] = -t[0] * laplacian(dim, u) - t[1] * (u->u - pow(u->u, 3));
}

static void gray_scott_strong(int dim, const jet *u, const double *t, double *s)
{
    const double eaten = u[0].u * u[1].u * u[1].u;
    s[0] = -t[0] * laplacian(dim, &u[0]) + eaten - t[2] * (1 - u[0].u);
    s[1] = -t[1] * laplacian(dim, &u[1]) - eaten + (t[2] + t[3]) * u[1].u;
}

static void fitzhugh_nagumo_strong(int dim, const jet *u, const double *t, double *s)
{
    s[0] = -t[0] * laplacian(dim, &u[0]) - u[0].u + pow(u[0].u, 3) + u[1].u + t[2];
    s[1] = -t[1] * laplacian(dim, &u[1]) - t[3] * (u[0].u - t[4] * u[1].u);
}

static void pair_flux(int dim, const jet *u, const double *t, double *s)
{
    (void)dim;
    s[0] = t[0] * u[0].g[0];
    s[1] = t[1] * u[1].g[0];
}

/* ---- waves and solids: the velocity is zero ---- */

static void wave_strong(int dim, const jet *u, const double *t, double *s)
{
    s[0] = 0;
    s[1] = -t[0] * t[0] * laplacian(dim, u);
}

static void wave_flux(int dim, const jet *u, const double *t, double *s)
{
    (void)dim;
    s[0] = 0;
    s[1] = t[0] * t[0] * u->g[0];
}

static void lame(const double *t, double *lambda, double *mu)
{
    *lambda = t[0] * t[1] / ((1 + t[1]) * (1 - 2 * t[1]));
    *mu = t[0] / (2 * (1 + t[1]));
}

static void elasticity_strong(int dim, const jet *u, const double *t, double *s)
{
    double lambda, mu;
    lame(t, &lambda, &mu);
    for (int c = 0; c < dim; c++) {
        s[c] = 0;
        s[dim + c] = -mu * laplacian(dim, &u[c]);
        for (int d = 0; d < dim; d++)
            s[dim + c] -= (lambda + mu) * u[d].h[d][c];
    }
}

static void elasticity_flux(int dim, const jet *u, const double *t, double *s)
{
    double lambda, mu;
    lame(t, &lambda, &mu);
    for (int c = 0; c < dim; c++) {
        s[c] = 0;
        s[dim + c] = mu * (u[c].g[0] + u[0].g[c]) + (c == 0 ? lambda * divergence(dim, u) : 0);
    }
}

/* Cofactors of F = I + grad u by minors, and det F. */
static double cofactors(int dim, const jet *u, double c[3][3])
{
    double f[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, j = 0;
    for (int a = 0; a < dim; a++)
        for (int b = 0; b < dim; b++)
            f[a][b] += u[a].g[b];
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            int p = (a + 1) % 3, q = (a + 2) % 3, r = (b + 1) % 3, w = (b + 2) % 3;
            c[a][b] = f[p][r] * f[q][w] - f[p][w] * f[q][r];
        }
    for (int b = 0; b < 3; b++)
        j += f[0][b] * c[0][b];
    return j;
}

/* div P with P = mu F + s(J) C: cofactors are free of divergence (Piola), so it is mu lap u + s'(J) C grad J. */
static void hyper_strong(int dim, const jet *u, double mu, double slope, double (*c)[3], double *s)
{
    for (int a = 0; a < dim; a++) {
        s[a] = 0;
        s[dim + a] = -mu * laplacian(dim, &u[a]);
        for (int d = 0; d < dim; d++) {
            double dj = 0;
            for (int p = 0; p < dim; p++)
                for (int q = 0; q < dim; q++)
                    dj += c[p][q] * u[p].h[q][d];
            s[dim + a] -= slope * c[a][d] * dj;
        }
    }
}

static void hyper_flux(int dim, const jet *u, double mu, double size, double (*c)[3], double *s)
{
    for (int a = 0; a < dim; a++) {
        s[a] = 0;
        s[dim + a] = mu * (u[a].g[0] + (a == 0)) + size * c[a][0];
    }
}

static void neo_hookean_strong(int dim, const jet *u, const double *t, double *s)
{
    double lambda, mu, c[3][3], j = cofactors(dim, u, c);
    lame(t, &lambda, &mu);
    hyper_strong(dim, u, mu, lambda + mu / (j * j), c, s);
}

static void neo_hookean_flux(int dim, const jet *u, const double *t, double *s)
{
    double lambda, mu, c[3][3], j = cofactors(dim, u, c);
    lame(t, &lambda, &mu);
    hyper_flux(dim, u, mu, lambda * (j - 1) - mu / j, c, s);
}

static void stable_strong(int dim, const jet *u, const double *t, double *s)
{
    double lambda, mu, c[3][3];
    cofactors(dim, u, c);
    lame(t, &lambda, &mu);
    hyper_strong(dim, u, mu, lambda + mu, c, s);
}

static void stable_flux(int dim, const jet *u, const double *t, double *s)
{
    double lambda, mu, c[3][3], j = cofactors(dim, u, c);
    lame(t, &lambda, &mu);
    hyper_flux(dim, u, mu, (lambda + mu) * (j - 1) - mu, c, s);
}

/* ---- flows ---- */

static void burgers_strong(int dim, const jet *u, const double *t, double *s)
{
    for (int c = 0; c < dim; c++)
        s[c] = along(dim, u, &u[c]) - t[0] * laplacian(dim, &u[c]);
}

static void burgers_flux(int dim, const jet *u, const double *t, double *s)
{
    for (int c = 0; c < dim; c++)
        s[c] = t[0] * u[c].g[0];
}

static void navier_stokes_strong(int dim, const jet *u, const double *t, double *s)
{
    for (int c = 0; c < dim; c++)
        s[c] = along(dim, u, &u[c]) - t[0] * laplacian(dim, &u[c]) + u[dim].g[c];
    s[dim] = divergence(dim, u);
}

static void navier_stokes_flux(int dim, const jet *u, const double *t, double *s)
{
    for (int c = 0; c < dim; c++)
        s[c] = t[0] * u[c].g[0] - (c == 0 ? u[dim].u : 0);
    s[dim] = 0;
}

static void shallow_water_strong(int dim, const jet *u, const double *t, double *s)
{
    const jet *h = u, *m = u + 1;
    const double spread = divergence(dim, m);
    s[0] = spread;
    for (int c = 0; c < dim; c++)
        s[1 + c] = along(dim, m, &m[c]) / h->u + m[c].u * (spread - along(dim, m, h) / h->u) / h->u +
                   t[0] * h->u * h->g[c] - t[1] * laplacian(dim, &m[c]) + t[2] * m[c].u;
}

static void shallow_water_flux(int dim, const jet *u, const double *t, double *s)
{
    s[0] = -u[1].u;
    for (int c = 1; c <= dim; c++)
        s[c] = t[1] * u[c].g[0] - u[c].u * u[1].u / u[0].u;
}

/* ---- the table ---- */

static const wave_of scalar[] = {{0.3, 1, {2.1, 1.4, 0.9}, 0.4}};
static const wave_of pair[] = {{0.6, 0.3, {2.1, 1.4, 0.9}, 0.4}, {0.4, 0.25, {1.3, -1.9, 0.8}, 1.1}};
static const wave_of resting[] = {{0.3, 1, {2.1, 1.4, 0.9}, 0.4}, {0, 0, {0, 0, 0}, 0}};
static const wave_of solid2[] = {
    {0, 0.06, {2.1, 1.4, 0}, 0.4}, {0, 0.05, {1.3, -1.9, 0}, 1.1}, {0, 0, {0, 0, 0}, 0}, {0, 0, {0, 0, 0}, 0}};
static const wave_of solid3[] = {{0, 0.06, {1.7, 1.2, 0.9}, 0.4},
                                 {0, 0.05, {1.1, -1.5, 0.7}, 1.1},
                                 {0, 0.05, {0.8, 1.0, -1.4}, 2.0},
                                 {0, 0, {0, 0, 0}, 0},
                                 {0, 0, {0, 0, 0}, 0},
                                 {0, 0, {0, 0, 0}, 0}};
static const wave_of flow2[] = {{0.8, 0.4, {2.1, 1.4, 0}, 0.4}, {-0.3, 0.5, {1.3, -1.9, 0}, 1.1}};
static const wave_of flow3[] = {
    {0.8, 0.4, {1.7, 1.2, 0.9}, 0.4}, {-0.3, 0.5, {1.1, -1.5, 0.7}, 1.1}, {0.2, 0.4, {0.8, 1.0, -1.4}, 2.0}};
/* Velocities across their wave vector: free of divergence. */
static const wave_of free2[] = {
    {0.5, 0.42, {2.1, 1.4, 0}, 0.4}, {0.2, -0.63, {2.1, 1.4, 0}, 0.4}, {0.1, 0.5, {1.3, -1.9, 0}, 1.1}};
static const wave_of free3[] = {{0.5, 0.36, {1.7, 1.2, 0.9}, 0.4},
                                {0.2, -0.51, {1.7, 1.2, 0.9}, 0.4},
                                {0.1, 0, {0, 0, 0}, 0},
                                {0.1, 0.5, {1.1, -1.5, 0.7}, 1.1}};
static const wave_of water[] = {
    {1, 0.1, {2.1, 1.4, 0}, 0.4}, {0.2, 0.1, {1.3, -1.9, 0}, 1.1}, {0.1, 0.1, {1.8, 1.1, 0}, 2.0}};

#define SCALAR                                                                                                         \
    {                                                                                                                  \
        0, 0, 1, 1                                                                                                     \
    }
#define PAIR                                                                                                           \
    {                                                                                                                  \
        0, 0, 2, 2                                                                                                     \
    }
#define VECTOR                                                                                                         \
    {                                                                                                                  \
        0, 0, 2, 3                                                                                                     \
    }
#define SOLID                                                                                                          \
    {                                                                                                                  \
        0, 0, 4, 6                                                                                                     \
    }
/* A step that makes every rate vanish, and the one of systems of first order in displacement and velocity. */
#define STEADY 1e7
#define MOVING 10
static const manufactured table[] = {
    {"heat", SCALAR, SCALAR, {0.7, 3, 0.05, 3}, scalar, scalar, heat_strong, diffusive_flux, STEADY, {0}},
    {"advection_diffusion",
     SCALAR,
     SCALAR,
     {0.02, 0.3, 1, 0.6, 0.4},
     scalar,
     scalar,
     advection_strong,
     diffusive_flux,
     STEADY,
     {0}},
    {"allen_cahn", SCALAR, SCALAR, {0.7, 0.5}, scalar, scalar, allen_cahn_strong, diffusive_flux, STEADY, {0}},
    {"wave", PAIR, SCALAR, {1.3, 0.2}, resting, resting, wave_strong, wave_flux, MOVING, {0}},
    {"elasticity", SOLID, VECTOR, {2, 0.3, 1.5, 0.1}, solid2, solid3, elasticity_strong, elasticity_flux, MOVING, {0}},
    {"neo_hookean",
     SOLID,
     VECTOR,
     {2, 0.3, 1.5, 0.1},
     solid2,
     solid3,
     neo_hookean_strong,
     neo_hookean_flux,
     MOVING,
     {0}},
    {"stable_neo_hookean", SOLID, VECTOR, {2, 0.3, 1.5, 0.1}, solid2, solid3, stable_strong, stable_flux, MOVING, {0}},
    {"gray_scott", PAIR, PAIR, {0.2, 0.1, 0.03, 0.06}, pair, pair, gray_scott_strong, pair_flux, STEADY, {0}},
    {"fitzhugh_nagumo",
     PAIR,
     PAIR,
     {0.2, 0.3, 0.005, 1, 1},
     pair,
     pair,
     fitzhugh_nagumo_strong,
     pair_flux,
     STEADY,
     {0}},
    {"burgers", VECTOR, VECTOR, {0.1}, flow2, flow3, burgers_strong, burgers_flux, STEADY, {0}},
    {"navier_stokes", {0, 0, 3, 4}, VECTOR, {0.5}, free2, free3, navier_stokes_strong, navier_stokes_flux, STEADY, {0}},
    {"shallow_water",
     {0, 0, 3, 0},
     {0, 0, 3, 0},
     {1, 0.05, 0.1, 0},
     water,
     NULL,
     shallow_water_strong,
     shallow_water_flux,
     0.05,
     {0, 0, 0.5}},
};
enum { EQUATIONS = sizeof table / sizeof *table };

/* ---- solving ---- */

typedef struct made_errors {
    double l2, h1;
} made_errors;

static jet jet_at(const wave_of *w, const double *x, int dim)
{
    double angle = w->phase;
    for (int d = 0; d < dim; d++)
        angle += w->k[d] * x[d];
    jet j = {.u = w->mean + w->size * sin(angle)};
    for (int d = 0; d < dim; d++) {
        j.g[d] = w->size * w->k[d] * cos(angle);
        for (int e = 0; e < dim; e++)
            j.h[d][e] = -w->size * w->k[d] * w->k[e] * sin(angle);
    }
    return j;
}

/* What a density or a profile is a function of. */
typedef struct context {
    const manufactured *m;
    int dim, component;
    bool at_boundary;
} context;

static void jets(const context *c, const double *x, jet *u)
{
    for (int k = 0; k < c->m->components[c->dim]; k++)
        u[k] = jet_at(&(c->dim == 2 ? c->m->plane : c->m->space)[k], x, c->dim);
}

static double density(const double x[FEM_MAX_DIM], void *self)
{
    const context *c = self;
    jet u[MADE_COMPONENTS];
    double s[MADE_COMPONENTS];
    jets(c, x, u);
    (c->at_boundary ? c->m->flux : c->m->strong)(c->dim, u, c->m->theta, s);
    return s[c->component];
}

static double profile(const double *x, void *self)
{
    const context *c = self;
    return jet_at(&(c->dim == 2 ? c->m->plane : c->m->space)[c->component], x, c->dim).u;
}

static made_errors compare(const fem_mesh *mesh, const double *u, const context *c, int components)
{
    static const double stride[3] = {0.8191725134, 0.6710436067, 0.5497004779}; /* powers of the root of x^4 = x + 1 */
    const int dim = mesh->dim;
    double *x = malloc(sizeof(double) * MADE_POINTS * (size_t)dim), *v = malloc(sizeof(double) * MADE_POINTS), *one,
           l2 = 0, h1 = 0;
    one = malloc((size_t)mesh->n_nodes * sizeof *one);
    for (int k = 0; k < MADE_POINTS * dim; k++)
        x[k] = fmod(0.5 + (k / dim + 1) * stride[k % dim], 1);
    for (int axis = -1; axis < dim; axis++) {
        fem_csr *at;
        MUST(fem_evaluate(&at, mesh, MADE_POINTS, x, axis, NULL));
        for (int k = 0; k < c->m->judged[dim]; k++) {
            for (int64_t i = 0; i < mesh->n_nodes; i++)
                one[i] = u[i * components + k];
            fem_csr_apply(at, one, v);
            for (int p = 0; p < MADE_POINTS; p++) {
                const jet j = jet_at(&(dim == 2 ? c->m->plane : c->m->space)[k], x + p * dim, dim);
                const double e = v[p] - (axis < 0 ? j.u : j.g[axis]);
                *(axis < 0 ? &l2 : &h1) += e * e / MADE_POINTS;
            }
        }
        fem_csr_destroy(&at);
    }
    free(x);
    free(v);
    free(one);
    return (made_errors){sqrt(l2), sqrt(h1)};
}

/* The errors of one equation on one mesh of n cells along each side. */
static made_errors made_solve(const manufactured *m, fem_element element, int64_t n)
{
    static const char *const side[] = {"left", "bottom", "top", "front", "back"};
    fem_mesh_spec box = {.element = element, .nx = n, .ny = n, .nz = n, .lx = 1, .ly = 1, .lz = 1};
    fem_mesh *mesh;
    MUST(fem_mesh_create(&mesh, &box));
    const fem_equation *equation;
    MUST(fem_equation_find(m->name, &equation));
    const int dim = mesh->dim, components = m->components[dim];
    context inside[MADE_COMPONENTS], edge[MADE_COMPONENTS];
    char name[MADE_COMPONENTS][40];
    fem_source source[2 * MADE_COMPONENTS];
    fem_condition condition[FEM_MAX_CONDITIONS];
    int conditions = 0, c = 0;
    for (int f = 0; f < equation->n_fields; f++)
        for (int d = 0; d < (equation->field_kind[f] & FEM_FIELD_VECTOR ? dim : 1); d++, c++) {
            const bool vector = equation->field_kind[f] & FEM_FIELD_VECTOR;
            snprintf(name[c], sizeof name[c], vector ? "%s.%c" : "%s", equation->field[f], "xyz"[d]);
            inside[c] = (context){m, dim, c, false};
            edge[c] = (context){m, dim, c, true};
            source[2 * c] = (fem_source){.power = 1, .field = name[c], .density = density, .context = &inside[c]};
            source[2 * c + 1] = (fem_source){
                .power = 1, .field = name[c], .boundary = "right", .density = density, .context = &edge[c]};
            for (int b = 0; b < 2 * dim - 1 && !(equation->field_kind[f] & FEM_FIELD_MULTIPLIER); b++)
                condition[conditions++] = (fem_condition){
                    .boundary = side[b], .field = name[c], .gain = 1, .profile = profile, .context = &inside[c]};
        }
    cr_assert_eq(c, components, "%s", m->name);
    fem_problem *problem;
    MUST(fem_problem_create(&problem, &(fem_problem_spec){.equation = m->name,
                                                          .mesh = mesh,
                                                          .dt = m->dt,
                                                          .n_sources = 2 * components,
                                                          .source = source,
                                                          .n_conditions = conditions,
                                                          .condition = condition}));
    double a[2 * MADE_COMPONENTS + 4];
    for (int k = 0; k < fem_problem_actions(problem); k++)
        a[k] = k < 2 * components ? 1 : 0;
    double *u = malloc(2 * sizeof *u * (size_t)(mesh->n_nodes * components)), *u1 = u + mesh->n_nodes * components;
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        for (int k = 0; k < components; k++)
            u[i * components + k] = profile(mesh->nodes + i * dim, &inside[k]);
    fem_theta theta = {{NULL}, {0}};
    for (int k = 0; k < equation->n_parameters; k++) {
        theta.value[k] = &m->theta[k];
        theta.count[k] = 1;
    }
    MUST(fem_step(problem, AD_F64, u1, u, a, &theta, 1));
    made_errors e = compare(mesh, u1, &inside[0], components);
    free(u);
    fem_problem_destroy(&problem);
    fem_mesh_destroy(&mesh);
    return e;
}

/* ---- orders ---- */

/* Cells along a side: two meshes an element. */
static const int64_t cells[FEM_ELEMENT_COUNT][2] = {
    [FEM_P1] = {12, 24},   [FEM_Q1] = {12, 24},    [FEM_P2] = {6, 12},    [FEM_Q2] = {6, 12},
    [FEM_TET_P1] = {4, 8}, [FEM_HEX_Q1] = {5, 10}, [FEM_TET_P2] = {2, 4}, [FEM_HEX_Q2] = {2, 4}};

static void orders(fem_element element)
{
    const char *space = fem_element_space(element);
    const int degree = space[1] - '0', dim = element < FEM_TET_P1 ? 2 : 3;
    MUST(fwm_threads_init(2));
    for (int k = 0; k < EQUATIONS; k++) {
        const manufactured *m = &table[k];
        if (m->components[dim] == 0)
            continue;
        const int64_t *n = cells[element];
        double start = fwm_seconds();
        const made_errors coarse = made_solve(m, element, n[0]), fine = made_solve(m, element, n[1]);
        const double ratio = log((double)n[1] / (double)n[0]);
        const double l2 = log(coarse.l2 / fine.l2) / ratio, h1 = log(coarse.h1 / fine.h1) / ratio;
        fprintf(stderr, "%-20s %s %s: L2 %.2e order %.2f, H1 %.2e order %.2f  (%.1f s)\n", m->name,
                fem_element_cell(element), space, fine.l2, l2, fine.h1, h1, fwm_seconds() - start);
        cr_expect(l2 > degree + 1 - m->lost[degree] - 0.1, "%s on %s: L2 order %.3f", m->name, space, l2);
        cr_expect(h1 > degree - m->lost[degree] - 0.1, "%s on %s: H1 order %.3f", m->name, space, h1);
    }
}

Test(manufactured, triangles)
{
    orders(FEM_P1);
}
Test(manufactured, quadrilaterals)
{
    orders(FEM_Q1);
}
Test(manufactured, quadratic_triangles)
{
    orders(FEM_P2);
}
Test(manufactured, quadratic_quadrilaterals)
{
    orders(FEM_Q2);
}
Test(manufactured, tetrahedra)
{
    orders(FEM_TET_P1);
}
Test(manufactured, hexahedra)
{
    orders(FEM_HEX_Q1);
}
Test(manufactured, quadratic_tetrahedra)
{
    orders(FEM_TET_P2);
}
Test(manufactured, quadratic_hexahedra)
{
    orders(FEM_HEX_Q2);
}
