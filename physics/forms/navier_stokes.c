/* Incompressible Navier-Stokes, velocity u and kinematic pressure p:
 *
 *     u_t + (u . grad) u - nu lap u + grad p = sources,     div u = 0.
 *
 * f0 = (u_t + (u.grad)u, div u),  f1 = (nu grad u - p I, 0): nu du/dn = p n is natural ("do nothing"). Natural boundary
 * "outflow" adds -min(u.n, 0) u / 2, with u.n of the state before, which keeps eddies that leave from feeding energy in
 * (Bazilevs et al. 2009).
 *
 * Quadratic elements: Taylor-Hood, the pressure is carried by the vertices. Linear elements: SUPG, PSPG and grad-div
 * (Tezduyar 1992; Franca & Hughes 1988) with coefficients of the state before w, tau = ((2/dt)^2 + (2|w|/size)^2 + (12
 * nu/size^2)^2)^(-1/2),   gamma = (nu^2 + (size |w|/2)^2)^(1/2), f1_u += tau r w^T + gamma div u I,   f1_p += tau r, r
 * = u_t + (u.grad)u + grad p - sources.
 *
 * Transpose: the cotangents are v (u) and q (p), gradients V and Q. Galerkin:
 *     u_d: sum_c v_c du_c/dx_d   grad u: v u^T + nu V + q I   p: -tr V   nu: grad u : V
 * stabilisation, with t = V w + Q and r_bar = tau t: r_bar to r's parts; tau_bar = r . t; w: tau V^T r and through tau,
 * gamma. */
#define FEM_NAME navier_stokes
#define FEM_COMPONENTS(dim) ((dim) + 1)
#define FEM_PARAMETERS 1
#define FEM_AMBIENT 0
#define FEM_LAGGED 1
#define FEM_STRONG 1
#define FEM_ON_VERTICES(dim, c) ((c) == (dim))
#include "physics/form.h"

enum { VISCOSITY };

/* tau and gamma with what their derivatives need. */
typedef struct coefficients {
    vec tau, gamma, tau_w, gamma_w, tau_nu, gamma_nu; /* d tau / dw = tau_w w */
} coefficients;

FEM_INLINE coefficients coefficients_of(int dim, const fem_point *p)
{
    const real nu = p->theta[VISCOSITY], h = p->h, spread = 12 * nu / (h * h), pace = 2 / p->dt;
    vec square = vec_zero();
    for (int d = 0; d < dim; d++)
        square += p->u0[d] * p->u0[d];
    coefficients k;
    k.tau = 1 / vec_sqrt(pace * pace + spread * spread + square * (4 / (h * h)));
    k.gamma = vec_sqrt(nu * nu + square * (h * h / 4));
    const vec cube = k.tau * k.tau * k.tau;
    k.tau_w = cube * (-4 / (h * h));
    k.tau_nu = cube * (-144 * nu / (h * h * h * h));
    k.gamma_w = (h * h / 4) / k.gamma;
    k.gamma_nu = nu / k.gamma;
    return k;
}

/* r, the momentum equation's residual at the point. */
FEM_INLINE void momentum(int dim, const fem_point *p, vec r[FEM_MAX_DIM])
{
    for (int c = 0; c < dim; c++) {
        r[c] = p->ut[c] + p->g[dim][c] - p->source[c];
        for (int d = 0; d < dim; d++)
            r[c] += p->u[d] * p->g[c][d];
    }
}

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    vec divergence = vec_zero();
    for (int c = 0; c < dim; c++) {
        f->f0[c] = p->ut[c];
        for (int d = 0; d < dim; d++) {
            f->f0[c] += p->u[d] * p->g[c][d];
            f->f1[c][d] = p->theta[VISCOSITY] * p->g[c][d];
        }
        f->f1[c][c] -= p->u[dim];
        divergence += p->g[c][c];
    }
    f->f0[dim] = divergence;
    if (p->degree > 1)
        return;
    const coefficients k = coefficients_of(dim, p);
    vec r[FEM_MAX_DIM];
    momentum(dim, p, r);
    for (int c = 0; c < dim; c++) {
        for (int d = 0; d < dim; d++)
            f->f1[c][d] += k.tau * r[c] * p->u0[d];
        f->f1[c][c] += k.gamma * divergence;
        f->f1[dim][c] = k.tau * r[c];
    }
}

