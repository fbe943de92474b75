/* Layouts of others: recorded files (in ../shared/data; without that folder these tests are skipped, and say so), whose
 * values are read beside through HDF5 directly; the LZF decoder; grids. Files with every habit of h5py are the matter
 * of tests/interop/check_layouts.py. */
#include "data/dataset.h"
#include "data/h5.h"
#include "data/lzf.h"
#include "data/mesh_io.h"
#include "data/well_files.h"
#include "model/base/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[512];

/* The file's path in path[]; skips the test where it is absent. */
static const char *recorded(const char *name)
{
    (void)snprintf(path, sizeof path, "../shared/data/%s", name);
    if (access(path, R_OK) != 0)
        cr_skip_test("%s is not there", path);
    return path;
}

static ds_dataset *open_recorded(const char *name, const char *layout)
{
    ds_dataset *ds = NULL, *named = NULL;
    cr_assert_eq(ds_open(&ds, recorded(name), "auto"), FWM_OK, "%s", fwm_error_message());
    cr_assert_str_eq(ds_get_info(ds)->layout, layout);
    cr_assert_eq(ds_open(&named, path, layout), FWM_OK, "%s", fwm_error_message());
    ds_close(&named);
    return ds;
}

/* `count` values of a dataset by HDF5 alone, from the box that begins at `at` and has one element but along `axis`. */
static void read_direct(const char *name, int rank, const hsize_t *at, int axis, hsize_t count, float *out)
{
    hsize_t extent[DS_RANK_MAX];
    for (int i = 0; i < rank; i++)
        extent[i] = i == axis ? count : 1;
    ds_h5_lock();
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(1, &count, NULL);
    cr_assert(H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, extent, NULL) >= 0);
    cr_assert(H5Dread(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, out) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    ds_h5_unlock();
}

static void check_counts(const ds_info *info, int64_t n, int64_t steps, int64_t train, int64_t validation, int64_t test)
{
    cr_assert(info->trajectories == n && info->steps == steps, "%lld x %lld", (long long)info->trajectories,
              (long long)info->steps);
    for (int64_t i = 0; i < n; i++)
        cr_assert_eq(info->lengths[i], steps);
    cr_assert_eq(ds_split_list(info, DS_TRAIN, NULL), train);
    cr_assert_eq(ds_split_list(info, DS_VALIDATION, NULL), validation);
    cr_assert_eq(ds_split_list(info, DS_TEST, NULL), test);
}

static void check_mesh(const ds_mesh *mesh, const char *cell, int64_t nodes, int64_t cells)
{
    cr_assert(mesh && mesh->n == nodes && mesh->ncell == cells);
    cr_assert_str_eq(mesh->cell, cell);
    cr_assert_eq(ds_mesh_check(mesh), FWM_OK, "%s", fwm_error_message());
}

static void check_wake(const char *name, int64_t n, bool train)
{
    enum { NX = 128, NY = 64, POINTS = NX * NY };
    static const char *const names[] = {"vorticity", "velocity_x", "velocity_y"};
    static float state[2 * POINTS * 3];
    float w[NX], v[2], re;
    ds_dataset *ds = open_recorded(name, "well");
    const ds_info *info = ds_get_info(ds);
    check_counts(info, n, 80, train ? n : 0, train ? 0 : n, 0);
    cr_assert_str_eq(info->name, "cylinder_wake_re100");
    /* Times up to 24 in float32: each is off by at most 1e-6, their mean spacing by 2e-6 / 79. */
    cr_assert_float_eq(info->dt, 0.3, 1e-7);
    const ds_field_info *field = &info->fields[DS_STATE];
    cr_assert(field->points == POINTS && field->channels == 3 && info->height == 0 &&
              info->fields[DS_FRAMES].points == 0 && info->fields[DS_ACTIONS].points == 0);
    for (int c = 0; c < 3; c++)
        cr_assert_str_eq(field->names[c], names[c]);
    check_mesh(info->mesh, "quadrilateral", POINTS, (NX - 1) * (NY - 1));
    read_direct("/dimensions/x", 1, (hsize_t[]){0}, 0, NX, w);
    cr_assert(info->mesh->vertices[0] == (double)w[0] && info->mesh->vertices[2 * POINTS - 2] == (double)w[NX - 1]);
    read_direct("/dimensions/y", 1, (hsize_t[]){0}, 0, NY, w);
    cr_assert(info->mesh->vertices[1] == (double)w[0] && info->mesh->vertices[2 * POINTS - 1] == (double)w[NY - 1]);
    cr_assert(info->grid && info->grid->edge[0][0] == DS_EDGE_OPEN && info->grid->conditions == 3);
    cr_assert_eq(ds_read(ds, n - 1, 41, 2, &(ds_clip){.state = state, .parameters = &re}), FWM_OK, "%s",
                 fwm_error_message());
    cr_assert_eq(re, 100);
    for (hsize_t y = 0; y < NY; y += 9) {
        read_direct("/t0_fields/vorticity", 4, (hsize_t[]){(hsize_t)n - 1, 42, 0, y}, 2, NX, w);
        for (hsize_t x = 0; x < NX; x++)
            cr_assert_eq(state[(POINTS + x * NY + y) * 3], w[x]);
        read_direct("/t1_fields/velocity", 5, (hsize_t[]){(hsize_t)n - 1, 41, 77, y, 0}, 4, 2, v);
        cr_assert(state[(77 * NY + y) * 3 + 1] == v[0] && state[(77 * NY + y) * 3 + 2] == v[1]);
    }
    ds_close(&ds);
}

