/* Est: s(0) from the first frame's features and the cheap simulation: s_phy at the fine nodes (the mean state, where
 * there is none) plus a correction read off h. */
#include "model/world_model.h"

#include <math.h>

ad_value wm_estimate(const wm_model *m, const wm_features *h, ad_value s_phy)
{
    const wm_config *c = m->config;
    const wm_physics *p = m->physics;
    const nn_builder *b = &m->nn;
    ad_graph *g = b->g;
    ad_scope_push(g, "estimator");
    ad_value up = ad_upsample_nearest(g, h->scale[1], 2);
    ad_value in[2] = {h->scale[0], up};
    ad_value y = nn_conv_block(b, "conv0", ad_concat(g, 2, in, 3), c->encoder.width[0], 3, 1, c->groups);
    y = nn_conv(b, "out", y, c->state.count * 4, 3, 1, true, 0.0);
    y = (p->see ? p->sample_seen : p->sample)(p->self, g, ad_pixel_shuffle(g, y, 2));
    double std[WM_MAX_CHANNELS];
    for (int64_t k = 0; k < c->state.count; k++)
        std[k] = c->state.std[k];
    ad_value scaled = ad_mul(g, y, ad_constant(g, ad_shape_make(1, c->state.count), std));
    if (s_phy == AD_NONE) {
        double mean[WM_MAX_CHANNELS];
        for (int64_t k = 0; k < c->state.count; k++)
            mean[k] = c->state.mean[k];
        scaled = ad_add(g, scaled, ad_constant(g, ad_shape_make(1, c->state.count), mean));
    } else if (p->prolong && c->s_phy.count == c->state.count) {
        scaled = ad_add(g, p->prolong(p->self, g, s_phy), scaled);
    }
    ad_scope_pop(g);
    return scaled;
}
