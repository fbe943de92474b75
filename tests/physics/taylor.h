/* The Taylor test of any problem, in every input: for f(x) = <w, F(x)> and g = (dF/dx)^T w the remainder
 * |f(x+hd) - f(x) - h <g,d>| falls as h^2, or is rounding where F is affine in that input. */
#ifndef FWM_TESTS_PHYSICS_TAYLOR_H
#define FWM_TESTS_PHYSICS_TAYLOR_H

#include "support.h"

enum { TAYLOR_BATCH = 5, TAYLOR_HALVINGS = 10, TAYLOR_DIRECTIONS = 4, TAYLOR_INPUTS = 3 + FEM_MAX_PARAMETERS };
typedef enum taylor_kind { TAYLOR_RESIDUAL, TAYLOR_STEP, TAYLOR_LOSS } taylor_kind;

/* x: u1, u0 [B,dof], a [B,A], theta; the caller's arrays, changed and restored. */
typedef struct taylor {
    fem_problem *problem;
    taylor_kind kind;
    double *x[TAYLOR_INPUTS];
    int64_t count[TAYLOR_INPUTS];
    double first_step; /* relative to an input's size; its halves follow */
} taylor;

static inline int64_t taylor_out(const taylor *t)
{
    return t->kind == TAYLOR_LOSS ? TAYLOR_BATCH : t->count[1];
}

static inline void taylor_forward(const taylor *t, double *y)
{
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < fem_problem_equation(t->problem)->n_parameters; k++) {
        theta.value[k] = t->x[3 + k];
        theta.count[k] = t->count[3 + k];
    }
    if (t->kind == TAYLOR_RESIDUAL)
        MUST(fem_residual(t->problem, AD_F64, y, t->x[0], t->x[1], t->x[2], &theta, TAYLOR_BATCH));
    else if (t->kind == TAYLOR_STEP)
        MUST(fem_step(t->problem, AD_F64, y, t->x[1], t->x[2], &theta, TAYLOR_BATCH));
    else
        MUST(fem_loss(t->problem, AD_F64, y, t->x[0], t->x[1], t->x[2], &theta, TAYLOR_BATCH));
}

static inline void taylor_pull(const taylor *t, double *const *g, const double *w)
{
    fem_theta theta = {{0}, {0}};
    fem_bars bars = {.u1 = g[0], .u0 = g[1], .a = g[2]};
    double *y = malloc((size_t)taylor_out(t) * sizeof *y);
    for (int k = 0; k < fem_problem_equation(t->problem)->n_parameters; k++) {
        theta.value[k] = t->x[3 + k];
        theta.count[k] = t->count[3 + k];
        bars.theta[k] = g[3 + k];
    }
    if (t->kind == TAYLOR_RESIDUAL) {
        MUST(fem_residual_vjp(t->problem, AD_F64, &bars, w, t->x[0], t->x[1], t->x[2], &theta, TAYLOR_BATCH));
    } else if (t->kind == TAYLOR_STEP) {
        taylor_forward(t, y);
        MUST(fem_step_vjp(t->problem, AD_F64, &bars, w, y, t->x[1], t->x[2], &theta, TAYLOR_BATCH));
    } else {
        MUST(fem_loss_vjp(t->problem, AD_F64, &bars, w, t->x[0], t->x[1], t->x[2], &theta, TAYLOR_BATCH));
    }
    free(y);
}

typedef struct taylor_result {
    double order, step, remainder, scale; /* of the finest pair of steps above rounding */
} taylor_result;

static inline taylor_result taylor_along(taylor *t, int input, const double *g, const double *w, int direction)
{
    const int64_t n = t->count[input], out = taylor_out(t);
    double *d = noise(40 + (uint32_t)(input + 100 * direction), n, -1, 1), *keep = malloc((size_t)n * sizeof *keep),
           *y = malloc((size_t)out * sizeof *y), *x = t->x[input];
    memcpy(keep, x, (size_t)n * sizeof *keep);
    taylor_forward(t, y);
    const double size = largest(keep, n), f0 = dot(w, y, out), slope = dot(g, d, n) * size;
    taylor_result r = {.order = 2, .scale = fabs(slope)};
    for (int64_t i = 0; i < out; i++)
        r.scale += fabs(w[i] * y[i]);
    /* Rounding of f: sums of `scale`, and where a step is solved for, its tolerance (1e-11); both with room for a
     * remainder that is not to feel it. */
    const double rounding = (t->kind == TAYLOR_RESIDUAL ? 1e-12 : 1e-9) * r.scale;
    for (int k = 0; k < TAYLOR_HALVINGS; k++) {
        const double h = ldexp(t->first_step, -k);
        for (int64_t i = 0; i < n; i++)
            x[i] = keep[i] + h * size * d[i];
        taylor_forward(t, y);
        const double remainder = fabs(dot(w, y, out) - f0 - h * slope);
        if (!(remainder > rounding))
            break;
        if (k > 0) {
            r.order = log2(r.remainder / remainder);
            r.step = h;
        }
        r.remainder = remainder;
    }
    memcpy(x, keep, (size_t)n * sizeof *keep);
    free(d), free(keep), free(y);
    return r;
}

static inline bool taylor_is_good(taylor_result r)
{
    return isfinite(r.scale) && isfinite(r.remainder) && r.order > 1.9 && r.order < 2.1;
}

/* Along up to TAYLOR_DIRECTIONS random directions: one may be so nearly affine that its cubic part decides until
 * rounding does. A wrong gradient is of order 1 at the finest steps along all of them. */
static inline taylor_result taylor_measure(taylor *t, int input, const double *g, const double *w)
{
    taylor_result r = taylor_along(t, input, g, w, 0);
    for (int k = 1; k < TAYLOR_DIRECTIONS && !taylor_is_good(r); k++)
        r = taylor_along(t, input, g, w, k);
    return r;
}

static inline void taylor_input(taylor *t, int input, const double *g, const double *w)
{
    const taylor_result r = taylor_measure(t, input, g, w);
    cr_expect(taylor_is_good(r), "%s: input %d: order %.4f at step %g (remainder %g of %g)",
              fem_problem_equation(t->problem)->name, input, r.order, r.step, r.remainder, r.scale);
}

/* All inputs; `empty` is a mask of those (1 << input) whose gradient is zero by the problem's nature. */
static inline void taylor_check(taylor *t, unsigned empty)
{
    double *g[TAYLOR_INPUTS] = {NULL}, *w = noise(30, taylor_out(t), 0.2, 1);
    const int inputs = 3 + fem_problem_equation(t->problem)->n_parameters;
    for (int k = t->kind == TAYLOR_STEP ? 1 : 0; k < inputs; k++)
        g[k] = calloc((size_t)t->count[k] + 1, sizeof **g);
    taylor_pull(t, g, w);
    for (int k = 0; k < inputs; k++)
        if (g[k] && t->count[k] > 0) {
            cr_expect((largest(g[k], t->count[k]) > 0) == !(empty >> k & 1), "%s: input %d: gradient %g",
                      fem_problem_equation(t->problem)->name, k, largest(g[k], t->count[k]));
            taylor_input(t, k, g[k], w);
        }
    for (int k = 0; k < inputs; k++)
        free(g[k]);
    free(w);
}

#endif
