/* Statistics against a direct two-pass computation. */
#include "data/dataset.h"
#include "data/h5.h"
#include "data/stats_file.h"
#include "model/base/random.h"
#include "tests/data/folder.h"
#include "tests/data/sample.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

enum { N = 7, T = 9, POINTS = 1500, CHANNELS = 3 };

static float values[N][T][POINTS][CHANNELS];
static test_folder folder;

static void open_folder(void)
{
    cr_assert(test_folder_open(&folder));
}

static void close_folder(void)
{
    test_folder_close(&folder);
}

TestSuite(data_stats, .init = open_folder, .fini = close_folder);

/* Channels of different offset and spread; the last one's offset is 1e4 times its deviation: naive sums of squares in
 * float32 would lose it. */
static void fill_values(void)
{
    const double offset[CHANNELS] = {0, -3, 1e4}, spread[CHANNELS] = {1, 0.01, 1};
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t t = 0; t < T; t++)
            for (uint32_t p = 0; p < POINTS; p++)
                for (uint32_t c = 0; c < CHANNELS; c++)
                    values[i][t][p][c] =
                        (float)(offset[c] + 0.1 * t +
                                (1 + i) * spread[c] * fwm_random_normal((fwm_key){5, c}, i * T + t, p));
}

static bool counted(int i, const uint8_t *splits)
{
    return !splits || splits[i] == DS_TRAIN;
}

/* Mean and deviation of values (step 0) or increments (step 1), in long double, twice over the data. */
static void direct(int c, int step, const uint8_t *splits, double *mean, double *std)
{
    long double sum = 0, squares = 0;
    int64_t n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < N; i++)
            for (int t = step; t < T && counted(i, splits); t++)
                for (int p = 0; p < POINTS; p++) {
                    long double x = (long double)values[i][t][p][c] - (step ? (long double)values[i][t - 1][p][c] : 0);
                    if (pass == 0) {
                        sum += x;
                        n++;
                    } else {
                        squares += (x - sum / (long double)n) * (x - sum / (long double)n);
                    }
                }
    *mean = (double)(sum / (long double)n);
    *std = (double)sqrtl(squares / (long double)n);
}

/* n <= 1e5 values: block sums of 1024 in float64 err by at most 1024 eps of the sum of magnitudes (|x| <= 1e4 + 50),
 * merges by a few eps more: 1024 * 2.2e-16 * 1e4 = 2.3e-9 in the mean of the worst channel. A deviation errs by that
 * mean's error to second order and by 1024 eps relative (deviations are at most 8): 1e-11 is wide. */
static void check_stats(const ds_stats *stats, const uint8_t *splits)
{
    for (int c = 0; c < CHANNELS; c++) {
        double mean, std, delta_mean, delta_std;
        direct(c, 0, splits, &mean, &std);
        direct(c, 1, splits, &delta_mean, &delta_std);
        cr_assert_float_eq(stats->mean[c], mean, 2.5e-9, "mean %d: %.17g %.17g", c, stats->mean[c], mean);
        cr_assert_float_eq(stats->std[c], std, 1e-11, "std %d: %.17g %.17g", c, stats->std[c], std);
        cr_assert_float_eq(stats->delta_mean[c], delta_mean, 2.5e-9, "delta_mean %d", c);
        cr_assert_float_eq(stats->delta_std[c], delta_std, 1e-11, "delta_std %d", c);
    }
}

/* Writes the values as a state without a mesh, in the given order. */
static void write_values(const uint8_t *splits, int first, int stride)
{
    ds_info info = {.trajectories = N,
                    .steps = T,
                    .splits = splits,
                    .fields = {[DS_STATE] = {.points = POINTS, .channels = CHANNELS}}};
    ds_writer *writer = NULL;
    cr_assert_eq(ds_writer_create(&writer, folder.file, &info, NULL), FWM_OK, "%s", fwm_error_message());
    for (int k = 0; k < N; k++) {
        int i = (first + k * stride) % N;
        cr_assert_eq(ds_writer_put(writer, i, &(ds_trajectory){.state = &values[i][0][0][0]}), FWM_OK);
    }
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK, "%s", fwm_error_message());
}

static void delete_stats(void)
{
    hid_t file = H5Fopen(folder.file, H5F_ACC_RDWR, H5P_DEFAULT);
    cr_assert(file >= 0 && H5Ldelete(file, "/stats", H5P_DEFAULT) >= 0 && H5Fclose(file) >= 0);
}

static void check_file(const uint8_t *splits)
{
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ds_ensure_stats(ds), FWM_OK, "%s", fwm_error_message());
    check_stats(&ds_get_info(ds)->fields[DS_STATE].stats, splits);
    cr_assert_null(ds_get_info(ds)->fields[DS_FRAMES].stats.mean);
    ds_close(&ds);
}

