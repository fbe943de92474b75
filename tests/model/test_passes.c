/* Passes against plans without them: thousands of random graphs, and what each pass is for on small ones. */
#include "model/autodiff/graph_internal.h"
#include "model/autodiff/passes/pass.h"
#include "model/base/threads.h"
#include "tests/model/random_graph.h"

#include <omp.h>

enum { GRAPHS = 2000, LARGE_EVERY = 100 };

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

/* ---- random graphs ---- */

typedef struct setting {
    const char *name; /* of passes */
    bool exact, rounds;
} setting;

/* Sums of up to 600 numbers in another order: sqrt(600) of half a unit in the last place, eight times. */
static bool same(const random_graph *r, const setting *s, const random_result *found, const random_result *plain)
{
    const double unit = ad_graph_dtype(r->g) == AD_F32 ? 0x1p-24 : 0x1p-53;
    return s->rounds ? random_result_near(found, plain, 8 * sqrt(600) * unit)
                     : random_result_equal(found, plain, s->exact);
}

static void hold(const random_graph *r, uint64_t seed, const setting *s, const random_result *plain)
{
    random_result found = random_graph_run(r, seed, &(ad_plan_options){.passes = s->name, .poison = true}, false, 1);
    cr_assert(same(r, s, &found, plain), "graph %llu, f%d: passes '%s' changed the result", (unsigned long long)seed,
              ad_graph_dtype(r->g) == AD_F32 ? 32 : 64, s->name ? s->name : "all");
    cr_assert_leq(found.memory.workspace, (size_t)(1.15 * (double)found.memory.lower_bound) + 512,
                  "graph %llu: %zu bytes, live %zu", (unsigned long long)seed, found.memory.workspace,
                  found.memory.lower_bound);
    random_result_free(&found);
}

/* Each pass alone and all of them give the numbers of a plan without passes in which every value has its own memory.
 * Rows of 8 and 40 fit into tiles, those of 1300 do not; the large graphs are shared out among the threads. */
Test(passes, random_graphs_keep_their_values, .timeout = 120)
{
    static const int64_t sizes[][2] = {{6, 8}, {37, 40}, {4, 1300}, {600, 40}};
    char keep[256] = ""; /* those whose numbers are the same */
    setting settings[16] = {{NULL, false, true}, {keep, false, false}};
    int n = 2;
    cr_assert_lt(ad_pass_table_size, 14);
    for (int k = 0; k < ad_pass_table_size; k++) {
        const ad_pass *pass = ad_pass_table[k];
        settings[n++] = (setting){pass->name, pass->exact, pass->rounds};
        if (!pass->rounds)
            (void)snprintf(keep + strlen(keep), sizeof keep - strlen(keep), "%s%s", keep[0] ? "," : "", pass->name);
    }
    omp_set_num_threads(2);
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        const int64_t *size = sizes[seed % LARGE_EVERY ? seed % 10 == 1 : seed / LARGE_EVERY % 2 ? 2 : 3];
        random_graph r = random_graph_make(1000 + seed, seed / 3 % 2 ? AD_F32 : AD_F64, size[0], size[1]);
        random_result plain = random_graph_run(&r, seed, &(ad_plan_options){.passes = "", .no_reuse = true}, false, 1);
        cr_assert(isfinite(plain.y[0][0]), "graph %llu is of no use", (unsigned long long)seed);
        for (int k = 0; k < n; k++)
            hold(&r, seed, &settings[k], &plain);
        random_result_free(&plain);
        random_graph_free(&r);
    }
}

/* With a budget between what is alive at best and what was planned, results are the same to the last bit and the block
 * keeps to it, or the error names the least. */
Test(passes, recomputation_meets_its_budget)
{
    int met = 0, refused = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        random_graph r = random_graph_make(9000 + seed, seed % 2 ? AD_F32 : AD_F64, 37, 40);
        random_result plain = random_graph_run(&r, seed, &(ad_plan_options){.no_reuse = false}, false, 1);
        ad_plan_options options = {.budget = plain.memory.workspace * (70 + seed % 30) / 100, .poison = true};
        ad_plan *plan;
        if (ad_plan_create(&plan, r.g, RANDOM_OUTPUTS, r.out, &options) == FWM_OK) {
            random_result found = random_graph_run(&r, seed, &options, false, 2);
            cr_assert_leq(found.memory.workspace, options.budget);
            cr_assert(random_result_equal(&found, &plain, true), "graph %llu: a budget changed the result",
                      (unsigned long long)seed);
            random_result_free(&found);
            met++;
        } else {
            cr_assert(strstr(fwm_error_message(), "expected to fit into"), "%s", fwm_error_message());
            refused++;
        }
        ad_plan_destroy(&plan);
        random_result_free(&plain);
        random_graph_free(&r);
    }
    cr_assert(met > 100 && refused > 10, "%d met, %d refused", met, refused);
}

