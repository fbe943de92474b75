/* y[r * y_stride + i] = x[r * x_stride + i] for `rows` rows of `run` elements: what concat, slice and pad are made of.
 */
#ifndef FWM_AUTODIFF_KERNELS_COPY_H
#define FWM_AUTODIFF_KERNELS_COPY_H

#include "model/base/threads.h"
#include "model/base/variant.h"

#include <string.h>

enum { COPY_SHORT = 32, COPY_BLOCK = 32768 };

static inline void real_copy_rows(real *y, int64_t y_stride, const real *x, int64_t x_stride, int64_t run, int64_t rows)
{
    /* Long rows are cut so that a single one is shared out too. */
    int64_t blocks = (run + COPY_BLOCK - 1) / COPY_BLOCK;
#pragma omp parallel for schedule(static) if (rows * run > FWM_PARALLEL_MIN)
    for (int64_t item = 0; item < rows * blocks; item++) {
        int64_t r = blocks == 1 ? item : item / blocks, at = blocks == 1 ? 0 : item % blocks * COPY_BLOCK;
        int64_t n = run - at < COPY_BLOCK ? run - at : COPY_BLOCK;
        real *to = y + r * y_stride + at;
        const real *from = x + r * x_stride + at;
        if (n < COPY_SHORT)
            for (int64_t i = 0; i < n; i++)
                to[i] = from[i];
        else
            memcpy(to, from, (size_t)n * sizeof *to);
    }
}

static inline void real_zero_rows(real *y, int64_t y_stride, int64_t run, int64_t rows)
{
#pragma omp parallel for schedule(static) if (rows * run > FWM_PARALLEL_MIN)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < run; i++)
            y[r * y_stride + i] = 0;
}

#endif
