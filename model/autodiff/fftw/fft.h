/* Real Fourier transforms over one or two axes by FFTW, both precisions.
 *
 * A transform works on one item: real [N] or [M,N] and spectrum [K] or [M,K] of (re, im), K = N/2 + 1, each element
 * being a row of `after` numbers that are `after` apart (the axes behind the transformed ones). Plans are made with
 * FFTW_ESTIMATE, which measures nothing, so that one machine always gets the same plan and bits; items of a batch may
 * run on several threads. Frigo and Johnson, The Design and Implementation of FFTW3, Proc. IEEE 2005. */
#ifndef FWM_AUTODIFF_FFTW_FFT_H
#define FWM_AUTODIFF_FFTW_FFT_H

#include "model/autodiff/graph.h"

typedef struct ad_fft ad_fft;

/* N of the axes in their order (n_axes 1 or 2); inverse: spectrum to numbers. Errors: FWM_LIBRARY, FWM_MEMORY. */
fwm_status ad_fft_create(ad_fft **fft, ad_dtype dtype, int n_axes, const int64_t *N, int64_t after,
                         bool inverse) FWM_MUST_USE;
void ad_fft_destroy(ad_fft **fft);

/* One item, unscaled: `from` and `to` do not overlap; the inverse overwrites `from`. Safe from several threads at once.
 */
void ad_fft_run(const ad_fft *fft, void *from, void *to);

#endif
