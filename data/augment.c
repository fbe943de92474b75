#include "data/augment.h"

#include "data/numbers.h"

#include <math.h>
#include <string.h>

enum { STREAM_AUGMENT = 0x61756721, STREAM_FRAME_NOISE = 0x61756722 };

bool ds_augment_is_on(const ds_augment *a)
{
    return a->count > 0 || a->brightness > 0 || a->contrast > 0 || a->frame_noise > 0;
}

int64_t ds_augment_scratch(const ds_info *info)
{
    int64_t most = 1;
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        int64_t width = info->fields[f].points * info->fields[f].channels;
        most = width > most ? width : most;
    }
    return most;
}

/* ---- symmetries ---- */

static void turn_floats(const ds_turn *turn, const ds_field_info *field, int64_t steps, float *x, float *scratch)
{
    const int64_t n = field->points, c = field->channels;
    for (int64_t t = 0; t < steps; t++, x += n * c) {
        memcpy(scratch, x, (size_t)(n * c) * sizeof *x);
        for (int64_t p = 0; p < n; p++) {
            const float *from = scratch + (turn->point ? turn->point[p] : p) * c;
            for (int64_t k = 0; k < c; k++)
                x[p * c + k] = turn->channel ? turn->sign[k] * from[turn->channel[k]] : from[k];
        }
    }
}

/* Frames have no vectors among their channels. */
static void turn_bytes(const ds_turn *turn, const ds_field_info *field, int64_t steps, uint8_t *x, uint8_t *scratch)
{
    const int64_t n = field->points, c = field->channels;
    for (int64_t t = 0; t < steps && turn->point; t++, x += n * c) {
        memcpy(scratch, x, (size_t)(n * c));
        for (int64_t p = 0; p < n; p++)
            memcpy(x + p * c, scratch + (int64_t)turn->point[p] * c, (size_t)c);
    }
}

static void turn_clip(const ds_symmetry *s, const ds_info *info, int64_t steps, const ds_clip *clip, float *scratch)
{
    for (ds_field f = 0; f < DS_FIELDS; f++)
        if (clip->field[f] && (s->field[f].point || s->field[f].channel))
            turn_floats(&s->field[f], &info->fields[f], steps, clip->field[f], scratch);
    if (clip->frame_bytes)
        turn_bytes(&s->field[DS_FRAMES], &info->fields[DS_FRAMES], steps, clip->frame_bytes, (uint8_t *)scratch);
}

/* ---- frames ---- */

static float bounded(float x)
{
    return x > 0 ? x < 1 ? x : 1 : 0;
}

/* x := factor (x - 1/2) + 1/2 + shift + noise, within [0,1]; noise [width] or NULL. */
static void change_step(const ds_clip *clip, int64_t at, int64_t width, float factor, float shift, const float *noise,
                        float deviation)
{
    for (int64_t i = 0; i < width; i++) {
        const float more = 0.5F + shift + (noise ? deviation * noise[i] : 0);
        if (clip->frame_bytes) {
            uint8_t *x = clip->frame_bytes + at + i;
            *x = (uint8_t)(DS_BRIGHTEST * bounded(factor * ((float)*x / DS_BRIGHTEST - 0.5F) + more) + 0.5F);
        } else {
            float *x = clip->frames + at + i;
            *x = bounded(factor * (*x - 0.5F) + more);
        }
    }
}

void ds_augment_clip(const ds_augment *a, const ds_info *info, uint64_t seed, uint64_t draw, int64_t steps,
                     const ds_clip *clip, float *scratch)
{
    double u[3]; /* symmetry, brightness, contrast */
    fwm_random_uniform_f64((fwm_key){seed, STREAM_AUGMENT}, draw, 3, u);
    const int pick = (int)(u[0] * (a->count + 1));
    if (pick > 0 && pick <= a->count)
        turn_clip(&a->symmetry[pick - 1], info, steps, clip, scratch);
    const ds_field_info *frames = &info->fields[DS_FRAMES];
    const int64_t width = frames->points * frames->channels;
    if ((!clip->frames && !clip->frame_bytes) || (a->brightness <= 0 && a->contrast <= 0 && a->frame_noise <= 0))
        return;
    const float shift = (float)(a->brightness * (2 * u[1] - 1)), factor = (float)(1 + a->contrast * (2 * u[2] - 1));
    for (int64_t t = 0; t < steps; t++) {
        if (a->frame_noise > 0)
            fwm_random_normal_f32((fwm_key){seed, STREAM_FRAME_NOISE}, draw * (uint64_t)steps + (uint64_t)t, width,
                                  scratch);
        change_step(clip, t * width, width, factor, shift, a->frame_noise > 0 ? scratch : NULL, (float)a->frame_noise);
    }
}
