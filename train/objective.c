#include "train/objective_impl.h"

#include "data/numbers.h"
#include "model/base/arena.h"
#include "train/groups.h"

#include <string.h>

const char *tr_term_name(tr_term term)
{
    static const char *const names[TR_TERM_COUNT] = {"state", "frame", "kl", "phys", "ot", "edge", "start"};
    return names[term];
}

/* ---- pieces of a clip: time comes first, so that one time, or all as one batch, is a view ---- */

/* x [T,B,...] at time t: [B,...]. */
static ad_value at_time(ad_graph *g, ad_value x, int64_t t)
{
    if (x == AD_NONE)
        return x;
    ad_shape s = *ad_shape_of(g, x);
    ad_value y = ad_slice(g, x, 0, t, 1);
    for (int k = 0; k + 1 < s.rank; k++)
        s.dim[k] = s.dim[k + 1];
    s.rank--;
    return ad_reshape(g, y, s);
}

/* x [T,B,...] for times 0..n-1 as one batch [n*B,...]. */
static ad_value as_batch(ad_graph *g, ad_value x, int64_t n)
{
    if (x == AD_NONE)
        return x;
    ad_shape s = *ad_shape_of(g, x);
    ad_value y = s.dim[0] == n ? x : ad_slice(g, x, 0, 0, n);
    s.dim[0] = n * s.dim[1];
    for (int k = 1; k + 1 < s.rank; k++)
        s.dim[k] = s.dim[k + 1];
    s.rank--;
    return ad_reshape(g, y, s);
}

/* Time t of a batch [n*B,...] made by as_batch. */
static ad_value from_batch(ad_graph *g, ad_value x, int64_t n, int64_t t)
{
    int64_t B = ad_dim(g, x, 0) / n;
    return ad_slice(g, x, 0, t * B, B);
}

static wm_features features_at(ad_graph *g, const wm_features *h, int64_t n, int64_t t)
{
    wm_features f;
    for (int k = 0; k < WM_SCALES; k++)
        f.scale[k] = from_batch(g, h->scale[k], n, t);
    return f;
}

/* mean over batch and fields of sum_i mass_i d_i^2, d [B,n,c]: [1]. */
static ad_value mass_square(const tr_objective *o, ad_value d)
{
    ad_graph *g = o->g;
    int64_t n = ad_dim(g, d, 1);
    ad_value mass = ad_constant(g, ad_shape_make(2, n, 1), o->model.physics->mass);
    ad_value sum = ad_sum_all(g, wm_weigh_clips(&o->model, ad_mul(g, ad_square(g, d), mass)));
    return ad_affine(g, sum, 1.0 / (double)(ad_dim(g, d, 0) * ad_dim(g, d, 2)), 0.0);
}

/* ---- terms ---- */

typedef struct unrolled {
    ad_value state[MAX_UNROLL], frame[MAX_UNROLL], kl[MAX_UNROLL], raw[MAX_UNROLL], physics[MAX_UNROLL];
    ad_value code[MAX_UNROLL], true_code[MAX_UNROLL], context[MAX_UNROLL];
    ad_value class_of[MAX_UNROLL], true_class[MAX_UNROLL]; /* of the gate, of code and true_code */
    ad_value start;
} unrolled;

static ad_value mean_of(ad_graph *g, int n, const ad_value *x)
{
    return n == 1 ? x[0] : ad_affine(g, ad_add_n(g, n, x), 1.0 / n, 0.0);
}

static ad_value physics_term(const tr_objective *o, ad_value s1, ad_value s0, ad_value a)
{
    const wm_physics *p = o->model.physics;
    int64_t subset = o->spec.config->physics.residual.subset, B = ad_dim(o->g, s1, 0);
    if (subset > 0 && subset < B) { /* clips come in random order: the first few are a random subset */
        s1 = ad_slice(o->g, s1, 0, 0, subset);
        s0 = ad_slice(o->g, s0, 0, 0, subset);
        a = ad_slice(o->g, a, 0, 0, subset);
    }
    return ad_mean_all(o->g, wm_weigh_clips(&o->model, p->loss(p->self, o->g, s1, s0, a)));
}

