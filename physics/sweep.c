/* One lane block: its slots, the element sweep on them, and the residual of whole batches. */
#include "physics/problem_impl.h"

#include <omp.h>
#include <string.h>

static size_t slot_bytes(const fem_block *b)
{
    return (size_t)b->p->dof * (size_t)b->lane->lanes * fem_number_size(b->dtype);
}

void *fem_slot(const fem_block *b, int slot)
{
    return (char *)b->work->fields + (size_t)slot * slot_bytes(b);
}

void *fem_rows(const fem_block *b, const void *array, int64_t n)
{
    return (char *)(uintptr_t)array + (size_t)(b->first * n) * fem_number_size(b->dtype);
}

void fem_block_clear(const fem_block *b, int slot)
{
    memset(fem_slot(b, slot), 0, slot_bytes(b));
}

void fem_block_load_actions(const fem_block *b, const void *a)
{
    b->lane->pack(b->work->a, fem_rows(b, a, b->p->n_actions), b->p->n_actions, b->count);
}

/* The ambient actions follow the sources' in an array [A][lanes]. */
static void *ambient_of(const fem_block *b, void *actions)
{
    return (char *)actions + (size_t)(b->p->n_sources * b->lane->lanes) * fem_number_size(b->dtype);
}

/* The parameters' arrays of a sweep. */
static void put_theta(fem_sweep *s, const fem_problem *p, const fem_theta *theta)
{
    for (int k = 0; k < p->equation->n_parameters; k++) {
        s->theta[k] = theta->value[k];
        s->theta_stride[k] = theta->count[k] > 1 ? 1 : 0;
        if (theta->count[k] > 1 && theta->count[k] != p->mesh->n_cells)
            s->theta_region[k] = p->mesh->cell_region;
    }
}

fem_sweep fem_block_sweep(const fem_block *b, const fem_at *at)
{
    const fem_problem *p = b->p;
    fem_sweep s = {.tables = &p->mesh->impl->tables[b->dtype],
                   .average = p->average,
                   .dt = at->stage.dt,
                   .alpha = at->stage.alpha,
                   .beta = at->stage.beta,
                   .u1 = fem_slot(b, at->u1),
                   .u0 = fem_slot(b, at->u0),
                   .w = at->w >= 0 ? fem_slot(b, at->w) : NULL,
                   .ambient = ambient_of(b, b->work->a)};
    if (p->form[b->dtype]->strong) {
        s.sources = &p->point_sources[b->dtype];
        s.actions = b->work->a;
    }
    put_theta(&s, p, b->theta);
    return s;
}

/* Calls `kernel` for the faces of each natural condition. */
static void sweep_faces(const fem_problem *p, ad_dtype dtype, fem_sweep *s, void (*kernel)(const fem_sweep *s))
{
    s->faces = &p->mesh->impl->faces[dtype];
    for (int k = 0; k < p->n_natural; k++) {
        s->kind = p->natural[k].kind;
        s->n_listed = p->natural[k].n;
        s->listed = p->natural[k].face;
        kernel(s);
    }
}

void fem_sweep_residual(const fem_problem *p, ad_dtype dtype, fem_sweep *s)
{
    p->form[dtype]->residual[p->mesh->element](s);
    sweep_faces(p, dtype, s, p->form[dtype]->face_residual[p->mesh->element]);
}

void fem_sweep_vjp(const fem_problem *p, ad_dtype dtype, fem_sweep *s)
{
    p->form[dtype]->vjp[p->mesh->element](s);
    sweep_faces(p, dtype, s, p->form[dtype]->face_vjp[p->mesh->element]);
}

void fem_block_constrain(const fem_block *b, int u)
{
    b->lane->constrain(fem_slot(b, u), b->work->a, &b->p->constraints);
}

void fem_block_constrain_vjp(const fem_block *b, int u_bar)
{
    b->lane->constrain_vjp(fem_slot(b, u_bar), b->work->a_bar, &b->p->constraints);
}

void fem_block_mask(const fem_block *b, int r)
{
    b->lane->mask(fem_slot(b, r), &b->p->constraints);
}

