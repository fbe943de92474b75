/* Elastodynamics of solids, whatever their stress: displacement u and velocity v, 2 dim components a node.
 *
 *     u_t = v
 *     rho (v_t + gamma v) = div P(grad u) + body force,      P n = traction
 *
 * Residual rows: f0 = u_t - v for the displacement, f0 = rho (v_t + gamma v) and f1 = P for the velocity. The midpoint
 * rule is Newmark's method with beta = 1/4, gamma = 1/2.
 *
 * Plane strain in two dimensions. Parameters: Young's modulus E and Poisson's ratio nu, which give Lame's
 *     lambda = E nu / ((1+nu)(1-2nu)),  mu = E / (2(1+nu)).
 *
 * A file that includes this defines `stress` and `stress_transposed` before SOLID_KERNELS:
 *     stress             P(H) at H = grad u
 *     stress_transposed  bars of H, lambda and mu of P : V */
#ifndef FWM_PHYSICS_FORMS_SOLID_H
#define FWM_PHYSICS_FORMS_SOLID_H

#define FEM_COMPONENTS(dim) (2 * (dim))
#define FEM_PARAMETERS 4
#define FEM_AMBIENT 0
#include "physics/form.h"

enum { YOUNG, POISSON, DENSITY, DAMPING };

typedef struct solid_lame {
    real lambda, mu;
    real lambda_e, mu_e, lambda_nu, mu_nu; /* derivatives with respect to E and nu */
} solid_lame;

FEM_INLINE solid_lame solid_lame_of(const fem_point *p)
{
    const real e = p->theta[YOUNG], nu = p->theta[POISSON], a = 1 + nu, b = 1 - 2 * nu;
    solid_lame l;
    l.lambda_e = nu / (a * b);
    l.mu_e = 1 / (2 * a);
    l.lambda = e * l.lambda_e;
    l.mu = e * l.mu_e;
    l.lambda_nu = e * (1 + 2 * nu * nu) / (a * a * b * b);
    l.mu_nu = -e / (2 * a * a);
    return l;
}

typedef void (*solid_stress)(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM],
                             vec stress[FEM_MAX_DIM][FEM_MAX_DIM]);
typedef void (*solid_stress_transposed)(int dim, real lambda, real mu, const vec h[][FEM_MAX_DIM],
                                        const vec v[][FEM_MAX_DIM], vec h_bar[][FEM_MAX_DIM], vec *lambda_bar,
                                        vec *mu_bar);

FEM_INLINE void solid_qf(int dim, const fem_point *p, fem_flux *f, solid_stress stress)
{
    const solid_lame l = solid_lame_of(p);
    vec s[FEM_MAX_DIM][FEM_MAX_DIM];
    stress(dim, l.lambda, l.mu, p->g, s);
    for (int c = 0; c < dim; c++) {
        f->f0[c] = p->ut[c] - p->u[dim + c];
        f->f0[dim + c] = p->theta[DENSITY] * (p->ut[dim + c] + p->theta[DAMPING] * p->u[dim + c]);
        for (int d = 0; d < dim; d++)
            f->f1[dim + c][d] = s[c][d];
    }
}

FEM_INLINE void solid_qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b,
                         solid_stress_transposed transposed)
{
    const solid_lame l = solid_lame_of(p);
    vec lambda = vec_zero(), mu = vec_zero();
    transposed(dim, l.lambda, l.mu, p->g, v->f1 + dim, b->g, &lambda, &mu);
    b->theta[YOUNG] = lambda * l.lambda_e + mu * l.mu_e;
    b->theta[POISSON] = lambda * l.lambda_nu + mu * l.mu_nu;
    for (int c = 0; c < dim; c++) {
        const vec w = v->f0[dim + c];
        b->ut[c] = v->f0[c];
        b->ut[dim + c] = p->theta[DENSITY] * w;
        b->u[dim + c] = p->theta[DENSITY] * p->theta[DAMPING] * w - v->f0[c];
        b->theta[DENSITY] += (p->ut[dim + c] + p->theta[DAMPING] * p->u[dim + c]) * w;
        b->theta[DAMPING] += p->theta[DENSITY] * p->u[dim + c] * w;
    }
}

#define SOLID_KERNELS(stress, transposed)                                                                              \
    FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)                                                       \
    {                                                                                                                  \
        solid_qf(dim, p, f, stress);                                                                                   \
    }                                                                                                                  \
    FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)                              \
    {                                                                                                                  \
        solid_qb(dim, p, v, b, transposed);                                                                            \
    }                                                                                                                  \
    FEM_FORM_KERNELS(qf, qb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

#define SOLID_FIELDS                                                                                                   \
    {                                                                                                                  \
        "displacement", "velocity"                                                                                     \
    }
#define SOLID_UNITS                                                                                                    \
    {                                                                                                                  \
        "L", "L/time"                                                                                                  \
    }
#define SOLID_KINDS                                                                                                    \
    {                                                                                                                  \
        FEM_FIELD_VECTOR, FEM_FIELD_VECTOR                                                                             \
    }
#define SOLID_PARAMETERS                                                                                               \
    {                                                                                                                  \
        [YOUNG] = {"young", "force/L^2", "E: Young's modulus", 1, 1e-12, 1e12, 1, true},                               \
        [POISSON] = {"poisson", "-", "nu: Poisson's ratio", 0.3, -0.9, 0.49, 0.3, true}, [DENSITY] = {"density",       \
                                                                                                      "mass/L^3",      \
                                                                                                      "rho: density",  \
                                                                                                      1,               \
                                                                                                      1e-12,           \
                                                                                                      1e12,            \
                                                                                                      1,               \
                                                                                                      true},           \
        [DAMPING] = {"damping", "1/time", "gamma: what the velocity loses", 0, 0, 1e8, 0, true},                       \
    }

/* P = rho M/dt + (lambda + 2 mu) dt K for the momentum, the elastic operator's bound with the velocity eliminated; M/dt
 * for u_t = v. */
static void solid_riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    const double e = theta[YOUNG], nu = theta[POISSON];
    const double lambda = e * nu / ((1 + nu) * (1 - 2 * nu)), mu = e / (2 * (1 + nu));
    for (int c = 0; c < dim; c++) {
        mass[c] = 1 / dt;
        stiffness[c] = 0;
        mass[dim + c] = theta[DENSITY] / dt;
        stiffness[dim + c] = (lambda + 2 * mu) * dt;
    }
}

static double solid_event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, 2 * mesh->dim, mesh->dim, mesh->dim);
}
#endif

#endif
