/* The implicit step over several processes: Newton's method with conjugate gradients, sample by sample in step. */
#include "physics/distribute_impl.h"
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

enum { NEWTON_STEPS = 25, CG_STEPS = 4000 };

typedef struct solver {
    fem_part *part;
    fem_problem *problem;
    const double *u1, *u0, *a;
    const fem_theta *theta;
    int64_t batch, dof, components; /* dof: of one sample */
    double *r, *z, *p, *q, *d;      /* [batch, dof] */
    double *sum, *rz, *first;       /* [batch] */
} solver;

/* sum_b = sum over owned rows of x y, over all processes. */
static fwm_status dots(solver *s, double *sum, const double *x, const double *y)
{
    for (int64_t b = 0; b < s->batch; b++) {
        sum[b] = 0;
        for (int64_t i = 0; i < s->dof; i++)
            if (s->part->owned[i / s->components])
                sum[b] += x[b * s->dof + i] * y[b * s->dof + i];
    }
    return fem_part_sum(sum, (int)s->batch);
}

/* q = J^T x at owned rows: ghosts of x are filled first. */
static fwm_status multiply(solver *s, double *q, double *x)
{
    FWM_TRY(fem_part_exchange(s->part, AD_F64, x, s->batch, s->components));
    return fem_agree(
        fem_residual_vjp(s->problem, AD_F64, &(fem_bars){.u1 = q}, x, s->u1, s->u0, s->a, s->theta, s->batch));
}

/* <y, J x> = <x, J y> for two vectors that differ everywhere, or the method does not apply. */
static fwm_status check_symmetry(solver *s)
{
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t i = 0; i < s->dof; i++) {
            double place = (double)(s->part->node[i / s->components] * s->components + i % s->components);
            s->p[b * s->dof + i] = sin(1 + 1.7 * place);
            s->z[b * s->dof + i] = cos(2 + 2.3 * place);
        }
    FWM_TRY(multiply(s, s->q, s->p));
    FWM_TRY(dots(s, s->sum, s->z, s->q));
    FWM_TRY(dots(s, s->first, s->q, s->q));
    FWM_TRY(multiply(s, s->q, s->z));
    FWM_TRY(dots(s, s->rz, s->p, s->q));
    for (int64_t b = 0; b < s->batch; b++)
        FWM_CHECK(fabs(s->sum[b] - s->rz[b]) <= 1e-9 * sqrt(s->first[b] * (double)(s->part->n_global * s->components)),
                  FWM_UNSUPPORTED, "%s: its Jacobian is not symmetric, and steps over several processes need that",
                  s->problem->equation->name);
    return FWM_OK;
}

static void precondition(solver *s)
{
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t i = 0; i < s->dof; i++)
            s->z[b * s->dof + i] = s->r[b * s->dof + i] / s->part->mesh->lumped[i / s->components];
}

/* d = J^-1 r to 1e-13 of r; r is used up. */
static fwm_status conjugate_gradients(solver *s)
{
    memset(s->d, 0, (size_t)(s->batch * s->dof) * sizeof *s->d);
    precondition(s);
    memcpy(s->p, s->z, (size_t)(s->batch * s->dof) * sizeof *s->p);
    FWM_TRY(dots(s, s->rz, s->r, s->z));
    memcpy(s->first, s->rz, (size_t)s->batch * sizeof *s->first);
    for (int it = 0; it < CG_STEPS; it++) {
        bool all = true;
        for (int64_t b = 0; b < s->batch; b++)
            all = all && s->rz[b] <= 1e-26 * s->first[b];
        if (all)
            return FWM_OK;
        FWM_TRY(multiply(s, s->q, s->p));
        FWM_TRY(dots(s, s->sum, s->p, s->q));
        for (int64_t b = 0; b < s->batch; b++) {
            double alpha = s->rz[b] > 1e-26 * s->first[b] ? s->rz[b] / s->sum[b] : 0;
            for (int64_t i = b * s->dof; i < (b + 1) * s->dof; i++) {
                s->d[i] += alpha * s->p[i];
                s->r[i] -= alpha * s->q[i];
            }
        }
        precondition(s);
        FWM_TRY(dots(s, s->sum, s->r, s->z));
        for (int64_t b = 0; b < s->batch; b++) {
            double beta = s->rz[b] > 0 ? s->sum[b] / s->rz[b] : 0;
            for (int64_t i = b * s->dof; i < (b + 1) * s->dof; i++)
                s->p[i] = s->z[i] + beta * s->p[i];
            s->rz[b] = s->sum[b];
        }
    }
    return fwm_fail(FWM_NUMERIC, "%s: conjugate gradients did not converge in %d steps", s->problem->equation->name,
                    CG_STEPS);
}

