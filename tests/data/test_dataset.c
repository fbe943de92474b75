/* Round trips through the native layout. */
#include "data/inspect.h"
#include "data/writer.h"
#include "tests/data/folder.h"
#include "tests/data/sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <sys/wait.h>

static test_folder folder;

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
}

static void close_folder(void)
{
    test_folder_close(&folder);
}

TestSuite(data_dataset, .init = open_folder, .fini = close_folder);

static ds_dataset *open_sample(const ds_writer_options *options)
{
    ds_dataset *ds = NULL;
    cr_assert_eq(sample_write(folder.file, options), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK, "%s", fwm_error_message());
    return ds;
}

static void check_clip(ds_dataset *ds, int64_t i, int64_t start, int64_t length)
{
    static float frames[SAMPLE_T][SAMPLE_H][SAMPLE_W][SAMPLE_C], actions[SAMPLE_T][SAMPLE_A];
    static float state[SAMPLE_T][SAMPLE_NODES][SAMPLE_FIELDS], s_phy[SAMPLE_T][SAMPLE_COARSE], parameters[SAMPLE_P];
    static uint8_t key[SAMPLE_T];
    ds_clip clip = {.frames = &frames[0][0][0][0],
                    .actions = &actions[0][0],
                    .state = &state[0][0][0],
                    .s_phy = &s_phy[0][0],
                    .parameters = parameters,
                    .key_state = key};
    cr_assert_eq(ds_read(ds, i, start, length, &clip), FWM_OK, "%s", fwm_error_message());
    for (int64_t k = 0; k < length; k++) {
        int64_t t = start + k;
        for (int y = 0; y < SAMPLE_H; y++)
            for (int x = 0; x < SAMPLE_W; x++)
                for (int c = 0; c < SAMPLE_C; c++)
                    cr_assert_eq(frames[k][y][x][c], (float)sample_frame(i, t, y, x, c) / 255.0F);
        for (int a = 0; a < SAMPLE_A; a++)
            cr_assert_eq(actions[k][a], sample_action(i, t, a));
        for (int n = 0; n < SAMPLE_NODES; n++)
            for (int c = 0; c < SAMPLE_FIELDS; c++)
                cr_assert_eq(state[k][n][c], sample_state(i, t, n, c));
        for (int m = 0; m < SAMPLE_COARSE; m++)
            cr_assert_eq(s_phy[k][m], sample_s_phy(i, t, m));
        cr_assert_eq(key[k], (i + t) % 3 == 0);
    }
    for (int p = 0; p < SAMPLE_P; p++)
        cr_assert_eq(parameters[p], (float)(1 + i + 10 * p));
}

static void check_every_clip(const ds_writer_options *options)
{
    ds_dataset *ds = open_sample(options);
    for (int64_t i = 0; i < SAMPLE_N; i++)
        for (int64_t start = 0; start <= SAMPLE_T; start++)
            for (int64_t length = 0; start + length <= SAMPLE_T; length++)
                check_clip(ds, i, start, length);
    ds_close(&ds);
    cr_assert_null(ds);
}

Test(data_dataset, every_clip_comes_back_as_written)
{
    check_every_clip(NULL);
}

Test(data_dataset, every_clip_comes_back_from_compressed_chunks)
{
    ds_writer_options options = {.gzip = 3, .chunk_steps = 4};
    check_every_clip(&options);
}

Test(data_dataset, every_clip_comes_back_from_chunks_longer_than_the_trajectory)
{
    ds_writer_options options = {.chunk_steps = 100};
    check_every_clip(&options);
}

