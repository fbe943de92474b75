/* A small dataset whose every value is a formula of its place, so that readers, in C and in Python, know what to
 * expect:
 *     frames[i,t,y,x,c]  = (7 i + 5 t + 3 y + 2 x + c) mod 256
 *     actions[i,t,a]     = i + 0.25 t - a
 *     state[i,t,n,c]     = 100 i + t t + 0.5 n - 2 c
 *     s_phy[i,t,m,0]     = -i + 0.125 t m
 *     parameters[i,p]    = 1 + i + 10 p
 *     key_state[i,t]     = (i + t) mod 3 == 0
 *     split[i]           = 0, but 1, 2, 3 for i = 3, 7, 11
 * All but frames are exact in float32. Header only: tests and programs are linked one file at a time. */
#ifndef FWM_TESTS_DATA_SAMPLE_H
#define FWM_TESTS_DATA_SAMPLE_H

#include "data/writer.h"

#include <string.h>

enum {
    SAMPLE_N = 12,
    SAMPLE_T = 11,
    SAMPLE_H = 6,
    SAMPLE_W = 5,
    SAMPLE_C = 3,
    SAMPLE_A = 2,
    SAMPLE_NODES = 6, /* two unit squares, each cut into two triangles */
    SAMPLE_FIELDS = 2,
    SAMPLE_COARSE = 4,
    SAMPLE_P = 2
};

#define SAMPLE_DT 0.125
#define SAMPLE_CONFIG "experiment: sample\nnote: caf\xc3\xa9\n"

static inline uint8_t sample_frame(int64_t i, int64_t t, int64_t y, int64_t x, int64_t c)
{
    return (uint8_t)((7 * i + 5 * t + 3 * y + 2 * x + c) % 256);
}

static inline float sample_action(int64_t i, int64_t t, int64_t a)
{
    return (float)i + 0.25F * (float)t - (float)a;
}

static inline float sample_state(int64_t i, int64_t t, int64_t n, int64_t c)
{
    return (float)(100 * i + t * t) + 0.5F * (float)n - 2.0F * (float)c;
}

static inline float sample_s_phy(int64_t i, int64_t t, int64_t m)
{
    return -(float)i + 0.125F * (float)(t * m);
}

static inline const ds_info *sample_info(void)
{
    static const double vertices[] = {0, 0, 1, 0, 2, 0, 0, 1, 1, 1, 2, 1};
    static const int32_t cells[] = {0, 1, 4, 0, 4, 3, 1, 2, 5, 1, 5, 4};
    static const int32_t left[] = {3, 0}, right[] = {2, 5};
    static const ds_boundary boundary[] = {{"left", 1, 2, left}, {"right", 1, 2, right}};
    static const ds_mesh mesh = {.dim = 2,
                                 .nv = 6,
                                 .ncell = 4,
                                 .k = 3,
                                 .cell = "triangle",
                                 .space = "P1",
                                 .vertices = vertices,
                                 .cells = cells,
                                 .nboundary = 2,
                                 .boundary = boundary,
                                 .n = 6,
                                 .kn = 3};
    static const double corners[] = {0, 0, 2, 0, 2, 1, 0, 1};
    static const int32_t square[] = {0, 1, 2, 3};
    static const ds_mesh coarse = {.dim = 2,
                                   .nv = 4,
                                   .ncell = 1,
                                   .k = 4,
                                   .cell = "quadrilateral",
                                   .space = "Q1",
                                   .vertices = corners,
                                   .cells = square,
                                   .n = 4,
                                   .kn = 4};
    static const char *const colours[] = {"red", "green", "blue"}, *const none[] = {"", "", ""};
    static const char *const heaters[] = {"heater", "ambient"}, *const watts[] = {"W/m^2", "K"};
    static const char *const fields[] = {"temperature", "phase"}, *const kelvin[] = {"K", "-"};
    static const char *const materials[] = {"conductivity", "capacity"}, *const si[] = {"W/m/K", "J/m^3/K"};
    static const uint8_t splits[SAMPLE_N] = {0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3};
    static const ds_info info = {
        .name = "sample",
        .equation = "heat",
        .generator = "tests",
        .config = SAMPLE_CONFIG,
        .dt = SAMPLE_DT,
        .seed = 42,
        .trajectories = SAMPLE_N,
        .steps = SAMPLE_T,
        .splits = splits,
        .height = SAMPLE_H,
        .width = SAMPLE_W,
        .frames_are_bytes = true,
        .fields = {[DS_FRAMES] = {SAMPLE_H * SAMPLE_W, SAMPLE_C, colours, none, {0}, NULL, 0},
                   [DS_ACTIONS] = {1, SAMPLE_A, heaters, watts, {0}, NULL, 0},
                   [DS_STATE] = {SAMPLE_NODES, SAMPLE_FIELDS, fields, kelvin, {0}, NULL, 0},
                   [DS_S_PHY] = {SAMPLE_COARSE, 1, fields, kelvin, {0}, NULL, 0}},
        .parameters = SAMPLE_P,
        .parameter_names = materials,
        .parameter_units = si,
        .has_key_state = true,
        .mesh = &mesh,
        .coarse_mesh = &coarse,
    };
    return &info;
}

