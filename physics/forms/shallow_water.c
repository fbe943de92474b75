/* Shallow water over a flat bed: depth h and discharge m = h v, in conservative form,
 *
 *     h_t + div m = 0
 *     m_t + div(m m^T / h) + g h grad h = nu lap m - gamma m.
 *
 * f0 = (h_t, m_t + g h grad h + gamma m),  f1 = (-m, -m m^T/h + nu grad m): walls, where m.n = 0, are natural. Natural
 * boundary "open" lets water through as it comes: f0 = (m.n, m (m.n)/h).
 *
 * Stabilisation: a viscosity k size s on all components, s = sqrt(|m|^2/h^2 + g h) of the state before (so that it is
 * a coefficient of the step), k a parameter: 0 for smooth flows, 0.1 to 0.5 where there are bores.
 *
 * Transpose: the cotangents are a (h) and b (m), with gradients A and B. With v = m/h:
 *     h: g grad h . b + sum B_cd v_c v_d   grad h: g h b + k size s A   m_d: -A_d - sum_c (B_cd + B_dc) v_c + gamma b_d
 *     grad m: (nu + k size s) B   g: h grad h . b + ...   s: k size (grad h . A + grad m : B), sent on to h, m before
 * and g. */
#define FEM_NAME shallow_water
#define FEM_COMPONENTS(dim) (1 + (dim))
#define FEM_PARAMETERS 4
#define FEM_AMBIENT 0
#define FEM_LAGGED 1
#include "physics/form.h"

enum { GRAVITY, VISCOSITY, FRICTION, STABILISATION };

/* s of the state before, from its square. */
FEM_INLINE vec speed(int dim, const fem_point *p, vec *square)
{
    *square = vec_zero();
    for (int d = 0; d < dim; d++)
        *square += p->u0[1 + d] * p->u0[1 + d];
    return vec_sqrt(*square / (p->u0[0] * p->u0[0]) + p->theta[GRAVITY] * p->u0[0]);
}

FEM_INLINE void qf(int dim, const fem_point *p, fem_flux *f)
{
    vec square;
    const vec extra = p->theta[STABILISATION] * p->h * speed(dim, p, &square), inverse = 1 / p->u[0];
    f->f0[0] = p->ut[0];
    for (int d = 0; d < dim; d++)
        f->f1[0][d] = extra * p->g[0][d] - p->u[1 + d];
    for (int c = 1; c <= dim; c++) {
        f->f0[c] = p->ut[c] + p->theta[FRICTION] * p->u[c] + p->theta[GRAVITY] * p->u[0] * p->g[0][c - 1];
        for (int d = 0; d < dim; d++)
            f->f1[c][d] = (p->theta[VISCOSITY] + extra) * p->g[c][d] - p->u[c] * p->u[1 + d] * inverse;
    }
}

/* What the stabilising viscosity's cotangent gives to the state before, to gravity and to the parameter. */
FEM_INLINE void pull_speed(int dim, const fem_point *p, vec extra_bar, vec s, vec square, fem_point_bars *b)
{
    const vec h0 = p->u0[0], by_s = extra_bar * (p->theta[STABILISATION] * p->h) / s;
    b->theta[STABILISATION] = extra_bar * s * p->h;
    b->theta[GRAVITY] += by_s * h0 / 2;
    b->u0[0] = by_s * (p->theta[GRAVITY] / 2 - square / (h0 * h0 * h0));
    for (int d = 0; d < dim; d++)
        b->u0[1 + d] = by_s * p->u0[1 + d] / (h0 * h0);
}

