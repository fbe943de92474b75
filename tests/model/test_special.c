/* Operators whose rules go beyond numbers on an interval: softmax at its edges, noise, custom operators' contract. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

/* ---- softmax and its relatives ---- */

static void rows(const float *x, int64_t n, float *softmax, float *log_softmax, float *total)
{
    ad_graph *g;
    ad_plan *plan;
    REQUIRE(ad_graph_create(&g, AD_F32));
    ad_value v = ad_input(g, "x", ad_shape_make(2, 1, n));
    ad_value out[3] = {ad_softmax(g, v), ad_log_softmax(g, v), ad_logsumexp(g, v)};
    REQUIRE(ad_plan_create(&plan, g, 3, out, NULL));
    REQUIRE(ad_plan_prepare(plan));
    memcpy(ad_plan_data(plan, v), x, (size_t)n * sizeof *x);
    REQUIRE(ad_plan_run(plan, 1, 1));
    memcpy(softmax, ad_plan_data(plan, out[0]), (size_t)n * sizeof *x);
    memcpy(log_softmax, ad_plan_data(plan, out[1]), (size_t)n * sizeof *x);
    *total = *(float *)ad_plan_data(plan, out[2]);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

/* Two equal maxima far outside the range of exp: 1/2 each, the rest 0; log sum = 1e4 + log 2. */
Test(softmax, large_numbers_do_not_overflow)
{
    float s[4], l[4], t;
    rows((const float[]){1e4f, -1e4f, 1e4f, 0}, 4, s, l, &t);
    cr_expect(fabsf(s[0] - 0.5f) < 1e-6f && s[1] < 1e-30f && fabsf(s[2] - 0.5f) < 1e-6f && s[3] < 1e-30f);
    cr_expect(fabsf(l[0] + logf(2)) < 1e-6f && fabsf(l[1] + 2e4f + logf(2)) < 2e-3f);
    cr_expect(fabsf(t - 1e4f - logf(2)) < 2e-3f); /* eps at 1e4 is 1e-3 */
}

Test(softmax, minus_infinity_is_a_mask_and_nan_is_seen)
{
    float s[3], l[3], t;
    rows((const float[]){0, -INFINITY, 0}, 3, s, l, &t);
    cr_expect(s[0] == 0.5f && s[1] < 1e-30f && s[2] == 0.5f && l[1] == -INFINITY);
    rows((const float[]){0, NAN, 1}, 3, s, l, &t);
    cr_expect(isnan(s[0]) && isnan(s[2]) && isnan(l[0]) && isnan(t));
}

/* ---- noise ---- */

enum { DRAWS = 30000 };

static void draw(uint64_t seed, uint64_t step, float *normal, float *other, float *uniform)
{
    ad_graph *g;
    ad_plan *plan;
    REQUIRE(ad_graph_create(&g, AD_F32));
    ad_value out[3];
    for (int k = 0; k < 3; k++)
        out[k] = k < 2 ? ad_random_normal(g, ad_shape_make(2, 100, DRAWS / 100))
                       : ad_random_uniform(g, ad_shape_make(1, DRAWS));
    cr_assert(out[0] != out[1], "hash-consing must not merge two draws");
    REQUIRE(ad_plan_create(&plan, g, 3, out, NULL));
    REQUIRE(ad_plan_prepare(plan));
    REQUIRE(ad_plan_run(plan, seed, step));
    float *to[] = {normal, other, uniform};
    for (int k = 0; k < 3; k++)
        memcpy(to[k], ad_plan_data(plan, out[k]), DRAWS * sizeof(float));
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

static double correlation(const float *a, const float *b, double mean)
{
    double sum = 0;
    for (int i = 0; i < DRAWS; i++)
        sum += ((double)a[i] - mean) * ((double)b[i] - mean);
    return sum / DRAWS;
}

/* Moments and correlations within 5 standard errors 1/sqrt(30000) = 0.0058 (of x^2: sqrt(2) times that). */
Test(noise, is_a_function_of_seed_stream_and_step)
{
    static float a[3][DRAWS], again[3][DRAWS], next[3][DRAWS], other[3][DRAWS];
    draw(1, 5, a[0], a[1], a[2]);
    draw(1, 5, again[0], again[1], again[2]);
    draw(1, 6, next[0], next[1], next[2]);
    draw(2, 5, other[0], other[1], other[2]);
    cr_expect(memcmp(a, again, sizeof a) == 0, "equal keys give equal numbers");
    const double bound = 5 / sqrt(DRAWS);
    double mean = 0, low = 1, high = 0;
    for (int i = 0; i < DRAWS; i++) {
        mean += (double)a[0][i] / DRAWS;
        low = fmin(low, (double)a[2][i]);
        high = fmax(high, (double)a[2][i]);
    }
    cr_expect(fabs(mean) < bound, "mean %g", mean);
    cr_expect(fabs(correlation(a[0], a[0], 0) - 1) < sqrt(2) * bound, "variance %g", correlation(a[0], a[0], 0));
    cr_expect(fabs(correlation(a[2], a[2], 0.5) - 1.0 / 12) < bound, "uniform variance");
    cr_expect(low > 0 && low < 1e-3 && high < 1 && high > 1 - 1e-3);
    cr_expect(fabs(correlation(a[0], a[1], 0)) < bound, "streams");
    cr_expect(fabs(correlation(a[0], next[0], 0)) < bound, "steps");
    cr_expect(fabs(correlation(a[0], other[0], 0)) < bound, "seeds");
}

/* ---- custom operators ---- */

typedef struct recorder {
    bool wanted[3];
    int calls;
    fwm_status answer;
} recorder;

static fwm_status first_shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    (void)self;
    FWM_CHECK(n == 3, FWM_SHAPE, "three inputs please");
    *out = in[0];
    return FWM_OK;
}

/* y = a b + c */
static fwm_status forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    recorder *r = self;
    cr_assert(dtype == AD_F64);
    for (int i = 0; i < 4; i++)
        ((double *)out)[i] = ((const double *)in[0])[i] * ((const double *)in[1])[i] + ((const double *)in[2])[i];
    return r->answer == FWM_OK ? FWM_OK : fwm_fail(r->answer, "the solver gave up");
}

