#include "physics/factor.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

struct fem_symbolic {
    int64_t n, n_cells, upper_nnz, nnz;
    int dofs;                         /* of an element matrix */
    int32_t *order;                   /* [n] */
    int32_t *upper_start, *upper_row; /* P A P^T, rows i <= k of column k */
    int32_t *slot;                    /* [n_cells,dofs,dofs] where an element entry is summed, -1 below the diagonal */
    int32_t *row_start, *row_column;  /* L by rows */
    int32_t *column_start, *column_row; /* L by columns */
    int32_t *row_from;                  /* [nnz] place in the columns of each entry of the rows */
};

struct fem_factor {
    const fem_symbolic *symbolic;
    double *upper, *work;
    int32_t *filled;
    double *column_value, *row_value, *inverse_diagonal;
    float *column_value_f32, *row_value_f32, *inverse_diagonal_f32;
    fem_triangles triangles[2]; /* by ad_dtype */
};

/* The pattern of one field widened to `fields` unknowns a node. */
static fwm_status widen(const fem_csr *nodes, int fields, int64_t *start, int32_t *column)
{
    int64_t at = 0;
    for (int64_t i = 0; i < nodes->rows; i++)
        for (int c = 0; c < fields; c++) {
            start[i * fields + c] = at;
            for (int64_t e = nodes->row_start[i]; e < nodes->row_start[i + 1]; e++)
                for (int d = 0; d < fields; d++)
                    column[at++] = nodes->column[e] * fields + d;
        }
    start[nodes->rows * fields] = at;
    FWM_CHECK(at < INT32_MAX, FWM_OVERFLOW, "matrix: %lld entries are too many for 32-bit indices", (long long)at);
    return FWM_OK;
}

/* Upper part of P A P^T by columns, rows rising. */
static void permute_upper(fem_symbolic *s, const int64_t *start, const int32_t *column, const int32_t *place)
{
    int32_t at = 0;
    for (int64_t k = 0; k < s->n; k++) {
        int32_t i = s->order[k], first = at;
        s->upper_start[k] = at;
        for (int64_t e = start[i]; e < start[i + 1]; e++) {
            int32_t r = place[column[e]];
            if (r > k)
                continue;
            int32_t t = at++;
            for (; t > first && s->upper_row[t - 1] > r; t--)
                s->upper_row[t] = s->upper_row[t - 1];
            s->upper_row[t] = r;
        }
    }
    s->upper_start[s->n] = at;
    s->upper_nnz = at;
}

static void map_elements(fem_symbolic *s, const fem_mesh *mesh, int fields, const int32_t *place)
{
    int nodes = mesh->cell_node_count;
    for (int64_t c = 0; c < s->n_cells; c++)
        for (int i = 0; i < s->dofs; i++)
            for (int j = 0; j < s->dofs; j++) {
                int32_t r = place[mesh->cell_nodes[c * nodes + i / fields] * fields + i % fields];
                int32_t k = place[mesh->cell_nodes[c * nodes + j / fields] * fields + j % fields];
                int32_t found = -1;
                if (r <= k) {
                    int32_t lo = s->upper_start[k], hi = s->upper_start[k + 1];
                    while (lo < hi) {
                        int32_t mid = lo + (hi - lo) / 2;
                        if (s->upper_row[mid] < r)
                            lo = mid + 1;
                        else
                            hi = mid;
                    }
                    found = lo;
                }
                s->slot[(c * s->dofs + i) * s->dofs + j] = found;
            }
}

/* Row k of L: every node on the tree paths from the rows of column k of the upper part up to k. Counts rows and columns
 * on the first pass (row_column NULL), writes on the second; a row's columns come out unsorted. */
static void walk_tree(fem_symbolic *s, int32_t *parent, int32_t *mark, int32_t *row_count, int32_t *column_count)
{
    memset(mark, -1, (size_t)s->n * sizeof *mark);
    for (int32_t k = 0; k < s->n; k++) {
        if (!s->row_column)
            parent[k] = -1;
        mark[k] = k;
        for (int32_t e = s->upper_start[k]; e < s->upper_start[k + 1]; e++)
            for (int32_t i = s->upper_row[e]; mark[i] != k; i = parent[i]) {
                if (parent[i] < 0)
                    parent[i] = k;
                mark[i] = k;
                if (s->row_column)
                    s->row_column[s->row_start[k] + row_count[k]] = i;
                row_count[k]++;
                column_count[i]++;
            }
    }
}

