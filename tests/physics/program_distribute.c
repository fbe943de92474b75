/* A mesh over the processes of mpirun: program_distribute. Checks, for every element, plain and periodic, that the
 * parts make up the whole, that ghosts get their owners' values, that residuals and their transposes at owned nodes are
 * those of one process; and that errors are the same on all. Exit status 0 when all holds. */
#include "model/base/threads.h"
#include "physics/distribute.h"
#include "physics/fem.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(cond, ...)                                                                                              \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                                                 \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fprintf(stderr, "\n");                                                                                     \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                                              \
        }                                                                                                              \
    } while (0)
#define MUST(call) EXPECT((call) == FWM_OK, "%s", fwm_error_message())

static const double LX = 1.2, LY = 0.9, LZ = 0.7;

static fem_mesh *box(fem_element element, bool periodic)
{
    fem_mesh *m = NULL;
    bool space = fem_element_dim(element) == 3;
    MUST(fem_mesh_create(&m, &(fem_mesh_spec){.element = element,
                                              .nx = space ? 5 : 9,
                                              .ny = space ? 4 : 8,
                                              .lx = LX,
                                              .ly = LY,
                                              .nz = 4,
                                              .lz = LZ,
                                              .periodic = {periodic, false, false}}));
    return m;
}

/* The arrays of a mesh, one cell mirrored, its boundary by the names of the sides. */
typedef struct box_arrays {
    fem_mesh_arrays a;
    int32_t *cells, *faces, *region;
    fem_named_faces named[FEM_BOUNDARY_COUNT];
} box_arrays;

static const char *const regions[] = {"near", "far"};

static void fill_arrays(box_arrays *out, const fem_mesh *m)
{
    int n = m->cell_vertices, k = m->face_vertices;
    out->cells = malloc((size_t)(m->n_cells * n) * sizeof(int32_t));
    out->faces = malloc((size_t)(m->n_faces * k + 1) * sizeof(int32_t));
    out->region = malloc((size_t)m->n_cells * sizeof(int32_t));
    EXPECT(out->cells && out->faces && out->region, "out of memory");
    memcpy(out->cells, m->cells, (size_t)(m->n_cells * n) * sizeof(int32_t));
    if (n == 3 || n == 4) { /* a triangle or tetrahedron is mirrored by exchanging two vertices; a square is not */
        int32_t keep = out->cells[1];
        int other = n == 3 || m->dim == 3 ? 2 : 3;
        out->cells[1] = out->cells[other];
        out->cells[other] = keep;
    }
    for (int64_t c = 0; c < m->n_cells; c++)
        out->region[c] = m->centroid[c * m->dim] > 0.6;
    int32_t *next = out->faces;
    int count = 0;
    for (int label = 1; label < FEM_BOUNDARY_COUNT; label++) {
        fem_named_faces part = {.name = m->label_name[label], .faces = next};
        for (int64_t f = 0; f < m->n_faces; f++)
            if (m->face_label[f] == label) {
                memcpy(next, m->faces + f * k, (size_t)k * sizeof *next);
                next += k;
                part.count++;
            }
        if (part.count > 0)
            out->named[count++] = part;
    }
    out->a = (fem_mesh_arrays){.element = m->element,
                               .n_vertices = m->n_vertices,
                               .n_cells = m->n_cells,
                               .vertices = m->vertices,
                               .cells = out->cells,
                               .merge = m->merge,
                               .n_boundaries = count,
                               .boundary = out->named,
                               .n_regions = 2,
                               .region_name = regions,
                               .cell_region = out->region};
}

static double formula(const fem_mesh *m, int64_t node, int k)
{
    const double *x = m->nodes + m->dim * node;
    return sin(2 * M_PI * x[0] / LX + k) * cos((2 + k) * x[1]) + (m->dim == 3 ? x[2] * x[2] : 0.1 * k);
}

