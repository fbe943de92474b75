/* The custom operators are the functions behind them, with shapes checked. */
#include "support.h"

#include "model/autodiff/plan.h"
#include "model/base/arena.h"

TestSuite(custom, .fini = fem_finalize);

enum { BATCH = 5 };

Test(custom, operators_equal_the_functions_and_allocate_nothing)
{
    plate p = plate_make(FEM_P1, 5, 4, 2e-3, 1, FEM_NORM_DUAL, 0.1, 3);
    fem_theta theta = plate_theta(&p);
    int64_t n = BATCH * p.n, cells = p.mesh->n_cells;
    const int64_t count[PARAMETERS] = {cells, 1, 1, 1};
    double *u1 = noise(2, n, -1, 1), *u0 = noise(3, n, -1, 1), *a = noise(4, BATCH * p.actions, 0, 1),
           *y = malloc((size_t)n * 8);
    double *z = malloc((size_t)n * 8), *g = malloc((size_t)n * 8), *h = malloc((size_t)n * 8),
           *gk = malloc((size_t)cells * 8), *hk = malloc((size_t)cells * 8);
    double gs[3], hs[3], ga[BATCH * 3], ha[BATCH * 3];
    const ad_custom *op[FEM_CUSTOM_COUNT], *again;
    for (int k = 0; k < FEM_CUSTOM_COUNT; k++)
        MUST(fem_custom(&op[k], p.problem, (fem_custom_kind)k, AD_F64, BATCH, count));
    MUST(fem_custom(&again, p.problem, FEM_CUSTOM_STEP, AD_F64, BATCH, count));
    cr_assert_eq(op[FEM_CUSTOM_STEP], again);
    const void *pair[] = {u1, u0, a, p.k, &p.scalar[0], &p.scalar[1], &p.scalar[2]};
    void *bars[] = {NULL, g, ga, gk, &gs[0], &gs[1], &gs[2]};
    fem_bars expected = {.u0 = h, .a = ha, .theta = {hk, &hs[0], &hs[1], &hs[2]}};

    size_t before = fwm_allocation_count();
    MUST(op[FEM_CUSTOM_STEP]->forward(op[FEM_CUSTOM_STEP]->self, AD_F64, pair + 1, y));
    MUST(op[FEM_CUSTOM_STEP]->vjp(op[FEM_CUSTOM_STEP]->self, AD_F64, pair + 1, y, u1, bars + 1));
    cr_assert_eq(fwm_allocation_count(), before);
    MUST(fem_step(p.problem, AD_F64, z, u0, a, &theta, BATCH));
    MUST(fem_step_vjp(p.problem, AD_F64, &expected, u1, z, u0, a, &theta, BATCH));
    cr_assert_arr_eq(y, z, (size_t)n * 8);
    cr_assert_arr_eq(g, h, (size_t)n * 8);
    cr_assert_arr_eq(ga, ha, sizeof ga);
    cr_assert_arr_eq(gk, hk, (size_t)cells * 8);
    cr_assert_arr_eq(gs, hs, sizeof gs);

    /* residual: over the lumped mass, and its transpose: <w, r / m> = <w / m, r>. */
    MUST(op[FEM_CUSTOM_RESIDUAL]->forward(op[FEM_CUSTOM_RESIDUAL]->self, AD_F64, pair, y));
    MUST(fem_residual(p.problem, AD_F64, z, u1, u0, a, &theta, BATCH));
    for (int64_t i = 0; i < n; i++)
        cr_assert_float_eq(y[i] * p.mesh->lumped[i % p.n], z[i], 1e-14);
    MUST(op[FEM_CUSTOM_RESIDUAL]->vjp(op[FEM_CUSTOM_RESIDUAL]->self, AD_F64, pair, y, u1, bars));
    for (int64_t i = 0; i < n; i++)
        z[i] = u1[i] / p.mesh->lumped[i % p.n];
    MUST(fem_residual_vjp(p.problem, AD_F64, &expected, z, u1, u0, a, &theta, BATCH));
    cr_assert_arr_eq(g, h, (size_t)n * 8);
    cr_assert_arr_eq(gk, hk, (size_t)cells * 8);

    double l[BATCH], m[BATCH], w[BATCH] = {1, 2, 3, 4, 5};
    MUST(op[FEM_CUSTOM_LOSS]->forward(op[FEM_CUSTOM_LOSS]->self, AD_F64, pair, l));
    MUST(op[FEM_CUSTOM_LOSS]->vjp(op[FEM_CUSTOM_LOSS]->self, AD_F64, pair, l, w, bars));
    MUST(fem_loss(p.problem, AD_F64, m, u1, u0, a, &theta, BATCH));
    MUST(fem_loss_vjp(p.problem, AD_F64, &expected, w, u1, u0, a, &theta, BATCH));
    cr_assert_arr_eq(l, m, sizeof l);
    cr_assert_arr_eq(g, h, (size_t)n * 8);
    free(u1), free(u0), free(a), free(y), free(z), free(g), free(h), free(gk), free(hk);
    plate_free(&p);
}

