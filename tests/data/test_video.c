/* Video completed: sides filled up by mirroring, and the picture itself, coarsely, as a state. */
#include "data/h5.h"
#include "data/loader.h"
#include "data/video.h"
#include "tests/data/folder.h"

#include <criterion/criterion.h>
#include <math.h>

enum { N = 2, T = 3, COLORS = 2 };

static test_folder folder;

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
}

static void close_folder(void)
{
    test_folder_close(&folder);
}

TestSuite(data_video, .init = open_folder, .fini = close_folder);

static void write_video(hid_t stored, hid_t given, int64_t height, int64_t width, const void *values)
{
    const hsize_t dims[5] = {N, T, (hsize_t)height, (hsize_t)width, COLORS};
    hid_t file = H5Fcreate(folder.file, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
          space = H5Screate_simple(5, dims, NULL);
    hid_t id = H5Dcreate2(file, "/video", stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(id >= 0 && H5Dwrite(id, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(id);
    H5Sclose(space);
    H5Fclose(file);
}

static ds_dataset *open_video(void)
{
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_open_with(&ds, folder.file, "generic", &(ds_options){.frames = "/video:nthwc"}), FWM_OK, "%s",
                 fwm_error_message());
    cr_assert(ds_video_lacks(ds_get_info(ds)));
    cr_assert_eq(ds_video_create(&ds, ds), FWM_OK, "%s", fwm_error_message());
    cr_assert(!ds_video_lacks(ds_get_info(ds)));
    return ds;
}

/* Row or column `at` of a side of n: 0 1 .. n-1 n-2 n-3 .. */
static int64_t mirror(int64_t at, int64_t n)
{
    while (at >= n || at < 0)
        at = at < 0 ? -at : 2 * (n - 1) - at;
    return at;
}

Test(data_video, sides_are_filled_up_by_the_picture_mirrored)
{
    /* The second is filled up by more than its own height. */
    const int64_t sides[][4] = {{20, 27, 24, 32}, {5, 16, 16, 16}, {24, 16, 24, 16}};
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        const int64_t h = sides[s][0], w = sides[s][1], H = sides[s][2], W = sides[s][3];
        uint8_t *video = malloc((size_t)(N * T * h * w * COLORS)), *out = malloc((size_t)(T * H * W * COLORS));
        float *floats = malloc((size_t)(T * H * W * COLORS) * sizeof *floats);
        cr_assert(video && out && floats);
        for (int64_t i = 0; i < N * T * h * w * COLORS; i++)
            video[i] = (uint8_t)(i * 37 % 251);
        write_video(H5T_STD_U8LE, H5T_NATIVE_UCHAR, h, w, video);
        ds_dataset *ds = open_video();
        const ds_info *info = ds_get_info(ds);
        cr_assert(info->height == H && info->width == W && info->shown_height == h && info->shown_width == w);
        cr_assert_eq(ds_read(ds, 1, 0, T, &(ds_clip){.frame_bytes = out, .frames = floats}), FWM_OK);
        for (int64_t t = 0; t < T; t++)
            for (int64_t r = 0; r < H; r++)
                for (int64_t c = 0; c < W; c++)
                    for (int64_t k = 0; k < COLORS; k++) {
                        const int64_t at = ((t * H + r) * W + c) * COLORS + k;
                        const uint8_t expected = video[(((T + t) * h + mirror(r, h)) * w + mirror(c, w)) * COLORS + k];
                        cr_assert(out[at] == expected && floats[at] == (float)expected / 255.0F, "%lld %lld %lld",
                                  (long long)t, (long long)r, (long long)c);
                    }
        ds_close(&ds);
        free(video);
        free(out);
        free(floats);
    }
}

/* A picture that rises evenly to the right and upwards: each node sees the mean of its window, which is known; all of
 * it is exact in binary. */
Test(data_video, the_state_of_a_video_is_its_coarse_picture)
{
    enum { HEIGHT = 24, WIDTH = 32, ROWS = HEIGHT / 4 + 1, COLUMNS = WIDTH / 4 + 1 };
    static float video[N][T][HEIGHT][WIDTH][COLORS], state[T][COLUMNS][ROWS][COLORS], one[COLUMNS][ROWS][COLORS];
    for (int i = 0; i < N; i++)
        for (int t = 0; t < T; t++)
            for (int r = 0; r < HEIGHT; r++)
                for (int c = 0; c < WIDTH; c++) {
                    video[i][t][r][c][0] = (float)c / 64 + (float)(HEIGHT - 1 - r) / 256;
                    video[i][t][r][c][1] = (float)(1 + t + 4 * i) / 16;
                }
    write_video(H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, HEIGHT, WIDTH, video);
    ds_dataset *ds = open_video();
    const ds_info *info = ds_get_info(ds);
    const ds_field_info *field = &info->fields[DS_STATE];
    cr_assert(field->points == COLUMNS * ROWS && field->channels == COLORS && info->mesh && info->grid);
    cr_assert(info->mesh->n == field->points && info->mesh->dim == 2);
    cr_assert_eq(ds_read(ds, 1, 0, T, &(ds_clip){.state = &state[0][0][0][0]}), FWM_OK);
    for (int j = 0; j < COLUMNS; j++)
        for (int i = 0; i < ROWS; i++) {
            const double x = j == 0             ? 0.5
                             : j == COLUMNS - 1 ? WIDTH - 1.5
                                                : 4 * j - 0.5,
                         y = i == 0          ? 0.5
                             : i == ROWS - 1 ? HEIGHT - 1.5
                                             : 4 * i - 0.5;
            const double *at = info->mesh->vertices + 2 * (j * ROWS + i);
            cr_assert(at[0] == 4 * j && at[1] == 4 * i, "%g %g", at[0], at[1]);
            for (int t = 0; t < T; t++) {
                cr_assert_float_eq(state[t][j][i][0], x / 64 + y / 256, 1e-7, "%d %d: %g", j, i,
                                   (double)state[t][j][i][0]);
                cr_assert_float_eq(state[t][j][i][1], (5.0 + t) / 16, 1e-7);
            }
        }
    cr_assert_eq(ds_read(ds, 1, 2, 1, &(ds_clip){.state = &one[0][0][0]}), FWM_OK);
    cr_assert_eq(memcmp(one, state[2], sizeof one), 0);
    cr_assert_null(field->stats.mean);
    cr_assert_eq(ds_ensure_stats_of(ds, (const bool[DS_FIELDS]){[DS_STATE] = true}), FWM_OK);
    cr_assert_float_eq(field->stats.mean[1], (1 + 2 + 3 + 5 + 6 + 7) / 6.0 / 16, 1e-7);
    cr_assert_float_eq(field->stats.delta_mean[1], 1.0 / 16, 1e-7);
    cr_assert_null(info->fields[DS_FRAMES].stats.mean);
    ds_close(&ds);
}
