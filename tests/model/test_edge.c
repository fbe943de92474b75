/* The edge term: value, gradient, what it leaves alone, masses of sheets; invariances of the whole regulariser (A10).
 */
#include "model/base/arena.h"
#include "model/transport/boundary.h"
#include "model/transport/edge.h"
#include "model/transport/semi_discrete.h"
#include "model/transport/support.h"
#include "tests/model/clouds.h"

#include <omp.h>
#include <string.h>

enum { PREDICTIONS = 40, CODES = 90, DIM = 3, CONTEXT = 2 };

typedef struct edge_case {
    double *p, *y, *x, *X, g[CODES], tau, s;
} edge_case;

static edge_case make_edge_case(void)
{
    edge_case c = {.tau = .2, .s = 1.3};
    c.p = clusters(PREDICTIONS, DIM, 2, 1, .4, 1);
    c.y = clusters(CODES, DIM, 2, 1, .2, 1);
    c.x = clusters(PREDICTIONS, CONTEXT, 3, 1, .3, 2);
    c.X = clusters(CODES, CONTEXT, 3, 1, .3, 3);
    for (int j = 0; j < CODES; j++)
        c.g[j] = .1 * sin(j);
    return c;
}

static void free_edge_case(edge_case *c)
{
    free(c->p), free(c->y), free(c->x), free(c->X);
}

static double edge_value(ot_edge *e, const edge_case *c, bool hinge, double *dp, int64_t *cell)
{
    ot_edge_result r;
    if (hinge)
        REQUIRE(ot_edge_hinge(e, &r, dp, PREDICTIONS, CODES, c->p, c->y, c->tau, c->s));
    else
        REQUIRE(ot_edge_run(e, &r, dp, cell, PREDICTIONS, CODES, c->p, c->y, c->x, c->X, 1, c->g, c->tau, c->s));
    return r.value;
}

/* Both values by loops. */
Test(edge, values_agree_with_loops)
{
    edge_case c = make_edge_case();
    double expected[2] = {0};
    ot_edge *e;
    REQUIRE(ot_edge_create(&e, AD_F64, PREDICTIONS, CODES, DIM, CONTEXT));
    for (int i = 0; i < PREDICTIONS; i++) {
        double best = -INFINITY, a = INFINITY, b = INFINITY, to = 0;
        for (int j = 0; j < CODES; j++) {
            double square = 0, context = 0;
            for (int k = 0; k < DIM; k++)
                square += pow(c.p[i * DIM + k] - c.y[j * DIM + k], 2);
            for (int k = 0; k < CONTEXT; k++)
                context += pow(c.x[i * CONTEXT + k] - c.X[j * CONTEXT + k], 2);
            double score = c.g[j] - .5 * square - .5 * context, larger = fmax(a, sqrt(square));
            to = score > best ? sqrt(square) : to;
            best = fmax(best, score);
            a = fmin(a, sqrt(square)), b = fmin(b, larger);
        }
        expected[0] += fmax(to - c.tau, 0) / (PREDICTIONS * c.s);
        expected[1] += fmax(.5 * (a + b) - c.tau, 0) / (PREDICTIONS * c.s);
    }
    near("hard", edge_value(e, &c, false, NULL, NULL), expected[0], 1e-10);
    near("hinge", edge_value(e, &c, true, NULL, NULL), expected[1], 1e-10);
    ot_edge_destroy(&e);
    free_edge_case(&c);
}

/* Against central differences of step 1e-6: h^2 f''' and 1e-16 / h are below 1e-9, and no prediction stands within a
 * step of a corner or of another target (the test would say so). */
Test(edge, gradients_agree_with_differences)
{
    edge_case c = make_edge_case();
    double dp[PREDICTIONS * DIM];
    int active = 0;
    ot_edge *e;
    REQUIRE(ot_edge_create(&e, AD_F64, PREDICTIONS, CODES, DIM, CONTEXT));
    for (int variant = 0; variant < 2; variant++) {
        (void)edge_value(e, &c, variant, dp, NULL);
        for (int i = 0; i < PREDICTIONS * DIM; i++) {
            const double h = 1e-6, keep = c.p[i];
            c.p[i] = keep + h;
            double plus = edge_value(e, &c, variant, NULL, NULL);
            c.p[i] = keep - h;
            double minus = edge_value(e, &c, variant, NULL, NULL);
            c.p[i] = keep;
            near(variant ? "hinge gradient" : "hard gradient", dp[i], (plus - minus) / (2 * h), 1e-7);
            active += dp[i] != 0;
        }
    }
    cr_expect(active > PREDICTIONS * DIM, "%d of %d numbers of the gradients are not 0", active, 2 * PREDICTIONS * DIM);
    ot_edge_destroy(&e);
    free_edge_case(&c);
}

