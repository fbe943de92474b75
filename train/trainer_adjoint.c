/* The adjoint of the law's implicit step, checked while a run goes on: |A^T l - g| / |g| of one float64 step of the law
 * as fitted so far, from the first state of the validation split. */
#include "physics/adjoint.h"
#include "train/trainer_internal.h"

#include "model/base/arena.h"
#include "model/base/log.h"

#include <math.h>

static fwm_status read_state(const tr_run *run, int64_t trajectory, double *u, double *a)
{
    const ds_info *info = run->world->info;
    const ds_field_info *state = &info->fields[DS_STATE], *actions = &info->fields[DS_ACTIONS];
    const int64_t n = state->points * state->channels;
    float *x = fwm_malloc((size_t)(n + actions->channels), sizeof *x);
    FWM_CHECK(x, FWM_MEMORY, "no memory for a state");
    const ds_clip clip = {.state = x, .actions = x + n};
    const fwm_status status = ds_read(run->world->ds, trajectory, 0, 1, &clip);
    for (int64_t i = 0; i < n && status == FWM_OK; i++)
        u[i] = (double)x[i];
    for (int64_t i = 0; i < actions->channels && status == FWM_OK; i++)
        a[i] = (double)x[n + i];
    fwm_free(x);
    return status;
}

static fwm_status check(const tr_run *run, int64_t trajectory, double *error)
{
    const tr_law *law = run->world->law;
    fem_problem *problem = tr_law_problem(law);
    const fem_equation *e = tr_law_equation(law);
    const int64_t dof = fem_problem_mesh(problem)->n_nodes * fem_problem_components(problem);
    int64_t room = dof + FEM_MAX_ACTIONS, at = room;
    for (int k = 0; k < e->n_parameters; k++)
        room += tr_law_count(law, k);
    double *u = fwm_malloc((size_t)room, sizeof *u);
    FWM_CHECK(u, FWM_MEMORY, "no memory for a state");
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < e->n_parameters; at += theta.count[k++]) {
        tr_law_values(law, run->world->store, AD_F32, run->p, k, u + at);
        theta.value[k] = u + at;
        theta.count[k] = tr_law_count(law, k);
    }
    fwm_status status = read_state(run, trajectory, u, u + dof);
    if (status == FWM_OK)
        status = fem_adjoint_check(problem, error, u, u + dof, &theta);
    fwm_free(u);
    return status;
}

fwm_status tr_run_adjoint_error(const tr_run *run, double *error)
{
    *error = NAN;
    const int64_t count = ds_split_list(run->world->info, DS_VALIDATION, NULL);
    if (!tr_law_problem(run->world->law) || count == 0)
        return FWM_OK;
    int64_t *list = fwm_malloc((size_t)count, sizeof *list);
    FWM_CHECK(list, FWM_MEMORY, "no memory for the validation split");
    (void)ds_split_list(run->world->info, DS_VALIDATION, list);
    fwm_status status = check(run, list[0], error);
    fwm_free(list);
    if (status != FWM_NUMERIC && status != FWM_INVALID) /* a law without a step there has no adjoint either */
        return status;
    fwm_log(FWM_LOG_WARN, "step %lld: adjoint of the law's step: %s", (long long)run->step, fwm_error_message());
    return FWM_OK;
}
