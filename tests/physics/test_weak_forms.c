/* Every equation's residual against PETSc's own evaluation (DMPlexSNESComputeResidualFEM) of its weak form, written out
 * here by hand in scalars: two states a mesh, backward Euler and midpoint, parameters by cell, on every element.
 * Natural conditions are added by a plain loop over the faces' tables, which test_spaces.c proves.
 *
 * What PETSc cannot evaluate: its pointwise functions see no second derivatives, which SUPG of advection and diffusion
 * reads. They are handed in where they are constant in a cell (quadratic triangles and tetrahedra) or vanish (linear
 * ones; rectangles and bricks of degree 1); on Q2 only orders (test_manufactured.c) and gradients are checked. */
#include "cases.h"

#include "physics/petsc.h"

#include <petscsnes.h>

TestSuite(weak_forms, .fini = fem_finalize);

#define OK(call) cr_assert_eq((call), 0, "%s", #call)
enum { MOST = FEM_MAX_COMPONENTS };

/* A point: values, rates and gradients of all components, the state before, parameters, Laplacians, size and step. */
typedef struct point {
    int dim, degree;
    const double *u, *ut, *g, *u0, *theta, *lap;
    double h, dt, ambient, source[MOST];
} point;
typedef void (*weak_form)(const point *p, double *f0, double *f1);
/* What a natural condition of a kind adds at a point of the boundary. */
typedef void (*face_form)(const point *p, int kind, const double *normal, double *f0);

static double sum_of_squares(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

/* ---- the weak forms ---- */

static void heat(const point *p, double *f0, double *f1)
{
    const double *t = p->theta;
    f0[0] = p->ut[0] + t[1] * (p->u[0] - p->ambient) + t[2] * (pow(t[3] + p->u[0], 4) - pow(t[3] + p->ambient, 4));
    for (int d = 0; d < p->dim; d++)
        f1[d] = t[0] * p->g[d];
}

static void conduction(const point *p, double *f0, double *f1)
{
    f0[0] = p->theta[1] * p->ut[0];
    for (int d = 0; d < p->dim; d++)
        f1[d] = p->theta[0] * p->g[d];
}

static void conduction_faces(const point *p, int kind, const double *normal, double *f0)
{
    (void)normal;
    const double *t = p->theta;
    f0[0] = kind == 0 ? t[2] * (p->u[0] - p->ambient) : t[3] * (pow(t[4] + p->u[0], 4) - pow(t[4] + p->ambient, 4));
}

static void advection_diffusion(const point *p, double *f0, double *f1)
{
    const double *t = p->theta, *b = t + 2, s = p->h / p->degree;
    const double tau = 1 / sqrt(4 / (p->dt * p->dt) + 4 * sum_of_squares(b, p->dim) / (s * s) +
                                pow(12 * t[0] / (s * s), 2) + t[1] * t[1]);
    f0[0] = p->ut[0] + t[1] * p->u[0];
    for (int d = 0; d < p->dim; d++)
        f0[0] += b[d] * p->g[d];
    const double strong = f0[0] - t[0] * p->lap[0] - p->source[0];
    for (int d = 0; d < p->dim; d++)
        f1[d] = t[0] * p->g[d] + tau * strong * b[d];
}

static void allen_cahn(const point *p, double *f0, double *f1)
{
    f0[0] = p->ut[0] - p->theta[1] * (p->u[0] - pow(p->u[0], 3)) - p->ambient;
    for (int d = 0; d < p->dim; d++)
        f1[d] = p->theta[0] * p->g[d];
}

static void wave(const point *p, double *f0, double *f1)
{
    f0[0] = p->ut[0] - p->u[1];
    f0[1] = p->ut[1] + p->theta[1] * p->u[1];
    for (int d = 0; d < p->dim; d++) {
        f1[d] = 0;
        f1[p->dim + d] = p->theta[0] * p->theta[0] * p->g[d];
    }
}

static void wave_faces(const point *p, int kind, const double *normal, double *f0)
{
    (void)kind, (void)normal;
    f0[0] = 0;
    f0[1] = p->theta[0] * p->u[1];
}

/* Cofactors of F = I + grad u, and det F; in the plane F33 = 1. */
static double cofactors(const point *p, double f[3][3], double c[3][3])
{
    double j = 0;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            f[a][b] = (a == b) + (a < p->dim && b < p->dim ? p->g[a * p->dim + b] : 0);
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            const int x = (a + 1) % 3, y = (a + 2) % 3, v = (b + 1) % 3, w = (b + 2) % 3;
            c[a][b] = f[x][v] * f[y][w] - f[x][w] * f[y][v];
        }
    for (int b = 0; b < 3; b++)
        j += f[0][b] * c[0][b];
    return j;
}

