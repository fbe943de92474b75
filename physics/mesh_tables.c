/* Tables of a mesh: basis, quadrature and geometry in both number types, the mass matrix and its pattern. */
#include "model/base/arena.h"
#include "physics/petsc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct raw_tables {
    double *basis, *dbasis, *d2basis, *weight, *geometry, *point;
    int geometry_points;
} raw_tables;

static fwm_status cell_geometry(const fem_mesh *m, raw_tables *t, int points, const double *at)
{
    int dim = m->dim, record = dim * dim + 1;
    bool affine = true;
    for (int64_t c = 0; c < m->n_cells; c++) {
        double *first = t->geometry + c * points * record, scale = 0;
        for (int q = 0; q < points; q++) {
            double jacobian[FEM_MAX_DIM * FEM_MAX_DIM], *g = first + q * record;
            fem_cell_map(m, c, at + q * dim, t->point + (c * points + q) * dim, jacobian);
            g[dim * dim] = fem_invert(dim, jacobian, g);
            FWM_CHECK(g[dim * dim] > 0, FWM_DATA, "mesh: cell %lld is folded over", (long long)c);
            for (int i = 0; q == 0 && i < dim * dim; i++)
                scale += fabs(g[i]);
            for (int i = 0; i < dim * dim; i++)
                affine = affine && fabs(g[i] - first[i]) <= 1e-12 * scale;
            affine = affine && fabs(g[dim * dim] - first[dim * dim]) <= 1e-12 * first[dim * dim];
        }
    }
    t->geometry_points = affine ? 1 : points;
    for (int64_t c = 1; affine && c < m->n_cells; c++)
        memmove(t->geometry + c * record, t->geometry + c * points * record, (size_t)record * sizeof *t->geometry);
    return FWM_OK;
}

static fwm_status tabulate_cells(const fem_mesh *m, raw_tables *t)
{
    const fem_element_sizes *e = &fem_element_table[m->element];
    struct fem_petsc_mesh *p = m->impl->petsc;
    const PetscReal *weight, *at;
    PetscInt points;
    PetscTabulation table;
    FEM_PETSC(PetscQuadratureGetData(p->quadrature, NULL, NULL, &points, &at, &weight));
    FWM_CHECK(points == e->points, FWM_INTERNAL, "quadrature of %s has %d points, expected %d", e->space, (int)points,
              e->points);
    /* With second derivatives, which the space's own tabulation does not keep. */
    FEM_PETSC(PetscFECreateTabulation(p->fe, 1, points, at, 2, &table));
    memcpy(t->weight, weight, (size_t)points * sizeof *weight);
    memcpy(t->basis, table->T[0], (size_t)(points * e->nodes) * sizeof(double));
    memcpy(t->dbasis, table->T[1], (size_t)(points * e->nodes * m->dim) * sizeof(double));
    memcpy(t->d2basis, table->T[2], (size_t)(points * e->nodes * m->dim * m->dim) * sizeof(double));
    FEM_PETSC(PetscTabulationDestroy(&table));
    return cell_geometry(m, t, points, at);
}

void *fem_copy_as(ad_dtype dtype, const double *x, int64_t n)
{
    void *copy = fwm_malloc((size_t)n, fem_number_size(dtype));
    for (int64_t i = 0; copy && i < n; i++) {
        if (dtype == AD_F64)
            ((double *)copy)[i] = x[i];
        else
            ((float *)copy)[i] = (float)x[i];
    }
    return copy;
}

static fwm_status keep_tables(fem_mesh *m, const raw_tables *t)
{
    fem_mesh_impl *impl = m->impl;
    int64_t points = impl->n_points, nodes = m->cell_node_count;
    for (int d = 0; d < 2; d++) {
        ad_dtype dtype = (ad_dtype)d;
        void **own = impl->owned[d];
        own[0] = fem_copy_as(dtype, t->basis, points * nodes);
        own[1] = fem_copy_as(dtype, t->dbasis, points * nodes * m->dim);
        own[2] = fem_copy_as(dtype, t->weight, points);
        own[3] = fem_copy_as(dtype, t->geometry, m->n_cells * t->geometry_points * (m->dim * m->dim + 1));
        own[4] = fem_copy_as(dtype, t->point, m->n_cells * points * m->dim);
        own[5] = fem_copy_as(dtype, impl->cell_size, m->n_cells);
        own[6] = fem_copy_as(dtype, t->d2basis, points * nodes * m->dim * m->dim);
        for (int k = 0; k < FEM_TABLE_ARRAYS; k++)
            FWM_CHECK(own[k], FWM_MEMORY, "out of memory for the tables of %lld cells", (long long)m->n_cells);
        impl->tables[d] = (fem_tables){.n_cells = m->n_cells,
                                       .cell_nodes = m->cell_nodes,
                                       .basis = own[0],
                                       .dbasis = own[1],
                                       .d2basis = own[6],
                                       .weight = own[2],
                                       .geometry_points = t->geometry_points,
                                       .geometry = own[3],
                                       .point = own[4],
                                       .size = own[5]};
    }
    return FWM_OK;
}

