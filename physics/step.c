/* The differentiable implicit step.
 *
 * The factor of the Jacobian at the equation's `around` (u = 0 for most) is shared by all samples, and by the adjoint.
 * Where R is affine one solve is the answer; else chord iterations u <- u - J0^-1 R(u) converge at the rate |1 - J0^-1
 * J(u)|, which is dt times the change of the reaction's slope: 3 to 5 of them reach 1e-11 for radiating plates. A
 * sample that does not contract by a half each time goes to Newton with its own factor. A lane stops moving when it has
 * converged, so its bits do not depend on its neighbours.
 *
 * Adjoint of R(u1,u0,a;theta) = 0: J^T l = u1bar (the same iteration), then bars = -(dR/dx)^T l in one transposed
 * sweep. */
#include "physics/problem_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { CHORD_ITERATIONS = 40 };
static const double CONTRACTION = 0.5;
/* How far a new factor may be from a known answer of size 1: rounding times the condition number of J0, with room. */
static const double CHECK[2] = {[AD_F32] = 2e-2, [AD_F64] = 1e-8};

void fem_jacobian(fem_problem *p, double *ke, const double *u1, const double *u0, const double *ambient,
                  const double *const *theta, const int64_t *count, double dt)
{
    fem_sweep s = {.tables = &p->mesh->impl->tables[AD_F64], .dt = dt, .u1 = u1, .u0 = u0, .ambient = ambient};
    for (int k = 0; k < p->equation->n_parameters; k++) {
        s.theta[k] = theta[k];
        s.theta_stride[k] = count[k] > 1 ? 1 : 0;
    }
    p->form[AD_F64]->jacobian[p->mesh->element](&s, ke);
}

static bool same_theta(const fem_problem *p, ad_dtype dtype, const fem_theta *theta)
{
    if (!p->step_ready || p->step_dtype != dtype)
        return false;
    for (int k = 0; k < p->equation->n_parameters; k++)
        if (p->step_count[k] != theta->count[k] ||
            memcmp(p->step_theta[k], theta->value[k], (size_t)theta->count[k] * fem_number_size(dtype)) != 0)
            return false;
    return true;
}

/* Solves with a known answer, once for every new factor: a broken solver must not stay silent. */
static fwm_status check_factor(fem_problem *p, ad_dtype dtype, const fem_theta *theta)
{
    fem_block b = fem_block_at(p, dtype, theta, 1, 0, 0);
    size_t lanes = (size_t)b.lane->lanes;
    double one[FEM_MAX_LANES], size_d[FEM_MAX_LANES], size_u[FEM_MAX_LANES];
    fem_block_valid(&b, one);
    memset(b.work->a, 0, (size_t)p->n_actions * lanes * fem_number_size(dtype));
    fem_block_clear(&b, SLOT_G);
    for (int64_t i = 0; i < p->dof; i++) { /* a rough field x; then J0 x by one transposed sweep (J0 is symmetric) */
        double x = sin(12.9898 * (double)(i + 1)) + 1;
        for (size_t l = 0; l < lanes; l++) {
            const size_t at = (size_t)i * lanes + l;
            if (dtype == AD_F64) {
                ((double *)fem_slot(&b, SLOT_V))[at] = x;
                ((double *)fem_slot(&b, SLOT_U0))[at] = p->zero[i];
            } else {
                ((float *)fem_slot(&b, SLOT_V))[at] = (float)x;
                ((float *)fem_slot(&b, SLOT_U0))[at] = (float)p->zero[i];
            }
        }
    }
    fem_block_vjp(&b, SLOT_V, SLOT_U0, SLOT_U0, fem_substep(p), SLOT_G, -1, false, NULL);
    fem_block_solve(&b, SLOT_D, SLOT_G, p->step);
    b.lane->update(fem_slot(&b, SLOT_V), fem_slot(&b, SLOT_D), one, size_d, size_u, p->dof);
    FWM_CHECK(size_u[0] <= CHECK[dtype] * 2, FWM_NUMERIC,
              "%s: the factor of the step answers a known solve with error %g, expected below %g; the parameters are "
              "too far apart",
              p->equation->name, size_u[0], CHECK[dtype] * 2);
    return FWM_OK;
}

