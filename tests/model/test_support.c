/* The geometry of a bank: scales, anchors, visibility, sheets. */
#include "model/base/arena.h"
#include "model/transport/support.h"
#include "tests/model/clouds.h"

#include <omp.h>
#include <string.h>

/* ---- sites ---- */

/* Cells, scores, nearest and distances against loops over all sites, for both types and each side of every padding. */
static void sites_agree_with_loops(ad_dtype dtype, int64_t N, int64_t d)
{
    enum { M = 37 };
    double *y = clusters(N, d, 3, 1, .5, 1), *x = clusters(M, d, 2, 1, .5, 2), *g = numbers(N);
    void *ty = malloc((size_t)(N * d) * 8), *tx = malloc((size_t)(M * d) * 8);
    for (int64_t i = 0; i < N * d; i++) {
        ot_number_put(dtype, ty, i, y[i]);
        y[i] = ot_number(dtype, ty, i);
    }
    for (int64_t i = 0; i < M * d; i++) {
        ot_number_put(dtype, tx, i, x[i]);
        x[i] = ot_number(dtype, tx, i);
    }
    for (int64_t j = 0; j < N; j++)
        g[j] = (double)(float)(.3 * sin((double)j));
    ot_sites *s;
    int64_t cell[M], near2[2 * M];
    double score[M], d2[2 * M], mean[M];
    REQUIRE(ot_sites_create(&s, dtype, N + 5, d));
    REQUIRE(ot_sites_set(s, N, ty, g));
    ot_sites_cells(s, cell, score, M, tx);
    ot_sites_nearest(s, near2, d2, M, tx, false);
    ot_sites_distance(s, mean, M, tx, false);
    double tolerance = dtype == AD_F64 ? 1e-12 : 2e-6;
    for (int64_t i = 0; i < M; i++) {
        double best = -INFINITY, a = INFINITY, b = INFINITY;
        for (int64_t j = 0; j < N; j++) {
            double square = 0;
            for (int64_t k = 0; k < d; k++)
                square += (x[i * d + k] - y[j * d + k]) * (x[i * d + k] - y[j * d + k]);
            best = fmax(best, g[j] - .5 * square);
            double larger = fmax(a, sqrt(square));
            a = fmin(a, sqrt(square));
            b = fmin(b, larger);
        }
        near("score", score[i], best, tolerance * 10);
        near("nearest", d2[2 * i], a, tolerance * 10);
        near("second", d2[2 * i + 1], b, tolerance * 10);
        near("mean", mean[i], N > 1 ? .5 * (a + b) : a, tolerance * 10);
        cr_expect(cell[i] >= 0 && cell[i] < N && (N == 1 || near2[2 * i] != near2[2 * i + 1]));
    }
    ot_sites_destroy(&s);
    free(y), free(x), free(g), free(ty), free(tx);
}

Test(support, sites_agree_with_loops)
{
    static const int64_t count[] = {1, 2, 31, 32, 33, 100}, dimension[] = {1, 2, 7, 64};
    for (int k = 0; k < 24; k++) {
        sites_agree_with_loops(AD_F64, count[k % 6], dimension[k / 6]);
        sites_agree_with_loops(AD_F32, count[k % 6], dimension[k / 6]);
    }
}

/* Equal sites tie exactly: the lowest index wins; a point is no neighbour of its own, its twin is. */
Test(support, ties_go_to_the_lowest_index)
{
    const double y[6] = {3, 1, 1, 3, 1, 2}, x[2] = {1.1, 3};
    ot_sites *s;
    int64_t cell[2], index[12];
    double distance[12];
    REQUIRE(ot_sites_create(&s, AD_F64, 6, 1));
    REQUIRE(ot_sites_set(s, 6, y, NULL));
    ot_sites_cells(s, cell, NULL, 2, x);
    cr_expect(cell[0] == 1 && cell[1] == 0);
    ot_sites_nearest(s, index, distance, 6, y, true);
    cr_expect(index[0] == 3 && distance[0] == 0 && distance[1] == 1);
    cr_expect(index[2] == 2 && index[3] == 4 && distance[3] == 0);
    cr_expect(ot_sites_set(s, 7, y, NULL) == FWM_INVALID);
    cr_expect(ot_sites_set(s, 2, (const double[]){1, NAN}, NULL) == FWM_NUMERIC);
    cr_expect(ot_sites_count(s) == 6);
    ot_sites_destroy(&s);
}