static int compare_int32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The pattern of neighbours through cells, from lists of cells around each node. */
static fwm_status make_pattern(fem_mesh *m)
{
    int64_t n = m->n_nodes, k = m->cell_node_count, entries = m->n_cells * k;
    int64_t *start = fwm_calloc((size_t)n + 2, sizeof *start);
    int32_t *around = fwm_malloc((size_t)entries, sizeof *around),
            *list = fwm_malloc((size_t)(entries * k), sizeof *list);
    int64_t *row_start = fwm_calloc((size_t)n + 1, sizeof *row_start);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, start && around && list && row_start, FWM_MEMORY,
                   "out of memory for the pattern of %lld nodes", (long long)n);
    for (int64_t e = 0; e < entries; e++)
        start[m->cell_nodes[e] + 2]++;
    for (int64_t i = 0; i <= n; i++)
        start[i + 1] += start[i];
    for (int64_t e = 0; e < entries; e++)
        around[start[m->cell_nodes[e] + 1]++] = (int32_t)(e / k);
    int64_t nnz = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t first = nnz, count = 0;
        for (int64_t s = start[i]; s < start[i + 1]; s++)
            for (int64_t j = 0; j < k; j++)
                list[first + count++] = m->cell_nodes[around[s] * k + j];
        qsort(list + first, (size_t)count, sizeof *list, compare_int32);
        for (int64_t c = 0; c < count; c++)
            if (c == 0 || list[first + c] != list[first + c - 1])
                list[nnz++] = list[first + c];
        row_start[i + 1] = nnz;
    }
    fem_csr *pattern = m->impl->mass = fem_csr_new(n, n, nnz);
    FWM_CHECK_GOTO(status, pattern, FWM_MEMORY, "out of memory for the pattern of %lld nodes", (long long)n);
    memcpy(pattern->row_start, row_start, ((size_t)n + 1) * sizeof *row_start);
    memcpy(pattern->column, list, (size_t)nnz * sizeof *list);
done:
    fwm_free(start);
    fwm_free(around);
    fwm_free(list);
    fwm_free(row_start);
    return status;
}

/* The consistent mass, and the lumped one: each cell's diagonal, scaled to the cell's area (Hinton, Rock & Zienkiewicz
 * 1976; the row sum for P1 and Q1, and positive where P2's row sum is not). */
static void assemble_mass(fem_mesh *m)
{
    const fem_tables *t = &m->impl->tables[AD_F64];
    const double *basis = t->basis, *weight = t->weight, *geometry = t->geometry;
    fem_csr *mass = m->impl->mass;
    int k = m->cell_node_count, points = m->impl->n_points, record = m->dim * m->dim + 1;
    for (int64_t c = 0; c < m->n_cells; c++) {
        double diagonal[FEM_MAX_CELL_NODES], trace = 0, area = 0;
        const int32_t *node = m->cell_nodes + c * k;
        for (int i = 0; i < k; i++)
            for (int j = 0; j < k; j++) {
                double sum = 0;
                for (int q = 0; q < points; q++) {
                    double w = weight[q] * geometry[((t->geometry_points == 1 ? c : c * points + q) + 1) * record - 1];
                    sum += w * basis[q * k + i] * basis[q * k + j];
                    area += i == 0 && j == 0 ? w : 0;
                }
                const int32_t *row = mass->column + mass->row_start[node[i]];
                size_t length = (size_t)(mass->row_start[node[i] + 1] - mass->row_start[node[i]]);
                const int32_t *found = bsearch(&node[j], row, length, sizeof *row, compare_int32);
                mass->weight[found - mass->column] += sum;
                if (i == j) {
                    diagonal[i] = sum;
                    trace += sum;
                }
            }
        for (int i = 0; i < k; i++)
            m->lumped[node[i]] += diagonal[i] * area / trace;
    }
}

fwm_status fem_tables_create(fem_mesh *m)
{
    const fem_element_sizes *e = &fem_element_table[m->element];
    size_t points = (size_t)e->points, nodes = (size_t)e->nodes, cells = (size_t)m->n_cells, dim = (size_t)m->dim;
    m->impl->n_points = e->points;
    raw_tables t = {.basis = fwm_malloc(points * nodes, sizeof(double)),
                    .dbasis = fwm_malloc(points * nodes * dim, sizeof(double)),
                    .d2basis = fwm_malloc(points * nodes * dim * dim, sizeof(double)),
                    .weight = fwm_malloc(points, sizeof(double)),
                    .geometry = fwm_malloc(cells * points * (dim * dim + 1), sizeof(double)),
                    .point = fwm_malloc(cells * points * dim, sizeof(double))};
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, t.basis && t.dbasis && t.d2basis && t.weight && t.geometry && t.point, FWM_MEMORY,
                   "out of memory for the tables of %zu cells", cells);
    FWM_TRY_GOTO(status, tabulate_cells(m, &t));
    FWM_TRY_GOTO(status, keep_tables(m, &t));
    FWM_TRY_GOTO(status, make_pattern(m));
    assemble_mass(m);
done:
    fwm_free(t.basis);
    fwm_free(t.dbasis);
    fwm_free(t.d2basis);
    fwm_free(t.weight);
    fwm_free(t.geometry);
    fwm_free(t.point);
    return status;
}

fwm_status fem_tabulate(const fem_mesh *mesh, int64_t m, const double *reference, double *value, double *derivative)
{
    if (m == 0)
        return FWM_OK;
    PetscTabulation table;
    size_t n = (size_t)(m * mesh->cell_node_count);
    FEM_PETSC(PetscFECreateTabulation(mesh->impl->petsc->fe, 1, (PetscInt)m, reference, derivative ? 1 : 0, &table));
    memcpy(value, table->T[0], n * sizeof *value);
    if (derivative)
        memcpy(derivative, table->T[1], n * (size_t)mesh->dim * sizeof *derivative);
    FEM_PETSC(PetscTabulationDestroy(&table));
    return FWM_OK;
}
