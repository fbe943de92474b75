/* Operators that choose, order, pool, resize, recur and transform, against their definitions as plain loops in float64:
 * the table test compares an operator with itself and would not see a wrong definition. Integers and a bound of 0 where
 * nothing is rounded; elsewhere the bound, in units of the type's eps, is derived beside the test. */
#include "tests/model/op_trial.h"

/* ---- indices ---- */

static ad_value build_gather(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_gather(g, in[0], in[1], (int)how[0]);
}

static ad_value build_scatter_add(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_scatter_add(g, in[0], in[1], (int)how[0], how[1]);
}

static ad_value build_take_along(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_take_along(g, in[0], in[1], (int)how[0]);
}

static ad_value build_put_along(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_put_along(g, in[0], in[1], (int)how[0], how[1]);
}

/* Short, long and single elements behind the axis; small and large enough for threads. Index [I,J] is one or two axes.
 */
static const struct {
    int64_t before, N, after, I, J;
} index_cases[] = {{1, 7, 1, 5, 1},     {2, 5, 3, 2, 4},   {3, 50, 40, 20, 30}, {1, 90, 70, 300, 1},
                   {40, 30, 1, 20, 30}, {1, 3, 130, 1, 2}, {300, 9, 1, 70, 1}};
enum { INDEX_CASES = sizeof index_cases / sizeof *index_cases };

Test(ops_more, gather_and_scatter_add)
{
    for (int k = 0; k < INDEX_CASES; k++)
        for (int scatter = 0; scatter < 2; scatter++) {
            int64_t B = index_cases[k].before, N = index_cases[k].N, A = index_cases[k].after, I = index_cases[k].I,
                    J = index_cases[k].J, M = I * J;
            ad_shape index = J > 1 ? ad_shape_make(2, I, J) : ad_shape_make(1, I);
            ad_shape whole = ad_shape_make(3, B, N, A);
            ad_shape parts = J > 1 ? ad_shape_make(4, B, I, J, A) : ad_shape_make(3, B, I, A);
            trial t = {.what = scatter ? "scatter_add" : "gather", .how = {scatter || k % 2 ? 1 : -2, N}};
            double *x = trial_input(&t, scatter ? parts : whole, 17, -8), *at = trial_input(&t, index, N, 0);
            double *y = trial_output(&t, scatter ? whole : parts);
            for (int64_t b = 0; b < B; b++)
                for (int64_t m = 0; m < M; m++)
                    for (int64_t a = 0; a < A; a++) {
                        int64_t far = (b * N + (int64_t)at[m]) * A + a, near = (b * M + m) * A + a;
                        if (scatter)
                            y[far] += x[near];
                        else
                            y[near] = x[far];
                    }
            for (int64_t m = 0; m < M; m++) /* rounded, not cut off */
                at[m] += m % 2 ? 0.375 : -0.375;
            trial_hold(&t, scatter ? build_scatter_add : build_gather, 0);
        }
}

Test(ops_more, take_along_and_put_along)
{
    for (int k = 0; k < INDEX_CASES; k++)
        for (int put = 0; put < 2; put++) {
            int64_t B = index_cases[k].before, N = index_cases[k].N, A = index_cases[k].after, M = index_cases[k].I;
            ad_shape whole = ad_shape_make(3, B, N, A), parts = ad_shape_make(3, B, M, A);
            trial t = {.what = put ? "put_along" : "take_along", .how = {k % 2 ? 1 : -2, N}};
            double *x = trial_input(&t, put ? parts : whole, 17, -8), *at = trial_input(&t, parts, N, 0);
            double *y = trial_output(&t, put ? whole : parts);
            for (int64_t b = 0; b < B; b++)
                for (int64_t m = 0; m < M; m++)
                    for (int64_t a = 0; a < A; a++) {
                        int64_t near = (b * M + m) * A + a, far = (b * N + (int64_t)at[near]) * A + a;
                        if (put)
                            y[far] += x[near];
                        else
                            y[near] = x[far];
                    }
            trial_hold(&t, put ? build_put_along : build_take_along, 0);
        }
}

static ad_value build_one_hot(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_one_hot(g, in[0], how[0]);
}

static ad_value build_embedding(ad_graph *g, const ad_value *in, const int64_t *how)
{
    (void)how;
    return ad_embedding(g, in[0], in[1]);
}