fwm_status fem_step_factor(fem_problem *p, ad_dtype dtype, const fem_theta *theta)
{
    if (same_theta(p, dtype, theta))
        return FWM_OK;
    p->step_ready = false;
    p->step_dtype = dtype;
    for (int k = 0; k < p->equation->n_parameters; k++) {
        p->step_count[k] = theta->count[k];
        memcpy(p->step_theta[k], theta->value[k], (size_t)theta->count[k] * fem_number_size(dtype));
        for (int64_t i = 0; i < theta->count[k]; i++)
            p->step_theta64[k][i] = fem_theta_at(dtype, theta, k, i);
    }
    fem_jacobian(p, p->ke, p->zero, p->zero, p->zero + p->dof, (const double *const *)p->step_theta64, p->step_count,
                 fem_substep(p));
    FWM_TRY(fem_factor_compute(p->step, p->ke));
    FWM_TRY(check_factor(p, dtype, theta));
    p->step_ready = true;
    return FWM_OK;
}

typedef struct chord {
    double active[FEM_MAX_LANES], before[FEM_MAX_LANES], tolerance;
    unsigned char *failed; /* [count] */
    bool linear;
} chord;

static chord chord_start(const fem_block *b, bool linear, unsigned char *failed)
{
    const fem_problem *p = b->p;
    double preset = b->dtype == AD_F64 ? 1e-11 : 1e-5;
    chord c = {.tolerance = p->spec.tolerance > 0 ? p->spec.tolerance : preset, .failed = failed, .linear = linear};
    for (int l = 0; l < b->count; l++)
        c.active[l] = failed[l] ? 0 : 1;
    return c;
}

/* Decides for each lane after an update of size d; true while any moves. `floor` is the size that d is measured
 * against. */
static bool chord_goes_on(chord *c, int count, int iteration, const double *size_d, const double *size_u, double floor)
{
    bool any = false;
    for (int l = 0; l < count; l++) {
        if (c->active[l] == 0)
            continue;
        double d = size_d[l], against = size_u[l] > floor ? size_u[l] : floor;
        bool converged = c->linear ? isfinite(d) : d <= c->tolerance * against;
        if (converged) {
            c->active[l] = 0;
        } else if (!isfinite(d) || (iteration > 0 && d > CONTRACTION * c->before[l]) ||
                   iteration == CHORD_ITERATIONS - 1) {
            c->active[l] = 0;
            c->failed[l] = 1;
        }
        c->before[l] = d;
        any = any || c->active[l] != 0;
    }
    return any;
}

/* slot u1 (a first guess) -> R(u1,u0) = 0. */
static void solve_state(const fem_block *b, int u1, int u0, bool linear, unsigned char *failed)
{
    double size_d[FEM_MAX_LANES], size_u[FEM_MAX_LANES];
    chord c = chord_start(b, linear, failed);
    for (int it = 0; it < CHORD_ITERATIONS; it++) {
        fem_block_residual(b, SLOT_R, u1, u0, fem_substep(b->p));
        fem_block_solve(b, SLOT_D, SLOT_R, b->p->step);
        b->lane->update(fem_slot(b, u1), fem_slot(b, SLOT_D), c.active, size_d, size_u, b->p->dof);
        if (!chord_goes_on(&c, b->count, it, size_d, size_u, 1))
            return;
    }
}

/* slot V = J^-T slot G at (u1,u0). */
static void solve_adjoint(const fem_block *b, int u1, int u0, bool linear, unsigned char *failed)
{
    double size_d[FEM_MAX_LANES], size_u[FEM_MAX_LANES];
    chord c = chord_start(b, linear, failed);
    fem_block_solve(b, SLOT_V, SLOT_G, b->p->step);
    for (int it = 0; it < CHORD_ITERATIONS && !linear; it++) {
        fem_block_clear(b, SLOT_R);
        fem_block_vjp(b, SLOT_V, u1, u0, fem_substep(b->p), SLOT_R, -1, false, NULL);
        b->lane->combine(fem_slot(b, SLOT_R), -1, fem_slot(b, SLOT_G), 1, b->p->dof);
        fem_block_solve(b, SLOT_D, SLOT_R, b->p->step);
        b->lane->update(fem_slot(b, SLOT_V), fem_slot(b, SLOT_D), c.active, size_d, size_u, b->p->dof);
        if (!chord_goes_on(&c, b->count, it, size_d, size_u, 0))
            return;
    }
}

/* Fills slots STATES .. STATES+substeps. */
static void run_states(const fem_block *b, const void *u0, bool linear, unsigned char *failed)
{
    const fem_problem *p = b->p;
    size_t bytes = (size_t)p->dof * (size_t)b->lane->lanes * fem_number_size(b->dtype);
    b->lane->pack(fem_slot(b, SLOT_STATES), fem_rows(b, u0, p->dof), p->dof, b->count);
    for (int s = 0; s < p->spec.substeps; s++) {
        memcpy(fem_slot(b, SLOT_STATES + s + 1), fem_slot(b, SLOT_STATES + s), bytes);
        solve_state(b, SLOT_STATES + s + 1, SLOT_STATES + s, linear, failed);
    }
}