typedef enum solid { LINEAR, NEO, STABLE } solid;

static void momentum(const point *p, solid kind, double *f0, double *f1)
{
    const double *t = p->theta, lambda = t[0] * t[1] / ((1 + t[1]) * (1 - 2 * t[1])), mu = t[0] / (2 * (1 + t[1]));
    const int dim = p->dim;
    double f[3][3], c[3][3], trace = 0;
    const double j = cofactors(p, f, c);
    for (int d = 0; d < dim; d++)
        trace += p->g[d * dim + d];
    const double s = kind == NEO ? lambda * (j - 1) - mu / j : (lambda + mu) * (j - 1) - mu;
    for (int a = 0; a < dim; a++) {
        f0[a] = p->ut[a] - p->u[dim + a];
        f0[dim + a] = t[2] * (p->ut[dim + a] + t[3] * p->u[dim + a]);
        for (int b = 0; b < dim; b++) {
            f1[a * dim + b] = 0;
            f1[(dim + a) * dim + b] = kind == LINEAR
                                          ? mu * (p->g[a * dim + b] + p->g[b * dim + a]) + (a == b ? lambda * trace : 0)
                                          : mu * f[a][b] + s * c[a][b];
        }
    }
}

static void elasticity(const point *p, double *f0, double *f1)
{
    momentum(p, LINEAR, f0, f1);
}
static void neo_hookean(const point *p, double *f0, double *f1)
{
    momentum(p, NEO, f0, f1);
}
static void stable_neo_hookean(const point *p, double *f0, double *f1)
{
    momentum(p, STABLE, f0, f1);
}

static void gray_scott(const point *p, double *f0, double *f1)
{
    const double *t = p->theta, eaten = p->u[0] * p->u[1] * p->u[1];
    f0[0] = p->ut[0] + eaten - t[2] * (1 - p->u[0]);
    f0[1] = p->ut[1] - eaten + (t[2] + t[3]) * p->u[1];
    for (int d = 0; d < 2 * p->dim; d++)
        f1[d] = t[d / p->dim] * p->g[d];
}

static void fitzhugh_nagumo(const point *p, double *f0, double *f1)
{
    const double *t = p->theta;
    f0[0] = p->ut[0] - p->u[0] + pow(p->u[0], 3) + p->u[1] + t[2];
    f0[1] = p->ut[1] - t[3] * (p->u[0] - t[4] * p->u[1]);
    for (int d = 0; d < 2 * p->dim; d++)
        f1[d] = t[d / p->dim] * p->g[d];
}

static void burgers(const point *p, double *f0, double *f1)
{
    for (int c = 0; c < p->dim; c++) {
        f0[c] = p->ut[c];
        for (int d = 0; d < p->dim; d++) {
            f0[c] += p->u[d] * p->g[c * p->dim + d];
            f1[c * p->dim + d] = p->theta[0] * p->g[c * p->dim + d];
        }
    }
}