Test(ops_more, one_hot_times_a_table_is_its_embedding)
{
    trial hot = {.what = "one_hot", .how = {6}}, row = {.what = "embedding"};
    double *at = trial_input(&hot, ad_shape_make(2, 4, 5), 6, 0), *one = trial_output(&hot, ad_shape_make(3, 4, 5, 6));
    double *table = trial_input(&row, ad_shape_make(2, 6, 3), 17, -8), *y;
    memcpy(trial_input(&row, ad_shape_make(2, 4, 5), 1, 0), at, 20 * sizeof *at);
    y = trial_output(&row, ad_shape_make(3, 4, 5, 3));
    for (int64_t i = 0; i < 20; i++) {
        one[i * 6 + (int64_t)at[i]] = 1;
        for (int64_t k = 0; k < 6; k++)
            for (int64_t c = 0; c < 3; c++)
                y[i * 3 + c] += one[i * 6 + k] * table[k * 3 + c];
    }
    trial_hold(&hot, build_one_hot, 0);
    trial_hold(&row, build_embedding, 0);
}

/* An index outside, and one that is none, end the run and are named. */
Test(ops_more, a_wrong_index_is_named)
{
    const struct {
        double bad;
        const char *text;
    } cases[] = {{-1, "found -1 at [3]"}, {5, "found 5 at [3]"}, {4.5, "found 4.5 at [3]"}, {NAN, "nan at [3]"}};
    for (int k = 0; k < 16; k++) {
        ad_graph *g;
        ad_plan *plan;
        const char *const name[] = {"gather", "scatter_add", "one_hot", "take_along"};
        REQUIRE(ad_graph_create(&g, k % 2 ? AD_F64 : AD_F32));
        ad_value x = ad_input(g, "x", ad_shape_make(1, 5)), at = ad_input(g, "at", ad_shape_make(1, 5));
        ad_value y = k / 4 == 0   ? ad_gather(g, x, at, 0)
                     : k / 4 == 1 ? ad_scatter_add(g, x, at, 0, 5)
                     : k / 4 == 2 ? ad_one_hot(g, at, 5)
                                  : ad_take_along(g, x, at, 0);
        double index[] = {0, 4.49, -0.49, cases[k % 4].bad, 9}, zero[5] = {0};
        REQUIRE(ad_plan_create(&plan, g, 1, &y, NULL));
        REQUIRE(ad_plan_prepare(plan));
        put(g, plan, x, zero);
        put(g, plan, at, index);
        cr_assert(ad_plan_run(plan, 1, 1) == FWM_DATA, "%s took %g", name[k / 4], index[3]);
        cr_assert(strstr(fwm_error_message(), name[k / 4]) && strstr(fwm_error_message(), "0 to 4") &&
                      strstr(fwm_error_message(), cases[k % 4].text),
                  "%s", fwm_error_message());
        ad_plan_destroy(&plan);
        ad_graph_destroy(&g);
    }
}

/* ---- order ---- */

enum { ARGSORT, SORT, TOP_K, TOP_K_MASK, ARGMAX, MAX_ONE_HOT, ORDER_FORMS };

static ad_value build_order(ad_graph *g, const ad_value *in, const int64_t *how)
{
    switch (how[0]) {
    case ARGSORT:
        return ad_argsort(g, in[0], how[1] != 0);
    case SORT:
        return ad_sort(g, in[0], how[1] != 0);
    case TOP_K:
        return ad_top_k(g, in[0], how[2]);
    case TOP_K_MASK:
        return ad_top_k_mask(g, in[0], how[2]);
    case ARGMAX:
        return ad_argmax(g, in[0]);
    default:
        return ad_max_one_hot(g, in[0]);
    }
}

/* The place of an element is the number of those that go before it. Few different integers: many are equal. */
static void check_order(int form, bool falling, int64_t rows, int64_t n, int64_t k)
{
    trial t = {.what = "order", .how = {form, falling, k}};
    double *x = trial_input(&t, ad_shape_make(2, rows, n), n / 2 + 2, -3);
    int64_t width = form == ARGMAX ? 1 : form == TOP_K ? k : n;
    double *y = trial_output(&t, ad_shape_make(2, rows, width));
    falling = falling || form >= TOP_K;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++) {
            const double *row = x + r * n;
            int64_t place = 0;
            for (int64_t j = 0; j < n; j++)
                place += row[j] == row[i] ? j < i : falling ? row[j] > row[i] : row[j] < row[i];
            double *to = y + r * width;
            if (form == ARGSORT)
                to[place] = (double)i;
            else if (form == SORT || (form == TOP_K && place < k))
                to[place] = row[i];
            else if (form == TOP_K_MASK)
                to[i] = place < k;
            else if (form == ARGMAX && place == 0)
                to[0] = (double)i;
            else if (form == MAX_ONE_HOT)
                to[i] = place == 0;
        }
    trial_hold(&t, build_order, 0);
}