Test(data_layouts, the_well_training_split)
{
    check_wake("cylinder_wake_well_train.hdf5", 4, true);
}

Test(data_layouts, the_well_validation_split)
{
    check_wake("cylinder_wake_well_valid.hdf5", 1, false);
}

Test(data_layouts, pdebench_burgers)
{
    enum { X = 16 };
    float state[X], direct[X], viscosity;
    ds_dataset *ds = open_recorded("burgers16_pdebench.hdf5", "pdebench");
    const ds_info *info = ds_get_info(ds);
    check_counts(info, 400, 17, 360, 0, 40);
    cr_assert(info->splits[39] == DS_TEST && info->splits[40] == DS_TRAIN, "the first tenth is for testing");
    cr_assert_eq(info->dt, 0.0625);
    check_mesh(info->mesh, "interval", X, X - 1);
    cr_assert_str_eq(info->parameter_names[0], "visc");
    cr_assert_eq(ds_read(ds, 399, 16, 1, &(ds_clip){.state = state, .parameters = &viscosity}), FWM_OK, "%s",
                 fwm_error_message());
    read_direct("/tensor", 3, (hsize_t[]){399, 16, 0}, 2, X, direct);
    cr_assert_arr_eq(state, direct, sizeof state);
    cr_assert_eq(viscosity, 0.01F);
    ds_close(&ds);
}

Test(data_layouts, pdebench_one_trajectory)
{
    static float state[3 * 512], direct[512];
    ds_dataset *ds = open_recorded("allen_cahn_1d_pdebench.hdf5", "pdebench");
    const ds_info *info = ds_get_info(ds);
    check_counts(info, 1, 201, 1, 0, 0);
    cr_assert_float_eq(info->dt, 0.005, 1e-8); /* 1 in float32 over 200 steps */
    cr_assert_eq(ds_read(ds, 0, 198, 3, &(ds_clip){.state = state}), FWM_OK, "%s", fwm_error_message());
    read_direct("/tensor", 3, (hsize_t[]){0, 200, 0}, 2, 512, direct);
    cr_assert_arr_eq(state + 2 * 512, direct, sizeof direct);
    ds_close(&ds);
}

Test(data_layouts, pdebench_darcy)
{
    enum { X = 16, POINTS = X * X };
    float state[POINTS * 2], u[X], nu[X];
    ds_dataset *ds = open_recorded("darcy16_train_pdebench.hdf5", "pdebench");
    const ds_info *info = ds_get_info(ds);
    check_counts(info, 1000, 1, 900, 0, 100);
    cr_assert_str_eq(info->fields[DS_STATE].names[0], "nu");
    cr_assert_str_eq(info->fields[DS_STATE].names[1], "u");
    check_mesh(info->mesh, "quadrilateral", POINTS, (X - 1) * (X - 1));
    cr_assert_eq(ds_read(ds, 517, 0, 1, &(ds_clip){.state = state}), FWM_OK, "%s", fwm_error_message());
    for (hsize_t x = 0; x < X; x++) {
        read_direct("/nu", 3, (hsize_t[]){517, x, 0}, 2, X, nu);
        read_direct("/tensor", 4, (hsize_t[]){517, 0, x, 0}, 3, X, u);
        for (hsize_t y = 0; y < X; y++)
            cr_assert(state[2 * (x * X + y)] == nu[y] && state[2 * (x * X + y) + 1] == u[y]);
    }
    ds_close(&ds);
}

