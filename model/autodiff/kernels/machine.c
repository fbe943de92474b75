#include "model/autodiff/kernels/machine.h"

#include "model/base/variant.h"

#include <immintrin.h>

/* One vector register of the instruction set. */
enum { BYTES = FWM_ISA_LEVEL >= 4 ? 64 : FWM_ISA_LEVEL >= 3 ? 32 : 16, LANES = BYTES / (int)sizeof(real) };
typedef real vec __attribute__((vector_size(BYTES), may_alias));

/* Twelve chains: two units times a latency of four or five cycles are kept busy, and with factor and term they fit in
 * sixteen registers. */
enum { CHAINS = 12 };

static double multiply_add(int64_t rounds, double factor, double term)
{
    vec sum[CHAINS], a, b;
    for (int l = 0; l < LANES; l++) {
        a[l] = (real)factor;
        b[l] = (real)term;
    }
    for (int k = 0; k < CHAINS; k++)
        sum[k] = b * (real)(k + 1);
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            sum[k] = sum[k] * a + b;
    for (int k = 1; k < CHAINS; k++)
        sum[0] += sum[k];
    double total = 0;
    for (int l = 0; l < LANES; l++)
        total += (double)sum[0][l];
    return total;
}

static inline void store_past_caches(real *to, vec x)
{
#if FWM_ISA_LEVEL >= 4
    _mm512_stream_ps((void *)to, (__m512)x);
#elif FWM_ISA_LEVEL >= 3
    _mm256_stream_ps((void *)to, (__m256)x);
#else
    _mm_stream_ps((void *)to, (__m128)x);
#endif
}

static void triad(void *a_, const void *b_, const void *c_, double factor, int64_t n)
{
    real *a = a_;
    const real *b = b_, *c = c_, f = (real)factor;
    for (int64_t i = 0; i < n; i += LANES)
        store_past_caches(a + i, *(const vec *)(b + i) + f * *(const vec *)(c + i));
    _mm_sfence();
}

extern const ad_machine_kernels FWM_V(ad_machine_kernels);
const ad_machine_kernels FWM_V(ad_machine_kernels) = {
    .multiply_add = multiply_add, .flops_per_round = 2.0 * CHAINS * LANES, .triad = triad};

#ifdef FWM_DEFINITION
extern const ad_machine_kernels ad_machine_kernels_f32_v1, ad_machine_kernels_f32_v3, ad_machine_kernels_f32_v4,
    ad_machine_kernels_f64_v3, ad_machine_kernels_f64_v4;

const ad_machine_kernels *ad_machine_find(ad_dtype dtype, int isa_level)
{
    static const ad_machine_kernels *const table[2][3] = {
        [AD_F32] = {&ad_machine_kernels_f32_v1, &ad_machine_kernels_f32_v3, &ad_machine_kernels_f32_v4},
        [AD_F64] = {&ad_machine_kernels_f64_v1, &ad_machine_kernels_f64_v3, &ad_machine_kernels_f64_v4},
    };
    return table[dtype == AD_F64][isa_level >= 4 ? 2 : isa_level >= 3 ? 1 : 0];
}
#endif
