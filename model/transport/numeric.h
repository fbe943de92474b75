/* Small numerical tools of this folder: a stable sort, quantiles, dense symmetric systems, places in a block.
 *
 * None allocates: scratch comes from the caller. Results do not depend on the number of threads. */
#ifndef OT_NUMERIC_H
#define OT_NUMERIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Hands out aligned places in one block. The first time round `base` is NULL and only the size grows; `overflow` tells
 * that the sizes do not fit. */
typedef struct ot_cursor {
    char *base;
    size_t at;
    bool overflow;
} ot_cursor;

void *ot_cursor_take(ot_cursor *c, int64_t rows, int64_t columns, size_t element);

/* Indices 0..n-1 in ascending order of their key, equal keys in ascending index. scratch [n] may not alias order. */
void ot_sort_indices(int64_t n, const double *key, int64_t *order, int64_t *scratch);

/* The q-quantile (0 <= q <= 1, linear between order statistics) of v [n], n >= 1, which is left sorted. scratch [n]. */
double ot_quantile(int64_t n, double *v, double q, double *scratch);

/* Solves A x = b for a symmetric positive definite A [n][n] (row major, lower triangle read, destroyed); b becomes x.
 * false when a pivot is not positive. n^3/6 multiply-adds. */
bool ot_cholesky_solve(int64_t n, double *A, double *b);

#endif
