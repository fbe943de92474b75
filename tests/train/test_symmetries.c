/* Symmetries of law and mesh: a turned clip satisfies the law as the clip does, and frames show what the state is. What
 * has no such symmetry is refused by name. */
#include "small.h"
#include "train/recorded.h"
#include "train/symmetries.h"

#include "data/loader.h"
#include "data/writer.h"

#include <math.h>

enum { SIDE = 8, NODES = SIDE * SIDE, STEPS = 5, TRAJECTORIES = 2, FRAME = 16 };

/* Any smooth vector field and density that no symmetry leaves alone. */
static void fill(float *state, int64_t n, int64_t t, double turn)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            double x = 2 * M_PI * i / SIDE, y = 2 * M_PI * j / SIDE, s = 0.1 * (double)t + (double)n;
            float *u = state + 2 * (i * SIDE + j);
            u[0] = (float)(0.3 * sin(x + s) * cos(2 * y) + 0.1 * cos(y + turn));
            u[1] = (float)(0.2 * cos(2 * x) + 0.25 * sin(y - s + 0.4));
        }
}

/* A gridded file of Burgers' velocity, periodic along both axes, in the native layout. */
static void write_grid(const char *path, const char *first, const char *second, double aspect)
{
    static float state[STEPS * NODES * 2];
    double x[SIDE], y[SIDE];
    for (int i = 0; i < SIDE; i++) {
        x[i] = (double)i / SIDE;
        y[i] = aspect * i / SIDE;
    }
    ds_grid grid = {.dims = 2, .n = {SIDE, SIDE}, .names = {"x", "y"}, .coordinates = {x, y}};
    const char *const names[] = {first, second};
    ds_info info = {.trajectories = TRAJECTORIES, .steps = STEPS, .dt = 0.05, .grid = &grid};
    info.fields[DS_STATE] = (ds_field_info){.points = NODES, .channels = 2, .names = names};
    ds_writer *writer;
    cr_assert_eq(ds_writer_create(&writer, path, &info, NULL), FWM_OK, "%s", fwm_error_message());
    for (int64_t n = 0; n < TRAJECTORIES; n++) {
        for (int64_t t = 0; t < STEPS; t++)
            fill(state + t * NODES * 2, n, t, 0.7);
        cr_assert_eq(ds_writer_put(writer, n, &(ds_trajectory){.state = state}), FWM_OK, "%s", fwm_error_message());
    }
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK, "%s", fwm_error_message());
}

typedef struct scene {
    char folder[SMALL_PATH], file[SMALL_PATH + 16];
    tr_config *config;
    ds_dataset *ds;
    tr_law *law;
    fwm_arena *arena;
    ds_augment augment;
} scene;

static fwm_status make(scene *s, const char *first, const char *second, double aspect, const char *symmetries,
                       const char *more)
{
    char text[1024];
    double std[2] = {1, 1};
    ds_dataset *file;
    small_folder(s->folder);
    (void)snprintf(s->file, sizeof s->file, "%s/grid.h5", s->folder);
    write_grid(s->file, first, second, aspect);
    (void)snprintf(
        text, sizeof text,
        "{experiment: s, data: {file: %s, edges: periodic, coarsen: 2, frame: [%d, %d], augment: {symmetries: "
        "%s}}%s}",
        s->file, FRAME, FRAME, symmetries, more);
    cr_assert_eq(tr_config_parse(&s->config, text, strlen(text), "test", NULL, 0), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_open(&file, s->file, "fwm"), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_recorded(&s->ds, file, s->config), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(tr_law_create(&s->law, s->config, s->ds, std), FWM_OK, "%s", fwm_error_message());
    s->arena = fwm_arena_create();
    return tr_symmetries(&s->augment, s->arena, s->config, s->ds, s->law);
}

static void end(scene *s)
{
    fwm_arena_destroy(s->arena);
    tr_law_destroy(&s->law);
    ds_close(&s->ds);
    tr_config_destroy(s->config);
    small_remove(s->folder);
}

#define BURGERS ", physics: {equation: burgers, parameters: {viscosity: 0.02}}"
#define NO_LAW ", physics: {equation: none}, model: {predictor: {prior: none}}, objective: {physics: 0}"

static void residual_of(const scene *s, const float *clip, double *out)
{
    double viscosity = 0.02, u[2][NODES * 2], value[1];
    const fem_theta theta = {.value = {&viscosity}, .count = {1}};
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < NODES * 2; i++)
            u[t][i] = (double)clip[t * NODES * 2 + i];
    cr_assert_eq(fem_loss(tr_law_problem(s->law), AD_F64, value, u[1], u[0], NULL, &theta, 1), FWM_OK, "%s",
                 fwm_error_message());
    *out = value[0];
}

