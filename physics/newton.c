/* Newton's method with line search, and its adjoint, for single samples that the shared factor does not contract.
 * Float64 throughout; the sample sits in every lane of one block, and lane 0 is read. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

enum { ITERATIONS = 60, HALVINGS = 30 };
static const double SUFFICIENT = 1e-4; /* Armijo's fraction of the linear decrease */

typedef struct sample {
    fem_block b;
    fem_theta theta;
    double *state[3]; /* u1, u0, w in plain rows, for the Jacobian */
    double *row, *actions, *actions_bar;
    int64_t index;
    double tolerance;
} sample;

static void to_double(double *out, ad_dtype dtype, const void *rows, int64_t n, int64_t index)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = dtype == AD_F64 ? ((const double *)rows)[index * n + i] : (double)((const float *)rows)[index * n + i];
}

static void from_double(void *rows, ad_dtype dtype, const double *in, int64_t n, int64_t index)
{
    for (int64_t i = 0; rows && i < n; i++) {
        if (dtype == AD_F64)
            ((double *)rows)[index * n + i] = in[i];
        else
            ((float *)rows)[index * n + i] = (float)in[i];
    }
}

static fwm_status sample_start(sample *s, fem_problem *p, ad_dtype dtype, const void *a, int64_t index)
{
    FWM_TRY(fem_problem_reserve(p, AD_F64, 1));
    if (!p->newton)
        FWM_TRY(fem_factor_create(&p->newton, p->symbolic));
    if (!p->newton_row)
        p->newton_row = fwm_malloc((size_t)(4 * p->dof + 2 * p->n_actions), sizeof *p->newton_row);
    FWM_CHECK(p->newton_row, FWM_MEMORY, "out of memory for Newton's method");
    double *row = p->newton_row;
    *s = (sample){.state = {row, row + p->dof, row + 2 * p->dof},
                  .row = row + 3 * p->dof,
                  .actions = row + 4 * p->dof,
                  .actions_bar = row + 4 * p->dof + p->n_actions,
                  .index = index,
                  .tolerance = p->spec.tolerance > 0 ? p->spec.tolerance : 1e-11};
    for (int k = 0; k < p->equation->n_parameters; k++) {
        s->theta.value[k] = p->step_theta64[k];
        s->theta.count[k] = p->step_count[k];
    }
    to_double(s->actions, dtype, a, p->n_actions, index);
    s->b = fem_block_at(p, AD_F64, NULL, 1, 0, 0);
    return FWM_OK;
}

static fwm_status factorise_at(const sample *s, const fem_at *at)
{
    fem_problem *p = s->b.p;
    const int slot[3] = {at->u1, at->u0, at->w};
    for (int k = 0; k < 3 && slot[k] >= 0; k++)
        s->b.lane->unpack(s->state[k], fem_slot(&s->b, slot[k]), p->dof, 1);
    fem_jacobian(p, p->ke, s->state[0], s->state[1], at->w >= 0 ? s->state[2] : NULL, s->actions + p->n_sources,
                 &s->theta, &at->stage);
    fwm_status status = fem_factor_compute(p->newton, p->ke);
    if (status != FWM_OK)
        return fwm_fail_within(status, "%s: sample %lld", p->equation->name, (long long)s->index);
    return FWM_OK;
}

static double residual_norm(const sample *s, int r, const fem_at *at)
{
    double sum[FEM_MAX_LANES];
    fem_block_residual(&s->b, r, at);
    s->b.lane->dot(sum, fem_slot(&s->b, r), fem_slot(&s->b, r), s->b.p->dof);
    return sqrt(sum[0]);
}

/* Moves u1 along -D by the first of 1, 1/2, 1/4, ... that lowers the residual enough; returns the new norm, or NaN. */
static double line_search(const sample *s, const fem_at *at, double norm)
{
    const fem_block *b = &s->b;
    fem_at trial = *at;
    trial.u1 = SLOT_U1_BAR;
    size_t bytes = (size_t)b->p->dof * (size_t)b->lane->lanes * sizeof(double);
    double t = 1;
    for (int k = 0; k < HALVINGS; k++, t /= 2) {
        memcpy(fem_slot(b, SLOT_U1_BAR), fem_slot(b, at->u1), bytes);
        b->lane->combine(fem_slot(b, SLOT_U1_BAR), -t, fem_slot(b, SLOT_D), 1, b->p->dof);
        double next = residual_norm(s, SLOT_U0_BAR, &trial);
        if (next <= (1 - SUFFICIENT * t) * norm) {
            memcpy(fem_slot(b, at->u1), fem_slot(b, SLOT_U1_BAR), bytes);
            return next;
        }
    }
    return NAN;
}

