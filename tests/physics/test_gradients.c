/* Taylor tests: for f(x) = <w, F(x)> and g = (dF/dx)^T w, the remainder |f(x+hd) - f(x) - h <g,d>| falls as h^2 (factor
 * 4 when h halves), or is rounding where F is affine. A wrong gradient leaves a remainder of order h: factor 2. */
#include "support.h"

TestSuite(gradients, .fini = fem_finalize);

enum { BATCH = 11 }; /* a full block of every width and a ragged one */
enum input { U1, U0, ACTIONS, FIRST_PARAMETER, INPUTS = FIRST_PARAMETER + PARAMETERS };
static const char *const input_name[INPUTS] = {"u1", "u0", "a", "conductivity", "loss", "radiation", "temperature"};
typedef enum what { RESIDUAL, STEP, DISTANCE } what;

typedef struct subject {
    plate p;
    what kind;
    double *x[INPUTS], *w;
    int64_t count[INPUTS], out;
} subject;

static fem_theta theta_of(const subject *s)
{
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < PARAMETERS; k++) {
        theta.value[k] = s->x[FIRST_PARAMETER + k];
        theta.count[k] = s->count[FIRST_PARAMETER + k];
    }
    return theta;
}

static void forward(const subject *s, double *y)
{
    fem_theta theta = theta_of(s);
    fem_problem *p = s->p.problem;
    if (s->kind == RESIDUAL)
        MUST(fem_residual(p, AD_F64, y, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
    else if (s->kind == STEP)
        MUST(fem_step(p, AD_F64, y, s->x[U0], s->x[ACTIONS], &theta, BATCH));
    else
        MUST(fem_loss(p, AD_F64, y, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
}

static void pull(const subject *s, double *const *g)
{
    fem_theta theta = theta_of(s);
    fem_bars bars = {.u1 = g[U1], .u0 = g[U0], .a = g[ACTIONS]};
    for (int k = 0; k < PARAMETERS; k++)
        bars.theta[k] = g[FIRST_PARAMETER + k];
    fem_problem *p = s->p.problem;
    double *y = malloc((size_t)s->out * sizeof *y);
    if (s->kind == RESIDUAL) {
        MUST(fem_residual_vjp(p, AD_F64, &bars, s->w, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
    } else if (s->kind == STEP) {
        forward(s, y);
        MUST(fem_step_vjp(p, AD_F64, &bars, s->w, y, s->x[U0], s->x[ACTIONS], &theta, BATCH));
    } else {
        MUST(fem_loss_vjp(p, AD_F64, &bars, s->w, s->x[U1], s->x[U0], s->x[ACTIONS], &theta, BATCH));
    }
    free(y);
}

static subject subject_make(what kind, fem_element element, int substeps, fem_norm norm, double radiation,
                            double temperature)
{
    subject s = {.p = plate_make(element, 4, 3, 2e-3, substeps, norm, radiation, temperature), .kind = kind};
    int64_t field = BATCH * s.p.n;
    const int64_t count[INPUTS] = {field, field, BATCH * s.p.actions, s.p.mesh->n_cells, 1, 1, 1};
    memcpy(s.count, count, sizeof count);
    s.x[U1] = noise(11, field, -0.5, 1.5);
    s.x[U0] = noise(12, field, -0.5, 1.5);
    s.x[ACTIONS] = noise(13, count[ACTIONS], 0, 1);
    s.x[FIRST_PARAMETER] = s.p.k;
    for (int k = 1; k < PARAMETERS; k++)
        s.x[FIRST_PARAMETER + k] = &s.p.scalar[k - 1];
    s.out = kind == DISTANCE ? BATCH : field;
    s.w = noise(14, s.out, 0.2, 1); /* of one sign: second derivatives add up instead of cancelling */
    return s;
}

static void subject_free(subject *s)
{
    free(s->x[U1]);
    free(s->x[U0]);
    free(s->x[ACTIONS]);
    free(s->w);
    plate_free(&s->p);
}

static double value(const subject *s, double *y)
{
    forward(s, y);
    return dot(s->w, y, s->out);
}

/* Steps of 2^-4 .. 2^-7 of the input's own size: remainders then stay 1e4 times above rounding (1e-16 of f's terms). */
static void check_input(subject *s, int input, const double *g, double first_step)
{
    int64_t n = s->count[input];
    double *d = noise(20 + (uint32_t)input, n, -1, 1), *keep = malloc((size_t)n * sizeof *keep),
           *y = malloc((size_t)s->out * sizeof *y);
    memcpy(keep, s->x[input], (size_t)n * sizeof *keep);
    double size = largest(keep, n), f0 = value(s, y), scale = 0, slope = dot(g, d, n) * size, before = 0;
    for (int64_t i = 0; i < s->out; i++)
        scale += fabs(s->w[i] * y[i]);
    for (int k = 0; k < 4; k++) {
        double h = ldexp(first_step, -k);
        for (int64_t i = 0; i < n; i++)
            s->x[input][i] = keep[i] + h * size * d[i];
        double remainder = fabs(value(s, y) - f0 - h * slope);
        /* Rounding of f: the solver's tolerance (1e-11) and sums of `scale`. */
        bool rounding = remainder <= 1e-10 * (scale + fabs(slope));
        if (k > 0 && !rounding)
            cr_expect(log2(before / remainder) > 1.9 && log2(before / remainder) < 2.1,
                      "%s: order %.4f at step %g (remainder %g)", input_name[input], log2(before / remainder), h,
                      remainder);
        before = remainder;
        if (k == 0 && rounding)
            cr_expect(remainder <= 1e-10 * (scale + fabs(slope)));
    }
    memcpy(s->x[input], keep, (size_t)n * sizeof *keep);
    free(d);
    free(keep);
    free(y);
}

static void check_all(subject s, double first_step)
{
    double *g[INPUTS];
    for (int k = 0; k < INPUTS; k++)
        g[k] = calloc((size_t)s.count[k], sizeof **g);
    if (s.kind == STEP) {
        free(g[U1]);
        g[U1] = NULL;
    }
    pull(&s, g);
    for (int k = 0; k < INPUTS; k++)
        if (g[k]) {
            cr_expect(largest(g[k], s.count[k]) > 0, "%s: gradient is zero", input_name[k]);
            check_input(&s, k, g[k], first_step);
        }
    for (int k = 0; k < INPUTS; k++)
        free(g[k]);
    subject_free(&s);
}

Test(gradients, residual_p1)
{
    check_all(subject_make(RESIDUAL, FEM_P1, 1, FEM_NORM_DUAL, 0.1, 3), 0.0625);
}

Test(gradients, residual_q1)
{
    check_all(subject_make(RESIDUAL, FEM_Q1, 1, FEM_NORM_DUAL, 0.1, 3), 0.0625);
}

Test(gradients, residual_p2)
{
    check_all(subject_make(RESIDUAL, FEM_P2, 1, FEM_NORM_DUAL, 0.1, 3), 0.0625);
}

Test(gradients, residual_q2)
{
    check_all(subject_make(RESIDUAL, FEM_Q2, 1, FEM_NORM_DUAL, 0.1, 3), 0.0625);
}

Test(gradients, loss_in_the_dual_norm)
{
    check_all(subject_make(DISTANCE, FEM_P1, 1, FEM_NORM_DUAL, 0.1, 3), 0.03125);
}

Test(gradients, loss_lumped)
{
    check_all(subject_make(DISTANCE, FEM_Q1, 1, FEM_NORM_LUMPED, 0.1, 3), 0.03125);
}

Test(gradients, loss_of_the_step)
{
    check_all(subject_make(DISTANCE, FEM_P1, 2, FEM_NORM_STEP, 0.1, 3), 0.015625);
}

Test(gradients, step_with_radiation)
{
    check_all(subject_make(STEP, FEM_P1, 1, FEM_NORM_DUAL, 0.1, 3), 0.03125);
}

Test(gradients, step_with_substeps)
{
    check_all(subject_make(STEP, FEM_Q1, 3, FEM_NORM_DUAL, 0.1, 3), 0.03125);
}

/* Without radiation the gradient towards radiation and temperature is still asked for; towards temperature it is zero.
 */
Test(gradients, step_of_the_linear_law)
{
    subject s = subject_make(STEP, FEM_P1, 2, FEM_NORM_DUAL, 0, 3);
    double *g[INPUTS] = {NULL};
    for (int k = U0; k < INPUTS; k++)
        g[k] = calloc((size_t)s.count[k], sizeof **g);
    pull(&s, g);
    cr_assert_eq(g[FIRST_PARAMETER + TEMPERATURE][0], 0);
    for (int k = U0; k <= FIRST_PARAMETER + LOSS; k++)
        check_input(&s, k, g[k], 0.03125);
    for (int k = 0; k < INPUTS; k++)
        free(g[k]);
    subject_free(&s);
}

/* T0 = 0 and strong radiation: the factor at u = 0 knows nothing of it, so samples go to Newton with their own factor.
 */
Test(gradients, step_that_needs_newton)
{
    subject s = subject_make(STEP, FEM_P1, 2, FEM_NORM_DUAL, 600, 0.2);
    for (int64_t i = 0; i < s.count[U0]; i++)
        s.x[U0][i] = fabs(s.x[U0][i]) + 0.3;
    check_all(s, 0.0078125);
}