static void navier_stokes(const point *p, double *f0, double *f1)
{
    const int dim = p->dim;
    const double nu = p->theta[0], h = p->h, speed = sqrt(sum_of_squares(p->u0, dim));
    const double tau = 1 / sqrt(4 / (p->dt * p->dt) + 4 * speed * speed / (h * h) + pow(12 * nu / (h * h), 2));
    const double gamma = sqrt(nu * nu + h * h * speed * speed / 4);
    f0[dim] = 0;
    for (int c = 0; c < dim; c++)
        f0[dim] += p->g[c * dim + c];
    for (int c = 0; c < dim; c++) {
        f0[c] = p->ut[c];
        for (int d = 0; d < dim; d++)
            f0[c] += p->u[d] * p->g[c * dim + d];
        const double strong = f0[c] + p->g[dim * dim + c] - p->source[c];
        f1[dim * dim + c] = p->degree == 1 ? tau * strong : 0;
        for (int d = 0; d < dim; d++) {
            f1[c * dim + d] = nu * p->g[c * dim + d] - (c == d ? p->u[dim] : 0);
            if (p->degree == 1)
                f1[c * dim + d] += tau * strong * p->u0[d] + (c == d ? gamma * f0[dim] : 0);
        }
    }
}

static void navier_stokes_faces(const point *p, int kind, const double *normal, double *f0)
{
    (void)kind;
    double through = 0;
    for (int d = 0; d < p->dim; d++)
        through += p->u0[d] * normal[d];
    f0[p->dim] = 0;
    for (int c = 0; c < p->dim; c++)
        f0[c] = -0.5 * fmin(through, 0) * p->u[c];
}

static void shallow_water(const point *p, double *f0, double *f1)
{
    const double *t = p->theta, depth = p->u[0], *m = p->u + 1;
    const double extra = t[3] * p->h * sqrt(sum_of_squares(p->u0 + 1, 2) / (p->u0[0] * p->u0[0]) + t[0] * p->u0[0]);
    f0[0] = p->ut[0];
    for (int d = 0; d < 2; d++) {
        f1[d] = extra * p->g[d] - m[d];
        f0[1 + d] = p->ut[1 + d] + t[0] * depth * p->g[d] + t[2] * m[d];
        for (int e = 0; e < 2; e++)
            f1[(1 + d) * 2 + e] = (t[1] + extra) * p->g[(1 + d) * 2 + e] - m[d] * m[e] / depth;
    }
}

static void shallow_water_faces(const point *p, int kind, const double *normal, double *f0)
{
    (void)kind;
    f0[0] = p->u[1] * normal[0] + p->u[2] * normal[1];
    for (int c = 1; c < 3; c++)
        f0[c] = p->u[c] / p->u[0] * f0[0];
}

static const struct weak_row {
    const char *name;
    weak_form cell;
    face_form face;
    bool laplacian; /* read where it does not vanish */
} rows[EQUATION_CASES] = {{"heat", heat, NULL, false},
                          {"conduction", conduction, conduction_faces, false},
                          {"advection_diffusion", advection_diffusion, NULL, true},
                          {"allen_cahn", allen_cahn, NULL, false},
                          {"wave", wave, wave_faces, false},
                          {"elasticity", elasticity, NULL, false},
                          {"neo_hookean", neo_hookean, NULL, false},
                          {"stable_neo_hookean", stable_neo_hookean, NULL, false},
                          {"gray_scott", gray_scott, NULL, false},
                          {"fitzhugh_nagumo", fitzhugh_nagumo, NULL, false},
                          {"burgers", burgers, NULL, false},
                          {"navier_stokes", navier_stokes, navier_stokes_faces, false},
                          {"shallow_water", shallow_water, shallow_water_faces, false}};

/* ---- PETSc's side ---- */

/* What PETSc's pointwise functions cannot be given. */
static struct {
    weak_form form;
    int components, split, parameters, degree; /* split: where the second field starts */
    double dt, alpha, ambient, source;
    int sourced; /* the component of a uniform source */
} now;

/* Auxiliary fields: the state before, then constants in a cell: parameters, size, Laplacians. */
static void evaluate(PetscInt dim, PetscInt n_aux, const PetscInt a_start[], const PetscScalar u[],
                     const PetscScalar g[], const PetscScalar a[], double *f0, double *f1)
{
    const double *constants = a + a_start[n_aux - 1];
    double ut[MOST];
    for (int c = 0; c < now.components; c++)
        ut[c] = (u[c] - a[c]) / (now.alpha * now.dt);
    point p = {.dim = (int)dim,
               .degree = now.degree,
               .u = u,
               .ut = ut,
               .g = g,
               .u0 = a,
               .theta = constants,
               .lap = constants + now.parameters + 1,
               .h = constants[now.parameters],
               .dt = now.dt,
               .ambient = now.ambient};
    p.source[now.sourced] = now.source;
    now.form(&p, f0, f1);
    f0[now.sourced] -= now.source;
}