static ad_value failed(const tr_objective *o, fwm_status status)
{
    char message[FWM_ERROR_CAPACITY];
    fwm_error_get(message, sizeof message);
    return ad_graph_fail(o->g, status, "transport: %s", message);
}

/* The sheet of step t's true code, one-hot; AD_NONE without a gate. */
static ad_value true_class(tr_objective *o, int t, ad_value true_code)
{
    if (!o->spec.gate)
        return AD_NONE;
    fwm_status status = ot_gate_value_create(&o->gate[t], o->spec.gate, o->spec.batch, false);
    return status == FWM_OK ? ot_gate_one_hot(o->g, o->gate[t], true_code) : failed(o, status);
}

/* Codes of step t: of the true next state, and of what the model makes with the posterior's latent or the prior's. */
static void codes_of(tr_objective *o, unrolled *u, int t, const wm_gaussian *prior, const wm_features *h, ad_value s,
                     ad_value s0, ad_value a, ad_value next)
{
    const wm_model *m = &o->model;
    ad_value judged = next;
    u->class_of[t] = u->true_class[t];
    if (o->spec.config->transport.latent != TR_FROM_POSTERIOR) {
        if (o->spec.gate)
            u->class_of[t] = wm_latent_class(m, prior, AD_NONE);
        ad_value z = wm_latent_joined(m, wm_latent_sample(m, prior), u->class_of[t]);
        judged = wm_df_pred(m, h, s, z, a, NULL);
    }
    u->code[t] = wm_transport_code(m, judged, a);
    u->context[t] = ad_stop_gradient(o->g, wm_transport_context(m, s0, a));
}

static void unroll(tr_objective *o, unrolled *u)
{
    ad_graph *g = o->g;
    const wm_model *m = &o->model;
    const tr_config *c = o->spec.config;
    int k = o->spec.unroll;
    int64_t n = k + 1;
    wm_features truth = wm_pf_enc(m, n * o->spec.batch, as_batch(g, o->frames, n), as_batch(g, o->s_phy, n),
                                  as_batch(g, o->actions, n));
    wm_features h = features_at(g, &truth, n, 0);
    ad_value s = at_time(g, o->state, 0);
    u->start = mass_square(o, ad_sub(g, wm_normalise(m, wm_estimate(m, &h, at_time(g, o->s_phy, 0)), &m->config->state),
                                     wm_normalise(m, s, &m->config->state)));
    for (int t = 0; t < k; t++) {
        ad_value a = at_time(g, o->actions, t), s0 = at_time(g, o->state, t), s1 = at_time(g, o->state, t + 1);
        wm_features h0 = features_at(g, &truth, n, t), h1 = features_at(g, &truth, n, t + 1);
        wm_gaussian p = wm_latent_prior(m, s, a), q = wm_latent_posterior(m, &h0, &h1, s0, s1, a);
        if (o->spec.memory)
            u->true_code[t] = ad_stop_gradient(g, wm_transport_code(m, s1, a));
        u->true_class[t] = true_class(o, t, u->true_code[t]);
        ad_value z = wm_latent_joined(m, wm_latent_sample(m, &q), u->true_class[t]);
        u->kl[t] = wm_latent_kl(m, &q, &p, &u->raw[t]);
        if (o->spec.gate) {
            ad_value surprise = wm_latent_class_loss(m, &p, u->true_class[t]);
            u->kl[t] = ad_add(g, u->kl[t], surprise);
            u->raw[t] = ad_add(g, u->raw[t], surprise);
        }
        ad_value next = wm_df_pred(m, &h, s, z, a, NULL);
        ad_value picture = m->config->colors > 0 ? wm_decode(m, next, &h, z) : AD_NONE;
        u->state[t] = mass_square(o, ad_div(g, ad_sub(g, next, s1), m->correction_scale));
        if (picture != AD_NONE)
            u->frame[t] =
                ad_mean_all(g, wm_weigh_clips(m, ad_square(g, ad_sub(g, picture, at_time(g, o->frames, t + 1)))));
        if (c->objective.physics > 0)
            u->physics[t] = physics_term(o, next, s, a);
        if (c->objective.physics > 0 && t == 0)
            o->first = next;
        if (o->spec.memory)
            codes_of(o, u, t, &p, &h, s, s0, a, next);
        s = next;
        if (t + 1 < k)
            h = wm_pf_enc(m, o->spec.batch, picture, at_time(g, o->s_phy, t + 1), at_time(g, o->actions, t + 1));
    }
}

