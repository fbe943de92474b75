/* Training steps of the two reference models: forward, gradients, AdamW.
 *
 * S: a recurrent world model on 16 clips of 8 frames 64x64x3 with states of 1024 numbers: convolutional encoder, GRU of
 * 512, diagonal Gaussian prior and posterior of 32, perceptron to the state's change, transposed-convolution decoder.
 * M: a U-Net on 16 pictures 64x64x4, widths 64, 128, 256, 256, two 3x3 convolutions a level, one step ahead.
 * tests/bench/reference.py is the same in PyTorch. */
#include "model/base/arena.h"
#include "model/nn/layers.h"
#include "tools/bench/bench.h"
#include "train/optimizer.h"

#include <math.h>

enum {
    BATCH = 16,
    CLIP = 8,
    SIDE = 64,
    STATE = 1024,
    HIDDEN = 512,
    FUSED = 256,
    LATENT = 32,
    GROUPS = 8,
    MAX_PARAMETERS = 256
};

typedef struct state {
    ad_graph *g;
    nn_store *store;
    ad_plan *plan;
    ad_value input[2];
    float *vector[4]; /* p, g, m, v */
    int64_t size, step;
} state;

enum { P, G, M, V, VECTORS };

/* ---- S ---- */

static ad_value encode(const nn_builder *b, ad_value frames, ad_value states)
{
    static const char *const names[] = {"conv0", "conv1", "conv2", "conv3"};
    ad_value y = frames;
    for (int k = 0; k < 4; k++)
        y = nn_conv_block(b, names[k], y, INT64_C(32) << k, 4, 2, GROUPS);
    ad_value both[2] = {nn_flatten(b, y), ad_silu(b->g, nn_linear(b, "state", states, HIDDEN, 1.4))};
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

static ad_value kl_of(ad_graph *g, ad_value q, ad_value p)
{
    ad_value mq = ad_slice(g, q, 1, 0, LATENT), sq = ad_slice(g, q, 1, LATENT, LATENT);
    ad_value mp = ad_slice(g, p, 1, 0, LATENT), sp = ad_slice(g, p, 1, LATENT, LATENT);
    ad_value ratio = ad_exp(g, ad_affine(g, ad_sub(g, sq, sp), 2, 0));
    ad_value miss = ad_square(g, ad_mul(g, ad_sub(g, mq, mp), ad_exp(g, ad_neg(g, sp))));
    ad_value inside = ad_sub(g, ad_add(g, ratio, miss), ad_affine(g, ad_sub(g, sq, sp), 2, 1));
    return ad_affine(g, ad_sum_all(g, inside), 0.5 / (BATCH * CLIP), 0);
}

/* Time comes first: [T*B,...]. */
static ad_value build_s(const nn_builder *b, ad_value frames, ad_value states)
{
    ad_graph *g = b->g;
    ad_value e = encode(b, frames, states), h = ad_fill(g, ad_shape_make(2, BATCH, HIDDEN), 0);
    ad_value seen[CLIP], q[CLIP], next[CLIP];
    for (int t = 0; t < CLIP; t++) {
        ad_value et = ad_slice(g, e, 0, t * BATCH, BATCH), both[2] = {h, et};
        q[t] = nn_linear(b, "posterior", ad_concat(g, 2, both, 1), 2 * LATENT, 0.3);
        ad_value deviation = ad_exp(g, ad_slice(g, q[t], 1, LATENT, LATENT));
        ad_value noise = ad_random_normal(g, ad_shape_make(2, BATCH, LATENT));
        ad_value z = ad_add(g, ad_slice(g, q[t], 1, 0, LATENT), ad_mul(g, deviation, noise)), in[2] = {et, z},
                 out[2] = {h, z};
        seen[t] = ad_concat(g, 2, out, 1);
        next[t] = h = nn_gru(b, "gru", ad_concat(g, 2, in, 1), h);
    }
    ad_value before = ad_slice(g, ad_concat(g, CLIP, seen, 0), 1, 0, HIDDEN);
    ad_value p = nn_linear(b, "prior", before, 2 * LATENT, 0.3);
    ad_value y = ad_silu(g, nn_linear(b, "change0", ad_concat(g, CLIP - 1, next, 0), HIDDEN, 1.4));
    y = ad_silu(g, nn_linear(b, "change1", y, HIDDEN, 1.4));
    y = nn_linear(b, "change2", y, STATE, 0.1);
    int64_t n = (CLIP - 1) * BATCH;
    ad_value predicted = ad_add(g, ad_slice(g, states, 0, 0, n), y);
    ad_value loss = mean_square(g, predicted, ad_slice(g, states, 0, BATCH, n));
    loss = ad_add(g, loss, mean_square(g, decode(b, ad_concat(g, CLIP, seen, 0)), frames));
    return ad_add(g, loss, ad_affine(g, kl_of(g, ad_concat(g, CLIP, q, 0), p), 0.01, 0));
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
        ad_value both[2] = {ad_upsample_nearest(g, y, 2), skip[k]};
        y = level(b, up[k], ad_concat(g, 2, both, 3), width[k]);
    }
    return mean_square(g, nn_conv(b, "out", y, 4, 3, 1, true, 0.1), target);
}

