/* The fast path of affine equations: with constant coefficients the residual is
 *
 *     R = A1 u1 + A0 u0 - F a,
 *
 * two sparse matrices with one symmetric pattern, assembled from the element matrices once for each theta, and the
 * actions' loads; its transpose is as short where theta's gradients are not asked for. Between the sweep and this only
 * roundings differ: each new pair is checked against the sweep on one block before it is used. */
#ifndef FWM_PHYSICS_SPARSE_H
#define FWM_PHYSICS_SPARSE_H

#include "physics/kernel.h"

/* Rows of both matrices and of their transposes, in one number type. */
typedef struct fem_sparse_rows {
    int64_t n;
    const int32_t *start, *column;                   /* [n+1], [start[n]] */
    const void *u1, *u0, *transposed1, *transposed0; /* [start[n]] */
} fem_sparse_rows;

typedef struct fem_sparse_kernels {
    /* r = A1 u1 + A0 u0, lane blocks. */
    void (*residual)(void *r, const void *u1, const void *u0, const fem_sparse_rows *m);
    /* y += A x with the given values on the pattern. */
    void (*add)(void *y, const void *x, const void *value, const fem_sparse_rows *m);
} fem_sparse_kernels;
const fem_sparse_kernels *fem_sparse_kernels_find(ad_dtype dtype);

/* One number type's matrices in a problem. */
typedef struct fem_sparse {
    const fem_theta *serves;         /* theta of the call that may use them; NULL: none */
    bool made, good;                 /* good: the check against the sweep passed */
    void *theta[FEM_MAX_PARAMETERS]; /* whose bytes they were made for */
    int64_t count[FEM_MAX_PARAMETERS];
    fem_sparse_rows rows;
    fem_loads loads;
    int32_t *start, *column, *load_start, *load_action;
    void *value[4], *weight;
    double *work; /* both matrices before they are compressed, loads, theta in double */
} fem_sparse;

#endif