static fwm_status pattern_of_factor(fem_symbolic *s, int32_t *parent, int32_t *mark, int32_t *row_count,
                                    int32_t *column_count)
{
    size_t n = (size_t)s->n;
    walk_tree(s, parent, mark, row_count, column_count);
    int64_t rows = 0, columns = 0;
    for (int64_t k = 0; k < s->n; k++) {
        s->row_start[k] = (int32_t)rows;
        s->column_start[k] = (int32_t)columns;
        rows += row_count[k];
        columns += column_count[k];
        FWM_CHECK(rows < INT32_MAX, FWM_OVERFLOW,
                  "matrix: the factor of %lld unknowns is too large for 32-bit indices; use a "
                  "coarser mesh",
                  (long long)s->n);
    }
    s->row_start[n] = s->column_start[n] = (int32_t)rows;
    s->nnz = rows;
    s->row_column = fwm_malloc((size_t)s->nnz, sizeof *s->row_column);
    s->column_row = fwm_malloc((size_t)s->nnz, sizeof *s->column_row);
    s->row_from = fwm_malloc((size_t)s->nnz, sizeof *s->row_from);
    FWM_CHECK(s->row_column && s->column_row && s->row_from, FWM_MEMORY, "out of memory for a factor of %lld entries",
              (long long)s->nnz);
    memset(row_count, 0, n * sizeof *row_count);
    walk_tree(s, parent, mark, row_count, column_count);
    /* Columns by rising row, then rows again from the columns: both sorted. */
    memcpy(column_count, s->column_start, n * sizeof *column_count);
    for (int32_t k = 0; k < s->n; k++)
        for (int32_t e = s->row_start[k]; e < s->row_start[k + 1]; e++)
            s->column_row[column_count[s->row_column[e]]++] = k;
    memcpy(row_count, s->row_start, n * sizeof *row_count);
    for (int32_t j = 0; j < s->n; j++)
        for (int32_t e = s->column_start[j]; e < s->column_start[j + 1]; e++) {
            int32_t at = row_count[s->column_row[e]]++;
            s->row_column[at] = j;
            s->row_from[at] = e;
        }
    return FWM_OK;
}

fwm_status fem_symbolic_create(fem_symbolic **symbolic, const fem_mesh *mesh, int fields)
{
    *symbolic = NULL;
    const fem_csr *pattern = mesh->impl->mass;
    size_t n = (size_t)(mesh->n_nodes * fields), nnz = (size_t)(pattern->nnz * fields * fields);
    fem_symbolic *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory for a matrix of %zu unknowns", n);
    s->n = (int64_t)n;
    s->n_cells = mesh->n_cells;
    s->dofs = mesh->cell_node_count * fields;
    s->order = fwm_malloc(n, sizeof *s->order);
    s->upper_start = fwm_malloc(n + 1, sizeof *s->upper_start);
    s->upper_row = fwm_malloc(nnz, sizeof *s->upper_row);
    s->row_start = fwm_malloc(n + 1, sizeof *s->row_start);
    s->column_start = fwm_malloc(n + 1, sizeof *s->column_start);
    s->slot = fwm_malloc((size_t)(s->n_cells * s->dofs * s->dofs), sizeof *s->slot);
    int64_t *start = fwm_malloc(n + 1, sizeof *start);
    int32_t *column = fwm_malloc(nnz, sizeof *column), *work = fwm_calloc(5 * n, sizeof *work);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status,
                   s->order && s->upper_start && s->upper_row && s->row_start && s->column_start && s->slot && start &&
                       column && work,
                   FWM_MEMORY, "out of memory for a matrix of %zu unknowns", n);
    FWM_TRY_GOTO(status, widen(pattern, fields, start, column));
    FWM_TRY_GOTO(status, fem_order(s->n, start, column, s->order));
    for (size_t k = 0; k < n; k++)
        work[s->order[k]] = (int32_t)k;
    permute_upper(s, start, column, work);
    map_elements(s, mesh, fields, work);
    FWM_TRY_GOTO(status, pattern_of_factor(s, work + n, work + 2 * n, work + 3 * n, work + 4 * n));
    *symbolic = s;
    s = NULL;
done:
    fem_symbolic_destroy(&s);
    fwm_free(start);
    fwm_free(column);
    fwm_free(work);
    return status;
}

void fem_symbolic_destroy(fem_symbolic **symbolic)
{
    fem_symbolic *s = *symbolic;
    if (!s)
        return;
    *symbolic = NULL;
    void *arrays[] = {s->order,      s->upper_start,  s->upper_row,  s->slot,    s->row_start,
                      s->row_column, s->column_start, s->column_row, s->row_from};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free(s);
}

int64_t fem_symbolic_nonzeros(const fem_symbolic *s)
{
    return s->nnz;
}

