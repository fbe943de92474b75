/* Heat conduction with linear loss and radiation to the ambience (edges insulated):
 *
 *     u_t = div(k grad u) - lam (u - ua) - eps ((T0+u)^4 - (T0+ua)^4) + sources
 *
 * by implicit Euler: f0 = (u1-u0)/dt + lam (u1-ua) + eps ((T0+u1)^4 - (T0+ua)^4),  f1 = k grad u1.
 * Transpose: with s1 = 4 eps (T0+u1)^3, sa = 4 eps (T0+ua)^3 and the cotangent v,
 *     u1: (1/dt + lam + s1) v0   grad u1: k v1   u0: -v0/dt   ua: -(lam + sa) v0
 *     k: grad u1 . v1   lam: (u1-ua) v0   eps: ((T0+u1)^4 - (T0+ua)^4) v0   T0: (s1 - sa) v0. */
#define FEM_NAME heat
#define FEM_FIELDS 1
#define FEM_PARAMETERS 4
#define FEM_AMBIENT 1
#define FEM_GRADIENT_OF_U0 0
#include "physics/form.h"

enum { CONDUCTIVITY, LOSS, RADIATION, TEMPERATURE };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    vec t = p->theta[TEMPERATURE] + p->u1[0], ta = p->theta[TEMPERATURE] + p->a[0];
    vec t2 = t * t, ta2 = ta * ta;
    f->f0[0] = (p->u1[0] - p->u0[0]) * (1 / p->dt) + p->theta[LOSS] * (p->u1[0] - p->a[0]) +
               p->theta[RADIATION] * (t2 * t2 - ta2 * ta2);
    for (int d = 0; d < dim; d++)
        f->f1[0][d] = p->theta[CONDUCTIVITY] * p->g1[0][d];
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    vec t = p->theta[TEMPERATURE] + p->u1[0], ta = p->theta[TEMPERATURE] + p->a[0];
    vec t2 = t * t, ta2 = ta * ta;
    vec s1 = 4 * p->theta[RADIATION] * t2 * t, sa = 4 * p->theta[RADIATION] * ta2 * ta;
    b->u1[0] = (1 / p->dt + p->theta[LOSS] + s1) * v->f0[0];
    b->u0[0] = v->f0[0] * (-1 / p->dt);
    b->a[0] = -(p->theta[LOSS] + sa) * v->f0[0];
    b->theta[CONDUCTIVITY] = p->g1[0][0] * v->f1[0][0];
    for (int d = 1; d < dim; d++)
        b->theta[CONDUCTIVITY] += p->g1[0][d] * v->f1[0][d];
    b->theta[LOSS] = (p->u1[0] - p->a[0]) * v->f0[0];
    b->theta[RADIATION] = (t2 * t2 - ta2 * ta2) * v->f0[0];
    b->theta[TEMPERATURE] = (s1 - sa) * v->f0[0];
    for (int d = 0; d < dim; d++)
        b->g1[0][d] = p->theta[CONDUCTIVITY] * v->f1[0][d];
}

FEM_FORM_KERNELS(qf, qb)

#ifdef FWM_DEFINITION
static bool is_linear(const double *theta)
{
    return theta[RADIATION] == 0;
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
};
#endif
