/* The fusion world model as parts of one graph:
 *
 *     h(t)   = PF-Enc(x(t), s_phy(t))              pf_enc.c     representation and physical fusion encoder
 *     z(t)   ~ Z(s(t), a(t), phi)                  latent.c     latent variable distribution
 *     s(t+1) = DF-Pred(h(t), s(t), z(t), a(t))     df_pred.c    dynamic fusion predictor
 *     x(t+1) = Dec(s(t+1), h(t), z(t))             decoder.c    frames
 *     s(0)   = Est(h(0), s_phy(0))                 estimator.c  where only a frame and a cheap simulation are known
 *
 * The model includes nothing of physics/ or data/: it is given its physics as a small table of graph builders
 * (wm_physics), and without it the same code is the data-only model. Each part is a function that adds values to a
 * graph; calling it again in the same graph (unrolling over time) uses the same parameters.
 *
 * Units: s and s_phy are in physical units at every boundary of a part; inside, they are normalised by the training
 * split's statistics. Shapes: B batch, H W C frame, n nodes with c fields, m nodes of the coarse mesh with c' fields, A
 * actions, d_z latent size, K classes of the gate.
 *
 * What the data lack is left out: C = 0 (no frames: no frame tower, no decoder), c' = 0 (no cheap simulation: no
 * physics tower, the estimator starts from the mean state), A = 0. Their values are AD_NONE wherever a part takes or
 * gives them. */
#ifndef FWM_MODEL_WORLD_MODEL_H
#define FWM_MODEL_WORLD_MODEL_H

#include "model/nn/layers.h"

enum { WM_SCALES = 3, WM_MAX_CHANNELS = 64, WM_MAX_ACTIONS = 64, WM_MAX_LEVELS = 4, WM_MAX_LAW = 8 };

/* Graph builders that the trainer fills from physics/. Fields are [B,points,channels] in physical units; pictures are
 * [B,k,k',channels]. Every function may be called many times in a graph. NULL members: that piece is not available. */
typedef struct wm_physics {
    void *self;
    /* Nodes to pictures of height kh and width kw, zero outside the domain; `coarse` reads s_phy's mesh. */
    ad_value (*render)(void *self, ad_graph *g, ad_value s, bool coarse, int64_t kh, int64_t kw);
    /* As above for the magnitude of the gradient, summed over fields: [B,kh,kw,c]. */
    ad_value (*gradient)(void *self, ad_graph *g, ad_value s, bool coarse, int64_t kh, int64_t kw);
    /* Pictures to nodes of the fine mesh, bilinear: [B,kh,kw,c] -> [B,n,c]. */
    ad_value (*sample)(void *self, ad_graph *g, ad_value picture);
    /* Where frames show a body that its displacement moves: a field x of a body in state s (of the same mesh, in
     * physical units) as the camera sees it, [B,kh,kw,c+1], zero beside the body, the last channel the body itself;
     * `slope`: the size of its gradient instead. NULL: the camera sees what render draws. */
    ad_value (*see)(void *self, ad_graph *g, ad_value x, ad_value s, bool coarse, bool slope, int64_t kh, int64_t kw);
    /* Then: pictures of what the camera sees to nodes, each where it lies at rest. */
    ad_value (*sample_seen)(void *self, ad_graph *g, ad_value picture);
    /* s_phy at the fine mesh's nodes: [B,m,c'] -> [B,n,c']. */
    ad_value (*prolong)(void *self, ad_graph *g, ad_value s_phy);
    /* One implicit step of the law: [B,n,c], [B,A] -> [B,n,c]. */
    ad_value (*step)(void *self, ad_graph *g, ad_value s, ad_value a);
    /* The law's rate at s, lumped: what the law says ds/dt is, with the sign of a residual [B,n,c]. */
    ad_value (*rate)(void *self, ad_graph *g, ad_value s, ad_value a);
    /* |R(s1,s0,a;theta)|^2 in the configured norm: [B]. */
    ad_value (*loss)(void *self, ad_graph *g, ad_value s1, ad_value s0, ad_value a);
    /* phi: a short description of the law's parameters for Z, [1,P]; AD_NONE where there are none. */
    ad_value (*describe)(void *self, ad_graph *g);
    /* Lumped mass of the nodes over the domain's measure, [n] doubles that sum to 1: weights of norms over nodes. */
    const double *mass;
    /* [n,c]: 1, and 0 where the equation's essential conditions hold the state, which no correction moves; NULL: 1. */
    const double *free;
} wm_physics;

typedef struct wm_channels {
    int64_t count;
    double mean[WM_MAX_CHANNELS], std[WM_MAX_CHANNELS]; /* std floored at 1e-4 by the caller */
} wm_channels;

typedef struct wm_config {
    int64_t height, width, colors; /* frame; without one (colors 0), the side that features have */
    int64_t nodes, coarse_nodes;
    wm_channels state, s_phy;
    int64_t actions;
    double action_mean[WM_MAX_ACTIONS], action_std[WM_MAX_ACTIONS];
    double rate_scale[WM_MAX_CHANNELS]; /* typical size of physics->rate, for the encoder's input */
    int groups;                         /* of group norms */
    struct {
        int64_t width[WM_SCALES];
        bool frame_tower, physics_tower;
    } encoder;
    struct {
        bool prior_fem;
        int64_t grid;  /* side of the picture that the correction lives on */
        int unshuffle; /* grid/unshuffle is the U-Net's first level */
        int levels;
        int64_t width[WM_MAX_LEVELS];
        bool position_bias;
    } predictor;
    struct {
        int64_t size, classes; /* classes of the transport gate, 0: none */
        double min_log_std, max_log_std, free_nats, balance_prior, balance_posterior;
    } latent;
    struct {
        int64_t width;
    } decoder;
    struct {
        int code;     /* WM_CODE_* */
        int64_t size; /* most dimensions of a code */
    } transport;
} wm_config;

