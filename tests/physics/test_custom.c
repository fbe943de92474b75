/* The custom operators are the functions behind them, with shapes checked. */
#include "support.h"

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
