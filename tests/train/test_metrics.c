#include "train/metrics.h"

#include "model/base/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums of a few float64 terms: a handful of roundings of 1.1e-16. */
#define TIGHT 1e-14

static void near(double found, double expected, double tolerance)
{
    cr_assert(fabs(found - expected) <= tolerance, "expected %.17g, found %.17g", expected, found);
}

static float *random_floats(int64_t n, uint32_t stream)
{
    float *x = malloc((size_t)n * sizeof *x);
    fwm_random_uniform_f32((fwm_key){.seed = 5, .stream = stream}, 0, n, x);
    return x;
}

Test(metrics, field_by_hand)
{
    /* MSE 1; mean 2.5, squared deviations 2.25 + .25 + .25 + 2.25 = 5, unbiased variance 5/3; mean square 30/4. */
    const float y[] = {1, 2, 3, 4}, x[] = {2, 1, 4, 3};
    tr_field_error e = tr_field_compare(x, y, NULL, 4, 1);
    near(e.rmse, 1.0, TIGHT);
    near(e.vrmse, 1.0 / sqrt(5.0 / 3.0 + 1e-7), TIGHT);
    near(e.nrmse, 1.0 / sqrt(7.5 + 1e-7), TIGHT);
}

Test(metrics, predicting_the_mean_gives_nearly_one)
{
    /* MSE is the biased variance: VRMSE = sqrt((n-1)/n) with variance 2/3 beside eps 1e-7 (1e-7 relative at the most).
     */
    const float y[] = {0, 1, 2}, x[] = {1, 1, 1};
    near(tr_field_compare(x, y, NULL, 3, 1).vrmse, sqrt(2.0 / 3.0), 1e-7);
}

Test(metrics, constant_truth_is_divided_by_eps)
{
    const float y[] = {3, 3, 3}, x[] = {3.5f, 3.5f, 3.5f};
    near(tr_field_compare(x, y, NULL, 3, 1).vrmse, 0.5 / sqrt(1e-7), 1e-9);
}

Test(metrics, weights)
{
    enum { N = 50 };
    float *x = random_floats(N, 1), *y = random_floats(N, 2), *w = random_floats(N, 3), even[N];
    for (int i = 0; i < N; i++)
        even[i] = 0.37f;
    tr_field_error plain = tr_field_compare(x, y, NULL, N, 1), flat = tr_field_compare(x, y, even, N, 1);
    near(flat.vrmse, plain.vrmse, TIGHT);
    near(flat.nrmse, plain.nrmse, TIGHT);
    /* Straight from the definition, with the weights made to sum to one first. */
    double total = 0, mean = 0, mse = 0, var = 0, squares = 0;
    for (int i = 0; i < N; i++)
        total += (double)w[i];
    for (int i = 0; i < N; i++)
        mean += (double)w[i] / total * (double)y[i];
    for (int i = 0; i < N; i++) {
        double v = (double)w[i] / total, d = (double)x[i] - (double)y[i], t = (double)y[i] - mean;
        mse += v * d * d, var += v * t * t, squares += v * v;
    }
    near(tr_field_compare(x, y, w, N, 1).vrmse, sqrt(mse / (var / (1 - squares) + 1e-7)), TIGHT);
    free(x), free(y), free(w);
}

Test(metrics, fields_far_from_zero_keep_their_variance)
{
    /* One-pass variance would lose 1e6^2 * 1e-16 = 1e-4 here. Values are exact in float32. */
    const float y[] = {1000000.0f, 1000000.5f, 1000001.0f}, x[] = {1000000.5f, 1000001.0f, 1000001.5f};
    near(tr_field_compare(x, y, NULL, 3, 1).vrmse, 0.5 / sqrt(0.25 + 1e-7), 1e-12);
}

Test(metrics, undefined_is_nan)
{
    const float x[] = {1, NAN}, y[] = {2, 2}, zero[] = {0, 0}, one[] = {1, 0};
    cr_assert(isnan(tr_field_compare(x, y, NULL, 1, 1).vrmse), "one node has no unbiased variance");
    near(tr_field_compare(x, y, NULL, 1, 1).rmse, 1.0, 0);
    cr_assert(isnan(tr_field_compare(x, y, zero, 2, 1).rmse));
    cr_assert(isnan(tr_field_compare(x, y, NULL, 2, 1).rmse), "a NaN in the prediction must show");
    cr_assert(isnan(tr_field_compare(y, y, one, 2, 1).vrmse), "all weight on one node");
}

