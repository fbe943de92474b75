/* The one-dimensional transforms of winograd.h, and their use on both axes of a tile of vectors.
 *
 * Four outputs y[0..3] of r taps g from r + 3 samples d are  y = A^T ((G g) * (B^T d))  with a row of A, B and G for
 * each interpolation point. The points come in pairs, so that the two rows of a pair share their sums: +a, -a, +b, -b,
 * infinity, and for three taps 0, in this order. a and b are chosen for the least float32 error among short binary
 * fractions: with random data the error of a result is 1.8 times that of a plain float32 sum for both (a = 1, b = 2,
 * the usual ones, give 3.9 times).  r = 3: a = 5/8, b = 3/2.  r = 2: a = 1/2, b = 5/4. */
#ifndef FWM_AUTODIFF_WINOGRAD_LINES_H
#define FWM_AUTODIFF_WINOGRAD_LINES_H

#include "model/autodiff/kernels/lanes.h"

enum { WINOGRAD_OUTPUTS = 4, WINOGRAD_POINTS = 6 /* at most */ };

typedef struct winograd_points {
    real a, b, a2, b2, both, product; /* squares, their sum and product */
    real scale_a, scale_b, scale_0;   /* of G's rows: 1 over the product of the differences to the other points */
} winograd_points;

LANES_INLINE winograd_points winograd_points_of(int taps)
{
    const double a = taps == 3 ? 0.625 : 0.5, b = taps == 3 ? 1.5 : 1.25;
    const double a2 = a * a, b2 = b * b, fa = 2 * a * (a2 - b2), fb = 2 * b * (b2 - a2);
    return (winograd_points){(real)a,
                             (real)b,
                             (real)a2,
                             (real)b2,
                             (real)(a2 + b2),
                             (real)(a2 * b2),
                             (real)(1 / (taps == 3 ? a * fa : fa)),
                             (real)(1 / (taps == 3 ? b * fb : fb)),
                             (real)(1 / (a2 * b2))};
}

typedef void (*winograd_line)(int taps, lanes *out, const lanes *in);

/* B^T: r + 3 samples -> r + 3 points. */
LANES_INLINE void winograd_samples(int taps, lanes *out, const lanes *d)
{
    const winograd_points p = winograd_points_of(taps);
    const int o = taps - 2;
    lanes high = d[3 + o] - p.b2 * d[1 + o], low = p.a * (d[2 + o] - p.b2 * d[o]);
    out[0] = high + low;
    out[1] = taps == 3 ? high - low : low - high;
    high = d[3 + o] - p.a2 * d[1 + o], low = p.b * (d[2 + o] - p.a2 * d[o]);
    out[2] = high + low;
    out[3] = taps == 3 ? high - low : low - high;
    out[4] = d[4 + o] - p.both * d[2 + o] + p.product * d[o];
    if (taps == 3)
        out[5] = d[4] - p.both * d[2] + p.product * d[0];
}

/* G: r taps -> r + 3 points. */
LANES_INLINE void winograd_taps(int taps, lanes *out, const lanes *g)
{
    const winograd_points p = winograd_points_of(taps);
    lanes even = taps == 3 ? g[0] + p.a2 * g[2] : g[0], odd = p.a * g[1];
    out[0] = p.scale_a * (even + odd);
    out[1] = p.scale_a * (even - odd);
    even = taps == 3 ? g[0] + p.b2 * g[2] : g[0], odd = p.b * g[1];
    out[2] = p.scale_b * (even + odd);
    out[3] = p.scale_b * (even - odd);
    out[4] = g[taps - 1];
    if (taps == 3)
        out[5] = p.scale_0 * g[0];
}

/* A^T: r + 3 points -> 4 outputs. */
LANES_INLINE void winograd_outputs(int taps, lanes *y, const lanes *m)
{
    const winograd_points p = winograd_points_of(taps);
    lanes even_a = m[0] + m[1], even_b = m[2] + m[3], odd_a = p.a * (m[0] - m[1]), odd_b = p.b * (m[2] - m[3]);
    y[0] = taps == 3 ? even_a + even_b + m[5] : even_a + even_b;
    y[1] = odd_a + odd_b;
    y[2] = p.a2 * even_a + p.b2 * even_b;
    y[3] = p.a2 * odd_a + p.b2 * odd_b + m[4];
}

/* A: 4 cotangents of outputs -> r + 3 points. */
LANES_INLINE void winograd_outputs_adjoint(int taps, lanes *m, const lanes *y)
{
    const winograd_points p = winograd_points_of(taps);
    lanes even = y[0] + p.a2 * y[2], odd = p.a * (y[1] + p.a2 * y[3]);
    m[0] = even + odd;
    m[1] = even - odd;
    even = y[0] + p.b2 * y[2], odd = p.b * (y[1] + p.b2 * y[3]);
    m[2] = even + odd;
    m[3] = even - odd;
    m[4] = y[3];
    if (taps == 3)
        m[5] = y[0];
}

/* G^T: r + 3 points -> r taps. */
LANES_INLINE void winograd_taps_adjoint(int taps, lanes *g, const lanes *u)
{
    const winograd_points p = winograd_points_of(taps);
    lanes even_a = p.scale_a * (u[0] + u[1]), even_b = p.scale_b * (u[2] + u[3]);
    lanes odd_a = p.scale_a * p.a * (u[0] - u[1]), odd_b = p.scale_b * p.b * (u[2] - u[3]);
    g[0] = taps == 3 ? even_a + even_b + p.scale_0 * u[5] : even_a + even_b;
    g[1] = taps == 3 ? odd_a + odd_b : odd_a + odd_b + u[4];
    if (taps == 3)
        g[2] = p.a2 * even_a + p.b2 * even_b + u[4];
}

/* Where the vectors of a tile stand: element (u,v) at u * row + v * column. */
typedef struct winograd_grid {
    int64_t row, column;
} winograd_grid;

/* The vectors of a square of samples or results: in a grid, or, where `at` is given, one by one. */
typedef struct winograd_square {
    real *origin;
    winograd_grid grid;
    real *const *at; /* [n][n] */
} winograd_square;

LANES_INLINE real *winograd_element(const winograd_square *s, int n, int u, int v)
{
    return s->at ? s->at[u * n + v] : s->origin + u * s->grid.row + v * s->grid.column;
}

/* out [n_out][n_out] = line applied to the columns, then to the rows, of in [n_in][n_in]: those `lane` reals behind
 * where the squares say. */
LANES_INLINE void winograd_both(winograd_line line, int taps, int lane, int n_out, winograd_square out, int n_in,
                                winograd_square in)
{
    lanes half[WINOGRAD_POINTS][WINOGRAD_POINTS];
#pragma GCC unroll 6
    for (int v = 0; v < n_in; v++) {
        lanes column[WINOGRAD_POINTS], result[WINOGRAD_POINTS];
#pragma GCC unroll 6
        for (int u = 0; u < n_in; u++)
            column[u] = lanes_load(winograd_element(&in, n_in, u, v) + lane);
        line(taps, result, column);
#pragma GCC unroll 6
        for (int u = 0; u < n_out; u++)
            half[u][v] = result[u];
    }
#pragma GCC unroll 6
    for (int u = 0; u < n_out; u++) {
        lanes result[WINOGRAD_POINTS];
        line(taps, result, half[u]);
#pragma GCC unroll 6
        for (int v = 0; v < n_out; v++)
            lanes_store(winograd_element(&out, n_out, u, v) + lane, result[v]);
    }
}

#endif
