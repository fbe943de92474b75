/* Vector types of the variant files: one register of samples. Plain loops over lanes were 7 to 18 times slower, because
 * the element's small loops are what compilers vectorise instead. */
#ifndef FWM_PHYSICS_LANES_H
#define FWM_PHYSICS_LANES_H

#include "model/base/variant.h"
#include "physics/kernel.h"

#include <math.h>

/* Vectors wider than the baseline's registers are only passed to functions that are inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#if FWM_ISA_LEVEL >= 4
#define FEM_VECTOR_BYTES 64
#elif FWM_ISA_LEVEL >= 3
#define FEM_VECTOR_BYTES 32
#else
#define FEM_VECTOR_BYTES 16
#endif

enum { FEM_LANES = FEM_VECTOR_BYTES / (FWM_REAL_BITS / 8) };
typedef real vec __attribute__((vector_size(FEM_VECTOR_BYTES)));

#if FWM_REAL_BITS == 64
typedef int64_t mask_lane;
#else
typedef int32_t mask_lane;
#endif
typedef mask_lane vec_mask __attribute__((vector_size(FEM_VECTOR_BYTES))); /* what comparing two vec gives: 0 or -1 */

#define FEM_INLINE static inline __attribute__((always_inline, unused))

FEM_INLINE vec vec_zero(void)
{
    return (vec){0};
}

/* mask ? a : b, lane by lane. */
FEM_INLINE vec vec_select(vec_mask mask, vec a, vec b)
{
    return (vec)((mask & (vec_mask)a) | (~mask & (vec_mask)b));
}

FEM_INLINE vec vec_max(vec a, vec b)
{
    return vec_select(a > b, a, b);
}

FEM_INLINE vec vec_min(vec a, vec b)
{
    return vec_select(a < b, a, b);
}

/* Lane by lane; compilers make one instruction of the loop. */
FEM_INLINE vec vec_sqrt(vec x)
{
    vec y;
    for (int l = 0; l < FEM_LANES; l++)
        y[l] = REAL_FN(sqrt)(x[l]);
    return y;
}

FEM_INLINE real real_sqrt(real x)
{
    return REAL_FN(sqrt)(x);
}

FEM_INLINE vec vec_exp(vec x)
{
    vec y;
    for (int l = 0; l < FEM_LANES; l++)
        y[l] = REAL_FN(exp)(x[l]);
    return y;
}

FEM_INLINE vec vec_log(vec x)
{
    vec y;
    for (int l = 0; l < FEM_LANES; l++)
        y[l] = REAL_FN(log)(x[l]);
    return y;
}

FEM_INLINE double vec_sum(vec x)
{
    double sum = 0;
    for (int l = 0; l < FEM_LANES; l++)
        sum += (double)x[l];
    return sum;
}

#endif
