#include "model/autodiff/kernels/elementwise.h"

#include "model/base/threads.h"

#include <omp.h>

enum {
    BUFFER = 1024,    /* elements of an expanded input; also the work of one item where rows are short */
    LONG_ROW = 256,   /* rows from this length on are not expanded */
    ROW_BLOCK = 4096, /* elements of one item where rows are long */
    MAX_INPUTS = AD_ELEMENTWISE_MAX_INPUTS
};

/* The result seen as [dim[0], ..., dim[rank-1]] without dimensions of size 1 and merged as far as all inputs allow;
 * step[k][i] is how far input k moves along dimension i. The last step is 0 or 1. */
typedef struct view {
    int n_in, rank;
    int64_t dim[AD_MAX_RANK];
    int64_t step[MAX_INPUTS][AD_MAX_RANK];
} view;

static view collapse(const ad_call *call)
{
    view v = {.n_in = call->n_in};
    bool follows[MAX_INPUTS][AD_MAX_RANK];
    const ad_shape *out = call->out_shape;
    for (int i = 0; i < out->rank; i++) {
        if (out->dim[i] == 1)
            continue;
        bool merge = v.rank > 0;
        for (int k = 0; k < v.n_in; k++) {
            const ad_shape *s = call->in_shape[k];
            int axis = i - (out->rank - s->rank);
            follows[k][v.rank] = axis >= 0 && s->dim[axis] != 1;
            merge = merge && follows[k][v.rank] == follows[k][v.rank - 1];
        }
        if (merge)
            v.dim[v.rank - 1] *= out->dim[i];
        else
            v.dim[v.rank++] = out->dim[i];
    }
    if (v.rank == 0) {
        v.rank = 1;
        v.dim[0] = 1;
        for (int k = 0; k < v.n_in; k++)
            follows[k][0] = true;
    }
    for (int k = 0; k < v.n_in; k++) {
        int64_t step = 1;
        for (int i = v.rank - 1; i >= 0; i--) {
            v.step[k][i] = follows[k][i] ? step : 0;
            step *= follows[k][i] ? v.dim[i] : 1;
        }
    }
    return v;
}

/* How far input k is from its start at outer index `o` over the dimensions before `rank`. */
static int64_t offset_of(const view *v, int k, int rank, int64_t o)
{
    int64_t offset = 0;
    for (int i = rank - 1; i >= 0; i--) {
        offset += o % v->dim[i] * v->step[k][i];
        o /= v->dim[i];
    }
    return offset;
}

/* Items first..last-1 of long rows: an item is ROW_BLOCK of one row. */
static void run_long(const ad_call *call, ad_row row, const view *v, int64_t first, int64_t last)
{
    int64_t n = v->dim[v->rank - 1], blocks = (n + ROW_BLOCK - 1) / ROW_BLOCK;
    int stride[MAX_INPUTS] = {0};
    for (int k = 0; k < v->n_in; k++)
        stride[k] = (int)v->step[k][v->rank - 1];
    for (int64_t item = first; item < last; item++) {
        int64_t o = item / blocks, at = item % blocks * ROW_BLOCK;
        int64_t count = n - at < ROW_BLOCK ? n - at : ROW_BLOCK;
        const real *x[MAX_INPUTS] = {0};
        for (int k = 0; k < v->n_in; k++)
            x[k] = (const real *)call->in[k] + offset_of(v, k, v->rank - 1, o) + at * stride[k];
        row(call->attr, count, (real *)call->out + o * n + at, x, stride);
    }
}

/* Writes rows x n values of an input that does not move along both of the last two dimensions. */
static void expand(real *buffer, const real *x, int64_t rows, int64_t n, int64_t row_step, int64_t step)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++)
            buffer[r * n + i] = x[r * row_step + i * step];
}

/* Items first..last-1 of short rows: an item is a group of rows along the last but one dimension. */
static void run_short(const ad_call *call, ad_row row, const view *v, int64_t first, int64_t last)
{
    real buffer[MAX_INPUTS][BUFFER];
    const real *expanded_from[MAX_INPUTS] = {0};
    int64_t expanded_rows[MAX_INPUTS] = {0};
    int r = v->rank;
    int64_t n = v->dim[r - 1], m = v->dim[r - 2], group = BUFFER / n, groups = (m + group - 1) / group;
    const int stride[MAX_INPUTS] = {1, 1, 1};
    for (int64_t item = first; item < last; item++) {
        int64_t o = item / groups, at = item % groups * group;
        int64_t rows = m - at < group ? m - at : group;
        const real *x[MAX_INPUTS] = {0};
        for (int k = 0; k < v->n_in; k++) {
            int64_t row_step = v->step[k][r - 2], step = v->step[k][r - 1];
            const real *from = (const real *)call->in[k] + offset_of(v, k, r - 2, o) + at * row_step;
            x[k] = from;
            if (step == 1 && row_step == n)
                continue;
            /* The same short row again and again ([..,C] with [C]) is expanded once. A thread may begin at a last,
             * shorter group and then need more rows of the same. */
            if (from != expanded_from[k] || rows > expanded_rows[k]) {
                expand(buffer[k], from, rows, n, row_step, step);
                expanded_from[k] = from;
                expanded_rows[k] = rows;
            }
            x[k] = buffer[k];
        }
        row(call->attr, rows * n, (real *)call->out + (o * m + at) * n, x, stride);
    }
}

fwm_status ad_elementwise_run(const ad_call *call, ad_row row)
{
    view v = collapse(call);
    int64_t total = 1, last = v.dim[v.rank - 1];
    for (int i = 0; i < v.rank; i++)
        total *= v.dim[i];
    bool is_long = v.rank == 1 || last >= LONG_ROW;
    void (*part)(const ad_call *, ad_row, const view *, int64_t, int64_t) = is_long ? run_long : run_short;
    int64_t items;
    if (is_long) {
        items = total / last * ((last + ROW_BLOCK - 1) / ROW_BLOCK);
    } else {
        int64_t rows = v.dim[v.rank - 2], group = BUFFER / last;
        items = total / (last * rows) * ((rows + group - 1) / group);
    }
    if (total < FWM_PARALLEL_MIN) {
        part(call, row, &v, 0, items);
        return FWM_OK;
    }
#pragma omp parallel
    {
        int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
        part(call, row, &v, items * me / threads, items * (me + 1) / threads);
    }
    return FWM_OK;
}
