/* The boundary regulariser as training meets it: weighted divergence and edge term as graph values, the memory. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/arena.h"
#include "model/transport/edge_term.h"
#include "model/transport/emphasis.h"
#include "model/transport/sinkhorn.h"
#include "tests/model/clouds.h"

#include <string.h>

enum { DIM = 2, CONTEXT = 3 };

static double normal(uint32_t stream, int64_t i)
{
    return fwm_random_normal((fwm_key){91, stream}, 0, (uint32_t)i);
}

/* ---- the weighted divergence ---- */

typedef struct value_at {
    ad_graph *g;
    ad_plan *plan;
    ad_value in[4], out[5];
    int n;
} value_at;

static void plan_value(value_at *v, ad_value loss)
{
    v->out[0] = loss;
    REQUIRE(ad_gradient(v->g, loss, v->n, v->in, v->out + 1));
    REQUIRE(ad_plan_create(&v->plan, v->g, 1 + v->n, v->out, NULL));
    REQUIRE(ad_plan_prepare(v->plan));
    for (int k = 0; k < v->n; k++)
        for (int64_t i = 0; i < ad_count(v->g, v->in[k]); i++)
            ((double *)ad_plan_data(v->plan, v->in[k]))[i] = normal((uint32_t)k, i) + (k == 1 ? 0.5 : 0.0);
}

static double run_value(value_at *v)
{
    REQUIRE(ad_plan_run(v->plan, 1, 1));
    return *(double *)ad_plan_data(v->plan, v->out[0]);
}

static void check_gradients(value_at *v, double tolerance)
{
    enum { MOST = 256 };
    for (int k = 0; k < v->n; k++) {
        double claimed[MOST], *x = ad_plan_data(v->plan, v->in[k]), most = 0;
        int64_t count = ad_count(v->g, v->in[k]);
        cr_assert_leq(count, MOST);
        (void)run_value(v);
        memcpy(claimed, ad_plan_data(v->plan, v->out[1 + k]), (size_t)count * sizeof *claimed);
        for (int64_t i = 0; i < count; i++) {
            double h = 1e-6, kept = x[i];
            x[i] = kept + h;
            double up = run_value(v);
            x[i] = kept - h;
            double down = run_value(v);
            x[i] = kept;
            most = fmax(most, fabs(claimed[i]));
            near("gradient", claimed[i], (up - down) / (2 * h), tolerance);
        }
        cr_expect_gt(most, 1e-4, "input %d has no gradient to speak of", k);
    }
}

Test(regulariser, gradients_in_clouds_and_weights_agree_with_differences)
{
    enum { M = 9, N = 7 };
    for (int biased = 0; biased < 2; biased++) {
        value_at v = {.n = 4};
        ot_sinkhorn *s;
        const ot_sinkhorn_options o = {
            .blur = 0.7, .scaling = 0.8, .extra = 3000, .tol = 1e-13, .biased = biased, .fixed_y = false};
        REQUIRE(ot_sinkhorn_create(&s, AD_F64, M, N, DIM, &o));
        REQUIRE(ad_graph_create(&v.g, AD_F64));
        v.in[0] = ad_input(v.g, "x", ad_shape_make(2, M, DIM));
        v.in[1] = ad_input(v.g, "y", ad_shape_make(2, N, DIM));
        v.in[2] = ad_input(v.g, "a", ad_shape_make(1, M));
        v.in[3] = ad_input(v.g, "b", ad_shape_make(1, N));
        ad_value value =
            ot_sinkhorn_weighted(v.g, s, v.in[0], v.in[1], ad_softmax(v.g, v.in[2]), ad_softmax(v.g, v.in[3]));
        plan_value(&v, ad_affine(v.g, value, 1.7, 0));
        check_gradients(&v, 1e-7);
        ad_plan_destroy(&v.plan);
        ad_graph_destroy(&v.g);
        ot_sinkhorn_destroy(&s);
    }
}