static ad_value all_steps(const tr_objective *o, const ad_value *x)
{
    return o->spec.unroll == 1 ? x[0] : ad_concat(o->g, o->spec.unroll, x, 0);
}

ad_value tr_objective_joined(const tr_objective *o, ad_value code, ad_value context, ad_value bound)
{
    ad_graph *g = o->g;
    ad_value scale = ad_slice(g, o->scales, 0, 0, 1), factor = ad_slice(g, o->scales, 0, 1, 1);
    ad_value part[3] = {ad_mul(g, code, scale)};
    int n = 1;
    if (context != AD_NONE)
        part[n++] = ad_mul(g, context, ad_mul(g, factor, scale));
    if (bound != AD_NONE)
        part[n++] = ad_affine(g, bound, o->spec.config->transport.bind, 0.0);
    return n == 1 ? part[0] : ad_concat(g, n, part, 1);
}

void tr_objective_transport(tr_objective *o, ad_value x, ad_value y, ad_value weights, ad_value weights_y,
                            ad_value *fit, ad_value *edge)
{
    ad_graph *g = o->g;
    const tr_config *c = o->spec.config;
    if (ad_graph_status(g) != FWM_OK)
        return;
    const ot_sinkhorn_options so = {
        .blur = c->transport.blur, .scaling = c->transport.scaling, .extra = (int)c->transport.extra, .fixed_y = true};
    const ot_edge_options eo = {.hinge = c->transport.form == TR_EDGE_HINGE,
                                .rho = c->transport.relax,
                                .scaling = c->transport.scaling,
                                .extra = (int)c->transport.extra};
    int64_t M = ad_dim(g, x, 0);
    fwm_status status = ot_sinkhorn_create(&o->sinkhorn, o->spec.dtype, M, ad_dim(g, y, 0), ad_dim(g, x, 1), &so);
    if (status == FWM_OK)
        status = ot_edge_term_create(&o->edge, o->spec.memory, M, &eo);
    if (status != FWM_OK) {
        *fit = *edge = failed(o, status);
        return;
    }
    ad_value a = weights == AD_NONE ? AD_NONE : ad_affine(g, weights, 1.0 / (double)M, 0.0),
             b = weights_y == AD_NONE ? AD_NONE : ad_affine(g, weights_y, 1.0 / (double)ad_dim(g, y, 0), 0.0);
    *fit = ot_sinkhorn_weighted(g, o->sinkhorn, x, y, a, b);
    *edge = ot_edge_value(g, o->edge, o->code, o->context, weights);
}