Test(data_layouts, robomimic_with_images_and_masks)
{
    static float frames[2 * 64 * 64 * 3];
    float actions[14], states[14], direct[64];
    ds_dataset *ds = open_recorded("bridge_robomimic.hdf5", "robomimic");
    const ds_info *info = ds_get_info(ds);
    check_counts(info, 25, 10, 20, 5, 0);
    cr_assert(info->height == 64 && info->width == 64 && info->frames_are_bytes &&
              info->fields[DS_FRAMES].channels == 3 && info->fields[DS_ACTIONS].channels == 7 &&
              info->fields[DS_STATE].channels == 7 && info->fields[DS_STATE].points == 1 && !info->mesh);
    cr_assert_eq(info->dt, 0.2);
    /* Demonstration 13 is trajectory 13: by number, not by name, under which it would be the fifth. */
    cr_assert_eq(ds_read(ds, 13, 8, 2, &(ds_clip){.frames = frames, .actions = actions, .state = states}), FWM_OK, "%s",
                 fwm_error_message());
    read_direct("/data/demo_13/obs/agentview_image", 4, (hsize_t[]){9, 31, 0, 1}, 2, 64, direct);
    for (int x = 0; x < 64; x++)
        cr_assert_eq(frames[((64 + 31) * 64 + x) * 3 + 1], direct[x] / 255.0F);
    read_direct("/data/demo_13/actions", 2, (hsize_t[]){9, 0}, 1, 7, direct);
    cr_assert_arr_eq(actions + 7, direct, 7 * sizeof(float));
    read_direct("/data/demo_13/states", 2, (hsize_t[]){8, 0}, 1, 7, direct);
    cr_assert_arr_eq(states, direct, 7 * sizeof(float));
    ds_close(&ds);
}

Test(data_layouts, robosuite_without_images)
{
    float actions[7], states[32], direct[32];
    ds_dataset *ds = open_recorded("robosuite_lift_panda_demo.hdf5", "robomimic");
    const ds_info *info = ds_get_info(ds);
    check_counts(info, 1, 412, 1, 0, 0);
    cr_assert_str_eq(info->name, "Lift");
    cr_assert(info->fields[DS_FRAMES].points == 0 && info->fields[DS_ACTIONS].channels == 7 &&
              info->fields[DS_STATE].channels == 32);
    cr_assert_eq(ds_read(ds, 0, 411, 1, &(ds_clip){.actions = actions, .state = states}), FWM_OK, "%s",
                 fwm_error_message());
    read_direct("/data/demo_1/actions", 2, (hsize_t[]){411, 0}, 1, 7, direct);
    cr_assert_arr_eq(actions, direct, sizeof actions);
    read_direct("/data/demo_1/states", 2, (hsize_t[]){411, 0}, 1, 32, direct);
    cr_assert_arr_eq(states, direct, sizeof states);
    ds_close(&ds);
}

/* ---- without any file ------------------------------------------------------------------------------------------ */

Test(data_layouts, lzf_literals_and_copies)
{
    /* "abc" as it is; 3 from 3 back; 1 literal; a long copy of 7 + 2 + 2 that overlaps itself, from 1 back. */
    const uint8_t in[] = {2, 'a', 'b', 'c', 1 << 5, 2, 0, 'x', 7 << 5, 2, 0};
    uint8_t out[18];
    cr_assert(ds_lzf_decode(out, sizeof out, in, sizeof in));
    cr_assert_arr_eq(out, "abcabcxxxxxxxxxxxx", sizeof out);
    cr_assert(ds_lzf_decode(out, 0, in, 0));
    for (size_t n = 0; n < sizeof in; n++) /* ended early: the length is wrong, or a piece is torn */
        cr_assert_not(ds_lzf_decode(out, sizeof out, in, n), "%zu bytes", n);
    for (size_t n = 0; n < sizeof out; n++)
        cr_assert_not(ds_lzf_decode(out, n, in, sizeof in), "room for %zu", n);
    const uint8_t before[] = {0, 'a', 1 << 5, 1}; /* from 2 back, where there is 1 */
    cr_assert_not(ds_lzf_decode(out, 4, before, sizeof before));
    /* A copy from 256 * 31 + 255 + 1 back, the farthest there is. */
    enum { FAR = 8192 };
    static uint8_t far_in[FAR + FAR / 32 + 3], far_out[FAR + 3];
    size_t at = 0;
    for (int i = 0; i < FAR; i++) {
        if (i % 32 == 0)
            far_in[at++] = 31;
        far_in[at++] = (uint8_t)(i * 7);
    }
    far_in[at++] = (1 << 5) | 31;
    far_in[at++] = 255;
    cr_assert(ds_lzf_decode(far_out, sizeof far_out, far_in, at));
    cr_assert(far_out[FAR] == 0 && far_out[FAR + 1] == 7 && far_out[FAR + 2] == 14);
}

