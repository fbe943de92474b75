#include "model/world_model.h"

#include <math.h>

fwm_status wm_model_begin(wm_model *m, ad_graph *g, nn_store *store, const wm_config *c, const wm_physics *physics)
{
    FWM_CHECK(c->height % 8 == 0 && c->width % 8 == 0 && c->height >= 16 && c->width >= 16, FWM_CONFIG,
              "model: frames must be at least 16x16 with sides divisible by 8, found %lldx%lld", (long long)c->height,
              (long long)c->width);
    FWM_CHECK(physics && physics->render && physics->sample, FWM_CONFIG, "model: no mesh to render and sample");
    FWM_CHECK(!c->predictor.prior_fem || physics->step, FWM_CONFIG,
              "model.predictor.prior: 'fem' needs an equation; set physics.equation, or predictor.prior: none");
    FWM_CHECK((!c->encoder.frame_tower || c->colors > 0) && (!c->encoder.physics_tower || c->s_phy.count > 0),
              FWM_CONFIG, "model.encoder: a tower needs what it looks at: frames, the cheap simulation");
    int64_t top = c->predictor.grid / c->predictor.unshuffle;
    FWM_CHECK(c->predictor.grid % c->predictor.unshuffle == 0 && top % (1 << (c->predictor.levels - 1)) == 0,
              FWM_CONFIG, "model.predictor: grid %lld cannot be halved %d times", (long long)c->predictor.grid,
              c->predictor.levels - 1);
    *m = (wm_model){.nn = {g, store}, .config = c, .physics = physics, .clip_weight = AD_NONE};
    m->correction_scale = ad_input(g, "correction_scale", ad_shape_make(1, c->state.count));
    return ad_graph_status(g);
}

ad_value wm_weigh_clips(const wm_model *m, ad_value x)
{
    ad_graph *g = m->nn.g;
    if (m->clip_weight == AD_NONE || ad_graph_status(g) != FWM_OK)
        return x;
    ad_shape shape = *ad_shape_of(g, x);
    ad_value w = m->clip_weight;
    if (ad_dim(g, w, 0) != shape.dim[0])
        w = ad_slice(g, w, 0, 0, shape.dim[0]);
    for (int k = 1; k < shape.rank; k++)
        shape.dim[k] = 1;
    return ad_mul(g, x, ad_reshape(g, w, shape));
}

static ad_value affine_channels(ad_graph *g, ad_value x, int64_t n, const double *mean, const double *std)
{
    double scale[WM_MAX_ACTIONS], shift[WM_MAX_ACTIONS];
    for (int64_t k = 0; k < n; k++) {
        scale[k] = 1.0 / std[k];
        shift[k] = -mean[k] / std[k];
    }
    if (n == 1)
        return ad_affine(g, x, scale[0], shift[0]);
    ad_value s = ad_constant(g, ad_shape_make(1, n), scale), t = ad_constant(g, ad_shape_make(1, n), shift);
    return ad_add(g, ad_mul(g, x, s), t);
}

ad_value wm_normalise(const wm_model *m, ad_value x, const wm_channels *stats)
{
    return affine_channels(m->nn.g, x, stats->count, stats->mean, stats->std);
}

ad_value wm_normalise_action(const wm_model *m, ad_value a)
{
    const wm_config *c = m->config;
    return c->actions > 0 ? affine_channels(m->nn.g, a, c->actions, c->action_mean, c->action_std) : AD_NONE;
}

ad_value wm_render_state(const wm_model *m, ad_value s, int64_t kh, int64_t kw)
{
    return m->physics->render(m->physics->self, m->nn.g, wm_normalise(m, s, &m->config->state), false, kh, kw);
}

ad_value wm_see_state(const wm_model *m, ad_value s, int64_t kh, int64_t kw)
{
    const wm_physics *p = m->physics;
    if (!p->see)
        return wm_render_state(m, s, kh, kw);
    return p->see(p->self, m->nn.g, wm_normalise(m, s, &m->config->state), s, false, false, kh, kw);
}

fwm_status wm_build_step(const wm_model *m, int64_t batch, wm_step_io *io)
{
    ad_graph *g = m->nn.g;
    const wm_config *c = m->config;
    io->x = io->s_phy = io->a = io->next_x = AD_NONE;
    if (c->colors > 0)
        io->x = ad_input(g, "x", ad_shape_make(4, batch, c->height, c->width, c->colors));
    io->s = ad_input(g, "s", ad_shape_make(3, batch, c->nodes, c->state.count));
    if (c->s_phy.count > 0)
        io->s_phy = ad_input(g, "s_phy", ad_shape_make(3, batch, c->coarse_nodes, c->s_phy.count));
    if (c->actions > 0)
        io->a = ad_input(g, "a", ad_shape_make(2, batch, c->actions));
    int64_t d = c->latent.size, K = c->latent.classes;
    io->noise = ad_input(g, "noise", ad_shape_make(2, batch, d + K));
    wm_features h = wm_pf_enc(m, batch, io->x, io->s_phy, io->a);
    wm_gaussian p = wm_latent_prior(m, io->s, io->a);
    ad_value draw = K > 0 ? ad_slice(g, io->noise, 1, 0, d) : io->noise, class_of = AD_NONE;
    if (K > 0)
        class_of = wm_latent_class(m, &p, ad_slice(g, io->noise, 1, d, K));
    ad_value z = wm_latent_joined(m, ad_add(g, p.mean, ad_mul(g, ad_exp(g, p.log_std), draw)), class_of);
    io->next_s = wm_df_pred(m, &h, io->s, z, io->a, NULL);
    if (c->colors > 0)
        io->next_x = wm_decode(m, io->next_s, &h, z);
    return ad_graph_status(g);
}
