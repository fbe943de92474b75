/* What the operator table cannot see in the normalisations: offsets that would cancel, sizes of several chunks, the
 * same bits for any number of threads. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

typedef struct shape {
    int64_t B, S, C, G;
    bool silu, layer;
} shape;

static double normal(uint32_t stream, int64_t i)
{
    return fwm_random_normal((fwm_key){17, stream}, 0, (uint32_t)i);
}

/* Output and the gradients of <dy, y> in x, scale and shift, one after the other. */
static float *run(shape s, double offset, int threads, int64_t *count)
{
    ad_graph *g;
    ad_plan *plan;
    omp_set_num_threads(threads);
    REQUIRE(ad_graph_create(&g, AD_F32));
    ad_value in[3] = {ad_input(g, "x", ad_shape_make(3, s.B, s.S, s.C)), ad_input(g, "scale", ad_shape_make(1, s.C)),
                      ad_input(g, "shift", ad_shape_make(1, s.C))};
    ad_value dy = ad_input(g, "dy", ad_shape_make(3, s.B, s.S, s.C)), out[4];
    out[0] = s.layer ? ad_layer_norm(g, in[0], in[1], in[2], 1e-5)
                     : ad_group_norm(g, in[0], in[1], in[2], (int)s.G, 1e-5, s.silu);
    REQUIRE(ad_vjp(g, out[0], dy, 3, in, out + 1));
    REQUIRE(ad_plan_create(&plan, g, 4, out, NULL));
    REQUIRE(ad_plan_prepare(plan));
    const ad_value filled[] = {in[0], in[1], in[2], dy};
    for (uint32_t k = 0; k < 4; k++)
        for (int64_t i = 0; i < ad_count(g, filled[k]); i++)
            ((float *)ad_plan_data(plan, filled[k]))[i] = (float)(normal(k, i) + (k == 0 ? offset : k == 1 ? 1 : 0));
    REQUIRE(ad_plan_run(plan, 1, 1));
    *count = 2 * s.B * s.S * s.C + 2 * s.C;
    float *all = malloc((size_t)*count * sizeof *all), *to = all;
    for (int k = 0; k < 4; k++) {
        memcpy(to, ad_plan_data(plan, out[k]), (size_t)ad_count(g, out[k]) * sizeof *to);
        to += ad_count(g, out[k]);
    }
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    return all;
}

/* Few samples of many pixels (chunks are shared between threads), many samples (each whole), a row of many channels. */
static const shape shapes[] = {
    {1, 3000, 24, 4, true, false},  {3, 1500, 16, 8, false, false}, {16, 256, 32, 8, true, false},
    {2, 7, 20000, 10, true, false}, {4, 300, 64, 0, false, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

Test(norm, bits_do_not_depend_on_threads)
{
    for (int i = 0; i < SHAPES; i++) {
        int64_t n;
        float *one = run(shapes[i], 0, 1, &n);
        for (int threads = 2; threads <= 3; threads++) {
            float *more = run(shapes[i], 0, threads, &n);
            cr_expect(memcmp(one, more, (size_t)n * sizeof *one) == 0, "shape %d with %d threads", i, threads);
            free(more);
        }
        free(one);
    }
}

/* y of a group written out in double. */
static void reference(shape s, double offset, double *y)
{
    int64_t G = s.layer ? s.B * s.S : s.B * s.G, K = s.layer ? s.C : s.C / s.G, S = s.layer ? 1 : s.S;
    for (int64_t group = 0; group < G; group++) {
        int64_t b = s.layer ? group : group / s.G, first = s.layer ? 0 : group % s.G * K;
        double sum = 0, square = 0, n = (double)(S * K);
        for (int pass = 0; pass < 3; pass++)
            for (int64_t p = 0; p < S; p++)
                for (int64_t c = first; c < first + K; c++) {
                    int64_t at = (b * S + p) * s.C + c;
                    double x = (double)(float)(normal(0, at) + offset) - (pass > 0 ? sum / n : 0);
                    if (pass == 0)
                        sum += x;
                    else if (pass == 1)
                        square += x * x;
                    else {
                        double v = x / sqrt(square / n + 1e-5) * (double)(float)(normal(1, c) + 1) +
                                   (double)(float)normal(2, c);
                        y[at] = s.silu ? v / (1 + exp(-v)) : v;
                    }
                }
    }
}

/* Numbers around 1000 with a spread of 1: x itself carries 1000 eps = 6e-5 of the spread, doubled by the rounding of
 * mu; scale and |xhat| are below 5 each. E[x^2] - mean^2 in float would be wrong by 1000^2 eps = 0.06 and fail by far.
 */
Test(norm, large_offsets_do_not_cancel)
{
    for (int i = 0; i < SHAPES; i++) {
        int64_t n, elements = shapes[i].B * shapes[i].S * shapes[i].C;
        double *expected = malloc((size_t)elements * sizeof *expected), worst = 0;
        float *found = run(shapes[i], 1000, 2, &n);
        reference(shapes[i], 1000, expected);
        for (int64_t k = 0; k < elements; k++)
            worst = fmax(worst, fabs((double)found[k] - expected[k]));
        cr_expect(worst < 25 * 2 * 6e-5, "shape %d: off by %g", i, worst);
        free(found);
        free(expected);
    }
}

/* A group of equal numbers has no spread: the shift is the answer, nothing is divided by zero. */
Test(norm, constant_input_gives_the_shift)
{
    ad_graph *g;
    ad_plan *plan;
    REQUIRE(ad_graph_create(&g, AD_F32));
    ad_value x = ad_fill(g, ad_shape_make(3, 2, 9, 4), 3.25), one = ad_fill(g, ad_shape_make(1, 4), 2);
    ad_value y = ad_group_norm(g, x, one, ad_fill(g, ad_shape_make(1, 4), -0.5), 2, 1e-5, false);
    REQUIRE(ad_plan_create(&plan, g, 1, &y, NULL));
    REQUIRE(ad_plan_prepare(plan));
    REQUIRE(ad_plan_run(plan, 1, 1));
    for (int i = 0; i < 2 * 9 * 4; i++)
        cr_expect(fabsf(((float *)ad_plan_data(plan, y))[i] + 0.5f) < 1e-3f);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

/* The gradient's shapes are right wherever in its making the graph's nodes move: the rule once read a shape too late.
 */
Test(norm, gradient_in_graphs_of_any_size)
{
    for (int before = 0; before < 300; before++) {
        ad_graph *g;
        cr_assert(ad_graph_create(&g, AD_F32) == FWM_OK);
        ad_value x = ad_input(g, "x", ad_shape_make(4, 2, 3, 2, 4)), one = ad_fill(g, ad_shape_make(1, 4), 1), d;
        for (int k = 0; k < before; k++)
            (void)ad_fill(g, ad_shape_make(1, 1), k + 2);
        ad_value y = ad_group_norm(g, x, one, ad_fill(g, ad_shape_make(1, 4), -0.5), 2, 1e-5, true);
        cr_assert(ad_gradient(g, ad_sum_all(g, y), 1, &x, &d) == FWM_OK, "%d: %s", before, fwm_error_message());
        cr_assert(ad_shape_equal(ad_shape_of(g, d), ad_shape_of(g, x)));
        ad_graph_destroy(&g);
    }
}