#define POINT_FUNCTION(name, first, count, value)                                                                      \
    static void name(PetscInt dim, PetscInt nf, PetscInt n_aux, const PetscInt uo[], const PetscInt ux[],              \
                     const PetscScalar u[], const PetscScalar ut[], const PetscScalar g[], const PetscInt ao[],        \
                     const PetscInt ax[], const PetscScalar a[], const PetscScalar at[], const PetscScalar ag[],       \
                     PetscReal t, const PetscReal x[], PetscInt nc, const PetscScalar c[], PetscScalar f[])            \
    {                                                                                                                  \
        (void)nf, (void)uo, (void)ux, (void)ut, (void)ax, (void)at, (void)ag, (void)t, (void)x, (void)nc, (void)c;     \
        double f0[MOST], f1[MOST * FEM_MAX_DIM];                                                                       \
        evaluate(dim, n_aux, ao, u, g, a, f0, f1);                                                                     \
        memcpy(f, (value) + (first), sizeof *f * (size_t)(count));                                                     \
    }
POINT_FUNCTION(first_f0, 0, now.split, f0)
POINT_FUNCTION(first_f1, 0, now.split *dim, f1)
POINT_FUNCTION(second_f0, now.split, now.components - now.split, f0)
POINT_FUNCTION(second_f1, now.split *dim, (now.components - now.split) * dim, f1)

/* Between our [n,c] and PETSc's vectors with its own sections; `fields` of the DM hold the state. */
static void copy_state(DM single, DM dm, int fields, double *ours, PetscScalar *theirs, bool to_ours)
{
    PetscSection from, to;
    PetscInt start, end;
    OK(DMGetLocalSection(single, &from));
    OK(DMGetLocalSection(dm, &to));
    OK(PetscSectionGetChart(from, &start, &end));
    for (PetscInt q = start; q < end; q++) {
        PetscInt node;
        OK(PetscSectionGetOffset(from, q, &node));
        for (int f = 0, first = 0; f < fields; f++) {
            PetscInt dof, at;
            const int count = f == 0 ? now.split : now.components - now.split;
            OK(PetscSectionGetFieldDof(to, q, f, &dof));
            OK(PetscSectionGetFieldOffset(to, q, f, &at));
            for (int k = 0; k < dof; k++) {
                double *x = &ours[(node + k / count) * now.components + first + k % count];
                if (to_ours)
                    *x = theirs[at + k];
                else
                    theirs[at + k] = *x;
            }
            first += count;
        }
    }
}

static void add_space(DM dm, int field, const fem_mesh *mesh, int count, int degree)
{
    PetscFE fe;
    const PetscBool simplex = fem_shape(mesh)->simplex ? PETSC_TRUE : PETSC_FALSE;
    OK(PetscFECreateLagrange(PETSC_COMM_SELF, mesh->dim, count, simplex, degree, 1, &fe));
    OK(PetscFECopyQuadrature(mesh->impl->petsc->fe, fe));
    OK(DMSetField(dm, field, NULL, (PetscObject)fe));
    OK(PetscFEDestroy(&fe));
}

