/* Exact transport, distances on the line and on slices, mode mixing: reference values, closed forms, certificates. */
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "model/transport/exact.h"
#include "model/transport/metrics.h"
#include "model/transport/sinkhorn.h"
#include "tests/model/clouds.h"

#include <omp.h>
#include <string.h>

/* The certificate proves optimality: feasible flows and prices whose values meet. */
static void certified(const char *what, const ot_exact_result *r, double scale)
{
    cr_expect(fabs(r->cost - r->dual) <= 1e-9 * scale && r->slack >= -1e-9 * scale && r->flow >= -1e-9,
              "%s: cost %.12g, dual %.12g, slack %g, flow %g", what, r->cost, r->dual, r->slack, r->flow);
}

/* ---- reference values ---- */

static void line_case(const double *a, const double *b, double w2, double w1)
{
    const double x[4] = {0, 1, 4, 7}, y[4] = {.5, 2, 3, 9};
    double C[2][16], found1, found2;
    int64_t index[16];
    ot_exact_result r[2];
    for (int i = 0; i < 16; i++) {
        double e = x[i / 4] - y[i % 4];
        C[0][i] = e * e;
        C[1][i] = fabs(e);
    }
    for (int k = 0; k < 2; k++) {
        REQUIRE(ot_exact_solve(&r[k], NULL, NULL, NULL, 4, 4, C[k], a, b));
        certified("line", &r[k], 81);
    }
    near("W2^2", r[0].cost, w2, 1e-10 * w2);
    near("W1", r[1].cost, w1, 1e-10 * w1);
    ot_line_distance(&found1, &found2, 4, x, a, 4, y, b, index);
    near("sorted W2^2", found2, w2, 1e-10 * w2);
    near("sorted W1", found1, w1, 1e-10 * w1);
}

Test(exact, four_points_on_a_line)
{
    const double a[4] = {.1, .2, .3, .4}, b[4] = {.25, .25, .4, .1};
    line_case(NULL, NULL, 1.5625, 1.125);
    line_case(a, b, 6.2125, 2.075);
}

Test(exact, four_points_on_a_line_have_the_reference_plan)
{
    static const double plan[4][4] = {{.1, 0, 0, 0}, {.15, .05, 0, 0}, {0, .2, .1, 0}, {0, 0, .3, .1}};
    const double x[4] = {0, 1, 4, 7}, y[4] = {.5, 2, 3, 9}, a[4] = {.1, .2, .3, .4}, b[4] = {.25, .25, .4, .1};
    double C[16], found[4][4] = {{0}}, f[4], g[4];
    ot_exact_result r;
    ot_exact_arc arc[7];
    for (int i = 0; i < 16; i++)
        C[i] = (x[i / 4] - y[i % 4]) * (x[i / 4] - y[i % 4]);
    REQUIRE(ot_exact_solve(&r, f, g, arc, 4, 4, C, a, b));
    for (int k = 0; k < 7; k++)
        found[arc[k].row][arc[k].column] += arc[k].mass;
    for (int i = 0; i < 16; i++) {
        near("plan", found[i / 4][i % 4], plan[i / 4][i % 4], 1e-12);
        cr_expect(C[i] - f[i / 4] - g[i % 4] >= -1e-9);
    }
}

Test(exact, small_set_has_the_reference_value)
{
    double x[10], y[8], a[5], b[4] = {.4, .3, .2, .1};
    for (int i = 0; i < 10; i++)
        x[i] = sin(1 + 3 * (i / 2) + i % 2);
    for (int i = 0; i < 8; i++)
        y[i] = cos(.5 + 2 * (i / 2) + i % 2) + .5;
    for (int i = 0; i < 5; i++)
        a[i] = (i + 1) / 15.0;
    ot_exact_result r;
    REQUIRE(ot_exact_clouds(&r, AD_F64, 5, 4, 2, x, y, a, b));
    certified("small set", &r, 5);
    near("EMD", r.cost, .533471837185, 1e-10 * .53);
}

/* ---- properties ---- */

