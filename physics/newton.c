/* Newton's method with line search, and its adjoint, for samples that the shared factor does not contract: a matrix for
 * each sample, one a lane, in float64. Samples are taken in groups of a vector's lanes, a group a thread.
 *
 * Lanes never decide for each other, so a sample's bits do not depend on its group: matrices are made anew on a fixed
 * schedule, every third iteration, and serve as chords between; a lane whose search fails with an old matrix waits for
 * the next. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"
#include "model/base/threads.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

enum { ITERATIONS = 90, REUSE = 3, HALVINGS = 30 };
static const double SUFFICIENT = 1e-4; /* Armijo's fraction of the linear decrease */
/* Where no step lowers the residual, an update below this part of the state is rounding times the matrix' condition. */
static const double ROUNDING = 1e-8;

/* A group: up to a vector's lanes of samples. */
typedef struct group {
    fem_block b; /* in float64 */
    fem_theta theta;
    ad_dtype dtype; /* of the caller's arrays */
    const int64_t *index;
    fem_failure *failure;
    double active[FEM_MAX_LANES], tolerance;
} group;

/* ---- rows of the caller ---- */

static double number_at(ad_dtype dtype, const void *rows, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)rows)[i] : (double)((const float *)rows)[i];
}

/* Lanes beyond the group repeat its last sample. */
static void take_rows(const group *g, double *lanes_out, const void *rows, int64_t n)
{
    const int lanes = g->b.lane->lanes;
    for (int l = 0; l < lanes; l++) {
        const int64_t first = g->index[l < g->b.count ? l : g->b.count - 1] * n;
        for (int64_t i = 0; i < n; i++)
            lanes_out[i * lanes + l] = number_at(g->dtype, rows, first + i);
    }
}

static void give_rows(const group *g, void *rows, const double *in, int64_t n)
{
    const int lanes = g->b.lane->lanes;
    for (int l = 0; rows && l < g->b.count; l++)
        for (int64_t i = 0; i < n; i++) {
            if (g->dtype == AD_F64)
                ((double *)rows)[g->index[l] * n + i] = in[i * lanes + l];
            else
                ((float *)rows)[g->index[l] * n + i] = (float)in[i * lanes + l];
        }
}

/* ---- failures ---- */

/* Where |x| is largest in a lane, or not a number. */
static int64_t worst_dof(const group *g, int slot, int lane)
{
    const double *x = fem_slot(&g->b, slot);
    const int lanes = g->b.lane->lanes;
    int64_t worst = 0;
    double most = -1;
    for (int64_t i = 0; i < g->b.p->dof; i++) {
        const double size = fabs(x[i * lanes + lane]);
        if (!isfinite(size))
            return i;
        if (size > most) {
            most = size;
            worst = i;
        }
    }
    return worst;
}

static void give_up(group *g, int lane, fem_failure why)
{
    if (g->active[lane] == 0)
        return;
    g->active[lane] = 0;
    g->failure[lane] = why;
}

static fwm_status raise(const fem_problem *p, const fem_failure *f, int64_t sample)
{
    const fem_mesh *mesh = p->mesh;
    const int64_t node = f->dof / p->components;
    const double *x = mesh->nodes + node * mesh->dim, time = p->spec.dt * f->substep / p->spec.substeps;
    int64_t at = 0;
    while (at < mesh->n_cells * mesh->cell_node_count && mesh->cell_nodes[at] != node)
        at++;
    char where[192], third[24] = "";
    if (mesh->dim == 3)
        (void)snprintf(third, sizeof third, ", %g", x[2]);
    (void)snprintf(where, sizeof where, "%s: sample %lld, time %g after the state, element %lld near (%g, %g%s)",
                   p->equation->name, (long long)sample, time, (long long)(at / mesh->cell_node_count), x[0], x[1],
                   third);
    if (f->kind == FEM_SINGULAR)
        return fwm_fail(FWM_NUMERIC,
                        "%s: the step's matrix is singular%s; check parameters and conditions, or use more substeps",
                        where, p->equation->matrix == FEM_MATRIX_DEFINITE ? " or not positive definite" : "");
    if (f->kind == FEM_NOT_FINITE)
        return fwm_fail(
            FWM_NUMERIC,
            "%s: the residual is not finite (an inverted element, a state out of range, or an input that is "
            "no number); check the state and the actions, or use more substeps",
            where);
    return fwm_fail(
        FWM_NUMERIC,
        "%s: Newton's method stopped after %d iterations with an update of %g, expected below %g; check the "
        "state and the actions, or use more substeps",
        where, f->iterations, f->size, p->spec.tolerance > 0 ? p->spec.tolerance : 1e-11);
}

