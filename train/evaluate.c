#include "train/evaluate.h"

#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "train/true_law.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *tr_method_name(int method)
{
    static const char *const names[TR_METHOD_COUNT] = {"model", "persistence", "physics_only"};
    return method >= 0 && method < TR_METHOD_COUNT ? names[method] : "";
}

/* ---- fitted parameters ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, compare_doubles);
    return n == 0 ? (double)NAN : n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

static int nearest(const double *region, int n, double x)
{
    int best = 0;
    for (int r = 1; r < n; r++)
        if (fabs(log(x / region[r])) < fabs(log(x / region[best])))
            best = r;
    return best;
}

static fwm_status fit_regions(tr_evaluation *e, const char *name, double initial, int64_t n, const double *fitted,
                              const double *truth, const double *region, int n_regions)
{
    double *scratch = fwm_malloc((size_t)n, sizeof *scratch);
    FWM_CHECK(scratch, FWM_MEMORY, "evaluation: out of memory");
    for (int r = 0; r < n_regions && e->n_fits < TR_MAX_FITS; r++) {
        tr_fit *f = &e->fit[e->n_fits++];
        int64_t inside = 0, either = 0, both = 0;
        for (int64_t i = 0; i < n; i++) {
            bool is = truth[i] == region[r], says = nearest(region, n_regions, fitted[i]) == r;
            if (is)
                scratch[inside++] = fitted[i];
            either += is || says;
            both += is && says;
        }
        *f = (tr_fit){.initial = initial,
                      .fitted = median(scratch, inside),
                      .truth = region[r],
                      .cells = inside,
                      .iou = either > 0 ? (double)both / (double)either : (double)NAN};
        (void)snprintf(f->name, sizeof f->name, "%s[%g]", name, region[r]);
    }
    fwm_free(scratch);
    return FWM_OK;
}

/* Distinct values of a field, at most `limit`; 0 when there are more. */
static int distinct_values(const double *x, int64_t n, double *value, int limit)
{
    int count = 0;
    for (int64_t i = 0; i < n; i++) {
        int k = 0;
        while (k < count && value[k] != x[i])
            k++;
        if (k == count) {
            if (count == limit)
                return 0;
            value[count++] = x[i];
        }
    }
    return count;
}

static fwm_status fit_parameter(tr_evaluation *e, const tr_world *w, const float *flat, const tr_true_law *t,
                                bool known, int k)
{
    enum { MAX_REGIONS = 16 };
    const char *name = tr_law_equation(w->law)->parameter[k].name;
    int64_t n = tr_law_count(w->law, k);
    double *fitted = fwm_malloc((size_t)n, sizeof *fitted), region[MAX_REGIONS];
    FWM_CHECK(fitted, FWM_MEMORY, "evaluation: out of memory");
    tr_law_values(w->law, w->store, AD_F32, flat, k, fitted);
    fwm_status status = FWM_OK;
    int regions =
        known && !t->each[k] && t->count[k] == n && n > 1 ? distinct_values(t->value[k], n, region, MAX_REGIONS) : 0;
    if (regions > 0) {
        status = fit_regions(e, name, tr_law_initial(w->law, k), n, fitted, t->value[k], region, regions);
    } else if (e->n_fits < TR_MAX_FITS) {
        tr_fit *f = &e->fit[e->n_fits++];
        *f = (tr_fit){.initial = tr_law_initial(w->law, k),
                      .fitted = median(fitted, n),
                      .iou = (double)NAN,
                      .cells = n,
                      .truth = known && !t->each[k] && t->count[k] == 1 ? t->value[k][0] : (double)NAN};
        (void)snprintf(f->name, sizeof f->name, "%s", name);
    }
    fwm_free(fitted);
    return status;
}

/* ---- rollouts ---- */

