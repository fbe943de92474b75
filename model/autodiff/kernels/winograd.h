/* Convolution and its two adjoints with fewer multiplications: F(4x4, r x r) of Winograd, channels last, any thread
 * count the same bits (A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308; the
 * interpolation points are our own, see winograd_lines.h).
 *
 * A tile of 4x4 results of an r x r kernel needs (r+3)^2 products a channel pair in place of 16 r^2: 36 for 144 (r =
 * 3), 25 for 64 (r = 2). Samples V = B^T d B, weights U = G w G^T, products M = sum over channels of U V for each of
 * the (r+3)^2 points as a matrix product, results A^T M A. Blocks of tiles go through all stages while they are in
 * cache.
 *
 *   forward        V from x, U from w, results y
 *   backward data  V from y, U from the taps of w in reverse order with its channels exchanged, results x
 *   weights        V from x, Z = A y A^T, dU = sum over tiles of V Z, w = G^T dU G
 *
 * Stride 2 with a 4x4 kernel is r = 2 in four phases: even and odd rows and columns of x, each with its own 2x2 taps.
 * As the source of a forward pass they are summed over like channels ("parts"); as the target of a backward pass each
 * is a convolution of its own ("groups").
 *
 * Error: 1.8 times that of a plain float32 sum of the products (root mean square, both r). tests/model/test_own_conv.c
 * holds |error| <= 2^-24 100 sqrt(terms of the sum) max|x| max|w| over random data of up to 2400 terms: twice the
 * largest seen. */
#ifndef FWM_AUTODIFF_WINOGRAD_H
#define FWM_AUTODIFF_WINOGRAD_H

#include "model/autodiff/dnnl/conv.h"
#include "model/autodiff/graph.h"

#include <stdbool.h>
#include <stddef.h>

/* How the samples of tiles lie in an image [B,H,W,C]: sample u of tile t of phase a is row (or column)
 * step * (4 t + u) + first[axis][a]. */
typedef struct ad_winograd_lattice {
    int64_t H, W, C, step, first[2][2];
} ad_winograd_lattice;

/* Everything that is fixed by the shape; plain data. */
typedef struct ad_winograd {
    ad_conv_kind kind;
    ad_conv_geometry s;
    int taps;                               /* r: 2 or 3 */
    int64_t points;                         /* (r+3)^2 */
    int64_t tile_rows, tile_columns, tiles; /* of one image; of all */
    ad_winograd_lattice from, to;           /* weights: x and y */
    int64_t groups, parts, K, N;            /* channels of one part; channels of the result */
    int64_t block, threads;                 /* tiles that are in work together (for each thread; weights: in all) */
} ad_winograd;

/* True for the shapes that these kernels can run: 3x3 or 2x2 with stride 1, 4x4 with stride 2, no dilation, one group,
 * channels in multiples of 16. */
bool ad_winograd_fits(const ad_conv_geometry *s);

/* True where it is faster than oneDNN: the measured rule of winograd.c. */
bool ad_winograd_pays(ad_conv_kind kind, const ad_conv_geometry *s);

/* For a shape that fits; `threads` is the largest number that a run will use. */
ad_winograd ad_winograd_plan(ad_conv_kind kind, const ad_conv_geometry *s, int threads);
const char *ad_winograd_name(const ad_winograd *p);                 /* such as "winograd:F(4x4,3x3)" */
size_t ad_winograd_scratch(const ad_winograd *p, size_t real_size); /* bytes, for memory 64-byte aligned */

/* Two of x, w and y are read, the one of the plan's kind is written; layouts as in dnnl/conv.h. */
typedef void (*ad_winograd_kernel)(const ad_winograd *p, void *x, void *w, void *y, void *scratch);
ad_winograd_kernel ad_winograd_find(ad_dtype dtype, int isa_level); /* as fwm_isa_level() tells it */

#endif
