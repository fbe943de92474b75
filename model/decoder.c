/* Dec: the next frame from the next state, the encoder's features and the latent. The state is rendered at H/4, H/2 and
 * H; the last level works at full size, where the picture of the state is sharpest. Output in (0,1). */
#include "model/world_model.h"

#include <math.h>

ad_value wm_decode(const wm_model *m, ad_value s1, const wm_features *h, ad_value z)
{
    const wm_config *c = m->config;
    const nn_builder *b = &m->nn;
    ad_graph *g = b->g;
    int64_t w = c->decoder.width;
    ad_scope_push(g, "decoder");
    ad_value in4[2] = {wm_see_state(m, s1, c->height / 4, c->width / 4), h->scale[1]};
    ad_value y = nn_conv_block(b, "level4", ad_concat(g, 2, in4, 3), w, 3, 1, c->groups);
    y = nn_film(b, "film", y, z);
    ad_value in2[3] = {ad_upsample_nearest(g, y, 2), wm_see_state(m, s1, c->height / 2, c->width / 2), h->scale[0]};
    y = nn_conv_block(b, "level2", ad_concat(g, 3, in2, 3), w, 3, 1, c->groups);
    /* Full size: few channels, one look at the neighbours, then pixel by pixel. */
    ad_value coarse = nn_conv(b, "squeeze", y, w / 2, 1, 1, false, 1.0);
    ad_value in1[2] = {ad_upsample_nearest(g, coarse, 2), wm_see_state(m, s1, c->height, c->width)};
    y = ad_concat(g, 2, in1, 3);
    y = nn_conv(b, "level1", y, w, 3, 1, false, sqrt(2.0));
    y = ad_silu(g, nn_position_bias(b, "position", y));
    y = ad_silu(g, nn_conv(b, "pixel0", y, w, 1, 1, true, sqrt(2.0)));
    y = ad_sigmoid(g, nn_conv(b, "pixel1", y, c->colors, 1, 1, true, 0.5));
    ad_scope_pop(g);
    return y;
}