enum { WM_CODE_LATENT, WM_CODE_FEATURE, WM_CODE_STATE };

typedef struct wm_model {
    nn_builder nn;
    const wm_config *config;
    const wm_physics *physics;
    ad_value correction_scale; /* input [c]: deviation of what the correction has to say [unit of s] */
    ad_value clip_weight;      /* input [B]: of each clip in the loss's means over the batch; AD_NONE: 1 each */
} wm_model;

/* Checks the config against itself and begins a model in graph g (one a graph): adds the input "correction_scale". */
fwm_status wm_model_begin(wm_model *m, ad_graph *g, nn_store *store, const wm_config *config,
                          const wm_physics *physics) FWM_MUST_USE;

/* x [rows,...] times the first `rows` clips' weights; x itself where clips have none. */
ad_value wm_weigh_clips(const wm_model *m, ad_value x);

/* ---- normalisation and maps ---- */
ad_value wm_normalise(const wm_model *m, ad_value x, const wm_channels *stats); /* last axis */
ad_value wm_normalise_action(const wm_model *m, ad_value a);
/* Normalised state as a picture [B,k,k,c]. */
ad_value wm_render_state(const wm_model *m, ad_value s, int64_t kh, int64_t kw);
/* As above where a frame shows it: [B,kh,kw,c+1] of a body that moves (wm_physics.see). */
ad_value wm_see_state(const wm_model *m, ad_value s, int64_t kh, int64_t kw);

/* ---- the parts ---- */
typedef struct wm_features {
    ad_value scale[WM_SCALES]; /* [B,H/2,W/2,w0], [B,H/4,W/4,w1], [B,H/8,W/8,w2] */
} wm_features;
/* x [B,H,W,C] in [0,1], s_phy [B,m,c'], a [B,A] (what the law's rate is evaluated with). */
wm_features wm_pf_enc(const wm_model *m, int64_t batch, ad_value x, ad_value s_phy, ad_value a);

typedef struct wm_gaussian {
    ad_value mean, log_std; /* [B,d_z] */
    ad_value logits;        /* [B,K]: which sheet s(t+1) is on; of a prior with a gate, else AD_NONE */
} wm_gaussian;
wm_gaussian wm_latent_prior(const wm_model *m, ad_value s, ad_value a);
wm_gaussian wm_latent_posterior(const wm_model *m, const wm_features *h0, const wm_features *h1, ad_value s0,
                                ad_value s1, ad_value a);
/* mean + exp(log_std) noise, with counter-based noise of this graph. */
ad_value wm_latent_sample(const wm_model *m, const wm_gaussian *p);
/* The gate (model/transport/gate.h): the sheet of s(t+1) as a categorical part of z. One-hot [B,K], by Gumbel's trick
 * from normal noise [B,K] (Maddison et al. 2017; noise of zeros: the likeliest class) or, with AD_NONE, noise of this
 * graph; no gradient. */
ad_value wm_latent_class(const wm_model *m, const wm_gaussian *prior, ad_value noise);
/* -log p(class), weighed over the batch [1]: the KL of a posterior that is certain. */
ad_value wm_latent_class_loss(const wm_model *m, const wm_gaussian *prior, ad_value class_of);
/* z with its class, [B,d_z+K]; z itself where class_of is AD_NONE. */
ad_value wm_latent_joined(const wm_model *m, ad_value z, ad_value class_of);
/* Balanced KL with free bits (Hafner et al. 2023, eq. 5): [1], mean over the batch of
 * b_prior max(F, KL(sg q || p)) + b_posterior max(F, KL(q || sg p)). `raw` gets the mean KL without clip and balance.
 */
ad_value wm_latent_kl(const wm_model *m, const wm_gaussian *q, const wm_gaussian *p, ad_value *raw);

/* s(t+1) [B,n,c] in physical units; *prior gets s* where asked (NULL: not). */
ad_value wm_df_pred(const wm_model *m, const wm_features *h, ad_value s, ad_value z, ad_value a, ad_value *prior);

/* x(t+1) [B,H,W,C] in [0,1]. */
ad_value wm_decode(const wm_model *m, ad_value s1, const wm_features *h, ad_value z);

/* s(0) [B,n,c] from a frame's features and the cheap simulation. */
ad_value wm_estimate(const wm_model *m, const wm_features *h, ad_value s_phy);

/* Code of a state for the transport terms, [B,D], by config.transport.code: the mean of Z(s,a), the feature of s that Z
 * computes, or s itself as a small normalised picture. The encoder's parameters are seen through stop_gradient: the
 * term moves states, never the ruler that they are measured with. */
ad_value wm_transport_code(const wm_model *m, ad_value s, ad_value a);

/* What is known before a prediction, as a context of its code, [B,D']: the code of (s,a), and, where that does not see
 * the action, the action too, with about the weight of the state. */
ad_value wm_transport_context(const wm_model *m, ad_value s, ad_value a);

/* D and D' of the two. */
void wm_transport_sizes(const wm_config *config, int64_t *code, int64_t *context);

/* ---- one step of imagination, as evaluation and export use it ---- */
typedef struct wm_step_io {
    /* Inputs (AD_NONE: x, s_phy, a that the data lack). noise [B,d_z+K], normal: d_z multiply the prior's deviation, K
     * draw its class; zeros give its mean and likeliest class. */
    ad_value x, s, s_phy, a, noise;
    ad_value next_s, next_x; /* outputs */
} wm_step_io;
fwm_status wm_build_step(const wm_model *m, int64_t batch, wm_step_io *io) FWM_MUST_USE;

#endif
