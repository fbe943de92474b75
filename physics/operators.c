/* Constant sparse operators: points are located once, the element's functions tabulated there, rows written. */
#include "model/base/arena.h"
#include "model/base/checked.h"
#include "physics/mesh_impl.h"

#include <math.h>
#include <string.h>

/* Reference units: a point on a shared edge belongs to both cells in spite of rounding. */
static const double SLACK = 1e-10;

fem_csr *fem_csr_new(int64_t rows, int64_t cols, int64_t nnz)
{
    fem_csr *m = fwm_calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->rows = rows;
    m->cols = cols;
    m->nnz = nnz;
    m->row_start = fwm_calloc((size_t)rows + 1, sizeof *m->row_start);
    m->column = fwm_calloc((size_t)nnz, sizeof *m->column);
    m->weight = fwm_calloc((size_t)nnz, sizeof *m->weight);
    if (!m->row_start || !m->column || !m->weight)
        fem_csr_destroy(&m);
    return m;
}

void fem_csr_destroy(fem_csr **m)
{
    if (!*m)
        return;
    fwm_free((*m)->row_start);
    fwm_free((*m)->column);
    fwm_free((*m)->weight);
    fwm_free(*m);
    *m = NULL;
}

void fem_csr_apply(const fem_csr *m, const double *x, double *y)
{
    for (int64_t i = 0; i < m->rows; i++) {
        double sum = 0;
        for (int64_t e = m->row_start[i]; e < m->row_start[i + 1]; e++)
            sum += m->weight[e] * x[m->column[e]];
        y[i] = sum;
    }
}

/* ---- location: a grid of bins, each with the cells whose boxes touch it, in order ---- */

typedef struct bins {
    const fem_mesh *mesh;
    int64_t n[FEM_MAX_DIM]; /* 1 along axes that the mesh has not */
    int64_t *start;
    int32_t *cell;
} bins;

static int64_t bin_of(const bins *b, int axis, double x)
{
    const fem_mesh *m = b->mesh;
    double t = (x - m->lower[axis]) / (m->upper[axis] - m->lower[axis]) * (double)b->n[axis];
    return t < 0 ? 0 : t >= (double)b->n[axis] ? b->n[axis] - 1 : (int64_t)t;
}

static void cell_bins(const bins *b, int64_t cell, int64_t lo[FEM_MAX_DIM], int64_t hi[FEM_MAX_DIM])
{
    const fem_mesh *m = b->mesh;
    lo[2] = hi[2] = 0;
    for (int d = 0; d < m->dim; d++) {
        double least = INFINITY, most = -INFINITY, slack = 1e-9 * (m->upper[d] - m->lower[d]);
        for (int k = 0; k < m->cell_vertices; k++) {
            double x = m->vertices[m->dim * (int64_t)m->cells[cell * m->cell_vertices + k] + d];
            least = fmin(least, x);
            most = fmax(most, x);
        }
        lo[d] = bin_of(b, d, least - slack);
        hi[d] = bin_of(b, d, most + slack);
    }
}

static void bins_free(bins *b)
{
    fwm_free(b->start);
    fwm_free(b->cell);
}

/* Counts the cells of each bin, or writes them. */
static void bins_pass(bins *b, bool write)
{
    int64_t lo[FEM_MAX_DIM], hi[FEM_MAX_DIM];
    for (int64_t c = 0; c < b->mesh->n_cells; c++) {
        cell_bins(b, c, lo, hi);
        for (int64_t k = lo[2]; k <= hi[2]; k++)
            for (int64_t j = lo[1]; j <= hi[1]; j++)
                for (int64_t i = lo[0]; i <= hi[0]; i++) {
                    int64_t bin = (k * b->n[1] + j) * b->n[0] + i;
                    if (write)
                        b->cell[b->start[bin + 1]++] = (int32_t)c;
                    else
                        b->start[bin + 2]++;
                }
    }
}