/* A tower of n layers keeps n activations for its gradient; computed again they take less, and the gradient is the
 * same.
 */
Test(passes, recomputation_of_a_tower)
{
    enum { LAYERS = 24, ROWS = 64, WIDTH = 64 };
    ad_graph *g;
    REQUIRE(ad_graph_create(&g, AD_F32));
    ad_value x = ad_input(g, "x", ad_shape_make(2, ROWS, WIDTH)),
             w = ad_parameter(g, "w", ad_shape_make(2, WIDTH, WIDTH));
    ad_value y = x, out[2];
    for (int k = 0; k < LAYERS; k++)
        y = ad_tanh(g, ad_silu(g, ad_affine(g, k % 4 ? y : ad_matmul(g, y, w, false, false), 1.0 + 0.01 * k, 0.1)));
    out[0] = ad_mean_all(g, ad_square(g, y));
    REQUIRE(ad_gradient(g, out[0], 1, &w, out + 1));
    float *gradient[2];
    ad_memory memory[2];
    for (int k = 0; k < 2; k++) {
        ad_plan *plan;
        REQUIRE(ad_plan_create(&plan, g, 2, out, &(ad_plan_options){.budget = k ? memory[0].workspace / 2 : 0}));
        ad_plan_memory(plan, &memory[k]);
        REQUIRE(ad_plan_prepare(plan));
        float *to[2] = {ad_plan_data(plan, x), ad_plan_data(plan, w)};
        for (int i = 0; i < ROWS * WIDTH; i++)
            to[0][i] = (float)fwm_random_normal((fwm_key){3, 1}, 0, (uint32_t)i);
        for (int i = 0; i < WIDTH * WIDTH; i++)
            to[1][i] = 0.2f * (float)fwm_random_normal((fwm_key){4, 1}, 0, (uint32_t)i);
        REQUIRE(ad_plan_run(plan, 0, 0));
        gradient[k] = malloc(WIDTH * WIDTH * sizeof(float));
        memcpy(gradient[k], ad_plan_data(plan, out[1]), WIDTH * WIDTH * sizeof(float));
        ad_plan_destroy(&plan);
    }
    cr_assert_leq(memory[1].workspace, memory[0].workspace / 2);
    cr_assert_arr_eq(gradient[0], gradient[1], WIDTH * WIDTH * sizeof(float));
    free(gradient[0]), free(gradient[1]);
    ad_graph_destroy(&g);
}

/* ---- what a pass is for ---- */

/* The gradient of a weight that every step of a recurrence uses is one product; without the pass it is one a step. */
Test(passes, weights_of_a_recurrence_are_one_product)
{
    enum { STEPS = 6, BATCH = 2, WIDTH = 16 };
    ad_graph *g;
    REQUIRE(ad_graph_create(&g, AD_F64));
    ad_value w = ad_parameter(g, "w", ad_shape_make(2, WIDTH, WIDTH)), out[2];
    const ad_value start = ad_input(g, "h", ad_shape_make(2, BATCH, WIDTH));
    ad_value h = start;
    for (int t = 0; t < STEPS; t++)
        h = ad_tanh(g, ad_matmul(g, h, w, false, false));
    out[0] = ad_mean_all(g, ad_square(g, h));
    REQUIRE(ad_gradient(g, out[0], 1, &w, out + 1));
    double gradient[2][WIDTH * WIDTH];
    int products[2] = {0};
    for (int k = 0; k < 2; k++) {
        ad_plan *plan;
        char *text;
        size_t size;
        REQUIRE(ad_plan_create(&plan, g, 2, out, &(ad_plan_options){.passes = k ? "join" : ""}));
        REQUIRE(ad_plan_prepare(plan));
        double *weights = ad_plan_data(plan, w), *state = ad_plan_data(plan, start);
        for (int i = 0; i < WIDTH * WIDTH; i++)
            weights[i] = 0.2 * fwm_random_normal((fwm_key){4, 1}, 0, (uint32_t)i);
        for (int i = 0; i < BATCH * WIDTH; i++)
            state[i] = fwm_random_normal((fwm_key){4, 2}, 0, (uint32_t)i);
        REQUIRE(ad_plan_run(plan, 0, 0));
        memcpy(gradient[k], ad_plan_data(plan, out[1]), sizeof gradient[k]);
        FILE *file = open_memstream(&text, &size);
        ad_plan_print(plan, file);
        (void)fclose(file);
        for (const char *at = text; (at = strstr(at, " matmul ")) != NULL; at++)
            products[k]++;
        free(text);
        ad_plan_destroy(&plan);
    }
    cr_expect_eq(products[0], 3 * STEPS - 1, "%d", products[0]);
    cr_expect_eq(products[1], 2 * STEPS, "%d", products[1]);
    for (int i = 0; i < WIDTH * WIDTH; i++)
        cr_expect_float_eq(gradient[1][i], gradient[0][i], 1e-15);
    ad_graph_destroy(&g);
}

