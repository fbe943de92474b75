#include "physics/factor.h"

#include "model/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct fem_symbolic {
    int64_t n, n_cells, upper_nnz, nnz;
    int dofs;                         /* of an element matrix */
    int32_t *order;                   /* [n] */
    int32_t *upper_start, *upper_row; /* P A P^T, rows i <= k of column k */
    /* [n_cells,dofs,dofs] where an element entry is summed: e above the diagonal, e + upper_nnz its mirror below, -1 in
     * rows and columns that are not free. */
    int32_t *slot;
    int64_t n_held;
    int32_t *held_slot;                 /* [n_held] diagonals of unknowns that are not free: 1 */
    int32_t *row_start, *row_column;    /* L by rows */
    int32_t *column_start, *column_row; /* L by columns */
    int32_t *row_from;                  /* [nnz] place in the columns of each entry of the rows */
};

/* Values of one triangle in the two orders, in both number types. */
typedef struct triangle {
    double *column, *row;
    float *column_f32, *row_f32;
} triangle;

struct fem_factor {
    const fem_symbolic *symbolic;
    bool definite;
    double *values; /* [upper_nnz], then their mirrors where the matrix is general */
    double *work;   /* [2 n] */
    int32_t *filled;
    triangle lower, upper; /* upper: U by rows, as L^T by rows; empty where it is L's */
    double *inverse_diagonal;
    float *inverse_diagonal_f32;
    fem_triangles triangles[2], transposed[2]; /* by ad_dtype */
};

/* ---- order and pattern ---- */

/* Nodes in order, each with its components; late ones after the last of their node's neighbours. */
static fwm_status order_unknowns(fem_symbolic *s, const fem_csr *nodes, const fem_pattern *pattern)
{
    const int64_t n = nodes->rows;
    const int components = pattern->components;
    int32_t *order = fwm_malloc((size_t)n * 3, sizeof *order), *place = order + n, *last = place + n;
    int32_t *count = fwm_calloc((size_t)n + 1, sizeof *count);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, order && count, FWM_MEMORY, "out of memory for a matrix of %lld nodes", (long long)n);
    FWM_TRY_GOTO(status, fem_order(n, nodes->row_start, nodes->column, order));
    for (int64_t k = 0; k < n; k++)
        place[order[k]] = (int32_t)k;
    for (int64_t i = 0; i < n; i++) {
        last[i] = place[i];
        for (int64_t e = nodes->row_start[i]; e < nodes->row_start[i + 1]; e++)
            last[i] = place[nodes->column[e]] > last[i] ? place[nodes->column[e]] : last[i];
    }
    /* Two passes of a counting sort by the node after which an unknown comes: on time first, then late. */
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t k = 0; k < n; k++)
            for (int c = 0; c < components; c++) {
                const int64_t i = order[k];
                const bool late = pattern->late && pattern->late[c];
                const int32_t after = late ? last[i] : place[i];
                if (pass == 0)
                    count[after + 1]++;
                else if (!late)
                    s->order[count[after]++] = (int32_t)(i * components + c);
            }
        for (int64_t k = 0; k < n && pass == 0; k++)
            count[k + 1] += count[k];
    }
    for (int64_t k = 0; k < n; k++)
        for (int c = 0; c < components; c++)
            if (pattern->late && pattern->late[c])
                s->order[count[last[order[k]]]++] = order[k] * components + c;
done:
    fwm_free(order);
    fwm_free(count);
    return status;
}

static bool coupled(const fem_pattern *p, int64_t i, int64_t j)
{
    if (i == j)
        return true;
    if (p->held && (p->held[i] || p->held[j]))
        return false;
    return !p->apart || i % p->components == j % p->components;
}