static void transport_terms(tr_objective *o, const unrolled *u, ad_value row[TR_TERM_COUNT])
{
    o->code = all_steps(o, u->code);
    o->true_code = all_steps(o, u->true_code);
    o->context = o->true_context = all_steps(o, u->context);
    if (o->model.clip_weight != AD_NONE) {
        ad_value each[MAX_UNROLL];
        for (int t = 0; t < o->spec.unroll; t++)
            each[t] = o->model.clip_weight;
        ad_value w = all_steps(o, each);
        o->importance = ad_div(o->g, w, ad_mean_all(o->g, w));
    }
    if (o->spec.config->transport.weight <= 0)
        return; /* the memory is the gate's alone */
    ad_value bound = o->spec.gate ? all_steps(o, u->class_of) : AD_NONE,
             true_bound = o->spec.gate ? all_steps(o, u->true_class) : AD_NONE;
    tr_objective_transport(o, tr_objective_joined(o, o->code, o->context, bound),
                           tr_objective_joined(o, o->true_code, o->context, true_bound), o->importance, o->importance,
                           &row[TR_TERM_TRANSPORT], &row[TR_TERM_EDGE]);
}

static void world_terms(tr_objective *o, ad_value row[TR_TERM_COUNT + EXTRA])
{
    const tr_config *c = o->spec.config;
    int k = o->spec.unroll;
    unrolled u = {.start = AD_NONE};
    unroll(o, &u);
    row[TR_TERM_STATE] = mean_of(o->g, k, u.state);
    if (o->model.config->colors > 0)
        row[TR_TERM_FRAME] = mean_of(o->g, k, u.frame);
    row[TR_TERM_KL] = mean_of(o->g, k, u.kl);
    if (c->objective.physics > 0)
        row[TR_TERM_PHYSICS] = mean_of(o->g, k, u.physics);
    if (o->spec.memory)
        transport_terms(o, &u, row);
    row[TR_TERM_START] = u.start;
    row[TR_TERM_COUNT + 1] = mean_of(o->g, k, u.raw);
}

static void build_loss(tr_objective *o, ad_value *total)
{
    ad_graph *g = o->g;
    ad_value zero = ad_fill(g, ad_shape_make(1, 1), 0.0), row[TR_TERM_COUNT + EXTRA];
    for (int k = 0; k < TR_TERM_COUNT + EXTRA; k++)
        row[k] = zero;
    o->importance = AD_NONE;
    if (o->spec.config->model.kind == TR_MODEL_POINTS)
        tr_objective_points(o, row);
    else
        world_terms(o, row);
    ad_value terms = ad_concat(g, TR_TERM_COUNT, row, 0);
    *total = ad_sum_all(g, ad_mul(g, terms, o->weights));
    row[TR_TERM_COUNT] = *total;
    o->report = ad_concat(g, TR_TERM_COUNT + EXTRA, row, 0);
}

static fwm_status differentiate(tr_objective *o, ad_value total)
{
    ad_value all[MAX_PARAMETERS];
    int n = nn_graph_parameters(&o->model.nn, all, NULL, MAX_PARAMETERS);
    FWM_CHECK(n < MAX_PARAMETERS, FWM_INTERNAL, "objective: more than %d parameters", MAX_PARAMETERS);
    o->n_parameters = 0;
    for (int k = 0; k < n; k++)
        if ((o->spec.train_law || strncmp(ad_name_of(o->g, all[k]), TR_LAW_PREFIX, strlen(TR_LAW_PREFIX)) != 0) &&
            !tr_is_frozen(o->spec.config, ad_name_of(o->g, all[k])))
            o->parameter[o->n_parameters++] = all[k];
    return ad_gradient(o->g, total, o->n_parameters, o->parameter, o->gradient);
}

/* Whether the loader draws some clips more often than others. */
static bool weighs_clips(const tr_objective_spec *spec)
{
    return spec->config->data.key_state_weight != 1.0 ||
           (spec->config->transport.emphasis > 0 && spec->config->transport.weight > 0 && spec->memory &&
            spec->config->model.kind == TR_MODEL_WORLD);
}

