/* Constant sparse matrices in compressed rows: checks, copies, the transpose. */
#include "model/autodiff/ops.h"
#include "model/base/arena.h"

#include <string.h>

static fwm_status check(int64_t rows, int64_t cols, const int64_t *row_start, const int32_t *column)
{
    FWM_CHECK(rows >= 1 && cols >= 1 && cols <= INT32_MAX && rows <= INT32_MAX, FWM_SHAPE,
              "sparse matrix: expected 1 to %d rows and columns, found %lld x %lld", INT32_MAX, (long long)rows,
              (long long)cols);
    FWM_CHECK(row_start[0] == 0, FWM_INVALID, "sparse matrix: row_start[0] is %lld, expected 0",
              (long long)row_start[0]);
    for (int64_t i = 0; i < rows; i++)
        FWM_CHECK(row_start[i + 1] >= row_start[i], FWM_INVALID, "sparse matrix: row_start falls after row %lld",
                  (long long)i);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = row_start[i]; k < row_start[i + 1]; k++)
            FWM_CHECK(column[k] >= 0 && column[k] < cols && (k == row_start[i] || column[k] > column[k - 1]),
                      FWM_INVALID,
                      "sparse matrix: entry %lld of row %lld has column %d; columns rise and lie in 0..%lld",
                      (long long)(k - row_start[i]), (long long)i, column[k], (long long)(cols - 1));
    return FWM_OK;
}

static void release(ad_sparse *m)
{
    if (!m)
        return;
    fwm_free(m->row_start);
    fwm_free(m->column);
    fwm_free(m->weight);
    fwm_free(m->weight_f32);
    fwm_free(m);
}

static ad_sparse *allocate(int64_t rows, int64_t cols, int64_t nnz)
{
    ad_sparse *m = fwm_calloc(1, sizeof *m);
    if (!m)
        return NULL;
    size_t entries = (size_t)(nnz > 0 ? nnz : 1);
    m->rows = rows, m->cols = cols, m->nnz = nnz;
    m->row_start = fwm_calloc((size_t)rows + 1, sizeof *m->row_start);
    m->column = fwm_malloc(entries, sizeof *m->column);
    m->weight = fwm_malloc(entries, sizeof *m->weight);
    m->weight_f32 = fwm_malloc(entries, sizeof *m->weight_f32);
    if (m->row_start && m->column && m->weight && m->weight_f32)
        return m;
    release(m);
    return NULL;
}

/* Counting sort by column; rows are visited in order, so the transpose's columns rise too. */
static void fill_transpose(const ad_sparse *m, ad_sparse *t)
{
    for (int64_t k = 0; k < m->nnz; k++)
        t->row_start[m->column[k] + 1]++;
    for (int64_t j = 0; j < t->rows; j++)
        t->row_start[j + 1] += t->row_start[j];
    for (int64_t i = 0; i < m->rows; i++)
        for (int64_t k = m->row_start[i]; k < m->row_start[i + 1]; k++) {
            int64_t at = t->row_start[m->column[k]]++; /* moves each start to its end: put right below */
            t->column[at] = (int32_t)i;
            t->weight[at] = m->weight[k];
            t->weight_f32[at] = m->weight_f32[k];
        }
    memmove(t->row_start + 1, t->row_start, (size_t)t->rows * sizeof *t->row_start);
    t->row_start[0] = 0;
}

fwm_status ad_sparse_create(ad_sparse **out, int64_t rows, int64_t cols, const int64_t *row_start,
                            const int32_t *column, const double *weight)
{
    *out = NULL;
    FWM_TRY(check(rows, cols, row_start, column));
    int64_t nnz = row_start[rows];
    ad_sparse *m = allocate(rows, cols, nnz), *t = allocate(cols, rows, nnz);
    if (!m || !t) {
        release(m);
        release(t);
        return fwm_fail(FWM_MEMORY, "sparse matrix: out of memory at %lld entries", (long long)nnz);
    }
    memcpy(m->row_start, row_start, ((size_t)rows + 1) * sizeof *row_start);
    for (int64_t k = 0; k < nnz; k++) {
        m->column[k] = column[k];
        m->weight[k] = weight[k];
        m->weight_f32[k] = (float)weight[k];
    }
    fill_transpose(m, t);
    m->transpose = t;
    t->transpose = m;
    *out = m;
    return FWM_OK;
}

void ad_sparse_destroy(ad_sparse **m)
{
    if (!m || !*m)
        return;
    release((*m)->transpose);
    release(*m);
    *m = NULL;
}
