#include "data/stats.h"

#include <math.h>

enum { BLOCK = 1024 };

void ds_moments_merge(ds_moments *into, const ds_moments *from)
{
    if (from->count == 0)
        return;
    int64_t n = into->count + from->count;
    double delta = from->mean - into->mean, share = (double)from->count / (double)n;
    into->mean += delta * share;
    into->m2 += from->m2 + delta * delta * (double)into->count * share;
    into->count = n;
}

double ds_moments_std(const ds_moments *m)
{
    return m->count > 0 ? sqrt(m->m2 / (double)m->count) : 0;
}

/* Two passes over a block that stays in the cache. */
static void add_block(ds_moments *into, const double *x, int64_t n)
{
    ds_moments block = {n, 0, 0};
    if (n == 0)
        return;
    for (int64_t i = 0; i < n; i++)
        block.mean += x[i];
    block.mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = x[i] - block.mean;
        block.m2 += d * d;
    }
    ds_moments_merge(into, &block);
}

/* One channel of x, or of next - x where next is given; rows are `stride` apart. */
static void add_channel(ds_moments *into, const float *x, const float *next, int64_t rows, int64_t stride)
{
    double block[BLOCK];
    for (int64_t first = 0; first < rows; first += BLOCK) {
        int64_t m = rows - first < BLOCK ? rows - first : BLOCK, n = 0;
        for (int64_t i = first; i < first + m; i++) {
            double v = next ? (double)next[i * stride] - (double)x[i * stride] : (double)x[i * stride];
            block[n] = v;
            n += isfinite(v) ? 1 : 0;
        }
        add_block(into, block, n);
    }
}

void ds_moments_add_values(ds_moments *value, const float *x, int64_t steps, int64_t points, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        add_channel(&value[c], x + c, NULL, steps * points, channels);
}

void ds_moments_add_deltas(ds_moments *delta, const float *x, int64_t steps, int64_t points, int64_t channels)
{
    for (int64_t c = 0; c < channels && steps > 1; c++)
        add_channel(&delta[c], x + c, x + points * channels + c, (steps - 1) * points, channels);
}

fwm_status ds_stats_store(ds_stats *out, fwm_arena *arena, int64_t channels, const ds_moments *value,
                          const ds_moments *delta)
{
    double *all = fwm_arena_alloc(arena, (size_t)(4 * channels + 1) * sizeof *all);
    FWM_CHECK(all, FWM_MEMORY, "statistics: out of memory for %lld channels", (long long)channels);
    for (int64_t c = 0; c < channels; c++) {
        all[c] = value[c].mean;
        all[channels + c] = ds_moments_std(&value[c]);
        all[2 * channels + c] = delta[c].mean;
        all[3 * channels + c] = ds_moments_std(&delta[c]);
    }
    *out = (ds_stats){all, all + channels, all + 2 * channels, all + 3 * channels};
    return FWM_OK;
}