FEM_INLINE void qb(int dim, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    vec square, extra_bar = vec_zero();
    const vec s = speed(dim, p, &square), extra = p->theta[STABILISATION] * p->h * s, inverse = 1 / p->u[0];
    b->ut[0] = v->f0[0];
    for (int d = 0; d < dim; d++) {
        b->g[0][d] = extra * v->f1[0][d];
        b->u[1 + d] = -v->f1[0][d];
        extra_bar += p->g[0][d] * v->f1[0][d];
    }
    for (int c = 1; c <= dim; c++) {
        const vec test = v->f0[c];
        b->ut[c] = test;
        b->u[c] += p->theta[FRICTION] * test;
        b->theta[FRICTION] += p->u[c] * test;
        b->u[0] += p->theta[GRAVITY] * p->g[0][c - 1] * test;
        b->g[0][c - 1] += p->theta[GRAVITY] * p->u[0] * test;
        b->theta[GRAVITY] += p->u[0] * p->g[0][c - 1] * test;
        for (int d = 0; d < dim; d++) {
            const vec slope = v->f1[c][d], flux = p->u[c] * inverse, other = p->u[1 + d] * inverse;
            b->g[c][d] = (p->theta[VISCOSITY] + extra) * slope;
            b->theta[VISCOSITY] += p->g[c][d] * slope;
            extra_bar += p->g[c][d] * slope;
            b->u[c] -= other * slope;
            b->u[1 + d] -= flux * slope;
            b->u[0] += flux * other * slope;
        }
    }
    pull_speed(dim, p, extra_bar, s, square, b);
}

FEM_INLINE void bf(int dim, int kind, const fem_point *p, fem_flux *f)
{
    (void)kind;
    for (int d = 0; d < dim; d++)
        f->f0[0] += p->u[1 + d] * p->normal[d];
    for (int c = 1; c <= dim; c++)
        f->f0[c] = p->u[c] * f->f0[0] / p->u[0];
}

FEM_INLINE void bb(int dim, int kind, const fem_point *p, const fem_flux *v, fem_point_bars *b)
{
    (void)kind;
    const vec inverse = 1 / p->u[0];
    vec through = vec_zero(), through_bar = v->f0[0];
    for (int d = 0; d < dim; d++)
        through += p->u[1 + d] * p->normal[d];
    for (int c = 1; c <= dim; c++) {
        through_bar += v->f0[c] * p->u[c] * inverse;
        b->u[c] = v->f0[c] * through * inverse;
        b->u[0] -= v->f0[c] * p->u[c] * through * inverse * inverse;
    }
    for (int d = 0; d < dim; d++)
        b->u[1 + d] += through_bar * p->normal[d];
}

FEM_FORM_AND_BOUNDARY_KERNELS(qf, qb, bf, bb)

#ifdef FWM_DEFINITION
#include "physics/events.h"

static bool is_linear(const double *theta)
{
    (void)theta;
    return false;
}

/* P = M/dt + nu K with a viscosity for the depth too; waves have no definite operator. */
static void riesz(int dim, const double *theta, double dt, double *mass, double *stiffness)
{
    for (int c = 0; c <= dim; c++) {
        mass[c] = 1 / dt;
        stiffness[c] = theta[VISCOSITY];
    }
}

/* Water of depth 1 at rest: no depth, no matrix. */
static void rest(int dim, const double *theta, double *u)
{
    (void)dim;
    (void)theta;
    u[0] = 1;
}

static double event_rate(const fem_mesh *mesh, const float *u1, const float *u0, double dt)
{
    return fem_event_relative(mesh, u1, u0, dt, 3, 1, 2);
}

extern const fem_equation fem_equation_shallow_water;
const fem_equation fem_equation_shallow_water = {
    .name = "shallow_water",
    .about = "shallow water over a flat bed, depth and discharge",
    .n_fields = 2,
    .n_parameters = FEM_PARAMETERS,
    .field = {"depth", "discharge"},
    .field_unit = {"L", "L^2/time"},
    .field_kind = {FEM_FIELD_SCALAR, FEM_FIELD_VECTOR},
    .max_dim = 2,
    .parameter =
        {
            [GRAVITY] = {"gravity", "L/time^2", "g: weight of the water", 1, 1e-8, 1e8, 1, false},
            [VISCOSITY] = {"viscosity", "L^2/time", "nu: diffusion of discharge", 0, 0, 1e8, 1e-3, true},
            [FRICTION] = {"friction", "1/time", "gamma: what the discharge loses to the bed", 0, 0, 1e8, 0, true},
            [STABILISATION] = {"stabilisation", "-", "k: viscosity k size speed of all components", 0, 0, 10, 0.5,
                               false},
        },
    .is_linear = is_linear,
    .matrix = FEM_MATRIX_GENERAL,
    .n_natural = 1,
    .natural = {"open"},
    .natural_about = {"lets water through as it comes"},
    .riesz = riesz,
    .rest = rest,
    .event_rate = event_rate,
    .event_about = FEM_ABOUT_RELATIVE("discharge"),
};
#endif