/* On the sheet nothing is pulled; a prediction on its target, with no tolerance, has gradient 0; errors are named. */
Test(edge, rests_on_the_sheet)
{
    edge_case c = make_edge_case();
    double dp[PREDICTIONS * DIM];
    ot_edge_result r;
    ot_edge *e;
    REQUIRE(ot_edge_create(&e, AD_F64, PREDICTIONS, CODES, DIM, 0));
    for (int t = 0; t < 2; t++) { /* with no tolerance the rounded corner alone is left: 1e-6 */
        REQUIRE(ot_edge_run(e, &r, dp, NULL, PREDICTIONS, CODES, c.y, c.y, NULL, NULL, 0, NULL, t ? 0 : .01, c.s));
        near("on the codes", r.value, 0, t ? 1.0001e-6 : 0);
        for (int i = 0; i < PREDICTIONS * DIM; i++)
            cr_expect(dp[i] == 0);
    }
    cr_expect(ot_edge_run(e, &r, dp, NULL, PREDICTIONS + 1, CODES, c.p, c.y, NULL, NULL, 0, NULL, 0, 1) == FWM_INVALID);
    cr_expect(ot_edge_run(e, &r, dp, NULL, PREDICTIONS, CODES, c.p, c.y, NULL, NULL, 0, NULL, 0, 0) == FWM_INVALID);
    c.p[4] = NAN;
    cr_expect(ot_edge_run(e, &r, dp, NULL, PREDICTIONS, CODES, c.p, c.y, NULL, NULL, 0, NULL, 0, 1) == FWM_NUMERIC);
    cr_expect(strstr(fwm_error_message(), "coordinate 1 of prediction 1"), "%s", fwm_error_message());
    ot_edge_destroy(&e);
    free_edge_case(&c);
}

/* float32 against float64 on the same numbers, one and two threads, no allocation in a call. */
Test(edge, types_and_threads_agree)
{
    edge_case c = make_edge_case();
    double dp[2][PREDICTIONS * DIM];
    float single[4][CODES * DIM], df[PREDICTIONS * DIM];
    double *from[4] = {c.p, c.y, c.x, c.X};
    const int length[4] = {PREDICTIONS * DIM, CODES * DIM, PREDICTIONS * CONTEXT, CODES * CONTEXT};
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < length[k]; i++)
            from[k][i] = (double)(single[k][i] = (float)from[k][i]);
    ot_edge *e;
    ot_edge_result r;
    double value[2];
    for (int k = 0; k < 2; k++) {
        omp_set_num_threads(k + 1);
        REQUIRE(ot_edge_create(&e, AD_F64, PREDICTIONS, CODES, DIM, CONTEXT));
        size_t before = fwm_allocation_count();
        value[k] = edge_value(e, &c, false, dp[k], NULL);
        cr_expect(fwm_allocation_count() == before);
        ot_edge_destroy(&e);
    }
    cr_expect(value[0] == value[1] && memcmp(dp[0], dp[1], sizeof dp[0]) == 0);
    REQUIRE(ot_edge_create(&e, AD_F32, PREDICTIONS, CODES, DIM, CONTEXT));
    REQUIRE(ot_edge_run(e, &r, df, NULL, PREDICTIONS, CODES, single[0], single[1], single[2], single[3], 1, c.g, c.tau,
                        c.s));
    near("float32", r.value, value[0], 1e-6 * value[0]);
    for (int i = 0; i < PREDICTIONS * DIM; i++)
        near("float32 gradient", (double)df[i], dp[0][i], 1e-7);
    ot_edge_destroy(&e);
    free_edge_case(&c);
}

/* 80 % of the predictions sit on the left of two equally heavy sheets. The nearest codes leave them there; heights of
 * transport send three in eight of them to the right: no sheet can be emptied or crowded. */
Test(edge, heights_keep_the_masses_of_sheets)
{
    enum { P = 200, Y = 100 };
    double p[2 * P], y[2 * Y], g[Y];
    int64_t cell[P], right[2] = {0};
    for (int i = 0; i < 2 * P; i++)
        p[i] = (i % 2 == 0 ? (i / 2 < 160 ? -1 : 1) : 0) + .2 * fwm_random_uniform((fwm_key){1, 1}, 0, (uint32_t)i);
    for (int j = 0; j < 2 * Y; j++)
        y[j] = (j % 2 == 0 ? (j / 2 < Y / 2 ? -1 : 1) : 0) + .2 * fwm_random_uniform((fwm_key){1, 2}, 0, (uint32_t)j);
    ot_sinkhorn *s;
    ot_edge *e;
    ot_edge_result r;
    ot_sinkhorn_options o = {.blur = .05, .scaling = .8, .extra = 3000, .tol = 1e-3};
    REQUIRE(ot_sinkhorn_create(&s, AD_F64, P, Y, 2, &o));
    REQUIRE(ot_sinkhorn_run(s, NULL, NULL, NULL, NULL, NULL, p, y, NULL, NULL));
    ot_heights_sinkhorn(g, Y, s);
    REQUIRE(ot_edge_create(&e, AD_F64, P, Y, 2, 0));
    for (int k = 0; k < 2; k++) {
        REQUIRE(ot_edge_run(e, &r, NULL, cell, P, Y, p, y, NULL, NULL, 0, k ? g : NULL, .05, 1));
        for (int i = 0; i < P; i++)
            right[k] += cell[i] >= Y / 2;
    }
    fwm_log(FWM_LOG_INFO, "edge targets on the right sheet, of mass .5: %.3f by the nearest code, %.3f by transport",
            (double)right[0] / P, (double)right[1] / P);
    cr_expect(right[0] == 40);
    near("balanced share", (double)right[1] / P, .5, .05);
    ot_edge_destroy(&e);
    ot_sinkhorn_destroy(&s);
}