/* Eight turned copies of a clip, all different, with one residual; each comes back by its inverse among them. */
Test(symmetries, turned_clips_satisfy_the_law_alike)
{
    scene s = {0};
    cr_assert_eq(make(&s, "velocity_x", "velocity_y", 1, "[mirror_x, rotate]", BURGERS), FWM_OK, "%s",
                 fwm_error_message());
    cr_assert_eq(s.augment.count, 7);
    float clip[8][2 * NODES * 2], scratch[2 * NODES * 2];
    double own;
    cr_assert_eq(ds_read(s.ds, 0, 1, 2, &(ds_clip){.state = clip[0]}), FWM_OK);
    residual_of(&s, clip[0], &own);
    cr_assert(own > 1e-6, "%g", own);
    for (int k = 0; k < 7; k++) {
        double turned;
        const ds_augment one = {.count = 1, .symmetry = &s.augment.symmetry[k]};
        memcpy(clip[k + 1], clip[0], sizeof clip[0]);
        uint64_t draw = 0; /* one that turns: half of them do */
        for (; memcmp(clip[k + 1], clip[0], sizeof clip[0]) == 0 && draw < 64; draw++)
            ds_augment_clip(&one, ds_get_info(s.ds), 3, draw, 2, &(ds_clip){.state = clip[k + 1]}, scratch);
        residual_of(&s, clip[k + 1], &turned);
        cr_assert_float_eq(turned, own, 1e-6 * own, "%s: %.12g, expected %.12g", s.augment.symmetry[k].name, turned,
                           own);
        for (int j = 0; j <= k; j++)
            cr_assert(memcmp(clip[j], clip[k + 1], sizeof clip[0]) != 0, "%s is another", s.augment.symmetry[k].name);
    }
    end(&s);
}

/* The loader turns frames with states: a frame drawn from the turned state is the turned frame. */
Test(symmetries, frames_and_cheap_simulation_turn_with_the_state)
{
    scene s = {0};
    cr_assert_eq(make(&s, "density", "velocity_y", 1, "[rotate, mirror_y]", NO_LAW), FWM_OK, "%s", fwm_error_message());
    const ad_sparse *render;
    cr_assert_eq(tr_law_render(s.law, FRAME, FRAME, &render), FWM_OK);
    ds_loader *loader;
    ds_batch batch;
    const ds_loader_options options = {.clip = 2, .batch = 8, .seed = 5, .augment = s.augment};
    cr_assert_eq(ds_loader_create(&loader, s.ds, &options), FWM_OK, "%s", fwm_error_message());
    int turned = 0;
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(ds_loader_next(loader, &batch), FWM_OK);
        for (int64_t b = 0; b < batch.count; b++) {
            float plain[2 * NODES * 2];
            const float *state = batch.clip.state + b * 2 * NODES * 2,
                        *frame = batch.clip.frames + b * 2 * FRAME * FRAME * 3;
            cr_assert_eq(ds_read(s.ds, batch.trajectory[b], batch.start[b], 2, &(ds_clip){.state = plain}), FWM_OK);
            turned += memcmp(plain, state, sizeof plain) != 0;
            /* Red rises with the value drawn: pixels in the order of their values are in the order of red. */
            double low = INFINITY, high = -INFINITY, red_low = 0, red_high = 0;
            for (int p = 0; p < FRAME * FRAME; p++) {
                double u = 0;
                for (int64_t e = render->row_start[p]; e < render->row_start[p + 1]; e++)
                    u += render->weight[e] * (double)state[2 * render->column[e]];
                if (u < low)
                    low = u, red_low = (double)frame[3 * p];
                if (u > high)
                    high = u, red_high = (double)frame[3 * p];
            }
            for (int p = 0; p < FRAME * FRAME; p++)
                cr_assert((double)frame[3 * p] >= red_low - 0.01 && (double)frame[3 * p] <= red_high + 0.01);
        }
    }
    cr_assert(turned > 12 && turned < 24, "%d of 24", turned);
    ds_loader_destroy(&loader);
    end(&s);
}