FEM_INLINE void stabilisation_transposed(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    const coefficients k = coefficients_of(dim, p);
    vec r[FEM_MAX_DIM], tau_bar = vec_zero(), divergence = vec_zero(), test_divergence = vec_zero();
    momentum(dim, p, r);
    for (int c = 0; c < dim; c++) {
        vec t = v->f1[dim][c];
        for (int d = 0; d < dim; d++) {
            t += v->f1[c][d] * p->u0[d];
            b->u0[d] += k.tau * r[c] * v->f1[c][d];
        }
        const vec r_bar = k.tau * t;
        tau_bar += r[c] * t;
        b->ut[c] += r_bar;
        b->g[dim][c] += r_bar;
        b->source[c] = -r_bar;
        for (int d = 0; d < dim; d++) {
            b->u[d] += r_bar * p->g[c][d];
            b->g[c][d] += r_bar * p->u[d];
        }
        divergence += p->g[c][c];
        test_divergence += v->f1[c][c];
    }
    const vec gamma_bar = divergence * test_divergence;
    for (int c = 0; c < dim; c++) {
        b->g[c][c] += k.gamma * test_divergence;
        b->u0[c] += (tau_bar * k.tau_w + gamma_bar * k.gamma_w) * p->u0[c];
    }
    b->theta[VISCOSITY] += tau_bar * k.tau_nu + gamma_bar * k.gamma_nu;
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    for (int c = 0; c < dim; c++) {
        b->ut[c] = v->f0[c];
        b->u[dim] -= v->f1[c][c];
        for (int d = 0; d < dim; d++) {
            b->u[d] += v->f0[c] * p->g[c][d];
            b->g[c][d] = p->u[d] * v->f0[c] + p->theta[VISCOSITY] * v->f1[c][d];
            b->theta[VISCOSITY] += p->g[c][d] * v->f1[c][d];
        }
        b->g[c][c] += v->f0[dim];
    }
    if (p->degree == 1)
        stabilisation_transposed(dim, p, v, b);
}

/* min(w.n, 0) of the state before. */
FEM_INLINE vec inflow(int dim, const fem_point *p)
{
    vec through = vec_zero();
    for (int d = 0; d < dim; d++)
        through += p->u0[d] * p->normal[d];
    return vec_select(through < 0, through, vec_zero());
}

FEM_INLINE void bf(int dim, int kind, const fem_point *p, fem_flux *f)
{
    (void)kind;
    const vec in = inflow(dim, p);
    for (int c = 0; c < dim; c++)
        f->f0[c] = in * p->u[c] / -2;
}

FEM_INLINE void bb(int dim, int kind, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    (void)kind;
    const vec in = inflow(dim, p);
    vec in_bar = vec_zero();
    for (int c = 0; c < dim; c++) {
        b->u[c] = in * v->f0[c] / -2;
        in_bar += p->u[c] * v->f0[c] / -2;
    }
    in_bar = vec_select(in < 0, in_bar, vec_zero());
    for (int d = 0; d < dim; d++)
        b->u0[d] = in_bar * p->normal[d];
}

FEM_FORM_AND_BOUNDARY_KERNELS(qf, qb, bf, bb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    (void)theta;
    return false;
}

/* P = M/dt + nu K for the velocity, M / (nu + L^2/dt), L = 1, for the pressure (Cahouet & Chabard 1988). */
static void riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    for (int c = 0; c < dim; c++) {
        mass[c] = 1 / dt;
        stiffness[c] = theta[VISCOSITY];
    }
    mass[dim] = 1 / (theta[VISCOSITY] + 1 / dt);
    stiffness[dim] = 0;
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, mesh->dim + 1, 0, mesh->dim);
}

extern const fem_equation fem_equation_navier_stokes;
const fem_equation fem_equation_navier_stokes = {
    .name = "navier_stokes",
    .about = "incompressible Navier-Stokes, velocity and kinematic pressure",
    .n_fields = 2,
    .n_parameters = FEM_PARAMETERS,
    .field = {"velocity", "pressure"},
    .field_unit = {"L/time", "L^2/time^2"},
    .field_kind = {FEM_FIELD_VECTOR, FEM_FIELD_VERTICES | FEM_FIELD_MULTIPLIER},
    .parameter =
        {
            [VISCOSITY] = {"viscosity", "L^2/time", "nu: kinematic viscosity", 0.01, 1e-12, 1e8, 0.01, true},
        },
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .n_natural = 1,
    .natural = {"outflow"},
    .natural_about = {"free outflow that takes no energy from eddies which turn back"},
    .riesz = riesz,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_RELATIVE("velocity"),
};
#endif
