/* The wave equation with damping, as a first-order system in the displacement u and its velocity v:
 *
 *     u_t = v
 *     v_t = div(c^2 grad u) - gamma v + sources
 *
 * f0 = (u_t - v, v_t + gamma v),  f1 = (0, c^2 grad u). The midpoint rule on this system is Newmark's method with
 * beta = 1/4, gamma = 1/2: it conserves |v|^2 + c^2 |grad u|^2 where nothing damps or drives.
 * Natural boundary "absorbing" (Engquist & Majda 1977, first order): c^2 du/dn = -c v, so f0 = (0, c v).
 * Transpose, with cotangents p of the first and q of the second row:
 *     v: -p + gamma q   grad u: c^2 grad q   c: 2 c grad u . grad q   gamma: v q;  absorbing: v: c q   c: v q. */
#define FEM_NAME wave
#define FEM_COMPONENTS(dim) 2
#define FEM_PARAMETERS 2
#define FEM_AMBIENT 0
#include "physics/form.h"

enum { SPEED, DAMPING };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    f->f0[0] = p->ut[0] - p->u[1];
    f->f0[1] = p->ut[1] + p->theta[DAMPING] * p->u[1];
    const real square = p->theta[SPEED] * p->theta[SPEED];
    for (int d = 0; d < dim; d++)
        f->f1[1][d] = square * p->g[0][d];
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    b->ut[0] = v->f0[0];
    b->ut[1] = v->f0[1];
    b->u[1] = p->theta[DAMPING] * v->f0[1] - v->f0[0];
    b->theta[DAMPING] = p->u[1] * v->f0[1];
    const real square = p->theta[SPEED] * p->theta[SPEED];
    for (int d = 0; d < dim; d++) {
        b->g[0][d] = square * v->f1[1][d];
        b->theta[SPEED] += 2 * p->theta[SPEED] * p->g[0][d] * v->f1[1][d];
    }
}

FEM_INLINE void bf(int dim, int kind, const fem_point *p, fem_flux *f)
{
    (void)dim;
    (void)kind;
    f->f0[1] = p->theta[SPEED] * p->u[1];
}

FEM_INLINE void bb(int dim, int kind, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    (void)dim;
    (void)kind;
    b->u[1] = p->theta[SPEED] * v->f0[1];
    b->theta[SPEED] = p->u[1] * v->f0[1];
}

FEM_FORM_AND_BOUNDARY_KERNELS(qf, qb, bf, bb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    (void)theta;
    return true;
}

/* P = M/dt + c^2 dt K for the momentum, the wave operator with the velocity eliminated; M/dt for u_t = v. */
static void riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    (void)dim;
    mass[0] = mass[1] = 1 / dt;
    stiffness[0] = 0;
    stiffness[1] = theta[SPEED] * theta[SPEED] * dt;
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, 2, 1, 1);
}

extern const fem_equation fem_equation_wave;
const fem_equation fem_equation_wave = {
    .name = "wave",
    .about = "wave equation with damping, in displacement and velocity",
    .n_fields = 2,
    .n_parameters = FEM_PARAMETERS,
    .field = {"displacement", "velocity"},
    .field_unit = {"L", "L/time"},
    .parameter =
        {
            [SPEED] = {"speed", "L/time", "c: speed of sound", 1, 1e-8, 1e8, 1, true},
            [DAMPING] = {"damping", "1/time", "gamma: what the velocity loses", 0, 0, 1e8, 0, true},
        },
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .n_natural = 1,
    .natural = {"absorbing"},
    .natural_about = {"lets waves of normal incidence leave: c du/dn = -v"},
    .riesz = riesz,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_RELATIVE("velocity"),
};
#endif
