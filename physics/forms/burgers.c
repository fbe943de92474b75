/* Burgers' equation for a velocity of dim components:
 *
 *     u_t + (u . grad) u = nu lap u + sources
 *
 * f0_c = u_t,c + sum_d u_d du_c/dx_d,  f1_c = nu grad u_c. No stabilisation: the mesh has to resolve nu / |u|.
 * Transpose, with cotangents v: u_d: sum_c v_c du_c/dx_d   du_c/dx_d: u_d v_c + nu dv_c/dx_d   nu: grad u : grad v. */
#define FEM_NAME burgers
#define FEM_COMPONENTS(dim) (dim)
#define FEM_PARAMETERS 1
#define FEM_AMBIENT 0
#include "physics/form.h"

enum { VISCOSITY };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    for (int c = 0; c < dim; c++) {
        f->f0[c] = p->ut[c];
        for (int d = 0; d < dim; d++) {
            f->f0[c] += p->u[d] * p->g[c][d];
            f->f1[c][d] = p->theta[VISCOSITY] * p->g[c][d];
        }
    }
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    for (int c = 0; c < dim; c++) {
        b->ut[c] = v->f0[c];
        for (int d = 0; d < dim; d++) {
            b->u[d] += v->f0[c] * p->g[c][d];
            b->g[c][d] = p->u[d] * v->f0[c] + p->theta[VISCOSITY] * v->f1[c][d];
            b->theta[VISCOSITY] += p->g[c][d] * v->f1[c][d];
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

/* P = M/dt + nu K. */
static void riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    for (int c = 0; c < dim; c++) {
        mass[c] = 1 / dt;
        stiffness[c] = theta[VISCOSITY];
    }
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, mesh->dim, 0, mesh->dim);
}

extern const fem_equation fem_equation_burgers;
const fem_equation fem_equation_burgers = {
    .name = "burgers",
    .about = "Burgers' equation: a velocity that carries itself, with viscosity",
    .n_fields = 1,
    .n_parameters = FEM_PARAMETERS,
    .field = {"velocity"},
    .field_unit = {"L/time"},
    .field_kind = {FEM_FIELD_VECTOR},
    .parameter =
        {
            [VISCOSITY] = {"viscosity", "L^2/time", "nu: diffusion of velocity", 0.01, 1e-12, 1e8, 0.01, true},
        },
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .riesz = riesz,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_RELATIVE("velocity"),
};
#endif