Test(metrics, psnr)
{
    float x[300], y[300];
    for (int i = 0; i < 300; i++)
        y[i] = 0.5f, x[i] = i % 2 ? 0.625f : 0.375f; /* error 1/8 exactly */
    near(tr_frame_psnr(x, y, 300), 20 * log10(8), 1e-13);
    cr_assert(isinf(tr_frame_psnr(y, y, 300)));
}

/* Straight from the definition: a two-dimensional window, nothing separated. */
static double plain_ssim(const float *x, const float *y, int H, int W, int C)
{
    double w[11][11], total = 0, sum = 0;
    for (int i = 0; i < 11; i++)
        for (int j = 0; j < 11; j++)
            total += w[i][j] = exp(-((i - 5) * (i - 5) + (j - 5) * (j - 5)) / 4.5);
    for (int c = 0; c < C; c++)
        for (int i = 0; i + 11 <= H; i++)
            for (int j = 0; j + 11 <= W; j++) {
                double a = 0, b = 0, aa = 0, bb = 0, ab = 0;
                for (int k = 0; k < 11; k++)
                    for (int l = 0; l < 11; l++) {
                        int at = ((i + k) * W + j + l) * C + c;
                        double v = w[k][l] / total, p = (double)x[at], q = (double)y[at];
                        a += v * p, b += v * q, aa += v * p * p, bb += v * q * q, ab += v * p * q;
                    }
                sum += (2 * a * b + 1e-4) * (2 * (ab - a * b) + 9e-4) /
                       ((a * a + b * b + 1e-4) * (aa - a * a + bb - b * b + 9e-4));
            }
    return sum / ((H - 10) * (W - 10) * C);
}

Test(metrics, ssim_against_the_plain_definition)
{
    const int sizes[][3] = {{11, 11, 1}, {13, 17, 3}, {24, 12, 2}};
    for (int s = 0; s < 3; s++) {
        int H = sizes[s][0], W = sizes[s][1], C = sizes[s][2];
        float *x = random_floats(H * W * C, 4), *y = random_floats(H * W * C, 5);
        for (int i = 0; i < H * W * C; i++)
            x[i] = 0.7f * y[i] + 0.3f * x[i];
        double found;
        cr_assert_eq(tr_frame_ssim(&found, x, y, H, W, C), FWM_OK);
        /* 121-term sums around moments of size 1, divided by at least 1e-4 * 9e-4 only where those are tiny too. */
        near(found, plain_ssim(x, y, H, W, C), 1e-12);
        cr_assert_eq(tr_frame_ssim(&found, y, y, H, W, C), FWM_OK);
        near(found, 1.0, 1e-12);
        free(x), free(y);
    }
}

/* The image of the check against scikit-image 0.22 (structural_similarity with gaussian_weights, sigma 1.5,
 * use_sample_covariance False, data_range 1), whose value stands here as a number. */
Test(metrics, ssim_against_scikit_image)
{
    enum { H = 32, W = 40 };
    float x[H * W], y[H * W];
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) {
            y[i * W + j] = (float)((i * 7 + j * 3) % 32) / 32.0f;
            x[i * W + j] = (float)((i * 7 + j * 3 + (i * j) % 5) % 32) / 32.0f;
        }
    double found;
    cr_assert_eq(tr_frame_ssim(&found, x, y, H, W, 1), FWM_OK);
    near(found, 0.7427075004466217, 1e-9);
}

Test(metrics, ssim_edges)
{
    float x[11 * 11], y[11 * 11];
    for (int i = 0; i < 121; i++)
        x[i] = 0.25f, y[i] = 0.75f;
    double found;
    cr_assert_eq(tr_frame_ssim(&found, x, y, 11, 11, 1), FWM_OK);
    near(found, (2 * 0.25 * 0.75 + 1e-4) / (0.0625 + 0.5625 + 1e-4), 1e-10);
    cr_assert_eq(tr_frame_ssim(&found, x, y, 10, 12, 1), FWM_OK);
    cr_assert(isnan(found), "a frame smaller than the window cannot be measured");
    x[60] = NAN;
    cr_assert_eq(tr_frame_ssim(&found, x, y, 11, 11, 1), FWM_OK);
    cr_assert_eq(found, -1.0);
    cr_assert_eq(tr_frame_ssim(&found, x, y, 0, 11, 1), FWM_INVALID);
}

/* Two fields, three trajectories, two steps: the error of field f of trajectory t at step h is (t+1) h (f+1) times a
 * pattern of ones. */
static tr_metrics *small_table(const int *order)
{
    static const char *const names[] = {"u", "v"};
    tr_metrics *m;
    cr_assert_eq(tr_metrics_create(&m, 3, 2, 2, names), FWM_OK);
    for (int k = 0; k < 3; k++)
        for (int h = 1; h <= 2; h++) {
            int t = order[k];
            float y[8] = {0, 0, 1, 2, 2, 4, 3, 6}, x[8];
            for (int i = 0; i < 8; i++)
                x[i] = y[i] + (float)((t + 1) * h * (i % 2 + 1)) * 0.1f;
            cr_assert_eq(tr_metrics_add_state(m, t, h, x, y, NULL, 4), FWM_OK);
        }
    return m;
}

