/* Loops over time against the same loops unrolled into the graph: a small recurrent model with two states, a GRU and a
 * readout. */
#include "model/base/arena.h"
#include "tests/model/op_check.h"

enum { STEPS = 5, BATCH = 3, IN = 4, HIDDEN = 6, INPUTS = 8 };

/* states: h [B,H], running mean [B,1]; x: x_t [B,I], noise [B,H]; shared: W, R, biases. */
static void body(void *self, ad_graph *g, const ad_value *states, const ad_value *x, const ad_value *shared,
                 ad_value *next, ad_value *outputs)
{
    int axis = 1;
    (void)self;
    ad_value noisy = ad_add(g, states[0], ad_affine(g, x[1], 0.1, 0));
    next[0] = ad_gru(g, x[0], noisy, shared[0], shared[1], shared[2], shared[3]);
    ad_value mean = ad_mean(g, ad_square(g, next[0]), 1, &axis, true);
    next[1] = ad_add(g, ad_affine(g, states[1], 0.9, 0), mean);
    outputs[0] = ad_silu(g, ad_mul(g, next[0], next[1]));
    outputs[1] = states[1]; /* a state passed on as it came */
}

typedef struct model {
    ad_graph *g;
    ad_value in[INPUTS], out[2 + INPUTS]; /* loss, outputs, gradients */
} model;

/* The loss reads all outputs and the last states. `how` 0: unrolled, 1: a scan that computes steps again, 2: stored. */
static model make(ad_dtype dtype, int how)
{
    static const ad_scan scans[2] = {{"gru", NULL, 2, 2, 4, 2, false, body}, {"gru", NULL, 2, 2, 4, 2, true, body}};
    const ad_shape shape[INPUTS] = {{2, {BATCH, HIDDEN}},        {2, {BATCH, 1}},       {3, {STEPS, BATCH, IN}},
                                    {3, {STEPS, BATCH, HIDDEN}}, {2, {IN, 3 * HIDDEN}}, {2, {HIDDEN, 3 * HIDDEN}},
                                    {1, {3 * HIDDEN}},           {1, {3 * HIDDEN}}};
    model m;
    REQUIRE(ad_graph_create(&m.g, dtype));
    for (int k = 0; k < INPUTS; k++) {
        char name[16];
        snprintf(name, sizeof name, "in%d", k);
        m.in[k] = ad_input(m.g, name, shape[k]);
    }
    ad_value last[2] = {m.in[0], m.in[1]}, out[2], step[2][STEPS];
    for (int t = 0; t < STEPS && how == 0; t++) {
        ad_value x[2], h[2] = {last[0], last[1]}, y[2];
        for (int k = 0; k < 2; k++) {
            const ad_shape s = {2, {BATCH, k ? HIDDEN : IN}};
            x[k] = ad_reshape(m.g, ad_slice(m.g, m.in[2 + k], 0, t, 1), s);
        }
        body(NULL, m.g, h, x, m.in + 4, last, y);
        for (int k = 0; k < 2; k++)
            step[k][t] = ad_reshape(m.g, y[k], (ad_shape){3, {1, BATCH, k ? 1 : HIDDEN}});
    }
    if (how == 0)
        for (int k = 0; k < 2; k++)
            out[k] = ad_concat(m.g, STEPS, step[k], 0);
    else
        ad_scan_apply(m.g, &scans[how - 1], m.in, m.in + 2, m.in + 4, last, out);
    m.out[1] = ad_mul(m.g, out[0], ad_sin(m.g, out[1]));
    m.out[0] = ad_add(m.g, ad_mean_all(m.g, ad_square(m.g, m.out[1])),
                      ad_mean_all(m.g, ad_mul(m.g, last[0], ad_exp(m.g, last[1]))));
    REQUIRE(ad_gradient(m.g, m.out[0], INPUTS, m.in, m.out + 2));
    return m;
}

static void numbers(const model *m, double *x[INPUTS])
{
    for (int k = 0; k < INPUTS; k++) {
        int64_t n = ad_count(m->g, m->in[k]);
        x[k] = malloc((size_t)n * sizeof(double));
        for (int64_t i = 0; i < n; i++)
            x[k][i] = (double)(float)(uniform_at((uint64_t)(300 + k), (uint64_t)i) - 0.5);
    }
}

/* Value k of the model, after a run with inputs of its own (poisoned: dead buffers of the outer plan are NaN). */
static double *value(const model *m, double *const *x, int k)
{
    return evaluate(m->g, INPUTS, m->in, x, m->out[k], &(ad_plan_options){.poison = true});
}

/* Forward to the last bit; gradients differ by the order of sums over time alone: of the 2 STEPS terms of a sum, each
 * below the sum of absolute values, which the bound takes as STEPS times the largest. */
static void compare(ad_dtype dtype, int how)
{
    model loop = make(dtype, how), unrolled = make(dtype, 0);
    double *x[INPUTS], eps = dtype == AD_F32 ? (double)FLT_EPSILON : DBL_EPSILON;
    numbers(&loop, x);
    for (int k = 0; k < 2 + INPUTS; k++) {
        double *a = value(&loop, x, k), *b = value(&unrolled, x, k);
        int64_t n = ad_count(loop.g, loop.out[k]);
        if (k < 2)
            cr_assert(memcmp(a, b, (size_t)n * sizeof *a) == 0, "f%d, way %d: value %d differs from unrolling",
                      dtype == AD_F32 ? 32 : 64, how, k);
        double bound = 16 * STEPS * eps * (largest(n, b) + 0.1);
        for (int64_t i = 0; i < n; i++)
            cr_assert(fabs(a[i] - b[i]) <= bound, "f%d, way %d: gradient %d [%lld]: %.9g, unrolled %.9g",
                      dtype == AD_F32 ? 32 : 64, how, k - 2, (long long)i, a[i], b[i]);
        free(a), free(b);
    }
    for (int k = 0; k < INPUTS; k++)
        free(x[k]);
    ad_graph_destroy(&loop.g);
    ad_graph_destroy(&unrolled.g);
}