fwm_status fem_step(fem_problem *p, ad_dtype dtype, void *u1, const void *u0, const void *a, const fem_theta *theta,
                    int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    FWM_TRY(fem_step_factor(p, dtype, theta));
    int64_t blocks = fem_block_count(p, dtype, batch);
    unsigned char *failed = p->work[dtype].failed;
    bool linear = fem_theta_linear(p, dtype, theta);
    memset(failed, 0, (size_t)batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        fem_block_load_actions(&b, a);
        run_states(&b, u0, linear, failed + b.first);
        b.lane->unpack(fem_rows(&b, u1, p->dof), fem_slot(&b, SLOT_STATES + p->spec.substeps), p->dof, b.count);
    }
    for (int64_t i = 0; i < batch; i++)
        if (failed[i])
            FWM_TRY(fem_newton_step(p, dtype, u1, u0, a, i));
    return FWM_OK;
}

/* From the last substep to the first. False where a sample failed anew: its part is in theta's sums, so the caller
 * repeats. */
static bool pull_once(const fem_block *b, int64_t block, const fem_bars *bars, const void *u1_bar, bool linear,
                      unsigned char *failed)
{
    const fem_problem *p = b->p;
    double *theta_bar[FEM_MAX_PARAMETERS], keep[FEM_MAX_LANES] = {0}, minus[FEM_MAX_LANES] = {0};
    unsigned char before[FEM_MAX_LANES];
    memcpy(before, failed, (size_t)b->count);
    for (int l = 0; l < b->count; l++)
        keep[l] = failed[l] ? 0 : 1;
    b->lane->pack(fem_slot(b, SLOT_G), fem_rows(b, u1_bar, p->dof), p->dof, b->count);
    b->lane->scale(fem_slot(b, SLOT_G), fem_slot(b, SLOT_G), keep, p->dof);
    fem_block_theta_bars(b, block, bars, theta_bar);
    fem_block_clear_actions(b);
    for (int s = p->spec.substeps; s > 0; s--) {
        solve_adjoint(b, SLOT_STATES + s, SLOT_STATES + s - 1, linear, failed);
        for (int l = 0; l < b->count; l++)
            minus[l] = failed[l] ? 0 : -1;
        b->lane->scale(fem_slot(b, SLOT_V), fem_slot(b, SLOT_V), minus, p->dof);
        fem_block_clear(b, SLOT_G);
        fem_block_vjp(b, SLOT_V, SLOT_STATES + s, SLOT_STATES + s - 1, fem_substep(p), -1, SLOT_G, bars->a != NULL,
                      theta_bar);
    }
    return memcmp(before, failed, (size_t)b->count) == 0;
}

static void pull_block(const fem_block *b, int64_t block, const fem_bars *bars, const void *u1_bar, const void *u1,
                       const void *u0, bool linear, unsigned char *failed)
{
    const fem_problem *p = b->p;
    if (p->spec.substeps > 1) {
        run_states(b, u0, linear, failed);
    } else {
        b->lane->pack(fem_slot(b, SLOT_STATES), fem_rows(b, u0, p->dof), p->dof, b->count);
        b->lane->pack(fem_slot(b, SLOT_STATES + 1), fem_rows(b, u1, p->dof), p->dof, b->count);
    }
    while (!pull_once(b, block, bars, u1_bar, linear, failed)) {
    }
    if (bars->u0)
        b->lane->unpack(fem_rows(b, bars->u0, p->dof), fem_slot(b, SLOT_G), p->dof, b->count);
    if (bars->a)
        b->lane->unpack(fem_rows(b, bars->a, p->n_actions), b->work->a_bar, p->n_actions, b->count);
}

fwm_status fem_step_vjp(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const void *u1_bar, const void *u1,
                        const void *u0, const void *a, const fem_theta *theta, int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    FWM_TRY(fem_step_factor(p, dtype, theta));
    int64_t blocks = fem_block_count(p, dtype, batch);
    unsigned char *failed = p->work[dtype].failed;
    bool linear = fem_theta_linear(p, dtype, theta);
    memset(failed, 0, (size_t)batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        fem_block_load_actions(&b, a);
        pull_block(&b, k, bars, u1_bar, u1, u0, linear, failed + b.first);
    }
    for (int64_t i = 0; i < batch; i++)
        if (failed[i])
            FWM_TRY(fem_newton_adjoint(p, dtype, bars, theta, u1_bar, u1, u0, a, i));
    fem_reduce_theta_bars(p, dtype, theta, blocks, bars);
    return FWM_OK;
}