fem_at fem_at_pair(const fem_problem *p)
{
    return (fem_at){SLOT_U1, SLOT_U0, -1, fem_scheme_single(p->spec.scheme, p->spec.dt)};
}

void fem_block_residual(const fem_block *b, int r, const fem_at *at)
{
    const fem_problem *p = b->p;
    if (fem_sparse_residual(b, r, at))
        return;
    fem_block_clear(b, r);
    fem_sweep s = fem_block_sweep(b, at);
    s.r = fem_slot(b, r);
    fem_sweep_residual(p, b->dtype, &s);
    b->lane->load(s.r, b->work->a, &p->loads[b->dtype]);
    fem_block_mask(b, r);
}

void fem_block_vjp(const fem_block *b, int v, const fem_at *at, const fem_bar_slots *bars)
{
    const fem_problem *p = b->p;
    if (fem_sparse_vjp(b, v, at, bars))
        return;
    fem_sweep s = fem_block_sweep(b, at);
    fem_block_mask(b, v);
    s.rbar = fem_slot(b, v);
    s.u1_bar = bars->u1 >= 0 ? fem_slot(b, bars->u1) : NULL;
    s.u0_bar = bars->u0 >= 0 ? fem_slot(b, bars->u0) : NULL;
    s.w_bar = bars->w >= 0 ? fem_slot(b, bars->w) : NULL;
    s.ambient_bar = bars->a ? ambient_of(b, b->work->a_bar) : NULL;
    s.actions_bar = bars->a ? b->work->a_bar : NULL;
    for (int k = 0; bars->theta && k < p->equation->n_parameters; k++)
        s.theta_bar[k] = bars->theta[k];
    fem_sweep_vjp(p, b->dtype, &s);
    if (bars->a)
        b->lane->load_vjp(b->work->a_bar, s.rbar, &p->loads[b->dtype]);
}

void fem_block_solve(const fem_block *b, int x, int rhs, const fem_triangles *triangles)
{
    b->lane->solve(fem_slot(b, x), fem_slot(b, rhs), fem_slot(b, SLOT_WORK), triangles);
}

void fem_block_valid(const fem_block *b, double valid[FEM_MAX_LANES])
{
    for (int l = 0; l < FEM_MAX_LANES; l++)
        valid[l] = l < b->count ? 1 : 0;
}

static int64_t theta_total(const fem_problem *p, const fem_theta *theta)
{
    int64_t counts = 0;
    for (int k = 0; k < p->equation->n_parameters; k++)
        counts += theta->count[k];
    return counts;
}

void fem_clear_theta_bars(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t row, const fem_bars *bars,
                          double *theta_bar[FEM_MAX_PARAMETERS])
{
    int64_t total = theta_total(p, theta);
    double *at = p->work[dtype].theta_bar + row * total;
    memset(at, 0, (size_t)total * sizeof(double));
    for (int k = 0; k < p->equation->n_parameters; at += theta->count[k++])
        theta_bar[k] = bars->theta[k] ? at : NULL;
}

void fem_reduce_theta_bars(fem_problem *p, ad_dtype dtype, const fem_theta *theta, int64_t blocks, const fem_bars *bars)
{
    int64_t counts = theta_total(p, theta), n = p->equation->n_parameters, offset = 0;
    for (int k = 0; k < n; offset += theta->count[k++])
        for (int64_t i = 0; bars->theta[k] && i < theta->count[k]; i++) {
            double sum = 0;
            for (int64_t b = 0; b < blocks; b++)
                sum += p->work[dtype].theta_bar[b * counts + offset + i];
            if (dtype == AD_F64)
                ((double *)bars->theta[k])[i] = sum;
            else
                ((float *)bars->theta[k])[i] = (float)sum;
        }
}

void fem_block_clear_actions(const fem_block *b)
{
    memset(b->work->a_bar, 0, (size_t)(b->p->n_actions * b->lane->lanes) * fem_number_size(b->dtype));
}