/* OT(a,b) alone against the debiased run's own `transport`. */
Test(regulariser, the_biased_divergence_is_the_transport_of_the_debiased_one)
{
    double *x = clusters(40, DIM, 4, 1, .1, 3), *y = clusters(30, DIM, 3, 1, .1, 4), *g = numbers(30);
    ot_sinkhorn_result whole, part;
    for (int relaxed = 0; relaxed < 2; relaxed++) {
        ot_sinkhorn_options o = {.blur = 0.1, .scaling = 0.7, .extra = 20, .rho = relaxed ? 0.5 : 0};
        ot_sinkhorn *s;
        REQUIRE(ot_sinkhorn_create(&s, AD_F64, 40, 30, DIM, &o));
        REQUIRE(ot_sinkhorn_run(s, &whole, NULL, NULL, NULL, NULL, x, y, NULL, NULL));
        const double *dual;
        ot_sinkhorn_last(s, NULL, NULL, &dual);
        memcpy(g, dual, 30 * sizeof *g);
        ot_sinkhorn_destroy(&s);
        o.biased = true;
        REQUIRE(ot_sinkhorn_create(&s, AD_F64, 40, 30, DIM, &o));
        REQUIRE(ot_sinkhorn_run(s, &part, NULL, NULL, NULL, NULL, x, y, NULL, NULL));
        ot_sinkhorn_last(s, NULL, NULL, &dual);
        near("transport", part.value, whole.transport, 1e-13);
        for (int j = 0; j < 30; j++)
            near("potential", dual[j], g[j], 1e-13);
        ot_sinkhorn_destroy(&s);
    }
    free(x);
    free(y);
    free(g);
}

/* ---- the memory ---- */

enum { BANK = 96, MADE = 48, STEP = 16 };

/* Two discs by the sign of the first context: the outcome jumps at context 0. */
static void draw_step(int64_t step, double *y, double *x, double *p)
{
    for (int64_t i = 0; i < STEP; i++) {
        int64_t at = step * STEP + i;
        for (int64_t k = 0; k < CONTEXT; k++)
            x[i * CONTEXT + k] = 2 * fwm_random_uniform((fwm_key){5, 8}, (uint64_t)k, (uint32_t)at) - 1;
        double side = x[i * CONTEXT] > 0 ? 1 : -1;
        for (int64_t k = 0; k < DIM; k++) {
            y[i * DIM + k] = (k == 0 ? side : 0) + 0.1 * normal(20, at * DIM + k);
            p[i * DIM + k] = 0.7 * y[i * DIM + k] + 0.05 * normal(21, at * DIM + k);
        }
    }
}

static ot_memory *make_memory(ad_dtype dtype)
{
    ot_memory *m;
    const ot_memory_options o = {
        .d = DIM, .dc = CONTEXT, .codes = BANK, .predictions = MADE, .every = 4, .eta = 1, .share = 0.1, .seed = 2};
    REQUIRE(ot_memory_create(&m, dtype, &o));
    return m;
}

static void feed(ot_memory *m, int64_t from, int64_t to)
{
    double y[STEP * DIM], x[STEP * CONTEXT], p[STEP * DIM];
    for (int64_t step = from; step < to; step++) {
        draw_step(step, y, x, p);
        REQUIRE(ot_memory_push(m, step + 1, STEP, y, x, STEP, p, x, NULL));
    }
}

Test(regulariser, memory_keeps_the_newest_and_looks_when_due)
{
    ot_memory *m = make_memory(AD_F64);
    const ot_geometry *g = ot_memory_geometry(m);
    feed(m, 0, 5);
    cr_expect(!g->ready && g->looks == 0);
    feed(m, 5, 6); /* full: the first look */
    cr_expect(g->ready && g->looks == 1 && g->N == BANK);
    near("oldest", g->oldest, 5, 0);
    cr_expect_eq(g->support->sheets, 2);
    double first = ((const double *)g->code)[0];
    feed(m, 6, 9);
    cr_expect(g->looks == 1 && ((const double *)g->code)[0] == first, "what was seen stays until the next look");
    feed(m, 9, 10);
    cr_expect_eq(g->looks, 2);
    double y[STEP * DIM], x[STEP * CONTEXT], p[STEP * DIM];
    draw_step(4, y, x, p); /* the oldest that is left */
    bool found = false;
    for (int64_t j = 0; j < BANK; j++)
        found |= ((const double *)g->code)[j * DIM] == y[0];
    cr_expect(found);
    cr_expect_gt(g->coverage, 0);
    cr_expect_lt(g->mass_error, 0.1);
    cr_expect_eq(ot_memory_predictions(m)->count, BANK);
    size_t before = fwm_allocation_count();
    feed(m, 10, 20);
    cr_expect_eq(fwm_allocation_count(), before, "pushing and looking allocate");
    ot_memory_destroy(&m);
}

