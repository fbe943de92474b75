/* Boundary scores against known boundaries (A1, A2, A4, A5), the edge term and its gradient, invariances (A10).
 *
 * Known boundaries are measured without the code under test where they can be: an exact line, or the change of label
 * between neighbours of a fine grid whose labels come from exact cells, or a separatrix integrated backwards from its
 * saddle. */
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "model/transport/boundary.h"
#include "model/transport/edge.h"
#include "model/transport/numeric.h"
#include "model/transport/semi_discrete.h"
#include "model/transport/support.h"
#include "tests/model/clouds.h"

#include <omp.h>
#include <string.h>

/* Between the images of neighbouring states: the discs are 1.2 apart, the arms of the moons .4 or more. A moon is not
 * convex, so the map jumps across its own hollow too. */
static const double JUMP = .3;

enum { SIDE = 80, GRID = SIDE * SIDE, SOURCE = 512, BANK = 4096 };

/* ---- measuring a detector ---- */

typedef struct quality {
    double precision, recall, auc, error,
        whole; /* mean |delta - true distance| near the boundary, and over all states */
} quality;

static quality judge(int64_t n, const double *delta, const double *truth, double ell)
{
    quality q = {0};
    int64_t flagged = 0, hit = 0, positive = 0, *order = integers(n), *scratch = integers(n);
    double rank_sum = 0;
    ot_sort_indices(n, delta, order, scratch);
    for (int64_t r = 0; r < n;) { /* equal deltas share their mean rank */
        int64_t last = r;
        while (last < n && delta[order[last]] == delta[order[r]])
            last++;
        for (int64_t k = r; k < last; k++)
            rank_sum += truth[order[k]] < ell ? 0.5 * (double)(r + last - 1) : 0;
        r = last;
    }
    for (int64_t i = 0; i < n; i++) {
        bool is_near = truth[i] < ell, is_flagged = delta[i] < ell;
        flagged += is_flagged, positive += is_near, hit += is_near && is_flagged;
        q.error += is_near ? fabs(fmin(delta[i], 10) - truth[i]) : 0;
        q.whole += fabs(fmin(delta[i], 10) - truth[i]) / (double)n;
    }
    double p = (double)positive, others = (double)(n - positive);
    q.error /= p;
    q.precision = flagged ? (double)hit / (double)flagged : 0;
    q.recall = (double)hit / p;
    q.auc = 1 - (rank_sum - p * (p - 1) / 2) / (p * others);
    free(order), free(scratch);
    return q;
}

/* Distance of each state to the nearest of n places. */
static void distance_to(double *truth, int64_t states, const double *x, int64_t n, const double *place)
{
    ot_sites *s;
    double *two = numbers(2 * states);
    REQUIRE(ot_sites_create(&s, AD_F64, n, 2));
    REQUIRE(ot_sites_set(s, n, place, NULL));
    ot_sites_nearest(s, NULL, two, states, x, false);
    for (int64_t i = 0; i < states; i++)
        truth[i] = two[2 * i];
    ot_sites_destroy(&s);
    free(two);
}

/* Distance to where the exact map jumps: Newton's heights for the same codes, images of neighbours on a grid of spacing
 * 1/160, so that jumps are placed to half of that. A jump leads to another of `components` (code j is of j %
 * components), or, where they are 0, is longer than JUMP. */
static void exact_boundary(double *truth, int64_t states, const double *x, int64_t N, const double *y,
                           int64_t components)
{
    enum { FINE = 320 };
    const double box[4] = {-1, -1, 1, 1};
    double *g = numbers(N), *fine = grid_points(FINE, 1), *place = numbers(4 * FINE * FINE);
    int64_t *cell = integers(FINE * FINE), n = 0;
    ot_sites *s;
    REQUIRE(ot_heights_newton(g, NULL, NULL, N, 2, y, NULL, box, 1e-9, 100));
    REQUIRE(ot_sites_create(&s, AD_F64, N, 2));
    REQUIRE(ot_sites_set(s, N, y, g));
    ot_sites_cells(s, cell, NULL, FINE * FINE, fine);
    for (int64_t i = 0; i < FINE * FINE; i++)
        for (int64_t step = 1; step <= FINE; step += FINE - 1) {
            int64_t other = i + step;
            if ((step == 1 && other % FINE == 0) || other >= FINE * FINE)
                continue;
            const double *from = y + 2 * cell[i], *to = y + 2 * cell[other];
            if (components ? cell[i] % components == cell[other] % components
                           : hypot(to[0] - from[0], to[1] - from[1]) <= JUMP)
                continue;
            place[2 * n] = .5 * (fine[2 * i] + fine[2 * other]);
            place[2 * n++ + 1] = .5 * (fine[2 * i + 1] + fine[2 * other + 1]);
        }
    distance_to(truth, states, x, n, place);
    ot_sites_destroy(&s);
    free(g), free(fine), free(place), free(cell);
}