Test(data_dataset, description_comes_back)
{
    ds_dataset *ds = open_sample(NULL);
    const ds_info *info = ds_get_info(ds), *given = sample_info();
    cr_assert_str_eq(info->layout, "fwm");
    cr_assert_str_eq(info->name, "sample");
    cr_assert_str_eq(info->equation, "heat");
    cr_assert_str_eq(info->generator, "tests");
    cr_assert_str_eq(info->config, SAMPLE_CONFIG);
    cr_assert_eq(info->dt, SAMPLE_DT);
    cr_assert_eq(info->seed, 42);
    cr_assert_eq(info->trajectories, SAMPLE_N);
    cr_assert_eq(info->steps, SAMPLE_T);
    cr_assert_eq(info->height, SAMPLE_H);
    cr_assert_eq(info->width, SAMPLE_W);
    cr_assert(info->frames_are_bytes && info->has_key_state);
    for (int64_t i = 0; i < SAMPLE_N; i++) {
        cr_assert_eq(info->lengths[i], SAMPLE_T);
        cr_assert_eq(info->splits[i], given->splits[i]);
    }
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        cr_assert_eq(info->fields[f].points, given->fields[f].points);
        cr_assert_eq(info->fields[f].channels, given->fields[f].channels);
        for (int64_t c = 0; c < info->fields[f].channels; c++) {
            cr_assert_str_eq(info->fields[f].names[c], given->fields[f].names[c]);
            cr_assert_str_eq(info->fields[f].units[c], given->fields[f].units[c]);
        }
    }
    cr_assert_eq(info->parameters, SAMPLE_P);
    cr_assert_str_eq(info->parameter_names[1], "capacity");
    cr_assert_str_eq(info->parameter_units[0], "W/m/K");
    int64_t list[SAMPLE_N];
    cr_assert_eq(ds_split_list(info, DS_TRAIN, NULL), 9);
    cr_assert_eq(ds_split_list(info, DS_TEST_OOD, list), 1);
    cr_assert_eq(list[0], 11);
    ds_close(&ds);
}

static void check_mesh(const ds_mesh *a, const ds_mesh *b)
{
    cr_assert(a->dim == b->dim && a->nv == b->nv && a->ncell == b->ncell && a->k == b->k && a->n == b->n &&
              a->kn == b->kn);
    cr_assert_str_eq(a->cell, b->cell);
    cr_assert_str_eq(a->space, b->space);
    cr_assert_arr_eq(a->vertices, b->vertices, (size_t)(a->nv * a->dim) * sizeof(double));
    cr_assert_arr_eq(a->cells, b->cells, (size_t)(a->ncell * a->k) * sizeof(int32_t));
    cr_assert_eq(a->nodes == NULL, b->nodes == NULL);
    if (a->nodes) {
        cr_assert_arr_eq(a->nodes, b->nodes, (size_t)(a->n * a->dim) * sizeof(double));
        cr_assert_arr_eq(a->cell_nodes, b->cell_nodes, (size_t)(a->ncell * a->kn) * sizeof(int32_t));
    }
    cr_assert_eq(a->nboundary, b->nboundary);
    for (int64_t i = 0; i < a->nboundary; i++) {
        cr_assert_str_eq(a->boundary[i].name, b->boundary[i].name);
        cr_assert(a->boundary[i].count == b->boundary[i].count && a->boundary[i].k == b->boundary[i].k);
        cr_assert_arr_eq(a->boundary[i].faces, b->boundary[i].faces,
                         (size_t)(a->boundary[i].count * a->boundary[i].k) * sizeof(int32_t));
    }
}

Test(data_dataset, meshes_come_back)
{
    ds_dataset *ds = open_sample(NULL);
    check_mesh(ds_get_info(ds)->mesh, sample_info()->mesh);
    check_mesh(ds_get_info(ds)->coarse_mesh, sample_info()->coarse_mesh);
    ds_close(&ds);
}

