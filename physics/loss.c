/* How far a pair of states is from the law: the dual (Riesz) norm of the residual, and two alternatives.
 * Gradients by one transposed sweep with the cotangent 2 dt P^-1 R / (|Omega| s^2). */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <omp.h>
#include <string.h>

static void write_numbers(void *out, ad_dtype dtype, int64_t first, int count, const double *x)
{
    for (int l = 0; l < count; l++) {
        if (dtype == AD_F64)
            ((double *)out)[first + l] = x[l];
        else
            ((float *)out)[first + l] = (float)x[l];
    }
}

static double over_domain(const fem_problem *p)
{
    return 1 / p->mesh->area;
}

/* slot D = the Riesz representative of R, with R in slot R, weighed by component; the loss is factor * R . D. */
static double represent(const fem_block *b)
{
    const fem_problem *p = b->p;
    if (p->spec.norm == FEM_NORM_DUAL) {
        fem_block_solve(b, SLOT_D, SLOT_R, fem_factor_triangles(p->riesz, b->dtype));
        b->lane->weigh(fem_slot(b, SLOT_D), p->weight, p->mesh->n_nodes, p->components);
        return p->spec.dt * over_domain(p);
    }
    const double one[FEM_MAX_LANES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    b->lane->divide(fem_slot(b, SLOT_D), fem_slot(b, SLOT_R), one, p->mesh->lumped, p->mesh->n_nodes, p->components);
    return p->spec.dt * p->spec.dt * over_domain(p);
}

static void pack_states(const fem_block *b, const void *u1, const void *u0, const void *a)
{
    fem_block_load_actions(b, a);
    fem_block_pack_pair(b, u1, u0);
}

static fwm_status residual_loss(fem_problem *p, ad_dtype dtype, void *value, const fem_bars *bars, const void *lbar,
                                const void *u1, const void *u0, const void *a, const fem_theta *theta, int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    if (!bars || !fem_wants_theta(p, bars))
        FWM_TRY(fem_sparse_prepare(p, dtype, theta));
    int64_t blocks = fem_block_count(p, dtype, batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        double sum[FEM_MAX_LANES] = {0};
        pack_states(&b, u1, u0, a);
        const fem_at at = fem_at_pair(p);
        fem_block_residual(&b, SLOT_R, &at);
        double factor = represent(&b);
        if (value) {
            b.lane->dot(sum, fem_slot(&b, SLOT_R), fem_slot(&b, SLOT_D), p->dof);
            for (int l = 0; l < b.count; l++)
                sum[l] *= factor;
            write_numbers(value, dtype, b.first, b.count, sum);
        } else {
            for (int l = 0; l < b.count; l++)
                sum[l] = 2 * factor *
                         (dtype == AD_F64 ? ((const double *)lbar)[b.first + l]
                                          : (double)((const float *)lbar)[b.first + l]);
            b.lane->scale(fem_slot(&b, SLOT_V), fem_slot(&b, SLOT_D), sum, p->dof);
            fem_block_pull(&b, k, bars);
        }
    }
    if (bars)
        fem_reduce_theta_bars(p, dtype, theta, blocks, bars);
    return FWM_OK;
}

/* e = u1 - Step(u0) in slot U1, M e in slot R, weighed by component. */
static void step_error(const fem_block *b, const void *u1)
{
    const fem_problem *p = b->p;
    b->lane->pack(fem_slot(b, SLOT_U1), fem_rows(b, u1, p->dof), p->dof, b->count);
    b->lane->pack(fem_slot(b, SLOT_U0), fem_rows(b, p->work[b->dtype].state, p->dof), p->dof, b->count);
    b->lane->combine(fem_slot(b, SLOT_U1), -1, fem_slot(b, SLOT_U0), 1, p->dof);
    b->lane->mass(fem_slot(b, SLOT_R), fem_slot(b, SLOT_U1), p->mesh->impl->mass, p->components);
    b->lane->weigh(fem_slot(b, SLOT_R), p->weight, p->mesh->n_nodes, p->components);
}

static fwm_status step_loss(fem_problem *p, ad_dtype dtype, void *value, const void *u1, const void *u0, const void *a,
                            const fem_theta *theta, int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    FWM_TRY(fem_step(p, dtype, p->work[dtype].state, u0, a, theta, batch));
    int64_t blocks = fem_block_count(p, dtype, batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        double sum[FEM_MAX_LANES];
        step_error(&b, u1);
        b.lane->dot(sum, fem_slot(&b, SLOT_U1), fem_slot(&b, SLOT_R), p->dof);
        for (int l = 0; l < b.count; l++)
            sum[l] *= over_domain(p);
        write_numbers(value, dtype, b.first, b.count, sum);
    }
    return FWM_OK;
}

static fwm_status step_loss_vjp(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const void *lbar, const void *u1,
                                const void *u0, const void *a, const fem_theta *theta, int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    fem_workspace *w = &p->work[dtype];
    FWM_TRY(fem_step(p, dtype, w->state, u0, a, theta, batch));
    int64_t blocks = fem_block_count(p, dtype, batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        double factor[FEM_MAX_LANES] = {0};
        step_error(&b, u1);
        for (int l = 0; l < b.count; l++)
            factor[l] =
                -2 * over_domain(p) *
                (dtype == AD_F64 ? ((const double *)lbar)[b.first + l] : (double)((const float *)lbar)[b.first + l]);
        b.lane->scale(fem_slot(&b, SLOT_R), fem_slot(&b, SLOT_R), factor, p->dof);
        b.lane->unpack(fem_rows(&b, w->state_bar, p->dof), fem_slot(&b, SLOT_R), p->dof, b.count);
        if (bars->u1) {
            b.lane->combine(fem_slot(&b, SLOT_R), 0, fem_slot(&b, SLOT_R), -1, p->dof);
            b.lane->unpack(fem_rows(&b, bars->u1, p->dof), fem_slot(&b, SLOT_R), p->dof, b.count);
        }
    }
    return fem_step_vjp(p, dtype, bars, w->state_bar, w->state, u0, a, theta, batch);
}

fwm_status fem_loss(fem_problem *p, ad_dtype dtype, void *value, const void *u1, const void *u0, const void *a,
                    const fem_theta *theta, int64_t batch)
{
    if (p->spec.norm == FEM_NORM_STEP)
        return step_loss(p, dtype, value, u1, u0, a, theta, batch);
    return residual_loss(p, dtype, value, NULL, NULL, u1, u0, a, theta, batch);
}

fwm_status fem_loss_vjp(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const void *lbar, const void *u1,
                        const void *u0, const void *a, const fem_theta *theta, int64_t batch)
{
    if (p->spec.norm == FEM_NORM_STEP)
        return step_loss_vjp(p, dtype, bars, lbar, u1, u0, a, theta, batch);
    return residual_loss(p, dtype, NULL, bars, lbar, u1, u0, a, theta, batch);
}

/* ---- parts ---- */

/* One lane's energy of D cell by cell, spread over the wanted parts. */
static void add_parts(const fem_block *b, int lane, double *cells, double *fields, double *regions)
{
    const fem_problem *p = b->p;
    const fem_mesh *mesh = p->mesh;
    const fem_equation *e = p->equation;
    const int nodes = mesh->cell_node_count, c_n = p->components, dofs = nodes * c_n, lanes = b->lane->lanes;
    int field_of[FEM_MAX_COMPONENTS];
    for (int k = 0, at = 0; k < e->n_fields; k++)
        for (int c = 0; c < (e->field_kind[k] & FEM_FIELD_VECTOR ? mesh->dim : 1); c++)
            field_of[at++] = k;
    for (int64_t cell = 0; cell < mesh->n_cells; cell++) {
        double d[FEM_MAX_CELL_NODES * FEM_MAX_COMPONENTS];
        const double *ke = p->ke + cell * dofs * dofs;
        for (int i = 0; i < dofs; i++) {
            const int64_t at = ((int64_t)mesh->cell_nodes[cell * nodes + i / c_n] * c_n + i % c_n) * lanes + lane;
            d[i] = b->dtype == AD_F64 ? ((const double *)fem_slot(b, SLOT_D))[at]
                                      : (double)((const float *)fem_slot(b, SLOT_D))[at];
        }
        for (int i = 0; i < dofs; i++) {
            double row = 0;
            for (int j = i % c_n; j < dofs; j += c_n)
                row += ke[i * dofs + j] * d[j];
            const double part = row * d[i] * p->weight[i % c_n] * p->spec.dt * over_domain(p);
            if (cells)
                cells[cell] += part;
            if (fields)
                fields[field_of[i % c_n]] += part;
            if (regions)
                regions[mesh->cell_region[cell]] += part;
        }
    }
}

fwm_status fem_indicator(fem_problem *p, ad_dtype dtype, double *cells, double *fields, double *regions, const void *u1,
                         const void *u0, const void *a, const fem_theta *theta, int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    const int64_t blocks = fem_block_count(p, dtype, batch),
                  n[3] = {p->mesh->n_cells, p->equation->n_fields, p->mesh->n_regions};
    double *out[3] = {cells, fields, regions};
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; out[k] && i < batch * n[k]; i++)
            out[k][i] = 0;
    fem_riesz_matrices(p);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        pack_states(&b, u1, u0, a);
        const fem_at at = fem_at_pair(p);
        fem_block_residual(&b, SLOT_R, &at);
        fem_block_solve(&b, SLOT_D, SLOT_R, fem_factor_triangles(p->riesz, dtype));
        for (int l = 0; l < b.count; l++)
            add_parts(&b, l, cells ? cells + (b.first + l) * n[0] : NULL, fields ? fields + (b.first + l) * n[1] : NULL,
                      regions ? regions + (b.first + l) * n[2] : NULL);
    }
    return FWM_OK;
}

fwm_status fem_trajectory_residual(fem_problem *p, double *out, const float *states, const float *actions,
                                   const fem_theta *theta, int64_t frames)
{
    FWM_CHECK(frames >= 2, FWM_INVALID, "trajectory: expected at least 2 states, found %lld", (long long)frames);
    size_t state = (size_t)(frames * p->dof), action = (size_t)(frames * p->n_actions);
    double *u = fwm_malloc(state, sizeof *u), *a = fwm_malloc(action, sizeof *a);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, u && a, FWM_MEMORY, "out of memory for a trajectory of %lld states", (long long)frames);
    for (size_t i = 0; i < state; i++)
        u[i] = (double)states[i];
    for (size_t i = 0; i < action; i++)
        a[i] = (double)actions[i];
    status = fem_loss(p, AD_F64, out, u + p->dof, u, a, theta, frames - 1);
done:
    fwm_free(u);
    fwm_free(a);
    return status;
}