Test(custom, shapes_are_checked_by_name)
{
    plate p = plate_make(FEM_P1, 5, 4, 2e-3, 1, FEM_NORM_DUAL, 0.1, 3);
    int64_t cells = p.mesh->n_cells, count[PARAMETERS] = {cells, 1, 1, 1};
    const ad_custom *step, *loss;
    MUST(fem_custom(&step, p.problem, FEM_CUSTOM_STEP, AD_F32, BATCH, count));
    MUST(fem_custom(&loss, p.problem, FEM_CUSTOM_LOSS, AD_F32, BATCH, count));
    ad_shape in[7] =
        {{3, {BATCH, p.n, 1}}, {3, {BATCH, p.n, 1}}, {2, {BATCH, 3}}, {1, {cells}}, {1, {1}}, {1, {1}}, {1, {1}}},
             out;
    MUST(step->shape(step->self, 6, in + 1, &out));
    cr_assert(out.rank == 3 && out.dim[0] == BATCH && out.dim[1] == p.n && out.dim[2] == 1);
    MUST(loss->shape(loss->self, 7, in, &out));
    cr_assert(out.rank == 1 && out.dim[0] == BATCH);
    cr_assert_eq(loss->shape(loss->self, 6, in, &out), FWM_SHAPE);
    in[3].dim[0] = 7;
    cr_assert_eq(loss->shape(loss->self, 7, in, &out), FWM_SHAPE);
    cr_assert(strstr(fwm_error_message(), "conductivity"));
    in[3].dim[0] = cells;
    in[2].dim[1] = 4;
    cr_assert_eq(loss->shape(loss->self, 7, in, &out), FWM_SHAPE);
    cr_assert(strstr(fwm_error_message(), "actions"));
    count[1] = cells;
    cr_assert_eq(fem_custom(&step, p.problem, FEM_CUSTOM_STEP, AD_F32, BATCH, count), FWM_SHAPE);
    cr_assert(strstr(fwm_error_message(), "loss"));
    plate_free(&p);
}