Test(data_stats, writer_counts_the_training_split_only)
{
    static const uint8_t splits[N] = {0, 1, 0, 2, 0, 3, 0};
    fill_values();
    write_values(splits, 0, 1);
    check_file(splits);
}

Test(data_stats, streaming_over_a_file_without_statistics_agrees)
{
    static const uint8_t splits[N] = {1, 0, 0, 2, 0, 3, 0};
    fill_values();
    write_values(splits, 0, 1);
    delete_stats();
    check_file(splits);
}

Test(data_stats, without_a_training_split_all_count)
{
    static const uint8_t splits[N] = {2, 2, 2, 2, 2, 1, 3};
    fill_values();
    write_values(splits, 0, 1);
    check_file(NULL);
    delete_stats();
    check_file(NULL);
}

Test(data_stats, do_not_depend_on_the_order_of_arrival)
{
    double first[4][CHANNELS];
    fill_values();
    for (int order = 0; order < 3; order++) {
        ds_dataset *ds = NULL;
        write_values(NULL, order * 3, order + 1);
        cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
        const ds_stats *stats = &ds_get_info(ds)->fields[DS_STATE].stats;
        const double *found[4] = {stats->mean, stats->std, stats->delta_mean, stats->delta_std};
        for (int k = 0; k < 4; k++) {
            if (order == 0)
                memcpy(first[k], found[k], sizeof first[k]);
            cr_assert_arr_eq(found[k], first[k], sizeof first[k]);
        }
        ds_close(&ds);
    }
}

Test(data_stats, long_trajectories_are_streamed_in_overlapping_stretches)
{
    /* 1 M values at a time, or 2 steps: 5 steps of 1.5 M values do not fit in one stretch. The whole is a single chunk
     * of 30 MB, which HDF5 once lost: see ds_h5_create_array. */
    enum { STEPS = 5, WIDE = 1500000 };
    ds_info info = {.trajectories = 1, .steps = STEPS, .fields = {[DS_STATE] = {.points = WIDE, .channels = 1}}};
    float *x = malloc((size_t)STEPS * WIDE * sizeof *x);
    ds_writer *writer = NULL;
    ds_dataset *ds = NULL;
    cr_assert_not_null(x);
    for (int64_t t = 0; t < STEPS; t++)
        for (int64_t p = 0; p < WIDE; p++)
            x[t * WIDE + p] = (float)(t * t + p % 3);
    cr_assert_eq(ds_writer_create(&writer, folder.file, &info, NULL), FWM_OK);
    cr_assert_eq(ds_writer_put(writer, 0, &(ds_trajectory){.state = x}), FWM_OK);
    cr_assert_eq(ds_writer_finish(&writer), FWM_OK);
    free(x);
    delete_stats();
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    cr_assert_eq(ds_ensure_stats(ds), FWM_OK);
    /* t^2 has mean 6 and variance (0+1+16+81+256)/5 - 36 = 34.8; p mod 3 mean 1 and variance 2/3, independent.
     * Increments 1, 3, 5, 7: mean 4, variance 5. Some 7300 blocks are merged, each adding at most a few eps of 18:
     * 7300 * 4 * 18 * 1.1e-16 = 6e-11. */
    const ds_stats *stats = &ds_get_info(ds)->fields[DS_STATE].stats;
    cr_assert_float_eq(stats->mean[0], 7, 6e-11, "%.17g", stats->mean[0]);
    cr_assert_float_eq(stats->std[0], sqrt(34.8 + 2.0 / 3), 6e-11);
    cr_assert_float_eq(stats->delta_mean[0], 4, 6e-11);
    cr_assert_float_eq(stats->delta_std[0], sqrt(5), 6e-11);
    ds_close(&ds);
}

Test(data_stats, what_is_not_finite_is_left_out)
{
    ds_moments value = {0}, delta = {0};
    const float x[] = {1, NAN, 3, INFINITY, 5, 6};
    ds_moments_add_values(&value, x, 6, 1, 1);
    ds_moments_add_deltas(&delta, x, 6, 1, 1);
    cr_assert(value.count == 4 && value.mean == 3.75);
    cr_assert_float_eq(value.m2, 7.5625 + 0.5625 + 1.5625 + 5.0625, 1e-14);
    cr_assert(delta.count == 1 && delta.mean == 1 && delta.m2 == 0);
    cr_assert_eq(ds_moments_std(&(ds_moments){0}), 0);
}

/* Against the definition, with few and with many channels, of means far from 0. Each sum has at most n = 3 * 701 terms
 * (an error of n eps of it); m2 cancels none of it, since differences from the mean so far are summed. */
