/* What rfft and irfft share. x [before, (M,) N, after], spectrum [before, (M,) K, after, 2], K = N/2 + 1, (re, im)
 * last. With w_k = 1 at k = 0 and, for even N, k = N/2, else 2 (a bin inside stands for its mirror too), and S the
 * number of transformed elements, each operator has two forms, and each form's adjoint is the other operator's other
 * form:
 *
 *     rfft     F x          and  (w/S) F x
 *     irfft    (1/S) C Y    and  C (Y / w)
 *
 * F is the unscaled transform, C its unscaled inverse, which ignores the imaginary parts that a real signal does not
 * have. Attributes: i[0] first transformed axis, i[1] 1 or 2 axes, i[2] N of the result (irfft), i[3] second form. */
#ifndef FWM_AUTODIFF_OPS_FFT_H
#define FWM_AUTODIFF_OPS_FFT_H

#include "model/autodiff/fftw/fft.h"
#include "model/autodiff/ops/axis.h"
#include "model/base/threads.h"

typedef struct fft_geometry {
    int n_axes;
    int64_t before, N[2], after; /* N[0] is M where there are two axes */
    int64_t last, half;          /* N and K of the last one */
    int64_t reals, pairs;        /* of one item */
} fft_geometry;

/* From the shape of the real side. */
static inline fft_geometry fft_geometry_of(const ad_shape *x, const ad_attributes *attr)
{
    fft_geometry s = {.n_axes = (int)attr->i[1], .before = 1, .reals = 1};
    int first = (int)attr->i[0];
    for (int k = 0; k < first; k++)
        s.before *= x->dim[k];
    for (int k = 0; k < s.n_axes; k++) {
        s.N[k] = x->dim[first + k];
        s.reals *= s.N[k];
    }
    s.last = s.N[s.n_axes - 1];
    s.half = s.last / 2 + 1;
    s.after = ad_run_from(x, first + s.n_axes);
    s.pairs = s.reals / s.last * s.half * s.after;
    s.reals *= s.after;
    return s;
}

/* y = scale x over one item's spectrum, bins inside times `inside` too. May be in place. */
static inline void fft_weight(const fft_geometry *s, const real *x, real *y, real scale, real inside)
{
    for (int64_t row = 0; row < s->pairs / (s->half * s->after); row++)
        for (int64_t k = 0; k < s->half; k++) {
            real factor = scale * (k == 0 || 2 * k == s->last ? (real)1 : inside);
            int64_t at = (row * s->half + k) * s->after * 2;
#pragma omp simd
            for (int64_t a = 0; a < 2 * s->after; a++)
                y[at + a] = factor * x[at + a];
        }
}

static inline double fft_elements(const fft_geometry *s)
{
    return (double)(s->reals / s->after);
}

#ifdef FWM_DEFINITION
#include <math.h>

static inline fwm_status fft_check_axes(const ad_shape *x, int room, const ad_attributes *attr)
{
    char text[96];
    FWM_CHECK((attr->i[1] == 1 || attr->i[1] == 2) && attr->i[0] >= 0 && attr->i[0] + attr->i[1] <= room, FWM_SHAPE,
              "expected one or two axes of %s, found %lld from axis %lld on", ad_shape_text(x, text),
              (long long)attr->i[1], (long long)attr->i[0]);
    return FWM_OK;
}

static inline double fft_work(const fft_geometry *s)
{
    double n = fft_elements(s);
    return 2.5 * (double)(s->before * s->after) * n * log2(n + 1);
}

/* Even and odd lengths, one and two axes, with and without axes behind them, both forms; `spectrum`: for irfft. */
static inline int fft_samples(ad_sample *out, int capacity, bool spectrum)
{
    static const struct {
        ad_shape x;
        int axis, n_axes;
    } all[] = {{{2, {2, 6}}, 1, 1},    {{3, {2, 5, 3}}, 1, 1},    {{1, {8}}, 0, 1},
               {{3, {2, 4, 5}}, 1, 2}, {{4, {1, 3, 4, 2}}, 1, 2}, {{2, {2, 1}}, 1, 1}};
    int n = 0;
    for (int k = 0; k < 6; k++)
        for (int form = 0; form < 2 && n < capacity; form++) {
            ad_shape x = all[k].x;
            int last = all[k].axis + all[k].n_axes - 1;
            out[n] = (ad_sample){.n_in = 1, .lo = -1, .hi = 1, .attr.i = {all[k].axis, all[k].n_axes, 0, form}};
            if (spectrum) {
                out[n].attr.i[2] = x.dim[last];
                x.dim[last] = x.dim[last] / 2 + 1;
                x.dim[x.rank++] = 2;
            }
            out[n++].in[0] = x;
        }
    return n;
}
#endif
#endif