/* ---- the case ---- */

static fwm_status build(state *s, bool recurrent)
{
    FWM_TRY(ad_graph_create(&s->g, AD_F32));
    FWM_TRY(nn_store_create(&s->store));
    const nn_builder b = {.g = s->g, .store = s->store};
    int64_t channels = recurrent ? 3 : 4, batch = recurrent ? BATCH * CLIP : BATCH;
    ad_shape picture = ad_shape_make(4, batch, SIDE, SIDE, channels);
    s->input[0] = ad_input(s->g, "x", picture);
    s->input[1] = ad_input(s->g, "y", recurrent ? ad_shape_make(2, batch, STATE) : picture);
    ad_value out[MAX_PARAMETERS + 1], parameter[MAX_PARAMETERS];
    out[0] = recurrent ? build_s(&b, s->input[0], s->input[1]) : build_m(&b, s->input[0], s->input[1]);
    FWM_TRY(ad_graph_status(s->g));
    int n = nn_graph_parameters(&b, parameter, NULL, MAX_PARAMETERS);
    FWM_TRY(ad_gradient(s->g, out[0], n, parameter, out + 1));
    FWM_TRY(ad_plan_create(&s->plan, s->g, n + 1, out, NULL));
    s->size = nn_store_size(s->store);
    for (int k = 0; k < VECTORS; k++)
        FWM_TRY(fwm_block_alloc((void **)&s->vector[k], (size_t)s->size * sizeof(float)));
    nn_store_initialise(s->store, 0, AD_F32, s->vector[P]);
    FWM_TRY(nn_store_bind(&b, s->plan, s->vector[P], n, parameter, out + 1, s->vector[G]));
    return ad_plan_prepare(s->plan);
}

/* size: 1 for S, 0 for M. */
static fwm_status open_case(bench_job *job)
{
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    FWM_TRY(build(s, job->row->size[0] == 1));
    for (int k = 0; k < 2; k++)
        bench_fill(ad_plan_data(s->plan, s->input[k]), ad_count(s->g, s->input[k]));
    job->items = 1;
    job->need = ad_plan_flops(s->plan);
    return FWM_OK;
}

static fwm_status run_case(void *self)
{
    state *s = self;
    const tr_adamw_options o = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01};
    FWM_TRY(ad_plan_run(s->plan, 0, (uint64_t)s->step));
    return tr_adamw_step(NULL, s->vector[P], s->vector[M], s->vector[V], NULL, s->vector[G], &o, 1e-9, ++s->step,
                         AD_F32, s->size);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    ad_plan_destroy(&s->plan);
    ad_graph_destroy(&s->g);
    for (int k = 0; k < VECTORS; k++)
        fwm_block_free(s->vector[k], (size_t)s->size * sizeof(float));
    nn_store_destroy(&s->store);
    fwm_free(s);
}

extern const bench_case bench_cases_reference[];
const bench_case bench_cases_reference[] = {
    {"step_s", "training step of the reference model S (recurrent, 16 clips of 8 frames); limit: its FLOPs", BENCH_MS,
     BENCH_FMA, .size = {1}, .open = open_case, .run = run_case, .close = close_case},
    {"step_m", "training step of the reference model M (U-Net, batch 16); limit: its FLOPs", BENCH_MS, BENCH_FMA,
     .size = {0}, .open = open_case, .run = run_case, .close = close_case},
    {0}};
