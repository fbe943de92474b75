/* A generator or regressor of points: p = G(x, noise), trained by the transport terms, or by the squared error.
 *
 * The batch's clips are points y, or pairs x, y (data/toys.h). A generator makes `draw` predictions in a step, from
 * fresh noise and, of pairs, from the batch's contexts; with emphasis the noise and contexts are chosen out of a pool
 * of the batch's size by how far their predictions are off the sheets, and the divergence weighs them back. The class
 * of the gate, where there is one, is given to the network and bound in the cost: of true codes by their sheet, of
 * predictions by their noise, or drawn from the classifier of the context, whose own loss stands in the KL's place
 * (the KL of a posterior that is certain is the cross entropy). */
#include "train/objective_impl.h"

#include "train/points.h"

typedef struct draw {
    ad_value x, noise; /* of the pool, then of what was chosen; AD_NONE: there is none */
} draw;

static ad_value failed(const tr_objective *o, fwm_status status)
{
    char message[FWM_ERROR_CAPACITY];
    fwm_error_get(message, sizeof message);
    return ad_graph_fail(o->g, status, "points: %s", message);
}

/* Step t of the clips, [B,d]. */
static ad_value at_time(const tr_objective *o, int64_t t)
{
    ad_graph *g = o->g;
    return ad_reshape(g, ad_slice(g, o->state, 0, t, 1), ad_shape_make(2, o->spec.batch, o->model.config->state.count));
}

static ad_value first_rows(ad_graph *g, ad_value x, int64_t M)
{
    return x == AD_NONE || ad_dim(g, x, 0) == M ? x : ad_slice(g, x, 0, 0, M);
}

/* The class of predictions, one-hot, and the classifier's loss against the classes of the true codes. */
static ad_value choose_class(tr_objective *o, const draw *d, ad_value x_all, ad_value *bound_y, ad_value *loss)
{
    ad_graph *g = o->g;
    int64_t B = o->spec.batch, M = ad_dim(g, d->noise != AD_NONE ? d->noise : d->x, 0);
    bool of_noise = x_all == AD_NONE;
    fwm_status status = ot_gate_value_create(&o->gate[0], o->spec.gate, B, false);
    if (status == FWM_OK && of_noise)
        status = ot_gate_value_create(&o->gate[1], o->spec.gate, M, true);
    if (status != FWM_OK)
        return failed(o, status);
    *bound_y = ot_gate_one_hot(g, o->gate[0], o->true_code);
    if (of_noise)
        return ot_gate_one_hot(g, o->gate[1], d->noise);
    ad_value logits = tr_points_logits(o->spec.config, &o->model, x_all);
    int axis = 1;
    ad_value entropy = ad_sum(g, ad_mul(g, *bound_y, ad_log_softmax(g, logits)), 1, &axis, false);
    *loss = ad_neg(g, ad_mean_all(g, entropy));
    return tr_points_class(&o->model, tr_points_logits(o->spec.config, &o->model, d->x));
}

/* Of a pool as large as the batch, the rows whose predictions are off the sheets more often. */
static ad_value emphasise(tr_objective *o, const draw *pool, draw *chosen, int64_t M)
{
    ad_graph *g = o->g;
    const tr_config *c = o->spec.config;
    fwm_status status = ot_emphasis_create(&o->emphasis, o->spec.memory, o->spec.batch, M, c->transport.emphasis);
    if (status != FWM_OK)
        return failed(o, status);
    ad_value p = tr_points_predict(c, &o->model, pool->x, pool->noise, AD_NONE);
    ad_value picked = ot_emphasis_value(g, o->emphasis, p, ad_random_uniform(g, ad_shape_make(1, 1)));
    ad_value index = ad_reshape(g, ad_slice(g, picked, 0, 0, 1), ad_shape_make(1, M));
    if (pool->x != AD_NONE)
        chosen->x = ad_gather(g, pool->x, index, 0);
    if (pool->noise != AD_NONE)
        chosen->noise = ad_gather(g, pool->noise, index, 0);
    ad_value weight = ad_reshape(g, ad_slice(g, picked, 0, 1, 1), ad_shape_make(1, M));
    return ad_div(g, weight, ad_mean_all(g, weight));
}

/* Mean squared error over s^2. */
static ad_value squared_error(const tr_objective *o, ad_value p, ad_value y)
{
    ad_graph *g = o->g;
    ad_value scale = ad_square(g, ad_slice(g, o->scales, 0, 0, 1));
    ad_value sum = ad_sum_all(g, ad_square(g, ad_sub(g, p, y)));
    return ad_mul(g, ad_affine(g, sum, 1.0 / (double)ad_dim(g, p, 0), 0.0), scale);
}

void tr_objective_points(tr_objective *o, ad_value row[TR_TERM_COUNT])
{
    ad_graph *g = o->g;
    const tr_config *c = o->spec.config;
    int64_t B = o->spec.batch, M = c->model.points.draw < B ? c->model.points.draw : B;
    bool paired = o->spec.clip > 1, regressor = c->model.points.head == TR_HEAD_REGRESSOR,
         gated = c->model.latent.gate == TR_GATE_SHEETS;
    ad_value x_all = paired ? at_time(o, 0) : AD_NONE, bound_y = AD_NONE, bound = AD_NONE,
             y = at_time(o, o->spec.clip - 1);
    o->true_code = y;
    o->true_context = x_all;
    bool emphatic = c->transport.emphasis > 0;
    draw pool = {.x = x_all, .noise = AD_NONE};
    if (!regressor)
        pool.noise = tr_points_noise(c, &o->model, emphatic ? B : M);
    draw chosen = {.x = first_rows(g, x_all, M), .noise = first_rows(g, pool.noise, M)};
    if (emphatic)
        o->importance = emphasise(o, &pool, &chosen, M);
    if (gated)
        bound = choose_class(o, &chosen, x_all, &bound_y, &row[TR_TERM_KL]);
    o->code = tr_points_predict(c, &o->model, chosen.x, chosen.noise, bound);
    o->context = chosen.x;
    tr_objective_transport(o, tr_objective_joined(o, o->code, o->context, bound),
                           tr_objective_joined(o, y, x_all, bound_y), o->importance, AD_NONE, &row[TR_TERM_TRANSPORT],
                           &row[TR_TERM_EDGE]);
    if (regressor)
        row[TR_TERM_STATE] = squared_error(o, o->code, first_rows(g, y, M));
}
