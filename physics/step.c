/* The differentiable implicit step.
 *
 * The factor of the Jacobian at u = 0 is shared by all samples, and by the adjoint. Where R is affine one solve is the
 * answer; else chord iterations u <- u - J0^-1 R(u) converge at the rate |1 - J0^-1 J(u)|, which is dt times the change
 * of the reaction's slope: 3 to 5 of them reach 1e-11 for radiating plates. A sample that does not contract by a half
 * each time goes to Newton with its own factor. A lane stops moving when it has converged, so its bits do not depend on
 * its neighbours.
 *
 * Adjoint of R(u1,u0,a;theta) = 0: J^T l = u1bar (the same iteration), then bars = -(dR/dx)^T l in one transposed
 * sweep. */
#include "physics/adjoint.h"
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { CHORD_ITERATIONS = 40, CHECK_EVERY = 16 };
static const double CONTRACTION = 0.5;
/* How far a new factor may be from a known answer of size 1: rounding times the condition number of J0, with room. */
static const double CHECK[2] = {[AD_F32] = 2e-2, [AD_F64] = 1e-8};

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

static void pack_rest(const fem_block *b)
{
    const fem_problem *p = b->p;
    const size_t lanes = (size_t)b->lane->lanes;
    for (int64_t i = 0; i < p->dof; i++)
        for (size_t l = 0; l < lanes; l++) {
            if (b->dtype == AD_F64)
                ((double *)fem_slot(b, SLOT_U0))[(size_t)i * lanes + l] = p->rest[i];
            else
                ((float *)fem_slot(b, SLOT_U0))[(size_t)i * lanes + l] = (float)p->rest[i];
        }
}

/* Solves with a known answer, once for every new factor: a broken solver must not stay silent. */
static fwm_status check_factor(fem_problem *p, ad_dtype dtype, const fem_theta *theta, const fem_stage *stage)
{
    fem_block b = fem_block_at(p, dtype, theta, 1, 0, 0);
    size_t lanes = (size_t)b.lane->lanes;
    double one[FEM_MAX_LANES], size_d[FEM_MAX_LANES], size_u[FEM_MAX_LANES];
    fem_block_valid(&b, one);
    memset(b.work->a, 0, (size_t)p->n_actions * lanes * fem_number_size(dtype));
    pack_rest(&b);
    fem_block_clear(&b, SLOT_G);
    for (int64_t i = 0; i < p->dof; i++) { /* a rough field x; then J0^T x by one transposed sweep */
        double x = sin(12.9898 * (double)(i + 1)) + 1;
        for (size_t l = 0; l < lanes; l++) {
            if (dtype == AD_F64)
                ((double *)fem_slot(&b, SLOT_V))[(size_t)i * lanes + l] = x;
            else
                ((float *)fem_slot(&b, SLOT_V))[(size_t)i * lanes + l] = (float)x;
        }
    }
    const fem_at at = {SLOT_U0, SLOT_U0, -1, *stage};
    fem_bar_slots bars = FEM_NO_BARS;
    bars.u1 = SLOT_G;
    fem_block_vjp(&b, SLOT_V, &at, &bars);
    fem_block_mask(&b, SLOT_G);
    fem_block_solve(&b, SLOT_D, SLOT_G, fem_factor_transposed(p->step[stage->kind], dtype));
    b.lane->update(fem_slot(&b, SLOT_V), fem_slot(&b, SLOT_D), one, size_d, size_u, p->dof);
    FWM_CHECK(size_u[0] <= CHECK[dtype] * 2, FWM_NUMERIC,
              "%s: the factor of the step answers a known solve with error %g, expected below %g; the parameters are "
              "too far apart",
              p->equation->name, size_u[0], CHECK[dtype] * 2);
    return FWM_OK;
}

fem_theta fem_theta_wide(const fem_problem *p)
{
    fem_theta wide = {{0}, {0}};
    for (int k = 0; k < p->equation->n_parameters; k++) {
        wide.value[k] = p->step_theta64[k];
        wide.count[k] = p->step_count[k];
    }
    return wide;
}

/* The state of the shared factor: the equation's rest for the first values of theta. */
static void set_rest(fem_problem *p, const fem_theta *wide)
{
    double first[FEM_MAX_PARAMETERS], u[FEM_MAX_COMPONENTS] = {0};
    if (!p->equation->rest)
        return;
    for (int k = 0; k < p->equation->n_parameters; k++)
        first[k] = ((const double *)wide->value[k])[0];
    p->equation->rest(p->mesh->dim, first, u);
    for (int64_t i = 0; i < p->dof; i++)
        p->rest[i] = u[i % p->components];
}

