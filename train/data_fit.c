#include "train/data_fit.h"

#include "model/base/arena.h"
#include "train/law.h"
#include "train/metrics.h"
#include "train/recorded.h"
#include "train/world.h"

#include <math.h>
#include <string.h>

enum { ROUNDS = 40, HALVINGS = 30, P = FEM_MAX_PARAMETERS };

typedef struct fit {
    ds_dataset *ds;
    tr_law *law;
    fem_problem *problem;
    const fem_equation *equation;
    int64_t count, size, actions; /* transitions, values of a state, actions */
    double *u0, *u1, *a, *value, *ones;
    int n, which[P]; /* parameters that are fitted */
    double theta[P]; /* of all */
} fit;

/* ---- transitions ---- */

static int64_t transitions_in(const ds_info *info)
{
    int64_t all = 0;
    for (int64_t i = 0; i < info->trajectories; i++)
        all += info->lengths[i] - 1;
    return all;
}

static fwm_status read_transition(fit *f, int64_t row, int64_t number, float *state, float *action)
{
    const ds_info *info = ds_get_info(f->ds);
    int64_t i = 0;
    for (; number >= info->lengths[i] - 1; i++)
        number -= info->lengths[i] - 1;
    const ds_clip clip = {.state = state, .actions = f->actions > 0 ? action : NULL};
    FWM_TRY(ds_read(f->ds, i, number, 2, &clip));
    for (int64_t k = 0; k < f->size; k++) {
        f->u0[row * f->size + k] = (double)state[k];
        f->u1[row * f->size + k] = (double)state[f->size + k];
        FWM_CHECK(isfinite(state[k]) && isfinite(state[f->size + k]), FWM_DATA,
                  "%s: trajectory %lld, time %lld: expected finite states, found NaN or infinity", ds_path(f->ds),
                  (long long)i, (long long)number);
    }
    for (int64_t k = 0; k < f->actions; k++)
        f->a[row * f->actions + k] = (double)action[k];
    return FWM_OK;
}

static fwm_status read_transitions(fit *f)
{
    const ds_info *info = ds_get_info(f->ds);
    const int64_t all = transitions_in(info);
    FWM_CHECK(all > 0, FWM_DATA, "%s: expected trajectories of two steps or more", ds_path(f->ds));
    f->count = all < TR_FIT_TRANSITIONS ? all : TR_FIT_TRANSITIONS;
    f->size = info->fields[DS_STATE].points * info->fields[DS_STATE].channels;
    f->actions = info->fields[DS_ACTIONS].channels;
    const size_t values = (size_t)(f->count * f->size);
    f->u0 = fwm_malloc(values, sizeof(double));
    f->u1 = fwm_malloc(values, sizeof(double));
    f->a = fwm_calloc((size_t)(f->count * f->actions) + 1, sizeof(double));
    f->value = fwm_calloc((size_t)f->count, sizeof(double));
    f->ones = fwm_calloc((size_t)f->count, sizeof(double));
    float *state = fwm_malloc((size_t)(2 * f->size), sizeof *state),
          *action = fwm_malloc((size_t)(2 * f->actions) + 1, sizeof *action);
    fwm_status status = FWM_OK;
    if (!f->u0 || !f->u1 || !f->a || !f->value || !f->ones || !state || !action)
        status = fwm_fail(FWM_MEMORY, "%s: out of memory for %lld transitions", ds_path(f->ds), (long long)f->count);
    for (int64_t r = 0; r < f->count && status == FWM_OK; r++) {
        f->ones[r] = 1.0 / (double)f->count;
        status = read_transition(f, r, r * all / f->count, state, action);
    }
    fwm_free(state);
    fwm_free(action);
    return status;
}

/* Mean over transitions of |u1 - u0|^2 over the measure, each component in its deviation, averaged over components: the
 * residual's own unit. */
static double change_of(const fit *f, const double *std)
{
    const fem_mesh *mesh = fem_problem_mesh(f->problem);
    const int64_t c = fem_problem_components(f->problem);
    double sum = 0;
    for (int64_t r = 0; r < f->count; r++)
        for (int64_t i = 0; i < f->size; i++) {
            const double d = (f->u1[r * f->size + i] - f->u0[r * f->size + i]) / std[i % c];
            sum += mesh->lumped[i / c] * d * d;
        }
    return sum / (mesh->area * (double)f->count);
}

/* ---- the residual and its gradient ---- */