typedef struct scene {
    tr_world *w;
    tr_rollout *rollout;
    const float *flat;
    const tr_evaluate_options *o;
    tr_evaluation *e;
    tr_true_law truth;
    fem_theta theta; /* the true parameters of the trajectory at hand */
    bool known;
    const ad_sparse *prolong;
    int64_t n, c, H, pixels; /* nodes, fields, states a trajectory, values a frame */
    float *states, *frames;  /* [B,H,...] of the model */
    int64_t shown_height, shown_width;
    float *cropped[2];            /* a frame each, where frames were filled up */
    float *other, *mass;          /* [H,n,c], [n] */
    double *residual;             /* [H-1] */
    const fem_equation *equation; /* the data's, NULL where it is not known */
    bool *key, *true_key;         /* [H] */
    tr_codes *codes;
    const double *basin; /* [N,T] of the dataset, NULL where it has none */
} scene;

static void prolong_states(const scene *s, const float *s_phy, float *out)
{
    int64_t c = s->c, m = s->w->model.coarse_nodes;
    for (int64_t h = 0; h < s->H; h++)
        for (int64_t i = 0; i < s->n; i++)
            for (int64_t k = 0; k < c; k++) {
                double sum = 0;
                for (int64_t j = s->prolong->row_start[i]; j < s->prolong->row_start[i + 1]; j++)
                    sum += s->prolong->weight[j] * (double)s_phy[(h * m + s->prolong->column[j]) * c + k];
                out[(h * s->n + i) * c + k] = (float)sum;
            }
}

/* ---- key states ---- */

static void find_key_states(const scene *s, const float *states, bool *key)
{
    const int64_t size = s->n * s->c;
    const double dt = s->w->info->dt;
    for (int64_t h = 1; h < s->H; h++)
        key[h] = s->equation->event_rate(tr_law_mesh(s->w->law), states + h * size, states + (h - 1) * size, dt) >
                 s->w->config->simulate.key_rate;
}

static bool near_one(const bool *key, int64_t h, int64_t H)
{
    return key[h] || (h > 1 && key[h - 1]) || (h + 1 < H && key[h + 1]);
}

static void add_key_states(const scene *s, int method, const float *x, const float *y)
{
    tr_key_score *k = &s->e->key[method];
    find_key_states(s, y, s->true_key);
    find_key_states(s, x, s->key);
    for (int64_t h = 1; h < s->H; h++) {
        k->truth += s->true_key[h];
        k->predicted += s->key[h];
        k->recalled += s->true_key[h] && near_one(s->key, h, s->H);
        k->precise += s->key[h] && near_one(s->true_key, h, s->H);
    }
}

static fwm_status add_states(const scene *s, int method, int64_t index, const float *x, const float *y,
                             const float *actions)
{
    int64_t size = s->n * s->c;
    for (int64_t h = 1; h < s->H; h++)
        FWM_TRY(tr_metrics_add_state(s->e->table[method], index, (int)h, x + h * size, y + h * size, s->mass, s->n));
    if (s->e->has_key_states)
        add_key_states(s, method, x, y);
    if (!s->known)
        return FWM_OK;
    FWM_TRY(fem_trajectory_residual(s->truth.problem, s->residual, x, actions, &s->theta, s->H));
    for (int64_t h = 0; h < s->H - 1; h++)
        s->e->residual[method][h] += s->residual[h] / (double)s->e->trajectories;
    return FWM_OK;
}

/* The part of a frame that was recorded: the frame itself, or a copy in room. */
static const float *shown(const scene *s, const float *frame, float *room)
{
    const wm_config *c = &s->w->model;
    const size_t line = (size_t)(s->shown_width * c->colors);
    if (s->shown_height == c->height && s->shown_width == c->width)
        return frame;
    for (int64_t r = 0; r < s->shown_height; r++)
        memcpy(room + (size_t)r * line, frame + r * c->width * c->colors, line * sizeof *room);
    return room;
}

