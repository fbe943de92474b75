/* Views: nodes, channels, frames and steps of a dataset as a model takes them; grids that are closed, and lines. */
#include "data/view.h"

#include "data/writer.h"
#include "folder.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>

enum { N = 3, T = 4, POINTS = 5, CHANNELS = 2 };

static float value_at(int64_t n, int64_t t, int64_t i, int64_t c)
{
    return (float)(100 * n + 10 * t + i) + 0.25F * (float)c;
}

/* A native dataset of N trajectories, `steps` steps, and its statistics. */
static ds_dataset *make(const test_folder *folder, int64_t steps, int64_t actions)
{
    static float state[T * POINTS * CHANNELS], action[T];
    ds_info info = {.trajectories = N, .steps = steps, .dt = 0.5, .name = "beneath"};
    info.fields[DS_STATE] = (ds_field_info){.points = POINTS, .channels = CHANNELS};
    if (actions > 0)
        info.fields[DS_ACTIONS] = (ds_field_info){.points = 1, .channels = 1};
    ds_writer *writer;
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_writer_create(&writer, folder->file, &info, NULL), FWM_OK, "%s", fwm_error_message());
    for (int64_t n = 0; n < N; n++) {
        for (int64_t t = 0; t < steps; t++)
            for (int64_t i = 0; i < POINTS; i++)
                for (int64_t c = 0; c < CHANNELS; c++)
                    state[(t * POINTS + i) * CHANNELS + c] = value_at(n, t, i, c);
        const ds_trajectory trajectory = {.state = state, .actions = actions > 0 ? action : NULL};
        cr_assert_eq(ds_writer_put(writer, n, &trajectory), FWM_OK, "%s", fwm_error_message());
    }
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_open(&ds, folder->file, "fwm"), FWM_OK, "%s", fwm_error_message());
    return ds;
}

/* Two nodes: the mean of points 0 and 4, and point 2. */
static const int64_t row_start[] = {0, 2, 3};
static const int32_t column[] = {0, 4, 2};
static const double weight[] = {0.5, 0.5, 1};

Test(data_view, nodes_and_channels_are_chosen)
{
    static const int32_t channel[] = {1, -1};
    static const char *const names[] = {"b", "nothing"}, *const units[] = {"m", ""};
    test_folder folder;
    cr_assert(test_folder_open(&folder));
    const ds_view_spec spec = {.arena = fwm_arena_create(),
                               .nodes = {2, row_start, column, weight},
                               .channels = 2,
                               .channel = channel,
                               .names = names,
                               .units = units,
                               .zero_actions = 1,
                               .action_names = names,
                               .action_units = units};
    ds_dataset *base = make(&folder, T, 0), *ds = NULL;
    const double beneath = ds_get_info(base)->fields[DS_STATE].stats.mean[1];
    cr_assert_eq(ds_view_create(&ds, base, &spec), FWM_OK, "%s", fwm_error_message());
    const ds_info *info = ds_get_info(ds);
    cr_assert(info->fields[DS_STATE].points == 2 && info->fields[DS_STATE].channels == 2 && info->dt == 0.5);
    cr_assert_str_eq(info->fields[DS_STATE].names[0], "b");
    cr_assert(info->fields[DS_STATE].stats.mean[0] == beneath && info->fields[DS_STATE].stats.std[1] == 0);
    float state[2 * 4], actions[2] = {7, 7};
    cr_assert_eq(ds_read(ds, 1, 2, 2, &(ds_clip){.state = state, .actions = actions}), FWM_OK);
    for (int64_t t = 0; t < 2; t++) {
        cr_assert_eq(state[4 * t], (value_at(1, 2 + t, 0, 1) + value_at(1, 2 + t, 4, 1)) / 2);
        cr_assert_eq(state[4 * t + 2], value_at(1, 2 + t, 2, 1));
        cr_assert(state[4 * t + 1] == 0 && state[4 * t + 3] == 0 && actions[t] == 0);
    }
    ds_close(&ds);
    test_folder_close(&folder);
}

Test(data_view, frames_are_drawn_from_the_state)
{
    static const int64_t pixel_start[] = {0, 1, 2, 2, 3};
    static const int32_t pixel_column[] = {0, 2, 4};
    static const double ones[] = {1, 1, 1};
    test_folder folder;
    cr_assert(test_folder_open(&folder));
    const ds_view_spec spec = {
        .arena = fwm_arena_create(),
        .drawing = {.height = 2, .width = 2, .low = 0, .high = 4, .pixels = {4, pixel_start, pixel_column, ones}}};
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_view_create(&ds, make(&folder, T, 0), &spec), FWM_OK, "%s", fwm_error_message());
    const ds_info *info = ds_get_info(ds);
    cr_assert(info->height == 2 && info->width == 2 && info->frames_are_bytes && info->fields[DS_FRAMES].channels == 3);
    uint8_t bytes[12];
    float floats[12];
    cr_assert_eq(ds_read(ds, 0, 0, 1, &(ds_clip){.frame_bytes = bytes}), FWM_OK);
    cr_assert_eq(ds_read(ds, 0, 0, 1, &(ds_clip){.frames = floats}), FWM_OK);
    for (int i = 0; i < 12; i++)
        cr_assert_float_eq(floats[i], bytes[i] / 255.0, 1e-6);
    /* Values 0, 2, outside, 4: red rises with the value, what is outside the mesh is black. */
    cr_assert(bytes[0] == 13 && bytes[3] > bytes[0] && bytes[9] == 255 && bytes[6] + bytes[7] + bytes[8] == 0);
    /* Values beyond the range take the colours of the ends. */
    cr_assert_eq(ds_read(ds, 1, 0, 1, &(ds_clip){.frame_bytes = bytes}), FWM_OK);
    cr_assert(bytes[0] == 255 && bytes[1] == 247);
    ds_close(&ds);
    test_folder_close(&folder);
}