/* ---- the unpaired detector ---- */

/* What a training step affords, and a long anneal. */
static const ot_sinkhorn_options brief = {.blur = .05, .scaling = .7, .extra = 20},
                                 patient = {.blur = .05, .scaling = .9, .extra = 200};

/* Heights by Sinkhorn from Sobol points on the square; corrected by sheets if asked. delta [GRID] of the grid's states,
 * and the refined distance (NULL: not wanted). */
static void detect(double *delta, double *refined, int64_t N, const double *y, const ot_sinkhorn_options *o,
                   bool corrected)
{
    double *x = square_points(SOURCE, 2), *bank = square_points(BANK, 2), *g = numbers(N), *grid = grid_points(SIDE, 1),
           *place = numbers(2 * GRID);
    int64_t *j1 = integers(GRID), *j2 = integers(GRID);
    ot_sinkhorn *s;
    ot_support *support;
    ot_correction *c;
    ot_boundary *b;
    REQUIRE(ot_sinkhorn_create(&s, AD_F64, SOURCE, N, 2, o));
    REQUIRE(ot_sinkhorn_run(s, NULL, NULL, NULL, NULL, NULL, x, y, NULL, NULL));
    ot_heights_sinkhorn(g, N, s);
    REQUIRE(ot_support_create(&support, AD_F64, N, 2, NULL));
    REQUIRE(ot_support_update(support, N, y, (fwm_key){1, 1}, 0));
    const ot_support_view *v = ot_support_get(support);
    REQUIRE(ot_correction_create(&c, BANK, N, v->sheets));
    REQUIRE(ot_boundary_create(&b, AD_F64, N, 2, v->K, GRID));
    if (corrected) {
        ot_sites *sites = ot_boundary_sites(b);
        REQUIRE(ot_sites_set(sites, N, y, g));
        REQUIRE(ot_correction_run(c, NULL, g, sites, v->sheets, v->sheet, v->mass, BANK, bank));
    }
    REQUIRE(ot_boundary_set(b, N, y, g, v->K, v->anchor, v->invisible));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, GRID, grid));
    if (refined)
        REQUIRE(ot_boundary_refine(b, refined, place, GRID, grid, delta, j1));
    ot_boundary_destroy(&b);
    ot_correction_destroy(&c);
    ot_support_destroy(&support);
    ot_sinkhorn_destroy(&s);
    free(x), free(bank), free(g), free(grid), free(place), free(j1), free(j2);
}

static void report(const char *what, quality q)
{
    fwm_log(FWM_LOG_INFO, "%s: precision %.3f, recall %.3f, AUC %.4f, mean error %.4f near it, %.4f over the square",
            what, q.precision, q.recall, q.auc, q.error, q.whole);
}

Test(boundary, A1_discs_of_equal_mass)
{
    enum { N = 512 };
    double *y = two_discs(N, .5), *grid = grid_points(SIDE, 1), delta[GRID], refined[GRID], truth[GRID];
    for (int i = 0; i < GRID; i++)
        truth[i] = fabs(grid[2 * i]);
    detect(delta, refined, N, y, &brief, false);
    quality bound = judge(GRID, delta, truth, .05), q = judge(GRID, refined, truth, .05);
    report("A1 discs .5/.5, delta", bound);
    report("A1 discs .5/.5, refined", q);
    cr_expect(bound.precision >= .95 && bound.recall >= .95 && bound.error <= .01);
    cr_expect(q.precision >= .95 && q.recall >= .95 && q.whole <= .01);
    free(y), free(grid);
}