/* r [n,c] of one state u at the scheme's point and the state before; constants [n_cells,per_cell]. */
static void petsc_residual(const fem_mesh *mesh, double *r, double *u, double *u0, const double *constants,
                           int per_cell)
{
    DM own = mesh->impl->petsc->dm, dm, aux;
    PetscDS ds;
    Vec x, f, a;
    PetscScalar *values;
    PetscSection section;
    const int fields = now.split < now.components ? 2 : 1;
    OK(DMClone(own, &dm));
    OK(DMClone(own, &aux));
    DM both[2] = {dm, aux};
    for (int k = 0; k < 2; k++) {
        add_space(both[k], 0, mesh, now.split, now.degree);
        if (fields == 2)
            add_space(both[k], 1, mesh, now.components - now.split, 1);
    }
    add_space(aux, fields, mesh, per_cell, 0);
    OK(DMCreateDS(dm));
    OK(DMCreateDS(aux));
    OK(DMGetDS(dm, &ds));
    OK(PetscDSSetResidual(ds, 0, first_f0, first_f1));
    if (fields == 2)
        OK(PetscDSSetResidual(ds, 1, second_f0, second_f1));
    OK(DMCreateLocalVector(dm, &x));
    OK(DMCreateLocalVector(dm, &f));
    OK(DMCreateLocalVector(aux, &a));
    OK(VecGetArray(x, &values));
    copy_state(own, dm, fields, u, values, false);
    OK(VecRestoreArray(x, &values));
    OK(VecGetArray(a, &values));
    copy_state(own, aux, fields, u0, values, false);
    OK(DMGetLocalSection(aux, &section));
    for (PetscInt cell = 0; cell < mesh->n_cells; cell++) {
        PetscInt at;
        OK(PetscSectionGetFieldOffset(section, cell, fields, &at));
        memcpy(values + at, constants + cell * per_cell, sizeof *values * (size_t)per_cell);
    }
    OK(VecRestoreArray(a, &values));
    OK(DMSetAuxiliaryVec(dm, NULL, 0, 0, a));
    OK(DMPlexSNESComputeResidualFEM(dm, x, f, NULL));
    memset(r, 0, sizeof *r * (size_t)(mesh->n_nodes * now.components));
    OK(VecGetArray(f, &values));
    copy_state(own, dm, fields, r, values, true);
    OK(VecRestoreArray(f, &values));
    OK(VecDestroy(&x));
    OK(VecDestroy(&f));
    OK(VecDestroy(&a));
    OK(DMDestroy(&aux));
    OK(DMDestroy(&dm));
}

/* ---- what is handed to it ---- */

/* Laplacians of a quadratic on a simplex: with barycentric coordinates l, that of l (2 l - 1) is 4 |grad l|^2 and that
 * of 4 l m is 8 grad l . grad m. */
static void simplex_laplacian(const fem_mesh *mesh, int64_t cell, const double *u, double *lap)
{
    const int dim = mesh->dim, vertices = dim + 1;
    const double *x[4];
    double edges[9], inverse[9], slope[4][3] = {{0}};
    for (int v = 0; v < vertices; v++)
        x[v] = mesh->vertices + dim * (int64_t)mesh->cells[cell * vertices + v];
    for (int e = 0; e < dim; e++)
        for (int d = 0; d < dim; d++)
            edges[e * dim + d] = x[d + 1][e] - x[0][e];
    fem_invert(dim, edges, inverse);
    for (int d = 0; d < dim; d++)
        for (int e = 0; e < dim; e++) {
            slope[d + 1][e] = inverse[d * dim + e];
            slope[0][e] -= inverse[d * dim + e];
        }
    memset(lap, 0, sizeof *lap * (size_t)now.components);
    for (int i = 0; i < mesh->cell_node_count; i++) {
        const int64_t node = mesh->cell_nodes[cell * mesh->cell_node_count + i];
        const double *y = mesh->nodes + dim * node;
        for (int v = 0; v < vertices; v++)
            for (int w = v; w < vertices; w++) {
                double off = 0, product = 0;
                for (int d = 0; d < dim; d++) {
                    off += fabs(y[d] - 0.5 * (x[v][d] + x[w][d]));
                    product += slope[v][d] * slope[w][d];
                }
                for (int c = 0; c < now.components && off < 1e-9; c++)
                    lap[c] += (v == w ? 4 : 8) * product * u[node * now.components + c];
            }
    }
}

