/* The plan against its oracles: every value in its own buffer, NaN in dead buffers, and counts of allocations. Graphs
 * are random. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/arena.h"
#include "model/base/random.h"
#include "model/base/threads.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { ROWS = 6, COLUMNS = 8, MAX_VALUES = 40, GRAPHS = 300 };

static uint32_t pick(uint64_t seed, uint32_t *at, uint32_t n)
{
    uint32_t words[4];
    fwm_random_words((fwm_key){seed, 77}, 0, (*at)++, words);
    return words[0] % n;
}

/* A random expression over [ROWS,COLUMNS] values: element-wise, matmul, reductions with broadcast, views, concat and
 * slice. */
static ad_value random_graph(ad_graph *g, uint64_t seed, ad_value *x, ad_value *w)
{
    ad_value pool[MAX_VALUES];
    int n = 0, axis = 1;
    uint32_t at = 0;
    pool[n++] = *x = ad_input(g, "x", ad_shape_make(2, ROWS, COLUMNS));
    *w = ad_parameter(g, "w", ad_shape_make(2, COLUMNS, COLUMNS));
    int steps = 8 + (int)pick(seed, &at, 24);
    for (int i = 0; i < steps; i++) {
        ad_value a = pool[pick(seed, &at, (uint32_t)n)], b = pool[pick(seed, &at, (uint32_t)n)], y = AD_NONE;
        switch (pick(seed, &at, 10)) {
        case 0:
            y = ad_add(g, a, b);
            break;
        case 1:
            y = ad_mul(g, ad_tanh(g, a), b);
            break;
        case 2:
            y = ad_tanh(g, ad_matmul(g, a, *w, false, false));
            break;
        case 3:
            y = ad_sub(g, a, ad_mean(g, b, 1, &axis, true));
            break;
        case 4:
            y = ad_silu(g, a);
            break;
        case 5:
            y = ad_reshape(g, ad_sin(g, ad_reshape(g, a, ad_shape_make(1, ROWS * COLUMNS))),
                           ad_shape_make(2, ROWS, COLUMNS));
            break;
        case 6: {
            ad_value both[2] = {a, b};
            ad_value fresh = ad_affine(g, a, 0.5, 0.1 * i); /* dies in a sum with a part of itself */
            both[0] = ad_add(g, fresh, ad_slice(g, fresh, 0, 2, 1));
            ad_value joined = ad_concat(g, 2, both, 0); /* rows are views, columns are copies */
            y = ad_add(g, ad_slice(g, joined, 0, 3, ROWS), ad_slice(g, a, 0, 2, 1));
            y = ad_mul(g, y, ad_slice(g, ad_slice(g, joined, 0, 1, ROWS), 1, 2, 1));
            break;
        }
        case 7:
            y = ad_softmax(g, a);
            break;
        case 8:
            y = ad_maximum(g, a, b);
            break;
        default:
            y = ad_add(g, a, ad_affine(g, ad_random_normal(g, ad_shape_make(2, ROWS, COLUMNS)), 0.1, 0));
            break;
        }
        pool[n++] = y;
    }
    return pool[n - 1];
}

typedef struct result {
    double loss, dx[ROWS * COLUMNS], dw[COLUMNS * COLUMNS];
    ad_memory memory;
} result;

static void evaluate(uint64_t seed, ad_dtype dtype, const ad_plan_options *options, bool bind, int runs, result *r)
{
    ad_graph *g = NULL;
    ad_plan *plan = NULL;
    cr_assert_eq(ad_graph_create(&g, dtype), FWM_OK);
    ad_value wrt[2], out[3];
    ad_value y = random_graph(g, seed, &wrt[0], &wrt[1]);
    out[0] = ad_mean_all(g, ad_square(g, y));
    cr_assert_eq(ad_gradient(g, out[0], 2, wrt, out + 1), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(ad_plan_create(&plan, g, 3, out, options), FWM_OK, "%s", fwm_error_message());
    double bound[3][ROWS * COLUMNS + COLUMNS * COLUMNS];
    for (int k = 0; bind && k < 3; k++)
        cr_assert_eq(ad_plan_bind(plan, out[k], bound[k]), FWM_OK, "%s", fwm_error_message());
    ad_plan_memory(plan, &r->memory);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    double *x = ad_plan_data(plan, wrt[0]), *w = ad_plan_data(plan, wrt[1]);
    for (int i = 0; x && i < ROWS * COLUMNS; i++)
        x[i] = fwm_random_normal((fwm_key){seed, 1}, 0, (uint32_t)i);
    for (int i = 0; w && i < COLUMNS * COLUMNS; i++)
        w[i] = 0.3 * fwm_random_normal((fwm_key){seed, 2}, 0, (uint32_t)i);
    for (int k = 0; k < runs; k++)
        cr_assert_eq(ad_plan_run(plan, 5, 9), FWM_OK);
    const double *loss = bind ? bound[0] : ad_plan_data(plan, out[0]),
                 *dx = bind ? bound[1] : ad_plan_data(plan, out[1]), *dw = bind ? bound[2] : ad_plan_data(plan, out[2]);
    r->loss = *loss;
    memcpy(r->dx, dx, sizeof r->dx);
    memcpy(r->dw, dw, sizeof r->dw);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

static bool same(const result *a, const result *b)
{
    return memcmp(&a->loss, &b->loss, sizeof a->loss) == 0 && memcmp(a->dx, b->dx, sizeof a->dx) == 0 &&
           memcmp(a->dw, b->dw, sizeof a->dw) == 0;
}

Test(plan, sharing_memory_changes_no_bit)
{
    int shared = 0;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        result planned, apart, poisoned, bound, again;
        evaluate(seed, AD_F64, NULL, false, 1, &planned);
        evaluate(seed, AD_F64, &(ad_plan_options){.no_reuse = true}, false, 1, &apart);
        evaluate(seed, AD_F64, &(ad_plan_options){.poison = true}, false, 1, &poisoned);
        evaluate(seed, AD_F64, NULL, true, 1, &bound);
        evaluate(seed, AD_F64, NULL, false, 3, &again);
        cr_assert(isfinite(planned.loss));
        cr_assert(same(&planned, &apart), "graph %llu: sharing buffers changed the result", (unsigned long long)seed);
        cr_assert(same(&planned, &poisoned), "graph %llu: a dead or unset buffer was read", (unsigned long long)seed);
        cr_assert(same(&planned, &bound), "graph %llu: binding outputs changed the result", (unsigned long long)seed);
        cr_assert(same(&planned, &again), "graph %llu: a second run differs", (unsigned long long)seed);
        shared += planned.memory.workspace < apart.memory.workspace;
        cr_assert_leq(planned.memory.workspace, (size_t)(1.15 * (double)planned.memory.lower_bound) + 512,
                      "graph %llu: %zu bytes, live %zu", (unsigned long long)seed, planned.memory.workspace,
                      planned.memory.lower_bound);
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
