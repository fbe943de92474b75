/* Z: diagonal Gaussian prior Z(s, a, phi) and the posterior that training uses, with balanced KL and free bits; with
 * the gate, the class of the sheet that the next state is on beside it. */
#include "model/base/arena.h"
#include "model/base/random.h"
#include "model/world_model.h"

#include <math.h>

enum { STATE_PICTURE = 16, HIDDEN = 128, TRUNK = 32, CODE_STREAM = 0x636f6465 };

/* A vector that summarises a state: its picture at 16x16, two strided convolutions. */
static ad_value state_trunk(const wm_model *m, ad_value s)
{
    const nn_builder *b = &m->nn;
    ad_scope_push(b->g, "state");
    ad_value y = wm_render_state(m, s, STATE_PICTURE, STATE_PICTURE);
    y = nn_conv_block(b, "conv0", y, TRUNK / 2, 3, 2, m->config->groups);
    y = nn_conv_block(b, "conv1", y, TRUNK, 3, 2, m->config->groups);
    y = ad_silu(b->g, nn_linear(b, "out", nn_flatten(b, y), HIDDEN / 2, sqrt(2.0)));
    ad_scope_pop(b->g);
    return y;
}

/* Bounded to (lo, hi) by a smooth map that is 0 at 0 where 0 lies inside. */
static ad_value bounded_log_std(const wm_model *m, ad_value x)
{
    double lo = m->config->latent.min_log_std, hi = m->config->latent.max_log_std;
    double at = fmin(fmax(-lo / (hi - lo), 0.01), 0.99);
    ad_value unit = ad_sigmoid(m->nn.g, ad_affine(m->nn.g, x, 1.0, log(at / (1 - at))));
    return ad_affine(m->nn.g, unit, hi - lo, lo);
}

static wm_gaussian head(const wm_model *m, int n, const ad_value *part)
{
    const nn_builder *b = &m->nn;
    int64_t d = m->config->latent.size;
    ad_value y = nn_mlp(b, "head", ad_concat(b->g, n, part, 1), HIDDEN, 2 * d, 0.1);
    return (wm_gaussian){ad_slice(b->g, y, 1, 0, d), bounded_log_std(m, ad_slice(b->g, y, 1, d, d)), AD_NONE};
}

wm_gaussian wm_latent_prior(const wm_model *m, ad_value s, ad_value a)
{
    ad_graph *g = m->nn.g;
    ad_scope_push(g, "prior");
    ad_value part[3] = {state_trunk(m, s), wm_normalise_action(m, a)};
    int n = m->config->actions > 0 ? 2 : 1;
    ad_value phi = m->physics->describe ? m->physics->describe(m->physics->self, g) : AD_NONE;
    if (phi != AD_NONE)
        part[n++] = ad_broadcast_to(g, phi, ad_shape_make(2, ad_dim(g, s, 0), ad_dim(g, phi, -1)));
    wm_gaussian p = head(m, n, part);
    if (m->config->latent.classes > 0)
        p.logits = nn_mlp(&m->nn, "gate", ad_concat(g, n, part, 1), HIDDEN, m->config->latent.classes, 0.1);
    ad_scope_pop(g);
    return p;
}

wm_gaussian wm_latent_posterior(const wm_model *m, const wm_features *h0, const wm_features *h1, ad_value s0,
                                ad_value s1, ad_value a)
{
    const nn_builder *b = &m->nn;
    int last = WM_SCALES - 1, axes[2] = {1, 2};
    ad_scope_push(b->g, "posterior");
    ad_value part[5] = {ad_mean(b->g, h0->scale[last], 2, axes, false), ad_mean(b->g, h1->scale[last], 2, axes, false),
                        state_trunk(m, s0), state_trunk(m, s1), wm_normalise_action(m, a)};
    wm_gaussian q = head(m, m->config->actions > 0 ? 5 : 4, part);
    ad_scope_pop(b->g);
    return q;
}

ad_value wm_latent_sample(const wm_model *m, const wm_gaussian *p)
{
    ad_graph *g = m->nn.g;
    ad_value noise = ad_random_normal(g, *ad_shape_of(g, p->mean));
    return ad_add(g, p->mean, ad_mul(g, ad_exp(g, p->log_std), noise));
}

ad_value wm_latent_class(const wm_model *m, const wm_gaussian *prior, ad_value noise)
{
    ad_graph *g = m->nn.g;
    if (ad_graph_status(g) != FWM_OK)
        return AD_NONE;
    if (noise == AD_NONE)
        noise = ad_random_normal(g, *ad_shape_of(g, prior->logits));
    ad_value u = ad_affine(g, ad_erf(g, ad_affine(g, noise, sqrt(0.5), 0.0)), 0.5, 0.5); /* uniform: its distribution */
    u = ad_clamp(g, u, 1e-6, 1 - 1e-6);
    ad_value gumbel = ad_neg(g, ad_log(g, ad_neg(g, ad_log(g, u))));
    return ad_stop_gradient(g, ad_max_one_hot(g, ad_add(g, prior->logits, gumbel)));
}