/* The parts make up the whole: nodes, cells, the lumped mass at owned nodes, labels; ghosts are filled. */
static void check_parts(fem_part *p, const fem_mesh *whole)
{
    const fem_mesh *m = p->mesh;
    double sums[4] = {(double)p->n_owned, (double)p->n_own_cells, 0, 0};
    double *u = malloc((size_t)(2 * m->n_nodes * 3) * sizeof *u);
    EXPECT(p->n_global == whole->n_nodes && p->n_global_cells == whole->n_cells, "%lld nodes", (long long)p->n_global);
    for (int64_t i = 0; i < m->n_nodes; i++) {
        sums[2] += p->owned[i] ? m->lumped[i] : 0;
        for (int s = 0; s < 6; s++)
            u[(s / 3 * m->n_nodes + i) * 3 + s % 3] = p->owned[i] ? formula(m, i, s) : NAN;
        EXPECT(p->node[i] >= 0 && p->node[i] < p->n_global, "node %lld", (long long)p->node[i]);
    }
    MUST(fem_part_exchange(p, AD_F64, u, 2, 3));
    for (int64_t i = 0; i < m->n_nodes; i++)
        for (int s = 0; s < 6; s++)
            EXPECT(fabs(u[(s / 3 * m->n_nodes + i) * 3 + s % 3] - formula(m, i, s)) < 1e-12, "node %lld of %d",
                   (long long)i, p->rank);
    for (int64_t c = 0; c < m->n_cells; c++)
        EXPECT(m->cell_region[c] == (whole->centroid[p->cell[c] * m->dim] > 0.6), "region of cell %lld", (long long)c);
    for (int64_t f = 0; f < m->n_faces; f++) {
        const char *name = m->label_name[m->face_label[f]];
        sums[3] += p->own_cell[m->face_cell[f]] && strcmp(name, "other") != 0;
        for (int k = 0; strcmp(name, "other") == 0 && k < m->face_node_count; k++)
            EXPECT(!p->owned[m->face_nodes[f * m->face_node_count + k]], "an owned node on a cut face");
    }
    MUST(fem_part_sum(sums, 4));
    EXPECT(sums[0] == (double)whole->n_nodes && sums[1] == (double)whole->n_cells, "%g %g", sums[0], sums[1]);
    EXPECT(fabs(sums[2] - whole->area) < 1e-12, "lumped mass %.15g", sums[2]);
    EXPECT(sums[3] == (double)whole->n_faces, "%g faces", sums[3]);
    free(u);
}

/* Residual and all bars of states of one mesh. */
static void evaluate(const fem_mesh *m, const double *u1, const double *u0, const double *rbar, double *r,
                     double *u1_bar, double *u0_bar)
{
    static const double theta_values[4] = {0.7, 3, 0.1, 3}, a[2] = {0.2, -0.1};
    fem_problem *problem = NULL;
    MUST(fem_problem_create(&problem, &(fem_problem_spec){.equation = "heat", .mesh = m, .dt = 3e-3}));
    EXPECT(fem_problem_actions(problem) == 1 && fem_problem_equation(problem)->n_parameters == 4, "heat has changed");
    fem_theta theta = {{&theta_values[0], &theta_values[1], &theta_values[2], &theta_values[3]}, {1, 1, 1, 1}};
    MUST(fem_residual(problem, AD_F64, r, u1, u0, a, &theta, 2));
    MUST(fem_residual_vjp(problem, AD_F64, &(fem_bars){.u1 = u1_bar, .u0 = u0_bar}, rbar, u1, u0, a, &theta, 2));
    fem_problem_destroy(&problem);
}

/* [2,n] states, cotangents, residuals, bars, and the coordinates that tell which node is which. */
enum { U1, U0, RBAR, R, U1_BAR, U0_BAR, ARRAYS };

static void make_states(const fem_mesh *m, double *x[ARRAYS])
{
    for (int k = 0; k < ARRAYS; k++) {
        x[k] = calloc((size_t)(2 * m->n_nodes), sizeof *x[k]);
        EXPECT(x[k], "out of memory");
    }
    for (int64_t i = 0; i < 2 * m->n_nodes; i++)
        for (int k = U1; k <= RBAR; k++)
            x[k][i] = formula(m, i % m->n_nodes, k + 3 * (int)(i / m->n_nodes));
}

static void check_residuals(fem_part *p, const fem_mesh *whole)
{
    double *x[ARRAYS], *serial[ARRAYS], *all = calloc((size_t)(2 * p->n_global), sizeof *all);
    double *places = calloc((size_t)(p->n_global * 3), sizeof *places);
    double *own_places = calloc((size_t)(p->mesh->n_nodes * 3), sizeof *own_places);
    make_states(p->mesh, x);
    make_states(whole, serial);
    evaluate(p->mesh, x[U1], x[U0], x[RBAR], x[R], x[U1_BAR], x[U0_BAR]);
    evaluate(whole, serial[U1], serial[U0], serial[RBAR], serial[R], serial[U1_BAR], serial[U0_BAR]);
    for (int64_t i = 0; i < p->mesh->n_nodes; i++)
        for (int d = 0; d < p->mesh->dim; d++)
            own_places[3 * i + d] = p->mesh->nodes[p->mesh->dim * i + d];
    MUST(fem_part_gather(p, places, own_places, 1, 3));
    for (int k = R; k < ARRAYS; k++) {
        MUST(fem_part_gather(p, all, x[k], 2, 1));
        for (int64_t g = 0; p->rank == 0 && g < p->n_global; g++) {
            int64_t same = -1;
            for (int64_t i = 0; i < whole->n_nodes && same < 0; i++) {
                double apart = 0;
                for (int d = 0; d < whole->dim; d++) {
                    double gap = fabs(places[3 * g + d] - whole->nodes[whole->dim * i + d]);
                    apart += d == 0 && whole->periodic[0] ? fmin(gap, fabs(gap - LX)) : gap;
                }
                same = apart < 1e-9 ? i : -1;
            }
            EXPECT(same >= 0, "node %lld", (long long)g);
            for (int b = 0; b < 2; b++)
                EXPECT(fabs(all[b * p->n_global + g] - serial[k][b * whole->n_nodes + same]) < 1e-12,
                       "array %d, node %lld: %.15g %.15g", k, (long long)g, all[b * p->n_global + g],
                       serial[k][b * whole->n_nodes + same]);
        }
    }
    for (int k = 0; k < ARRAYS; k++) {
        free(x[k]);
        free(serial[k]);
    }
    free(all);
    free(places);
    free(own_places);
}