static fwm_status measure(const fit *f, const double theta[P], double *loss, double gradient[P])
{
    fem_theta t = {{0}, {0}};
    fem_bars bars = {0};
    for (int k = 0; k < f->equation->n_parameters; k++) {
        t.value[k] = &theta[k];
        t.count[k] = 1;
    }
    const double *a = f->actions > 0 ? f->a : NULL;
    FWM_TRY(fem_loss(f->problem, AD_F64, f->value, f->u1, f->u0, a, &t, f->count));
    *loss = 0;
    for (int64_t r = 0; r < f->count; r++)
        *loss += f->value[r] / (double)f->count;
    if (!gradient)
        return FWM_OK;
    memset(gradient, 0, P * sizeof *gradient);
    for (int k = 0; k < f->n; k++)
        bars.theta[f->which[k]] = &gradient[f->which[k]];
    return fem_loss_vjp(f->problem, AD_F64, &bars, f->ones, f->u1, f->u0, a, &t, f->count);
}

static double bounded(const fit *f, int k, double x)
{
    const fem_parameter *p = &f->equation->parameter[k];
    return fmin(fmax(x, p->lo), p->hi);
}

/* ---- Newton's method within bounds ---- */

/* Step d of the free parameters: H d = -g, H scaled to a unit diagonal and made definite where it is not. */
static void solve(int n, double H[P][P], const double *g, double *d)
{
    double L[P][P], scale[P], y[P];
    for (int i = 0; i < n; i++)
        scale[i] = H[i][i] > 0 ? 1 / sqrt(H[i][i]) : 0; /* no curvature: it does not matter here */
    for (double ridge = 1e-12;; ridge *= 100) {
        bool fine = true;
        for (int i = 0; i < n && fine; i++)
            for (int j = 0; j <= i && fine; j++) {
                double sum = scale[i] * scale[j] * H[i][j];
                sum += i == j ? (scale[i] > 0 ? ridge : 1) : 0;
                for (int k = 0; k < j; k++)
                    sum -= L[i][k] * L[j][k];
                if (i == j)
                    fine = sum > 0;
                L[i][j] = i == j ? sqrt(fmax(sum, 1e-300)) : sum / L[j][j];
            }
        if (fine)
            break;
    }
    for (int i = 0; i < n; i++) {
        y[i] = -scale[i] * g[i];
        for (int k = 0; k < i; k++)
            y[i] -= L[i][k] * y[k];
        y[i] /= L[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        d[i] = y[i];
        for (int k = i + 1; k < n; k++)
            d[i] -= L[k][i] * d[k];
        d[i] /= L[i][i];
    }
    for (int i = 0; i < n; i++)
        d[i] *= scale[i];
}

/* Hessian among the free parameters, by differences of gradients. */
static fwm_status curvature(const fit *f, int n, const int *free_k, const double g[P], double H[P][P])
{
    for (int i = 0; i < n; i++) {
        const int k = free_k[i];
        double theta[P], moved[P], loss, step = 1e-3 * fmax(fabs(f->theta[k]), fabs(f->equation->parameter[k].preset));
        memcpy(theta, f->theta, sizeof theta);
        step = step > 0 ? step : 1e-3;
        step = bounded(f, k, theta[k] + step) == theta[k] + step ? step : -step;
        theta[k] += step;
        FWM_TRY(measure(f, theta, &loss, moved));
        for (int j = 0; j < n; j++)
            H[i][j] = (moved[free_k[j]] - g[free_k[j]]) / step;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            H[i][j] = H[j][i] = (H[i][j] + H[j][i]) / 2;
    return FWM_OK;
}

static bool is_held(const fit *f, int k, double gradient)
{
    const fem_parameter *p = &f->equation->parameter[k];
    return (f->theta[k] <= p->lo && gradient > 0) || (f->theta[k] >= p->hi && gradient < 0);
}

/* *moved is false where no step lowers the loss. */
static fwm_status improve(fit *f, double *loss, bool *moved)
{
    double g[P], H[P][P], d[P], right[P];
    int free_k[P], n = 0;
    *moved = false;
    FWM_TRY(measure(f, f->theta, loss, g));
    for (int k = 0; k < f->n; k++)
        if (!is_held(f, f->which[k], g[f->which[k]]))
            free_k[n++] = f->which[k];
    FWM_TRY(curvature(f, n, free_k, g, H));
    for (int i = 0; i < n; i++)
        right[i] = g[free_k[i]];
    solve(n, H, right, d);
    double share = 1;
    for (int half = 0; half < HALVINGS && n > 0; half++, share /= 2) {
        double theta[P], value;
        memcpy(theta, f->theta, sizeof theta);
        for (int i = 0; i < n; i++)
            theta[free_k[i]] = bounded(f, free_k[i], theta[free_k[i]] + share * d[i]);
        FWM_TRY(measure(f, theta, &value, NULL));
        if (value < *loss) {
            *moved = value < *loss * (1 - 1e-9);
            *loss = value;
            memcpy(f->theta, theta, sizeof theta);
            return FWM_OK;
        }
    }
    return FWM_OK;
}

/* ---- all of it ---- */

static void choose_parameters(fit *f, const tr_config *config)
{
    for (int k = 0; k < f->equation->n_parameters; k++) {
        const fem_parameter *p = &f->equation->parameter[k];
        bool given = false, wanted = config->physics.learn.count == 0 && strcmp(p->name, "stabilisation") != 0;
        for (int64_t i = 0; i < config->physics.parameters.count; i++)
            given = given || strcmp(config->physics.parameters.items[i].name, p->name) == 0;
        for (int64_t i = 0; i < config->physics.learn.count; i++)
            wanted = wanted || strcmp(config->physics.learn.items[i], p->name) == 0;
        f->theta[k] = given ? tr_law_initial(f->law, k) : p->preset;
        if (wanted)
            f->which[f->n++] = k;
    }
}

static json_t *describe(const fit *f, const double start[P])
{
    json_t *all = json_object();
    for (int i = 0; i < f->n; i++) {
        const int k = f->which[i];
        const fem_parameter *p = &f->equation->parameter[k];
        (void)json_object_set_new(all, p->name,
                                  json_pack("{s:f, s:f, s:s, s:b}", "start", start[k], "fitted", f->theta[k], "unit",
                                            p->unit, "at_bound", f->theta[k] <= p->lo || f->theta[k] >= p->hi));
    }
    return all;
}

static fwm_status run(fit *f, const tr_config *config, json_t **json)
{
    double std[WM_MAX_CHANNELS], start[P], first, last;
    const ds_field_info *state = &ds_get_info(f->ds)->fields[DS_STATE];
    bool moved = true;
    for (int64_t c = 0; c < state->channels && c < WM_MAX_CHANNELS; c++)
        std[c] = fmax(state->stats.std ? state->stats.std[c] : 1, TR_STD_FLOOR);
    FWM_TRY(tr_law_create(&f->law, config, f->ds, std));
    f->problem = tr_law_problem(f->law);
    f->equation = tr_law_equation(f->law);
    choose_parameters(f, config);
    FWM_TRY(read_transitions(f));
    memcpy(start, f->theta, sizeof start);
    FWM_TRY(measure(f, f->theta, &first, NULL));
    FWM_CHECK(isfinite(first), FWM_NUMERIC, "%s: the residual of %s is not finite at its starting parameters",
              ds_path(f->ds), f->equation->name);
    last = first;
    for (int round = 0; round < ROUNDS && moved; round++)
        FWM_TRY(improve(f, &last, &moved));
    const double change = change_of(f, std);
    *json = json_pack("{s:s, s:I, s:f, s:o, s:{s:o, s:o}, s:o, s:o}", "equation", f->equation->name, "transitions",
                      (json_int_t)f->count, "dt", ds_get_info(f->ds)->dt, "change", tr_json_number(change), "residual",
                      "start", tr_json_number(first), "fitted", tr_json_number(last), "explained",
                      tr_json_number(change > 0 ? 1 - last / change : (double)NAN), "parameters", describe(f, start));
    FWM_CHECK(*json, FWM_MEMORY, "%s: out of memory", ds_path(f->ds));
    return FWM_OK;
}

fwm_status tr_data_fit(json_t **json, ds_dataset *file, const tr_config *config)
{
    fit f = {0};
    *json = NULL;
    if (config->physics.equation == TR_EQUATION_NONE) {
        ds_close(&file);
        return fwm_fail(FWM_CONFIG, "physics.equation: expected an equation to fit, found none");
    }
    fwm_status status = tr_recorded_state(&f.ds, file, config);
    if (status == FWM_OK)
        status = run(&f, config, json);
    tr_law_destroy(&f.law);
    ds_close(&f.ds);
    fwm_free(f.u0);
    fwm_free(f.u1);
    fwm_free(f.a);
    fwm_free(f.value);
    fwm_free(f.ones);
    return status;
}
