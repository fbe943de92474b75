#include "model/transport/numeric.h"

#include "model/base/checked.h"

#include <math.h>
#include <string.h>

enum { ALIGNMENT = 64 };

void *ot_cursor_take(ot_cursor *c, int64_t rows, int64_t columns, size_t element)
{
    size_t n, bytes;
    void *here = c->base ? c->base + c->at : NULL;
    c->overflow |= !fwm_mul_size((size_t)rows, (size_t)columns, &n) || !fwm_mul_size(n, element, &bytes) ||
                   !fwm_align_size(bytes, ALIGNMENT, &bytes) || !fwm_add_size(c->at, bytes, &c->at);
    return here;
}

void ot_sort_indices(int64_t n, const double *key, int64_t *order, int64_t *scratch)
{
    int64_t *from = order, *to = scratch;
    for (int64_t i = 0; i < n; i++)
        from[i] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            int64_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
            for (int64_t a = lo, b = mid, k = lo; k < hi; k++)
                to[k] = a < mid && (b >= hi || key[from[a]] <= key[from[b]]) ? from[a++] : from[b++];
        }
        int64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order)
        memcpy(order, from, (size_t)n * sizeof *order);
}

static void sort_values(int64_t n, double *v, double *scratch)
{
    double *from = v, *to = scratch;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            int64_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
            for (int64_t a = lo, b = mid, k = lo; k < hi; k++)
                to[k] = a < mid && (b >= hi || from[a] <= from[b]) ? from[a++] : from[b++];
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != v)
        memcpy(v, from, (size_t)n * sizeof *v);
}

double ot_quantile(int64_t n, double *v, double q, double *scratch)
{
    sort_values(n, v, scratch);
    double at = q * (double)(n - 1);
    int64_t lo = (int64_t)floor(at), hi = lo + 1 < n ? lo + 1 : lo;
    double part = at - (double)lo;
    return part > 0 && v[hi] > v[lo] ? v[lo] + part * (v[hi] - v[lo]) : v[lo]; /* not inf - inf */
}

/* Rows of L stand in the lower triangle: every inner product runs along two rows. */
bool ot_cholesky_solve(int64_t n, double *A, double *b)
{
    for (int64_t i = 0; i < n; i++) {
        double *row = A + i * n;
        for (int64_t j = 0; j <= i; j++) {
            const double *other = A + j * n;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t k = 0; k < j; k++)
                sum += row[k] * other[k];
            if (j < i)
                row[j] = (row[j] - sum) / other[j];
            else if (row[i] - sum > 0)
                row[i] = sqrt(row[i] - sum);
            else
                return false;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < i; k++)
            b[i] -= A[i * n + k] * b[k];
        b[i] /= A[i * n + i];
    }
    for (int64_t i = n; i-- > 0;) {
        b[i] /= A[i * n + i];
        for (int64_t k = 0; k < i; k++)
            b[k] -= A[i * n + k] * b[i];
    }
    return true;
}
