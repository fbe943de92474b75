/* Random starts and schedules of actions, each draw named by (seed, stream, trajectory, index). */
#include "physics/simulate_impl.h"

#include <math.h>

enum { FEATURES = 128, DRAW_CORRELATION = 1, DRAW_DEVIATION, DRAW_OFFSET };

static double within(fem_range r, double uniform)
{
    return r.lo + (r.hi - r.lo) * uniform;
}

static void draw_ambient(const fem_simulation *s, int split, int64_t index, double *ambient)
{
    const fem_simulate_spec *spec = &s->spec;
    const fem_range range = split == FEM_TEST_OOD ? spec->ambient_ood : spec->ambient;
    for (int k = 0; k < s->equation->n_ambient; k++) {
        const fwm_key key = {spec->seed, k == 0 ? FEM_STREAM_START : FEM_STREAM_AMBIENT};
        const double uniform = fwm_random_uniform(key, fem_trajectory_key(split, index), (uint32_t)k);
        ambient[k] = spec->ambient_control == FEM_CONSTANT ? within(range, uniform) : 0;
    }
}

void fem_draw_start(const fem_simulation *s, int split, int64_t index, double *u, double *ambient)
{
    const fem_simulate_spec *spec = &s->spec;
    fwm_key key = {spec->seed, FEM_STREAM_START}, features = {spec->seed, FEM_STREAM_FEATURES};
    uint64_t step = fem_trajectory_key(split, index);
    draw_ambient(s, split, index, ambient);
    double length = within(spec->correlation, fwm_random_uniform(key, step, DRAW_CORRELATION));
    double deviation = within(spec->deviation, fwm_random_uniform(key, step, DRAW_DEVIATION));
    double mean = ambient[0] + within(spec->offset, fwm_random_uniform(key, step, DRAW_OFFSET));
    /* sigma / sqrt(N) sum_k xi_k cos(w_k x) + eta_k sin(w_k x), w ~ N(0, 1/l^2): covariance sigma^2 exp(-r^2/(2 l^2)).
     */
    double scale = deviation / sqrt((double)FEATURES);
    int64_t n = s->mesh->n_nodes;
    for (int64_t i = 0; i < n; i++)
        u[i] = mean;
    for (uint32_t k = 0; k < FEATURES; k++) {
        double wx = fwm_random_normal(features, step, 4 * k) / length,
               wy = fwm_random_normal(features, step, 4 * k + 1) / length;
        double xi = scale * fwm_random_normal(features, step, 4 * k + 2),
               eta = scale * fwm_random_normal(features, step, 4 * k + 3);
        for (int64_t i = 0; i < n; i++) {
            double sine, cosine;
            sincos(wx * s->mesh->nodes[2 * i] + wy * s->mesh->nodes[2 * i + 1], &sine, &cosine);
            u[i] += xi * cosine + eta * sine;
        }
    }
}

/* One action's schedule: pieces of random length, each on or off, drawn as numbers 4 p, 4 p + 1, 4 p + 2 of it. */
typedef struct schedule {
    fwm_key key;
    uint64_t step;
    uint32_t base;
    fem_range range;
} schedule;

static double value_of_piece(const fem_simulate_spec *spec, const schedule *d, uint32_t piece)
{
    uint32_t draw = d->base | piece << 2;
    bool on = fwm_random_uniform(d->key, d->step, draw + 1) < spec->power_probability;
    return on ? within(d->range, fwm_random_uniform(d->key, d->step, draw + 2)) : 0;
}

static void draw_schedule(const fem_simulate_spec *spec, const schedule *d, bool smooth, float *column, int64_t stride)
{
    int64_t t = 0;
    for (uint32_t piece = 0; t < spec->frames; piece++) {
        int64_t span = spec->hold_hi - spec->hold_lo + 1;
        int64_t length =
            spec->hold_lo + (int64_t)(fwm_random_uniform(d->key, d->step, d->base | piece << 2) * (double)span);
        double value = value_of_piece(spec, d, piece), next = smooth ? value_of_piece(spec, d, piece + 1) : value;
        for (int64_t k = 0; k < length && t < spec->frames; k++, t++) {
            double way = (1 - cos(M_PI * (double)k / (double)length)) / 2;
            column[t * stride] = (float)(value + (next - value) * way);
        }
    }
}

void fem_draw_actions(const fem_simulation *s, int split, int64_t index, const double *ambient, float *actions)
{
    const fem_simulate_spec *spec = &s->spec;
    const bool ood = split == FEM_TEST_OOD;
    schedule d = {.key = {spec->seed, FEM_STREAM_POWER},
                  .step = fem_trajectory_key(split, index),
                  .range = ood ? spec->power_ood : spec->power};
    for (int k = 0; k < spec->n_sources; k++) {
        d.base = (uint32_t)k << 24;
        draw_schedule(spec, &d, spec->control == FEM_SMOOTH, actions + k, s->n_actions);
    }
    d.key.stream = FEM_STREAM_AMBIENT;
    d.range = ood ? spec->ambient_ood : spec->ambient;
    for (int k = 0; k < s->equation->n_ambient; k++) {
        float *column = actions + spec->n_sources + k;
        d.base = (uint32_t)(k + 1) << 24;
        if (spec->ambient_control != FEM_CONSTANT)
            draw_schedule(spec, &d, spec->ambient_control == FEM_SMOOTH, column, s->n_actions);
        for (int64_t t = 0; spec->ambient_control == FEM_CONSTANT && t < spec->frames; t++)
            column[t * s->n_actions] = (float)ambient[k];
    }
}