/* A graph of float32 with inputs x, y [3,8] and a row b [8]. */
typedef struct small {
    ad_graph *g;
    ad_value x, y, b;
} small;

static small small_make(void)
{
    small s;
    REQUIRE(ad_graph_create(&s.g, AD_F32));
    s.x = ad_input(s.g, "x", ad_shape_make(2, 3, 8));
    s.y = ad_input(s.g, "y", ad_shape_make(2, 3, 8));
    s.b = ad_input(s.g, "b", ad_shape_make(1, 8));
    return s;
}

/* The optimised graph of one output, and the output's counterpart. */
static ad_graph *optimise(const small *s, const char *passes, ad_value out, ad_value *to)
{
    ad_graph *g;
    ad_value map[64];
    cr_assert_leq(ad_graph_size(s->g), 64);
    REQUIRE(ad_optimise(&g, map, s->g, 1, &out, &(ad_optimise_options){.passes = passes, .isa_level = 1}));
    *to = map[out];
    return g;
}

static int count_op(const ad_graph *g, const char *name)
{
    int n = 0;
    for (ad_value v = 0; v < ad_graph_size(g); v++)
        n += strcmp(ad_op_of(g, v)->name, name) == 0;
    return n;
}

static bool becomes(const small *s, ad_value out, ad_value expected)
{
    ad_value to, same, all[2] = {out, expected}, map[64];
    ad_graph *g;
    REQUIRE(ad_optimise(&g, map, s->g, 2, all, &(ad_optimise_options){.passes = "fold", .isa_level = 1}));
    to = map[out], same = map[expected];
    ad_graph_destroy(&g);
    return to == same;
}

Test(passes, identities_give_way)
{
    small s = small_make();
    ad_graph *g = s.g;
    ad_value one = ad_fill(g, ad_shape_make(1, 1), 1), zero = ad_fill(g, ad_shape_make(2, 3, 8), 0);
    ad_value parts[2] = {s.x, s.y}, halves[2] = {ad_slice(g, s.x, 1, 0, 3), ad_slice(g, s.x, 1, 3, 5)};
    ad_value turned = ad_transpose(g, ad_transpose(g, s.x, (int[]){1, 0}), (int[]){1, 0});
    cr_expect(becomes(&s, ad_mul(g, s.x, one), s.x));
    cr_expect(becomes(&s, ad_div(g, s.x, one), s.x));
    cr_expect(becomes(&s, ad_add(g, zero, s.x), s.x));
    cr_expect(becomes(&s, ad_sub(g, s.x, zero), s.x));
    cr_expect(becomes(&s, ad_neg(g, ad_neg(g, s.x)), s.x));
    cr_expect(becomes(&s, ad_maximum(g, s.x, s.x), s.x));
    cr_expect(becomes(&s, ad_stop_gradient(g, s.x), s.x));
    cr_expect(becomes(&s, turned, s.x));
    cr_expect(becomes(&s, ad_slice(g, ad_concat(g, 2, parts, 0), 0, 3, 3), s.y));
    cr_expect(becomes(&s, ad_concat(g, 2, halves, 1), s.x));
    cr_expect(becomes(&s, ad_add(g, ad_pad(g, halves[0], 1, 0, 5), ad_pad(g, halves[1], 1, 3, 0)), s.x));
    cr_expect(becomes(&s, ad_exp(g, zero), ad_fill(g, ad_shape_make(2, 3, 8), 1)));
    cr_expect(!(becomes(&s, ad_mul(g, s.x, zero), zero)), "0 x is NaN where x is");
    cr_expect(!(becomes(&s, ad_sub(g, s.x, s.x), zero)));
    cr_expect(!(becomes(&s, ad_add(g, ad_fill(g, ad_shape_make(3, 2, 3, 8), 0), s.x), s.x)), "the shape is another");
    ad_graph_destroy(&s.g);
}

Test(passes, constants_are_computed_once)
{
    small s = small_make();
    const double numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    ad_value c = ad_constant(s.g, ad_shape_make(1, 8), numbers), to;
    ad_value sum = ad_sum_all(s.g, ad_square(s.g, c)); /* 204 */
    ad_graph *g = optimise(&s, "fold", ad_mul(s.g, s.x, sum), &to);
    const ad_node *node = ad_node_of(g, to);
    cr_assert_str_eq(node->op->name, "mul");
    const ad_node *factor = ad_node_of(g, node->in[1]);
    cr_assert_str_eq(factor->op->name, "constant");
    cr_assert_eq(*(const double *)factor->attr.object, 204);
    ad_graph_destroy(&g);
    ad_graph_destroy(&s.g);
}