/* Upper part of P A P^T by columns, rows rising. */
static void permute_upper(fem_symbolic *s, const fem_csr *nodes, const fem_pattern *p, const int32_t *place)
{
    const int components = p->components;
    int32_t at = 0;
    for (int64_t k = 0; k < s->n; k++) {
        const int32_t i = s->order[k], first = at;
        s->upper_start[k] = at;
        for (int64_t e = nodes->row_start[i / components]; e < nodes->row_start[i / components + 1]; e++)
            for (int c = 0; c < components; c++) {
                const int64_t j = (int64_t)nodes->column[e] * components + c;
                const int32_t r = place[j];
                if (r > k || !coupled(p, i, j))
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

static int32_t find_row(const fem_symbolic *s, int32_t r, int32_t k)
{
    int32_t lo = s->upper_start[k], hi = s->upper_start[k + 1];
    while (lo < hi) {
        int32_t mid = lo + (hi - lo) / 2;
        if (s->upper_row[mid] < r)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void map_elements(fem_symbolic *s, const fem_mesh *mesh, const fem_pattern *p, const int32_t *place)
{
    const int nodes = mesh->cell_node_count, components = p->components;
    for (int64_t c = 0; c < s->n_cells; c++)
        for (int i = 0; i < s->dofs; i++)
            for (int j = 0; j < s->dofs; j++) {
                const int64_t u = (int64_t)mesh->cell_nodes[c * nodes + i / components] * components + i % components;
                const int64_t v = (int64_t)mesh->cell_nodes[c * nodes + j / components] * components + j % components;
                int32_t *slot = &s->slot[(c * s->dofs + i) * s->dofs + j], r = place[u], k = place[v];
                *slot = -1;
                if (!coupled(p, u, v) || (p->held && p->held[u]))
                    continue;
                *slot = r <= k ? find_row(s, r, k) : find_row(s, k, r) + (int32_t)s->upper_nnz;
            }
    for (int64_t i = 0; p->held && i < s->n; i++)
        if (p->held[i])
            s->held_slot[s->n_held++] = find_row(s, place[i], place[i]);
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

/* Entries of the upper part, diagonal in, before held rows and columns are left out. */
static int64_t upper_room(const fem_csr *nodes, const fem_pattern *p)
{
    const int64_t all = nodes->nnz * p->components * (p->apart ? 1 : p->components);
    return (all + nodes->rows * p->components) / 2;
}

fwm_status fem_symbolic_create(fem_symbolic **symbolic, const fem_mesh *mesh, const fem_pattern *pattern)
{
    *symbolic = NULL;
    const fem_csr *nodes = mesh->impl->mass;
    const int components = pattern->components;
    size_t n = (size_t)(mesh->n_nodes * components), room = (size_t)upper_room(nodes, pattern);
    FWM_CHECK(room < INT32_MAX / 2, FWM_OVERFLOW, "matrix: %zu entries are too many for 32-bit indices", room);
    fem_symbolic *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory for a matrix of %zu unknowns", n);
    s->n = (int64_t)n;
    s->n_cells = mesh->n_cells;
    s->dofs = mesh->cell_node_count * components;
    s->order = fwm_malloc(n, sizeof *s->order);
    s->upper_start = fwm_malloc(n + 1, sizeof *s->upper_start);
    s->upper_row = fwm_malloc(room, sizeof *s->upper_row);
    s->held_slot = fwm_malloc(n, sizeof *s->held_slot);
    s->row_start = fwm_malloc(n + 1, sizeof *s->row_start);
    s->column_start = fwm_malloc(n + 1, sizeof *s->column_start);
    s->slot = fwm_malloc((size_t)(s->n_cells * s->dofs * s->dofs), sizeof *s->slot);
    int32_t *work = fwm_calloc(5 * n, sizeof *work);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status,
                   s->order && s->upper_start && s->upper_row && s->held_slot && s->row_start && s->column_start &&
                       s->slot && work,
                   FWM_MEMORY, "out of memory for a matrix of %zu unknowns", n);
    FWM_TRY_GOTO(status, order_unknowns(s, nodes, pattern));
    for (size_t k = 0; k < n; k++)
        work[s->order[k]] = (int32_t)k;
    permute_upper(s, nodes, pattern, work);
    map_elements(s, mesh, pattern, work);
    FWM_TRY_GOTO(status, pattern_of_factor(s, work + n, work + 2 * n, work + 3 * n, work + 4 * n));
    *symbolic = s;
    s = NULL;
done:
    fem_symbolic_destroy(&s);
    fwm_free(work);
    return status;
}

void fem_symbolic_destroy(fem_symbolic **symbolic)
{
    fem_symbolic *s = *symbolic;
    if (!s)
        return;
    *symbolic = NULL;
    void *arrays[] = {s->order,     s->upper_start, s->upper_row,    s->slot,       s->held_slot,
                      s->row_start, s->row_column,  s->column_start, s->column_row, s->row_from};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free(s);
}

int64_t fem_symbolic_nonzeros(const fem_symbolic *s)
{
    return s->nnz;
}

/* ---- one matrix ---- */

static bool triangle_room(triangle *t, size_t nnz)
{
    t->column = fwm_malloc(nnz, sizeof *t->column);
    t->row = fwm_malloc(nnz, sizeof *t->row);
    t->column_f32 = fwm_malloc(nnz, sizeof *t->column_f32);
    t->row_f32 = fwm_malloc(nnz, sizeof *t->row_f32);
    return t->column && t->row && t->column_f32 && t->row_f32;
}

static void triangle_free(triangle *t)
{
    fwm_free(t->column);
    fwm_free(t->row);
    fwm_free(t->column_f32);
    fwm_free(t->row_f32);
}

/* The solves with `forward` by rows, then `back` by its columns. */
static void make_triangles(fem_triangles out[2], const fem_factor *f, const triangle *forward, const triangle *back)
{
    const fem_symbolic *s = f->symbolic;
    fem_triangles t = {.n = s->n,
                       .order = s->order,
                       .row_start = s->row_start,
                       .row_column = s->row_column,
                       .column_start = s->column_start,
                       .column_row = s->column_row};
    out[AD_F32] = out[AD_F64] = t;
    out[AD_F32].row_value = forward->row_f32;
    out[AD_F32].column_value = back->column_f32;
    out[AD_F32].inverse_diagonal = f->inverse_diagonal_f32;
    out[AD_F64].row_value = forward->row;
    out[AD_F64].column_value = back->column;
    out[AD_F64].inverse_diagonal = f->inverse_diagonal;
}

fwm_status fem_factor_create(fem_factor **factor, const fem_symbolic *s, fem_matrix_kind kind)
{
    *factor = NULL;
    size_t n = (size_t)s->n, nnz = (size_t)s->nnz, triangles = kind == FEM_MATRIX_DEFINITE ? 1 : 2;
    fem_factor *f = fwm_calloc(1, sizeof *f);
    FWM_CHECK(f, FWM_MEMORY, "out of memory for a factor of %zu entries", nnz);
    f->symbolic = s;
    f->definite = kind == FEM_MATRIX_DEFINITE;
    f->values = fwm_malloc(triangles * (size_t)s->upper_nnz, sizeof *f->values);
    f->work = fwm_calloc(2 * n, sizeof *f->work);
    f->filled = fwm_malloc(n, sizeof *f->filled);
    f->inverse_diagonal = fwm_malloc(n, sizeof *f->inverse_diagonal);
    f->inverse_diagonal_f32 = fwm_malloc(n, sizeof *f->inverse_diagonal_f32);
    if (!f->values || !f->work || !f->filled || !f->inverse_diagonal || !f->inverse_diagonal_f32 ||
        !triangle_room(&f->lower, nnz) || (!f->definite && !triangle_room(&f->upper, nnz))) {
        fem_factor_destroy(&f);
        return fwm_fail(FWM_MEMORY, "out of memory for a factor of %zu entries", nnz);
    }
    const triangle *upper = f->definite ? &f->lower : &f->upper;
    make_triangles(f->triangles, f, &f->lower, upper);
    make_triangles(f->transposed, f, upper, &f->lower);
    *factor = f;
    return FWM_OK;
}

void fem_factor_destroy(fem_factor **factor)
{
    fem_factor *f = *factor;
    if (!f)
        return;
    *factor = NULL;
    void *arrays[] = {f->values, f->work, f->filled, f->inverse_diagonal, f->inverse_diagonal_f32};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    triangle_free(&f->lower);
    triangle_free(&f->upper);
    fwm_free(f);
}

/* Row k of L solves L[0:k,0:k] (D l) = column k of the upper part. Columns hold their entries with rows below k so far.
 */
static double eliminate_definite(fem_factor *f, int32_t k, double pivot)
{
    const fem_symbolic *s = f->symbolic;
    double *y = f->work, *column = f->lower.column;
    for (int32_t e = s->row_start[k]; e < s->row_start[k + 1]; e++) {
        int32_t j = s->row_column[e], end = f->filled[j]++;
        double v = y[j], l = v * f->inverse_diagonal[j];
        y[j] = 0;
        for (int32_t p = s->column_start[j]; p < end; p++)
            y[s->column_row[p]] -= column[p] * v;
        pivot -= l * v;
        column[end] = l;
    }
    return pivot;
}

/* The same for column k of U, and with U^T and the mirrored entries for row k of L. */
static double eliminate_general(fem_factor *f, int32_t k, double pivot)
{
    const fem_symbolic *s = f->symbolic;
    double *y = f->work, *z = f->work + s->n, *lower = f->lower.column, *upper = f->upper.column;
    for (int32_t e = s->row_start[k]; e < s->row_start[k + 1]; e++) {
        int32_t j = s->row_column[e], end = f->filled[j]++;
        double v = y[j], w = z[j], u = v * f->inverse_diagonal[j], l = w * f->inverse_diagonal[j];
        y[j] = z[j] = 0;
        for (int32_t p = s->column_start[j]; p < end; p++) {
            y[s->column_row[p]] -= lower[p] * v;
            z[s->column_row[p]] -= upper[p] * w;
        }
        pivot -= l * v;
        lower[end] = l;
        upper[end] = u;
    }
    return pivot;
}

static fwm_status factorise(fem_factor *f)
{
    const fem_symbolic *s = f->symbolic;
    double *y = f->work, *z = f->work + s->n;
    const double *mirror = f->values + s->upper_nnz;
    for (int32_t k = 0; k < s->n; k++) {
        f->filled[k] = s->column_start[k];
        for (int32_t e = s->upper_start[k]; e < s->upper_start[k + 1]; e++) {
            y[s->upper_row[e]] = f->values[e];
            if (!f->definite)
                z[s->upper_row[e]] = mirror[e];
        }
        const double before = y[k];
        y[k] = z[k] = 0;
        const double pivot = f->definite ? eliminate_definite(f, k, before) : eliminate_general(f, k, before);
        const bool good = f->definite ? pivot > 0 : fabs(pivot) > 2e-16 * fabs(before);
        if (!(good && fabs(pivot) < INFINITY)) {
            memset(y, 0, (size_t)(2 * s->n) * sizeof *y);
            return fwm_fail(FWM_NUMERIC,
                            "matrix: pivot %g at unknown %d is not %s; check parameters, dt and conditions", pivot,
                            s->order[k], f->definite ? "positive and finite" : "usable");
        }
        f->inverse_diagonal[k] = 1 / pivot;
    }
    return FWM_OK;
}

static void triangle_finish(triangle *t, const fem_symbolic *s)
{
    for (int64_t e = 0; e < s->nnz; e++) {
        t->row[e] = t->column[s->row_from[e]];
        t->row_f32[e] = (float)t->row[e];
        t->column_f32[e] = (float)t->column[e];
    }
}

fwm_status fem_factor_compute(fem_factor *f, const double *ke)
{
    const fem_symbolic *s = f->symbolic;
    const int64_t room = f->definite ? s->upper_nnz : 2 * s->upper_nnz;
    memset(f->values, 0, (size_t)room * sizeof *f->values);
    int64_t entries = s->n_cells * s->dofs * s->dofs;
    for (int64_t e = 0; e < entries; e++)
        if (s->slot[e] >= 0 && s->slot[e] < room)
            f->values[s->slot[e]] += ke[e];
    for (int64_t e = 0; e < s->n_held; e++)
        f->values[s->held_slot[e]] = 1;
    FWM_TRY(factorise(f));
    triangle_finish(&f->lower, s);
    if (!f->definite)
        triangle_finish(&f->upper, s);
    for (int64_t k = 0; k < s->n; k++)
        f->inverse_diagonal_f32[k] = (float)f->inverse_diagonal[k];
    return FWM_OK;
}

const fem_triangles *fem_factor_triangles(const fem_factor *f, ad_dtype dtype)
{
    return &f->triangles[dtype];
}

const fem_triangles *fem_factor_transposed(const fem_factor *f, ad_dtype dtype)
{
    return &f->transposed[dtype];
}

/* ---- one matrix a lane ---- */

struct fem_lane_factor {
    const fem_symbolic *symbolic;
    const fem_lane_direct *direct;
    int lanes;
    fem_lane_triangles t;
    double *array[6]; /* above and below, lower, upper, diagonal, work of elimination, work of solves */
};

static double *lane_room(int64_t n, int lanes)
{
    size_t bytes = ((size_t)(n > 0 ? n : 1) * (size_t)lanes * sizeof(double) + 63) / 64 * 64;
    double *x = aligned_alloc(64, bytes);
    if (x)
        memset(x, 0, bytes);
    return x;
}

fwm_status fem_lane_factor_create(fem_lane_factor **factor, const fem_symbolic *s, fem_matrix_kind kind,
                                  const fem_lane_kernels *lane)
{
    *factor = NULL;
    const bool definite = kind == FEM_MATRIX_DEFINITE;
    fem_lane_factor *f = fwm_calloc(1, sizeof *f);
    FWM_CHECK(f, FWM_MEMORY, "out of memory for a factor of %lld entries", (long long)s->nnz);
    f->symbolic = s;
    f->direct = fem_lane_direct_find(AD_F64);
    f->lanes = lane->lanes;
    const int64_t room[6] = {2 * s->upper_nnz, s->nnz, definite ? 0 : s->nnz, s->n, 2 * s->n, s->n};
    bool whole = true;
    for (int k = 0; k < 6; k++) {
        f->array[k] = lane_room(room[k], f->lanes);
        whole = whole && f->array[k];
    }
    int32_t *filled = fwm_malloc((size_t)s->n, sizeof *filled);
    f->t = (fem_lane_triangles){.n = s->n,
                                .definite = definite,
                                .order = s->order,
                                .row_start = s->row_start,
                                .row_column = s->row_column,
                                .column_start = s->column_start,
                                .column_row = s->column_row,
                                .above_start = s->upper_start,
                                .above_row = s->upper_row,
                                .above = f->array[0],
                                .lower = f->array[1],
                                .upper = f->array[2],
                                .inverse_diagonal = f->array[3],
                                .work = f->array[4],
                                .filled = filled};
    if (!whole || !filled) {
        fem_lane_factor_destroy(&f);
        return fwm_fail(FWM_MEMORY, "out of memory for %d factors of %lld entries", lane->lanes, (long long)s->nnz);
    }
    f->t.below = f->array[0] + s->upper_nnz * f->lanes;
    *factor = f;
    return FWM_OK;
}

void fem_lane_factor_destroy(fem_lane_factor **factor)
{
    fem_lane_factor *f = *factor;
    if (!f)
        return;
    *factor = NULL;
    for (int k = 0; k < 6; k++)
        free(f->array[k]);
    fwm_free(f->t.filled);
    fwm_free(f);
}

void fem_lane_factor_clear(fem_lane_factor *f)
{
    memset(f->array[0], 0, (size_t)(2 * f->symbolic->upper_nnz * f->lanes) * sizeof(double));
}

void fem_lane_factor_add(fem_lane_factor *f, int test, const double *rows)
{
    const fem_symbolic *s = f->symbolic;
    const int lanes = f->lanes;
    for (int64_t cell = 0; cell < s->n_cells; cell++)
        for (int j = 0; j < s->dofs; j++) {
            const int64_t slot = s->slot[(cell * s->dofs + test) * s->dofs + j];
            const double *row = rows + (cell * s->dofs + j) * lanes;
            for (int l = 0; slot >= 0 && l < lanes; l++)
                f->array[0][slot * lanes + l] += row[l];
        }
}

void fem_lane_factor_compute(fem_lane_factor *f, int32_t unknown[FEM_MAX_LANES])
{
    const fem_symbolic *s = f->symbolic;
    for (int64_t e = 0; e < s->n_held; e++)
        for (int l = 0; l < f->lanes; l++)
            f->array[0][s->held_slot[e] * f->lanes + l] = 1;
    f->direct->factor(&f->t, unknown);
}

void fem_lane_factor_solve(fem_lane_factor *f, void *x, const void *b, bool transposed)
{
    f->direct->solve(x, b, f->array[5], &f->t, transposed);
}