void fem_block_pull(const fem_block *b, int64_t block, const fem_bars *bars)
{
    const fem_problem *p = b->p;
    double valid[FEM_MAX_LANES], *theta_bar[FEM_MAX_PARAMETERS];
    fem_block_valid(b, valid);
    void *v = fem_slot(b, SLOT_V);
    b->lane->scale(v, v, valid, p->dof);
    fem_clear_theta_bars(b->p, b->dtype, b->theta, block, bars, theta_bar);
    const bool u1 = bars->u1 || (bars->a && p->n_driven > 0);
    if (u1)
        fem_block_clear(b, SLOT_U1_BAR);
    if (bars->u0)
        fem_block_clear(b, SLOT_U0_BAR);
    fem_block_clear_actions(b);
    const fem_at at = fem_at_pair(p);
    const fem_bar_slots slots = {.u1 = u1 ? SLOT_U1_BAR : -1,
                                 .u0 = bars->u0 ? SLOT_U0_BAR : -1,
                                 .w = -1,
                                 .a = bars->a != NULL,
                                 .theta = theta_bar};
    fem_block_vjp(b, SLOT_V, &at, &slots);
    if (u1)
        fem_block_constrain_vjp(b, SLOT_U1_BAR);
    if (bars->u1)
        b->lane->unpack(fem_rows(b, bars->u1, p->dof), fem_slot(b, SLOT_U1_BAR), p->dof, b->count);
    if (bars->u0)
        b->lane->unpack(fem_rows(b, bars->u0, p->dof), fem_slot(b, SLOT_U0_BAR), p->dof, b->count);
    if (bars->a)
        b->lane->unpack(fem_rows(b, bars->a, p->n_actions), b->work->a_bar, p->n_actions, b->count);
}

void fem_block_pack_pair(const fem_block *b, const void *u1, const void *u0)
{
    const int64_t n = b->p->dof;
    b->lane->pack(fem_slot(b, SLOT_U1), fem_rows(b, u1, n), n, b->count);
    b->lane->pack(fem_slot(b, SLOT_U0), fem_rows(b, u0, n), n, b->count);
    fem_block_constrain(b, SLOT_U1);
}

bool fem_wants_theta(const fem_problem *p, const fem_bars *bars)
{
    for (int k = 0; k < p->equation->n_parameters; k++)
        if (bars->theta[k])
            return true;
    return false;
}

fwm_status fem_residual(fem_problem *p, ad_dtype dtype, void *r, const void *u1, const void *u0, const void *a,
                        const fem_theta *theta, int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    FWM_TRY(fem_sparse_prepare(p, dtype, theta));
    int64_t blocks = fem_block_count(p, dtype, batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        fem_block_load_actions(&b, a);
        fem_block_pack_pair(&b, u1, u0);
        const fem_at at = fem_at_pair(p);
        fem_block_residual(&b, SLOT_R, &at);
        b.lane->unpack(fem_rows(&b, r, p->dof), fem_slot(&b, SLOT_R), p->dof, b.count);
    }
    return FWM_OK;
}

fwm_status fem_residual_vjp(fem_problem *p, ad_dtype dtype, const fem_bars *bars, const void *rbar, const void *u1,
                            const void *u0, const void *a, const fem_theta *theta, int64_t batch)
{
    FWM_TRY(fem_call_start(p, dtype, theta, batch));
    if (!fem_wants_theta(p, bars))
        FWM_TRY(fem_sparse_prepare(p, dtype, theta));
    int64_t blocks = fem_block_count(p, dtype, batch);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t k = 0; k < blocks; k++) {
        fem_block b = fem_block_at(p, dtype, theta, batch, k, omp_get_thread_num());
        fem_block_load_actions(&b, a);
        fem_block_pack_pair(&b, u1, u0);
        b.lane->pack(fem_slot(&b, SLOT_V), fem_rows(&b, rbar, p->dof), p->dof, b.count);
        fem_block_pull(&b, k, bars);
    }
    fem_reduce_theta_bars(p, dtype, theta, blocks, bars);
    return FWM_OK;
}