Test(boundary, A2_discs_of_unequal_mass_need_the_correction)
{
    enum { N = 500 };
    double *y = two_discs(N, .3), *grid = grid_points(SIDE, 1), delta[GRID], truth[GRID], middle = 0;
    exact_boundary(truth, GRID, grid, N, y, 0);
    detect(delta, NULL, N, y, &brief, false);
    quality without = judge(GRID, delta, truth, .05);
    detect(delta, NULL, N, y, &brief, true);
    quality with = judge(GRID, delta, truth, .05);
    report("A2 discs .3/.7, Sinkhorn alone", without);
    report("A2 discs .3/.7, corrected", with);
    for (int row = 0; row < SIDE; row++) { /* where a row of states is nearest to the true boundary */
        int least = row * SIDE;
        for (int i = row * SIDE; i < (row + 1) * SIDE; i++)
            least = truth[i] < truth[least] ? i : least;
        middle += grid[2 * least] / SIDE;
    }
    near("mean place of the line", middle, -.4,
         .02); /* area 0.3 of 4 lies left of it, whatever its shape; grid of .025 */
    cr_expect(without.recall < .2 && with.recall >= .9 && with.precision >= .8);
    free(y), free(grid);
}

/* A moon is long: how its own codes stand to each other is slow to settle too, and the correction by sheets leaves it.
 * After the brief anneal AUC is .94 here, after a patient one .998, with exact heights .9999. */
Test(boundary, A4_moons)
{
    enum { N = 500 };
    double *y = two_moons(N), *grid = grid_points(SIDE, 1), delta[GRID], refined[GRID], truth[GRID];
    exact_boundary(truth, GRID, grid, N, y, 0);
    detect(delta, refined, N, y, &brief, true);
    report("A4 two moons, brief anneal, delta", judge(GRID, delta, truth, .05));
    report("A4 two moons, brief anneal, refined", judge(GRID, refined, truth, .05));
    detect(delta, refined, N, y, &patient, true);
    quality q = judge(GRID, delta, truth, .05);
    report("A4 two moons, patient", q);
    report("A4 two moons, patient, refined", judge(GRID, refined, truth, .05));
    cr_expect(q.auc >= .95);
    free(y), free(grid);
}

Test(boundary, A4_eight_gaussians)
{
    enum { N = 512 };
    double *y = clusters(N, 2, 8, 1, .1, 5), *grid = grid_points(SIDE, 1), delta[GRID], truth[GRID];
    exact_boundary(truth, GRID, grid, N, y, 8);
    detect(delta, NULL, N, y, &patient, true);
    quality q = judge(GRID, delta, truth, .05);
    report("A4 eight Gaussians", q);
    cr_expect(q.auc >= .98);
    free(y), free(grid);
}

/* ---- A5: the Duffing system x'' = x - x^3 - .6 x' ---- */

static void duffing(double u[2], double dt, int steps)
{
    for (int n = 0; n < steps; n++) {
        double k[4][2], at[2] = {u[0], u[1]};
        for (int s = 0; s < 4; s++) {
            k[s][0] = at[1];
            k[s][1] = at[0] - at[0] * at[0] * at[0] - .6 * at[1];
            for (int c = 0; c < 2; c++)
                at[c] = u[c] + dt * (s < 2 ? .5 : 1) * k[s][c];
        }
        for (int c = 0; c < 2; c++)
            u[c] += dt / 6 * (k[0][c] + 2 * k[1][c] + 2 * k[2][c] + k[3][c]);
    }
}

/* The stable manifold of the saddle 0: backwards along the eigenvector of the eigenvalue -(.3 + sqrt(1.09)), both
 * branches, as long as they stay near the states. */
static int64_t separatrix(double *place, int64_t room)
{
    int64_t n = 0;
    double slope = -(.3 + sqrt(1.09));
    for (int side = -1; side <= 1; side += 2) {
        double u[2] = {side * 1e-4, side * 1e-4 * slope};
        while (n < room && fabs(u[0]) < 3 && fabs(u[1]) < 3) {
            double speed = hypot(u[1], u[0] - u[0] * u[0] * u[0] - .6 * u[1]);
            duffing(u, -fmin(.05, .004 / speed), 1);
            place[2 * n] = u[0], place[2 * n++ + 1] = u[1];
        }
    }
    return n;
}