/* The first failure in the order of samples. */
static fwm_status report(const fem_problem *p, const fem_workspace *w, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (w->failure[i].kind != FEM_SOLVED)
            return raise(p, &w->failure[i], w->index[i]);
    return FWM_OK;
}

/* ---- solving ---- */

static void factorise_at(group *g, const fem_at *at, int substep)
{
    int32_t unknown[FEM_MAX_LANES];
    fem_block_matrix(&g->b, at, g->b.work->factor);
    fem_lane_factor_compute(g->b.work->factor, unknown);
    for (int l = 0; l < g->b.count; l++)
        if (unknown[l] >= 0)
            give_up(g, l, (fem_failure){.kind = FEM_SINGULAR, .substep = substep, .dof = unknown[l]});
}

static void residual_norms(const group *g, int r, const fem_at *at, double norm[FEM_MAX_LANES])
{
    fem_block_residual(&g->b, r, at);
    g->b.lane->dot(norm, fem_slot(&g->b, r), fem_slot(&g->b, r), g->b.p->dof);
    for (int l = 0; l < g->b.count; l++)
        norm[l] = sqrt(norm[l]);
}

/* y -= s[lane] x. */
static void move(const group *g, int y, int x, const double s[FEM_MAX_LANES])
{
    const int lanes = g->b.lane->lanes;
    double *to = fem_slot(&g->b, y);
    const double *from = fem_slot(&g->b, x);
    for (int64_t i = 0; i < g->b.p->dof; i++)
        for (int l = 0; l < lanes; l++)
            if (s[l] != 0)
                to[i * lanes + l] -= s[l] * from[i * lanes + l];
}

/* Moves the lanes that search along -D by the first of 1, 1/2, 1/4, ... that lowers the residual enough: their norms
 * are then new. Returns through `stuck` which found none. */
static void line_search(group *g, const fem_at *at, const double *search, double *norm, bool *stuck)
{
    const fem_block *b = &g->b;
    const size_t bytes = (size_t)b->p->dof * (size_t)b->lane->lanes * sizeof(double);
    double step[FEM_MAX_LANES] = {0}, next[FEM_MAX_LANES];
    fem_at trial = *at;
    trial.u1 = SLOT_U1_BAR;
    int left = 0;
    for (int l = 0; l < b->count; l++) {
        step[l] = search[l] != 0 ? 1 : 0;
        stuck[l] = search[l] != 0;
        left += search[l] != 0;
    }
    for (int k = 0; k < HALVINGS && left > 0; k++) {
        double take[FEM_MAX_LANES] = {0};
        memcpy(fem_slot(b, SLOT_U1_BAR), fem_slot(b, at->u1), bytes);
        move(g, SLOT_U1_BAR, SLOT_D, step);
        residual_norms(g, SLOT_U0_BAR, &trial, next);
        for (int l = 0; l < b->count; l++) {
            if (!stuck[l])
                continue;
            if (next[l] <= (1 - SUFFICIENT * step[l]) * norm[l]) {
                take[l] = step[l];
                norm[l] = next[l];
                stuck[l] = false;
                step[l] = 0;
                left--;
            } else {
                step[l] /= 2;
            }
        }
        move(g, at->u1, SLOT_D, take);
    }
}