Test(regulariser, a_memory_that_was_saved_goes_on_to_the_same_bits)
{
    ot_memory *a = make_memory(AD_F64), *b = make_memory(AD_F64);
    ot_memory_array from[OT_MEMORY_ARRAYS], to[OT_MEMORY_ARRAYS];
    feed(a, 0, 13);
    int n = ot_memory_arrays(a, from);
    cr_assert_eq(ot_memory_arrays(b, to), n);
    for (int k = 0; k < n; k++)
        memcpy(to[k].data, from[k].data, (size_t)(from[k].rows * from[k].columns) * 8);
    REQUIRE(ot_memory_restore(b));
    for (int round = 0; round < 2; round++) {
        const ot_geometry *p = ot_memory_geometry(a), *q = ot_memory_geometry(b);
        cr_expect(p->s == q->s && p->tau == q->tau && p->ell == q->ell && p->factor == q->factor);
        cr_expect(p->looks == q->looks && p->coverage == q->coverage && p->sliced == q->sliced &&
                  p->guard == q->guard && p->support->sheets == q->support->sheets);
        cr_expect_arr_eq(p->joint, q->joint, BANK * (DIM + CONTEXT) * sizeof(double));
        feed(a, 13, 22);
        feed(b, 13, 22);
    }
    (void)ot_memory_arrays(b, to);
    ((double *)to[n - 1].data)[0] = BANK + 1;
    cr_expect(ot_memory_restore(b) == FWM_DATA);
    ot_memory_destroy(&a);
    ot_memory_destroy(&b);
}

Test(regulariser, the_guard_gives_way_when_predictions_leave_codes_and_recovers)
{
    ot_memory *m = make_memory(AD_F64);
    const ot_geometry *g = ot_memory_geometry(m);
    double y[STEP * DIM], x[STEP * CONTEXT], p[STEP * DIM];
    for (int64_t step = 0; step < 100; step++) {
        bool collapsed = step >= 20 && step < 40;
        draw_step(step, y, x, p);
        for (int64_t i = 0; i < STEP; i++) /* all predictions on the left disc */
            p[i * DIM] = collapsed ? -1 : y[i * DIM];
        REQUIRE(ot_memory_push(m, step + 1, STEP, y, x, STEP, p, x, NULL));
        if (step == 19)
            near("guard while all is well", g->guard, 1, 0);
        if (step == 39)
            cr_expect(g->lowered && g->guard < 0.2 && g->mass_error > 0.3, "guard %g", g->guard);
    }
    cr_expect(!g->lowered && g->guard == 1, "guard %g", g->guard);
    ot_memory_destroy(&m);
}

Test(regulariser, numbers_that_are_not_finite_are_named_and_not_kept)
{
    ot_memory *m = make_memory(AD_F64);
    double y[STEP * DIM], x[STEP * CONTEXT], p[STEP * DIM];
    draw_step(0, y, x, p);
    p[5] = NAN;
    cr_expect(ot_memory_push(m, 1, STEP, y, x, STEP, p, x, NULL) == FWM_NUMERIC);
    cr_expect(strstr(fwm_error_message(), "coordinate 1 of prediction 2"), "%s", fwm_error_message());
    cr_expect_eq(ot_memory_predictions(m)->count, 0);
    const ot_memory_options bad = {.d = 1, .codes = 1, .predictions = 1, .every = 1};
    ot_memory *none;
    cr_expect(ot_memory_create(&none, AD_F64, &bad) == FWM_INVALID);
    cr_expect_null(none);
    ot_memory_destroy(&m);
}

/* All codes one point: no geometry, no force, no error. */
Test(regulariser, a_bank_of_one_point_is_not_ready)
{
    ot_memory *m = make_memory(AD_F64);
    double y[STEP * DIM] = {0}, x[STEP * CONTEXT], p[STEP * DIM], unused[STEP * DIM];
    for (int64_t step = 0; step < 8; step++) {
        draw_step(step, unused, x, p);
        REQUIRE(ot_memory_push(m, step + 1, STEP, y, x, STEP, p, x, NULL));
    }
    cr_expect(!ot_memory_geometry(m)->ready && ot_memory_geometry(m)->looks > 0);
    ot_memory_destroy(&m);
}