/* Adds the natural conditions. */
static void add_faces(const fem_problem *problem, face_form form, double *r, const double *u, const double *u0,
                      double *const *theta, const int64_t *count)
{
    const fem_mesh *mesh = fem_problem_mesh(problem);
    const fem_equation *e = fem_problem_equation(problem);
    const fem_face_tables *f = &mesh->impl->faces[AD_F64];
    const int nodes = mesh->cell_node_count, dim = mesh->dim, record = dim * dim + 1;
    for (int64_t at = 0; at < f->n_faces * f->n_points; at++) {
        const int64_t face = at / f->n_points, q = at % f->n_points, cell = f->cell[face];
        const double *phi = (const double *)f->basis + (f->local[face] * f->n_points + q) * nodes;
        const double w = ((const double *)f->weight)[q] * ((const double *)f->geometry)[(at + 1) * record - 1];
        double value[MOST] = {0}, before[MOST] = {0}, t[FEM_MAX_PARAMETERS], f0[MOST];
        for (int i = 0; i < nodes; i++)
            for (int c = 0; c < now.components; c++) {
                value[c] += phi[i] * u[mesh->cell_nodes[cell * nodes + i] * now.components + c];
                before[c] += phi[i] * u0[mesh->cell_nodes[cell * nodes + i] * now.components + c];
            }
        for (int k = 0; k < e->n_parameters; k++)
            t[k] = theta[k][count[k] > 1 ? cell : 0];
        const point p = {.dim = dim, .u = value, .u0 = before, .theta = t, .ambient = now.ambient};
        for (int kind = 0; kind < e->n_natural; kind++) {
            const bool top = f->label[face] == FEM_BOUNDARY_TOP,
                       right = f->label[face] == FEM_BOUNDARY_RIGHT && kind == e->n_natural - 1;
            if (!top && !right)
                continue;
            form(&p, kind, (const double *)f->normal + at * dim, f0);
            for (int i = 0; i < nodes; i++)
                for (int c = 0; c < now.components; c++)
                    r[mesh->cell_nodes[cell * nodes + i] * now.components + c] += w * phi[i] * f0[c];
        }
    }
}

static double one(const double *x, void *context)
{
    (void)x, (void)context;
    return 1;
}

/* Natural conditions as add_faces has them; on simplices a uniform source. */
static fem_problem *bare_problem(const equation_case *c, const fem_mesh *mesh, fem_scheme scheme)
{
    const fem_equation *e = case_equation(c);
    const fem_source source = {.power = 0.3, .field = c->sourced, .density = one};
    fem_condition conditions[FEM_MAX_NATURAL + 1];
    const int n = case_natural(e, conditions, 0);
    fem_problem *p;
    MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = c->name,
                                                    .mesh = mesh,
                                                    .dt = c->dt,
                                                    .scheme = scheme,
                                                    .n_sources = fem_shape(mesh)->simplex,
                                                    .source = &source,
                                                    .n_conditions = n,
                                                    .condition = conditions}));
    return p;
}

static double worst; /* relative, of an element */