/* The implicit step of one process, radiation included, to the solver's tolerance. */
static void check_step(fem_part *p, const fem_mesh *whole)
{
    static const double theta_values[4] = {0.7, 3, 0.1, 3}, a[2] = {0.2, -0.1};
    fem_theta theta = {{&theta_values[0], &theta_values[1], &theta_values[2], &theta_values[3]}, {1, 1, 1, 1}};
    double *x[ARRAYS], *serial[ARRAYS], sums[2] = {0, 0};
    fem_problem *problem, *one;
    make_states(p->mesh, x);
    make_states(whole, serial);
    MUST(fem_problem_create(&problem, &(fem_problem_spec){.equation = "heat", .mesh = p->mesh, .dt = 3e-3}));
    MUST(fem_problem_create(&one, &(fem_problem_spec){.equation = "heat", .mesh = whole, .dt = 3e-3}));
    MUST(fem_part_step(p, problem, x[U1], x[U0], a, &theta, 2));
    MUST(fem_step(one, AD_F64, serial[U1], serial[U0], a, &theta, 2));
    /* Two moments of the result tell it apart, and every node's residual is 0. */
    for (int64_t i = 0; i < p->mesh->n_nodes; i++)
        for (int b = 0; b < 2 && p->owned[i]; b++)
            for (int k = 0; k < 2; k++)
                sums[k] += p->mesh->lumped[i] * pow(x[U1][b * p->mesh->n_nodes + i], k + 1) * (b + 1);
    MUST(fem_part_sum(sums, 2));
    for (int64_t i = 0; i < whole->n_nodes; i++)
        for (int b = 0; b < 2; b++)
            for (int k = 0; k < 2; k++)
                sums[k] -= whole->lumped[i] * pow(serial[U1][b * whole->n_nodes + i], k + 1) * (b + 1);
    EXPECT(fabs(sums[0]) < 1e-9 && fabs(sums[1]) < 1e-9, "%g %g", sums[0], sums[1]);
    MUST(fem_residual(problem, AD_F64, x[R], x[U1], x[U0], a, &theta, 2));
    for (int64_t i = 0; i < 2 * p->mesh->n_nodes; i++)
        EXPECT(!p->owned[i % p->mesh->n_nodes] || fabs(x[R][i]) < 1e-9, "residual %g", x[R][i]);
    fem_problem_destroy(&problem);
    fem_problem_destroy(&one);
    for (int k = 0; k < ARRAYS; k++) {
        free(x[k]);
        free(serial[k]);
    }
}

/* What one process finds wrong, all report. */
static void check_errors(int rank)
{
    fem_part *p = NULL;
    const double square[] = {0, 0, 1, 0, 1, 1, 0, 1};
    const int32_t beyond[] = {0, 1, 2, 0, 2, 9}, flat[] = {0, 1, 2, 0, 2, 2};
    fem_mesh_arrays a = {.element = FEM_P1, .n_vertices = 4, .n_cells = 2, .vertices = square, .cells = beyond};
    EXPECT(fem_distribute(&p, rank == 0 ? &a : NULL) == FWM_DATA, "%s", fwm_error_message());
    EXPECT(strstr(fwm_error_message(), "process 0: mesh: cell 1 refers to vertex 9") && !p, "%s", fwm_error_message());
    a.cells = flat;
    EXPECT(fem_distribute(&p, rank == 0 ? &a : NULL) != FWM_OK && !p, "a flat cell");
    EXPECT(strstr(fwm_error_message(), "process "), "%s", fwm_error_message());
    EXPECT(fem_distribute(&p, NULL) == FWM_INVALID && !p, "no mesh");
}

int main(void)
{
    int rank;
    MUST(fwm_threads_init(1));
    MUST(fem_init());
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++)
        for (int periodic = 0; periodic < 2; periodic++) {
            fem_mesh *whole = box((fem_element)e, periodic);
            box_arrays arrays = {0};
            fem_part *part = NULL;
            fill_arrays(&arrays, whole);
            MUST(fem_distribute(&part, rank == 0 ? &arrays.a : NULL));
            check_parts(part, whole);
            if (whole->dim == 2) {
                check_residuals(part, whole);
                check_step(part, whole);
            }
            fem_part_destroy(&part);
            free(arrays.cells);
            free(arrays.faces);
            free(arrays.region);
            fem_mesh_destroy(&whole);
        }
    check_errors(rank);
    if (rank == 0)
        printf("parts hold\n");
    fem_finalize();
    return 0;
}