Test(data_layouts, lzf_of_noise_stays_within_its_room)
{
    const fwm_key key = {5, 0};
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t words[8];
        uint8_t *in = malloc(sizeof words), *out = malloc(64); /* exact: a sanitizer sees a step outside */
        fwm_random_words(key, round, 0, words);
        fwm_random_words(key, round, 1, words + 4);
        memcpy(in, words, sizeof words);
        (void)ds_lzf_decode(out, 64, in, sizeof words);
        free(in);
        free(out);
    }
}

Test(data_layouts, the_mesh_of_a_grid)
{
    const double x[] = {0, 1, 3}, y[] = {2, 1}, still[] = {1, 1, 2};
    ds_grid grid = {.dims = 2, .n = {3, 2}, .coordinates = {x, y}};
    fwm_arena *arena = fwm_arena_create();
    const ds_mesh *mesh = NULL;
    cr_assert_eq(ds_grid_mesh(&grid, arena, &mesh), FWM_OK);
    check_mesh(mesh, "quadrilateral", 6, 2);
    for (int64_t i = 0; i < 3; i++)
        for (int64_t j = 0; j < 2; j++)
            cr_assert(mesh->vertices[2 * (2 * i + j)] == x[i] && mesh->vertices[2 * (2 * i + j) + 1] == y[j]);
    const int32_t cells[] = {0, 2, 3, 1, 2, 4, 5, 3};
    cr_assert_arr_eq(mesh->cells, cells, sizeof cells);
    /* Every boundary's vertices lie on its side, and all sides have all their edges. */
    cr_assert_eq(mesh->nboundary, 4);
    for (int b = 0; b < 4; b++) {
        const ds_boundary *side = &mesh->boundary[b];
        cr_assert_eq(side->count, b < 2 ? 1 : 2);
        for (int64_t i = 0; i < side->count * side->k; i++) {
            const double *at = mesh->vertices + 2 * side->faces[i];
            cr_assert(b < 2 ? at[0] == (b == 0 ? 0 : 3) : at[1] == (b == 2 ? 2 : 1), "%s", side->name);
        }
    }
    grid.coordinates[0] = still;
    cr_assert_eq(ds_grid_mesh(&grid, arena, &mesh), FWM_OK);
    cr_assert_null(mesh, "coordinates that do not rise");
    grid.coordinates[0] = NULL;
    cr_assert_eq(ds_grid_mesh(&grid, arena, &mesh), FWM_OK);
    cr_assert_null(mesh, "coordinates that are not known");
    fwm_arena_destroy(arena);
}

Test(data_layouts, spacing_of_times)
{
    const double even[] = {1, 1.5, 2, 2.5}, uneven[] = {0, 1, 3}, hole[] = {0, (double)NAN, 2};
    cr_assert_eq(ds_even_spacing(even, 4), 0.5);
    cr_assert_eq(ds_even_spacing(uneven, 3), 0);
    cr_assert_eq(ds_even_spacing(hole, 3), 0);
    cr_assert_eq(ds_even_spacing(even, 1), 0);
}

Test(data_layouts, splits_from_paths)
{
    static const struct {
        const char *path;
        ds_split split;
    } cases[] = {
        {"a/data/train/x.hdf5", DS_TRAIN},     {"a/data/valid/x_train.hdf5", DS_VALIDATION}, {"test/x.h5", DS_TEST},
        {"x_valid.hdf5", DS_VALIDATION},       {"/d/constrained_tests.hdf5", DS_TRAIN},      {"/d/test_0.h5", DS_TEST},
        {"/train/d/flow-test-3.hdf5", DS_TEST}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(ds_well_split_of(cases[i].path), cases[i].split, "%s", cases[i].path);
    fwm_arena *arena = fwm_arena_create();
    cr_assert_str_eq(ds_well_stats_path("b/data/train/x.hdf5", arena), "b/stats.yaml");
    cr_assert_str_eq(ds_well_stats_path("data/valid/x.hdf5", arena), "stats.yaml");
    cr_assert_str_eq(ds_well_stats_path("b/train/x.hdf5", arena), "b/train/stats.yaml");
    cr_assert_str_eq(ds_well_stats_path("x.hdf5", arena), "stats.yaml");
    fwm_arena_destroy(arena);
}
