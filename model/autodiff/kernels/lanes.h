/* Vectors of `real` as wide as this compilation's registers (GCC's vector extensions), and panels of 16 channels made
 * of them: the unit in which the convolution kernels keep and move numbers, whatever the instruction set. */
#ifndef FWM_AUTODIFF_LANES_H
#define FWM_AUTODIFF_LANES_H

#include "model/base/variant.h"

#include <stdint.h>

#define LANES_BYTES (FWM_ISA_LEVEL == 4 ? 64 : FWM_ISA_LEVEL == 3 ? 32 : 16)

typedef real lanes __attribute__((vector_size(LANES_BYTES)));
/* The same in memory of reals, at any address that a real may have. */
typedef real lanes_memory __attribute__((vector_size(LANES_BYTES), aligned(FWM_REAL_BITS / 8), may_alias));

enum {
    LANES = LANES_BYTES / (FWM_REAL_BITS / 8),
    PANEL = 16,                 /* channels */
    PANEL_LANES = PANEL / LANES /* vectors */
};

#define LANES_INLINE static inline __attribute__((always_inline))

LANES_INLINE lanes lanes_load(const real *x)
{
    return *(const lanes_memory *)x;
}

LANES_INLINE void lanes_store(real *x, lanes v)
{
    *(lanes_memory *)x = v;
}

#endif
