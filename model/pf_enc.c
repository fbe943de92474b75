/* PF-Enc: two towers that meet at every scale.
 *
 * The frame tower sees pixels. The physics tower sees, at each scale, the cheap simulation rendered there and what the
 * law says about it: the size of its gradient, its energy density, and the law's own rate at it. Fusion: concatenate,
 * 1x1 convolution, group norm, SiLU. Either tower can be switched off (ablations). */
#include "model/world_model.h"

#include <math.h>

static const char *const stage_name[WM_SCALES] = {"scale2", "scale4", "scale8"};

/* A field of the cheap simulation's mesh, or of the fine one, that moves with s: where a frame shows it. */
static ad_value show(const wm_model *m, ad_value x, ad_value s, bool coarse, int64_t kh, int64_t kw)
{
    const wm_physics *p = m->physics;
    return p->see ? p->see(p->self, m->nn.g, x, s, coarse, false, kh, kw)
                  : p->render(p->self, m->nn.g, x, coarse, kh, kw);
}

/* What the law says about s_phy, as a picture [B,kh,kw,channels], normalised. */
static ad_value physics_picture(const wm_model *m, ad_value s_phy, ad_value a, int64_t kh, int64_t kw)
{
    ad_graph *g = m->nn.g;
    const wm_physics *p = m->physics;
    const wm_channels *stats = &m->config->s_phy;
    ad_value part[4];
    int n = 0;
    part[n++] = show(m, wm_normalise(m, s_phy, stats), s_phy, true, kh, kw);
    if (p->gradient) {
        ad_value normal = wm_normalise(m, s_phy, stats);
        ad_value slope = p->see ? p->see(p->self, g, normal, s_phy, true, true, kh, kw)
                                : p->gradient(p->self, g, normal, true, kh, kw);
        part[n++] = ad_affine(g, slope, 0.25, 0.0);
        part[n++] = ad_affine(g, ad_square(g, slope), 1.0 / 32, 0.0); /* energy density |grad u|^2 / 2 */
    }
    if (p->rate && p->prolong) {
        ad_value fine = p->prolong(p->self, g, s_phy), rate = p->rate(p->self, g, fine, a);
        /* Bounded: heaters' edges make it large where the mesh is fine. */
        double inverse[WM_MAX_CHANNELS];
        for (int64_t k = 0; k < ad_dim(g, rate, 2); k++)
            inverse[k] = 1.0 / m->config->rate_scale[k];
        rate = ad_tanh(g, ad_mul(g, rate, ad_constant(g, ad_shape_make(1, ad_dim(g, rate, 2)), inverse)));
        part[n++] = show(m, rate, fine, false, kh, kw);
    }
    return ad_concat(g, n, part, 3);
}

wm_features wm_pf_enc(const wm_model *m, int64_t batch, ad_value x, ad_value s_phy, ad_value a)
{
    const wm_config *c = m->config;
    const nn_builder *b = &m->nn;
    wm_features h;
    ad_scope_push(b->g, "pf_enc");
    ad_value frame = c->encoder.frame_tower ? ad_affine(b->g, x, 2.0, -1.0) : AD_NONE, physics = AD_NONE;
    for (int k = 0; k < WM_SCALES; k++) {
        int64_t w = c->encoder.width[k];
        ad_scope_push(b->g, stage_name[k]);
        ad_value tower[2];
        int n = 0;
        if (c->encoder.frame_tower)
            tower[n++] = frame = nn_conv_block(b, "frame", frame, w, 4, 2, c->groups);
        if (c->encoder.physics_tower) {
            ad_value seen = physics_picture(m, s_phy, a, c->height >> (k + 1), c->width >> (k + 1));
            if (physics != AD_NONE) {
                ad_value both[2] = {seen, ad_average_pool(b->g, physics, 2)};
                seen = ad_concat(b->g, 2, both, 3);
            }
            tower[n++] = physics = nn_conv_block(b, "physics", seen, w / 2 > 8 ? w / 2 : 8, 3, 1, c->groups);
        }
        if (n == 0) { /* both towers are off: a learned map that depends on nothing */
            ad_value zero = ad_fill(b->g, ad_shape_make(4, batch, c->height >> (k + 1), c->width >> (k + 1), w), 0);
            tower[n++] = nn_position_bias(b, "blank", zero);
        }
        ad_value joined = n == 1 ? tower[0] : ad_concat(b->g, n, tower, 3);
        h.scale[k] = nn_conv_block(b, "fuse", joined, w, 1, 1, c->groups);
        ad_scope_pop(b->g);
    }
    ad_scope_pop(b->g);
    return h;
}