static fwm_status bins_make(bins *b, const fem_mesh *mesh)
{
    int64_t side = (int64_t)ceil(pow((double)mesh->n_cells, 1.0 / mesh->dim)), count = 1;
    *b = (bins){.mesh = mesh};
    for (int d = 0; d < FEM_MAX_DIM; d++)
        count *= b->n[d] = d < mesh->dim ? side : 1;
    b->start = fwm_calloc((size_t)count + 2, sizeof *b->start);
    FWM_CHECK(b->start, FWM_MEMORY, "out of memory while locating points");
    bins_pass(b, false);
    for (int64_t k = 0; k <= count; k++)
        b->start[k + 1] += b->start[k];
    b->cell = fwm_malloc((size_t)b->start[count + 1], sizeof *b->cell);
    if (!b->cell) {
        bins_free(b);
        return fwm_fail(FWM_MEMORY, "out of memory while locating points");
    }
    bins_pass(b, true);
    return FWM_OK;
}

/* The cell of lowest index that holds x, or -1. */
static int64_t locate(const bins *b, const double *x, double *reference)
{
    int64_t at[FEM_MAX_DIM] = {0};
    for (int d = 0; d < b->mesh->dim; d++) {
        double slack = SLACK * (b->mesh->upper[d] - b->mesh->lower[d]);
        if (!(x[d] >= b->mesh->lower[d] - slack && x[d] <= b->mesh->upper[d] + slack))
            return -1;
        at[d] = bin_of(b, d, x[d]);
    }
    int64_t bin = (at[2] * b->n[1] + at[1]) * b->n[0] + at[0];
    for (int64_t e = b->start[bin]; e < b->start[bin + 1]; e++)
        if (fem_cell_inverse(b->mesh, b->cell[e], x, SLACK, reference))
            return b->cell[e];
    return -1;
}

/* ---- evaluation ---- */

typedef struct located {
    int64_t *cell;                     /* [m], -1 outside */
    double *reference, *value, *slope; /* of the points found, in order */
    int64_t found;
} located;

static fwm_status locate_all(located *l, const fem_mesh *mesh, int64_t m, const double *points, bool derivatives)
{
    size_t n = (size_t)m, k = (size_t)mesh->cell_node_count;
    *l = (located){.cell = fwm_malloc(n, sizeof *l->cell),
                   .reference = fwm_malloc(n * (size_t)mesh->dim, sizeof *l->reference)};
    FWM_CHECK(l->cell && l->reference, FWM_MEMORY, "out of memory for %zu points", n);
    bins b;
    FWM_TRY(bins_make(&b, mesh));
    for (int64_t i = 0; i < m; i++) {
        l->cell[i] = locate(&b, points + mesh->dim * i, l->reference + mesh->dim * l->found);
        l->found += l->cell[i] >= 0;
    }
    bins_free(&b);
    l->value = fwm_malloc((size_t)l->found * k, sizeof *l->value);
    l->slope = derivatives ? fwm_malloc((size_t)l->found * k * (size_t)mesh->dim, sizeof *l->slope) : NULL;
    FWM_CHECK(l->value && (l->slope || !derivatives), FWM_MEMORY, "out of memory for %zu points", n);
    return fem_tabulate(mesh, l->found, l->reference, l->value, l->slope);
}

/* d phi / d x_axis at a reference point from its slopes along reference axes. */
static void physical_slopes(const fem_mesh *mesh, int64_t cell, const double *reference, const double *slope, int axis,
                            double *out)
{
    double x[FEM_MAX_DIM], j[FEM_MAX_DIM * FEM_MAX_DIM], inverse[FEM_MAX_DIM * FEM_MAX_DIM];
    int dim = mesh->dim;
    fem_cell_map(mesh, cell, reference, x, j);
    (void)fem_invert(dim, j, inverse);
    for (int i = 0; i < mesh->cell_node_count; i++) {
        out[i] = 0;
        for (int d = 0; d < dim; d++)
            out[i] += slope[dim * i + d] * inverse[d * dim + axis];
    }
}