Test(metrics, averages)
{
    tr_metrics *m = small_table((const int[]){0, 1, 2});
    /* Errors 0.1, 0.2, 0.3 in field 0, twice that in field 1; float32 rounding of values up to 7 is 5e-7. */
    near(tr_metrics_average(m, TR_RMSE, 1, 0, TR_MEAN), 0.2, 5e-7);
    near(tr_metrics_average(m, TR_RMSE, 1, 1, TR_MEAN), 0.4, 5e-7);
    near(tr_metrics_average(m, TR_RMSE, 1, TR_ALL_FIELDS, TR_MEAN), 0.3, 5e-7);
    near(tr_metrics_average(m, TR_RMSE, 2, 0, TR_MEDIAN), 0.4, 5e-7);
    /* Field 1 is field 0 doubled, error and truth: the same VRMSE but for eps. */
    near(tr_metrics_average(m, TR_VRMSE, 2, 1, TR_MEAN), tr_metrics_average(m, TR_VRMSE, 2, 0, TR_MEAN), 1e-6);
    near(tr_metrics_value(m, TR_RMSE, 2, 2, 1), 1.2, 5e-7);
    cr_assert(isnan(tr_metrics_value(m, TR_RMSE, 3, 1, 0)));
    cr_assert(isnan(tr_metrics_value(m, TR_RMSE, 0, 1, 2)));
    cr_assert(isnan(tr_metrics_average(m, TR_RMSE, 3, 0, TR_MEAN)));
    cr_assert(isnan(tr_metrics_average(m, TR_PSNR, 1, 0, TR_MEAN)), "no frame was entered");
    tr_metrics_destroy(&m);
    cr_assert_null(m);
}

Test(metrics, median_of_an_even_number)
{
    tr_metrics *m;
    cr_assert_eq(tr_metrics_create(&m, 5, 1, 1, (const char *const[]){"u"}), FWM_OK);
    const float y[] = {0, 1, 2}, error[] = {8, 1, 2, 4}; /* the fifth is never entered */
    for (int t = 0; t < 4; t++) {
        const float x[] = {error[t], 1 + error[t], 2 + error[t]};
        cr_assert_eq(tr_metrics_add_state(m, t, 1, x, y, NULL, 3), FWM_OK);
    }
    near(tr_metrics_average(m, TR_RMSE, 1, 0, TR_MEDIAN), 3, TIGHT);
    near(tr_metrics_average(m, TR_RMSE, 1, 0, TR_MEAN), 3.75, TIGHT);
    tr_metrics_destroy(&m);
}

Test(metrics, order_of_entry_does_not_show)
{
    tr_metrics *a = small_table((const int[]){0, 1, 2}), *b = small_table((const int[]){2, 0, 1});
    for (int metric = TR_VRMSE; metric <= TR_NRMSE; metric++)
        for (int average = TR_MEAN; average <= TR_MEDIAN; average++) {
            double x = tr_metrics_average(a, (tr_metric)metric, 2, TR_ALL_FIELDS, (tr_average)average);
            double y = tr_metrics_average(b, (tr_metric)metric, 2, TR_ALL_FIELDS, (tr_average)average);
            cr_assert_eq(memcmp(&x, &y, sizeof x), 0);
        }
    tr_metrics_destroy(&a);
    tr_metrics_destroy(&b);
}

Test(metrics, diverged_rollouts_show_in_the_mean_and_not_in_the_median)
{
    tr_metrics *m = small_table((const int[]){0, 1, 2});
    float y[8] = {0, 0, 1, 2, 2, 4, 3, 6}, x[8] = {0, 0, 1, 2, 2, NAN, 3, 6};
    cr_assert_eq(tr_metrics_add_state(m, 1, 2, x, y, NULL, 4), FWM_OK);
    cr_assert(isnan(tr_metrics_average(m, TR_RMSE, 2, TR_ALL_FIELDS, TR_MEAN)));
    near(tr_metrics_average(m, TR_RMSE, 2, 1, TR_MEDIAN), 1.2, 5e-7); /* of 0.4, 1.2, NaN */
    cr_assert_eq(tr_metrics_diverged(m, 2), 1);
    cr_assert_eq(tr_metrics_diverged(m, 1), 0);
    cr_assert_eq(tr_metrics_add_state(m, 0, 2, x, y, NULL, 4), FWM_OK);
    cr_assert(isnan(tr_metrics_average(m, TR_RMSE, 2, 1, TR_MEDIAN)), "the middle one of three diverged");
    tr_metrics_destroy(&m);
}

