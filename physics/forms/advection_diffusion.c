/* Advection and diffusion of a concentration by a uniform wind b, with decay:
 *
 *     u_t + b . grad u = div(kappa grad u) - sigma u + sources
 *
 * Galerkin: f0 = u_t + b.grad u + sigma u,  f1 = kappa grad u. Streamline-upwind Petrov-Galerkin (Brooks & Hughes
 * 1982): f1 += tau b r, with the strong residual r = u_t + b.grad u + sigma u - kappa lap u - sources, which vanishes
 * for the exact solution, so that no order is lost, and (Shakib, Hughes & Johan 1991), s = size / degree, tau =
 * ((2/dt)^2 + (2|b|/s)^2 + (12 kappa/s^2)^2 + sigma^2)^(-1/2). Transpose, with the cotangent v, its gradient V, t =
 * b.V, r_bar = tau t, w = v + r_bar and tau_bar = r t: u_t: w   u: sigma w   grad u: b w + kappa V   lap u: -kappa
 * r_bar   sources: -r_bar sigma: u w + tau_bar dtau/dsigma   kappa: grad u . V - lap u r_bar + tau_bar dtau/dkappa b:
 * grad u w + tau r V + tau_bar dtau/db. */
#define FEM_NAME advection_diffusion
#define FEM_COMPONENTS(dim) 1
#define FEM_PARAMETERS 5
#define FEM_AMBIENT 0
#define FEM_STRONG 1
#include "physics/form.h"

enum { DIFFUSIVITY, DECAY, WIND_X }; /* WIND_X + axis */

typedef struct upwind {
    real tau, diffusivity, decay, wind; /* derivatives: dtau/db_d = wind b_d */
} upwind;

FEM_INLINE upwind upwind_of(int dim, const fem_point *p)
{
    const real s = p->h / (real)p->degree, kappa = p->theta[DIFFUSIVITY], sigma = p->theta[DECAY], pace = 2 / p->dt;
    const real spread = 12 / (s * s);
    real square = 0;
    for (int d = 0; d < dim; d++)
        square += p->theta[WIND_X + d] * p->theta[WIND_X + d];
    upwind k;
    k.tau = 1 / real_sqrt(pace * pace + 4 * square / (s * s) + spread * spread * kappa * kappa + sigma * sigma);
    const real cube = k.tau * k.tau * k.tau;
    k.diffusivity = -cube * spread * spread * kappa;
    k.decay = -cube * sigma;
    k.wind = -cube * 4 / (s * s);
    return k;
}

/* u_t + b.grad u + sigma u. */
FEM_INLINE vec transport(int dim, const fem_point *p)
{
    vec r = p->ut[0] + p->theta[DECAY] * p->u[0];
    for (int d = 0; d < dim; d++)
        r += p->theta[WIND_X + d] * p->g[0][d];
    return r;
}

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    const upwind k = upwind_of(dim, p);
    f->f0[0] = transport(dim, p);
    const vec along = k.tau * (f->f0[0] - p->theta[DIFFUSIVITY] * p->lap[0] - p->source[0]);
    for (int d = 0; d < dim; d++)
        f->f1[0][d] = p->theta[DIFFUSIVITY] * p->g[0][d] + p->theta[WIND_X + d] * along;
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    const upwind k = upwind_of(dim, p);
    const vec r = transport(dim, p) - p->theta[DIFFUSIVITY] * p->lap[0] - p->source[0];
    vec t = vec_zero();
    for (int d = 0; d < dim; d++)
        t += p->theta[WIND_X + d] * v->f1[0][d];
    const vec r_bar = k.tau * t, w = v->f0[0] + r_bar, tau_bar = r * t;
    b->ut[0] = w;
    b->u[0] = p->theta[DECAY] * w;
    b->lap[0] = -p->theta[DIFFUSIVITY] * r_bar;
    b->source[0] = -r_bar;
    b->theta[DECAY] = p->u[0] * w + k.decay * tau_bar;
    b->theta[DIFFUSIVITY] = k.diffusivity * tau_bar - p->lap[0] * r_bar;
    for (int d = 0; d < dim; d++) {
        const real wind = p->theta[WIND_X + d];
        b->g[0][d] = wind * w + p->theta[DIFFUSIVITY] * v->f1[0][d];
        b->theta[DIFFUSIVITY] += p->g[0][d] * v->f1[0][d];
        b->theta[WIND_X + d] = p->g[0][d] * w + k.tau * r * v->f1[0][d] + k.wind * wind * tau_bar;
    }
}

FEM_FORM_KERNELS(qf, qb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    (void)theta;
    return true;
}

/* P = M (1/dt + sigma) + kappa K: the symmetric part of the operator. */
static void riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    (void)dim;
    mass[0] = 1 / dt + theta[DECAY];
    stiffness[0] = theta[DIFFUSIVITY];
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, 1, 0, 1);
}

extern const fem_equation fem_equation_advection_diffusion;
const fem_equation fem_equation_advection_diffusion = {
    .name = "advection_diffusion",
    .about = "advection and diffusion of a concentration by a uniform wind, with decay",
    .n_fields = 1,
    .n_parameters = FEM_PARAMETERS,
    .field = {"concentration"},
    .field_unit = {"-"},
    .parameter =
        {
            [DIFFUSIVITY] = {"diffusivity", "L^2/time", "kappa: diffusion", 0.01, 1e-12, 1e8, 0.01, true},
            [DECAY] = {"decay", "1/time", "sigma: linear decay", 0, 0, 1e8, 0, true},
            [WIND_X] = {"wind_x", "L/time", "wind along x", 1, -1e8, 1e8, 1, true},
            [WIND_X + 1] = {"wind_y", "L/time", "wind along y", 0, -1e8, 1e8, 0, true},
            [WIND_X + 2] = {"wind_z", "L/time", "wind along z, in three dimensions", 0, -1e8, 1e8, 0, true},
        },
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .riesz = riesz,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_RELATIVE("concentration"),
};
#endif
