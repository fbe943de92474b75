#include "tools/bench/reference.h"

#include "model/base/arena.h"
#include "model/nn/layers.h"
#include "train/optimizer.h"

enum {
    SIDE = 64,
    COLORS = 3,   /* of S */
    CHANNELS = 4, /* of M */
    STATE = 1024,
    HIDDEN = 512,
    FUSED = 256,
    LATENT = 32,
    GROUPS = 8,
    MAX_CLIP = 64,
    MAX_PARAMETERS = 256
};

/* ---- S ---- */

static ad_value encode(const nn_builder *b, ad_value frames, ad_value states)
{
    static const char *const names[] = {"conv0", "conv1", "conv2", "conv3"};
    ad_value y = frames;
    for (int k = 0; k < 4; k++)
        y = nn_conv_block(b, names[k], y, INT64_C(32) << k, 4, 2, GROUPS);
    ad_value s = ad_silu(b->g, nn_linear(b, "state0", states, HIDDEN, 1.4));
    s = ad_silu(b->g, nn_linear(b, "state1", s, HIDDEN, 1.4));
    ad_value both[2] = {nn_flatten(b, y), s};
    return nn_linear(b, "fuse", ad_concat(b->g, 2, both, 1), FUSED, 1.0);
}

static ad_value decode(const nn_builder *b, ad_value x)
{
    static const char *const names[] = {"up0", "up1", "up2", "up3"}, *const norms[] = {"norm0", "norm1", "norm2"};
    ad_value y = nn_linear(b, "linear", x, 4 * 4 * 256, 1.0);
    y = ad_reshape(b->g, y, ad_shape_make(4, ad_dim(b->g, x, 0), 4, 4, 256));
    for (int k = 0; k < 3; k++)
        y = nn_norm_silu(b, norms[k], nn_conv_up(b, names[k], y, INT64_C(128) >> k, 1.4), GROUPS);
    return nn_conv_up(b, names[3], y, 3, 1.0);
}

static ad_value mean_square(ad_graph *g, ad_value a, ad_value b)
{
    return ad_mean_all(g, ad_square(g, ad_sub(g, a, b)));
}

/* Sum over rows of KL(q || p), over their number; mean and log-deviation lie side by side. */
static ad_value kl_of(ad_graph *g, ad_value q, ad_value p)
{
    ad_value mq = ad_slice(g, q, 1, 0, LATENT), sq = ad_slice(g, q, 1, LATENT, LATENT);
    ad_value mp = ad_slice(g, p, 1, 0, LATENT), sp = ad_slice(g, p, 1, LATENT, LATENT);
    ad_value ratio = ad_exp(g, ad_affine(g, ad_sub(g, sq, sp), 2, 0));
    ad_value miss = ad_square(g, ad_mul(g, ad_sub(g, mq, mp), ad_exp(g, ad_neg(g, sp))));
    ad_value inside = ad_sub(g, ad_add(g, ratio, miss), ad_affine(g, ad_sub(g, sq, sp), 2, 1));
    return ad_affine(g, ad_sum_all(g, inside), 0.5 / (double)ad_dim(g, q, 0), 0);
}

/* Time comes first: [T*B,...]. */
static ad_value build_s(const nn_builder *b, const bench_reference_spec *spec, ad_value frames, ad_value states,
                        ad_value noise)
{
    ad_graph *g = b->g;
    const int64_t B = spec->batch, n = (spec->clip - 1) * B;
    const int T = (int)spec->clip;
    ad_value e = encode(b, frames, states), h = ad_fill(g, ad_shape_make(2, B, HIDDEN), 0);
    ad_value seen[MAX_CLIP], q[MAX_CLIP], next[MAX_CLIP];
    for (int t = 0; t < T; t++) {
        ad_value et = ad_slice(g, e, 0, t * B, B), both[2] = {h, et};
        ad_value look = ad_silu(g, nn_linear(b, "posterior0", ad_concat(g, 2, both, 1), FUSED, 1.4));
        q[t] = nn_linear(b, "posterior1", look, 2 * LATENT, 0.3);
        ad_value deviation = ad_exp(g, ad_slice(g, q[t], 1, LATENT, LATENT));
        ad_value drawn =
            spec->noise_input ? ad_slice(g, noise, 0, t * B, B) : ad_random_normal(g, ad_shape_make(2, B, LATENT));
        ad_value z = ad_add(g, ad_slice(g, q[t], 1, 0, LATENT), ad_mul(g, deviation, drawn)), in[2] = {et, z},
                 out[2] = {h, z};
        seen[t] = ad_concat(g, 2, out, 1);
        next[t] = h = nn_gru(b, "gru", ad_concat(g, 2, in, 1), h);
    }
    ad_value before = ad_slice(g, ad_concat(g, T, seen, 0), 1, 0, HIDDEN);
    ad_value p = nn_linear(b, "prior", before, 2 * LATENT, 0.3);
    ad_value y = ad_silu(g, nn_linear(b, "change0", ad_concat(g, T - 1, next, 0), HIDDEN, 1.4));
    y = ad_silu(g, nn_linear(b, "change1", y, HIDDEN, 1.4));
    y = nn_linear(b, "change2", y, STATE, 0.1);
    ad_value predicted = ad_add(g, ad_slice(g, states, 0, 0, n), y);
    ad_value loss = mean_square(g, predicted, ad_slice(g, states, 0, B, n));
    loss = ad_add(g, loss, mean_square(g, decode(b, ad_concat(g, T, seen, 0)), frames));
    return ad_add(g, loss, ad_affine(g, kl_of(g, ad_concat(g, T, q, 0), p), 0.01, 0));
}

/* ---- M ---- */

