/* DF-Pred: what the law predicts, and what the network knows better.
 *
 *     s*     = Step(s, a; theta)                      one differentiable implicit finite-element step, or s itself
 *     s(t+1) = s* + scale free sample(U-Net(render(s), render(s* - s), h, z, a))
 *
 * free is 0 where essential conditions hold the state, which the step has put there. The U-Net's last convolution
 * starts at zero: an untrained model is the simulation. Its first level is the rendered picture with pixels folded into
 * channels, which keeps the finest detail at a quarter of the cost. */
#include "model/world_model.h"

#include <math.h>

static const char *const down_name[WM_MAX_LEVELS] = {"down0", "down1", "down2", "down3"};
static const char *const up_name[WM_MAX_LEVELS] = {"up0", "up1", "up2", "up3"};

/* conv -> norm -> SiLU, scaled and shifted by what the latent and the action say, with a memory of place. */
static ad_value block(const wm_model *m, const char *name, ad_value x, int64_t width, ad_value cond)
{
    const nn_builder *b = &m->nn;
    ad_scope_push(b->g, name);
    ad_value y = nn_conv(b, "conv", x, width, 3, 1, false, sqrt(2.0));
    if (m->config->predictor.position_bias)
        y = nn_position_bias(b, "position", y);
    y = nn_norm_silu(b, "norm", y, m->config->groups);
    y = nn_film(b, "film", y, cond);
    ad_scope_pop(b->g);
    return y;
}

/* The encoder's features at the side of `like`, where one of its scales has it. */
static ad_value join_features(const wm_model *m, ad_value x, const wm_features *h)
{
    ad_graph *g = m->nn.g;
    for (int k = 0; k < WM_SCALES; k++)
        if (ad_dim(g, h->scale[k], 1) == ad_dim(g, x, 1) && ad_dim(g, h->scale[k], 2) == ad_dim(g, x, 2)) {
            ad_value both[2] = {x, h->scale[k]};
            return ad_concat(g, 2, both, 3);
        }
    return x;
}

static ad_value correction(const wm_model *m, ad_value picture, const wm_features *h, ad_value cond)
{
    const wm_config *c = m->config;
    const nn_builder *b = &m->nn;
    ad_value skip[WM_MAX_LEVELS], y = ad_pixel_unshuffle(b->g, picture, c->predictor.unshuffle);
    for (int k = 0; k < c->predictor.levels; k++) {
        if (k > 0)
            y = ad_average_pool(b->g, y, 2);
        skip[k] = y = block(m, down_name[k], join_features(m, y, h), c->predictor.width[k], cond);
    }
    for (int k = c->predictor.levels - 2; k >= 0; k--) {
        ad_value both[2] = {ad_upsample_nearest(b->g, y, 2), skip[k]};
        y = block(m, up_name[k], ad_concat(b->g, 2, both, 3), c->predictor.width[k], cond);
    }
    int64_t out = c->state.count * c->predictor.unshuffle * c->predictor.unshuffle;
    y = nn_conv(b, "out", y, out, 3, 1, true, 0.0);
    return ad_pixel_shuffle(b->g, y, c->predictor.unshuffle);
}

ad_value wm_df_pred(const wm_model *m, const wm_features *h, ad_value s, ad_value z, ad_value a, ad_value *prior)
{
    const wm_config *c = m->config;
    const wm_physics *p = m->physics;
    ad_graph *g = m->nn.g;
    ad_scope_push(g, "df_pred");
    ad_value star = c->predictor.prior_fem ? p->step(p->self, g, s, a) : s;
    ad_value parts[2] = {wm_render_state(m, s, c->predictor.grid, c->predictor.grid)};
    int n = 1;
    if (c->predictor.prior_fem) {
        ad_value delta = ad_div(g, ad_sub(g, star, s), m->correction_scale);
        /* The law's own change, in units of the correction's, can be large beside it. */
        parts[n++] = ad_affine(g, p->render(p->self, g, delta, false, c->predictor.grid, c->predictor.grid), 0.1, 0.0);
    }
    ad_value picture = n == 1 ? parts[0] : ad_concat(g, n, parts, 3);
    ad_value cond[2] = {z, wm_normalise_action(m, a)};
    ad_value joined = c->actions > 0 ? ad_concat(g, 2, cond, 1) : z;
    ad_value y = correction(m, picture, h, joined);
    y = ad_mul(g, p->sample(p->self, g, y), m->correction_scale);
    if (p->free && c->predictor.prior_fem)
        y = ad_mul(g, y, ad_constant(g, ad_shape_make(2, c->nodes, c->state.count), p->free));
    ad_value next = ad_add(g, star, y);
    ad_scope_pop(g);
    if (prior)
        *prior = star;
    return next;
}
