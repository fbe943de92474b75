/* Toy datasets: points where they belong, pairs that the system makes, files that read back. */
#include "data/toys.h"
#include "tests/data/folder.h"

#include <criterion/criterion.h>
#include <math.h>

static const ds_toy_options discs = {.toy = DS_TOY_DISCS,
                                     .count = {300, 0, 40, 0},
                                     .dimensions = 2,
                                     .share = 0.3,
                                     .seed = 3,
                                     .name = "discs",
                                     .config = "x",
                                     .generator = "test"};

Test(toys, points_lie_on_their_components)
{
    enum { N = 4000 };
    int64_t left = 0;
    for (int64_t i = 0; i < N; i++) {
        float y[2];
        int64_t k = ds_toy_draw(&discs, i, NULL, y);
        left += k == 0;
        cr_assert_lt(hypot((double)y[0] - (k ? 1 : -1), (double)y[1]), 0.4 + 1e-6);
    }
    cr_expect_lt(fabs((double)left / N - 0.3), 0.03);
    ds_toy_options g = discs;
    g.toy = DS_TOY_GAUSSIANS;
    g.dimensions = 16;
    double inside[8] = {0}, count[8] = {0}, mean[8][16] = {{0}};
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < N; i++) {
            float y[16];
            int64_t k = ds_toy_draw(&g, i, NULL, y);
            double square = 0;
            count[k] += pass == 0;
            for (int c = 0; c < 16; c++) {
                mean[k][c] += pass == 0 ? (double)y[c] : 0;
                square += pass == 1 ? pow((double)y[c] - mean[k][c] / count[k], 2) : 0;
            }
            inside[k] += square;
        }
    for (int k = 0; k < 8; k++)
        cr_expect_lt(fabs(sqrt(inside[k] / count[k] / 16) - 0.1), 0.01, "cluster %d", k);
}

/* Without damping's time to act energies would differ: outcomes lie near one of the two wells, and contexts far from
 * the separatrix go where the system without a kick goes. */
Test(toys, duffing_ends_in_its_wells)
{
    ds_toy_options o = discs;
    o.toy = DS_TOY_DUFFING;
    int64_t near_well = 0, right = 0;
    enum { N = 1000 };
    for (int64_t i = 0; i < N; i++) {
        float x[2], y[2];
        int64_t k = ds_toy_draw(&o, i, x, y);
        cr_assert(fabsf(x[0]) <= 2 && fabsf(x[1]) <= 2);
        near_well += hypot(fabs((double)y[0]) - 1, (double)y[1]) < 0.35;
        right += k == (y[0] > 0);
    }
    cr_expect_eq(right, N);
    cr_expect_gt(near_well, N * 9 / 10);
    /* The embedding keeps lengths, up to its noise. */
    ds_toy_options wide = o;
    wide.dimensions = 16;
    for (int64_t i = 0; i < 50; i++) {
        float x[2], y[2], X[16], Y[16];
        double a = 0, b = 0;
        cr_expect_eq(ds_toy_draw(&o, i, x, y), ds_toy_draw(&wide, i, X, Y));
        for (int c = 0; c < 2; c++)
            a += (double)(x[c] * x[c]);
        for (int c = 0; c < 16; c++)
            b += (double)(X[c] * X[c]);
        cr_expect_lt(fabs(sqrt(a) - sqrt(b)), 0.12);
    }
}

Test(toys, files_read_back)
{
    test_folder folder;
    cr_assert(test_folder_open(&folder));
    for (int paired = 0; paired < 2; paired++) {
        ds_toy_options o = discs;
        o.toy = paired ? DS_TOY_DUFFING : DS_TOY_DISCS;
        cr_assert_eq(ds_toy_write(&o, folder.file), FWM_OK, "%s", fwm_error_message());
        ds_dataset *ds;
        cr_assert_eq(ds_open(&ds, folder.file, "auto"), FWM_OK, "%s", fwm_error_message());
        const ds_info *info = ds_get_info(ds);
        cr_expect(info->trajectories == 340 && info->steps == 1 + paired && info->parameters == 1);
        cr_expect_eq(ds_split_list(info, DS_TEST, NULL), 40);
        for (int64_t i = 0; i < 340; i += 113) {
            float clip[4], x[2], y[2], component;
            const ds_clip out = {.state = clip, .parameters = &component};
            cr_assert_eq(ds_read(ds, i, 0, info->steps, &out), FWM_OK, "%s", fwm_error_message());
            int64_t k = ds_toy_draw(&o, i, x, y);
            cr_expect(clip[2 * paired] == y[0] && clip[2 * paired + 1] == y[1] && component == (float)k);
            cr_expect(!paired || (clip[0] == x[0] && clip[1] == x[1]));
        }
        ds_close(&ds);
    }
    ds_toy_options bad = discs;
    bad.dimensions = 3;
    cr_expect(ds_toy_write(&bad, folder.file) == FWM_INVALID);
    test_folder_close(&folder);
}