/* Puts trajectory i. */
static inline fwm_status sample_put(ds_writer *writer, int64_t i)
{
    static uint8_t frames[SAMPLE_T][SAMPLE_H][SAMPLE_W][SAMPLE_C], key[SAMPLE_T];
    static float actions[SAMPLE_T][SAMPLE_A], state[SAMPLE_T][SAMPLE_NODES][SAMPLE_FIELDS],
        s_phy[SAMPLE_T][SAMPLE_COARSE];
    float parameters[SAMPLE_P];
    for (int t = 0; t < SAMPLE_T; t++) {
        for (int y = 0; y < SAMPLE_H; y++)
            for (int x = 0; x < SAMPLE_W; x++)
                for (int c = 0; c < SAMPLE_C; c++)
                    frames[t][y][x][c] = sample_frame(i, t, y, x, c);
        for (int a = 0; a < SAMPLE_A; a++)
            actions[t][a] = sample_action(i, t, a);
        for (int n = 0; n < SAMPLE_NODES; n++)
            for (int c = 0; c < SAMPLE_FIELDS; c++)
                state[t][n][c] = sample_state(i, t, n, c);
        for (int m = 0; m < SAMPLE_COARSE; m++)
            s_phy[t][m] = sample_s_phy(i, t, m);
        key[t] = (i + t) % 3 == 0;
    }
    for (int p = 0; p < SAMPLE_P; p++)
        parameters[p] = (float)(1 + i + 10 * p);
    ds_trajectory trajectory = {.frames = &frames[0][0][0][0],
                                .actions = &actions[0][0],
                                .state = &state[0][0][0],
                                .s_phy = &s_phy[0][0],
                                .parameters = parameters,
                                .key_state = key};
    return ds_writer_put(writer, i, &trajectory);
}

/* Writes the whole file, trajectories in an order of their own, with /truth/conductivity = {0.2, 5, 0.5}. */
static inline fwm_status sample_write(const char *path, const ds_writer_options *options)
{
    static const double conductivity[] = {0.2, 5, 0.5};
    ds_writer *writer = NULL;
    fwm_status status = ds_writer_create(&writer, path, sample_info(), options);
    for (int64_t i = 0; i < SAMPLE_N && status == FWM_OK; i++)
        status = sample_put(writer, i * 5 % SAMPLE_N);
    if (status == FWM_OK)
        status = ds_writer_truth(writer, "conductivity", 3, conductivity);
    if (status == FWM_OK)
        return ds_writer_finish(&writer);
    ds_writer_abort(&writer);
    return status;
}

#endif