Test(passes, chains_run_as_one)
{
    small s = small_make();
    ad_value to, y = ad_tanh(s.g, ad_add(s.g, ad_mul(s.g, s.x, s.y), s.b));
    ad_graph *g = optimise(&s, "fuse", ad_mul(s.g, y, ad_sigmoid(s.g, s.y)), &to);
    cr_assert_str_eq(ad_op_of(g, to)->name, "chain");
    cr_assert_eq(ad_input_count(g, to), 3);
    cr_assert_eq(count_op(g, "mul") + count_op(g, "add") + count_op(g, "tanh") + count_op(g, "sigmoid"), 0);
    ad_graph_destroy(&g);
    ad_graph_destroy(&s.g);
}

/* What is read twice outside, what is an output, another shape and columns stay outside of a chain. */
Test(passes, chains_end_where_values_are_needed)
{
    small s = small_make();
    ad_value t = ad_tanh(s.g, s.x), map[64], out[2] = {ad_square(s.g, t), t};
    ad_graph *g;
    REQUIRE(ad_optimise(&g, map, s.g, 2, out, &(ad_optimise_options){.passes = "fuse", .isa_level = 1}));
    cr_assert_eq(count_op(g, "chain"), 0, "an output was swallowed");
    ad_graph_destroy(&g);
    ad_value m = ad_matmul(s.g, ad_tanh(s.g, s.y), s.y, true, false); /* read by a matmul and by a chain */
    ad_value to, both = ad_add(s.g, ad_sum_all(s.g, m), ad_sum_all(s.g, ad_square(s.g, ad_tanh(s.g, s.y))));
    g = optimise(&s, "fuse", both, &to);
    cr_assert_eq(count_op(g, "tanh"), 1);
    ad_graph_destroy(&g);
    ad_value column = ad_slice(s.g, s.x, 1, 2, 1);
    g = optimise(&s, "fuse", ad_exp(s.g, ad_mul(s.g, ad_tanh(s.g, s.x), column)), &to);
    cr_assert_eq(count_op(g, "chain"), 0, "a column was taken for a row");
    ad_graph_destroy(&g);
    ad_graph_destroy(&s.g);
}

/* t = a + b is small beside a and b, which nothing else keeps: computing it late would keep both. */
Test(passes, chains_keep_no_more_memory)
{
    small s = small_make();
    ad_value a = ad_softmax(s.g, s.x), b = ad_softmax(s.g, s.y), t = ad_add(s.g, a, b), to;
    ad_value late = ad_matmul(s.g, s.x, s.y, false, true);
    late = ad_matmul(s.g, late, ad_softmax(s.g, ad_add(s.g, s.x, s.b)), false, false);
    ad_graph *g = optimise(&s, "fuse", ad_mul(s.g, t, late), &to);
    cr_assert_str_eq(ad_op_of(g, to)->name, "mul");
    ad_graph_destroy(&g);
    ad_graph_destroy(&s.g);
}

/* ---- the verifier, and names ---- */

Test(passes, verifier_finds_broken_graphs)
{
    small s = small_make();
    ad_value t = ad_tanh(s.g, s.x), m = ad_matmul(s.g, t, s.y, true, false), *in;
    REQUIRE(ad_graph_verify(s.g));
    s.g->node[t].shape.dim[0] = 4;
    cr_assert_eq(ad_graph_verify(s.g), FWM_INTERNAL, "a wrong shape passed");
    cr_assert(strstr(fwm_error_message(), "tanh"), "%s", fwm_error_message());
    s.g->node[t].shape.dim[0] = 3;
    in = (ad_value *)(uintptr_t)s.g->node[t].in;
    *in = m;
    cr_assert_eq(ad_graph_verify(s.g), FWM_INTERNAL, "an input that comes later passed");
    *in = s.x;
    s.g->node[m].n_in = 1;
    cr_assert_eq(ad_graph_verify(s.g), FWM_INTERNAL, "a missing input passed");
    s.g->node[m].n_in = 2;
    REQUIRE(ad_graph_verify(s.g));
    ad_graph_destroy(&s.g);
}

Test(passes, unknown_names_are_refused)
{
    small s = small_make();
    ad_plan *plan;
    cr_assert_eq(ad_plan_create(&plan, s.g, 1, &s.x, &(ad_plan_options){.passes = "fold,fuze"}), FWM_INVALID);
    cr_assert(strstr(fwm_error_message(), "fuze"), "%s", fwm_error_message());
    cr_assert_null(plan);
    ad_graph_destroy(&s.g);
}