static fwm_status add_frames(const scene *s, int method, int64_t index, const float *x, int64_t stride, const float *y)
{
    for (int64_t h = 1; h < s->H; h++)
        FWM_TRY(tr_metrics_add_frame(s->e->table[method], index, (int)h, shown(s, x + h * stride, s->cropped[0]),
                                     shown(s, y + h * s->pixels, s->cropped[1]), (int)s->shown_height,
                                     (int)s->shown_width, (int)s->w->model.colors));
    return FWM_OK;
}

static fwm_status keep(float **to, const float *from, int64_t n)
{
    *to = fwm_malloc((size_t)n, sizeof **to);
    FWM_CHECK(*to, FWM_MEMORY, "evaluation: out of memory");
    memcpy(*to, from, (size_t)n * sizeof **to);
    return FWM_OK;
}

static fwm_status score_trajectory(scene *s, const ds_batch *batch, int64_t b, int64_t index)
{
    int64_t T = batch->length, size = s->n * s->c, t0 = s->o->start;
    const float *truth = batch->clip.state + (b * T + t0) * size;
    const float *actions = s->w->model.actions > 0 ? batch->clip.actions + (b * T + t0) * s->w->model.actions : NULL;
    const float *states = s->states + b * s->H * size;
    s->theta = tr_true_theta(&s->truth, batch->trajectory[b]);
    FWM_TRY(add_states(s, TR_METHOD_MODEL, index, states, truth, actions));
    if (s->known) {
        FWM_TRY(fem_trajectory_residual(s->truth.problem, s->residual, truth, actions, &s->theta, s->H));
        for (int64_t h = 0; h < s->H - 1; h++)
            s->e->truth_residual[h] += s->residual[h] / (double)s->e->trajectories;
    }
    for (int64_t h = 0; h < s->H; h++)
        memcpy(s->other + h * size, truth, (size_t)size * sizeof *truth);
    FWM_TRY(add_states(s, TR_METHOD_PERSISTENCE, index, s->other, truth, actions));
    if (s->prolong) {
        prolong_states(s, batch->clip.s_phy + (b * T + t0) * s->w->model.coarse_nodes * s->c, s->other);
        FWM_TRY(add_states(s, TR_METHOD_PHYSICS, index, s->other, truth, actions));
    }
    const float *true_frames = s->pixels > 0 ? batch->clip.frames + (b * T + t0) * s->pixels : NULL;
    const float *frames = s->frames ? s->frames + b * s->H * s->pixels : NULL;
    if (frames) {
        FWM_TRY(add_frames(s, TR_METHOD_MODEL, index, frames, s->pixels, true_frames));
        FWM_TRY(add_frames(s, TR_METHOD_PERSISTENCE, index, true_frames, 0, true_frames));
    }
    if (s->codes) {
        const double *basin = s->basin ? s->basin + batch->trajectory[b] * s->w->info->steps + t0 : NULL;
        FWM_TRY(tr_codes_add(s->codes, states, truth, actions, basin));
    }
    if (index == 0 && s->o->example) {
        tr_example *x = &s->e->example;
        x->trajectory = batch->trajectory[b];
        FWM_TRY(keep(&x->truth_state, truth, s->H * size));
        FWM_TRY(keep(&x->state, states, s->H * size));
        if (s->prolong)
            FWM_TRY(keep(&x->physics_state, s->other, s->H * size));
        if (frames) {
            FWM_TRY(keep(&x->truth_frame, true_frames, s->H * s->pixels));
            FWM_TRY(keep(&x->frame, frames, s->H * s->pixels));
        }
    }
    return FWM_OK;
}