/* Slot at->u1 (a first guess) -> R = 0 in the active lanes. */
static void solve_state(group *g, const fem_at *at, int substep)
{
    const fem_block *b = &g->b;
    double norm[FEM_MAX_LANES], size_d[FEM_MAX_LANES], size_u[FEM_MAX_LANES], none[FEM_MAX_LANES] = {0};
    double solving[FEM_MAX_LANES], search[FEM_MAX_LANES];
    bool stuck[FEM_MAX_LANES] = {false}, fresh[FEM_MAX_LANES] = {false};
    memcpy(solving, g->active, sizeof solving);
    fem_block_constrain(b, at->u1);
    residual_norms(g, SLOT_R, at, norm);
    for (int l = 0; l < b->count; l++)
        if (!isfinite(norm[l]))
            give_up(g, l, (fem_failure){FEM_NOT_FINITE, substep, 0, worst_dof(g, SLOT_R, l), 0});
    for (int it = 0; it < ITERATIONS; it++) {
        bool any = false;
        for (int l = 0; l < b->count; l++) {
            solving[l] = g->active[l] != 0 ? solving[l] : 0;
            any = any || solving[l] != 0;
        }
        if (!any)
            return;
        const bool renew = it % REUSE == 0;
        if (renew)
            factorise_at(g, at, substep);
        fem_block_residual(b, SLOT_R, at);
        fem_lane_factor_solve(b->work->factor, fem_slot(b, SLOT_D), fem_slot(b, SLOT_R), false);
        b->lane->update(fem_slot(b, at->u1), fem_slot(b, SLOT_D), none, size_d, size_u, b->p->dof);
        double last[FEM_MAX_LANES] = {0};
        for (int l = 0; l < b->count; l++) {
            fresh[l] = renew;
            search[l] = g->active[l] != 0 && solving[l] != 0 && (renew || !stuck[l]) ? 1 : 0;
            /* The size of the full step decides, because at the solution rounding hides the residual's decrease. */
            if (search[l] != 0 && size_d[l] <= g->tolerance * fmax(1, size_u[l])) {
                last[l] = 1;
                search[l] = solving[l] = 0;
            }
        }
        move(g, at->u1, SLOT_D, last);
        bool found[FEM_MAX_LANES];
        line_search(g, at, search, norm, found);
        for (int l = 0; l < b->count; l++) {
            stuck[l] = search[l] != 0 ? found[l] : stuck[l];
            if (search[l] == 0 || !found[l] || !fresh[l])
                continue;
            if (size_d[l] <= ROUNDING * fmax(1, size_u[l]))
                solving[l] = 0;
            else
                give_up(g, l, (fem_failure){FEM_NOT_CONVERGED, substep, it + 1, worst_dof(g, SLOT_R, l), size_d[l]});
        }
    }
    for (int l = 0; l < b->count; l++)
        if (solving[l] != 0)
            give_up(g, l, (fem_failure){FEM_NOT_CONVERGED, substep, ITERATIONS, worst_dof(g, SLOT_R, l), size_d[l]});
}

static void run_states(group *g, const void *u0)
{
    const fem_block *b = &g->b;
    const fem_problem *p = b->p;
    const size_t bytes = (size_t)p->dof * (size_t)b->lane->lanes * sizeof(double);
    take_rows(g, fem_slot(b, SLOT_STATES), u0, p->dof);
    for (int k = 1; k <= p->spec.substeps; k++) {
        memcpy(fem_slot(b, SLOT_STATES + k), fem_slot(b, SLOT_STATES + k - 1), bytes);
        const fem_at at = fem_block_substep(b, k);
        solve_state(g, &at, k);
        fem_block_constrain(b, at.u1);
        fem_block_remember(b, k);
    }
}

/* ---- groups ---- */

/* Lists the failed samples, and makes room for as many threads as their groups need. */
static fwm_status list_samples(fem_problem *p, ad_dtype dtype, int64_t batch, int64_t *n, int64_t *groups)
{
    fem_workspace *w = &p->work[dtype];
    const int64_t lanes = p->lane[AD_F64]->lanes;
    *n = 0;
    for (int64_t i = 0; i < batch; i++)
        if (w->failed[i]) {
            w->failure[*n] = (fem_failure){0};
            w->index[(*n)++] = i;
        }
    *groups = (*n + lanes - 1) / lanes;
    if (*n == 0)
        return FWM_OK;
    const int threads = fwm_threads_count();
    FWM_TRY(fem_grow_threads(p, AD_F64, threads));
    for (int t = 0; t < threads; t++) {
        fem_thread_work *work = &p->work[AD_F64].thread[t];
        FWM_TRY(fem_matrix_work_create(p, work));
        if (!work->factor)
            FWM_TRY(fem_lane_factor_create(&work->factor, p->symbolic, p->equation->matrix, p->lane[AD_F64]));
    }
    return FWM_OK;
}