Test(ops_more, order_along_the_last_axis)
{
    for (int form = 0; form < ORDER_FORMS; form++)
        for (int falling = 0; falling < 2; falling++) {
            check_order(form, falling, 3, 1, 1);
            check_order(form, falling, 4, 13, 5);
            check_order(form, falling, 70, 257, 31);
        }
}

Test(ops_more, nan_comes_last)
{
    for (int falling = 0; falling < 2; falling++) {
        trial t = {.what = "argsort of NaN", .how = {ARGSORT, falling}};
        const double x[] = {NAN, 1, -2, NAN, 7}, up[] = {2, 1, 4, 0, 3}, down[] = {4, 1, 2, 0, 3};
        memcpy(trial_input(&t, ad_shape_make(1, 5), 1, 0), x, sizeof x);
        memcpy(trial_output(&t, ad_shape_make(1, 5)), falling ? down : up, sizeof up);
        trial_hold(&t, build_order, 0);
    }
}

static ad_value build_cumsum(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_cumsum(g, in[0], (int)how[0], how[1] != 0);
}

Test(ops_more, cumulative_sums)
{
    for (int k = 0; k < INDEX_CASES; k++)
        for (int reverse = 0; reverse < 2; reverse++) {
            int64_t B = index_cases[k].before, N = index_cases[k].N, A = index_cases[k].after;
            trial t = {.what = "cumsum", .how = {k % 2 ? 1 : -2, reverse}};
            double *x = trial_input(&t, ad_shape_make(3, B, N, A), 17, -8);
            double *y = trial_output(&t, ad_shape_make(3, B, N, A));
            for (int64_t i = 0; i < B * N * A; i++)
                for (int64_t j = 0; j < N; j++) {
                    int64_t place = i / A % N;
                    y[i] += (reverse ? j >= place : j <= place) ? x[i + (j - place) * A] : 0;
                }
            trial_hold(&t, build_cumsum, 0);
        }
}

/* ---- images ---- */

enum { MAX_POOL, AVERAGE_COUNTED, AVERAGE_INSIDE, POOL_FORMS };

static ad_value build_pool(ad_graph *g, const ad_value *in, const int64_t *how)
{
    ad_pool p;
    for (int a = 0; a < 2; a++) {
        p.kernel[a] = (int)how[1 + a], p.stride[a] = (int)how[3 + a];
        p.pad_before[a] = (int)how[5 + a], p.pad_after[a] = (int)how[7 + a];
    }
    return how[0] == MAX_POOL ? ad_max_pool(g, in[0], &p)
                              : ad_average_pool_window(g, in[0], &p, how[0] == AVERAGE_COUNTED);
}

/* The mean of n integers up to 8: n sums, a product with a rounded weight, another to take the padding out. */
static void check_pool(int form, const int64_t shape[4], const int64_t window[8])
{
    trial t = {.what = form == MAX_POOL ? "max_pool" : "average_pool_window", .how = {form}};
    int64_t H = shape[1], W = shape[2], C = shape[3], size[2];
    memcpy(t.how + 1, window, 8 * sizeof *window);
    const int64_t *kernel = window, *before = window + 4, *after = window + 6;
    int64_t stride[] = {window[2] ? window[2] : kernel[0], window[3] ? window[3] : kernel[1]};
    for (int a = 0; a < 2; a++)
        size[a] = (shape[1 + a] + before[a] + after[a] - kernel[a]) / stride[a] + 1;
    double *x = trial_input(&t, ad_shape_make(4, shape[0], H, W, C), 17, -8);
    double *y = trial_output(&t, ad_shape_make(4, shape[0], size[0], size[1], C));
    for (int64_t i = 0; i < ad_shape_count(&t.out); i++) {
        int64_t c = i % C, q = i / C % size[1], p = i / C / size[1] % size[0], b = i / C / size[1] / size[0], n = 0;
        double sum = 0, best = -INFINITY;
        for (int64_t u = 0; u < kernel[0]; u++)
            for (int64_t v = 0; v < kernel[1]; v++) {
                int64_t row = p * stride[0] - before[0] + u, column = q * stride[1] - before[1] + v;
                if (row < 0 || row >= H || column < 0 || column >= W)
                    continue;
                double value = x[((b * H + row) * W + column) * C + c];
                sum += value;
                best = fmax(best, value);
                n++;
            }
        y[i] = form == MAX_POOL ? best : sum / (double)(form == AVERAGE_COUNTED ? kernel[0] * kernel[1] : n);
    }
    trial_hold(&t, build_pool, form == MAX_POOL ? 0 : (double)(kernel[0] * kernel[1] + 2) * 8);
}

