/* Products of batches of matrices by one oneDNN primitive, float32: Y[i] = op(A[i]) op(B[i]), all row-major, one after
 * the other in memory. One call shares the matrices out among the threads, where a loop of products would begin and end
 * a parallel region for each. Best of 15 against the loop, two threads: with AVX-512 4.5 times faster at 128 of
 * 16x16x16, 2.3 at 64 of 64x64x32 and at 8 of 256x32x32, 1.1 to 1.4 at 16 of 256x256x64, between 0.92 and 1.05 where A
 * is transposed and m and k are 256 (it is copied first); with AVX2 1.3 to 3 at 64x64x32, 1.04 to 1.15 at larger ones.
 * 3000 random shapes between guarded buffers were right with both. */
#ifndef FWM_AUTODIFF_DNNL_MATMUL_H
#define FWM_AUTODIFF_DNNL_MATMUL_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ad_dnnl_matmul ad_dnnl_matmul;

/* *matmul is NULL, without an error, where oneDNN has nothing but its reference code or a loop is faster: the caller
 * then uses its own. `scratch_size` gets the bytes that a run needs. Errors: FWM_LIBRARY, FWM_MEMORY. */
fwm_status ad_dnnl_matmul_create(ad_dnnl_matmul **matmul, int64_t batch, int64_t m, int64_t n, int64_t k, bool trans_a,
                                 bool trans_b, size_t *scratch_size) FWM_MUST_USE;
void ad_dnnl_matmul_destroy(ad_dnnl_matmul **matmul);

fwm_status ad_dnnl_matmul_run(ad_dnnl_matmul *matmul, float *y, const float *a, const float *b,
                              void *scratch) FWM_MUST_USE;

/* oneDNN's name for the code it chose, such as "brg:avx512_core". */
const char *ad_dnnl_matmul_implementation(const ad_dnnl_matmul *matmul);

#endif