Test(metrics, misuse_is_refused)
{
    tr_metrics *m;
    cr_assert_eq(tr_metrics_create(&m, 0, 1, 0, NULL), FWM_INVALID);
    cr_assert_null(m);
    cr_assert_eq(tr_metrics_create(&m, 1, 1, 1, NULL), FWM_INVALID, "a field without a name");
    cr_assert_eq(tr_metrics_create(&m, INT64_MAX, INT32_MAX, 2, NULL), FWM_OVERFLOW);
    cr_assert_eq(tr_metrics_create(&m, 2, 3, 0, NULL), FWM_OK);
    float z[121] = {0};
    cr_assert_eq(tr_metrics_add_state(m, 0, 1, z, z, NULL, 1), FWM_INVALID);
    cr_assert_eq(tr_metrics_add_frame(m, 2, 1, z, z, 11, 11, 1), FWM_INVALID);
    cr_assert_eq(tr_metrics_add_frame(m, 0, 0, z, z, 11, 11, 1), FWM_INVALID);
    cr_assert_eq(tr_metrics_add_frame(m, 0, 4, z, z, 11, 11, 1), FWM_INVALID);
    tr_metrics_destroy(&m);
    tr_metrics_destroy(&m);
}

static json_t *at(json_t *object, const char *a, const char *b, const char *c)
{
    return json_object_get(json_object_get(json_object_get(object, a), b), c);
}

Test(metrics, json)
{
    tr_metrics *m = small_table((const int[]){0, 1, 2});
    const int horizons[] = {1, 2, 5};
    json_t *json;
    cr_assert_eq(tr_metrics_json(m, horizons, 3, &json), FWM_OK);
    cr_assert_eq(json_real_value(at(json, "state", "vrmse", "2")),
                 tr_metrics_average(m, TR_VRMSE, 2, TR_ALL_FIELDS, TR_MEAN));
    cr_assert_eq(json_real_value(at(json, "state", "rmse", "1")),
                 tr_metrics_average(m, TR_RMSE, 1, TR_ALL_FIELDS, TR_MEAN));
    cr_assert_eq(json_real_value(at(json, "state", "vrmse_median", "1")),
                 tr_metrics_average(m, TR_VRMSE, 1, TR_ALL_FIELDS, TR_MEDIAN));
    cr_assert(json_is_null(at(json, "state", "vrmse", "5")), "beyond the table");
    cr_assert(json_is_null(at(json, "state", "diverged", "5")));
    cr_assert_eq(json_integer_value(at(json, "state", "diverged", "1")), 0);
    cr_assert(json_is_null(json_object_get(json, "frames")));
    cr_assert(json_is_null(json_object_get(json_object_get(json, "key_state"), "recall")));
    json_t *v = json_object_get(at(json, "state", "fields", "v"), "rmse");
    cr_assert_eq(json_real_value(json_object_get(v, "2")), tr_metrics_average(m, TR_RMSE, 2, 1, TR_MEAN));
    json_decref(json);
    cr_assert_eq(tr_metrics_json(m, (const int[]){0}, 1, &json), FWM_INVALID);
    cr_assert_null(json);
    tr_metrics_destroy(&m);
}

Test(metrics, json_of_frames_alone)
{
    tr_metrics *m;
    cr_assert_eq(tr_metrics_create(&m, 2, 1, 0, NULL), FWM_OK);
    float y[121] = {0}, x[121];
    for (int i = 0; i < 121; i++)
        x[i] = 0.125f;
    cr_assert_eq(tr_metrics_add_frame(m, 1, 1, x, y, 11, 11, 1), FWM_OK);
    json_t *json;
    cr_assert_eq(tr_metrics_json(m, (const int[]){1}, 1, &json), FWM_OK);
    near(json_real_value(at(json, "frames", "psnr", "1")), 20 * log10(8), 1e-13);
    cr_assert(json_is_real(at(json, "frames", "ssim", "1")));
    cr_assert(json_is_null(json_object_get(json, "state")));
    json_decref(json);
    /* Equal frames: an infinite ratio is no JSON number. */
    cr_assert_eq(tr_metrics_add_frame(m, 0, 1, y, y, 11, 11, 1), FWM_OK);
    cr_assert_eq(tr_metrics_json(m, (const int[]){1}, 1, &json), FWM_OK);
    cr_assert(json_is_null(at(json, "frames", "psnr", "1")));
    json_decref(json);
    tr_metrics_destroy(&m);
}