Test(ops_more, pooling_over_windows)
{
    static const int64_t shapes[][4] = {{2, 6, 8, 3}, {1, 7, 5, 1}, {2, 9, 10, 40}, {4, 32, 30, 16}};
    static const int64_t windows[][8] = {{2, 2}, {3, 3, 2, 2, 1, 1, 1, 1}, {2, 3, 1, 3, 1, 0, 0, 2}, {1, 1, 3, 2}};
    for (int form = 0; form < POOL_FORMS; form++)
        for (int s = 0; s < 4; s++)
            for (int w = 0; w < 4; w++)
                check_pool(form, shapes[s], windows[w]);
}

static ad_value build_global_average(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return how[0] ? ad_global_max_pool(g, in[0]) : ad_global_average_pool(g, in[0]);
}

/* Sums are exact in double, then one rounding of the scaled sum and one of the scale: 2 eps 8. */
Test(ops_more, pooling_over_all)
{
    for (int maximum = 0; maximum < 2; maximum++) {
        trial t = {.what = "global pool", .how = {maximum}};
        double *x = trial_input(&t, ad_shape_make(4, 2, 3, 5, 4), 17, -8),
               *y = trial_output(&t, ad_shape_make(2, 2, 4));
        for (int64_t i = 0; i < 8; i++) {
            double sum = 0, best = -INFINITY;
            for (int64_t p = 0; p < 15; p++) {
                sum += x[(i / 4 * 15 + p) * 4 + i % 4];
                best = fmax(best, x[(i / 4 * 15 + p) * 4 + i % 4]);
            }
            y[i] = maximum ? best : sum / 15;
        }
        trial_hold(&t, build_global_average, maximum ? 0 : 16);
    }
}

static ad_value build_pad(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return how[3] ? ad_pad_reflect(g, in[0], (int)how[0], how[1], how[2])
                  : ad_pad_periodic(g, in[0], (int)how[0], how[1], how[2]);
}

Test(ops_more, reflect_and_periodic_padding)
{
    static const int64_t cases[][3] = {{2, 1, 1}, {5, 4, 3}, {5, 0, 4}, {64, 2, 2}};
    for (int k = 0; k < 4; k++)
        for (int reflect = 0; reflect < 2; reflect++)
            for (int64_t A = 1; A < 200; A += 99) {
                int64_t n = cases[k][0], before = cases[k][1], total = n + before + cases[k][2];
                trial t = {.what = reflect ? "pad_reflect" : "pad_periodic", .how = {1, before, cases[k][2], reflect}};
                double *x = trial_input(&t, ad_shape_make(3, 3, n, A), 17, -8);
                double *y = trial_output(&t, ad_shape_make(3, 3, total, A));
                for (int64_t i = 0; i < 3 * total * A; i++) {
                    int64_t at = i / A % total - before, period = reflect ? 2 * (n - 1) : n;
                    at = ((at % period) + period) % period;
                    at = at < n ? at : period - at;
                    y[i] = x[(i / A / total * n + at) * A + i % A];
                }
                trial_hold(&t, build_pad, 0);
            }
}

static ad_value build_resize(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_resize_bilinear(g, in[0], how[0], how[1]);
}

static double edge(int64_t p, int64_t to, int64_t from, int64_t *low, int64_t *high)
{
    double at = fmin(fmax(((double)p + 0.5) * (double)from / (double)to - 0.5, 0), (double)(from - 1));
    *low = (int64_t)floor(at);
    *high = *low + 1 < from ? *low + 1 : *low;
    return at - (double)*low;
}

/* Of four numbers up to 8; per axis a rounded weight, a difference up to 16, a product and a sum: 2 x (16 + 16 + 16 +
 * 8). */