/* ---- A10 ---- */

enum { MOST = 256 };

typedef struct figures {
    double edge, hinge, fit, tau, s, b[MOST];
} figures;

/* L_edge, L_fit and b of predictions p against codes y of 8 groups that do not see each other. */
static void measure(figures *f, int64_t M, const double *p, int64_t N, const double *y, const int64_t *group)
{
    double g[MOST], delta[MOST], scratch[2 * MOST];
    int64_t j1[MOST], j2[MOST];
    ot_sinkhorn *s;
    ot_support *support;
    ot_edge *e;
    ot_boundary *b;
    ot_sinkhorn_result fit;
    ot_edge_result edge, hinge;
    ot_sinkhorn_options o = {.blur = .1, .relative = true, .scaling = .7, .extra = 5};
    REQUIRE(ot_support_create(&support, AD_F64, N, 2, NULL));
    REQUIRE(ot_support_update(support, N, y, (fwm_key){1, 1}, 0));
    const ot_support_view *v = ot_support_get(support);
    REQUIRE(ot_sinkhorn_create(&s, AD_F64, M, N, 2, &o));
    REQUIRE(ot_sinkhorn_run(s, &fit, NULL, NULL, NULL, NULL, p, y, NULL, NULL));
    ot_heights_sinkhorn(g, N, s);
    REQUIRE(ot_edge_create(&e, AD_F64, M, N, 2, 0));
    REQUIRE(ot_edge_run(e, &edge, NULL, NULL, M, N, p, y, NULL, NULL, 0, g, v->tau, v->s));
    REQUIRE(ot_edge_hinge(e, &hinge, NULL, M, N, p, y, v->tau, v->s));
    REQUIRE(ot_boundary_create(&b, AD_F64, N, 2, 8, M));
    REQUIRE(ot_boundary_set(b, N, y, g, 8, group, NULL));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, M, p));
    ot_boundary_score(f->b, delta, 2 * ot_sites_spacing(ot_boundary_sites(b), scratch), M);
    f->edge = edge.value, f->hinge = hinge.value, f->fit = fit.value / (v->s * v->s), f->tau = v->tau, f->s = v->s;
    ot_boundary_destroy(&b);
    ot_edge_destroy(&e);
    ot_sinkhorn_destroy(&s);
    ot_support_destroy(&support);
}

static double relative(double a, double b)
{
    return fabs(a - b) / fabs(b);
}

Test(edge, A10_scale_place_and_order_do_not_matter)
{
    enum { M = 120, N = 250 };
    double *p = clusters(M, 2, 8, .7, .2, 1), *y = clusters(N, 2, 8, 1, .1, 2), P[2 * M], Y[2 * N], worst = 0;
    int64_t group[N], other_group[N], from_p[M], from_y[N];
    figures base, moved;
    for (int j = 0; j < N; j++)
        group[j] = j % 8;
    measure(&base, M, p, N, y, group);
    cr_expect(base.edge > .01 && base.hinge > .01 && base.fit > .001, "%g %g %g", base.edge, base.hinge, base.fit);
    for (int trial = 0; trial < 3; trial++) { /* scaled, moved, in another order */
        for (int i = 0; i < M; i++)
            from_p[i] = trial < 2 ? i : (int64_t)fwm_random_permute((fwm_key){3, 1}, 0, M, (uint64_t)i);
        for (int j = 0; j < N; j++)
            from_y[j] = trial < 2 ? j : (int64_t)fwm_random_permute((fwm_key){3, 2}, 0, N, (uint64_t)j);
        double scale = trial == 0 ? 37.3 : 1, move = trial == 1 ? 12.7 : 0;
        for (int i = 0; i < 2 * M; i++)
            P[i] = scale * p[2 * from_p[i / 2] + i % 2] + move;
        for (int j = 0; j < 2 * N; j++)
            Y[j] = scale * y[2 * from_y[j / 2] + j % 2] + move;
        for (int j = 0; j < N; j++)
            other_group[j] = group[from_y[j]];
        measure(&moved, M, P, N, Y, other_group);
        double most = fmax(fmax(relative(moved.edge, base.edge), relative(moved.hinge, base.hinge)),
                           relative(moved.fit, base.fit));
        most = fmax(most, fmax(relative(moved.tau, scale * base.tau), relative(moved.s, scale * base.s)));
        for (int i = 0; i < M; i++)
            most = fmax(most, fabs(moved.b[i] - base.b[from_p[i]]));
        worst = fmax(worst, most);
        cr_expect(most < (trial == 2 ? 1e-9 : 1e-5), "trial %d: %g", trial, most);
    }
    fwm_log(FWM_LOG_INFO,
            "A10 scale, place and order: largest relative change of L_edge, L_fit, tau, s and b %.2g (<= 1e-5)", worst);
    free(p), free(y);
}