static fwm_status score_split(scene *s, ds_sequence *sequence)
{
    tr_rollout_options ro = {.start = s->o->start,
                             .horizon = s->o->horizon,
                             .samples = s->o->samples,
                             .seed = s->o->seed,
                             .from_frame = s->o->from_frame};
    int64_t index = 0;
    for (;;) {
        ds_batch batch;
        FWM_TRY(ds_sequence_next(sequence, &batch));
        if (batch.count == 0)
            return FWM_OK;
        fwm_status status = tr_rollout_run(s->rollout, &batch, &ro, s->states, s->frames);
        if (status == FWM_NUMERIC) {
            char why[FWM_ERROR_CAPACITY];
            fwm_error_get(why, sizeof why);
            FWM_TRY(tr_world_check_batch(s->w, &batch)); /* the data's own NaN is named */
            fwm_error_set(why);
        }
        FWM_TRY(status);
        for (int64_t b = 0; b < batch.count; b++)
            FWM_TRY(score_trajectory(s, &batch, b, index++));
    }
}

static fwm_status open_codes(scene *s)
{
    const ds_info *info = s->w->info;
    for (int64_t k = 0; k < info->truths; k++) {
        int64_t count = 0;
        if (strcmp(info->truth_names[k], "basin") == 0)
            FWM_TRY(ds_truth(s->w->ds, "basin", &count, &s->basin));
        if (count > 0 && count != info->trajectories * info->steps)
            s->basin = NULL; /* not one a frame: not ours */
    }
    return tr_codes_create(&s->codes, s->w, s->flat, s->e->trajectories, s->H);
}

static fwm_status allocate(scene *s, int64_t batch)
{
    const wm_config *c = &s->w->model;
    s->n = c->nodes;
    s->c = c->state.count;
    s->H = s->o->horizon + 1;
    s->pixels = c->height * c->width * c->colors;
    size_t H = (size_t)s->H, size = (size_t)(s->n * s->c);
    s->states = fwm_malloc((size_t)batch * H * size, sizeof(float));
    const bool pictures = (s->o->frames || s->o->example) && s->pixels > 0;
    s->frames = pictures ? fwm_malloc((size_t)batch * H * (size_t)s->pixels, sizeof(float)) : NULL;
    const ds_info *info = s->w->info;
    s->shown_height = info->shown_height > 0 ? info->shown_height : c->height;
    s->shown_width = info->shown_width > 0 ? info->shown_width : c->width;
    for (int k = 0; k < 2; k++)
        s->cropped[k] = fwm_malloc((size_t)s->pixels + 1, sizeof(float));
    s->other = fwm_malloc(H * size, sizeof(float));
    s->mass = fwm_malloc((size_t)s->n, sizeof(float));
    s->residual = fwm_malloc(H, sizeof(double));
    s->key = fwm_calloc(H, sizeof *s->key);
    s->true_key = fwm_calloc(H, sizeof *s->true_key);
    FWM_CHECK(s->cropped[0] && s->cropped[1] && s->states && s->other && s->mass && s->residual && s->key &&
                  s->true_key && (s->frames || !pictures),
              FWM_MEMORY, "evaluation: out of memory");
    if (s->o->codes)
        FWM_TRY(open_codes(s));
    for (int64_t i = 0; i < s->n; i++)
        s->mass[i] = (float)tr_law_physics(s->w->law, s->w->store)->mass[i];
    s->e->truth_residual = fwm_calloc(H, sizeof(double));
    FWM_CHECK(s->e->truth_residual, FWM_MEMORY, "evaluation: out of memory");
    for (int k = 0; k < TR_METHOD_COUNT; k++) {
        FWM_TRY(tr_metrics_create(&s->e->table[k], s->e->trajectories, (int)s->o->horizon, (int)s->c,
                                  s->w->info->fields[DS_STATE].names));
        tr_metrics_set_deviation(s->e->table[k], c->state.std);
        if (s->known) {
            s->e->residual[k] = fwm_calloc(H, sizeof(double));
            FWM_CHECK(s->e->residual[k], FWM_MEMORY, "evaluation: out of memory");
        }
    }
    return c->s_phy.count > 0 ? tr_law_prolong(s->w->law, &s->prolong) : FWM_OK;
}

