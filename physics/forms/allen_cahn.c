/* The Allen-Cahn equation with control (edges insulated): phase separation between the stable states u = -1 and u = 1,
 *
 *     u_t = D lap u + r (u - u^3) + a + sources,
 *
 * a a uniform field (Allen & Cahn 1979). f0 = u_t - r (u - u^3) - a,  f1 = D grad u. Transpose with the cotangent v:
 *     u_t: v0   u: -r (1 - 3 u^2) v0   grad u: D v1   a: -v0   D: grad u . v1   r: -(u - u^3) v0.
 *
 * A flat interface is tanh(x / w) with w = sqrt(2 D / r); under a field a it travels at about 3 sqrt(D / (2 r)) a. A
 * uniform state tips by itself where |a| > 2 r / sqrt(27). The step's matrix is positive definite at every state, and
 * its solution unique, where r dt < 1; beyond, Newton's method may meet a state where it is not, and says so.
 *
 * Sudden changes: the share of the area whose phase (sign of u) changes, for unit time. Basins: by the comparison
 * principle a state of one sign relaxes to the stable state of that sign. */
#define FEM_NAME allen_cahn
#define FEM_COMPONENTS(dim) 1
#define FEM_PARAMETERS 2
#define FEM_AMBIENT 1
#include "physics/form.h"

enum { DIFFUSIVITY, REACTION };

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    vec u = p->u[0];
    f->f0[0] = p->ut[0] - p->theta[REACTION] * (u - u * u * u) - p->a[0];
    for (int d = 0; d < dim; d++)
        f->f1[0][d] = p->theta[DIFFUSIVITY] * p->g[0][d];
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    vec u = p->u[0], square = u * u;
    b->ut[0] = v->f0[0];
    b->u[0] = -p->theta[REACTION] * (1 - 3 * square) * v->f0[0];
    b->a[0] = -v->f0[0];
    b->theta[REACTION] = -(u - u * square) * v->f0[0];
    for (int d = 0; d < dim; d++) {
        b->g[0][d] = p->theta[DIFFUSIVITY] * v->f1[0][d];
        b->theta[DIFFUSIVITY] += p->g[0][d] * v->f1[0][d];
    }
}

FEM_FORM_KERNELS(qf, qb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    return theta[REACTION] == 0;
}

/* 3 u^2 = 2.17: midway between the slopes at u = 0 and |u| = 1.2, so that the shared factor contracts for all of them.
 */
static void rest(int dim, const double *theta, double *u)
{
    (void)dim;
    (void)theta;
    u[0] = 0.85;
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_crossing(mesh, u1, u0, dt, 1, 0, 0);
}

static int basin(const fem_mesh *mesh, const double *u)
{
    bool above = false, below = false;
    for (int64_t i = 0; i < mesh->n_nodes; i++) {
        above = above || u[i] >= 0;
        below = below || u[i] <= 0;
    }
    return above && below ? FEM_BASIN_OPEN : above ? 1 : 0;
}

extern const fem_equation fem_equation_allen_cahn;
const fem_equation fem_equation_allen_cahn = {
    .name = "allen_cahn",
    .about = "phase separation between two stable states, with control, edges insulated",
    .n_fields = 1,
    .n_parameters = FEM_PARAMETERS,
    .field = {"phase"},
    .field_unit = {"-"},
    .parameter =
        {
            [DIFFUSIVITY] = {"diffusivity", "L^2/time", "D: spreading of the phase", 0.01, 1e-10, 1e8, 0.01, true},
            [REACTION] = {"reaction", "1/time", "r: rate of separation", 1, 0, 1e8, 0, true},
        },
    .n_ambient = FEM_AMBIENT,
    .ambient = {"field"},
    .ambient_unit = {"1/time"},
    .source = "spot",
    .is_linear = is_linear,
    .rest = rest,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_CROSSING("phase (sign) changes"),
    .basin = basin,
};
#endif
