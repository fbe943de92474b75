#include "train/identify.h"

#include "model/base/arena.h"
#include "train/optimizer.h"

#include <string.h>

struct tr_identify {
    const tr_config *config;
    ad_graph *g;
    nn_builder nn;
    ad_plan *plan;
    ad_value s0, s1, a, report, error;
    ad_value parameter[FEM_MAX_PARAMETERS], gradient[FEM_MAX_PARAMETERS];
    int n_parameters;
    float *grad;
    int64_t size, batch, nodes, fields, actions;
};

static void build_graph(tr_identify *o, tr_law *law, const wm_physics *p, const double *std)
{
    ad_graph *g = o->g;
    int64_t B = o->batch;
    o->s0 = ad_input(g, "s0", ad_shape_make(3, B, o->nodes, o->fields));
    o->s1 = ad_input(g, "s1", ad_shape_make(3, B, o->nodes, o->fields));
    o->a = o->actions > 0 ? ad_input(g, "a", ad_shape_make(2, B, o->actions)) : AD_NONE;
    ad_value miss = ad_sub(g, p->step(p->self, g, o->s0, o->a), o->s1);
    double scale[WM_MAX_CHANNELS];
    for (int64_t k = 0; k < o->fields; k++)
        scale[k] = 1.0 / (std[k] * std[k]);
    ad_value weight = ad_mul(g, ad_constant(g, ad_shape_make(2, o->nodes, 1), p->mass),
                             ad_constant(g, ad_shape_make(2, 1, o->fields), scale));
    int axes[2] = {0, 1};
    o->error = ad_sum(g, ad_mul(g, ad_square(g, miss), ad_constant(g, ad_shape_make(2, o->nodes, 1), p->mass)), 2, axes,
                      false);
    ad_value loss =
        ad_affine(g, ad_sum_all(g, ad_mul(g, ad_square(g, miss), weight)), 1.0 / (double)(B * o->fields), 0.0);
    ad_value variation = tr_law_total_variation(law, &o->nn);
    variation = variation == AD_NONE ? ad_fill(g, ad_shape_make(1, 1), 0.0)
                                     : ad_affine(g, variation, o->config->physics.identification.total_variation, 0.0);
    ad_value rows[3] = {ad_add(g, loss, variation), loss, variation};
    o->report = ad_concat(g, 3, rows, 0);
    o->n_parameters = nn_graph_parameters(&o->nn, o->parameter, NULL, FEM_MAX_PARAMETERS);
    if (ad_graph_status(g) == FWM_OK && ad_gradient(g, rows[0], o->n_parameters, o->parameter, o->gradient) != FWM_OK)
        (void)ad_graph_fail(g, FWM_INTERNAL, "identification: %s", fwm_error_message());
}

static fwm_status build(tr_identify *o, tr_law *law, nn_store *store, const double *std)
{
    FWM_CHECK(nn_store_count(store) == 0, FWM_INTERNAL, "identification: the law's parameters come first in the store");
    const wm_physics *p = tr_law_physics(law, store);
    FWM_TRY(ad_graph_create(&o->g, AD_F32));
    o->nn = (nn_builder){.g = o->g, .store = store};
    build_graph(o, law, p, std);
    FWM_TRY(ad_graph_status(o->g));
    o->size = nn_store_size(store);
    o->grad = fwm_calloc((size_t)o->size, sizeof *o->grad);
    FWM_CHECK(o->grad, FWM_MEMORY, "identification: out of memory");
    ad_value outputs[2 + FEM_MAX_PARAMETERS] = {o->report, o->error};
    memcpy(outputs + 2, o->gradient, (size_t)o->n_parameters * sizeof *outputs);
    return ad_plan_create(&o->plan, o->g, 2 + o->n_parameters, outputs, NULL);
}