/* Contexts near the jump of the outcome score high, those far from it low. */
Test(regulariser, scores_find_the_contexts_at_the_jump)
{
    ot_memory *m = make_memory(AD_F64);
    double x[3 * CONTEXT] = {0.01, 0, 0, 0.9, 0, 0, -0.9, 0.2, 0.1}, b[3] = {1, 1, 1};
    REQUIRE(ot_memory_score(m, b, 3, x));
    cr_expect(b[0] == 0 && b[1] == 0, "before a look");
    feed(m, 0, 12);
    REQUIRE(ot_memory_score(m, b, 3, x));
    cr_expect(b[0] > 0.5 && b[1] < 0.05 && b[2] < 0.05, "%g %g %g", b[0], b[1], b[2]);
    x[0] = NAN;
    cr_expect(ot_memory_score(m, b, 3, x) == FWM_NUMERIC);
    cr_expect(ot_memory_score(m, b, BANK + 1, x) == FWM_INVALID);
    ot_memory_destroy(&m);
}

/* ---- the edge term ---- */

static void open_edge(value_at *v, ot_edge_term **t, ot_memory *m, int64_t M, const ot_edge_options *o)
{
    *v = (value_at){.n = 1};
    REQUIRE(ot_edge_term_create(t, m, M, o));
    REQUIRE(ad_graph_create(&v->g, AD_F64));
    v->in[0] = ad_input(v->g, "p", ad_shape_make(2, M, DIM));
    ad_value x = ad_input(v->g, "x", ad_shape_make(2, M, CONTEXT));
    plan_value(v, ad_affine(v->g, ot_edge_value(v->g, *t, v->in[0], x, AD_NONE), 2.5, 0));
    double *to = ad_plan_data(v->plan, x);
    for (int64_t i = 0; to && i < M * CONTEXT; i++)
        to[i] = normal(33, i);
}

static void close_edge(value_at *v, ot_edge_term **t)
{
    ad_plan_destroy(&v->plan);
    ad_graph_destroy(&v->g);
    ot_edge_term_destroy(t);
}

Test(regulariser, edge_term_gradients_agree_with_differences)
{
    ot_memory *m = make_memory(AD_F64);
    for (int hinge = 0; hinge < 2; hinge++) {
        const ot_edge_options o = {.hinge = hinge, .scaling = 0.6, .extra = 2};
        value_at v;
        ot_edge_term *t;
        open_edge(&v, &t, m, 12, &o);
        if (!hinge) {
            near("before a look", run_value(&v), 0, 0);
            feed(m, 0, 8);
        }
        cr_expect_gt(run_value(&v), 0);
        cr_expect_gt(ot_edge_last(t)->active, 0.3);
        if (!hinge)
            cr_expect_eq(ot_edge_last(t)->source, MADE, "remembered predictions fill the source");
        check_gradients(&v, 1e-7);
        close_edge(&v, &t);
    }
    ot_memory_destroy(&m);
}

/* The targets of the term keep the sheets' masses: of predictions in the middle, half go to each disc, although all are
 * nearer to the left one. The nearest codes draw them all to the left. */
