#include "train/rollout.h"

#include "model/base/arena.h"
#include "model/base/random.h"

#include <string.h>

struct tr_rollout {
    tr_world *world;
    int64_t batch;
    ad_graph *g;
    wm_model model;
    wm_step_io io;
    ad_value estimate; /* s(0) from io.x and io.s_phy */
    ad_plan *plan;
};

enum { NOISE_STREAM = 0x726f6c6c };

static fwm_status build(tr_rollout *r)
{
    const wm_config *c = &r->world->model;
    FWM_TRY(ad_graph_create(&r->g, AD_F32));
    FWM_TRY(wm_model_begin(&r->model, r->g, r->world->store, c, tr_law_physics(r->world->law, r->world->store)));
    FWM_TRY(wm_build_step(&r->model, r->batch, &r->io));
    wm_features h = wm_pf_enc(&r->model, r->batch, r->io.x, r->io.s_phy, r->io.a); /* the step's own: hash-consed */
    r->estimate = wm_estimate(&r->model, &h, r->io.s_phy);
    FWM_TRY(ad_graph_status(r->g));
    ad_value outputs[3] = {r->io.next_s, r->estimate, r->io.next_x};
    return ad_plan_create(&r->plan, r->g, r->io.next_x == AD_NONE ? 2 : 3, outputs, NULL);
}

fwm_status tr_rollout_create(tr_rollout **out, tr_world *world, int64_t batch)
{
    tr_rollout *r = fwm_calloc(1, sizeof *r);
    *out = NULL;
    FWM_CHECK(r, FWM_MEMORY, "rollout: out of memory");
    r->world = world;
    r->batch = batch;
    fwm_status status = build(r);
    if (status != FWM_OK)
        tr_rollout_destroy(&r);
    *out = r;
    return status;
}

void tr_rollout_destroy(tr_rollout **r)
{
    if (!r || !*r)
        return;
    ad_plan_destroy(&(*r)->plan);
    ad_graph_destroy(&(*r)->g);
    fwm_free(*r);
    *r = NULL;
}

int64_t tr_rollout_batch(const tr_rollout *r)
{
    return r->batch;
}

const ad_plan *tr_rollout_plan(const tr_rollout *r)
{
    return r->plan;
}

fwm_status tr_rollout_prepare(tr_rollout *r, float *flat)
{
    enum { MAX_PARAMETERS = 512 };
    ad_value all[MAX_PARAMETERS];
    int n = nn_graph_parameters(&r->model.nn, all, NULL, MAX_PARAMETERS);
    FWM_TRY(nn_store_bind(&r->model.nn, r->plan, flat, n, all, NULL, NULL));
    FWM_TRY(ad_plan_prepare(r->plan));
    float *scale = ad_plan_data(r->plan, r->model.correction_scale);
    for (int64_t k = 0; scale && k < r->world->model.state.count; k++)
        scale[k] = (float)r->world->correction_scale[k];
    return FWM_OK;
}

/* Row b of an input [B,size] gets time t of from [B,T,size]; rows past the batch repeat row 0. */
static void put(const tr_rollout *r, ad_value input, const float *from, int64_t B, int64_t T, int64_t t)
{
    float *to = input == AD_NONE ? NULL : ad_plan_data(r->plan, input);
    if (!to || !from)
        return;
    size_t size = (size_t)(ad_count(r->g, input) / r->batch);
    for (int64_t b = 0; b < r->batch; b++)
        memcpy(to + (size_t)b * size, from + (size_t)((b < B ? b : 0) * T + t) * size, size * sizeof *to);
}

/* Time t of to [B,T,size] += weight * value [batch,size] (t's first sample overwrites). */
static void collect(const tr_rollout *r, ad_value value, float *to, int64_t B, int64_t T, int64_t t, float weight,
                    bool first)
{
    const float *from = ad_plan_data(r->plan, value);
    size_t size = (size_t)(ad_count(r->g, value) / r->batch);
    for (int64_t b = 0; b < B; b++) {
        float *row = to + (size_t)(b * T + t) * size;
        const float *x = from + (size_t)b * size;
        for (size_t i = 0; i < size; i++)
            row[i] = (first ? 0.0f : row[i]) + weight * x[i];
    }
}

