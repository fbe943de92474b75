#include "train/true_law.h"

#include "model/base/arena.h"
#include "train/world.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void tr_true_law_destroy(tr_true_law *t)
{
    fem_problem_destroy(&t->problem);
    for (int k = 0; k < FEM_MAX_PARAMETERS; k++) {
        fwm_free(t->value[k]);
        t->value[k] = NULL;
    }
}

static bool has_truth(const ds_info *info, const char *name)
{
    for (int64_t i = 0; i < info->truths; i++)
        if (strcmp(info->truth_names[i], name) == 0)
            return true;
    return false;
}

/* /truth/NAME, or where each trajectory has its own, /truth/NAME.each. */
static fwm_status read_parameter(tr_true_law *t, ds_dataset *ds, const fem_equation *eq, int k, int64_t cells)
{
    const double *values;
    char name[80];
    int64_t total;
    (void)snprintf(name, sizeof name, "%.60s.each", eq->parameter[k].name);
    t->each[k] = has_truth(ds_get_info(ds), name);
    if (!t->each[k])
        (void)snprintf(name, sizeof name, "%.60s", eq->parameter[k].name);
    FWM_TRY(ds_truth(ds, name, &total, &values));
    const int64_t of = t->each[k] ? ds_get_info(ds)->trajectories : 1;
    FWM_CHECK(of > 0 && (total == of || total == of * cells), FWM_DATA,
              "%s: /truth/%s: expected %lld or %lld values, found %lld", ds_path(ds), name, (long long)of,
              (long long)(of * cells), (long long)total);
    t->count[k] = total / of;
    t->value[k] = fwm_malloc((size_t)total, sizeof(double));
    FWM_CHECK(t->value[k], FWM_MEMORY, "%s: no memory for its true parameters", ds_path(ds));
    memcpy(t->value[k], values, (size_t)total * sizeof(double));
    return FWM_OK;
}

fem_theta tr_true_theta(const tr_true_law *t, int64_t trajectory)
{
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < FEM_MAX_PARAMETERS; k++) {
        theta.value[k] = t->value[k] ? t->value[k] + (t->each[k] ? trajectory * t->count[k] : 0) : NULL;
        theta.count[k] = t->count[k];
    }
    return theta;
}

fwm_status tr_true_law_create(tr_true_law *t, const tr_law *law, const tr_config *config, ds_dataset *ds,
                              const double *std, bool *known)
{
    const fem_equation *eq = tr_law_equation(law);
    *t = (tr_true_law){0};
    *known = false;
    for (int k = 0; eq && k < eq->n_parameters; k++)
        if (!has_truth(ds_get_info(ds), eq->parameter[k].name))
            return FWM_OK;
    if (!eq)
        return FWM_OK;
    const int64_t cells = tr_law_mesh(law)->n_cells;
    for (int k = 0; k < eq->n_parameters; k++)
        FWM_TRY(read_parameter(t, ds, eq, k, cells));
    FWM_TRY(tr_law_true_problem(law, config, ds, std, &t->problem));
    *known = true;
    return FWM_OK;
}

/* ---- the data's own residual ---- */
static fwm_status sum_residuals(const tr_true_law *t, ds_dataset *ds, int64_t most, double *mean)
{
    const ds_info *info = ds_get_info(ds);
    const ds_field_info *state = &info->fields[DS_STATE], *actions = &info->fields[DS_ACTIONS];
    const size_t steps = (size_t)info->steps;
    ds_clip clip = {0};
    clip.state = fwm_malloc(steps, (size_t)(state->points * state->channels) * sizeof(float));
    clip.actions = fwm_malloc(steps, (size_t)actions->channels * sizeof(float));
    double *residual = fwm_malloc(steps, sizeof *residual), sum = 0;
    int64_t transitions = 0;
    fwm_status status = FWM_OK;
    if (!clip.state || !clip.actions || !residual)
        status = fwm_fail(FWM_MEMORY, "%s: no memory for a trajectory", ds_path(ds));
    const int64_t count = info->trajectories < most ? info->trajectories : most;
    for (int64_t i = 0; i < count && status == FWM_OK; i++) {
        const int64_t trajectory = i * info->trajectories / count, frames = info->lengths[trajectory];
        status = ds_read(ds, trajectory, 0, frames, &clip);
        const fem_theta theta = tr_true_theta(t, trajectory);
        if (status == FWM_OK && frames > 1)
            status = fem_trajectory_residual(t->problem, residual, clip.state, clip.actions, &theta, frames);
        for (int64_t h = 0; h < frames - 1 && status == FWM_OK; h++, transitions++)
            sum += residual[h];
    }
    *mean = transitions > 0 ? sum / (double)transitions : (double)NAN;
    fwm_free(residual);
    fwm_free(clip.actions);
    fwm_free(clip.state);
    return status;
}

fwm_status tr_data_residual(ds_dataset *ds, int64_t most, double *mean)
{
    const ds_info *info = ds_get_info(ds);
    tr_config *config = NULL;
    tr_law *law = NULL;
    tr_true_law truth = {0};
    bool known = false;
    fwm_status status;
    *mean = (double)NAN;
    if (info->config[0] == '\0' || info->equation[0] == '\0' || !info->mesh || info->fields[DS_STATE].channels == 0 ||
        info->fields[DS_ACTIONS].channels == 0)
        return FWM_OK;
    FWM_TRY(ds_ensure_stats(ds));
    double std[FEM_MAX_COMPONENTS];
    FWM_CHECK(info->fields[DS_STATE].channels <= FEM_MAX_COMPONENTS, FWM_UNSUPPORTED,
              "%s: /state: expected at most %d channels, found %lld", ds_path(ds), FEM_MAX_COMPONENTS,
              (long long)info->fields[DS_STATE].channels);
    for (int64_t k = 0; k < info->fields[DS_STATE].channels; k++)
        std[k] = fmax(info->fields[DS_STATE].stats.std[k], TR_STD_FLOOR);
    /* A dataset may keep the simulate block alone; what else the configuration asks for does not bear on the residual.
     */
    const fem_equation *eq;
    char equation[80], parameter[120];
    if (fem_equation_find(info->equation, &eq) != FWM_OK)
        return FWM_OK; /* a dataset of an equation that this program does not know */
    (void)snprintf(equation, sizeof equation, "physics.equation=%.50s", info->equation);
    (void)snprintf(parameter, sizeof parameter, "physics.parameters.%.50s=%.17g", eq->parameter[0].name,
                   eq->parameter[0].preset);
    const char *sets[] = {"experiment=dataset", "data.file=dataset", equation, parameter};
    FWM_TRY_GOTO(status, tr_config_parse(&config, info->config, strlen(info->config), ds_path(ds), sets, 4));
    FWM_TRY_GOTO(status, tr_law_create(&law, config, ds, std));
    FWM_TRY_GOTO(status, tr_true_law_create(&truth, law, config, ds, std, &known));
    if (known)
        FWM_TRY_GOTO(status, sum_residuals(&truth, ds, most, mean));
done:
    tr_true_law_destroy(&truth);
    tr_law_destroy(&law);
    tr_config_destroy(config);
    return status;
}