static fwm_status begin_world(tr_objective *o)
{
    const wm_config *c = o->spec.model;
    int64_t B = o->spec.batch, T = o->spec.clip;
    FWM_CHECK(o->spec.unroll >= 1 && o->spec.unroll <= MAX_UNROLL, FWM_CONFIG,
              "objective.unroll: expected 1 to %d, found %d", MAX_UNROLL, o->spec.unroll);
    FWM_CHECK(o->spec.clip > o->spec.unroll, FWM_CONFIG,
              "data.clip: expected at least %d frames for objective.unroll %d, found %lld", o->spec.unroll + 1,
              o->spec.unroll, (long long)o->spec.clip);
    const wm_physics *physics = tr_law_physics(o->spec.law, o->spec.store);
    FWM_CHECK(o->spec.config->objective.physics <= 0 || physics->loss, FWM_CONFIG,
              "objective.physics: a weight above 0 needs physics.equation");
    FWM_TRY(wm_model_begin(&o->model, o->g, o->spec.store, c, physics));
    if (c->colors > 0)
        o->frames = ad_input(o->g, "frames", ad_shape_make(5, T, B, c->height, c->width, c->colors));
    if (c->s_phy.count > 0)
        o->s_phy = ad_input(o->g, "s_phy", ad_shape_make(4, T, B, c->coarse_nodes, c->s_phy.count));
    if (c->actions > 0)
        o->actions = ad_input(o->g, "actions", ad_shape_make(3, T, B, c->actions));
    return FWM_OK;
}

static fwm_status build(tr_objective *o)
{
    const wm_config *c = o->spec.model;
    FWM_TRY(ad_graph_create(&o->g, o->spec.dtype));
    if (o->spec.config->model.kind == TR_MODEL_POINTS)
        o->model =
            (wm_model){.nn = {o->g, o->spec.store}, .config = c, .correction_scale = AD_NONE, .clip_weight = AD_NONE};
    else
        FWM_TRY(begin_world(o));
    o->state = ad_input(o->g, "state", ad_shape_make(4, o->spec.clip, o->spec.batch, c->nodes, c->state.count));
    o->weights = ad_input(o->g, "weights", ad_shape_make(1, TR_TERM_COUNT));
    if (weighs_clips(&o->spec))
        o->model.clip_weight = ad_input(o->g, "clip_weight", ad_shape_make(1, o->spec.batch));
    if (o->spec.memory)
        o->scales = ad_input(o->g, "transport_scales", ad_shape_make(1, 2));
    ad_value total;
    build_loss(o, &total);
    FWM_TRY(ad_graph_status(o->g));
    FWM_TRY(differentiate(o, total));
    ad_value outputs[MAX_PARAMETERS + 7] = {o->report};
    int n = 1;
    if (o->first != AD_NONE)
        outputs[n++] = o->first;
    if (o->spec.memory) {
        const ad_value kept[] = {o->code, o->true_code, o->context, o->true_context, o->importance};
        for (int k = 0; k < 5; k++)
            if (kept[k] != AD_NONE && (k != 3 || kept[3] != kept[2]))
                outputs[n++] = kept[k];
    }
    memcpy(outputs + n, o->gradient, (size_t)o->n_parameters * sizeof *outputs);
    return ad_plan_create(&o->plan, o->g, n + o->n_parameters, outputs,
                          &(ad_plan_options){.budget = o->spec.budget, .least = o->spec.least});
}

fwm_status tr_objective_create(tr_objective **out, const tr_objective_spec *spec)
{
    tr_objective *o = fwm_calloc(1, sizeof *o);
    *out = NULL;
    FWM_CHECK(o, FWM_MEMORY, "objective: out of memory");
    o->spec = *spec;
    o->frames = o->s_phy = o->actions = o->first = AD_NONE;
    fwm_status status = build(o);
    if (status != FWM_OK)
        tr_objective_destroy(&o);
    *out = o;
    return status;
}

