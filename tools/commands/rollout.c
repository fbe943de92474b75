/* fwm rollout: one imagined trajectory, as a dataset, a picture strip or standard output. */
#include "data/writer.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tools/command.h"
#include "tools/config_option.h"
#include "tools/report/image.h"
#include "train/trainer.h"

#include <math.h>
#include <string.h>

static const struct argp_option options[] = {
    {"data", 0, "FILE", 0, "The dataset (default: the one that the model was trained on)", 0},
    {"split", 0, "NAME", 0, "train, validation, test or test_ood (default: eval.split)", 0},
    {"index", 0, "I", 0, "Trajectory within the split, from 0 (default 0)", 0},
    {"horizon", 0, "N", 0, "Steps (default: eval.horizon)", 0},
    {"samples", 0, "K", 0, "Samples of z, averaged; 1: its mean (default: eval.samples)", 0},
    {"set", 0, "KEY=VALUE", 0, "Override a key of the checkpoint's configuration", 0},
    {"out", 'o', "FILE", 0, "FILE.h5: a dataset of one trajectory; FILE.png: truth over prediction", 0},
    {0}};

const fwm_command fwm_command_rollout = {
    .name = "rollout",
    .summary = "imagine one trajectory from a checkpoint",
    .arguments = "CKPT",
    .doc = "Starts from one state and frame of the dataset and runs the model open loop. Prints the state's VRMSE and "
           "the frame's PSNR at "
           "each step, and writes the trajectory where --out is given.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

typedef struct imagined {
    tr_trained t;
    ds_batch truth;
    ds_sequence *sequence;
    tr_rollout_options o;
    int64_t index, size, pixels; /* values of a state and of a frame */
    float *states, *frames, *mass;
} imagined;

static fwm_status find_trajectory(imagined *m, ds_split split)
{
    FWM_TRY(ds_sequence_create(&m->sequence, m->t.world->ds, split, 1, 0, NULL));
    FWM_CHECK(m->index < ds_sequence_count(m->sequence), FWM_INVALID,
              "--index: expected 0 to %lld (split %s has so many), found %lld",
              (long long)ds_sequence_count(m->sequence) - 1, ds_split_name(split), (long long)m->index);
    for (int64_t i = 0; i <= m->index; i++)
        FWM_TRY(ds_sequence_next(m->sequence, &m->truth));
    return FWM_OK;
}

static fwm_status imagine(imagined *m)
{
    const wm_config *c = &m->t.world->model;
    size_t H = (size_t)m->o.horizon + 1;
    m->size = c->nodes * c->state.count;
    m->pixels = c->height * c->width * c->colors;
    m->states = fwm_malloc(H * (size_t)m->size, sizeof(float));
    m->frames = fwm_malloc(H * (size_t)m->pixels + 1, sizeof(float));
    m->mass = fwm_malloc((size_t)c->nodes, sizeof *m->mass);
    FWM_CHECK(m->states && m->frames && m->mass, FWM_MEMORY, "rollout: out of memory");
    const wm_physics *physics = tr_law_physics(m->t.world->law, m->t.world->store);
    for (int64_t i = 0; i < c->nodes; i++)
        m->mass[i] = (float)physics->mass[i];
    return tr_rollout_run(m->t.rollout, &m->truth, &m->o, m->states, m->frames);
}

/* Scores of step h, weighted over the domain as evaluation does it. */
static void score(const imagined *m, int64_t h, double *vrmse, double *psnr)
{
    const wm_config *c = &m->t.world->model;
    const float *s = m->truth.clip.state + (m->o.start + h) * m->size;
    *vrmse = 0;
    for (int64_t k = 0; k < c->state.count; k++)
        *vrmse += tr_field_compare(m->states + h * m->size + k, s + k, m->mass, c->nodes, c->state.count).vrmse /
                  (double)c->state.count;
    *psnr = m->pixels > 0 ? tr_frame_psnr(m->frames + h * m->pixels,
                                          m->truth.clip.frames + (m->o.start + h) * m->pixels, m->pixels)
                          : (double)NAN;
}

static fwm_status write_dataset(const imagined *m, const char *path)
{
    const ds_info *from = m->t.world->info;
    int64_t T = m->o.horizon + 1;
    uint8_t split = (uint8_t)from->splits[m->truth.trajectory[0]];
    ds_info info = *from;
    info.trajectories = 1;
    info.steps = T;
    info.splits = &split;
    info.lengths = NULL;
    info.frames_are_bytes = true;
    info.has_key_state = false;
    info.parameters = 0;
    info.truths = 0;
    info.generator = "fwm " FWM_VERSION " rollout";
    info.config = tr_checkpoint_config(m->t.checkpoint);
    uint8_t *bytes = fwm_malloc((size_t)(T * m->pixels) + 1, 1);
    FWM_CHECK(bytes, FWM_MEMORY, "rollout: out of memory");
    for (int64_t i = 0; i < T * m->pixels; i++)
        bytes[i] = (uint8_t)(255.0f * fminf(fmaxf(m->frames[i], 0.0f), 1.0f) + 0.5f);
    const wm_config *c = &m->t.world->model;
    const ds_clip *clip = &m->truth.clip;
    ds_trajectory out = {.frames = m->pixels > 0 ? bytes : NULL,
                         .actions = clip->actions ? clip->actions + m->o.start * c->actions : NULL,
                         .state = m->states,
                         .s_phy = clip->s_phy ? clip->s_phy + m->o.start * c->coarse_nodes * c->s_phy.count : NULL};
    ds_writer *writer = NULL;
    fwm_status status = ds_writer_create(&writer, path, &info, NULL);
    if (status == FWM_OK)
        status = ds_writer_put(writer, 0, &out);
    if (status == FWM_OK)
        status = ds_writer_finish(&writer);
    ds_writer_abort(&writer);
    fwm_free(bytes);
    return status;
}

/* Two rows: truth and prediction, one column a step. */
static fwm_status write_picture(const imagined *m, const char *path)
{
    const wm_config *c = &m->t.world->model;
    int64_t T = m->o.horizon + 1, H = c->height, W = c->width;
    FWM_CHECK(c->colors == 3, FWM_UNSUPPORTED,
              "%s: a picture needs frames of 3 colours, found %lld; a name ending in .h5 gives the states", path,
              (long long)c->colors);
    uint8_t *rgb = fwm_malloc((size_t)(2 * H * T * W * 3), 1);
    FWM_CHECK(rgb, FWM_MEMORY, "rollout: out of memory");
    for (int64_t h = 0; h < T; h++) {
        const float *rows[2] = {m->truth.clip.frames + (m->o.start + h) * m->pixels, m->frames + h * m->pixels};
        for (int64_t r = 0; r < 2; r++)
            for (int64_t i = 0; i < H; i++)
                for (int64_t j = 0; j < 3 * W; j++) {
                    float x = fminf(fmaxf(rows[r][i * 3 * W + j], 0.0f), 1.0f);
                    rgb[((r * H + i) * T + h) * 3 * W + j] = (uint8_t)(255.0f * x + 0.5f);
                }
    }
    uint8_t *png = NULL;
    size_t size = 0;
    fwm_status status = report_png_encode(&png, &size, rgb, (int)(T * W), (int)(2 * H));
    fwm_free(rgb);
    FWM_TRY(status);
    FILE *f = fopen(path, "wb");
    bool done = f && fwrite(png, 1, size, f) == size;
    if (f)
        done = fclose(f) == 0 && done;
    fwm_free(png);
    FWM_CHECK(done, FWM_IO, "%s: cannot be written", path);
    return FWM_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n > k && strcmp(text + n - k, end) == 0;
}

static fwm_status publish(const fwm_call *call, const imagined *m)
{
    const char *out = fwm_call_text(call, "out", NULL);
    if (out) {
        FWM_TRY(fwm_make_parent(out));
        FWM_TRY(ends_with(out, ".h5") ? write_dataset(m, out) : write_picture(m, out));
    }
    json_t *vrmse = json_array(), *psnr = json_array();
    for (int64_t h = 0; h <= m->o.horizon; h++) {
        double v, p;
        score(m, h, &v, &p);
        (void)json_array_append_new(vrmse, fwm_json_number(v));
        (void)json_array_append_new(psnr, fwm_json_number(p));
        if (!call->json && h > 0)
            (void)printf("step %3lld  VRMSE %.4f  PSNR %.2f dB\n", (long long)h, v, p);
    }
    if (!call->json) {
        json_decref(vrmse);
        json_decref(psnr);
        return FWM_OK;
    }
    return fwm_print_json(json_pack("{s:s, s:I, s:I, s:o, s:o, s:s?}", "checkpoint", call->arguments[0], "trajectory",
                                    (json_int_t)m->truth.trajectory[0], "horizon", (json_int_t)m->o.horizon, "vrmse",
                                    vrmse, "psnr", psnr, "out", out));
}

static fwm_status run(fwm_call *call, imagined *m)
{
    const tr_config *c = m->t.config;
    ds_split split;
    if (ds_split_parse(fwm_call_text(call, "split", tr_config_word("eval.split", c->eval.split)), &split) != FWM_OK)
        return fwm_misuse(call, "--split: %s", fwm_error_message());
    m->o = (tr_rollout_options){.start = c->data.context - 1,
                                .horizon = c->eval.horizon,
                                .samples = c->eval.samples,
                                .seed = (uint64_t)c->seed,
                                .from_frame = c->eval.start == TR_START_FRAME};
    FWM_TRY(fwm_call_int(call, "index", 0, INT32_MAX, &m->index));
    FWM_TRY(fwm_call_int(call, "horizon", 1, 100000, &m->o.horizon));
    FWM_TRY(fwm_call_int(call, "samples", 1, 1024, &m->o.samples));
    FWM_TRY(find_trajectory(m, split));
    FWM_TRY(imagine(m));
    return publish(call, m);
}

fwm_status fwm_run_rollout(fwm_call *call)
{
    const char *sets[FWM_MAX_SETS];
    int64_t n = 0;
    imagined m = {0};
    const char *out = fwm_call_text(call, "out", NULL);
    if (out && !ends_with(out, ".h5") && !ends_with(out, ".png"))
        return fwm_misuse(call, "--out: expected FILE.h5 or FILE.png, found '%s'", out);
    FWM_TRY(fwm_call_sets(call, sets, &n));
    FWM_TRY(fwm_threads_init(0));
    FWM_TRY(tr_trained_open(&m.t, call->arguments[0], fwm_call_text(call, "data", NULL), sets, n, NULL, 1));
    fwm_status status = run(call, &m);
    ds_sequence_destroy(&m.sequence);
    tr_trained_close(&m.t);
    fwm_free(m.states);
    fwm_free(m.frames);
    fwm_free(m.mass);
    return status;
}