Test(data_stats, any_number_of_channels_has_the_moments_of_the_definition)
{
    enum { STEPS = 3, PLACES = 701, CHANNELS_MOST = 130 };
    const double tolerance = 4 * STEPS * PLACES * DBL_EPSILON;
    float *x = malloc((size_t)STEPS * PLACES * CHANNELS_MOST * sizeof *x);
    cr_assert_not_null(x);
    const int64_t some[] = {1, 2, 3, 32, 33, 64, 65, CHANNELS_MOST};
    for (size_t k = 0; k < sizeof some / sizeof *some; k++) {
        const int64_t channels = some[k];
        ds_moments value[CHANNELS_MOST] = {{0}}, delta[CHANNELS_MOST] = {{0}};
        const int64_t width = PLACES * channels;
        fwm_random_normal_f32((fwm_key){3, 1}, (uint64_t)channels, STEPS * width, x);
        for (int64_t i = 0; i < STEPS * width; i++)
            x[i] += (float)(100 * (i % channels));
        ds_moments_add_values(value, x, STEPS, PLACES, channels);
        ds_moments_add_deltas(delta, x, STEPS, PLACES, channels);
        for (int64_t c = 0; c < channels; c++)
            for (int what = 0; what < 2; what++) {
                const ds_moments *m = what ? &delta[c] : &value[c];
                const int64_t n = (STEPS - what) * PLACES;
                long double mean = 0, m2 = 0;
                for (int pass = 0; pass < 2; pass++)
                    for (int64_t i = 0; i < n; i++) {
                        const float *at = x + i * channels + c;
                        const long double v = what ? (long double)at[width] - at[0] : at[0];
                        if (pass == 0)
                            mean += v / n;
                        else
                            m2 += (v - mean) * (v - mean);
                    }
                cr_assert_eq(m->count, n);
                cr_assert_float_eq(m->mean, (double)mean, tolerance * (1 + fabs((double)mean)), "%lld of %lld: %.17g",
                                   (long long)c, (long long)channels, m->mean);
                cr_assert_float_eq(m->m2, (double)m2, tolerance * (double)m2, "%lld of %lld: %.17g, %.17g",
                                   (long long)c, (long long)channels, m->m2, (double)m2);
            }
    }
    free(x);
}

Test(data_stats, only_what_is_wanted_is_read)
{
    ds_dataset *ds = NULL;
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK, "%s", fwm_error_message());
    for (ds_field f = 0; f < DS_FIELDS; f++)
        ds->info.fields[f].stats = (ds_stats){0};
    cr_assert_eq(ds_ensure_stats_of(ds, (const bool[DS_FIELDS]){[DS_STATE] = true}), FWM_OK);
    for (ds_field f = 0; f < DS_FIELDS; f++)
        cr_assert_eq(ds->info.fields[f].stats.mean != NULL, f == DS_STATE);
    ds_close(&ds);
}

static bool has_stats(const char *path, double *mean)
{
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_open(&ds, path, "auto"), FWM_OK, "%s", fwm_error_message());
    for (ds_field f = 0; f < DS_FIELDS; f++)
        ds->info.fields[f].stats = (ds_stats){0};
    ds_stats_file_read(ds);
    const bool found = ds->info.fields[DS_STATE].stats.mean != NULL;
    *mean = found ? ds->info.fields[DS_STATE].stats.mean[1] : 0;
    ds_close(&ds);
    return found;
}

/* What is kept beside a dataset is believed as long as nothing that it was computed from has changed. */
Test(data_stats, kept_statistics_are_never_stale)
{
    char kept[768];
    double mean;
    (void)snprintf(kept, sizeof kept, "%s.stats.json", folder.file);
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    cr_assert(!has_stats(folder.file, &mean));
    ds_dataset *ds = NULL;
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    const double expected = ds_get_info(ds)->fields[DS_STATE].stats.mean[1];
    ds_stats_file_write(ds);
    ds_close(&ds);
    cr_assert(has_stats(folder.file, &mean) && mean == expected, "%.17g %.17g", mean, expected);
    /* The same bytes, written later; another size; a damaged file; none. */
    cr_assert_eq(sample_write(folder.file, NULL), FWM_OK);
    cr_assert(!has_stats(folder.file, &mean));
    cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK);
    ds_stats_file_write(ds);
    ds_close(&ds);
    cr_assert(has_stats(folder.file, &mean));
    cr_assert_eq(truncate(kept, 40), 0);
    cr_assert(!has_stats(folder.file, &mean));
    cr_assert_eq(unlink(kept), 0);
    cr_assert(!has_stats(folder.file, &mean));
}