void tr_objective_destroy(tr_objective **o)
{
    if (!o || !*o)
        return;
    ad_plan_destroy(&(*o)->plan);
    ad_graph_destroy(&(*o)->g);
    ot_sinkhorn_destroy(&(*o)->sinkhorn);
    ot_edge_term_destroy(&(*o)->edge);
    ot_emphasis_destroy(&(*o)->emphasis);
    for (int k = 0; k < MAX_UNROLL; k++)
        ot_gate_value_destroy(&(*o)->gate[k]);
    fwm_free(*o);
    *o = NULL;
}

fwm_status tr_objective_prepare(tr_objective *o, void *flat, void *flat_grad)
{
    ad_value all[MAX_PARAMETERS];
    int n = nn_graph_parameters(&o->model.nn, all, NULL, MAX_PARAMETERS);
    FWM_TRY(nn_store_bind(&o->model.nn, o->plan, flat, n, all, NULL, NULL));
    size_t size = ad_dtype_size(o->spec.dtype);
    for (int k = 0; k < o->n_parameters; k++) {
        const nn_slot *slot = nn_store_find(o->spec.store, ad_name_of(o->g, o->parameter[k]));
        FWM_TRY(ad_plan_bind(o->plan, o->gradient[k], (char *)flat_grad + (size_t)slot->offset * size));
    }
    return ad_plan_prepare(o->plan);
}

const ad_plan *tr_objective_plan(const tr_objective *o)
{
    return o->plan;
}

ad_plan *tr_objective_plan_mutable(tr_objective *o)
{
    return o->plan;
}

/* ---- running ---- */

static void put(const tr_objective *o, ad_value input, int64_t at, double x)
{
    void *data = input == AD_NONE ? NULL : ad_plan_data(o->plan, input);
    if (!data)
        return; /* no term reads it */
    if (o->spec.dtype == AD_F64)
        ((double *)data)[at] = x;
    else
        ((float *)data)[at] = (float)x;
}

static double get(const tr_objective *o, int64_t at)
{
    const void *data = ad_plan_data(o->plan, o->report);
    return o->spec.dtype == AD_F64 ? ((const double *)data)[at] : (double)((const float *)data)[at];
}

void tr_objective_set_scale(tr_objective *o, const double *scale)
{
    for (int64_t k = 0; k < o->spec.model->state.count; k++)
        put(o, o->model.correction_scale, k, scale[k]);
}

/* [B,T,...] of a batch to [T,B,...] of the graph. */
static fwm_status copy_in(const tr_objective *o, ad_value input, const float *from, const char *name)
{
    void *data = input == AD_NONE ? NULL : ad_plan_data(o->plan, input);
    if (!data)
        return FWM_OK;
    FWM_CHECK(from, FWM_DATA, "the dataset has no %s", name);
    int64_t B = o->spec.batch, T = o->spec.clip, n = ad_count(o->g, input) / (B * T);
    for (int64_t t = 0; t < T; t++)
        for (int64_t b = 0; b < B; b++) {
            const float *x = from + (b * T + t) * n;
            int64_t at = (t * B + b) * n;
            if (o->spec.dtype == AD_F32)
                memcpy((float *)data + at, x, (size_t)n * sizeof *x);
            else
                for (int64_t i = 0; i < n; i++)
                    ((double *)data)[at + i] = (double)x[i];
        }
    return FWM_OK;
}

/* The same for frames as bytes: what is loaded are the floats that reading them as floats gives. */
static void copy_bytes_in(const tr_objective *o, ad_value input, const uint8_t *from)
{
    enum { BLOCK = 1024 };
    void *data = ad_plan_data(o->plan, input);
    int64_t B = o->spec.batch, T = o->spec.clip, n = data ? ad_count(o->g, input) / (B * T) : 0;
    for (int64_t row = 0; row < B * T; row++) {
        const int64_t at = (row % T * B + row / T) * n;
        if (o->spec.dtype == AD_F32 && n > 0)
            ds_bytes_to_floats((float *)data + at, from + row * n, n, DS_BRIGHTEST);
        for (int64_t i = 0; o->spec.dtype == AD_F64 && i < n; i += BLOCK) {
            float block[BLOCK];
            const int64_t m = n - i < BLOCK ? n - i : BLOCK;
            ds_bytes_to_floats(block, from + row * n + i, m, DS_BRIGHTEST);
            for (int64_t k = 0; k < m; k++)
                ((double *)data)[at + i + k] = (double)block[k];
        }
    }
}

