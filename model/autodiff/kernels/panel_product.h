/* Products of small matrices that are kept in panels of 16 columns: the register-blocked kernel under the convolutions.
 *
 *   c[i][0..15] (+)= sum over k of a(i,k) b[k][0..15],   c's rows c_row apart, b's rows b_row,
 *   a(i,k) at i * a_row + (k / inner) * a_outer + (k % inner) * a_step.
 *
 * Each sum runs over k in order from 0, one multiply-add a term, and is then added to c: the bits do not depend on how
 * rows are shared out, and sums that are made of several such pieces have the smaller error of nested sums. */
#ifndef FWM_AUTODIFF_PANEL_PRODUCT_H
#define FWM_AUTODIFF_PANEL_PRODUCT_H

#include "model/autodiff/kernels/lanes.h"

#include <stdbool.h>

/* Rows held in registers: 12 accumulators of 16 registers, with AVX-512 16 of 32. */
enum { PRODUCT_ROWS = FWM_ISA_LEVEL == 4 ? 16 / PANEL_LANES : PANEL_LANES > 12 ? 1 : 12 / PANEL_LANES };

typedef struct panel_walk {
    int64_t a_row, a_step, a_outer, b_row, c_row;
    const real *ahead;             /* rows of 16 that will be read next, asked for meanwhile; NULL: none */
    int64_t ahead_row, ahead_rows; /* how far apart they are, and how many */
} panel_walk;

LANES_INLINE void panel_product_rows(int rows, real *c, const real *a, const real *b, int64_t inner, int64_t outer,
                                     panel_walk walk, int64_t expected, bool add)
{
    lanes sum[PRODUCT_ROWS][PANEL_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_LANES; v++)
            sum[i][v] = (lanes){0};
    for (int64_t o = 0; o < outer; o++, a += walk.a_outer) {
        const real *at = a;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
            __builtin_prefetch(a + walk.a_outer + i * walk.a_row);
        for (int64_t i = 0; i < expected; i++, walk.ahead += walk.ahead_row)
            __builtin_prefetch(walk.ahead);
#pragma GCC unroll 4
        for (int64_t k = 0; k < inner; k++, b += walk.b_row, at += walk.a_step) {
            lanes row[PANEL_LANES];
#pragma GCC unroll 8
            for (int v = 0; v < PANEL_LANES; v++)
                row[v] = lanes_load(b + v * LANES);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
                for (int v = 0; v < PANEL_LANES; v++)
                    sum[i][v] += at[i * walk.a_row] * row[v];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < PANEL_LANES; v++)
            lanes_store(c + i * walk.c_row + v * LANES,
                        add ? lanes_load(c + i * walk.c_row + v * LANES) + sum[i][v] : sum[i][v]);
}

/* The rest of fewer rows than PRODUCT_ROWS, by halves so that few bodies are compiled. */
LANES_INLINE void panel_product(int64_t rows, real *c, const real *a, const real *b, int64_t inner, int64_t outer,
                                panel_walk walk, bool add)
{
    const int64_t pieces = rows / PRODUCT_ROWS * outer;
    const int64_t expected = walk.ahead && pieces > 0 ? (walk.ahead_rows + pieces - 1) / pieces : 0;
    for (; rows >= PRODUCT_ROWS; rows -= PRODUCT_ROWS, c += PRODUCT_ROWS * walk.c_row, a += PRODUCT_ROWS * walk.a_row) {
        panel_product_rows(PRODUCT_ROWS, c, a, b, inner, outer, walk, expected, add);
        if (expected)
            walk.ahead += outer * expected * walk.ahead_row;
    }
    if (PRODUCT_ROWS > 8 && rows >= 8) {
        panel_product_rows(PRODUCT_ROWS > 8 ? 8 : 1, c, a, b, inner, outer, walk, 0, add);
        rows -= 8, c += 8 * walk.c_row, a += 8 * walk.a_row;
    }
    if (PRODUCT_ROWS > 4 && rows >= 4) {
        panel_product_rows(PRODUCT_ROWS > 4 ? 4 : 1, c, a, b, inner, outer, walk, 0, add);
        rows -= 4, c += 4 * walk.c_row, a += 4 * walk.a_row;
    }
    if (PRODUCT_ROWS > 2 && rows >= 2) {
        panel_product_rows(PRODUCT_ROWS > 2 ? 2 : 1, c, a, b, inner, outer, walk, 0, add);
        rows -= 2, c += 2 * walk.c_row, a += 2 * walk.a_row;
    }
    if (PRODUCT_ROWS > 1 && rows >= 1)
        panel_product_rows(1, c, a, b, inner, outer, walk, 0, add);
}

#endif
