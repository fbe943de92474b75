/* Scans along a row of costs, for float and double and each instruction set. No allocation, no threads. */
#ifndef OT_KERNELS_NEAREST_H
#define OT_KERNELS_NEAREST_H

#include <stdbool.h>
#include <stdint.h>

/* c [n], h [n] are `real`; n is a multiple of OT_PAD, with c infinite where a row is padded. */
typedef struct ot_nearest_kernels {
    /* The lowest index of max_j h_j - c_j, and the maximum. */
    int64_t (*best)(int64_t n, const void *c, const void *h, double *score);
    /* The two smallest numbers of the row and their (lowest) indices. */
    void (*two)(int64_t n, const void *c, double smallest[2], int64_t index[2]);
    void (*widen)(int64_t n, double *to, const void *c);
} ot_nearest_kernels;

/* The kernels for 4- or 8-byte numbers and this machine's instruction set. */
const ot_nearest_kernels *ot_nearest_kernels_find(bool is_double);

#endif