static fwm_status evaluate(scene *s, const float *flat, ds_sequence **sequence)
{
    const tr_evaluate_options *o = s->o;
    FWM_CHECK(o->start + o->horizon < s->w->info->steps, FWM_CONFIG,
              "eval.horizon: %lld steps from frame %lld need %lld frames, %s has %lld", (long long)o->horizon,
              (long long)o->start, (long long)(o->start + o->horizon + 1), ds_path(s->w->ds),
              (long long)s->w->info->steps);
    int64_t batch = tr_rollout_batch(s->rollout);
    FWM_TRY(ds_sequence_create(sequence, s->w->ds, o->split, batch, o->trajectories, NULL));
    s->e->trajectories = ds_sequence_count(*sequence);
    FWM_CHECK(s->e->trajectories > 0, FWM_DATA, "%s: /split: no trajectory of split '%s'", ds_path(s->w->ds),
              ds_split_name(o->split));
    FWM_CHECK(s->w->model.s_phy.count == 0 || s->w->model.s_phy.count == s->w->model.state.count, FWM_DATA,
              "%s: /s_phy: expected %lld channels, those of /state, found %lld", ds_path(s->w->ds),
              (long long)s->w->model.state.count, (long long)s->w->model.s_phy.count);
    /* The data's equation, also for a model that knows none. */
    if (tr_law_mesh(s->w->law) && fem_equation_find(s->w->info->equation, &s->equation) == FWM_OK)
        s->e->has_key_states =
            s->equation->event_rate != NULL && s->w->info->dt > 0 &&
            s->w->model.state.count == fem_equation_components(s->equation, tr_law_mesh(s->w->law)->dim) &&
            s->w->model.nodes == tr_law_mesh(s->w->law)->n_nodes;
    if (o->residual)
        FWM_TRY(tr_true_law_create(&s->truth, s->w->law, s->w->config, s->w->ds, s->w->model.state.std, &s->known));
    FWM_TRY(allocate(s, batch));
    for (int k = 0; o->residual && tr_law_equation(s->w->law) && k < tr_law_equation(s->w->law)->n_parameters; k++)
        if (tr_law_is_learned(s->w->law, k))
            FWM_TRY(fit_parameter(s->e, s->w, flat, &s->truth, s->known, k));
    FWM_TRY(score_split(s, *sequence));
    s->e->has_codes = s->codes != NULL;
    return s->codes ? tr_codes_measure(s->codes, &s->e->codes) : FWM_OK;
}

fwm_status tr_evaluate(tr_evaluation **out, tr_world *world, tr_rollout *rollout, const float *flat,
                       const tr_evaluate_options *options)
{
    double start = fwm_seconds();
    *out = NULL;
    tr_evaluation *e = fwm_calloc(1, sizeof *e);
    FWM_CHECK(e, FWM_MEMORY, "evaluation: out of memory");
    e->context = options->start + 1;
    e->horizon = options->horizon;
    scene s = {.w = world, .rollout = rollout, .flat = flat, .o = options, .e = e};
    ds_sequence *sequence = NULL;
    fwm_status status = evaluate(&s, flat, &sequence);
    ds_sequence_destroy(&sequence);
    tr_codes_destroy(&s.codes);
    tr_true_law_destroy(&s.truth);
    fwm_free(s.states);
    fwm_free(s.frames);
    fwm_free(s.cropped[0]);
    fwm_free(s.cropped[1]);
    fwm_free(s.other);
    fwm_free(s.mass);
    fwm_free(s.residual);
    fwm_free(s.key);
    fwm_free(s.true_key);
    e->seconds = fwm_seconds() - start;
    if (status != FWM_OK)
        tr_evaluation_destroy(&e);
    *out = e;
    return status;
}