Test(data_view, a_problem_without_time_begins_at_zero)
{
    test_folder folder;
    cr_assert(test_folder_open(&folder));
    const ds_view_spec spec = {.arena = fwm_arena_create(), .begins_at_zero = true};
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_view_create(&ds, make(&folder, 1, 0), &spec), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_get_info(ds)->steps, 2);
    float state[2 * POINTS * CHANNELS];
    cr_assert_eq(ds_read(ds, 2, 0, 2, &(ds_clip){.state = state}), FWM_OK);
    for (int64_t i = 0; i < POINTS; i++)
        for (int64_t c = 0; c < CHANNELS; c++)
            cr_assert(state[i * CHANNELS + c] == 0 && state[(POINTS + i) * CHANNELS + c] == value_at(2, 0, i, c));
    cr_assert_eq(ds_read(ds, 2, 1, 1, &(ds_clip){.state = state}), FWM_OK);
    cr_assert_eq(state[0], value_at(2, 0, 0, 0));
    ds_close(&ds);
    test_folder_close(&folder);
}

Test(data_view, what_does_not_fit_is_refused)
{
    static const int32_t beyond[] = {0, POINTS, 2}, channel[] = {CHANNELS};
    static const char *const names[] = {"a"};
    test_folder folder;
    cr_assert(test_folder_open(&folder));
    ds_view_spec wrong[3] = {{.nodes = {2, row_start, beyond, weight}},
                             {.channels = 1, .channel = channel, .names = names, .units = names},
                             {.begins_at_zero = true}};
    for (int k = 0; k < 3; k++) {
        ds_dataset *ds = NULL;
        wrong[k].arena = fwm_arena_create();
        cr_assert_eq(ds_view_create(&ds, make(&folder, T, 0), &wrong[k]), FWM_INVALID);
        cr_assert_null(ds);
        cr_assert_not_null(strstr(fwm_error_message(), folder.file));
    }
    test_folder_close(&folder);
}

/* ---- grids ---- */

Test(data_view, periodic_grids_close)
{
    const double x[] = {0, 1, 2, 3}, y[] = {0, 0.5, 1};
    ds_grid grid = {.dims = 2, .n = {4, 3}, .coordinates = {x, y}};
    grid.edge[0][0] = grid.edge[0][1] = DS_EDGE_PERIODIC;
    fwm_arena *arena = fwm_arena_create();
    const ds_mesh *m;
    for (int both = 0; both < 2; both++) {
        grid.edge[1][0] = grid.edge[1][1] = both ? DS_EDGE_PERIODIC : DS_EDGE_WALL;
        cr_assert_eq(ds_grid_mesh(&grid, arena, &m), FWM_OK);
        cr_assert(m->n == 12 && m->nv == 5 * (3 + both) && m->ncell == 4 * (2 + both) && m->nboundary == 2 - 2 * both);
        double area = 0;
        int uses[12] = {0};
        for (int64_t c = 0; c < m->ncell; c++) {
            const double *a = m->vertices + 2 * m->cells[4 * c], *b = m->vertices + 2 * m->cells[4 * c + 2];
            cr_assert(b[0] - a[0] == 1 && b[1] - a[1] == 0.5);
            area += (b[0] - a[0]) * (b[1] - a[1]);
            for (int k = 0; k < 4; k++)
                uses[m->cell_nodes[4 * c + k]]++;
        }
        cr_assert_eq(area, both ? 6 : 4);
        for (int i = 0; i < 12; i++)
            cr_assert_eq(uses[i], both || i % 3 == 1 ? 4 : 2, "node %d", i);
        for (int64_t b = 0; b < m->nboundary; b++)
            cr_assert_eq(m->boundary[b].count, 4);
    }
    const double uneven[] = {0, 1, 2, 5};
    grid.coordinates[0] = uneven;
    cr_assert_eq(ds_grid_mesh(&grid, arena, &m), FWM_OK);
    cr_assert_null(m, "a periodic axis of uneven spacing");
    fwm_arena_destroy(arena);
}

Test(data_view, a_line_becomes_a_strip)
{
    const double x[] = {-1, 0, 1, 2};
    ds_grid grid = {.dims = 1, .n = {4}, .coordinates = {x}, .names = {"x"}};
    const ds_grid *strip;
    fwm_arena *arena = fwm_arena_create();
    cr_assert_eq(ds_grid_strip(&grid, arena, &strip), FWM_OK);
    cr_assert(strip->dims == 2 && strip->n[0] == 4 && strip->n[1] == 2 && strip->coordinates[1][1] == 1);
    cr_assert_eq(ds_grid_strip(strip, arena, &strip), FWM_INVALID);
    fwm_arena_destroy(arena);
}
