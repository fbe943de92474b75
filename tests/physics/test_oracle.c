/* The sweep against PETSc itself: its own pointwise residual on every element and instruction set, its Cholesky factor.
 */
#include "physics/factor.h"
#include "physics/petsc.h"

#include "support.h"

#include <petscsnes.h>

TestSuite(oracle, .fini = fem_finalize);

static const double DT = 3e-3, AMBIENT = 0.2;
static double scalars[3] = {3, 0.1, 3}; /* loss, radiation, temperature */

/* Auxiliary fields: u0 at offset 0, conductivity at 1. */
static void f0(PetscInt dim, PetscInt nf, PetscInt nfa, const PetscInt uo[], const PetscInt ux[], const PetscScalar u[],
               const PetscScalar ut[], const PetscScalar gu[], const PetscInt ao[], const PetscInt ax[],
               const PetscScalar a[], const PetscScalar at[], const PetscScalar ga[], PetscReal t, const PetscReal x[],
               PetscInt nc, const PetscScalar c[], PetscScalar f[])
{
    (void)dim, (void)nf, (void)nfa, (void)uo, (void)ux, (void)ut, (void)gu, (void)ax, (void)at, (void)ga, (void)t,
        (void)x, (void)nc, (void)c;
    f[0] = (u[0] - a[ao[0]]) / DT + scalars[0] * (u[0] - AMBIENT) +
           scalars[1] * (pow(scalars[2] + u[0], 4) - pow(scalars[2] + AMBIENT, 4));
}

static void f1(PetscInt dim, PetscInt nf, PetscInt nfa, const PetscInt uo[], const PetscInt ux[], const PetscScalar u[],
               const PetscScalar ut[], const PetscScalar gu[], const PetscInt ao[], const PetscInt ax[],
               const PetscScalar a[], const PetscScalar at[], const PetscScalar ga[], PetscReal t, const PetscReal x[],
               PetscInt nc, const PetscScalar c[], PetscScalar f[])
{
    (void)nf, (void)nfa, (void)uo, (void)ux, (void)u, (void)ut, (void)ax, (void)at, (void)ga, (void)t, (void)x,
        (void)nc, (void)c;
    for (PetscInt d = 0; d < dim; d++)
        f[d] = a[ao[1]] * gu[d];
}

#define OK(call) cr_assert_eq((call), 0, "%s", #call)

static Vec local_vector(DM dm, const double *x, int64_t n)
{
    Vec v;
    PetscScalar *to;
    OK(DMCreateLocalVector(dm, &v));
    OK(VecGetArray(v, &to));
    for (int64_t i = 0; x && i < n; i++)
        to[i] = x[i];
    OK(VecRestoreArray(v, &to));
    return v;
}