static fwm_status factorise_stages(fem_problem *p, ad_dtype dtype, const fem_theta *theta)
{
    const fem_theta wide = fem_theta_wide(p);
    set_rest(p, &wide);
    for (int kind = 0; kind < FEM_STAGE_KINDS && p->step[kind]; kind++) {
        const fem_stage stage = fem_substep(p, kind == 0 ? 0 : p->spec.substeps - 1);
        fem_jacobian(p, p->ke, p->rest, p->rest, p->rest + p->dof, &wide, &stage);
        FWM_TRY(fem_factor_compute(p->step[kind], p->ke));
        FWM_TRY(check_factor(p, dtype, theta, &stage));
    }
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
    p->step_usable = true;
    const fwm_status status = factorise_stages(p, dtype, theta);
    if (status != FWM_OK && (status != FWM_NUMERIC || fem_theta_linear(p, dtype, theta)))
        return status;
    p->step_usable = status == FWM_OK; /* else every sample goes to Newton's method */
    p->step_ready = true;
    return FWM_OK;
}

/* ---- substeps ---- */

static int memory_slot(const fem_problem *p, int s)
{
    return SLOT_STATES + p->spec.substeps + 1 + s;
}

/* y = factor * x, whatever y held. */
static void set_scaled(const fem_block *b, int y, int x, double factor)
{
    double s[FEM_MAX_LANES];
    for (int l = 0; l < FEM_MAX_LANES; l++)
        s[l] = factor;
    b->lane->scale(fem_slot(b, y), fem_slot(b, x), s, b->p->dof);
}

static void add_scaled(const fem_block *b, int y, int x, double factor)
{
    b->lane->combine(fem_slot(b, y), factor, fem_slot(b, x), 1, b->p->dof);
}

fem_at fem_block_substep(const fem_block *b, int s)
{
    fem_at at = {SLOT_STATES + s, SLOT_STATES + s - 1, -1, fem_substep(b->p, s - 1)};
    if (at.stage.recall != 0) {
        at.w = SLOT_W;
        set_scaled(b, SLOT_W, memory_slot(b->p, s - 1), at.stage.recall);
    }
    return at;
}

void fem_block_remember(const fem_block *b, int s)
{
    const fem_stage stage = fem_substep(b->p, s - 1);
    if (stage.slope == 0)
        return;
    set_scaled(b, memory_slot(b->p, s), SLOT_STATES + s, stage.slope);
    add_scaled(b, memory_slot(b->p, s), SLOT_STATES + s - 1, -stage.slope);
    if (stage.fade != 0)
        add_scaled(b, memory_slot(b->p, s), memory_slot(b->p, s - 1), stage.fade);
}

void fem_block_forget(const fem_block *b, int s)
{
    const fem_stage stage = fem_substep(b->p, s - 1);
    fem_block_clear(b, SLOT_U0_BAR);
    if (stage.slope == 0)
        return;
    add_scaled(b, SLOT_G, SLOT_Z_BAR, stage.slope);
    add_scaled(b, SLOT_U0_BAR, SLOT_Z_BAR, -stage.slope);
    set_scaled(b, SLOT_Z_BAR, SLOT_Z_BAR, stage.fade);
}