fwm_status fem_factor_create(fem_factor **factor, const fem_symbolic *s)
{
    *factor = NULL;
    size_t n = (size_t)s->n, nnz = (size_t)s->nnz;
    fem_factor *f = fwm_calloc(1, sizeof *f);
    FWM_CHECK(f, FWM_MEMORY, "out of memory for a factor of %zu entries", nnz);
    f->symbolic = s;
    f->upper = fwm_malloc((size_t)s->upper_nnz, sizeof *f->upper);
    f->work = fwm_calloc(n, sizeof *f->work);
    f->filled = fwm_malloc(n, sizeof *f->filled);
    f->column_value = fwm_malloc(nnz, sizeof *f->column_value);
    f->row_value = fwm_malloc(nnz, sizeof *f->row_value);
    f->inverse_diagonal = fwm_malloc(n, sizeof *f->inverse_diagonal);
    f->column_value_f32 = fwm_malloc(nnz, sizeof *f->column_value_f32);
    f->row_value_f32 = fwm_malloc(nnz, sizeof *f->row_value_f32);
    f->inverse_diagonal_f32 = fwm_malloc(n, sizeof *f->inverse_diagonal_f32);
    if (!f->upper || !f->work || !f->filled || !f->column_value || !f->row_value || !f->inverse_diagonal ||
        !f->column_value_f32 || !f->row_value_f32 || !f->inverse_diagonal_f32) {
        fem_factor_destroy(&f);
        return fwm_fail(FWM_MEMORY, "out of memory for a factor of %zu entries", nnz);
    }
    fem_triangles t = {.n = s->n,
                       .order = s->order,
                       .row_start = s->row_start,
                       .row_column = s->row_column,
                       .column_start = s->column_start,
                       .column_row = s->column_row};
    f->triangles[AD_F32] = f->triangles[AD_F64] = t;
    f->triangles[AD_F32].row_value = f->row_value_f32;
    f->triangles[AD_F32].column_value = f->column_value_f32;
    f->triangles[AD_F32].inverse_diagonal = f->inverse_diagonal_f32;
    f->triangles[AD_F64].row_value = f->row_value;
    f->triangles[AD_F64].column_value = f->column_value;
    f->triangles[AD_F64].inverse_diagonal = f->inverse_diagonal;
    *factor = f;
    return FWM_OK;
}

void fem_factor_destroy(fem_factor **factor)
{
    fem_factor *f = *factor;
    if (!f)
        return;
    *factor = NULL;
    void *arrays[] = {f->upper,
                      f->work,
                      f->filled,
                      f->column_value,
                      f->row_value,
                      f->inverse_diagonal,
                      f->column_value_f32,
                      f->row_value_f32,
                      f->inverse_diagonal_f32};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free(f);
}

/* Row k of L solves L[0:k,0:k] (D l) = column k of the upper part. Columns hold their entries with rows below k so far.
 */
static fwm_status factorise(fem_factor *f)
{
    const fem_symbolic *s = f->symbolic;
    double *y = f->work;
    for (int32_t k = 0; k < s->n; k++) {
        f->filled[k] = s->column_start[k];
        for (int32_t e = s->upper_start[k]; e < s->upper_start[k + 1]; e++)
            y[s->upper_row[e]] = f->upper[e];
        double pivot = y[k];
        y[k] = 0;
        for (int32_t e = s->row_start[k]; e < s->row_start[k + 1]; e++) {
            int32_t j = s->row_column[e], end = f->filled[j]++;
            double v = y[j], l = v * f->inverse_diagonal[j];
            y[j] = 0;
            for (int32_t p = s->column_start[j]; p < end; p++)
                y[s->column_row[p]] -= f->column_value[p] * v;
            pivot -= l * v;
            f->column_value[end] = l;
        }
        if (!(pivot > 0 && pivot < INFINITY)) {
            memset(y, 0, (size_t)s->n * sizeof *y);
            return fwm_fail(FWM_NUMERIC,
                            "matrix: pivot %g at unknown %d is not positive and finite; check parameters and dt", pivot,
                            s->order[k]);
        }
        f->inverse_diagonal[k] = 1 / pivot;
    }
    return FWM_OK;
}

fwm_status fem_factor_compute(fem_factor *f, const double *ke)
{
    const fem_symbolic *s = f->symbolic;
    memset(f->upper, 0, (size_t)s->upper_nnz * sizeof *f->upper);
    int64_t entries = s->n_cells * s->dofs * s->dofs;
    for (int64_t e = 0; e < entries; e++)
        if (s->slot[e] >= 0)
            f->upper[s->slot[e]] += ke[e];
    FWM_TRY(factorise(f));
    for (int64_t e = 0; e < s->nnz; e++) {
        f->row_value[e] = f->column_value[s->row_from[e]];
        f->row_value_f32[e] = (float)f->row_value[e];
        f->column_value_f32[e] = (float)f->column_value[e];
    }
    for (int64_t k = 0; k < s->n; k++)
        f->inverse_diagonal_f32[k] = (float)f->inverse_diagonal[k];
    return FWM_OK;
}

const fem_triangles *fem_factor_triangles(const fem_factor *f, ad_dtype dtype)
{
    return &f->triangles[dtype];
}