fwm_status tr_identify_create(tr_identify **out, const tr_config *config, tr_law *law, nn_store *store, int64_t nodes,
                              int64_t fields, int64_t actions, const double *std)
{
    *out = NULL;
    if (!tr_law_equation(law) || config->physics.learn.count == 0)
        return FWM_OK;
    tr_identify *o = fwm_calloc(1, sizeof *o);
    FWM_CHECK(o, FWM_MEMORY, "identification: out of memory");
    o->config = config;
    o->batch = config->physics.identification.batch;
    o->nodes = nodes;
    o->fields = fields;
    o->actions = actions;
    fwm_status status = build(o, law, store, std);
    if (status != FWM_OK)
        tr_identify_destroy(&o);
    *out = o;
    return status;
}

void tr_identify_destroy(tr_identify **o)
{
    if (!o || !*o)
        return;
    ad_plan_destroy(&(*o)->plan);
    ad_graph_destroy(&(*o)->g);
    fwm_free((*o)->grad);
    fwm_free(*o);
    *o = NULL;
}

int64_t tr_identify_size(const tr_identify *o)
{
    return o ? o->size : 0;
}

const ad_plan *tr_identify_plan(const tr_identify *o)
{
    return o->plan;
}

fwm_status tr_identify_prepare(tr_identify *o, float *flat)
{
    FWM_TRY(nn_store_bind(&o->nn, o->plan, flat, o->n_parameters, o->parameter, o->gradient, o->grad));
    return ad_plan_prepare(o->plan);
}

/* Frames 0 and 1 of each clip. */
static fwm_status load(tr_identify *o, const ds_batch *batch)
{
    FWM_CHECK(batch->count == o->batch && batch->length >= 2, FWM_INVALID,
              "identification: expected %lld clips of two frames, found %lld of %lld", (long long)o->batch,
              (long long)batch->count, (long long)batch->length);
    FWM_CHECK(batch->clip.state && (batch->clip.actions || o->actions == 0), FWM_DATA,
              "identification: the dataset has no state or no actions");
    float *s0 = ad_plan_data(o->plan, o->s0), *s1 = ad_plan_data(o->plan, o->s1),
          *a = o->actions > 0 ? ad_plan_data(o->plan, o->a) : NULL;
    size_t n = (size_t)(o->nodes * o->fields), A = (size_t)o->actions, T = (size_t)batch->length;
    for (size_t b = 0; b < (size_t)o->batch; b++) {
        memcpy(s0 + b * n, batch->clip.state + b * T * n, n * sizeof *s0);
        memcpy(s1 + b * n, batch->clip.state + (b * T + 1) * n, n * sizeof *s1);
        if (a)
            memcpy(a + b * A, batch->clip.actions + b * T * A, A * sizeof *a);
    }
    return FWM_OK;
}

fwm_status tr_identify_step(tr_identify *o, const ds_batch *batch, float *flat, float *m, float *v, int64_t step,
                            double *loss, double *variation)
{
    const tr_optimizer_options options = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
    FWM_TRY(load(o, batch));
    FWM_TRY(ad_plan_run(o->plan, 0, (uint64_t)step));
    const float *report = ad_plan_data(o->plan, o->report);
    *loss = (double)report[1];
    *variation = (double)report[2];
    /* The step size falls to a tenth, so that the last updates average the batches rather than follow them. */
    double done = (double)(step - 1) / (double)o->config->physics.identification.steps;
    double lr = o->config->physics.identification.lr * (done < 0.5 ? 1.0 : 1.0 - 1.8 * (done - 0.5));
    const tr_vectors x = {.p = flat, .m = m, .v = v, .g = o->grad};
    return tr_optimizer_step(NULL, &x, &options, lr, step, AD_F32, o->size);
}

fwm_status tr_identify_error(tr_identify *o, const ds_batch *batch, double *sum, double *count)
{
    FWM_TRY(load(o, batch));
    FWM_TRY(ad_plan_run(o->plan, 0, 0));
    const float *error = ad_plan_data(o->plan, o->error);
    for (int64_t k = 0; k < o->fields; k++)
        sum[k] += (double)error[k];
    *count += (double)o->batch;
    return FWM_OK;
}