Test(ops_more, bilinear_resizing)
{
    static const int64_t cases[][6] = {
        {2, 4, 5, 3, 8, 10}, {1, 7, 6, 1, 3, 9}, {2, 8, 8, 20, 4, 4}, {1, 1, 3, 2, 5, 7}, {2, 16, 20, 33, 32, 30}};
    for (int k = 0; k < 5; k++) {
        const int64_t *s = cases[k];
        trial t = {.what = "resize_bilinear", .how = {s[4], s[5]}};
        double *x = trial_input(&t, ad_shape_make(4, s[0], s[1], s[2], s[3]), 17, -8);
        double *y = trial_output(&t, ad_shape_make(4, s[0], s[4], s[5], s[3]));
        for (int64_t i = 0; i < ad_shape_count(&t.out); i++) {
            int64_t c = i % s[3], r0, r1, q0, q1, b = i / s[3] / s[5] / s[4] * s[1];
            double u = edge(i / s[3] / s[5] % s[4], s[4], s[1], &r0, &r1),
                   v = edge(i / s[3] % s[5], s[5], s[2], &q0, &q1);
            y[i] = (1 - u) * (1 - v) * x[((b + r0) * s[2] + q0) * s[3] + c] +
                   (1 - u) * v * x[((b + r0) * s[2] + q1) * s[3] + c] +
                   u * (1 - v) * x[((b + r1) * s[2] + q0) * s[3] + c] + u * v * x[((b + r1) * s[2] + q1) * s[3] + c];
        }
        trial_hold(&t, build_resize, 112);
    }
}

/* ---- convolution in one and three dimensions ---- */

static ad_value build_conv1d(ad_graph *g, const ad_value *in, const int64_t *how)
{
    ad_conv1 c = {(int)how[0], (int)how[1], (int)how[2], (int)how[3], (int)how[4]};
    return how[5] ? ad_conv1d_transpose(g, in[0], in[1], how[5], &c) : ad_conv1d(g, in[0], in[1], &c);
}

/* Integers, and sums below 2^24: exact. The transposed form by every term of the bilinear form. */
Test(ops_more, convolution_of_signals)
{
    /* L, Cin, k, Cout; stride, before, after, dilation, groups */
    static const int64_t cases[][9] = {{9, 3, 3, 4, 1, 1, 1, 1, 1},
                                       {12, 4, 4, 8, 2, 1, 1, 1, 1},
                                       {11, 6, 2, 4, 3, 2, 0, 2, 2},
                                       {64, 16, 5, 16, 1, 2, 2, 1, 1}};
    for (int k = 0; k < 4; k++)
        for (int transpose = 0; transpose < 2; transpose++) {
            const int64_t *s = cases[k];
            int64_t B = 2, L = s[0], cg = s[1] / s[8], og = s[3] / s[8];
            int64_t l = (L + s[5] + s[6] - ((s[2] - 1) * s[7] + 1)) / s[4] + 1;
            trial t = {.what = transpose ? "conv1d_transpose" : "conv1d",
                       .how = {s[4], s[5], s[6], s[7], s[8], transpose ? L : 0}};
            ad_shape large = ad_shape_make(3, B, L, s[1]), small = ad_shape_make(3, B, l, s[3]);
            double *x = trial_input(&t, transpose ? small : large, 17, -8);
            double *w = trial_input(&t, ad_shape_make(3, s[2], cg, s[3]), 17, -8);
            double *y = trial_output(&t, transpose ? large : small);
            for (int64_t p = 0; p < B * l; p++)
                for (int64_t i = 0; i < s[2] * cg * s[3]; i++) {
                    int64_t o = i % s[3], c = i / s[3] % cg, tap = i / s[3] / cg;
                    int64_t at = p % l * s[4] - s[5] + tap * s[7], far, near = p * s[3] + o;
                    if (at < 0 || at >= L)
                        continue;
                    far = (p / l * L + at) * s[1] + o / og * cg + c;
                    if (transpose)
                        y[far] += x[near] * w[i];
                    else
                        y[near] += x[far] * w[i];
                }
            trial_hold(&t, build_conv1d, 0);
        }
}

static ad_value build_conv3d(ad_graph *g, const ad_value *in, const int64_t *how)
{
    ad_conv3 c = {.groups = (int)how[1]};
    for (int a = 0; a < 3; a++) {
        c.stride[a] = (int)how[2 + a], c.dilation[a] = a == 0 ? (int)how[0] : 1;
        c.pad_before[a] = (int)how[5 + a], c.pad_after[a] = (int)how[8 + a];
    }
    return ad_conv3d(g, in[0], in[1], &c);
}