static fwm_status newton(solver *s, double *u1)
{
    for (int it = 0; it < NEWTON_STEPS; it++) {
        FWM_TRY(fem_agree(fem_residual(s->problem, AD_F64, s->r, u1, s->u0, s->a, s->theta, s->batch)));
        if (it == 0)
            FWM_TRY(check_symmetry(s));
        FWM_TRY(conjugate_gradients(s));
        FWM_TRY(fem_part_exchange(s->part, AD_F64, s->d, s->batch, s->components));
        double most = 0;
        for (int64_t i = 0; i < s->batch * s->dof; i++) {
            u1[i] -= s->d[i];
            double size = fabs(s->d[i]) / fmax(1, fabs(u1[i]));
            most = size > most || isnan(size) ? size : most;
        }
        int64_t worst = 0;
        for (int64_t b = 0; b < s->batch; b++) {
            s->sum[b] = 0;
            for (int64_t i = b * s->dof; i < (b + 1) * s->dof; i++)
                s->sum[b] = fmax(s->sum[b], fabs(s->d[i]));
            worst = s->sum[b] > s->sum[worst] ? b : worst;
        }
        FEM_MPI(MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD));
        if (most <= 1e-11)
            return FWM_OK;
        FWM_CHECK(it + 1 < NEWTON_STEPS && isfinite(most), FWM_NUMERIC,
                  "%s: sample %lld: Newton's method did not converge over %d processes, the last update is %g",
                  s->problem->equation->name, (long long)worst, s->part->ranks, most);
    }
    return FWM_OK;
}

fwm_status fem_part_step(fem_part *part, fem_problem *problem, double *u1, const double *u0, const double *a,
                         const fem_theta *theta, int64_t batch)
{
    FWM_CHECK(problem->mesh == part->mesh && batch >= 1, FWM_INVALID,
              "step: expected a problem on the part's own mesh and a batch of at least 1");
    FWM_CHECK(problem->spec.substeps <= 1, FWM_UNSUPPORTED, "step: expected a problem without substeps, found %d",
              problem->spec.substeps);
    solver s = {.part = part, .problem = problem, .u1 = u1, .u0 = u0, .a = a, .theta = theta, .batch = batch};
    s.dof = problem->dof;
    s.components = problem->dof / part->mesh->n_nodes;
    size_t n = (size_t)(batch * s.dof);
    double *work = fwm_malloc(5 * n + 3 * (size_t)batch, sizeof *work);
    fwm_status status = fem_agree(work ? FWM_OK : fwm_fail(FWM_MEMORY, "step: out of memory for %zu values", n));
    if (status == FWM_OK) {
        s.r = work;
        s.z = s.r + n;
        s.p = s.z + n;
        s.q = s.p + n;
        s.d = s.q + n;
        s.sum = s.d + n;
        s.rz = s.sum + batch;
        s.first = s.rz + batch;
        memcpy(u1, u0, n * sizeof *u1);
        status = fem_agree(newton(&s, u1));
    }
    fwm_free(work);
    return status;
}