/* PETSc's residual of the same state, with its own sections, closures and geometry. */
static void petsc_residual(const fem_mesh *mesh, double *r, const double *u1, const double *u0, const double *k)
{
    struct fem_petsc_mesh *own = mesh->impl->petsc;
    DM dm, aux;
    PetscDS ds;
    PetscFE constant;
    PetscBool simplex = mesh->cell_vertices == 3 ? PETSC_TRUE : PETSC_FALSE;
    OK(DMClone(own->dm, &dm));
    OK(DMSetField(dm, 0, NULL, (PetscObject)own->fe));
    OK(DMCreateDS(dm));
    OK(DMGetDS(dm, &ds));
    OK(PetscDSSetResidual(ds, 0, f0, f1));
    OK(DMClone(own->dm, &aux));
    OK(PetscFECreateLagrange(PETSC_COMM_SELF, mesh->dim, 1, simplex, 0, 1, &constant));
    OK(PetscFECopyQuadrature(own->fe, constant));
    OK(DMSetField(aux, 0, NULL, (PetscObject)own->fe));
    OK(DMSetField(aux, 1, NULL, (PetscObject)constant));
    OK(DMCreateDS(aux));
    Vec x = local_vector(dm, u1, mesh->n_nodes), f = local_vector(dm, NULL, 0), a = local_vector(aux, NULL, 0);
    PetscSection single, both;
    PetscScalar *to;
    const PetscScalar *from;
    PetscInt start, end, offset, at;
    OK(DMGetLocalSection(own->dm, &single));
    OK(DMGetLocalSection(aux, &both));
    OK(VecGetArray(a, &to));
    OK(PetscSectionGetChart(single, &start, &end));
    for (PetscInt point = start; point < end; point++) {
        PetscInt dof;
        OK(PetscSectionGetDof(single, point, &dof));
        OK(PetscSectionGetOffset(single, point, &offset));
        OK(PetscSectionGetFieldOffset(both, point, 0, &at));
        for (PetscInt i = 0; i < dof; i++)
            to[at + i] = u0[offset + i];
    }
    for (PetscInt cell = 0; cell < mesh->n_cells; cell++) {
        OK(PetscSectionGetFieldOffset(both, cell, 1, &at));
        to[at] = k[cell];
    }
    OK(VecRestoreArray(a, &to));
    OK(DMSetAuxiliaryVec(dm, NULL, 0, 0, a));
    OK(VecZeroEntries(f));
    OK(DMPlexSNESComputeResidualFEM(dm, x, f, NULL));
    OK(VecGetArrayRead(f, &from));
    for (int64_t i = 0; i < mesh->n_nodes; i++)
        r[i] = from[i];
    OK(VecRestoreArrayRead(f, &from));
    OK(VecDestroy(&x));
    OK(VecDestroy(&f));
    OK(VecDestroy(&a));
    OK(PetscFEDestroy(&constant));
    OK(DMDestroy(&aux));
    OK(DMDestroy(&dm));
}

/* A box whose inner vertices are shifted: no two cells alike, quadrilaterals are not parallelograms. */
static fem_mesh *crooked(fem_element element)
{
    fem_mesh *box = NULL, *mesh = NULL;
    fem_element linear = element == FEM_P2 ? FEM_P1 : element == FEM_Q2 ? FEM_Q1 : element;
    MUST(fem_mesh_create(&box, &(fem_mesh_spec){.element = linear, .nx = 6, .ny = 5, .lx = 1.2, .ly = 0.9}));
    for (int64_t i = 0; i < box->n_vertices; i++) {
        double *x = box->vertices + 2 * i, s = 0.06 * sin(M_PI * x[0] / 1.2) * sin(M_PI * x[1] / 0.9);
        x[0] += s * cos(5.0 * (double)i);
        x[1] += s * sin(7.0 * (double)i);
    }
    MUST(fem_mesh_from_arrays(&mesh, element, box->n_vertices, box->vertices, box->n_cells, box->cells));
    fem_mesh_destroy(&box);
    return mesh;
}

/* Lanes hold different states; each must be PETSc's to 1e-12 of the residual's largest entry: both sum some twenty
 * terms of that size per node, in another order (20 * 2^-53 = 2e-15), and the quartic loses two digits more. Float32:
 * 5e-6. */
