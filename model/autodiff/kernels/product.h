/* Products of matrices by our own register-blocked kernel (panel_product.h), for the layers of perceptrons and
 * recurrent cells: few rows against a wide matrix of weights, and the gradients of both.
 *
 *   C [m,n] = op(A) op(B),  inner length k, row-major, op transposes where asked.
 *
 * One operand is kept in panels of 16 columns: B, copied chunk by chunk into the first-level cache; or the one of two
 * that has to be turned (A B^T), whichever is smaller, turned once. A^T is turned into panels once, too. Each number of
 * C is a sum over k in chunks of a fixed length in order, whoever computes it: the bits do not depend on the number of
 * threads. */
#ifndef FWM_AUTODIFF_KERNELS_PRODUCT_H
#define FWM_AUTODIFF_KERNELS_PRODUCT_H

#include "model/autodiff/graph.h"

#include <stdbool.h>
#include <stddef.h>

/* Everything that is fixed by the shape; plain data. */
typedef struct ad_product {
    int64_t m, n, k;
    bool trans_a, trans_b;
    bool across; /* the panels hold columns of C^T: A is the one that is turned */
    int threads;
} ad_product;

/* True for the shapes that the kernel can run: the panels' side a multiple of 16. */
bool ad_product_fits(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b);

/* True where it is faster than the libraries: the measured rule of product.c. */
bool ad_product_pays(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b);

/* For a shape that fits; `threads` is the largest number that a run will use. */
ad_product ad_product_plan(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b, int threads);
const char *ad_product_name(const ad_product *p);                 /* such as "panels:A B^T" */
size_t ad_product_scratch(const ad_product *p, size_t real_size); /* bytes, for memory 64-byte aligned */

typedef void (*ad_product_kernel)(const ad_product *p, void *c, const void *a, const void *b, void *scratch);
ad_product_kernel ad_product_find(ad_dtype dtype, int isa_level); /* as fwm_isa_level() tells it */

#endif