/* ---- scales ---- */

/* A segment of equidistant points, spacing h: inside every d_2 is h, at both ends 1.5 h; s^2 = h^2 (N^2-1)/12. */
Test(support, scales_of_a_segment)
{
    enum { N = 101 };
    const double h = .25;
    double y[N];
    ot_support *s;
    for (int j = 0; j < N; j++)
        y[j] = h * j;
    REQUIRE(ot_support_create(&s, AD_F64, N, 1, NULL));
    REQUIRE(ot_support_update(s, N, y, (fwm_key){1, 1}, 0));
    const ot_support_view *v = ot_support_get(s);
    near("r", v->r, h, 1e-12);
    near("tau", v->tau, h, 1e-12); /* the two ends are 2 % of 101 points less a little */
    near("s", v->s, h * sqrt((N * N - 1) / 12.0), 1e-10);
    /* Midpoints to the eighth neighbour, 4 h away, are codes: d_2 = (0 + h)/2; towards the ends the neighbour is
     * farther. */
    cr_expect(v->r0 >= .5 * h && v->r0 <= h, "%g", v->r0);
    cr_expect(v->sheets == 1 && v->K == 48 && v->dropped == 0);
    double p[2] = {10.1 * h, -3 * h}, score[2];
    ot_support_score(s, score, 2, p);
    near("on the sheet", score[0], 0, 0);
    near("off the sheet", score[1], (3.5 * h - v->tau) / v->s, 1e-12);
    ot_support_destroy(&s);
}

/* ---- A8: visibility ---- */

typedef struct shares {
    double cross, same;
} shares;

static shares visibility(int64_t d, double radius, double size, uint64_t seed)
{
    enum { N = 1024, K = 8 };
    double *y = clusters_of(true, N, d, K, radius, size, seed);
    int64_t count[2] = {0}, hidden[2] = {0};
    ot_support *s;
    REQUIRE(ot_support_create(&s, AD_F64, N, d, NULL));
    REQUIRE(ot_support_update(s, N, y, (fwm_key){seed, 7}, 0));
    const ot_support_view *v = ot_support_get(s);
    for (int64_t k = 0; k < v->K; k++)
        for (int64_t l = 0; l < k; l++) {
            bool same = v->medoid[k] % K == v->medoid[l] % K;
            count[same]++;
            hidden[same] += v->invisible[k * v->K + l];
        }
    cr_expect(v->sheets == K, "d = %lld: %lld sheets", (long long)d, (long long)v->sheets);
    for (int64_t j = 0; j < N; j++)
        cr_expect(v->sheet[j] == v->sheet[j % K], "d = %lld: code %lld", (long long)d, (long long)j);
    ot_support_destroy(&s);
    free(y);
    return (shares){(double)hidden[0] / (double)count[0], (double)hidden[1] / (double)count[1]};
}

Test(support, A8_clusters_see_themselves_and_not_each_other)
{
    static const int64_t dimension[] = {2, 16, 64};
    for (int k = 0; k < 3; k++) {
        int64_t d = dimension[k];
        shares worst = {1, 0};
        for (uint64_t seed = 1; seed <= 3; seed++) { /* uniform balls; in the plane the centres are 3.8 radii apart, in
                                                     d dimensions 3 or more (random directions: 5.3 on average) */
            shares one = d == 2 ? visibility(d, 1, .2, seed) : visibility(d, 3, .8, seed);
            worst.cross = fmin(worst.cross, one.cross);
            worst.same = fmax(worst.same, one.same);
        }
        fwm_log(FWM_LOG_INFO,
                "A8 d = %lld: invisible across clusters %.4f (>= .99), within %.4f (<= .02), worst of 3 seeds",
                (long long)d, worst.cross, worst.same);
        cr_expect(worst.cross >= .99 && worst.same <= .02, "d = %lld: %g, %g", (long long)d, worst.cross, worst.same);
    }
}

