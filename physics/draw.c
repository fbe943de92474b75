/* Random starts and heater schedules, each draw named by (seed, stream, trajectory, index). */
#include "physics/simulate_impl.h"

#include <math.h>

enum { FEATURES = 128, DRAW_AMBIENT = 0, DRAW_CORRELATION, DRAW_DEVIATION, DRAW_OFFSET };

static double within(fem_range r, double uniform)
{
    return r.lo + (r.hi - r.lo) * uniform;
}

void fem_draw_start(const fem_simulation *s, int split, int64_t index, double *u, double *ambient)
{
    const fem_simulate_spec *spec = &s->spec;
    fwm_key key = {spec->seed, FEM_STREAM_START}, features = {spec->seed, FEM_STREAM_FEATURES};
    uint64_t step = fem_trajectory_key(split, index);
    *ambient = within(spec->ambient, fwm_random_uniform(key, step, DRAW_AMBIENT));
    double length = within(spec->correlation, fwm_random_uniform(key, step, DRAW_CORRELATION));
    double deviation = within(spec->deviation, fwm_random_uniform(key, step, DRAW_DEVIATION));
    double mean = *ambient + within(spec->offset, fwm_random_uniform(key, step, DRAW_OFFSET));
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

void fem_draw_actions(const fem_simulation *s, int split, int64_t index, double ambient, float *actions)
{
    const fem_simulate_spec *spec = &s->spec;
    fwm_key key = {spec->seed, FEM_STREAM_POWER};
    uint64_t step = fem_trajectory_key(split, index);
    fem_range range = split == FEM_TEST_OOD ? spec->power_ood : spec->power;
    for (int h = 0; h < spec->n_heaters; h++) {
        int64_t t = 0;
        for (uint32_t piece = 0; t < spec->frames; piece++) {
            uint32_t draw = (uint32_t)h << 24 | piece << 2;
            int64_t span = spec->hold_hi - spec->hold_lo + 1;
            int64_t length = spec->hold_lo + (int64_t)(fwm_random_uniform(key, step, draw) * (double)span);
            bool on = fwm_random_uniform(key, step, draw + 1) < spec->power_probability;
            double power = on ? within(range, fwm_random_uniform(key, step, draw + 2)) : 0;
            for (int64_t end = t + length; t < end && t < spec->frames; t++)
                actions[t * s->n_actions + h] = (float)power;
        }
    }
    for (int64_t t = 0; t < spec->frames; t++)
        actions[t * s->n_actions + spec->n_heaters] = (float)ambient;
}
