#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/arena.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static ad_graph *new_graph(ad_dtype dtype)
{
    ad_graph *g = NULL;
    cr_assert_eq(ad_graph_create(&g, dtype), FWM_OK);
    return g;
}

Test(graph, equal_nodes_are_one)
{
    ad_graph *g = new_graph(AD_F64);
    ad_value x = ad_input(g, "x", ad_shape_make(2, 3, 4)), y = ad_input(g, "y", ad_shape_make(1, 4));
    ad_value a = ad_add(g, ad_exp(g, x), y);
    int32_t n = ad_graph_size(g);
    cr_assert_eq(a, ad_add(g, ad_exp(g, x), y));
    cr_assert_eq(ad_graph_size(g), n, "an expression built twice added values");
    cr_assert_neq(ad_affine(g, x, 2, 0), ad_affine(g, x, 2, 1), "attributes are part of identity");
    cr_assert_neq(ad_random_normal(g, ad_shape_make(1, 4)), ad_random_normal(g, ad_shape_make(1, 4)),
                  "two draws are two draws");
    ad_graph_destroy(&g);
    cr_assert_null(g);
}

Test(graph, first_failure_stays_and_names_place_and_shapes)
{
    ad_graph *g = new_graph(AD_F32);
    ad_value x = ad_input(g, "x", ad_shape_make(2, 3, 4));
    ad_scope_push(g, "encoder");
    ad_scope_push(g, "stage1");
    ad_value bad = ad_matmul(g, x, x, false, false);
    cr_assert_eq(bad, AD_NONE);
    cr_assert_eq(ad_add(g, bad, x), AD_NONE, "builders after a failure give nothing");
    cr_assert_neq(ad_graph_status(g), FWM_OK);
    cr_assert(strstr(fwm_error_message(), "encoder/stage1"), "%s", fwm_error_message());
    cr_assert(strstr(fwm_error_message(), "[3,4], [3,4]"), "%s", fwm_error_message());
    ad_plan *plan = NULL;
    cr_assert_neq(ad_plan_create(&plan, g, 1, &x, NULL), FWM_OK, "a failed graph cannot be planned");
    ad_graph_destroy(&g);
}

Test(graph, names_are_unique_and_scoped)
{
    ad_graph *g = new_graph(AD_F32);
    ad_scope_push(g, "a");
    ad_value w = ad_parameter(g, "w", ad_shape_make(1, 2));
    cr_assert_str_eq(ad_name_of(g, w), "a/w");
    cr_assert_str_eq(ad_name_of(g, ad_parameter(g, "/law/k", ad_shape_make(1, 2))), "law/k");
    cr_assert_eq(ad_parameter(g, "w", ad_shape_make(1, 2)), AD_NONE);
    cr_assert(strstr(fwm_error_message(), "a/w"));
    ad_graph_destroy(&g);
}

Test(graph, impossible_sizes_are_refused)
{
    ad_graph *g = new_graph(AD_F32);
    cr_assert_eq(ad_input(g, "x", ad_shape_make(2, 3, 0)), AD_NONE);
    ad_graph_destroy(&g);
    g = new_graph(AD_F32);
    cr_assert_eq(ad_input(g, "x", ad_shape_make(3, INT64_MAX / 4, 16, 16)), AD_NONE, "a product that overflows");
    ad_graph_destroy(&g);
}

Test(gradient, sums_uses_and_leaves_out_the_rest)
{
    /* f = sum(x y + x^2), x used twice; y broadcast along rows: df/dx = y + 2x, df/dy = column sums of x. */
    ad_graph *g = new_graph(AD_F64);
    ad_value x = ad_input(g, "x", ad_shape_make(2, 2, 3)), y = ad_input(g, "y", ad_shape_make(1, 3)),
             unused = ad_input(g, "u", ad_shape_make(1, 2));
    ad_value f = ad_sum_all(g, ad_add(g, ad_mul(g, x, y), ad_square(g, x)));
    ad_value wrt[3] = {x, y, unused}, d[3];
    cr_assert_eq(ad_gradient(g, f, 3, wrt, d), FWM_OK);
    ad_plan *plan = NULL;
    cr_assert_eq(ad_plan_create(&plan, g, 3, d, NULL), FWM_OK);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    double *px = ad_plan_data(plan, x), *py = ad_plan_data(plan, y);
    for (int i = 0; i < 6; i++)
        px[i] = i + 1;
    for (int j = 0; j < 3; j++)
        py[j] = 10 * (j + 1);
    cr_assert_eq(ad_plan_run(plan, 0, 0), FWM_OK);
    const double *dx = ad_plan_data(plan, d[0]), *dy = ad_plan_data(plan, d[1]), *du = ad_plan_data(plan, d[2]);
    for (int i = 0; i < 6; i++)
        cr_assert_float_eq(dx[i], 10 * (i % 3 + 1) + 2 * (i + 1), 1e-14);
    for (int j = 0; j < 3; j++)
        cr_assert_float_eq(dy[j], (j + 1) + (j + 4), 1e-14);
    cr_assert(du[0] == 0 && du[1] == 0, "what the loss does not depend on gets zeros");
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

Test(gradient, nothing_passes_a_stop)
{
    ad_graph *g = new_graph(AD_F64);
    ad_value x = ad_input(g, "x", ad_shape_make(1, 3));
    ad_value f = ad_sum_all(g, ad_mul(g, x, ad_stop_gradient(g, x))), d; /* derivative x, not 2x */
    cr_assert_eq(ad_gradient(g, f, 1, &x, &d), FWM_OK);
    ad_plan *plan = NULL;
    cr_assert_eq(ad_plan_create(&plan, g, 1, &d, NULL), FWM_OK);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    double *px = ad_plan_data(plan, x);
    px[0] = 3, px[1] = -1, px[2] = 0.5;
    cr_assert_eq(ad_plan_run(plan, 0, 0), FWM_OK);
    cr_assert_arr_eq(ad_plan_data(plan, d), px, 3 * sizeof *px);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

Test(gradient, of_a_gradient)
{
    /* f = sum(tanh(x)^3): d2f/dx2 along v against a difference of first derivatives is in the operator table; here the
     * closed form 6 t s^2 - 6 t^3 s with t = tanh x, s = 1 - t^2. */
    ad_graph *g = new_graph(AD_F64);
    ad_value x = ad_input(g, "x", ad_shape_make(1, 4)), t = ad_tanh(g, x), d, dd;
    ad_value f = ad_sum_all(g, ad_mul(g, t, ad_square(g, t)));
    cr_assert_eq(ad_gradient(g, f, 1, &x, &d), FWM_OK);
    cr_assert_eq(ad_gradient(g, ad_sum_all(g, d), 1, &x, &dd), FWM_OK);
    ad_plan *plan = NULL;
    cr_assert_eq(ad_plan_create(&plan, g, 1, &dd, NULL), FWM_OK);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK);
    double *px = ad_plan_data(plan, x);
    for (int i = 0; i < 4; i++)
        px[i] = 0.7 * i - 1;
    cr_assert_eq(ad_plan_run(plan, 0, 0), FWM_OK);
    const double *y = ad_plan_data(plan, dd);
    for (int i = 0; i < 4; i++) {
        double a = tanh(px[i]), s = 1 - a * a;
        cr_assert_float_eq(y[i], 6 * a * s * s - 6 * a * a * a * s, 1e-13);
    }
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}
