#include "model/transport/kernels/nearest.h"

#include "model/base/threads.h"
#include "model/base/variant.h"

#include <math.h>

enum { LANES = 32 }; /* OT_PAD: some registers of running minima */

static int64_t best(int64_t n, const void *c_row, const void *h_row, double *score)
{
    const real *restrict c = c_row, *restrict h = h_row;
    real most = h[0] - c[0];
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < n; j++) {
        real v = h[j] - c[j];
        most = v > most ? v : most;
    }
    int64_t at = 0;
    while (at < n - 1 && !(h[at] - c[at] >= most))
        at++;
    *score = (double)most;
    return at;
}

static void two(int64_t n, const void *c_row, double smallest[2], int64_t index[2])
{
    const real *restrict c = c_row;
    real first[LANES], second[LANES];
    for (int t = 0; t < LANES; t++)
        first[t] = second[t] = (real)INFINITY;
    for (int64_t j = 0; j < n; j += LANES)
#pragma omp simd
        for (int t = 0; t < LANES; t++) {
            real v = c[j + t], larger = v > first[t] ? v : first[t];
            first[t] = v < first[t] ? v : first[t];
            second[t] = larger < second[t] ? larger : second[t];
        }
    real a = (real)INFINITY, b = (real)INFINITY;
    for (int t = 0; t < LANES; t++) {
        real values[2] = {first[t], second[t]};
        for (int k = 0; k < 2; k++) {
            real larger = values[k] > a ? values[k] : a;
            a = values[k] < a ? values[k] : a;
            b = larger < b ? larger : b;
        }
    }
    index[0] = 0;
    while (index[0] < n - 1 && !(c[index[0]] <= a))
        index[0]++;
    index[1] = 0;
    while (index[1] < n - 1 && (index[1] == index[0] || !(c[index[1]] <= b)))
        index[1]++;
    smallest[0] = (double)a;
    smallest[1] = (double)b;
}

static void widen(int64_t n, double *restrict to, const void *c_row)
{
    const real *restrict c = c_row;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        to[j] = (double)c[j];
}

extern const ot_nearest_kernels FWM_V(ot_nearest_kernels);
const ot_nearest_kernels FWM_V(ot_nearest_kernels) = {best, two, widen};

#ifdef FWM_DEFINITION
extern const ot_nearest_kernels ot_nearest_kernels_f32_v1, ot_nearest_kernels_f32_v3, ot_nearest_kernels_f32_v4,
    ot_nearest_kernels_f64_v3, ot_nearest_kernels_f64_v4;

const ot_nearest_kernels *ot_nearest_kernels_find(bool is_double)
{
    static const ot_nearest_kernels *const table[2][3] = {
        {&ot_nearest_kernels_f32_v1, &ot_nearest_kernels_f32_v3, &ot_nearest_kernels_f32_v4},
        {&ot_nearest_kernels_f64_v1, &ot_nearest_kernels_f64_v3, &ot_nearest_kernels_f64_v4}};
    int level = fwm_isa_level();
    return table[is_double][level >= 4 ? 2 : level >= 3 ? 1 : 0];
}
#endif