static group group_at(fem_problem *p, ad_dtype dtype, const fem_theta *theta, const void *a, int64_t k, int64_t n)
{
    fem_workspace *w = &p->work[dtype];
    group g = {.b = fem_block_at(p, AD_F64, theta, n, k, omp_get_thread_num()),
               .dtype = dtype,
               .tolerance = p->spec.tolerance > 0 ? p->spec.tolerance : 1e-11};
    g.index = w->index + g.b.first;
    g.failure = w->failure + g.b.first;
    for (int l = 0; l < g.b.count; l++)
        g.active[l] = 1;
    take_rows(&g, g.b.work->a, a, p->n_actions);
    return g;
}

fwm_status fem_newton_step(fem_problem *p, ad_dtype dtype, void *u1, const void *u0, const void *a, int64_t batch)
{
    int64_t n, groups;
    FWM_TRY(list_samples(p, dtype, batch, &n, &groups));
    const fem_theta theta = fem_theta_wide(p);
#pragma omp parallel for schedule(static) if (groups > 1)
    for (int64_t k = 0; k < groups; k++) {
        group g = group_at(p, dtype, &theta, a, k, n);
        run_states(&g, u0);
        give_rows(&g, u1, fem_slot(&g.b, SLOT_STATES + p->spec.substeps), p->dof);
    }
    return report(p, &p->work[dtype], n);
}

static void adjoint_group(group *g, const fem_bars *bars, double *const *theta_bar, const void *u1_bar, const void *u1,
                          const void *u0)
{
    const fem_block *b = &g->b;
    const fem_problem *p = b->p;
    double minus[FEM_MAX_LANES] = {0};
    if (p->spec.substeps > 1) {
        run_states(g, u0);
    } else {
        take_rows(g, fem_slot(b, SLOT_STATES), u0, p->dof);
        take_rows(g, fem_slot(b, SLOT_STATES + 1), u1, p->dof);
    }
    take_rows(g, fem_slot(b, SLOT_G), u1_bar, p->dof);
    fem_block_clear_actions(b);
    if (fem_scheme_remembers(p->spec.scheme))
        fem_block_clear(b, SLOT_Z_BAR);
    for (int k = p->spec.substeps; k > 0; k--) {
        const fem_at at = fem_block_substep(b, k);
        fem_block_forget(b, k);
        fem_block_constrain_vjp(b, SLOT_G);
        factorise_at(g, &at, k);
        fem_lane_factor_solve(b->work->factor, fem_slot(b, SLOT_V), fem_slot(b, SLOT_G), true);
        for (int l = 0; l < b->count; l++)
            minus[l] = g->active[l] != 0 ? -1 : 0; /* lanes beyond the group stay out of theta's sums */
        fem_block_check_adjoint(b, &at);
        b->lane->scale(fem_slot(b, SLOT_V), fem_slot(b, SLOT_V), minus, p->dof);
        fem_block_pull_substep(b, &at, bars->a != NULL, theta_bar);
    }
    give_rows(g, bars->u0, fem_slot(b, SLOT_G), p->dof);
    give_rows(g, bars->a, b->work->a_bar, p->n_actions);
}

fwm_status fem_newton_adjoint(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const fem_theta *theta,
                              const void *u1_bar, const void *u1, const void *u0, const void *a, int64_t batch,
                              int64_t *groups)
{
    int64_t n;
    FWM_TRY(list_samples(p, dtype, batch, &n, groups));
    const fem_theta wide = fem_theta_wide(p);
    const int64_t blocks = fem_block_count(p, dtype, batch);
#pragma omp parallel for schedule(static) if (*groups > 1)
    for (int64_t k = 0; k < *groups; k++) {
        double *theta_bar[FEM_MAX_PARAMETERS];
        group g = group_at(p, dtype, &wide, a, k, n);
        fem_clear_theta_bars(p, dtype, theta, blocks + k, bars, theta_bar);
        adjoint_group(&g, bars, theta_bar, u1_bar, u1, u0);
    }
    return report(p, &p->work[dtype], n);
}
