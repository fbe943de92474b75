/* The Gray-Scott pair: a substrate u that is fed, an activator v that eats it (Pearson 1993):
 *
 *     u_t = Du lap u - u v^2 + F (1 - u)
 *     v_t = Dv lap v + u v^2 - (F + k) v
 *
 * f0 = (u_t + u v^2 - F (1-u), v_t - u v^2 + (F+k) v),  f1 = (Du grad u, Dv grad v).
 * Transpose, with cotangents p of the first and q of the second row:
 *     u: v^2 (p - q) + F p   v: 2 u v (p - q) + (F+k) q   Du: grad u . grad p   Dv: grad v . grad q
 *     F: -(1-u) p + v q   k: v q. */
#define FEM_NAME gray_scott
#define FEM_COMPONENTS(dim) 2
#define FEM_PARAMETERS 4
#define FEM_AMBIENT 0
#include "physics/form.h"

enum { DIFFUSION_U, DIFFUSION_V, FEED, KILL };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    const vec u = p->u[0], v = p->u[1], reaction = u * v * v;
    f->f0[0] = p->ut[0] + reaction - p->theta[FEED] * (1 - u);
    f->f0[1] = p->ut[1] - reaction + (p->theta[FEED] + p->theta[KILL]) * v;
    for (int d = 0; d < dim; d++) {
        f->f1[0][d] = p->theta[DIFFUSION_U] * p->g[0][d];
        f->f1[1][d] = p->theta[DIFFUSION_V] * p->g[1][d];
    }
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    const vec u = p->u[0], w = p->u[1], difference = v->f0[0] - v->f0[1];
    b->u[0] = w * w * difference + p->theta[FEED] * v->f0[0];
    b->u[1] = 2 * u * w * difference + (p->theta[FEED] + p->theta[KILL]) * v->f0[1];
    b->theta[FEED] = w * v->f0[1] - (1 - u) * v->f0[0];
    b->theta[KILL] = w * v->f0[1];
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

/* A spot is where the activator is above 0.2: patterns of the pair have 0.3 to 0.4 within spots, 0 between them. */
static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_crossing(mesh, u1, u0, dt, 2, 1, 0.2);
}

extern const fem_equation fem_equation_gray_scott;
const fem_equation fem_equation_gray_scott = {
    .name = "gray_scott",
    .about = "Gray-Scott pair: a substrate that is fed and an activator that eats it",
    .n_fields = 2,
    .n_parameters = FEM_PARAMETERS,
    .field = {"substrate", "activator"},
    .field_unit = {"-", "-"},
    .parameter =
        {
            [DIFFUSION_U] = {"diffusion_u", "L^2/time", "Du: diffusion of the substrate", 2e-5, 1e-12, 1e8, 2e-5,
                             false},
            [DIFFUSION_V] = {"diffusion_v", "L^2/time", "Dv: diffusion of the activator", 1e-5, 1e-12, 1e8, 1e-5,
                             false},
            [FEED] = {"feed", "1/time", "F: rate at which the substrate is fed and both are washed out", 0.03, 0, 1e4,
                      0.03, true},
            [KILL] = {"kill", "1/time", "k: rate at which the activator decays", 0.06, 0, 1e4, 0.06, true},
        },
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .riesz = riesz,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_CROSSING("activator passes 0.2"),
};
#endif