Test(ops_more, convolution_of_volumes)
{
    /* D, H, W, Cin, kd, kh, kw, Cout; dilation in depth, groups, strides, padding before and after */
    static const int64_t cases[][19] = {{5, 4, 6, 3, 3, 3, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                        {7, 6, 5, 4, 2, 4, 1, 6, 2, 2, 2, 2, 1, 1, 0, 2, 1, 1, 0},
                                        {4, 5, 5, 2, 1, 2, 3, 3, 1, 1, 3, 1, 2, 0, 1, 0, 0, 0, 1}};
    for (int k = 0; k < 3; k++) {
        const int64_t *s = cases[k], *kernel = s + 4, *stride = s + 10, *before = s + 13, *after = s + 16;
        int64_t dilation[] = {s[8], 1, 1}, cg = s[3] / s[9], og = s[7] / s[9], size[3];
        trial t = {.what = "conv3d"};
        memcpy(t.how, s + 8, 11 * sizeof *s);
        for (int a = 0; a < 3; a++)
            size[a] = (s[a] + before[a] + after[a] - ((kernel[a] - 1) * dilation[a] + 1)) / stride[a] + 1;
        double *x = trial_input(&t, ad_shape_make(5, 2, s[0], s[1], s[2], s[3]), 17, -8);
        double *w = trial_input(&t, ad_shape_make(5, kernel[0], kernel[1], kernel[2], cg, s[7]), 17, -8);
        double *y = trial_output(&t, ad_shape_make(5, 2, size[0], size[1], size[2], s[7]));
        for (int64_t p = 0; p < 2 * size[0] * size[1] * size[2]; p++)
            for (int64_t i = 0; i < kernel[0] * kernel[1] * kernel[2]; i++) {
                int64_t place[] = {p / size[2] / size[1] % size[0], p / size[2] % size[1], p % size[2]};
                int64_t tap[] = {i / kernel[2] / kernel[1], i / kernel[2] % kernel[1], i % kernel[2]};
                int64_t at = p / size[2] / size[1] / size[0];
                bool inside = true;
                for (int a = 0; a < 3; a++) {
                    int64_t q = place[a] * stride[a] - before[a] + tap[a] * dilation[a];
                    inside = inside && q >= 0 && q < s[a];
                    at = at * s[a] + q;
                }
                for (int64_t o = 0; o < s[7] && inside; o++)
                    for (int64_t c = 0; c < cg; c++)
                        y[p * s[7] + o] += x[at * s[3] + o / og * cg + c] * w[(i * cg + c) * s[7] + o];
            }
        trial_hold(&t, build_conv3d, 0);
    }
}

/* ---- batches of products ---- */

static ad_value build_products(ad_graph *g, const ad_value *in, const int64_t *how)
{
    return ad_matmul(g, in[0], in[1], how[0] != 0, how[1] != 0);
}

/* Sizes on both sides of the vector and tile lengths of the library, and those too small for it. Integers: exact. */
Test(ops_more, batches_of_products)
{
    static const int64_t sizes[][4] = {
        {6, 4, 4, 4}, {17, 33, 65, 20}, {2, 16, 64, 130}, {40, 7, 9, 16}, {4, 1, 70, 33}};
    for (int k = 0; k < 5; k++)
        for (int form = 0; form < 4; form++) {
            int64_t B = sizes[k][0], m = sizes[k][1], n = sizes[k][2], inner = sizes[k][3];
            bool ta = form & 1, tb = form & 2;
            trial t = {.what = "batched matmul", .how = {ta, tb}};
            const double *a = trial_input(&t, ad_shape_make(4, 2, B, ta ? inner : m, ta ? m : inner), 17, -8);
            const double *b = trial_input(&t, ad_shape_make(4, 2, B, tb ? n : inner, tb ? inner : n), 17, -8);
            double *y = trial_output(&t, ad_shape_make(4, 2, B, m, n));
            for (int64_t i = 0; i < ad_shape_count(&t.out); i++) {
                const double *left = a + i / (m * n) * m * inner, *right = b + i / (m * n) * inner * n;
                int64_t row = i / n % m, column = i % n;
                for (int64_t l = 0; l < inner; l++)
                    y[i] += left[ta ? l * m + row : row * inner + l] * right[tb ? column * inner + l : l * n + column];
            }
            trial_hold(&t, build_products, 0);
        }
}