/* One state of a P2 triangle, float frames, no splits given, no names given. */
static ds_info quadratic_info(void)
{
    static const double vertices[] = {0, 0, 1, 0, 0, 1}, nodes[] = {0, 0, 1, 0, 0, 1, .5, 0, .5, .5, 0, .5};
    static const int32_t cells[] = {0, 1, 2}, cell_nodes[] = {0, 1, 2, 3, 4, 5};
    static const ds_mesh mesh = {.dim = 2,
                                 .nv = 3,
                                 .ncell = 1,
                                 .k = 3,
                                 .cell = "triangle",
                                 .space = "P2",
                                 .vertices = vertices,
                                 .cells = cells,
                                 .n = 6,
                                 .kn = 6,
                                 .nodes = nodes,
                                 .cell_nodes = cell_nodes};
    return (ds_info){.trajectories = 1,
                     .steps = 3,
                     .height = 1,
                     .width = 2,
                     .mesh = &mesh,
                     .fields = {[DS_FRAMES] = {.points = 2, .channels = 1}, [DS_STATE] = {.points = 6, .channels = 2}}};
}

Test(data_dataset, quadratic_nodes_float_frames_and_default_names_come_back)
{
    ds_info given = quadratic_info();
    float frames[6] = {-1.5F, 2, NAN, 3, 4, 1e30F}, state[36] = {0}, back[6];
    ds_writer *writer = NULL;
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_writer_create(&writer, folder.file, &given, NULL), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_writer_put(writer, 0, &(ds_trajectory){.frames_f32 = frames, .state = state}), FWM_OK);
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_open(&ds, folder.file, "fwm"), FWM_OK, "%s", fwm_error_message());
    const ds_info *info = ds_get_info(ds);
    check_mesh(info->mesh, given.mesh);
    cr_assert_str_eq(info->fields[DS_STATE].names[1], "field1");
    cr_assert_str_eq(info->fields[DS_FRAMES].names[0], "channel");
    cr_assert_str_eq(info->fields[DS_STATE].units[1], "");
    cr_assert(!info->frames_are_bytes && !info->has_key_state && info->parameters == 0 &&
              info->fields[DS_ACTIONS].points == 0);
    cr_assert_null(info->coarse_mesh);
    cr_assert_eq(ds_read(ds, 0, 0, 3, &(ds_clip){.frames = back}), FWM_OK);
    cr_assert_arr_eq(back, frames, sizeof frames);
    ds_close(&ds);
}

Test(data_dataset, truth_comes_back_and_a_missing_one_is_named)
{
    ds_dataset *ds = open_sample(NULL);
    int64_t count = 0;
    const double *values = NULL, *again = NULL;
    cr_assert_eq(ds_get_info(ds)->truths, 1);
    cr_assert_str_eq(ds_get_info(ds)->truth_names[0], "conductivity");
    cr_assert_eq(ds_truth(ds, "conductivity", &count, &values), FWM_OK, "%s", fwm_error_message());
    cr_assert(count == 3 && values[0] == 0.2 && values[1] == 5 && values[2] == 0.5);
    cr_assert_eq(ds_truth(ds, "conductivity", &count, &again), FWM_OK);
    cr_assert_eq(again, values);
    cr_assert_eq(ds_truth(ds, "loss", &count, &values), FWM_DATA);
    cr_assert(strstr(fwm_error_message(), "/truth/loss") && strstr(fwm_error_message(), folder.file));
    ds_close(&ds);
}