/* On the line the sorted plan is optimal: 300 against 211 points with random weights, 1e-10. */
Test(exact, agrees_with_sorting_on_the_line)
{
    enum { M = 300, N = 211 };
    double x[M], y[N], a[M], b[N], sum_a = 0, sum_b = 0, w2;
    int64_t index[2 * (M + N)];
    for (int i = 0; i < M; i++) {
        x[i] = fwm_random_normal((fwm_key){1, 1}, 0, (uint32_t)i);
        sum_a += a[i] = i % 7 ? fwm_random_uniform((fwm_key){1, 2}, 0, (uint32_t)i) : 0;
    }
    for (int j = 0; j < N; j++) {
        y[j] = 1 + 2 * fwm_random_normal((fwm_key){1, 3}, 0, (uint32_t)j);
        sum_b += b[j] = fwm_random_uniform((fwm_key){1, 4}, 0, (uint32_t)j);
    }
    for (int i = 0; i < M; i++)
        a[i] /= sum_a;
    for (int j = 0; j < N; j++)
        b[j] /= sum_b;
    ot_exact_result r;
    REQUIRE(ot_exact_clouds(&r, AD_F64, M, N, 1, x, y, a, b));
    ot_line_distance(NULL, &w2, M, x, a, N, y, b, index);
    certified("line", &r, 50);
    near("W2^2", 2 * r.cost, w2, 1e-10 * w2);
}

/* The most degenerate case: equal weights, points of a small lattice with many equal costs and repetitions. Moving a
 * cloud by t costs |t|^2/2 exactly, as the gradient of a convex function. */
Test(exact, degenerate_assignments_end)
{
    enum { N = 400 };
    double x[2 * N], y[2 * N], z[2 * N];
    for (int i = 0; i < N; i++) {
        x[2 * i] = i % 15, x[2 * i + 1] = i / 15 % 13;
        y[2 * i] = x[2 * i] + 3, y[2 * i + 1] = x[2 * i + 1] - 4;
        z[2 * i] = i % 2, z[2 * i + 1] = 0;
    }
    ot_exact_result r;
    REQUIRE(ot_exact_clouds(&r, AD_F64, N, N, 2, x, y, NULL, NULL));
    certified("moved lattice", &r, 300);
    near("moved lattice", r.cost, 12.5, 1e-9);
    REQUIRE(ot_exact_clouds(&r, AD_F64, N, N, 2, z, z, NULL, NULL));
    near("itself", r.cost, 0, 1e-12);
    REQUIRE(ot_exact_clouds(&r, AD_F64, N, 1, 2, x, z, NULL, NULL));
    certified("to one point", &r, 300);
}

/* A^-1 of a small matrix, by elimination with the diagonal as pivots (positive definite ones need no other). */
static void invert(int d, double A[4][4])
{
    for (int p = 0; p < d; p++) {
        double pivot = A[p][p];
        A[p][p] = 1;
        for (int j = 0; j < d; j++)
            A[p][j] /= pivot;
        for (int i = 0; i < d; i++) {
            double factor = A[i][p];
            if (i == p)
                continue;
            A[i][p] = 0;
            for (int j = 0; j < d; j++)
                A[i][j] -= factor * A[p][j];
        }
    }
}

/* The positive A with A S A = T: the geometric mean of S^-1 and T, as the limit of arithmetic and harmonic means. */
static void bures_map(int d, double A[4][4], const double S[4][4], const double T[4][4])
{
    double B[4][4];
    memcpy(A, S, sizeof B);
    invert(d, A);
    memcpy(B, T, sizeof B);
    for (int step = 0; step < 30; step++) {
        double X[4][4], Y[4][4], mean[4][4] = {{0}}, harmonic[4][4] = {{0}};
        memcpy(X, A, sizeof X);
        memcpy(Y, B, sizeof Y);
        invert(d, X);
        invert(d, Y);
        for (int i = 0; i < d; i++)
            for (int j = 0; j < d; j++) {
                mean[i][j] = .5 * (A[i][j] + B[i][j]);
                harmonic[i][j] = .5 * (X[i][j] + Y[i][j]);
            }
        invert(d, harmonic);
        memcpy(A, mean, sizeof mean);
        memcpy(B, harmonic, sizeof harmonic);
    }
}

/* W2^2 of Gaussians, exactly, by a sample: the 2 d points +- sqrt(d) L e_k have mean 0 and covariance L L^T = S, their
 * images under T = m + A x mean m and covariance A S A; T is the gradient of a convex function and so optimal between
 * the points too, at the Gaussians' own cost |m|^2 + tr S. */