Test(scan, is_the_unrolled_loop)
{
    for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++)
        for (int how = 1; how <= 2; how++)
            compare(dtype, how);
}

Test(scan, stored_and_computed_again_give_the_same_bits)
{
    model again = make(AD_F32, 1), stored = make(AD_F32, 2);
    double *x[INPUTS];
    numbers(&again, x);
    for (int k = 0; k < 2 + INPUTS; k++) {
        double *a = value(&again, x, k), *b = value(&stored, x, k);
        cr_assert(memcmp(a, b, (size_t)ad_count(again.g, again.out[k]) * sizeof *a) == 0, "value %d differs", k);
        free(a), free(b);
    }
    for (int k = 0; k < INPUTS; k++)
        free(x[k]);
    ad_graph_destroy(&again.g);
    ad_graph_destroy(&stored.g);
}

Test(scan, gradient_agrees_with_differences)
{
    for (int how = 1; how <= 2; how++) {
        model m = make(AD_F64, how);
        double *x[INPUTS];
        char why[256] = "";
        numbers(&m, x);
        cr_expect(gradient_agrees(m.g, m.out[1], INPUTS, m.in, x, 900, why, sizeof why), "way %d: %s", how, why);
        for (int k = 0; k < INPUTS; k++)
            free(x[k]);
        ad_graph_destroy(&m.g);
    }
}

Test(scan, graph_and_memory_do_not_grow_with_time)
{
    model loop = make(AD_F32, 1), unrolled = make(AD_F32, 0);
    cr_assert_lt(ad_graph_size(loop.g), ad_graph_size(unrolled.g) / 3);
    ad_graph_destroy(&loop.g);
    ad_graph_destroy(&unrolled.g);
}

Test(scan, runs_do_not_allocate)
{
    for (int how = 1; how <= 2; how++) {
        model m = make(AD_F32, how);
        ad_plan *plan;
        REQUIRE(ad_plan_create(&plan, m.g, 2 + INPUTS, m.out, NULL));
        REQUIRE(ad_plan_prepare(plan));
        REQUIRE(ad_plan_run(plan, 1, 0));
        size_t before = fwm_allocation_count();
        for (uint64_t k = 1; k < 5; k++)
            REQUIRE(ad_plan_run(plan, 1, k));
        cr_assert_eq(fwm_allocation_count(), before);
        ad_plan_destroy(&plan);
        ad_graph_destroy(&m.g);
    }
}

/* ---- what is refused ---- */

static void noisy_body(void *self, ad_graph *g, const ad_value *h, const ad_value *x, const ad_value *shared,
                       ad_value *next, ad_value *outputs)
{
    (void)self, (void)shared, (void)outputs;
    next[0] = ad_add(g, ad_add(g, h[0], x[0]), ad_random_normal(g, *ad_shape_of(g, h[0])));
}

static void growing_body(void *self, ad_graph *g, const ad_value *h, const ad_value *x, const ad_value *shared,
                         ad_value *next, ad_value *outputs)
{
    ad_value both[2] = {h[0], x[0]};
    (void)self, (void)shared, (void)outputs;
    next[0] = ad_concat(g, 2, both, 0);
}

static void empty_body(void *self, ad_graph *g, const ad_value *h, const ad_value *x, const ad_value *shared,
                       ad_value *next, ad_value *outputs)
{
    (void)self, (void)g, (void)h, (void)x, (void)shared, (void)next, (void)outputs;
}

Test(scan, wrong_bodies_are_refused)
{
    static const struct {
        ad_scan scan;
        const char *says;
    } cases[] = {{{"noisy", NULL, 1, 1, 0, 0, false, noisy_body}, "random_normal"},
                 {{"growing", NULL, 1, 1, 0, 0, false, growing_body}, "state's shape"},
                 {{"empty", NULL, 1, 1, 0, 0, false, empty_body}, "leaves result 0 out"},
                 {{"stateless", NULL, 0, 1, 0, 0, false, empty_body}, "2 to 24 inputs"}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        ad_graph *g;
        ad_value last, out;
        REQUIRE(ad_graph_create(&g, AD_F32));
        ad_value h = ad_input(g, "h", ad_shape_make(1, 4)), x = ad_input(g, "x", ad_shape_make(2, 3, 4));
        ad_scan_apply(g, &cases[k].scan, &h, &x, NULL, &last, &out);
        cr_assert_neq(ad_graph_status(g), FWM_OK, "'%s' passed", cases[k].scan.name);
        cr_assert(strstr(fwm_error_message(), cases[k].says), "%s", fwm_error_message());
        ad_graph_destroy(&g);
    }
}

Test(scan, second_gradient_is_refused_by_name)
{
    model m = make(AD_F64, 1);
    ad_value d;
    cr_assert_eq(ad_gradient(m.g, ad_sum_all(m.g, m.out[2]), 1, m.in, &d), FWM_UNSUPPORTED);
    cr_assert(strstr(fwm_error_message(), "scan_vjp"), "%s", fwm_error_message());
    ad_graph_destroy(&m.g);
}