static void draw_noise(const tr_rollout *r, const tr_rollout_options *o, int64_t sample, int64_t t)
{
    float *noise = ad_plan_data(r->plan, r->io.noise);
    int64_t n = ad_count(r->g, r->io.noise);
    if (!noise)
        return;
    if (o->samples > 1)
        fwm_random_normal_f32((fwm_key){o->seed, NOISE_STREAM}, (uint64_t)(sample * (o->horizon + 1) + t), n, noise);
    else
        memset(noise, 0, (size_t)n * sizeof *noise);
}

static fwm_status run_sample(tr_rollout *r, const ds_batch *truth, const tr_rollout_options *o, int64_t sample,
                             float *states, float *frames)
{
    int64_t B = truth->count, T = truth->length, H = o->horizon + 1;
    float weight = 1.0f / (float)o->samples;
    size_t s_bytes = (size_t)ad_count(r->g, r->io.s) * sizeof(float);
    float *x = r->io.x == AD_NONE ? NULL : ad_plan_data(r->plan, r->io.x);
    if (r->io.x == AD_NONE)
        frames = NULL;
    for (int64_t h = 0; h < o->horizon; h++) {
        int64_t t = o->start + h;
        put(r, r->io.s_phy, truth->clip.s_phy, B, T, t);
        put(r, r->io.a, truth->clip.actions, B, T, t);
        draw_noise(r, o, sample, h);
        if (h == 0) {
            put(r, r->io.x, truth->clip.frames, B, T, t);
            put(r, r->io.s, truth->clip.state, B, T, t);
            if (o->from_frame) {
                FWM_TRY(ad_plan_run(r->plan, o->seed, 0));
                memcpy(ad_plan_data(r->plan, r->io.s), ad_plan_data(r->plan, r->estimate), s_bytes);
            }
            collect(r, r->io.s, states, B, H, 0, weight, sample == 0);
            if (frames)
                collect(r, r->io.x, frames, B, H, 0, weight, sample == 0);
        }
        FWM_TRY(ad_plan_run(r->plan, o->seed, (uint64_t)h));
        collect(r, r->io.next_s, states, B, H, h + 1, weight, sample == 0);
        if (frames)
            collect(r, r->io.next_x, frames, B, H, h + 1, weight, sample == 0);
        memcpy(ad_plan_data(r->plan, r->io.s), ad_plan_data(r->plan, r->io.next_s), s_bytes);
        if (x)
            memcpy(x, ad_plan_data(r->plan, r->io.next_x), (size_t)ad_count(r->g, r->io.x) * sizeof *x);
    }
    return FWM_OK;
}

fwm_status tr_rollout_run(tr_rollout *r, const ds_batch *truth, const tr_rollout_options *o, float *states,
                          float *frames)
{
    FWM_CHECK(truth->count >= 1 && truth->count <= r->batch, FWM_INVALID,
              "rollout: expected 1 to %lld trajectories, found %lld", (long long)r->batch, (long long)truth->count);
    FWM_CHECK(o->samples >= 1 && o->horizon >= 1 && o->start >= 0, FWM_INVALID,
              "rollout: samples, horizon and start must be positive");
    FWM_CHECK(o->start + o->horizon < truth->length, FWM_INVALID,
              "rollout: a horizon of %lld from time %lld needs %lld frames, the trajectory has %lld",
              (long long)o->horizon, (long long)o->start, (long long)(o->start + o->horizon + 1),
              (long long)truth->length);
    for (int64_t sample = 0; sample < o->samples; sample++)
        FWM_TRY(run_sample(r, truth, o, sample, states, frames));
    return FWM_OK;
}
