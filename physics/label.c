/* Labels of trajectories by their equation's own criteria: key states, and the basins that states belong to. */
#include "physics/simulate_impl.h"

#include <math.h>
#include <string.h>

static void label_key_states(const fem_simulation *s, int64_t batch)
{
    const int64_t frames = s->spec.frames, size = s->mesh->n_nodes * s->components;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < batch; b++) {
        const float *state = s->state + b * frames * size;
        uint8_t *key = s->key_state + b * frames;
        key[0] = 0;
        for (int64_t t = 1; t < frames; t++)
            key[t] = s->equation->event_rate(s->mesh, state + t * size, state + (t - 1) * size, s->spec.dt) >
                     s->spec.key_rate;
    }
}

/* A state that moves by less than this a frame stands still: an interface is pinned, or flat. */
static const double STILL = 2e-3;

static double movement(const double *x, const double *y, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i] - y[i]));
    return most;
}

/* Relaxes the `count` frames listed in s->open under one law, all actions off, until each has a basin. */
static fwm_status relax(fem_simulation *s, const fem_theta *theta, int64_t count)
{
    const int64_t size = s->mesh->n_nodes * s->components;
    for (int64_t k = 0; k < count; k++)
        for (int64_t i = 0; i < size; i++)
            s->u[k * size + i] = (double)s->state[s->open[k] * size + i];
    memset(s->a, 0, (size_t)(s->room * s->n_actions) * sizeof *s->a);
    for (int step = 0; count > 0 && step < FEM_RELAX_FRAMES; step++) {
        FWM_TRY(fem_step(s->relax, AD_F64, s->u_next, s->u, s->a, theta, count));
        int64_t left = 0;
        for (int64_t k = 0; k < count; k++) {
            const int basin = s->equation->basin(s->mesh, s->u_next + k * size);
            s->basin[s->open[k]] = (int8_t)basin;
            if (basin != FEM_BASIN_OPEN || movement(s->u_next + k * size, s->u + k * size, size) < STILL)
                continue; /* decided: the rest moves up */
            s->open[left] = s->open[k];
            memcpy(s->u + left * size, s->u_next + k * size, (size_t)size * sizeof *s->u);
            left++;
        }
        count = left;
    }
    return FWM_OK;
}

static fwm_status label_basins(fem_simulation *s, int64_t batch)
{
    const int64_t frames = s->spec.frames, size = s->mesh->n_nodes * s->components;
    int64_t waiting = 0;
    for (int64_t f = 0; f < batch * frames; f++) {
        for (int64_t i = 0; i < size; i++)
            s->u[i] = (double)s->state[f * size + i];
        s->basin[f] = (int8_t)s->equation->basin(s->mesh, s->u);
        if (s->basin[f] == FEM_BASIN_OPEN)
            s->open[waiting++] = f;
        const bool own = s->spec.n_random > 0, last = f == batch * frames - 1 || (own && (f + 1) % frames == 0);
        if (waiting == s->room || (last && waiting > 0)) {
            const fem_theta theta = own ? fem_drawn_theta(s, f / frames) : s->truth_theta;
            FWM_TRY(relax(s, &theta, waiting));
            waiting = 0;
        }
    }
    return FWM_OK;
}

fwm_status fem_label(fem_simulation *s, int64_t batch)
{
    if (s->equation->event_rate)
        label_key_states(s, batch);
    return s->equation->basin ? label_basins(s, batch) : FWM_OK;
}