static void compare_all(const char *isa)
{
    enum { BATCH = 9 };
    setenv("FWM_ISA", isa, 1);
    MUST(fwm_threads_init(2));
    for (int e = 0; e <= FEM_Q2; e++) {
        fem_mesh *mesh = crooked((fem_element)e);
        fem_problem *p;
        int64_t n = mesh->n_nodes;
        MUST(fem_problem_create(&p, &(fem_problem_spec){.equation = "heat", .mesh = mesh, .dt = DT}));
        double *u1 = noise(1, BATCH * n, -0.5, 1.5), *u0 = noise(2, BATCH * n, -0.5, 1.5),
               *k = noise(3, mesh->n_cells, 0.2, 5);
        double *r = malloc((size_t)(BATCH * n) * sizeof *r), *expected = malloc((size_t)n * sizeof *expected), a[BATCH];
        for (int b = 0; b < BATCH; b++)
            a[b] = AMBIENT;
        fem_theta theta = {{k, &scalars[0], &scalars[1], &scalars[2]}, {mesh->n_cells, 1, 1, 1}};
        MUST(fem_residual(p, AD_F64, r, u1, u0, a, &theta, BATCH));
        float *u1f = to_float(u1, BATCH * n), *u0f = to_float(u0, BATCH * n), *kf = to_float(k, mesh->n_cells),
              *af = to_float(a, BATCH);
        float *sf = to_float(scalars, 3), *rf = malloc((size_t)(BATCH * n) * sizeof *rf);
        fem_theta theta_f = {{kf, &sf[0], &sf[1], &sf[2]}, {mesh->n_cells, 1, 1, 1}};
        MUST(fem_residual(p, AD_F32, rf, u1f, u0f, af, &theta_f, BATCH));
        for (int b = 0; b < BATCH; b++) {
            petsc_residual(mesh, expected, u1 + b * n, u0 + b * n, k);
            double size = largest(expected, n);
            for (int64_t i = 0; i < n; i++) {
                cr_assert_float_eq(r[b * n + i], expected[i], 1e-12 * size,
                                   "%s isa %s sample %d node %d: %.17g, PETSc %.17g", fem_element_space((fem_element)e),
                                   isa, b, (int)i, r[b * n + i], expected[i]);
                cr_assert_float_eq((double)rf[b * n + i], expected[i], 5e-6 * size);
            }
        }
        free(u1), free(u0), free(k), free(r), free(expected), free(u1f), free(u0f), free(kf), free(af), free(sf),
            free(rf);
        fem_problem_destroy(&p);
        fem_mesh_destroy(&mesh);
    }
}

Test(oracle, residual_is_petscs_baseline)
{
    compare_all("1");
}

Test(oracle, residual_is_petscs_avx2)
{
    compare_all("3");
}

Test(oracle, residual_is_petscs_avx512)
{
    compare_all("4");
}

/* The mass matrix plus identity, solved by our factor and by PETSc's Cholesky. Condition below 1e4: errors below 1e-11.
 */
Test(oracle, the_factor_solves_as_petscs_cholesky)
{
    MUST(fwm_threads_init(1));
    fem_mesh *mesh = crooked(FEM_P2);
    int nodes = mesh->cell_node_count;
    int64_t n = mesh->n_nodes;
    fem_symbolic *symbolic;
    fem_factor *factor;
    MUST(fem_symbolic_create(&symbolic, mesh, &(fem_pattern){.components = 1}));
    MUST(fem_factor_create(&factor, symbolic, FEM_MATRIX_DEFINITE));
    /* Random symmetric element matrices, made definite by their diagonal. */
    double *ke = noise(6, mesh->n_cells * nodes * nodes, -1, 1), *b = noise(7, n, -1, 1);
    Mat matrix, cholesky;
    OK(MatCreateSeqAIJ(PETSC_COMM_SELF, (PetscInt)n, (PetscInt)n, 64, NULL, &matrix));
    for (int64_t c = 0; c < mesh->n_cells; c++) {
        double *k = ke + c * nodes * nodes;
        for (int i = 0; i < nodes; i++) {
            k[i * nodes + i] = nodes + 1;
            for (int j = 0; j < i; j++)
                k[i * nodes + j] = k[j * nodes + i];
        }
        const PetscInt *index = mesh->cell_nodes + c * nodes;
        OK(MatSetValues(matrix, nodes, index, nodes, index, k, ADD_VALUES));
    }
    OK(MatAssemblyBegin(matrix, MAT_FINAL_ASSEMBLY));
    OK(MatAssemblyEnd(matrix, MAT_FINAL_ASSEMBLY));
    MUST(fem_factor_compute(factor, ke));
    IS rows, columns;
    MatFactorInfo info;
    Vec x = NULL, y;
    OK(MatCreateVecs(matrix, &x, &y));
    OK(MatGetOrdering(matrix, MATORDERINGND, &rows, &columns));
    OK(MatFactorInfoInitialize(&info));
    OK(MatGetFactor(matrix, MATSOLVERPETSC, MAT_FACTOR_CHOLESKY, &cholesky));
    OK(MatCholeskyFactorSymbolic(cholesky, matrix, rows, &info));
    OK(MatCholeskyFactorNumeric(cholesky, matrix, &info));
    for (int64_t i = 0; i < n; i++)
        OK(VecSetValue(y, (PetscInt)i, b[i], INSERT_VALUES));
    OK(VecAssemblyBegin(y));
    OK(VecAssemblyEnd(y));
    OK(MatSolve(cholesky, y, x));
    const fem_lane_kernels *lane = fem_lane_kernels_find(AD_F64);
    size_t bytes = (size_t)(n * lane->lanes) * sizeof(double);
    void *block = aligned_alloc(64, (bytes + 63) / 64 * 64), *work = aligned_alloc(64, (bytes + 63) / 64 * 64);
    lane->pack(block, b, n, 1);
    lane->solve(block, block, work, fem_factor_triangles(factor, AD_F64));
    const PetscScalar *expected;
    OK(VecGetArrayRead(x, &expected));
    for (int64_t i = 0; i < n; i++)
        for (int l = 0; l < lane->lanes; l++)
            cr_assert_float_eq(((double *)block)[i * lane->lanes + l], expected[i], 1e-11);
    OK(VecRestoreArrayRead(x, &expected));
    /* A matrix that is not definite is refused by name. */
    for (int i = 0; i < nodes; i++)
        ke[i * nodes + i] = -100;
    cr_assert_eq(fem_factor_compute(factor, ke), FWM_NUMERIC);
    cr_assert(strstr(fwm_error_message(), "pivot"));
    free(ke), free(b), free(block), free(work);
    OK(VecDestroy(&x));
    OK(VecDestroy(&y));
    OK(ISDestroy(&rows));
    OK(ISDestroy(&columns));
    OK(MatDestroy(&matrix));
    OK(MatDestroy(&cholesky));
    fem_factor_destroy(&factor);
    fem_symbolic_destroy(&symbolic);
    fem_mesh_destroy(&mesh);
}