Test(data_dataset, ranges_outside_and_absent_fields_are_refused)
{
    ds_dataset *ds = open_sample(NULL);
    float x[SAMPLE_T * SAMPLE_A];
    ds_clip clip = {.actions = x};
    const int64_t bad[][3] = {{-1, 0, 1}, {SAMPLE_N, 0, 1},  {0, -1, 1},        {0, 0, SAMPLE_T + 1}, {0, 1, SAMPLE_T},
                              {0, 0, -1}, {0, INT64_MAX, 1}, {0, 1, INT64_MAX}, {INT64_MIN, 0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(ds_read(ds, bad[i][0], bad[i][1], bad[i][2], &clip), FWM_INVALID, "case %zu", i);
    ds_close(&ds);
    ds_info given = quadratic_info();
    ds_writer *writer = NULL;
    float frames[6] = {0}, state[36] = {0};
    uint8_t key[3];
    cr_assert_eq(ds_writer_create(&writer, folder.file, &given, NULL), FWM_OK);
    cr_assert_eq(ds_writer_put(writer, 0, &(ds_trajectory){.frames_f32 = frames, .state = state}), FWM_OK);
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK);
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    cr_assert_eq(ds_read(ds, 0, 0, 1, &clip), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "actions"));
    cr_assert_eq(ds_read(ds, 0, 0, 1, &(ds_clip){.parameters = x}), FWM_INVALID);
    cr_assert_eq(ds_read(ds, 0, 0, 1, &(ds_clip){.key_state = key}), FWM_INVALID);
    ds_close(&ds);
}

Test(data_dataset, writer_leaves_nothing_when_aborted_or_incomplete)
{
    ds_writer *writer = NULL;
    cr_assert_eq(ds_writer_create(&writer, folder.file, sample_info(), NULL), FWM_OK);
    cr_assert_eq(sample_put(writer, 0), FWM_OK);
    cr_assert_neq(access(folder.file, F_OK), 0, "a file under the final name before it is complete");
    ds_writer_abort(&writer);
    cr_assert_null(writer);
    cr_assert_eq(test_folder_count(&folder), 0);
    cr_assert_eq(ds_writer_create(&writer, folder.file, sample_info(), NULL), FWM_OK);
    for (int64_t i = 0; i < SAMPLE_N - 1; i++)
        cr_assert_eq(sample_put(writer, i), FWM_OK);
    cr_assert_eq(ds_writer_finish(&writer), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "trajectory 11 of 12 was never written"), "%s", fwm_error_message());
    cr_assert_null(writer);
    cr_assert_eq(test_folder_count(&folder), 0);
}

Test(data_dataset, a_killed_writer_leaves_nothing_under_the_final_name)
{
    pid_t child = fork();
    if (child == 0) {
        ds_writer *writer = NULL;
        if (ds_writer_create(&writer, folder.file, sample_info(), NULL) == FWM_OK && sample_put(writer, 0) == FWM_OK)
            (void)kill(getpid(), SIGKILL);
        _exit(3);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status));
    cr_assert_neq(access(folder.file, F_OK), 0);
}

Test(data_dataset, an_older_file_stays_until_the_new_one_is_complete)
{
    ds_dataset *ds = open_sample(NULL);
    ds_writer *writer = NULL;
    ds_info other = *sample_info();
    other.name = "other";
    cr_assert_eq(ds_writer_create(&writer, folder.file, &other, NULL), FWM_OK);
    ds_writer_abort(&writer);
    ds_close(&ds);
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    cr_assert_str_eq(ds_get_info(ds)->name, "sample");
    ds_close(&ds);
    cr_assert_eq(test_folder_count(&folder), 1);
}