/* The same draws for the same seed, whatever was drawn before; other draws for another. */
Test(symmetries, are_a_function_of_seed_and_draw)
{
    scene s = {0};
    cr_assert_eq(make(&s, "velocity_x", "velocity_y", 1, "[mirror_x]", BURGERS), FWM_OK, "%s", fwm_error_message());
    float seen[3][4 * 2 * NODES * 2];
    for (int k = 0; k < 3; k++) {
        ds_loader *loader;
        ds_batch batch;
        ds_loader_options options = {
            .clip = 2, .batch = 4, .seed = k < 2 ? 5 : 6, .threads = k + 1, .depth = 3 - k, .augment = s.augment};
        options.augment.frame_noise = 0.1;
        cr_assert_eq(ds_loader_create(&loader, s.ds, &options), FWM_OK, "%s", fwm_error_message());
        cr_assert_eq(ds_loader_seek(loader, k == 1 ? 4 : 3), FWM_OK);
        if (k == 1)
            cr_assert_eq(ds_loader_seek(loader, 3), FWM_OK);
        cr_assert_eq(ds_loader_next(loader, &batch), FWM_OK);
        memcpy(seen[k], batch.clip.state, sizeof seen[k]);
        ds_loader_destroy(&loader);
    }
    cr_assert_eq(memcmp(seen[0], seen[1], sizeof seen[0]), 0);
    cr_assert_neq(memcmp(seen[0], seen[2], sizeof seen[0]), 0);
    end(&s);
}

/* Brightness and noise change frames within their range, and nothing else. */
Test(symmetries, the_camera_changes_frames_alone)
{
    scene s = {0};
    cr_assert_eq(make(&s, "a", "b", 1, "[]", NO_LAW), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(s.augment.count, 0);
    const ds_augment shift = {.brightness = 0.2}, noise = {.frame_noise = 0.05};
    static float plain[FRAME * FRAME * 3], frames[FRAME * FRAME * 3], scratch[FRAME * FRAME * 3];
    for (uint64_t draw = 0; draw < 8; draw++) {
        float state[NODES * 2], before[NODES * 2];
        const ds_clip clip = {.frames = frames, .state = state};
        cr_assert_eq(ds_read(s.ds, 0, 0, 1, &clip), FWM_OK);
        memcpy(plain, frames, sizeof plain);
        memcpy(before, state, sizeof before);
        ds_augment_clip(&shift, ds_get_info(s.ds), 1, draw, 1, &clip, scratch);
        double least = 1, most = -1;
        for (int i = 0; i < FRAME * FRAME * 3; i++)
            if (frames[i] > 0.001F && frames[i] < 0.999F) {
                least = fmin(least, (double)frames[i] - (double)plain[i]);
                most = fmax(most, (double)frames[i] - (double)plain[i]);
            }
        cr_assert(most - least < 1e-5 && fabs(most) <= 0.2 && fabs(most) > 0, "%g to %g", least, most);
        cr_assert_eq(memcmp(state, before, sizeof before), 0);
        memcpy(frames, plain, sizeof plain);
        ds_augment_clip(&noise, ds_get_info(s.ds), 1, draw, 1, &clip, scratch);
        double sum = 0, n = 0;
        for (int i = 0; i < FRAME * FRAME * 3; i++)
            if (plain[i] > 0.3F && plain[i] < 0.7F) {
                sum += pow((double)frames[i] - (double)plain[i], 2);
                n++;
            }
        cr_assert(n > 50 && fabs(sqrt(sum / n) - 0.05) < 0.02, "%g of %g values", sqrt(sum / n), n);
    }
    end(&s);
}

Test(symmetries, what_law_or_mesh_lack_is_refused)
{
    scene s = {0};
    cr_assert_eq(make(&s, "velocity_x", "velocity_y", 2, "[rotate]", BURGERS), FWM_CONFIG);
    cr_assert_not_null(strstr(fwm_error_message(), "rotate needs a square"), "%s", fwm_error_message());
    end(&s);
    cr_assert_eq(make(&s, "a", "b", 1, "[mirror_x]",
                      ", physics: {equation: burgers, parameters: {viscosity: 0.02}, learn: [viscosity], field: "
                      "[viscosity]}"),
                 FWM_CONFIG);
    cr_assert_not_null(strstr(fwm_error_message(), "viscosity is learned as a field"), "%s", fwm_error_message());
    end(&s);
    cr_assert_eq(make(&s, "a", "b", 1, "[mirror_y]",
                      ", simulate: {equation: burgers, inclusions: [[0.1, 0.3, 0.5, 0.1]]}" BURGERS),
                 FWM_CONFIG);
    cr_assert_not_null(strstr(fwm_error_message(), "mirror_y: the truth varies in space"), "%s", fwm_error_message());
    end(&s);
}
