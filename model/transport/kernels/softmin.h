/* The sweeps of Sinkhorn's algorithm over a matrix of costs, for float and double and each instruction set.
 *
 * A pair holds two clouds with weights a, b and dual potentials f, g. With k_i = log a_i + f_i/eps, h_j = log b_j +
 * g_j/eps, one exponential an entry gives both soft minima: p_ij = exp(k_i + h_j - C_ij/eps) is the current plan, and
 *     ft_i = -eps log sum_j exp(h_j - C_ij/eps) = -eps (log sum_j p_ij - k_i),   gt_j likewise with sum_i p_ij.
 * A cloud against itself has a symmetric plan, so that half of it is enough. Sums of p outside [1e-28, 1e28] (float)
 * mean that the potentials are far from the plan (a jump of eps, a weight of zero): that side is then swept again with
 * its maximum taken off first. The numbers do not depend on the number of threads.
 *
 * Every function runs its own parallel region and allocates nothing. */
#ifndef OT_KERNELS_SOFTMIN_H
#define OT_KERNELS_SOFTMIN_H

#include <stdbool.h>
#include <stdint.h>

/* Rows of C and arrays over columns are padded to a multiple of OT_PAD elements, coordinates to a multiple of OT_PAD_D
 * (with zeros); column sums are split over OT_CHUNKS parts. */
enum { OT_PAD = 32, OT_PAD_D = 16, OT_CHUNKS = 16 };

/* M x N with row length ld. `real` arrays are void here. k [M], h [ld], partial [OT_CHUNKS][ld] and row_sum [M],
 * col_sum [ld] are workspace. In a cloud against itself (self) M = N, and everything on the column side repeats the row
 * side. */
typedef struct ot_pair {
    int64_t M, N, ld;
    bool self;
    void *C; /* [M][ld] */
    const double *log_a, *log_b, *f, *g;
    void *k, *h, *partial;
    double *row_sum, *col_sum;
} ot_pair;

typedef struct ot_kernels {
    /* C_ij = |x_i - y_j|^2 / 2 from x [M][dp] and panels of y [ld/OT_PAD][d][OT_PAD], dp = d padded. */
    void (*cost)(const ot_pair *p, int64_t d, int64_t dp, const void *x, const void *y_panels);
    /* ft [M], gt [N] (not for self) from the pair's potentials. */
    void (*softmin)(const ot_pair *p, double eps, double *ft, double *gt);
    /* As softmin, and the barycentres of the normalised rows, sum_j P_ij y_j / sum_j P_ij, to bar_x [M][dp], and of the
     * columns to bar_y [N][dp] (NULL: not wanted; never for self). x [M][dp], y [ld][dp]. */
    void (*barycentre)(const ot_pair *p, double eps, double *ft, double *gt, void *bar_x, void *bar_y, int64_t dp,
                       const void *x, const void *y);
} ot_kernels;

/* The kernels for 4- or 8-byte numbers and this machine's instruction set. */
const ot_kernels *ot_kernels_find(bool is_double);

#endif
