/* Heat conduction with linear loss and radiation to the ambience (edges insulated):
 *
 *     u_t = div(k grad u) - lam (u - ua) - eps ((T0+u)^4 - (T0+ua)^4) + sources
 *
 * f0 = u_t + lam (u-ua) + eps ((T0+u)^4 - (T0+ua)^4),  f1 = k grad u. Transpose: with s = 4 eps (T0+u)^3,
 * sa = 4 eps (T0+ua)^3 and the cotangent v,
 *     u_t: v0   u: (lam + s) v0   grad u: k v1   ua: -(lam + sa) v0
 *     k: grad u . v1   lam: (u-ua) v0   eps: ((T0+u)^4 - (T0+ua)^4) v0   T0: (s - sa) v0. */
#define FEM_NAME heat
#define FEM_COMPONENTS(dim) 1
#define FEM_PARAMETERS 4
#define FEM_AMBIENT 1
#include "physics/form.h"

enum { CONDUCTIVITY, LOSS, RADIATION, TEMPERATURE };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    vec t = p->theta[TEMPERATURE] + p->u[0], ta = p->theta[TEMPERATURE] + p->a[0];
    vec t2 = t * t, ta2 = ta * ta;
    f->f0[0] = p->ut[0] + p->theta[LOSS] * (p->u[0] - p->a[0]) + p->theta[RADIATION] * (t2 * t2 - ta2 * ta2);
    for (int d = 0; d < dim; d++)
        f->f1[0][d] = p->theta[CONDUCTIVITY] * p->g[0][d];
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    vec t = p->theta[TEMPERATURE] + p->u[0], ta = p->theta[TEMPERATURE] + p->a[0];
    vec t2 = t * t, ta2 = ta * ta;
    vec s = 4 * p->theta[RADIATION] * t2 * t, sa = 4 * p->theta[RADIATION] * ta2 * ta;
    b->ut[0] = v->f0[0];
    b->u[0] = (p->theta[LOSS] + s) * v->f0[0];
    b->a[0] = -(p->theta[LOSS] + sa) * v->f0[0];
    for (int d = 0; d < dim; d++) {
        b->g[0][d] = p->theta[CONDUCTIVITY] * v->f1[0][d];
        b->theta[CONDUCTIVITY] += p->g[0][d] * v->f1[0][d];
    }
    b->theta[LOSS] = (p->u[0] - p->a[0]) * v->f0[0];
    b->theta[RADIATION] = (t2 * t2 - ta2 * ta2) * v->f0[0];
    b->theta[TEMPERATURE] = (s - sa) * v->f0[0];
}

FEM_FORM_KERNELS(qf, qb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    return theta[RADIATION] == 0;
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, 1, 0, 1);
}

extern const fem_equation fem_equation_heat;
const fem_equation fem_equation_heat = {
    .name = "heat",
    .about = "heat conduction with linear loss and radiation to the ambience, edges insulated",
    .n_fields = 1,
    .n_parameters = FEM_PARAMETERS,
    .field = {"temperature"},
    .field_unit = {"100 K"},
    .parameter =
        {
            [CONDUCTIVITY] = {"conductivity", "L^2/time", "k: conduction within the plate", 1, 1e-8, 1e8, 1, true},
            [LOSS] = {"loss", "1/time", "lam: linear loss to the ambience", 0, 0, 1e8, 0, false},
            [RADIATION] = {"radiation", "1/(time (100 K)^3)", "eps: radiation to the ambience", 0, 0, 1e8, 0, false},
            [TEMPERATURE] = {"temperature", "100 K", "T0: absolute temperature where u = 0", 3, 0, 1e4, 3, false},
        },
    .n_ambient = FEM_AMBIENT,
    .ambient = {"ambient"},
    .ambient_unit = {"100 K"},
    .source = "heater",
    .is_linear = is_linear,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_RELATIVE("temperature"),
};
#endif