enum { COMPONENTS = 3 };

/* Element matrices without symmetry whose last component has no diagonal of its own, summed by PETSc with rows and
 * columns of held unknowns replaced by the identity's. */
static Mat saddle_matrix(const fem_mesh *mesh, double *ke, const uint8_t *held)
{
    const int dofs = mesh->cell_node_count * COMPONENTS;
    const int64_t n = mesh->n_nodes * COMPONENTS;
    Mat matrix;
    OK(MatCreateSeqAIJ(PETSC_COMM_SELF, (PetscInt)n, (PetscInt)n, 200, NULL, &matrix));
    for (int64_t c = 0; c < mesh->n_cells; c++)
        for (int i = 0; i < dofs; i++)
            for (int j = 0; j < dofs; j++) {
                const PetscInt row =
                    mesh->cell_nodes[c * mesh->cell_node_count + i / COMPONENTS] * COMPONENTS + i % COMPONENTS;
                const PetscInt column =
                    mesh->cell_nodes[c * mesh->cell_node_count + j / COMPONENTS] * COMPONENTS + j % COMPONENTS;
                double *k = &ke[(c * dofs + i) * dofs + j];
                if (i % COMPONENTS == 2 && j % COMPONENTS == 2)
                    *k = 0;
                else if (i == j)
                    *k = 2 * dofs;
                if (!held[row] && !held[column])
                    OK(MatSetValue(matrix, row, column, *k, ADD_VALUES));
            }
    for (PetscInt i = 0; i < n; i++)
        OK(MatSetValue(matrix, i, i, held[i] ? 1 : 0, ADD_VALUES));
    OK(MatAssemblyBegin(matrix, MAT_FINAL_ASSEMBLY));
    OK(MatAssemblyEnd(matrix, MAT_FINAL_ASSEMBLY));
    return matrix;
}