static ad_value level(const nn_builder *b, const char *name, ad_value x, int64_t width)
{
    ad_scope_push(b->g, name);
    ad_value y = nn_conv_block(b, "a", x, width, 3, 1, GROUPS);
    y = nn_conv_block(b, "b", y, width, 3, 1, GROUPS);
    ad_scope_pop(b->g);
    return y;
}

static ad_value build_m(const nn_builder *b, ad_value x, ad_value target)
{
    static const int64_t width[4] = {64, 128, 256, 256};
    static const char *const down[4] = {"down0", "down1", "down2", "down3"}, *const up[4] = {"up0", "up1", "up2", ""};
    ad_graph *g = b->g;
    ad_value skip[4], y = x;
    for (int k = 0; k < 4; k++)
        skip[k] = y = level(b, down[k], k ? ad_average_pool(g, y, 2) : y, width[k]);
    for (int k = 2; k >= 0; k--) {
        ad_scope_push(g, up[k]);
        y = nn_conv_block_join(b, "a", y, skip[k], width[k], GROUPS);
        y = nn_conv_block(b, "b", y, width[k], 3, 1, GROUPS);
        ad_scope_pop(g);
    }
    return mean_square(g, nn_conv(b, "out", y, 4, 3, 1, true, 0.1), target);
}

/* ---- the whole ---- */

static void build_loss(bench_reference *r, const nn_builder *b)
{
    const bench_reference_spec *s = &r->spec;
    const int64_t rows = s->recurrent ? s->batch * s->clip : s->batch;
    ad_shape picture = ad_shape_make(4, rows, SIDE, SIDE, s->recurrent ? COLORS : CHANNELS);
    r->input[0] = ad_input(r->g, "x", picture);
    r->input[1] = ad_input(r->g, "y", s->recurrent ? ad_shape_make(2, rows, STATE) : picture);
    r->input[2] = s->noise_input ? ad_input(r->g, "noise", ad_shape_make(2, rows, LATENT)) : AD_NONE;
    r->n_inputs = s->noise_input ? 3 : 2;
    r->loss =
        s->recurrent ? build_s(b, s, r->input[0], r->input[1], r->input[2]) : build_m(b, r->input[0], r->input[1]);
}

static fwm_status build(bench_reference *r)
{
    const bench_reference_spec *s = &r->spec;
    FWM_CHECK(s->batch >= 1 && (!s->recurrent || (s->clip >= 2 && s->clip <= MAX_CLIP)), FWM_INVALID,
              "reference model: expected a batch of 1 or more and clips of 2 to %d, found %lld and %lld", MAX_CLIP,
              (long long)s->batch, (long long)s->clip);
    FWM_CHECK(s->recurrent || !s->noise_input, FWM_INVALID, "reference model M draws no noise");
    FWM_TRY(ad_graph_create(&r->g, s->dtype));
    FWM_TRY(nn_store_create(&r->store));
    const nn_builder b = {.g = r->g, .store = r->store};
    ad_value out[MAX_PARAMETERS + 1], parameter[MAX_PARAMETERS];
    build_loss(r, &b);
    FWM_TRY(ad_graph_status(r->g));
    const int n = nn_graph_parameters(&b, parameter, NULL, MAX_PARAMETERS);
    out[0] = r->loss;
    FWM_TRY(ad_gradient(r->g, r->loss, n, parameter, out + 1));
    FWM_TRY(ad_plan_create(&r->plan, r->g, n + 1, out, NULL));
    r->size = nn_store_size(r->store);
    for (int k = 0; k < BENCH_VECTORS; k++)
        FWM_TRY(fwm_block_alloc(&r->vector[k], (size_t)r->size * ad_dtype_size(s->dtype)));
    nn_store_initialise(r->store, 0, s->dtype, r->vector[BENCH_WEIGHTS]);
    FWM_TRY(nn_store_bind(&b, r->plan, r->vector[BENCH_WEIGHTS], n, parameter, out + 1, r->vector[BENCH_GRADIENT]));
    return ad_plan_prepare(r->plan);
}

fwm_status bench_reference_create(bench_reference **reference, const bench_reference_spec *spec)
{
    bench_reference *r = *reference = fwm_calloc(1, sizeof *r);
    FWM_CHECK(r, FWM_MEMORY, "reference model: out of memory");
    r->spec = *spec;
    fwm_status status = build(r);
    if (status != FWM_OK)
        bench_reference_destroy(reference);
    return status;
}

void bench_reference_destroy(bench_reference **reference)
{
    bench_reference *r = reference ? *reference : NULL;
    if (!r)
        return;
    ad_plan_destroy(&r->plan);
    ad_graph_destroy(&r->g);
    for (int k = 0; k < BENCH_VECTORS; k++)
        fwm_block_free(r->vector[k], (size_t)r->size * ad_dtype_size(r->spec.dtype));
    nn_store_destroy(&r->store);
    fwm_free(r);
    *reference = NULL;
}

fwm_status bench_reference_gradient(bench_reference *r, double *loss)
{
    FWM_TRY(ad_plan_run(r->plan, 0, (uint64_t)r->step));
    const void *data = ad_plan_data(r->plan, r->loss);
    *loss = r->spec.dtype == AD_F64 ? *(const double *)data : (double)*(const float *)data;
    return FWM_OK;
}

fwm_status bench_reference_train(bench_reference *r, double lr, double *loss)
{
    const tr_optimizer_options o = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01};
    void *const *x = r->vector;
    FWM_TRY(bench_reference_gradient(r, loss));
    const tr_vectors all = {
        .p = x[BENCH_WEIGHTS], .m = x[BENCH_MOMENT1], .v = x[BENCH_MOMENT2], .g = x[BENCH_GRADIENT]};
    return tr_optimizer_step(NULL, &all, &o, lr, ++r->step, r->spec.dtype, r->size);
}