Test(data_dataset, writer_refuses_what_contradicts_itself)
{
    ds_writer *writer = NULL;
    ds_info info = *sample_info();
    ds_mesh mesh = *info.mesh;
    int32_t cells[12];
    memcpy(cells, mesh.cells, sizeof cells);
    info.fields[DS_STATE].points = 7;
    cr_assert_eq(ds_writer_create(&writer, folder.file, &info, NULL), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "6 nodes, found 7"), "%s", fwm_error_message());
    info = *sample_info();
    info.height = 7;
    cr_assert_eq(ds_writer_create(&writer, folder.file, &info, NULL), FWM_INVALID);
    info = *sample_info();
    info.trajectories = INT64_MAX / 2;
    cr_assert_eq(ds_writer_create(&writer, folder.file, &info, NULL), FWM_INVALID);
    info = *sample_info();
    info.mesh = &mesh;
    mesh.cells = cells;
    cells[5] = 6;
    cr_assert_eq(ds_writer_create(&writer, folder.file, &info, NULL), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "from 0 to 5, found 6"), "%s", fwm_error_message());
    info = *sample_info();
    cr_assert_eq(ds_writer_create(&writer, "/nowhere/data.h5", &info, NULL), FWM_IO);
    cr_assert_eq(ds_writer_create(&writer, folder.file, &info, NULL), FWM_OK);
    cr_assert_eq(sample_put(writer, SAMPLE_N), FWM_INVALID);
    cr_assert_eq(sample_put(writer, 3), FWM_OK);
    cr_assert_eq(sample_put(writer, 3), FWM_INVALID);
    cr_assert_eq(ds_writer_put(writer, 4, &(ds_trajectory){0}), FWM_INVALID);
    cr_assert_eq(ds_writer_truth(writer, "a/b", 0, NULL), FWM_INVALID);
    ds_writer_abort(&writer);
    cr_assert_eq(test_folder_count(&folder), 0);
}

Test(data_dataset, inspect_counts_and_bounds)
{
    ds_dataset *ds = open_sample(NULL);
    json_t *out = NULL;
    const char *kind, *layout, *fields[2], *name;
    int n, t, h, w, c, actions, bad, validation;
    double dt, low, high;
    json_t *residual, *range;
    cr_assert_eq(ds_inspect(ds, &out), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(json_unpack(out, "{s:s, s:s, s:i, s:i, s:[i,i,i], s:[s,s], s:i, s:F, s:i, s:o, s:{s:i}, s:{s:o}}",
                             "kind", &kind, "layout", &layout, "trajectories", &n, "steps", &t, "frames", &h, &w, &c,
                             "fields", &fields[0], &fields[1], "actions", &actions, "dt", &dt, "nan", &bad, "residual",
                             &residual, "splits", "validation", &validation, "ranges", "actions", &range),
                 0);
    cr_assert_str_eq(kind, "dataset");
    cr_assert_str_eq(layout, "fwm");
    cr_assert_str_eq(fields[0], "temperature");
    cr_assert(n == SAMPLE_N && t == SAMPLE_T && h == SAMPLE_H && w == SAMPLE_W && c == SAMPLE_C &&
              actions == SAMPLE_A && bad == 0);
    cr_assert(dt == SAMPLE_DT && json_is_null(residual) && validation == 1);
    cr_assert_eq(json_unpack(json_array_get(range, 1), "{s:s, s:F, s:F}", "name", &name, "min", &low, "max", &high), 0);
    cr_assert_str_eq(name, "ambient");
    cr_assert(low == -1 && high == 11 + 0.25 * 10 - 1, "%g %g", low, high);
    json_decref(out);
    ds_close(&ds);
}

Test(data_dataset, inspect_counts_what_is_not_finite)
{
    ds_info given = quadratic_info();
    float frames[6] = {-1.5F, 2, NAN, 3, 4, INFINITY}, state[36] = {0};
    ds_writer *writer = NULL;
    ds_dataset *ds = NULL;
    json_t *out = NULL;
    state[7] = -INFINITY;
    cr_assert_eq(ds_writer_create(&writer, folder.file, &given, NULL), FWM_OK);
    cr_assert_eq(ds_writer_put(writer, 0, &(ds_trajectory){.frames_f32 = frames, .state = state}), FWM_OK);
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK);
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    /* Of the frames' values -1.5 2 3 4 are finite; of their increments (NaN-..) 3-2 and those of pixel 0
     * are not all. */
    cr_assert_float_eq(ds_get_info(ds)->fields[DS_FRAMES].stats.mean[0], 7.5 / 4, 1e-15);
    cr_assert_eq(ds_inspect(ds, &out), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(json_integer_value(json_object_get(out, "nan")), 3);
    json_decref(out);
    ds_close(&ds);
}