Test(boundary, A5_duffing_needs_the_pairs)
{
    enum { N = 1024, ROOM = 40000, STEPS = 180 };
    double *x = square_points(N, 2), *y = numbers(2 * N), *grid = grid_points(SIDE, 2), *place = numbers(2 * ROOM),
           *g = numbers(N);
    double *delta = numbers(GRID), *truth = numbers(GRID);
    int64_t *j1 = integers(GRID), *j2 = integers(GRID);
    for (int64_t i = 0; i < 2 * N; i++)
        y[i] = x[i] *= 2;
    for (int64_t j = 0; j < N; j++)
        duffing(y + 2 * j, .05, STEPS); /* horizon 9 */
    distance_to(truth, GRID, grid, separatrix(place, ROOM), place);
    ot_support *support;
    ot_boundary *b;
    REQUIRE(ot_support_create(&support, AD_F64, N, 2, NULL));
    REQUIRE(ot_support_update(support, N, y, (fwm_key){1, 1}, 0));
    const ot_support_view *v = ot_support_get(support);
    REQUIRE(ot_boundary_create(&b, AD_F64, N, 2, v->K, GRID));
    REQUIRE(ot_boundary_set(b, N, x, NULL, v->K, v->anchor, v->invisible));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, GRID, grid));
    quality paired = judge(GRID, delta, truth, .1);
    report("A5 Duffing, paired", paired);
    /* The same codes, with heights of the transport from the contexts to them. */
    ot_sinkhorn *s;
    ot_correction *c;
    ot_sinkhorn_options o = {.blur = .1, .scaling = .7, .extra = 10};
    REQUIRE(ot_sinkhorn_create(&s, AD_F64, N, N, 2, &o));
    REQUIRE(ot_sinkhorn_run(s, NULL, NULL, NULL, NULL, NULL, x, y, NULL, NULL));
    ot_heights_sinkhorn(g, N, s);
    REQUIRE(ot_correction_create(&c, N, N, v->sheets));
    REQUIRE(ot_sites_set(ot_boundary_sites(b), N, y, g));
    REQUIRE(ot_correction_run(c, NULL, g, ot_boundary_sites(b), v->sheets, v->sheet, v->mass, N, x));
    REQUIRE(ot_boundary_set(b, N, y, g, v->K, v->anchor, v->invisible));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, GRID, grid));
    quality unpaired = judge(GRID, delta, truth, .1);
    report("A5 Duffing, unpaired", unpaired);
    cr_expect(paired.auc >= .93 && paired.recall >= .9);
    cr_expect(unpaired.auc < .6);
    ot_boundary_destroy(&b);
    ot_correction_destroy(&c);
    ot_sinkhorn_destroy(&s);
    ot_support_destroy(&support);
    free(x), free(y), free(grid), free(place), free(g), free(delta), free(truth), free(j1), free(j2);
}

/* ---- the detector's rules ---- */

/* Four sites on a line, groups 0, 0, 1, 2; 0 and 2 see each other. Distances to bisectors are plain. */
Test(boundary, distances_are_those_to_bisectors)
{
    const double S[4] = {0, 1, 3, 5}, x[4] = {.2, 1.9, 2.5, 5.2}, g[4] = {0, 0, 0, 1.5};
    const int64_t group[4] = {0, 0, 1, 2};
    const unsigned char invisible[9] = {0, 1, 0, 1, 0, 1, 0, 1, 0};
    double delta[4], score[4], scratch[8];
    int64_t j1[4], j2[4];
    ot_boundary *b;
    REQUIRE(ot_boundary_create(&b, AD_F64, 4, 1, 3, 4));
    cr_expect(ot_boundary_distance(b, delta, j1, j2, 4, x) == FWM_INVALID, "before sites are set");
    REQUIRE(ot_boundary_set(b, 4, S, NULL, 3, group, invisible));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, 4, x));
    const double expected[4] = {1.3, .1, .5, 1.2}; /* bisectors 0|3 at 1.5, 1|3 at 2, 3|5 at 4 */
    const int64_t first[4] = {0, 1, 2, 3}, second[4] = {2, 2, 1, 2};
    for (int i = 0; i < 4; i++) {
        near("delta", delta[i], expected[i], 1e-14);
        cr_expect(j1[i] == first[i] && j2[i] == second[i], "state %d: %lld, %lld", i, (long long)j1[i],
                  (long long)j2[i]);
    }
    ot_boundary_score(score, delta, .5, 4);
    near("b", score[2], exp(-.5), 1e-15);
    /* A share of two in four: half way between the second and the third delta, quantile .5. */
    double ell = ot_boundary_ell(4, delta, .5, scratch);
    near("ell", ell * sqrt(2 * log(2)), .5 * (.5 + 1.2), 1e-14);
    /* A height of 1.5 moves the bisector 3|5 by 1.5 / 2. */
    REQUIRE(ot_boundary_set(b, 4, S, g, 3, group, invisible));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, 4, x));
    near("raised", delta[3], 5.2 - 3.25, 1e-14);
    /* Nothing invisible: no boundary. Groups that all are: the default. Sites that coincide: on the boundary. */
    REQUIRE(ot_boundary_set(b, 4, S, NULL, 3, group, (const unsigned char[9]){0}));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, 4, x));
    ot_boundary_score(score, delta, .5, 4);
    cr_expect(isinf(delta[0]) && j2[0] == -1 && score[0] == 0 && isinf(ot_boundary_ell(4, delta, .5, scratch)));
    REQUIRE(ot_boundary_set(b, 4, (const double[]){0, 1, 1, 5}, NULL, 3, group, NULL));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, 4, x));
    cr_expect(delta[1] == 0 && j1[1] == 1 && j2[1] == 2);
    cr_expect(ot_boundary_distance(b, delta, j1, j2, 4, (const double[]){0, 1, NAN, 2}) == FWM_NUMERIC);
    cr_expect(strstr(fwm_error_message(), "state 2"), "%s", fwm_error_message());
    cr_expect(ot_boundary_set(b, 4, S, NULL, 2, group, NULL) == FWM_INVALID);
    cr_expect(ot_boundary_set(b, 5, S, NULL, 3, group, NULL) == FWM_INVALID);
    ot_boundary_destroy(&b);
}

