#include "model/autodiff/kernels/gemm.h"

#include <cblas.h>
#include <limits.h>
#if FWM_REAL_BITS == 32
#include <oneapi/dnnl/dnnl.h>
#endif

#if FWM_REAL_BITS == 32
/* The shortest of m, n, k from which OpenBLAS is taken. With AVX-512 it is never: OpenBLAS 0.3.21 knows few of these
 * processors and runs its AVX2 kernels on the others (Zen 5: 112 GFLOP/s a core against 220 to 236 at every shape from
 * 256 on). */
enum { LARGE = FWM_ISA_LEVEL >= 4 ? INT_MAX : 384 };
#endif

fwm_status ad_gemm(real *c, const real *a, const real *b, bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k)
{
    int64_t lda = trans_a ? m : k, ldb = trans_b ? k : n;
#if FWM_REAL_BITS == 32
    if (m < LARGE || n < LARGE || k < LARGE) {
        dnnl_status_t s =
            dnnl_sgemm(trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, n);
        FWM_CHECK(s == dnnl_success, FWM_LIBRARY, "dnnl_sgemm of %lld x %lld x %lld: status %d", (long long)m,
                  (long long)n, (long long)k, (int)s);
        return FWM_OK;
    }
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans, (int)m, (int)n,
                (int)k, 1.0f, a, (int)lda, b, (int)ldb, 0.0f, c, (int)n);
#else
    cblas_dgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans, (int)m, (int)n,
                (int)k, 1.0, a, (int)lda, b, (int)ldb, 0.0, c, (int)n);
#endif
    return FWM_OK;
}