void fem_block_pull_substep(const fem_block *b, const fem_at *at, bool a_bar, double *const *theta_bar)
{
    const bool driven = a_bar && b->p->n_driven > 0;
    const fem_bar_slots slots = {.u1 = driven ? SLOT_U1_BAR : -1,
                                 .u0 = SLOT_U0_BAR,
                                 .w = at->w >= 0 ? SLOT_W_BAR : -1,
                                 .a = a_bar,
                                 .theta = theta_bar};
    if (at->w >= 0)
        fem_block_clear(b, SLOT_W_BAR);
    if (driven)
        fem_block_clear(b, SLOT_U1_BAR);
    fem_block_vjp(b, SLOT_V, at, &slots);
    if (driven)
        fem_block_constrain_vjp(b, SLOT_U1_BAR);
    set_scaled(b, SLOT_G, SLOT_U0_BAR, 1);
    if (at->w >= 0)
        add_scaled(b, SLOT_Z_BAR, SLOT_W_BAR, at->stage.recall);
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

/* Slot at->u1 (a first guess) -> R = 0. */
static void solve_state(const fem_block *b, const fem_at *at, bool linear, unsigned char *failed)
{
    double size_d[FEM_MAX_LANES], size_u[FEM_MAX_LANES];
    chord c = chord_start(b, linear, failed);
    const fem_triangles *factor = fem_factor_triangles(b->p->step[at->stage.kind], b->dtype);
    fem_block_constrain(b, at->u1);
    for (int it = 0; it < CHORD_ITERATIONS; it++) {
        fem_block_residual(b, SLOT_R, at);
        fem_block_solve(b, SLOT_D, SLOT_R, factor);
        b->lane->update(fem_slot(b, at->u1), fem_slot(b, SLOT_D), c.active, size_d, size_u, b->p->dof);
        if (!chord_goes_on(&c, b->count, it, size_d, size_u, 1))
            return;
    }
}

/* slot V = J^-T slot G. */
static void solve_adjoint(const fem_block *b, const fem_at *at, bool linear, unsigned char *failed)
{
    double size_d[FEM_MAX_LANES], size_u[FEM_MAX_LANES];
    chord c = chord_start(b, linear, failed);
    const fem_triangles *factor = fem_factor_transposed(b->p->step[at->stage.kind], b->dtype);
    fem_bar_slots bars = FEM_NO_BARS;
    bars.u1 = SLOT_R;
    fem_block_solve(b, SLOT_V, SLOT_G, factor);
    for (int it = 0; it < CHORD_ITERATIONS && !linear; it++) {
        fem_block_clear(b, SLOT_R);
        fem_block_vjp(b, SLOT_V, at, &bars);
        fem_block_mask(b, SLOT_R);
        b->lane->combine(fem_slot(b, SLOT_R), -1, fem_slot(b, SLOT_G), 1, b->p->dof);
        fem_block_solve(b, SLOT_D, SLOT_R, factor);
        b->lane->update(fem_slot(b, SLOT_V), fem_slot(b, SLOT_D), c.active, size_d, size_u, b->p->dof);
        if (!chord_goes_on(&c, b->count, it, size_d, size_u, 0))
            return;
    }
}

/* With l in SLOT_V and g in SLOT_G: |A^T l - g| / |g| by one sweep, the largest of the block kept. */
void fem_block_check_adjoint(const fem_block *b, const fem_at *at)
{
    double error[FEM_MAX_LANES], size[FEM_MAX_LANES], most = 0;
    fem_bar_slots bars = FEM_NO_BARS;
    bars.u1 = SLOT_R;
    fem_block_clear(b, SLOT_R);
    fem_block_vjp(b, SLOT_V, at, &bars);
    fem_block_mask(b, SLOT_R);
    b->lane->combine(fem_slot(b, SLOT_R), -1, fem_slot(b, SLOT_G), 1, b->p->dof);
    b->lane->dot(error, fem_slot(b, SLOT_R), fem_slot(b, SLOT_R), b->p->dof);
    b->lane->dot(size, fem_slot(b, SLOT_G), fem_slot(b, SLOT_G), b->p->dof);
    for (int l = 0; l < b->count; l++)
        if (size[l] > 0 && sqrt(error[l] / size[l]) > most)
            most = sqrt(error[l] / size[l]);
#pragma omp critical(fem_adjoint_error)
    {
        fem_problem *p = b->p;
        p->adjoint_error[b->dtype] = most > p->adjoint_error[b->dtype] ? most : p->adjoint_error[b->dtype];
    }
}

double fem_problem_adjoint_error(const fem_problem *p, ad_dtype dtype)
{
    return p->adjoint_error[dtype];
}

/* Lanes that failed go on from the state before, so that no number in them overflows. */
static void calm_failed(const fem_block *b, const fem_at *at, const unsigned char *failed)
{
    const int lanes = b->lane->lanes;
    for (int l = 0; l < b->count; l++)
        for (int64_t i = l; failed[l] && i < b->p->dof * lanes; i += lanes) {
            if (b->dtype == AD_F64)
                ((double *)fem_slot(b, at->u1))[i] = ((const double *)fem_slot(b, at->u0))[i];
            else
                ((float *)fem_slot(b, at->u1))[i] = ((const float *)fem_slot(b, at->u0))[i];
        }
}

/* Fills slots STATES .. STATES+substeps, and the memories. */
static void run_states(const fem_block *b, const void *u0, bool linear, unsigned char *failed)
{
    const fem_problem *p = b->p;
    size_t bytes = (size_t)p->dof * (size_t)b->lane->lanes * fem_number_size(b->dtype);
    b->lane->pack(fem_slot(b, SLOT_STATES), fem_rows(b, u0, p->dof), p->dof, b->count);
    for (int s = 1; s <= p->spec.substeps; s++) {
        memcpy(fem_slot(b, SLOT_STATES + s), fem_slot(b, SLOT_STATES + s - 1), bytes);
        const fem_at at = fem_block_substep(b, s);
        solve_state(b, &at, linear, failed);
        fem_block_constrain(b, at.u1);
        calm_failed(b, &at, failed);
        fem_block_remember(b, s);
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
    memset(failed, p->step_usable ? 0 : 1, (size_t)batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < (p->step_usable ? blocks : 0); k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        fem_block_load_actions(&b, a);
        run_states(&b, u0, linear, failed + b.first);
        b.lane->unpack(fem_rows(&b, u1, p->dof), fem_slot(&b, SLOT_STATES + p->spec.substeps), p->dof, b.count);
    }
    return fem_newton_step(p, dtype, u1, u0, a, batch);
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
    fem_clear_theta_bars(b->p, b->dtype, b->theta, block, bars, theta_bar);
    fem_block_clear_actions(b);
    if (fem_scheme_remembers(p->spec.scheme))
        fem_block_clear(b, SLOT_Z_BAR);
    for (int s = p->spec.substeps; s > 0; s--) {
        const fem_at at = fem_block_substep(b, s);
        fem_block_forget(b, s);
        fem_block_constrain_vjp(b, SLOT_G);
        solve_adjoint(b, &at, linear, failed);
        if (block == 0 && p->adjoint_calls[b->dtype] % CHECK_EVERY == 0 &&
            memcmp(before, failed, (size_t)b->count) == 0)
            fem_block_check_adjoint(b, &at);
        for (int l = 0; l < b->count; l++)
            minus[l] = failed[l] ? 0 : -1;
        b->lane->scale(fem_slot(b, SLOT_V), fem_slot(b, SLOT_V), minus, p->dof);
        fem_block_pull_substep(b, &at, bars->a != NULL, theta_bar);
    }
    return memcmp(before, failed, (size_t)b->count) == 0;
}

static void pull_block(const fem_block *b, int64_t block, const fem_bars *bars, const void *u1_bar, const void *u1,
                       const void *u0, bool linear, unsigned char *failed)
{
    const fem_problem *p = b->p;
    if (!p->step_usable) { /* all is Newton's: no part of the sums */
        double *theta_bar[FEM_MAX_PARAMETERS];
        fem_clear_theta_bars(b->p, b->dtype, b->theta, block, bars, theta_bar);
        return;
    }
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
    memset(failed, p->step_usable ? 0 : 1, (size_t)batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        fem_block_load_actions(&b, a);
        pull_block(&b, k, bars, u1_bar, u1, u0, linear, failed + b.first);
    }
    p->adjoint_calls[dtype]++;
    int64_t groups;
    FWM_TRY(fem_newton_adjoint(p, dtype, bars, theta, u1_bar, u1, u0, a, batch, &groups));
    fem_reduce_theta_bars(p, dtype, theta, blocks + groups, bars);
    return FWM_OK;
}

fwm_status fem_adjoint_check(fem_problem *p, double *error, const double *u0, const double *a, const fem_theta *theta)
{
    const double before = p->adjoint_error[AD_F64];
    double *u1 = fwm_malloc(2 * (size_t)p->dof, sizeof *u1);
    FWM_CHECK(u1, FWM_MEMORY, "out of memory to check the adjoint of a step");
    fwm_status status = fem_step(p, AD_F64, u1, u0, a, theta, 1);
    for (int64_t i = 0; i < p->dof; i++)
        u1[p->dof + i] = u1[i] - u0[i] + 1;
    p->adjoint_error[AD_F64] = 0;
    p->adjoint_calls[AD_F64] = 0;
    double *cotangent = u1 + p->dof;
    const fem_bars bars = {.u0 = cotangent};
    if (status == FWM_OK)
        status = fem_step_vjp(p, AD_F64, &bars, cotangent, u1, u0, a, theta, 1);
    *error = p->adjoint_error[AD_F64];
    p->adjoint_error[AD_F64] = before > *error ? before : *error;
    fwm_free(u1);
    return status;
}