static double gaussian_cost(int d, const double S[4][4], const double A[4][4], const double m[4])
{
    double L[4][4] = {{0}}, x[32] = {0}, y[32];
    for (int i = 0; i < d; i++)
        for (int j = 0; j <= i; j++) {
            double sum = S[i][j];
            for (int k = 0; k < j; k++)
                sum -= L[i][k] * L[j][k];
            L[i][j] = i == j ? sqrt(sum) : sum / L[j][j];
        }
    for (int i = 0; i < 2 * d; i++)
        for (int k = 0; k < d; k++)
            x[i * d + k] = (i % 2 ? 1 : -1) * sqrt(d) * L[k][i / 2];
    for (int i = 0; i < 2 * d; i++)
        for (int k = 0; k < d; k++) {
            y[i * d + k] = m[k];
            for (int l = 0; l < d; l++)
                y[i * d + k] += A[k][l] * x[i * d + l];
        }
    ot_exact_result r;
    REQUIRE(ot_exact_clouds(&r, AD_F64, 2 * d, 2 * d, d, x, y, NULL, NULL));
    certified("Gaussians", &r, 50);
    return 2 * r.cost;
}

Test(exact, gaussians_have_the_closed_form)
{
    const double S2[4][4] = {{2, .5}, {.5, 1}}, T2[4][4] = {{1, -.3}, {-.3, 3}}, m2[4] = {1, -2}, m4[4] = {1, 1, 1, 1};
    const double known[2][2] = {{.754286211957, -.311252717534}, {-.311252717534, 1.838024366136}};
    double A[4][4], S4[4][4], T4[4][4];
    bures_map(2, A, S2, T2);
    for (int i = 0; i < 4; i++)
        near("map", A[i / 2][i % 2], known[i / 2][i % 2], 1e-11);
    near("d = 2", gaussian_cost(2, S2, A, m2), 5.929311854968, 1e-10 * 5.93);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            S4[i][j] = (i == j ? i + 1 : 0) + .3;
            T4[i][j] = (i == j ? 4 - i : 0) - .1;
        }
    bures_map(4, A, S4, T4);
    near("d = 4", gaussian_cost(4, S4, A, m4), 6.384781313391, 1e-10 * 6.38);
}

/* N(0,1) to N(3,4), W2^2 = 10, by 20000 quantiles each: the tails beyond 1/2n miss about 1e-3. */
Test(exact, quantiles_of_gaussians)
{
    enum { LINE = 20000 };
    double *p = numbers(LINE), *q = numbers(LINE), w2;
    int64_t *index = integers(4 * LINE);
    for (int i = 0; i < LINE; i++) { /* by Newton on the distribution function */
        double level = (i + .5) / LINE, z = 0;
        for (int k = 0; k < 60; k++) {
            double slope = exp(-z * z / 2) / sqrt(2 * M_PI), step = (0.5 * erfc(-z / sqrt(2)) - level) / slope;
            z -= fmax(-.5, fmin(.5, step));
        }
        p[i] = z;
        q[i] = 3 + 2 * z;
    }
    ot_line_distance(NULL, &w2, LINE, p, NULL, LINE, q, NULL, index);
    near("N(0,1) to N(3,4)", w2, 10, 1e-3);
    free(p), free(q), free(index);
}

/* As blur falls the divergence rises to W2^2 / 2: within blur^2 d log n of it. */
Test(exact, is_the_limit_of_the_divergence)
{
    enum { N = 60 };
    double *x = clusters(N, 3, 3, 1, .3, 1), *y = clusters(N, 3, 2, 2, .3, 2);
    ot_exact_result exact;
    ot_sinkhorn_result r;
    ot_sinkhorn *s;
    ot_sinkhorn_options o = {.blur = .02, .scaling = .9, .extra = 2000, .tol = 1e-6};
    REQUIRE(ot_exact_clouds(&exact, AD_F64, N, N, 3, x, y, NULL, NULL));
    REQUIRE(ot_sinkhorn_create(&s, AD_F64, N, N, 3, &o));
    REQUIRE(ot_sinkhorn_run(s, &r, NULL, NULL, NULL, NULL, x, y, NULL, NULL));
    fwm_log(FWM_LOG_INFO, "W2^2/2 %.6f, divergence at blur .02 %.6f", exact.cost, r.value);
    near("divergence", r.value, exact.cost, .02 * .02 * log(N));
    ot_sinkhorn_destroy(&s);
    free(x), free(y);
}