Test(boundary, singular_pairs_are_listed_once)
{
    const double S[4] = {0, 1, 3, 5}, x[5] = {1.9, 2.2, 1.95, 4.1, -7}, y[8] = {0, 0, 1, 0, 1, 2, 3, 3};
    const int64_t group[4] = {0, 0, 1, 2};
    double delta[5];
    int64_t j1[5], j2[5], count;
    ot_boundary *b;
    ot_singular_pair pair[3] = {0};
    REQUIRE(ot_boundary_create(&b, AD_F64, 4, 1, 3, 5));
    REQUIRE(ot_boundary_set(b, 4, S, NULL, 3, group, NULL));
    REQUIRE(ot_boundary_distance(b, delta, j1, j2, 5, x));
    for (int again = 0; again < 2; again++) { /* nothing is left over from a call before */
        REQUIRE(ot_boundary_pairs(b, pair, 3, &count, 5, delta, j1, j2, .3, AD_F64, 2, y));
        cr_assert(count == 2, "%lld", (long long)count);
        cr_expect(pair[0].first == 1 && pair[0].second == 2 && pair[0].states == 3);
        cr_expect(pair[1].first == 2 && pair[1].second == 3 && pair[1].states == 1);
        near("distance", pair[0].distance, .05, 1e-14);
        near("jump", pair[0].jump, 2, 1e-14);
        near("angle", pair[0].angle, acos(2 / sqrt(2 * 6)),
             1e-14); /* (1 + <y1,y2>) / ... with y1 = (1,0), y2 = (1,2) */
    }
    REQUIRE(ot_boundary_pairs(b, pair, 1, &count, 5, delta, j1, j2, .3, AD_F64, 2, y));
    cr_expect(count == 2 && pair[0].states == 3);
    ot_boundary_destroy(&b);
}

/* float32 and float64 agree, threads do not matter, and no call allocates. */
Test(boundary, types_and_threads_agree)
{
    enum { M = 300, N = 400 };
    double *x = clusters(M, 4, 3, 2, .6, 1), *y = clusters(N, 4, 3, 2, .3, 1), delta[3][M];
    float fx[4 * M], fy[4 * N];
    int64_t group[N], j1[M], j2[M];
    for (int i = 0; i < 4 * M; i++)
        x[i] = (double)(fx[i] = (float)x[i]);
    for (int j = 0; j < 4 * N; j++)
        y[j] = (double)(fy[j] = (float)y[j]);
    for (int j = 0; j < N; j++)
        group[j] = j % 3;
    for (int k = 0; k < 3; k++) {
        ot_boundary *b;
        omp_set_num_threads(k == 1 ? 2 : 1);
        REQUIRE(ot_boundary_create(&b, k == 2 ? AD_F32 : AD_F64, N, 4, 3, M));
        size_t before = fwm_allocation_count();
        REQUIRE(ot_boundary_set(b, N, k == 2 ? (const void *)fy : y, NULL, 3, group, NULL));
        REQUIRE(ot_boundary_distance(b, delta[k], j1, j2, M, k == 2 ? (const void *)fx : x));
        cr_expect(fwm_allocation_count() == before);
        ot_boundary_destroy(&b);
    }
    cr_expect(memcmp(delta[0], delta[1], sizeof delta[0]) == 0);
    for (int i = 0; i < M; i++) /* a difference of squares of about 8, over distances of about 4, in float32 */
        near("float32", delta[2][i], delta[0][i], 2e-5);
    free(x), free(y);
}
