/* C = op(A) op(B), row-major, C [m,n], inner length k; op transposes where asked. Uses the libraries' own threads:
 * never call it inside a parallel region.
 *
 * float32 goes to one of two libraries by shape, because neither is best everywhere (PERFORMANCE's table): on AVX2
 * OpenBLAS wins where all three sizes are large, oneDNN by up to ten times where one is short; on AVX-512 oneDNN wins
 * everywhere. The rule is in gemm.c. float64: OpenBLAS. */
#ifndef FWM_AUTODIFF_KERNELS_GEMM_H
#define FWM_AUTODIFF_KERNELS_GEMM_H

#include "model/base/status.h"
#include "model/base/variant.h"

#include <stdbool.h>
#include <stdint.h>

#define ad_gemm FWM_V(ad_gemm)
/* Sizes up to INT_MAX. Errors: FWM_LIBRARY. */
fwm_status ad_gemm(real *c, const real *a, const real *b, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k);

#endif