/* |A x - b| (or A^T) by PETSc, relative to |b|. */
static double petsc_error(Mat matrix, bool transposed, const double *x, int stride, const double *b, int64_t n)
{
    Vec v, y;
    PetscReal size;
    OK(MatCreateVecs(matrix, &v, &y));
    for (PetscInt i = 0; i < n; i++)
        OK(VecSetValue(v, i, x[i * stride], INSERT_VALUES));
    OK(VecAssemblyBegin(v));
    OK(VecAssemblyEnd(v));
    OK(transposed ? MatMultTranspose(matrix, v, y) : MatMult(matrix, v, y));
    for (PetscInt i = 0; i < n; i++)
        OK(VecSetValue(y, i, -b[i], ADD_VALUES));
    OK(VecAssemblyBegin(y));
    OK(VecAssemblyEnd(y));
    OK(VecNorm(y, NORM_INFINITY, &size));
    OK(VecDestroy(&v));
    OK(VecDestroy(&y));
    return size / largest(b, n);
}

/* A saddle point without symmetry, with unknowns that are held: the shared factor and those of a matrix a lane, plain
 * and transposed. */
Test(oracle, the_general_factors_solve_petscs_matrix)
{
    MUST(fwm_threads_init(1));
    fem_mesh *mesh = crooked(FEM_Q1);
    const int dofs = mesh->cell_node_count * COMPONENTS;
    const int64_t n = mesh->n_nodes * COMPONENTS, cells = mesh->n_cells;
    uint8_t *held = calloc((size_t)n, 1);
    for (int64_t i = 0; i < n; i += 11)
        held[i] = 1;
    double *ke = noise(8, cells * dofs * dofs, -1, 1), *b = noise(9, n, -1, 1);
    Mat matrix = saddle_matrix(mesh, ke, held);
    const bool late[COMPONENTS] = {false, false, true};
    fem_symbolic *symbolic;
    fem_factor *factor;
    fem_lane_factor *many;
    const fem_lane_kernels *lane = fem_lane_kernels_find(AD_F64);
    MUST(fem_symbolic_create(&symbolic, mesh, &(fem_pattern){.components = COMPONENTS, .held = held, .late = late}));
    MUST(fem_factor_create(&factor, symbolic, FEM_MATRIX_GENERAL));
    MUST(fem_lane_factor_create(&many, symbolic, FEM_MATRIX_GENERAL, lane));
    MUST(fem_factor_compute(factor, ke));
    fem_lane_factor_clear(many);
    double *rows = malloc((size_t)(cells * dofs * lane->lanes) * sizeof *rows);
    for (int t = 0; t < dofs; t++) {
        for (int64_t c = 0; c < cells; c++)
            for (int j = 0; j < dofs; j++)
                for (int l = 0; l < lane->lanes; l++)
                    rows[(c * dofs + j) * lane->lanes + l] = ke[(c * dofs + t) * dofs + j];
        fem_lane_factor_add(many, t, rows);
    }
    int32_t unknown[FEM_MAX_LANES];
    fem_lane_factor_compute(many, unknown);
    size_t bytes = ((size_t)(n * lane->lanes) * sizeof(double) + 63) / 64 * 64;
    double *rhs = aligned_alloc(64, bytes), *x = aligned_alloc(64, bytes), *work = aligned_alloc(64, bytes);
    lane->pack(rhs, b, n, 1);
    for (int transposed = 0; transposed < 2; transposed++) {
        lane->solve(x, rhs, work,
                    transposed ? fem_factor_transposed(factor, AD_F64) : fem_factor_triangles(factor, AD_F64));
        cr_expect(petsc_error(matrix, transposed, x, lane->lanes, b, n) < 1e-11, "%g",
                  petsc_error(matrix, transposed, x, lane->lanes, b, n));
        fem_lane_factor_solve(many, x, rhs, transposed);
        for (int l = 0; l < lane->lanes; l++) {
            cr_expect(unknown[l] == -1);
            cr_expect(petsc_error(matrix, transposed, x + l, lane->lanes, b, n) < 1e-11, "lane %d: %g", l,
                      petsc_error(matrix, transposed, x + l, lane->lanes, b, n));
        }
    }
    free(held), free(ke), free(b), free(rows), free(rhs), free(x), free(work);
    OK(MatDestroy(&matrix));
    fem_lane_factor_destroy(&many);
    fem_factor_destroy(&factor);
    fem_symbolic_destroy(&symbolic);
    fem_mesh_destroy(&mesh);
}