/* Writes a row with rising columns; weights under the rounding of the tables are left out. */
static int64_t write_row(fem_csr *m, int64_t at, int n, const int32_t *column, const double *weight, double smallest)
{
    int64_t first = at;
    for (int i = 0; i < n; i++) {
        if (!(fabs(weight[i]) > smallest))
            continue;
        int64_t e = at++;
        for (; e > first && m->column[e - 1] > column[i]; e--) {
            m->column[e] = m->column[e - 1];
            m->weight[e] = m->weight[e - 1];
        }
        m->column[e] = column[i];
        m->weight[e] = weight[i];
    }
    return at;
}

fwm_status fem_evaluate(fem_csr **out, const fem_mesh *mesh, int64_t m, const double *points, int axis, bool *found)
{
    *out = NULL;
    FWM_CHECK(axis >= -1 && axis < mesh->dim, FWM_INVALID,
              "derivative: expected axis 0 to %d, or -1 for the value, found %d", mesh->dim - 1, axis);
    FWM_CHECK(m >= 0 && m < (INT64_C(1) << 28), FWM_INVALID, "expected 0 to 2^28 points, found %lld", (long long)m);
    located l;
    fem_csr *matrix = NULL;
    fwm_status status = locate_all(&l, mesh, m, points, axis >= 0);
    if (status != FWM_OK)
        goto done;
    int k = mesh->cell_node_count;
    matrix = fem_csr_new(m, mesh->n_nodes, l.found * k);
    FWM_CHECK_GOTO(status, matrix, FWM_MEMORY, "out of memory for %lld points", (long long)m);
    int64_t at = 0, p = 0;
    for (int64_t i = 0; i < m; i++) {
        int64_t cell = l.cell[i];
        if (found)
            found[i] = cell >= 0;
        if (cell >= 0) {
            double slope[FEM_MAX_CELL_NODES], smallest = 1e-14;
            const double *weight = l.value + p * k;
            if (axis >= 0) {
                physical_slopes(mesh, cell, l.reference + mesh->dim * p, l.slope + p * k * mesh->dim, axis, slope);
                weight = slope;
                smallest /= mesh->impl->cell_size[cell];
            }
            at = write_row(matrix, at, k, mesh->cell_nodes + cell * k, weight, smallest);
            p++;
        }
        matrix->row_start[i + 1] = at;
    }
    matrix->nnz = at;
    *out = matrix;
    matrix = NULL;
done:
    fem_csr_destroy(&matrix);
    fwm_free(l.cell);
    fwm_free(l.reference);
    fwm_free(l.value);
    fwm_free(l.slope);
    return status;
}

/* ---- pictures ---- */

fwm_status fem_check_picture(int64_t kh, int64_t kw)
{
    FWM_CHECK(kh >= 1 && kh <= 8192 && kw >= 1 && kw <= 8192, FWM_INVALID,
              "picture: expected 1 to 8192 pixels a side, found %lldx%lld", (long long)kh, (long long)kw);
    return FWM_OK;
}

static fwm_status evaluate_pixels(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, double z, int axis,
                                  double *mask)
{
    *out = NULL;
    FWM_TRY(fem_check_picture(kh, kw));
    double *points = fwm_malloc((size_t)(kh * kw * mesh->dim), sizeof *points);
    bool *found = fwm_malloc((size_t)(kh * kw), sizeof *found);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, points && found, FWM_MEMORY, "out of memory for %lldx%lld pixels", (long long)kh,
                   (long long)kw);
    for (int64_t i = 0; i < kh; i++)
        for (int64_t j = 0; j < kw; j++) {
            double *x = points + mesh->dim * (i * kw + j);
            x[0] = mesh->lower[0] + ((double)j + 0.5) * (mesh->upper[0] - mesh->lower[0]) / (double)kw;
            x[1] = mesh->upper[1] - ((double)i + 0.5) * (mesh->upper[1] - mesh->lower[1]) / (double)kh;
            if (mesh->dim == 3)
                x[2] = z;
        }
    FWM_TRY_GOTO(status, fem_evaluate(out, mesh, kh * kw, points, axis, found));
    for (int64_t i = 0; mask && i < kh * kw; i++)
        mask[i] = found[i] ? 1 : 0;
done:
    fwm_free(points);
    fwm_free(found);
    return status;
}

static double middle(const fem_mesh *mesh)
{
    return 0.5 * (mesh->lower[2] + mesh->upper[2]);
}

