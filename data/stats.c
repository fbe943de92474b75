#include "data/stats.h"

#include <float.h>
#include <math.h>

/* Columns that are summed side by side, and rows of them in a block. */
enum { COLUMNS = 64, BLOCK_ROWS = 512 };

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

/* A block's sums of v - shift, where that is finite, and of their squares. */
typedef struct sums {
    double shift[COLUMNS], first[COLUMNS], second[COLUMNS], count[COLUMNS];
} sums;

/* `rows` rows of `width` values, of x or of next - x where next is given; rows are `stride` apart. */
__attribute__((target_clones("avx2", "default"))) static void
add_rows(sums *s, const float *restrict x, const float *restrict next, int64_t rows, int64_t width, int64_t stride)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < width; j++) {
            const double v =
                (next ? (double)next[r * stride + j] - (double)x[r * stride + j] : (double)x[r * stride + j]) -
                s->shift[j];
            const double kept = fabs(v) <= DBL_MAX ? 1 : 0, d = fabs(v) <= DBL_MAX ? v : 0;
            s->first[j] += d;
            s->second[j] += d * d;
            s->count[j] += kept;
        }
}

/* The first finite value of a column: sums of differences from it do not cancel. */
static double first_finite(const float *x, const float *next, int64_t rows, int64_t stride)
{
    double v = NAN;
    for (int64_t r = 0; r < rows && !isfinite(v); r++)
        v = next ? (double)next[r * stride] - (double)x[r * stride] : (double)x[r * stride];
    return isfinite(v) ? v : 0;
}

/* Column j belongs to channel j % channels. */
static void add_columns(ds_moments *into, int64_t channels, const float *x, const float *next, int64_t rows,
                        int64_t width, int64_t stride)
{
    for (int64_t from = 0; from < rows; from += BLOCK_ROWS, x += BLOCK_ROWS * stride) {
        const int64_t n = rows - from < BLOCK_ROWS ? rows - from : BLOCK_ROWS;
        const float *y = next ? next + from * stride : NULL;
        sums s = {0};
        for (int64_t j = 0; j < width; j++) {
            const ds_moments *m = &into[j % channels];
            s.shift[j] = m->count > 0 ? m->mean : first_finite(x + j, y ? y + j : NULL, n, stride);
        }
        add_rows(&s, x, y, n, width, stride);
        for (int64_t j = 0; j < width; j++)
            if (s.count[j] > 0) {
                const double mean = s.first[j] / s.count[j], m2 = s.second[j] - mean * s.first[j];
                ds_moments_merge(&into[j % channels],
                                 &(ds_moments){(int64_t)s.count[j], s.shift[j] + mean, m2 > 0 ? m2 : 0});
            }
    }
}

/* n rows of `channels` values that lie one after another: several side by side where they are short. */
static void add_all(ds_moments *into, int64_t channels, const float *x, const float *next, int64_t n)
{
    if (channels > COLUMNS / 2) {
        for (int64_t c = 0; c < channels; c += COLUMNS) {
            const int64_t width = channels - c < COLUMNS ? channels - c : COLUMNS;
            add_columns(into + c, width, x + c, next ? next + c : NULL, n, width, channels);
        }
        return;
    }
    const int64_t together = COLUMNS / channels, width = together * channels, rows = n / together;
    add_columns(into, channels, x, next, rows, width, width);
    x += rows * width;
    add_columns(into, channels, x, next ? next + rows * width : NULL, n - rows * together, channels, channels);
}

void ds_moments_add_values(ds_moments *value, const float *x, int64_t steps, int64_t points, int64_t channels)
{
    if (channels > 0)
        add_all(value, channels, x, NULL, steps * points);
}

void ds_moments_add_deltas(ds_moments *delta, const float *x, int64_t steps, int64_t points, int64_t channels)
{
    if (steps > 1 && channels > 0)
        add_all(delta, channels, x, x + points * channels, (steps - 1) * points);
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