Test(exact, a_thousand_points_are_certified)
{
    enum { N = 1024, DIM = 16 };
    double *x = clusters(N, DIM, 4, 3, .5, 1), *y = clusters(N, DIM, 5, 3, .5, 2);
    ot_exact_result r;
    double start = fwm_seconds();
    REQUIRE(ot_exact_clouds(&r, AD_F64, N, N, DIM, x, y, NULL, NULL));
    double seconds = fwm_seconds() - start;
    fwm_log(FWM_LOG_INFO, "exact, n = 1024: W2^2/2 %.9f, cost - dual %.2g, %lld pivots, %.3f s", r.cost,
            r.cost - r.dual, (long long)r.pivots, seconds);
    certified("1024 points", &r, 50);
    free(x), free(y);
}

Test(exact, bad_input_is_named)
{
    const double C[4] = {0, 1, NAN, 0}, good[4] = {0, 1, 1, 0}, heavy[2] = {.6, .6}, negative[2] = {1.5, -.5};
    ot_exact_result r;
    cr_expect(ot_exact_solve(&r, NULL, NULL, NULL, 2, 2, C, NULL, NULL) == FWM_INVALID);
    cr_expect(strstr(fwm_error_message(), "row 1 and column 0"), "%s", fwm_error_message());
    cr_expect(ot_exact_solve(&r, NULL, NULL, NULL, 2, 2, good, heavy, NULL) == FWM_INVALID);
    cr_expect(ot_exact_solve(&r, NULL, NULL, NULL, 2, 2, good, NULL, negative) == FWM_INVALID);
    cr_expect(ot_exact_solve(&r, NULL, NULL, NULL, 0, 2, good, NULL, NULL) == FWM_INVALID);
}

/* ---- slices ---- */

/* A cloud moved by t: |t|^2/d in expectation. |theta.t|^2 has mean |t|^2/d and standard deviation sqrt(2(d-1)/(d+2))/d
 * |t|^2 = .214 |t|^2 at d = 5: four deviations of the mean over 4000 directions are .0135 |t|^2. The same for any
 * number of threads. */
Test(exact, sliced_distance_of_a_move)
{
    enum { N = 50, DIM = 5, DIRECTIONS = 4000 };
    double *x = clusters(N, DIM, 2, 1, 1, 4), y[N * DIM], value[2];
    for (int i = 0; i < N * DIM; i++)
        y[i] = x[i] + 1;
    for (int k = 0; k < 2; k++) {
        ot_sliced *s;
        omp_set_num_threads(k + 1);
        REQUIRE(ot_sliced_create(&s, AD_F64, N, N, DIM, DIRECTIONS));
        size_t before = fwm_allocation_count();
        REQUIRE(ot_sliced_run(s, &value[k], N, N, x, y, (fwm_key){3, 9}, 2));
        cr_expect(fwm_allocation_count() == before);
        double keep = y[7], not_finite;
        y[7] = NAN;
        cr_expect(ot_sliced_run(s, &not_finite, N, N, x, y, (fwm_key){3, 9}, 2) == FWM_NUMERIC);
        y[7] = keep;
        ot_sliced_destroy(&s);
    }
    fwm_log(FWM_LOG_INFO, "sliced distance of a move, |t|^2/d = 1: %.4f", value[0]);
    near("sliced", value[0], 1, .0135 * 5);
    cr_expect(value[0] == value[1]);
    free(x);
}

/* ---- mode mixing ---- */

/* Two segments of true points with spacing .01, 1 apart; of 100 generated points 60 lie on them, 30 half way, 10 far
 * outside: those are off, but d1/(d1+d2) is below .2 next to one component. */
Test(exact, mixing_counts_what_falls_between)
{
    enum { N = 202, M = 100 };
    double y[2 * N], p[2 * M];
    int64_t label[N];
    for (int j = 0; j < N; j++) {
        label[j] = j % 2;
        y[2 * j] = j % 2;
        y[2 * j + 1] = .01 * (j / 2);
    }
    for (int i = 0; i < M; i++) {
        p[2 * i] = i < 60 ? i % 2 : i < 90 ? .5 : 1.1;
        p[2 * i + 1] = i < 60 ? .5 + .01 * (i / 2) : .3;
    }
    ot_mixing r;
    REQUIRE(ot_mixing_measure(&r, AD_F64, M, p, N, y, label, 2, 2));
    near("threshold", r.threshold, .01, 1e-12);
    near("mixing", r.mixing, .3, 0);
    near("off", r.off, .4, 0);
    near("coverage", r.coverage, 64.0 / 202, 1e-12); /* 30 rows and one on each side, on both segments */
    label[5] = 2;
    cr_expect(ot_mixing_measure(&r, AD_F64, M, p, N, y, label, 2, 2) == FWM_INVALID);
}