static fwm_status solve_state(const sample *s, const fem_at *at)
{
    const fem_problem *p = s->b.p;
    const double move[FEM_MAX_LANES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    double size_d[FEM_MAX_LANES] = {INFINITY}, size_u[FEM_MAX_LANES], norm = residual_norm(s, SLOT_R, at);
    int it = 0;
    for (; it < ITERATIONS && isfinite(norm); it++) {
        FWM_TRY(factorise_at(s, at));
        fem_block_solve(&s->b, SLOT_D, SLOT_R, p->newton);
        /* The size of the full step decides, because at the solution rounding hides the residual's decrease. */
        memcpy(fem_slot(&s->b, SLOT_U1_BAR), fem_slot(&s->b, at->u1),
               (size_t)p->dof * (size_t)s->b.lane->lanes * sizeof(double));
        s->b.lane->update(fem_slot(&s->b, SLOT_U1_BAR), fem_slot(&s->b, SLOT_D), move, size_d, size_u, p->dof);
        if (size_d[0] <= s->tolerance * fmax(1, size_u[0])) {
            s->b.lane->update(fem_slot(&s->b, at->u1), fem_slot(&s->b, SLOT_D), move, size_d, size_u, p->dof);
            return FWM_OK;
        }
        norm = line_search(s, at, norm);
        fem_block_residual(&s->b, SLOT_R, at);
    }
    return fwm_fail(
        FWM_NUMERIC,
        "%s: sample %lld: Newton's method stopped after %d iterations with an update of %g, expected below %g; "
        "check the state and the actions, or use more substeps",
        p->equation->name, (long long)s->index, it, size_d[0], s->tolerance);
}

static fwm_status run_states(sample *s, ad_dtype dtype, const void *u0)
{
    const fem_problem *p = s->b.p;
    size_t bytes = (size_t)p->dof * (size_t)s->b.lane->lanes * sizeof(double);
    to_double(s->row, dtype, u0, p->dof, s->index);
    s->b.lane->pack(fem_slot(&s->b, SLOT_STATES), s->row, p->dof, 1);
    s->b.lane->pack(s->b.work->a, s->actions, p->n_actions, 1);
    for (int k = 1; k <= p->spec.substeps; k++) {
        memcpy(fem_slot(&s->b, SLOT_STATES + k), fem_slot(&s->b, SLOT_STATES + k - 1), bytes);
        const fem_at at = fem_block_substep(&s->b, k);
        FWM_TRY(solve_state(s, &at));
        fem_block_remember(&s->b, k);
    }
    return FWM_OK;
}

fwm_status fem_newton_step(fem_problem *p, ad_dtype dtype, void *u1, const void *u0, const void *a, int64_t index)
{
    sample s;
    FWM_TRY(sample_start(&s, p, dtype, a, index));
    s.b.theta = &s.theta;
    FWM_TRY(run_states(&s, dtype, u0));
    s.b.lane->unpack(s.row, fem_slot(&s.b, SLOT_STATES + p->spec.substeps), p->dof, 1);
    from_double(u1, dtype, s.row, p->dof, index);
    return FWM_OK;
}

fwm_status fem_newton_adjoint(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const fem_theta *theta,
                              const void *u1_bar, const void *u1, const void *u0, const void *a, int64_t index)
{
    sample s;
    double *theta_bar[FEM_MAX_PARAMETERS], minus[FEM_MAX_LANES] = {-1}; /* one lane only, for theta's sums */
    FWM_TRY(sample_start(&s, p, dtype, a, index));
    s.b.theta = &s.theta;
    if (p->spec.substeps > 1) {
        FWM_TRY(run_states(&s, dtype, u0));
    } else {
        to_double(s.row, dtype, u0, p->dof, index);
        s.b.lane->pack(fem_slot(&s.b, SLOT_STATES), s.row, p->dof, 1);
        to_double(s.row, dtype, u1, p->dof, index);
        s.b.lane->pack(fem_slot(&s.b, SLOT_STATES + 1), s.row, p->dof, 1);
        s.b.lane->pack(s.b.work->a, s.actions, p->n_actions, 1);
    }
    to_double(s.row, dtype, u1_bar, p->dof, index);
    s.b.lane->pack(fem_slot(&s.b, SLOT_G), s.row, p->dof, 1);
    fem_theta_bars_at(p, dtype, theta, 0, bars, theta_bar);
    fem_block_clear_actions(&s.b);
    if (fem_scheme_remembers(p->spec.scheme))
        fem_block_clear(&s.b, SLOT_Z_BAR);
    for (int k = p->spec.substeps; k > 0; k--) {
        const fem_at at = fem_block_substep(&s.b, k);
        fem_block_forget(&s.b, k);
        FWM_TRY(factorise_at(&s, &at));
        fem_block_solve(&s.b, SLOT_V, SLOT_G, p->newton);
        s.b.lane->scale(fem_slot(&s.b, SLOT_V), fem_slot(&s.b, SLOT_V), minus, p->dof);
        fem_block_pull_substep(&s.b, &at, bars->a != NULL, theta_bar);
    }
    s.b.lane->unpack(s.row, fem_slot(&s.b, SLOT_G), p->dof, 1);
    from_double(bars->u0, dtype, s.row, p->dof, index);
    s.b.lane->unpack(s.actions_bar, s.b.work->a_bar, p->n_actions, 1);
    from_double(bars->a, dtype, s.actions_bar, p->n_actions, index);
    return FWM_OK;
}
