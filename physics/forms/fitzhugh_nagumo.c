/* The FitzHugh-Nagumo pair: an excitable u and its slow recovery v (FitzHugh 1961, Nagumo 1962):
 *
 *     u_t = Du lap u + u - u^3 - v - k
 *     v_t = Dv lap v + eps (u - gamma v)
 *
 * With eps = gamma = 1 it is the diffusion-reaction pair of PDEBench.
 * f0 = (u_t - u + u^3 + v + k, v_t - eps (u - gamma v)),  f1 = (Du grad u, Dv grad v).
 * Transpose, with cotangents p of the first and q of the second row:
 *     u: (3 u^2 - 1) p - eps q   v: p + eps gamma q   Du: grad u . grad p   Dv: grad v . grad q
 *     k: p   eps: -(u - gamma v) q   gamma: eps v q. */
#define FEM_NAME fitzhugh_nagumo
#define FEM_COMPONENTS(dim) 2
#define FEM_PARAMETERS 5
#define FEM_AMBIENT 0
#include "physics/form.h"

enum { DIFFUSION_U, DIFFUSION_V, THRESHOLD, RATE, DECAY };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    const vec u = p->u[0], v = p->u[1];
    f->f0[0] = p->ut[0] - u + u * u * u + v + p->theta[THRESHOLD];
    f->f0[1] = p->ut[1] - p->theta[RATE] * (u - p->theta[DECAY] * v);
    for (int d = 0; d < dim; d++) {
        f->f1[0][d] = p->theta[DIFFUSION_U] * p->g[0][d];
        f->f1[1][d] = p->theta[DIFFUSION_V] * p->g[1][d];
    }
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    const vec u = p->u[0], w = p->u[1];
    b->u[0] = (3 * u * u - 1) * v->f0[0] - p->theta[RATE] * v->f0[1];
    b->u[1] = v->f0[0] + p->theta[RATE] * p->theta[DECAY] * v->f0[1];
    b->theta[THRESHOLD] = v->f0[0];
    b->theta[RATE] = (p->theta[DECAY] * w - u) * v->f0[1];
    b->theta[DECAY] = p->theta[RATE] * w * v->f0[1];
    for (int c = 0; c < 2; c++) {
        b->ut[c] = v->f0[c];
        for (int d = 0; d < dim; d++) {
            b->g[c][d] = p->theta[DIFFUSION_U + c] * v->f1[c][d];
            b->theta[DIFFUSION_U + c] += p->g[c][d] * v->f1[c][d];
        }
    }
}

FEM_FORM_KERNELS(qf, qb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    (void)theta;
    return false;
}

/* P = M/dt + D K for each species: diffusion, without the reaction, which has no sign. */
static void riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    (void)dim;
    for (int c = 0; c < 2; c++) {
        mass[c] = 1 / dt;
        stiffness[c] = theta[DIFFUSION_U + c];
    }
}

/* The activator is excited where it is above 0. */
static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_crossing(mesh, u1, u0, dt, 2, 0, 0);
}

extern const fem_equation fem_equation_fitzhugh_nagumo;
const fem_equation fem_equation_fitzhugh_nagumo = {
    .name = "fitzhugh_nagumo",
    .about = "FitzHugh-Nagumo pair: an excitable field and its slow recovery",
    .n_fields = 2,
    .n_parameters = FEM_PARAMETERS,
    .field = {"activator", "inhibitor"},
    .field_unit = {"-", "-"},
    .parameter =
        {
            [DIFFUSION_U] = {"diffusion_u", "L^2/time", "Du: diffusion of the activator", 1e-3, 1e-12, 1e8, 1e-3,
                             false},
            [DIFFUSION_V] = {"diffusion_v", "L^2/time", "Dv: diffusion of the inhibitor", 5e-3, 0, 1e8, 5e-3, false},
            [THRESHOLD] = {"threshold", "1/time", "k: what the activator loses at rest", 5e-3, -1e4, 1e4, 5e-3, true},
            [RATE] = {"rate", "1/time", "eps: pace of the inhibitor", 1, 0, 1e4, 1, false},
            [DECAY] = {"decay", "-", "gamma: decay of the inhibitor over what feeds it", 1, 0, 1e4, 1, false},
        },
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .riesz = riesz,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_CROSSING("activator passes 0"),
};
#endif