void tr_evaluation_destroy(tr_evaluation **out)
{
    tr_evaluation *e = out ? *out : NULL;
    if (!e)
        return;
    for (int k = 0; k < TR_METHOD_COUNT; k++) {
        tr_metrics_destroy(&e->table[k]);
        fwm_free(e->residual[k]);
    }
    fwm_free(e->truth_residual);
    fwm_free(e->example.truth_state);
    fwm_free(e->example.state);
    fwm_free(e->example.physics_state);
    fwm_free(e->example.truth_frame);
    fwm_free(e->example.frame);
    fwm_free(e);
    *out = NULL;
}

/* ---- JSON ---- */

static json_t *residual_json(const double *residual, int64_t horizon, const int *at, int n)
{
    json_t *o = json_object();
    for (int k = 0; k < n; k++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%d", at[k]);
        (void)json_object_set_new(o, key,
                                  tr_json_number(residual && at[k] <= horizon ? residual[at[k] - 1] : (double)NAN));
    }
    return o;
}

static json_t *key_json(const tr_key_score *k)
{
    const double recall = k->truth > 0 ? (double)k->recalled / (double)k->truth : (double)NAN;
    const double precision = k->predicted > 0 ? (double)k->precise / (double)k->predicted : (double)NAN;
    json_t *o = json_object();
    (void)json_object_set_new(o, "recall", tr_json_number(recall));
    (void)json_object_set_new(o, "precision", tr_json_number(precision));
    (void)json_object_set_new(o, "true", json_integer(k->truth));
    (void)json_object_set_new(o, "predicted", json_integer(k->predicted));
    return o;
}

fwm_status tr_evaluation_json(const tr_evaluation *e, const tr_ints *horizons, json_t **json)
{
    enum { MAX_HORIZONS = 64 };
    int at[MAX_HORIZONS], n = 0;
    for (int64_t k = 0; k < horizons->count && n < MAX_HORIZONS; k++)
        if (horizons->items[k] <= e->horizon)
            at[n++] = (int)horizons->items[k];
    json_t *o = json_object();
    (void)json_object_set_new(o, "trajectories", json_integer(e->trajectories));
    (void)json_object_set_new(o, "context", json_integer(e->context));
    (void)json_object_set_new(o, "horizon", json_integer(e->horizon));
    (void)json_object_set_new(o, "seconds", json_real(e->seconds));
    for (int k = 0; k < TR_METHOD_COUNT; k++) {
        json_t *table = NULL;
        fwm_status status = tr_metrics_json(e->table[k], at, n, &table);
        if (status != FWM_OK) {
            json_decref(o);
            return status;
        }
        if (e->has_key_states)
            (void)json_object_set_new(table, "key_state", key_json(&e->key[k]));
        (void)json_object_set_new(table, "physics_residual", residual_json(e->residual[k], e->horizon, at, n));
        (void)json_object_set_new(o, tr_method_name(k), table);
    }
    (void)json_object_set_new(o, "truth_residual",
                              residual_json(e->residual[0] ? e->truth_residual : NULL, e->horizon, at, n));
    json_t *fits = json_object();
    for (int k = 0; k < e->n_fits; k++) {
        json_t *f = json_object();
        (void)json_object_set_new(f, "fitted", tr_json_number(e->fit[k].fitted));
        (void)json_object_set_new(f, "true", tr_json_number(e->fit[k].truth));
        (void)json_object_set_new(f, "initial", tr_json_number(e->fit[k].initial));
        (void)json_object_set_new(f, "iou", tr_json_number(e->fit[k].iou));
        (void)json_object_set_new(fits, e->fit[k].name, f);
    }
    (void)json_object_set_new(o, "parameters", fits);
    if (e->has_codes) {
        json_t *codes = NULL;
        fwm_status status = tr_codes_json(&e->codes, &codes);
        if (status != FWM_OK) {
            json_decref(o);
            return status;
        }
        (void)json_object_set_new(o, "codes", codes);
    }
    *json = o;
    return FWM_OK;
}