fwm_status fem_render(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, double *mask)
{
    return evaluate_pixels(out, mesh, kh, kw, middle(mesh), -1, mask);
}

fwm_status fem_render_slice(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, double z, int axis,
                            double *mask)
{
    *out = NULL;
    FWM_CHECK(mesh->dim == 3, FWM_INVALID, "slice: expected a mesh in space, found one in the plane");
    return evaluate_pixels(out, mesh, kh, kw, z, axis, mask);
}

fwm_status fem_render_gradient(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, int axis)
{
    *out = NULL;
    FWM_CHECK(axis >= 0 && axis < mesh->dim, FWM_INVALID, "gradient: expected axis 0 to %d, found %d", mesh->dim - 1,
              axis);
    return evaluate_pixels(out, mesh, kh, kw, middle(mesh), axis, NULL);
}

/* Position along a row of k pixel centres: the lower pixel and the weight of the next. */
static void between(double t, int64_t k, int64_t *lower, double *weight)
{
    double at = t * (double)k - 0.5;
    at = at < 0 ? 0 : at > (double)(k - 1) ? (double)(k - 1) : at;
    *lower = (int64_t)at;
    if (*lower > k - 2)
        *lower = k > 1 ? k - 2 : 0;
    *weight = at - (double)*lower;
}

fwm_status fem_sample_box(fem_csr **out, const fem_mesh *mesh, const int axes[2], const double *lower,
                          const double *upper, int64_t kh, int64_t kw)
{
    *out = NULL;
    FWM_TRY(fem_check_picture(kh, kw));
    fem_csr *m = fem_csr_new(mesh->n_nodes, kh * kw, 4 * mesh->n_nodes);
    FWM_CHECK(m, FWM_MEMORY, "out of memory for %lld nodes", (long long)mesh->n_nodes);
    int64_t at = 0;
    for (int64_t n = 0; n < mesh->n_nodes; n++) {
        const double *x = mesh->nodes + mesh->dim * n;
        int64_t i, j;
        double wi, wj;
        between((upper[1] - x[axes[1]]) / (upper[1] - lower[1]), kh, &i, &wi);
        between((x[axes[0]] - lower[0]) / (upper[0] - lower[0]), kw, &j, &wj);
        int64_t below = kh > 1 ? kw : 0, right = kw > 1 ? 1 : 0, first = i * kw + j;
        int32_t column[4] = {(int32_t)first, (int32_t)(first + right), (int32_t)(first + below),
                             (int32_t)(first + below + right)};
        double weight[4] = {(1 - wi) * (1 - wj), (1 - wi) * wj, wi * (1 - wj), wi * wj};
        at = write_row(m, at, 4, column, weight, 0);
        m->row_start[n + 1] = at;
    }
    m->nnz = at;
    *out = m;
    return FWM_OK;
}

fwm_status fem_sample(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw)
{
    static const int axes[2] = {0, 1};
    return fem_sample_box(out, mesh, axes, mesh->lower, mesh->upper, kh, kw);
}

fwm_status fem_prolong(fem_csr **out, const fem_mesh *from, const fem_mesh *to)
{
    *out = NULL;
    FWM_CHECK(from->dim == to->dim, FWM_INVALID, "prolong: one mesh has %d dimensions, the other %d", from->dim,
              to->dim);
    bool *found = fwm_malloc((size_t)to->n_nodes, sizeof *found);
    FWM_CHECK(found, FWM_MEMORY, "out of memory for %lld nodes", (long long)to->n_nodes);
    fwm_status status = fem_evaluate(out, from, to->n_nodes, to->nodes, -1, found);
    for (int64_t i = 0; status == FWM_OK && i < to->n_nodes; i++)
        if (!found[i])
            status = fwm_fail(FWM_INVALID, "prolong: node %lld at (%g,%g%s) lies outside the other mesh", (long long)i,
                              to->nodes[to->dim * i], to->nodes[to->dim * i + 1], to->dim == 3 ? ",..." : "");
    if (status != FWM_OK)
        fem_csr_destroy(out);
    fwm_free(found);
    return status;
}