static fwm_status backward(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                           void *const *dx)
{
    (void)dtype, (void)out;
    recorder *r = self;
    r->calls++;
    for (int k = 0; k < 3; k++) {
        r->wanted[k] = dx[k] != NULL;
        for (int i = 0; dx[k] && i < 4; i++)
            ((double *)dx[k])[i] = ((const double *)dout)[i] * (k == 2 ? 1 : ((const double *)in[1 - k])[i]);
    }
    return FWM_OK;
}

typedef struct custom_graph {
    ad_graph *g;
    ad_value in[3], y;
} custom_graph;

static custom_graph make_custom(const ad_custom *c)
{
    custom_graph o;
    REQUIRE(ad_graph_create(&o.g, AD_F64));
    const char *names[] = {"a", "b", "c"};
    for (int k = 0; k < 3; k++)
        o.in[k] = ad_input(o.g, names[k], ad_shape_make(2, 2, 2));
    o.y = ad_custom_apply(o.g, c, 3, o.in);
    return o;
}

/* Only b's and c's gradients are asked for: the callback runs once, and sees NULL for a. */
Test(custom, only_wanted_gradients_are_computed)
{
    recorder r = {{false}, 0, FWM_OK};
    ad_custom c = {"product", &r, first_shape, forward, backward, 0, 0};
    custom_graph o = make_custom(&c);
    ad_value d[2], wrt[2] = {o.in[1], o.in[2]};
    ad_plan *plan;
    REQUIRE(ad_gradient(o.g, ad_sum_all(o.g, ad_square(o.g, o.y)), 2, wrt, d));
    REQUIRE(ad_plan_create(&plan, o.g, 2, d, NULL));
    REQUIRE(ad_plan_prepare(plan));
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 4; i++)
            ((double *)ad_plan_data(plan, o.in[k]))[i] = k + 0.5 * i + 1;
    REQUIRE(ad_plan_run(plan, 1, 1));
    cr_expect(r.calls == 1 && !r.wanted[0] && r.wanted[1] && r.wanted[2]);
    for (int i = 0; i < 4; i++) {
        double a = 0.5 * i + 1, b = a + 1, cc = a + 2, y = a * b + cc;
        cr_expect_eq(((double *)ad_plan_data(plan, d[0]))[i], 2 * y * a);
        cr_expect_eq(((double *)ad_plan_data(plan, d[1]))[i], 2 * y);
    }
    ad_plan_destroy(&plan);
    ad_graph_destroy(&o.g);
}

static void expect_message(fwm_status found, fwm_status code, const char *part)
{
    cr_expect(found == code, "'%s' gave %s", part, fwm_status_text(found));
    cr_expect(strstr(fwm_error_message(), part), "'%s' lacks '%s'", fwm_error_message(), part);
}

Test(custom, failures_carry_the_name)
{
    recorder r = {{false}, 0, FWM_NUMERIC};
    ad_custom c = {"product", &r, first_shape, forward, backward, 0, 0};
    custom_graph o = make_custom(&c);
    ad_plan *plan;
    REQUIRE(ad_plan_create(&plan, o.g, 1, &o.y, NULL));
    REQUIRE(ad_plan_prepare(plan));
    for (int k = 0; k < 3; k++)
        memset(ad_plan_data(plan, o.in[k]), 0, 4 * sizeof(double));
    expect_message(ad_plan_run(plan, 1, 1), FWM_NUMERIC, "the solver gave up");
    ad_plan_destroy(&plan);
    ad_value d, dd;
    REQUIRE(ad_gradient(o.g, ad_sum_all(o.g, o.y), 1, o.in, &d));
    expect_message(ad_gradient(o.g, ad_sum_all(o.g, ad_square(o.g, d)), 1, o.in + 1, &dd), FWM_UNSUPPORTED,
                   "'product'");
    ad_graph_destroy(&o.g);

    ad_custom forward_only = {"measure", &r, first_shape, forward, NULL, 0, 0};
    o = make_custom(&forward_only);
    expect_message(ad_gradient(o.g, ad_sum_all(o.g, o.y), 1, o.in, &d), FWM_UNSUPPORTED, "'measure' has no derivative");
    ad_graph_destroy(&o.g);

    REQUIRE(ad_graph_create(&o.g, AD_F64));
    ad_value one = ad_input(o.g, "x", ad_shape_make(1, 3));
    cr_expect(ad_custom_apply(o.g, &c, 1, &one) == AD_NONE);
    expect_message(ad_graph_status(o.g), FWM_SHAPE, "product: three inputs please");
    ad_graph_destroy(&o.g);
}