/* Two steps and the loss of the second under the law, differentiated by the engine, against the same chain by hand. */
Test(custom, the_engine_differentiates_through_steps_and_loss)
{
    plate p = plate_make(FEM_P1, 5, 4, 2e-3, 1, FEM_NORM_DUAL, 0.1, 3);
    fem_theta theta = plate_theta(&p);
    int64_t n = BATCH * p.n, cells = p.mesh->n_cells;
    const int64_t count[PARAMETERS] = {cells, 1, 1, 1};
    const ad_custom *step, *loss;
    MUST(fem_custom(&step, p.problem, FEM_CUSTOM_STEP, AD_F64, BATCH, count));
    MUST(fem_custom(&loss, p.problem, FEM_CUSTOM_LOSS, AD_F64, BATCH, count));
    double *u0 = noise(3, n, -1, 1), *a = noise(4, BATCH * p.actions, 0, 1);

    ad_graph *g;
    ad_plan *plan;
    MUST(ad_graph_create(&g, AD_F64));
    ad_value state = ad_parameter(g, "u0", ad_shape_make(3, (int64_t)BATCH, p.n, (int64_t)1));
    ad_value action = ad_input(g, "a", ad_shape_make(2, (int64_t)BATCH, (int64_t)3));
    ad_value k = ad_parameter(g, "k", ad_shape_make(1, cells)), scalar[3];
    for (int i = 0; i < 3; i++)
        scalar[i] = ad_fill(g, ad_shape_make(1, (int64_t)1), p.scalar[i]);
    ad_value first = ad_custom_apply(g, step, 6, (ad_value[]){state, action, k, scalar[0], scalar[1], scalar[2]});
    /* Twice the step, so that the law is broken. */
    ad_value second = ad_affine(g, first, 2, 0);
    ad_value far = ad_custom_apply(g, loss, 7, (ad_value[]){second, first, action, k, scalar[0], scalar[1], scalar[2]});
    ad_value out[3] = {ad_sum_all(g, far)};
    MUST(ad_gradient(g, out[0], 2, (ad_value[]){state, k}, out + 1));
    MUST(ad_graph_status(g));
    MUST(ad_plan_create(&plan, g, 3, out, NULL));
    MUST(ad_plan_bind(plan, state, u0));
    MUST(ad_plan_bind(plan, action, a));
    MUST(ad_plan_bind(plan, k, p.k));
    MUST(ad_plan_prepare(plan));
    MUST(ad_plan_run(plan, 0, 0));

    double *u1 = malloc((size_t)n * 8), *u2 = malloc((size_t)n * 8), *g1 = malloc((size_t)n * 8),
           *g2 = malloc((size_t)n * 8), *g0 = malloc((size_t)n * 8), *gk = malloc((size_t)cells * 8),
           *hk = malloc((size_t)cells * 8), l[BATCH], sum = 0;
    const double ones[BATCH] = {1, 1, 1, 1, 1};
    MUST(fem_step(p.problem, AD_F64, u1, u0, a, &theta, BATCH));
    for (int64_t i = 0; i < n; i++)
        u2[i] = 2 * u1[i];
    MUST(fem_loss(p.problem, AD_F64, l, u2, u1, a, &theta, BATCH));
    MUST(fem_loss_vjp(p.problem, AD_F64, &(fem_bars){.u1 = g2, .u0 = g1, .theta = {gk}}, ones, u2, u1, a, &theta,
                      BATCH));
    for (int64_t i = 0; i < n; i++)
        g1[i] += 2 * g2[i];
    MUST(fem_step_vjp(p.problem, AD_F64, &(fem_bars){.u0 = g0, .theta = {hk}}, g1, u1, u0, a, &theta, BATCH));
    for (int b = 0; b < BATCH; b++)
        sum += l[b];
    const double *value = ad_plan_data(plan, out[0]), *du = ad_plan_data(plan, out[1]),
                 *dk = ad_plan_data(plan, out[2]);
    cr_assert_float_eq(value[0], sum, 1e-12 * sum);
    double size = largest(g0, n), size_k = 0;
    for (int64_t i = 0; i < cells; i++)
        size_k = fmax(size_k, fabs(gk[i] + hk[i]));
    for (int64_t i = 0; i < n; i++)
        cr_assert_float_eq(du[i], g0[i], 1e-12 * size);
    for (int64_t i = 0; i < cells; i++)
        cr_assert_float_eq(dk[i], gk[i] + hk[i], 1e-12 * size_k);
    free(u0), free(a), free(u1), free(u2), free(g0), free(g1), free(g2), free(gk), free(hk);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    plate_free(&p);
}
