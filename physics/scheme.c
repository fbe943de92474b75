#include "physics/scheme.h"

#include <string.h>

static const char *const names[FEM_SCHEME_COUNT] = {"backward_euler", "midpoint", "bdf2", "generalised_alpha"};

fwm_status fem_scheme_parse(const char *name, fem_scheme *scheme)
{
    for (int k = 0; k < FEM_SCHEME_COUNT; k++)
        if (name && strcmp(name, names[k]) == 0) {
            *scheme = (fem_scheme)k;
            return FWM_OK;
        }
    return fwm_fail(FWM_INVALID, "scheme: expected backward_euler, midpoint, bdf2 or generalised_alpha, found '%s'",
                    name ? name : "nothing");
}

const char *fem_scheme_name(fem_scheme scheme)
{
    return names[scheme];
}

bool fem_scheme_remembers(fem_scheme scheme)
{
    return fem_scheme_substeps(scheme) > 1;
}

int fem_scheme_substeps(fem_scheme scheme)
{
    return scheme == FEM_BDF2 ? 2 : scheme == FEM_GENERALISED_ALPHA ? 3 : 1;
}

static fem_stage midpoint(double dt)
{
    return (fem_stage){.dt = dt, .alpha = 0.5, .beta = 1 / dt};
}

fem_stage fem_scheme_single(fem_scheme scheme, double dt)
{
    return scheme == FEM_BACKWARD_EULER ? (fem_stage){.dt = dt, .alpha = 1, .beta = 1 / dt} : midpoint(dt);
}

/* BDF2: u_t = (3 u1 - 4 u0 + u_before) / (2 dt), z the last difference over dt. */
static fem_stage bdf2(int k, double dt)
{
    fem_stage s = midpoint(dt);
    if (k > 0)
        s = (fem_stage){.dt = dt, .alpha = 1, .beta = 1.5 / dt, .recall = -0.5, .kind = 1};
    s.slope = 1 / dt;
    return s;
}

/* Generalised alpha for first-order systems, z the rate at the step's end. It starts with the rate extrapolated from
 * two midpoints, (3 r2 - r1) / 2, which keeps second order. */
static fem_stage generalised_alpha(double radius, int k, double dt)
{
    const double am = 0.5 * (3 - radius) / (1 + radius), af = 1 / (1 + radius), gamma = 0.5 + am - af;
    fem_stage s = midpoint(dt);
    s.slope = (k == 0 ? 1 : 1.5) / dt;
    s.fade = k == 0 ? 0 : -0.5;
    if (k > 1)
        s = (fem_stage){.dt = dt,
                        .alpha = af,
                        .beta = am / (gamma * dt),
                        .recall = 1 - am / gamma,
                        .slope = 1 / (gamma * dt),
                        .fade = 1 - 1 / gamma,
                        .kind = 1};
    return s;
}

fem_stage fem_scheme_stage(fem_scheme scheme, double spectral_radius, int k, double dt)
{
    if (scheme == FEM_BDF2)
        return bdf2(k, dt);
    if (scheme == FEM_GENERALISED_ALPHA)
        return generalised_alpha(spectral_radius, k, dt);
    return fem_scheme_single(scheme, dt);
}