/* Both sum some tens of terms of the residual's largest entry at each node, in another order. */
static void compare_case(const equation_case *c, const struct weak_row *row, fem_element element, fem_scheme scheme)
{
    enum { BATCH = 2 };
    const fem_equation *e = case_equation(c);
    const bool flat = row->laplacian && fem_element_table[element].degree == 1;
    fem_mesh *mesh = flat ? plain_box(element, 2) : case_mesh(element);
    const int dim = mesh->dim, parameters = e->n_parameters;
    fem_problem *p = bare_problem(c, mesh, scheme);
    int first, count;
    now.components = fem_problem_components(p);
    MUST(fem_equation_component(e, dim, c->sourced, &first, &count));
    now.form = row->cell;
    now.degree = fem_element_table[element].degree;
    now.split = e->field_kind[e->n_fields - 1] & FEM_FIELD_VERTICES && now.degree > 1 ? dim : now.components;
    now.parameters = parameters;
    now.dt = c->dt;
    now.alpha = scheme == FEM_MIDPOINT ? 0.5 : 1;
    now.sourced = first;
    now.ambient = 0.2;
    now.source = fem_shape(mesh)->simplex ? 0.3 * 1.5 : 0;
    const int64_t n = mesh->n_nodes * now.components;
    double *u1 = case_states(c, mesh, 1, BATCH), *u0 = case_states(c, mesh, 2, BATCH), *u = malloc((size_t)n * 8),
           *r = malloc((size_t)(BATCH * n) * 8), *expected = malloc((size_t)n * 8), a[BATCH * FEM_MAX_ACTIONS];
    double *theta[FEM_MAX_PARAMETERS];
    int64_t counts[FEM_MAX_PARAMETERS];
    fem_theta t = {{0}, {0}};
    const int per_cell = parameters + 1 + now.components, actions = fem_problem_actions(p);
    double *constants = calloc((size_t)(mesh->n_cells * per_cell), 8);
    for (int k = 0; k < parameters; k++) {
        theta[k] = case_parameter(c, mesh, k, &counts[k]);
        t.value[k] = theta[k];
        t.count[k] = counts[k];
        for (int64_t i = 0; i < mesh->n_cells; i++)
            constants[i * per_cell + k] = theta[k][counts[k] > 1 ? i : 0];
    }
    for (int k = 0; k < BATCH * actions; k++)
        a[k] = fem_shape(mesh)->simplex && k % actions == 0 ? 1.5 : now.ambient;
    MUST(fem_residual(p, AD_F64, r, u1, u0, a, &t, BATCH));
    for (int b = 0; b < BATCH; b++) {
        for (int64_t i = 0; i < n; i++)
            u[i] = now.alpha * u1[b * n + i] + (1 - now.alpha) * u0[b * n + i];
        for (int64_t i = 0; i < mesh->n_cells; i++) {
            constants[i * per_cell + parameters] = pow(mesh->cell_area[i], 1.0 / dim);
            if (row->laplacian && !flat)
                simplex_laplacian(mesh, i, u, constants + i * per_cell + parameters + 1);
        }
        petsc_residual(mesh, expected, u, u0 + b * n, constants, per_cell);
        if (row->face)
            add_faces(p, row->face, expected, u, u0 + b * n, theta, counts);
        double size = largest(expected, n), off = 0;
        for (int64_t i = 0; i < n; i++)
            off = fmax(off, fabs(r[b * n + i] - expected[i]));
        cr_expect(size > 0 && off < 1e-12 * size, "%s on %s %s, %s: off by %g of %g", c->name,
                  fem_element_cell(element), fem_element_space(element), fem_scheme_name(scheme), off, size);
        worst = fmax(worst, off / size);
    }
    for (int k = 0; k < parameters; k++)
        free(theta[k]);
    free(u1), free(u0), free(u), free(r), free(expected), free(constants);
    fem_problem_destroy(&p);
    fem_mesh_destroy(&mesh);
}

static void compare_element(fem_element element)
{
    MUST(fwm_threads_init(1));
    worst = 0;
    for (int k = 0; k < EQUATION_CASES; k++) {
        const equation_case *c = &equation_cases[k];
        cr_assert_str_eq(c->name, rows[k].name);
        const bool unseen = rows[k].laplacian && (element == FEM_Q2 || element == FEM_HEX_Q2);
        if (!case_lives(c, element) || unseen)
            continue;
        compare_case(c, &rows[k], element, FEM_BACKWARD_EULER);
        compare_case(c, &rows[k], element, FEM_MIDPOINT);
    }
    fprintf(stderr, "%s %s: at most %.1e from PETSc, of the largest entry\n", fem_element_cell(element),
            fem_element_space(element), worst);
}

Test(weak_forms, petsc_agrees_on_triangles)
{
    compare_element(FEM_P1);
}
Test(weak_forms, petsc_agrees_on_quadrilaterals)
{
    compare_element(FEM_Q1);
}
Test(weak_forms, petsc_agrees_on_quadratic_triangles)
{
    compare_element(FEM_P2);
}
Test(weak_forms, petsc_agrees_on_quadratic_quadrilaterals)
{
    compare_element(FEM_Q2);
}
Test(weak_forms, petsc_agrees_on_tetrahedra)
{
    compare_element(FEM_TET_P1);
}
Test(weak_forms, petsc_agrees_on_hexahedra)
{
    compare_element(FEM_HEX_Q1);
}
Test(weak_forms, petsc_agrees_on_quadratic_tetrahedra)
{
    compare_element(FEM_TET_P2);
}
Test(weak_forms, petsc_agrees_on_quadratic_hexahedra)
{
    compare_element(FEM_HEX_Q2);
}
