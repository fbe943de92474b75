/* Products of constant sparse matrices with lane blocks. */
#include "physics/sparse.h"
#include "physics/lanes.h"

static void residual(void *r, const void *u1, const void *u0, const fem_sparse_rows *m)
{
    const vec *x = u1, *y = u0;
    const real *a = m->u1, *b = m->u0;
    for (int64_t i = 0; i < m->n; i++) {
        vec sum = vec_zero(), other = vec_zero();
        for (int32_t e = m->start[i]; e < m->start[i + 1]; e++) {
            sum += x[m->column[e]] * a[e];
            other += y[m->column[e]] * b[e];
        }
        ((vec *)r)[i] = sum + other;
    }
}

static void add(void *y, const void *x, const void *value, const fem_sparse_rows *m)
{
    const vec *from = x;
    const real *a = value;
    for (int64_t i = 0; i < m->n; i++) {
        vec sum = ((vec *)y)[i];
        for (int32_t e = m->start[i]; e < m->start[i + 1]; e++)
            sum += from[m->column[e]] * a[e];
        ((vec *)y)[i] = sum;
    }
}

extern const fem_sparse_kernels FWM_V(fem_sparse_kernels);
const fem_sparse_kernels FWM_V(fem_sparse_kernels) = {residual, add};
