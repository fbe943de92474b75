/* The plan against its oracles: every value in its own buffer, NaN in dead buffers, and counts of allocations. Graphs
 * are random. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "tests/model/random_graph.h"

enum { GRAPHS = 300 };

Test(plan, sharing_memory_changes_no_bit)
{
    static const struct {
        const char *what;
        ad_plan_options options;
        bool bind;
        int runs;
    } trials[] = {{"sharing buffers changed the result", {0}, false, 1},
                  {"a dead or unset buffer was read", {.poison = true}, false, 1},
                  {"binding outputs changed the result", {0}, true, 1},
                  {"a second run differs", {0}, false, 3}};
    int shared = 0;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        random_graph r = random_graph_make(seed, AD_F64, 6, 8);
        random_result apart = random_graph_run(&r, seed, &(ad_plan_options){.no_reuse = true}, false, 1);
        cr_assert(isfinite(apart.y[0][0]));
        for (size_t k = 0; k < sizeof trials / sizeof *trials; k++) {
            random_result found = random_graph_run(&r, seed, &trials[k].options, trials[k].bind, trials[k].runs);
            cr_assert(random_result_equal(&found, &apart, true), "graph %llu: %s", (unsigned long long)seed,
                      trials[k].what);
            cr_assert_leq(found.memory.workspace, (size_t)(1.15 * (double)found.memory.lower_bound) + 512,
                          "graph %llu: %zu bytes, live %zu", (unsigned long long)seed, found.memory.workspace,
                          found.memory.lower_bound);
            shared += k == 0 && found.memory.workspace < apart.memory.workspace;
            random_result_free(&found);
        }
        random_result_free(&apart);
        random_graph_free(&r);
    }
    cr_assert_gt(shared, GRAPHS * 9 / 10, "buffers were shared in %d of %d graphs only", shared, GRAPHS);
}

Test(plan, runs_do_not_allocate)
{
    ad_graph *g = NULL;
    ad_plan *plan = NULL;
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    cr_assert_eq(ad_graph_create(&g, AD_F32), FWM_OK);
    ad_value x = ad_input(g, "x", ad_shape_make(4, 2, 16, 16, 8)),
             w = ad_parameter(g, "w", ad_shape_make(4, 3, 3, 8, 8)), d;
    ad_value s = ad_parameter(g, "s", ad_shape_make(1, 8)), t = ad_parameter(g, "t", ad_shape_make(1, 8));
    ad_conv c = {.pad_before = {1, 1}, .pad_after = {1, 1}};
    ad_value y = ad_group_norm(g, ad_conv2d(g, x, w, &c), s, t, 4, 1e-5, true);
    y = ad_mean_all(g, ad_square(g, ad_add(g, y, ad_random_normal(g, ad_shape_make(4, 2, 16, 16, 8)))));
    cr_assert_eq(ad_gradient(g, y, 1, &w, &d), FWM_OK);
    cr_assert_eq(ad_plan_create(&plan, g, 1, &d, NULL), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    cr_assert_eq(ad_plan_run(plan, 1, 0), FWM_OK);
    size_t before = fwm_allocation_count();
    for (uint64_t k = 1; k < 20; k++)
        cr_assert_eq(ad_plan_run(plan, 1, k), FWM_OK);
    cr_assert_eq(fwm_allocation_count(), before);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

Test(plan, noise_is_a_function_of_seed_and_step)
{
    ad_graph *g = NULL;
    ad_plan *plan = NULL;
    cr_assert_eq(ad_graph_create(&g, AD_F64), FWM_OK);
    ad_value a = ad_random_normal(g, ad_shape_make(1, 16)), b = ad_random_normal(g, ad_shape_make(1, 16)),
             out[2] = {a, b};
    cr_assert_eq(ad_plan_create(&plan, g, 2, out, NULL), FWM_OK);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    double first[16], later[16];
    cr_assert_eq(ad_plan_run(plan, 3, 7), FWM_OK);
    memcpy(first, ad_plan_data(plan, a), sizeof first);
    cr_assert_arr_neq(first, ad_plan_data(plan, b), sizeof first);
    cr_assert_eq(ad_plan_run(plan, 3, 8), FWM_OK);
    memcpy(later, ad_plan_data(plan, a), sizeof later);
    cr_assert_arr_neq(first, later, sizeof first);
    cr_assert_eq(ad_plan_run(plan, 3, 7), FWM_OK);
    cr_assert_arr_eq(first, ad_plan_data(plan, a), sizeof first);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}