Test(regulariser, heights_share_what_nearest_codes_would_not)
{
    enum { M = 64 };
    for (int hinge = 0; hinge < 2; hinge++) {
        ot_memory *m;
        const ot_memory_options mo = {
            .d = DIM, .dc = 0, .codes = BANK, .predictions = 1, .every = 4, .eta = 0, .seed = 2};
        REQUIRE(ot_memory_create(&m, AD_F64, &mo));
        double y[STEP * DIM], x[STEP * CONTEXT], p[STEP * DIM];
        for (int64_t step = 0; step < 6; step++) {
            draw_step(step, y, x, p);
            REQUIRE(ot_memory_push(m, step + 1, STEP, y, NULL, 1, p, NULL, NULL));
        }
        const ot_edge_options o = {.hinge = hinge, .scaling = 0.6, .extra = 2};
        ot_edge_term *t;
        value_at v = {.n = 1};
        REQUIRE(ot_edge_term_create(&t, m, M, &o));
        REQUIRE(ad_graph_create(&v.g, AD_F64));
        v.in[0] = ad_input(v.g, "p", ad_shape_make(2, M, DIM));
        plan_value(&v, ot_edge_value(v.g, t, v.in[0], AD_NONE, AD_NONE));
        double *at = ad_plan_data(v.plan, v.in[0]);
        for (int64_t i = 0; i < M; i++) {
            at[i * DIM] = -0.3 + 0.1 * normal(40, i);
            at[i * DIM + 1] = 0.1 * normal(41, i);
        }
        (void)run_value(&v);
        int64_t right = 0;
        const double *force = ad_plan_data(v.plan, v.out[1]);
        for (int64_t i = 0; i < M; i++)
            right += force[i * DIM] < 0; /* descent moves it to the right */
        double share = (double)right / M, wanted = ot_memory_geometry(m)->support->mass[0];
        if (hinge)
            cr_expect_lt(share, 0.1, "%g", share);
        else
            cr_expect(fabs(share - wanted) < 0.1 || fabs(share - (1 - wanted)) < 0.1, "%g of %g", share, wanted);
        close_edge(&v, &t);
        ot_memory_destroy(&m);
    }
}

Test(regulariser, second_derivatives_of_the_edge_term_are_refused_by_name)
{
    ot_memory *m = make_memory(AD_F64);
    const ot_edge_options o = {.hinge = true};
    ot_edge_term *t;
    ad_graph *g;
    REQUIRE(ot_edge_term_create(&t, m, 4, &o));
    REQUIRE(ad_graph_create(&g, AD_F64));
    ad_value p = ad_input(g, "p", ad_shape_make(2, 4, DIM)), x = ad_input(g, "x", ad_shape_make(2, 4, CONTEXT)), d, dd;
    REQUIRE(ad_gradient(g, ot_edge_value(g, t, p, x, AD_NONE), 1, &p, &d));
    cr_expect(ad_gradient(g, ad_sum_all(g, ad_square(g, d)), 1, &p, &dd) == FWM_UNSUPPORTED);
    cr_expect(strstr(fwm_error_message(), "edge_term"), "%s", fwm_error_message());
    ad_graph_destroy(&g);
    ot_edge_term_destroy(&t);
    ot_memory_destroy(&m);
}

/* ---- emphasis ---- */

/* Averaged over the draw's one random number, the weighted mean is the pool's mean, for any scores. */
Test(regulariser, emphasis_draws_by_score_and_keeps_means)
{
    enum { POOL = 40, DRAW = 10, ROUNDS = 20000 };
    double score[POOL], value[POOL], weight[DRAW], mean = 0, sum = 0, drawn = 0, top = 0;
    int64_t index[DRAW];
    for (int64_t i = 0; i < POOL; i++) {
        score[i] = i < 30 ? 0 : fabs(normal(50, i));
        value[i] = normal(51, i) + (i >= 30 ? 3 : 0);
        mean += value[i] / POOL;
        top += score[i];
    }
    for (int r = 0; r < ROUNDS; r++) {
        ot_emphasis_draw(index, weight, DRAW, POOL, score, 0.5, ((double)r + 0.5) / ROUNDS);
        for (int k = 0; k < DRAW; k++) {
            cr_assert(index[k] >= 0 && index[k] < POOL && (k == 0 || index[k] >= index[k - 1]));
            sum += weight[k] * value[index[k]] / DRAW / ROUNDS;
            drawn += (index[k] >= 30 ? 1.0 : 0.0) / DRAW / ROUNDS;
        }
    }
    cr_assert_gt(top, 0);
    near("mean", sum, mean, 2e-3);
    near("share of what scores", drawn, 0.5 * 10 / POOL + 0.5, 1e-3);
    ot_emphasis_draw(index, weight, DRAW, POOL, score, 0, 0.3);
    for (int k = 0; k < DRAW; k++)
        near("uniform weight", weight[k], 1, 1e-12);
    memset(score, 0, sizeof score);
    ot_emphasis_draw(index, weight, DRAW, POOL, score, 0.5, 0.999999);
    for (int k = 0; k < DRAW; k++)
        near("no score, uniform weight", weight[k], 1, 1e-12);
}