ad_value wm_latent_class_loss(const wm_model *m, const wm_gaussian *prior, ad_value class_of)
{
    ad_graph *g = m->nn.g;
    int axis = 1;
    ad_value likely = ad_sum(g, ad_mul(g, class_of, ad_log_softmax(g, prior->logits)), 1, &axis, false);
    return ad_neg(g, ad_mean_all(g, wm_weigh_clips(m, likely)));
}

ad_value wm_latent_joined(const wm_model *m, ad_value z, ad_value class_of)
{
    ad_value both[2] = {z, class_of};
    return class_of == AD_NONE ? z : ad_concat(m->nn.g, 2, both, 1);
}

/* KL(q || p) summed over dimensions: [B]. */
static ad_value kl_divergence(ad_graph *g, wm_gaussian q, wm_gaussian p)
{
    ad_value ratio = ad_exp(g, ad_affine(g, ad_sub(g, q.log_std, p.log_std), 2.0, 0.0));
    ad_value miss = ad_mul(g, ad_sub(g, q.mean, p.mean), ad_exp(g, ad_neg(g, p.log_std)));
    ad_value inside =
        ad_sub(g, ad_add(g, ratio, ad_square(g, miss)), ad_affine(g, ad_sub(g, q.log_std, p.log_std), 2.0, 1.0));
    int axis = 1;
    return ad_affine(g, ad_sum(g, inside, 1, &axis, false), 0.5, 0.0);
}

static wm_gaussian stopped(ad_graph *g, const wm_gaussian *p)
{
    return (wm_gaussian){ad_stop_gradient(g, p->mean), ad_stop_gradient(g, p->log_std), AD_NONE};
}

ad_value wm_latent_kl(const wm_model *m, const wm_gaussian *q, const wm_gaussian *p, ad_value *raw)
{
    ad_graph *g = m->nn.g;
    ad_value floor = ad_fill(g, ad_shape_make(1, 1), m->config->latent.free_nats);
    ad_value to_prior = wm_weigh_clips(m, ad_maximum(g, kl_divergence(g, stopped(g, q), *p), floor));
    ad_value to_posterior = wm_weigh_clips(m, ad_maximum(g, kl_divergence(g, *q, stopped(g, p)), floor));
    *raw = ad_mean_all(g, wm_weigh_clips(m, kl_divergence(g, stopped(g, q), stopped(g, p))));
    return ad_add(g, ad_affine(g, ad_mean_all(g, to_prior), m->config->latent.balance_prior, 0.0),
                  ad_affine(g, ad_mean_all(g, to_posterior), m->config->latent.balance_posterior, 0.0));
}

/* y [B,D] in at most `size` dimensions: a fixed Gaussian projection keeps distances (Johnson & Lindenstrauss 1984). */
static ad_value projected(const wm_model *m, ad_value y)
{
    ad_graph *g = m->nn.g;
    int64_t D = ad_dim(g, y, -1), d = m->config->transport.size;
    if (ad_graph_status(g) != FWM_OK || D <= d)
        return y;
    double *w = fwm_malloc((size_t)(D * d), sizeof *w);
    if (!w)
        return ad_graph_fail(g, FWM_MEMORY, "transport code: out of memory");
    fwm_random_normal_f64((fwm_key){(uint64_t)D, CODE_STREAM}, (uint64_t)d, D * d, w);
    for (int64_t i = 0; i < D * d; i++)
        w[i] /= sqrt((double)d);
    ad_value W = ad_constant(g, ad_shape_make(2, D, d), w);
    fwm_free(w);
    return ad_matmul(g, y, W, false, false);
}

ad_value wm_transport_code(const wm_model *m, ad_value s, ad_value a)
{
    const wm_config *c = m->config;
    wm_model frozen = *m;
    frozen.nn.frozen = true;
    if (c->transport.code == WM_CODE_STATE)
        return projected(m, nn_flatten(&m->nn, wm_render_state(m, s, STATE_PICTURE, STATE_PICTURE)));
    if (c->transport.code == WM_CODE_LATENT)
        return projected(m, wm_latent_prior(&frozen, s, a).mean);
    ad_scope_push(m->nn.g, "prior");
    ad_value y = state_trunk(&frozen, s);
    ad_scope_pop(m->nn.g);
    return projected(m, y);
}

/* Dimensions of a code before it is projected. */
static int64_t raw_size(const wm_config *c)
{
    return c->transport.code == WM_CODE_STATE    ? STATE_PICTURE * STATE_PICTURE * c->state.count
           : c->transport.code == WM_CODE_LATENT ? c->latent.size
                                                 : HIDDEN / 2;
}

void wm_transport_sizes(const wm_config *c, int64_t *code, int64_t *context)
{
    int64_t raw = raw_size(c);
    *code = raw < c->transport.size ? raw : c->transport.size;
    *context = *code + (c->transport.code == WM_CODE_LATENT ? 0 : c->actions);
}

ad_value wm_transport_context(const wm_model *m, ad_value s, ad_value a)
{
    const wm_config *c = m->config;
    ad_value code = wm_transport_code(m, s, a);
    if (c->transport.code == WM_CODE_LATENT || c->actions == 0)
        return code;
    double weight = sqrt((double)raw_size(c) / (double)c->actions);
    ad_value both[2] = {code, ad_affine(m->nn.g, wm_normalise_action(m, a), weight, 0.0)};
    return ad_concat(m->nn.g, 2, both, 1);
}