/* A ring is one sheet though its hollow hides the other side; three far codes are dropped and counted to it. */
Test(support, a_ring_is_one_sheet_with_a_hollow)
{
    enum { N = 603 };
    double y[2 * N];
    for (int j = 0; j < N; j++) {
        double angle = 2 * M_PI * j / 600, radius = j < 600 ? 1 + .02 * sin(7 * j) : 4;
        y[2 * j] = radius * cos(angle), y[2 * j + 1] = radius * sin(angle);
    }
    ot_support *s;
    REQUIRE(ot_support_create(&s, AD_F64, N, 2, NULL));
    REQUIRE(ot_support_update(s, N, y, (fwm_key){2, 2}, 5));
    const ot_support_view *v = ot_support_get(s);
    cr_expect(v->sheets == 1 && v->dropped == 3, "%lld sheets, %lld dropped", (long long)v->sheets,
              (long long)v->dropped);
    near("mass", v->mass[0], 1, 1e-12);
    int64_t wrong = 0;
    for (int64_t k = 0; k < v->K; k++)
        for (int64_t l = 0; l < k; l++) {
            const double *a = y + 2 * v->medoid[k], *b = y + 2 * v->medoid[l];
            wrong += a[0] * b[0] + a[1] * b[1] < -.5 && !v->invisible[k * v->K + l];
        }
    cr_expect(wrong == 0, "%lld pairs see across the hollow", (long long)wrong);
    ot_support_destroy(&s);
}

/* ---- the rest ---- */

/* The same for one and two threads and a second call; float32 finds the same sheets; no allocation in an update. */
Test(support, is_reproducible_and_allocates_once)
{
    enum { N = 500, DIM = 6, K = 5 };
    double *y = clusters(N, DIM, K, 4, .2, 9);
    float *f = malloc(N * DIM * sizeof *f);
    int64_t anchor[N];
    for (int i = 0; i < N * DIM; i++)
        f[i] = (float)y[i];
    for (int k = 0; k < 3; k++) {
        ot_support *s;
        omp_set_num_threads(k == 1 ? 2 : 1);
        REQUIRE(ot_support_create(&s, k == 2 ? AD_F32 : AD_F64, N, DIM, NULL));
        size_t before = fwm_allocation_count();
        REQUIRE(ot_support_update(s, N, k == 2 ? (const void *)f : y, (fwm_key){4, 4}, 3));
        cr_expect(fwm_allocation_count() == before);
        const ot_support_view *v = ot_support_get(s);
        cr_expect(v->sheets == K);
        if (k == 0)
            memcpy(anchor, v->anchor, sizeof anchor);
        if (k == 1)
            cr_expect(memcmp(anchor, v->anchor, sizeof anchor) == 0);
        for (int64_t j = 0; j < N; j++)
            cr_expect(v->sheet[j] == v->sheet[j % K]);
        ot_support_destroy(&s);
    }
    free(y), free(f);
}

/* All codes one point, two codes, fewer codes than anchors, not finite. */
Test(support, degenerate_banks)
{
    double y[40] = {0};
    ot_support *s;
    REQUIRE(ot_support_create(&s, AD_F64, 20, 2, NULL));
    REQUIRE(ot_support_update(s, 20, y, (fwm_key){1, 1}, 0));
    const ot_support_view *v = ot_support_get(s);
    cr_expect(v->K == 1 && v->sheets == 1 && v->s == 0 && v->tau == 0 && v->r0 == 0);
    y[2] = 1;
    REQUIRE(ot_support_update(s, 2, y, (fwm_key){1, 1}, 0));
    cr_expect(v->K == 2 && v->tau == 1 && v->r == 1);
    for (int i = 0; i < 40; i++)
        y[i] = i;
    REQUIRE(ot_support_update(s, 20, y, (fwm_key){1, 1}, 0));
    cr_expect(v->K >= 15 && v->sheets == 1, "%lld anchors, %lld sheets", (long long)v->K, (long long)v->sheets);
    cr_expect(ot_support_update(s, 1, y, (fwm_key){1, 1}, 0) == FWM_INVALID);
    cr_expect(ot_support_update(s, 21, y, (fwm_key){1, 1}, 0) == FWM_INVALID);
    y[7] = NAN;
    cr_expect(ot_support_update(s, 20, y, (fwm_key){1, 1}, 0) == FWM_NUMERIC);
    cr_expect(strstr(fwm_error_message(), "coordinate 1 of site 3"), "%s", fwm_error_message());
    ot_support_destroy(&s);
    ot_support_options bad = {.kappa = -1};
    cr_expect(ot_support_create(&s, AD_F64, 20, 2, &bad) == FWM_INVALID);
    cr_expect_null(s);
}