fwm_status tr_objective_load(tr_objective *o, const ds_batch *batch)
{
    FWM_CHECK(batch->count == o->spec.batch && batch->length == o->spec.clip, FWM_INVALID,
              "objective: expected a batch of %lld clips of %lld frames, found %lld of %lld", (long long)o->spec.batch,
              (long long)o->spec.clip, (long long)batch->count, (long long)batch->length);
    if (batch->clip.frame_bytes && o->frames != AD_NONE)
        copy_bytes_in(o, o->frames, batch->clip.frame_bytes);
    else
        FWM_TRY(copy_in(o, o->frames, batch->clip.frames, "frames"));
    for (int64_t b = 0; o->model.clip_weight != AD_NONE && b < batch->count; b++)
        put(o, o->model.clip_weight, b, (double)batch->weight[b]);
    FWM_TRY(copy_in(o, o->state, batch->clip.state, "state"));
    FWM_TRY(copy_in(o, o->s_phy, batch->clip.s_phy, "s_phy"));
    return copy_in(o, o->actions, batch->clip.actions, "actions");
}

fwm_status tr_objective_run(tr_objective *o, const double weights[TR_TERM_COUNT], uint64_t seed, uint64_t step,
                            double *loss, double terms[TR_TERM_COUNT], double *kl)
{
    for (int k = 0; k < TR_TERM_COUNT; k++)
        put(o, o->weights, k, weights[k]);
    if (o->spec.memory) {
        const ot_geometry *look = ot_memory_geometry(o->spec.memory);
        put(o, o->scales, 0, 1 / (look->ready ? look->s : 1.0));
        put(o, o->scales, 1, look->ready ? look->factor : 1.0);
    }
    FWM_TRY(ad_plan_run(o->plan, seed, step));
    for (int k = 0; k < TR_TERM_COUNT; k++)
        terms[k] = get(o, k);
    *loss = get(o, TR_TERM_COUNT);
    if (kl)
        *kl = get(o, TR_TERM_COUNT + 1);
    return FWM_OK;
}

const ot_edge_report *tr_objective_edge(const tr_objective *o)
{
    return o->edge ? ot_edge_last(o->edge) : NULL;
}

static const void *kept(const tr_objective *o, ad_value v)
{
    return v == AD_NONE ? NULL : ad_plan_data(o->plan, v);
}

bool tr_objective_transition(const tr_objective *o, const float **s1, const float **s0, const float **a)
{
    if (o->first == AD_NONE || o->spec.dtype != AD_F32)
        return false;
    *s1 = ad_plan_data(o->plan, o->first);
    *s0 = ad_plan_data(o->plan, o->state); /* times come first: the first of each */
    *a = ad_plan_data(o->plan, o->actions);
    return *s1 && *s0 && *a;
}

const float *tr_objective_contexts(const tr_objective *o, int64_t *width)
{
    *width = ad_dim(o->g, o->context, 1);
    return ad_plan_data(o->plan, o->context);
}

fwm_status tr_objective_remember(tr_objective *o, int64_t step)
{
    if (!o->spec.memory)
        return FWM_OK;
    FWM_TRY(ot_memory_push(o->spec.memory, step, ad_dim(o->g, o->true_code, 0), kept(o, o->true_code),
                           kept(o, o->true_context), ad_dim(o->g, o->code, 0), kept(o, o->code), kept(o, o->context),
                           kept(o, o->importance)));
    return o->spec.gate ? ot_gate_update(o->spec.gate) : FWM_OK;
}
