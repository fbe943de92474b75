/* Heat conduction that meets its surroundings at named boundaries:
 *
 *     c u_t = div(k grad u) + sources,
 *     convection:  -k du/dn = h (u - ua)
 *     radiation:   -k du/dn = eps ((T0+u)^4 - (T0+ua)^4)
 *
 * f0 = c u_t, f1 = k grad u; on the boundary f0 = h (u - ua), and eps (...). Transpose with the cotangent v: u_t: c v0,
 * grad u: k v1, c: u_t v0, k: grad u . v1; convection: u: h v0, ua: -h v0, h: (u-ua) v0; radiation: with
 * s = 4 eps (T0+u)^3, sa = 4 eps (T0+ua)^3: u: s v0, ua: -sa v0, eps: (...) v0, T0: (s-sa) v0. */
#define FEM_NAME conduction
#define FEM_COMPONENTS(dim) 1
#define FEM_PARAMETERS 5
#define FEM_AMBIENT 1
#include "physics/form.h"

enum { CONDUCTIVITY, CAPACITY, EXCHANGE, EMISSION, TEMPERATURE };
enum { CONVECTION, RADIATION };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    f->f0[0] = p->theta[CAPACITY] * p->ut[0];
    for (int d = 0; d < dim; d++)
        f->f1[0][d] = p->theta[CONDUCTIVITY] * p->g[0][d];
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    b->ut[0] = p->theta[CAPACITY] * v->f0[0];
    b->theta[CAPACITY] = p->ut[0] * v->f0[0];
    for (int d = 0; d < dim; d++) {
        b->g[0][d] = p->theta[CONDUCTIVITY] * v->f1[0][d];
        b->theta[CONDUCTIVITY] += p->g[0][d] * v->f1[0][d];
    }
}

FEM_INLINE void bf(int dim, int kind, const fem_point *p, fem_flux *f)
{
    (void)dim;
    const vec t = p->theta[TEMPERATURE] + p->u[0], ta = p->theta[TEMPERATURE] + p->a[0];
    const vec t2 = t * t, ta2 = ta * ta;
    f->f0[0] =
        kind == CONVECTION ? p->theta[EXCHANGE] * (p->u[0] - p->a[0]) : p->theta[EMISSION] * (t2 * t2 - ta2 * ta2);
}

FEM_INLINE void bb(int dim, int kind, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    (void)dim;
    if (kind == CONVECTION) {
        b->u[0] = p->theta[EXCHANGE] * v->f0[0];
        b->a[0] = -p->theta[EXCHANGE] * v->f0[0];
        b->theta[EXCHANGE] = (p->u[0] - p->a[0]) * v->f0[0];
        return;
    }
    const vec t = p->theta[TEMPERATURE] + p->u[0], ta = p->theta[TEMPERATURE] + p->a[0];
    const vec t2 = t * t, ta2 = ta * ta;
    const vec s = 4 * p->theta[EMISSION] * t2 * t, sa = 4 * p->theta[EMISSION] * ta2 * ta;
    b->u[0] = s * v->f0[0];
    b->a[0] = -sa * v->f0[0];
    b->theta[EMISSION] = (t2 * t2 - ta2 * ta2) * v->f0[0];
    b->theta[TEMPERATURE] = (s - sa) * v->f0[0];
}

FEM_FORM_AND_BOUNDARY_KERNELS(qf, qb, bf, bb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    return theta[EMISSION] == 0;
}

static void riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    (void)dim;
    mass[0] = theta[CAPACITY] / dt;
    stiffness[0] = theta[CONDUCTIVITY];
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, 1, 0, 1);
}

extern const fem_equation fem_equation_conduction;
const fem_equation fem_equation_conduction = {
    .name = "conduction",
    .about = "heat conduction with convection and radiation at named boundaries",
    .n_fields = 1,
    .n_parameters = FEM_PARAMETERS,
    .field = {"temperature"},
    .field_unit = {"100 K"},
    .parameter =
        {
            [CONDUCTIVITY] = {"conductivity", "W/(m K)", "k: conduction", 1, 1e-8, 1e8, 1, true},
            [CAPACITY] = {"capacity", "J/(m^3 K)", "c: heat kept by a volume", 1, 1e-8, 1e12, 1, true},
            [EXCHANGE] = {"exchange", "W/(m^2 K)", "h: convection at the boundary", 0, 0, 1e8, 0, true},
            [EMISSION] = {"emission", "W/(m^2 (100 K)^4)", "eps: radiation from the boundary", 0, 0, 1e8, 0, true},
            [TEMPERATURE] = {"temperature", "100 K", "T0: absolute temperature where u = 0", 3, 0, 1e4, 3, false},
        },
    .n_ambient = FEM_AMBIENT,
    .ambient = {"ambient"},
    .ambient_unit = {"100 K"},
    .is_linear = is_linear,
    .n_natural = 2,
    .natural = {"convection", "radiation"},
    .natural_about = {"exchange in proportion to the difference to the ambient temperature",
                      "exchange by the difference of fourth powers of absolute temperature"},
    .riesz = riesz,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_RELATIVE("temperature"),
};
#endif
