/* Heights of semi-discrete transport: exact cells, Adam, Sinkhorn's dual, the correction by groups; Sobol points. */
#include "model/base/arena.h"
#include "model/transport/semi_discrete.h"
#include "tests/model/clouds.h"

#include <omp.h>
#include <string.h>

/* ---- Sobol points ---- */

/* The first points of the published sequence in three dimensions, exactly representable. */
Test(semi_discrete, sobol_points_are_the_published_ones)
{
    static const double expected[8][3] = {{0, 0, 0},          {.5, .5, .5},       {.75, .25, .25},
                                          {.25, .75, .75},    {.375, .375, .625}, {.875, .875, .125},
                                          {.625, .125, .875}, {.125, .625, .375}};
    double x[8 * 3], tail[3 * 3];
    REQUIRE(ot_sobol_fill(x, 8, 3, 0, NULL));
    for (int i = 0; i < 24; i++)
        cr_expect(x[i] == expected[i / 3][i % 3], "point %d coordinate %d: %g", i / 3, i % 3, x[i]);
    REQUIRE(ot_sobol_fill(tail, 3, 3, 5, NULL));
    cr_expect(memcmp(tail, x + 15, sizeof tail) == 0);
}

/* A (0,m,1)-net in every coordinate: each of 2^m intervals holds one of the first 2^m points, shifted or not; and in
 * the first two coordinates each of the 2^m elementary rectangles does (t = 0 there). A wrong direction number breaks
 * it. */
Test(semi_discrete, sobol_points_fill_every_coordinate_evenly)
{
    enum { COUNT = 1024 };
    double *x = numbers(COUNT * OT_SOBOL_DIMENSIONS);
    const fwm_key shift = {5, 1};
    for (int shifted = 0; shifted < 2; shifted++) {
        REQUIRE(ot_sobol_fill(x, COUNT, OT_SOBOL_DIMENSIONS, 0, shifted ? &shift : NULL));
        for (int k = 0; k < OT_SOBOL_DIMENSIONS; k++) {
            int seen[COUNT] = {0};
            for (int i = 0; i < COUNT; i++)
                seen[(int)(x[i * OT_SOBOL_DIMENSIONS + k] * COUNT)]++;
            for (int i = 0; i < COUNT; i++)
                cr_assert(seen[i] == 1, "dimension %d, interval %d: %d points", k, i, seen[i]);
        }
        for (int across = 1; across <= COUNT; across *= 2) {
            int seen[COUNT] = {0};
            for (int i = 0; i < COUNT; i++) {
                const double *p = x + i * OT_SOBOL_DIMENSIONS;
                seen[(int)(p[0] * across) * (COUNT / across) + (int)(p[1] * (COUNT / across))]++;
            }
            for (int i = 0; i < COUNT; i++)
                cr_assert(seen[i] == 1, "%d columns, rectangle %d: %d points", across, i, seen[i]);
        }
    }
    cr_expect(ot_sobol_fill(x, 1, OT_SOBOL_DIMENSIONS + 1, 0, NULL) == FWM_UNSUPPORTED);
    cr_expect(ot_sobol_fill(x, 2, 1, (INT64_C(1) << 32) - 1, NULL) == FWM_OVERFLOW);
    free(x);
}

/* ---- exact cells ---- */

Test(semi_discrete, three_atoms_on_an_interval)
{
    const double y[3] = {.2, .5, .9}, nu[3] = {.2, .5, .3}, box[2] = {0, 1};
    double g[3], mass[3], end[2], cost = 0;
    ot_newton_result r;
    REQUIRE(ot_heights_newton(g, mass, &r, 3, 1, y, nu, box, 1e-14, 10));
    fwm_log(FWM_LOG_INFO, "three atoms: %d Newton steps, |mass - nu| %.2g", r.steps, r.error);
    cr_expect(r.steps == 1, "exact in one step, took %d", r.steps);
    near("g1 - g0", g[1] - g[0], .045, 1e-10 * .045);
    near("g2 - g0", g[2] - g[0], .045, 1e-10 * .045);
    for (int j = 0; j < 2; j++)
        end[j] = (g[j] - g[j + 1] + 0.5 * (y[j + 1] * y[j + 1] - y[j] * y[j])) / (y[j + 1] - y[j]);
    near("first end", end[0], .2, 1e-10);
    near("second end", end[1], .7, 1e-10);
    for (int j = 0; j < 3; j++) {
        double hi = (j < 2 ? end[j] : 1) - y[j], lo = (j ? end[j - 1] : 0) - y[j];
        cost += (hi * hi * hi - lo * lo * lo) / 6;
    }
    near("cost", cost, .008666666667, 1e-12);
}

/* A3 with exact cells: atoms (-1,0) and (1,0) with masses q, 1-q under the uniform square: the line stands at x = 2q
 * - 1. */
Test(semi_discrete, two_diracs_by_newton)
{
    const double y[4] = {-1, 0, 1, 0}, box[4] = {-1, -1, 1, 1}, q[4] = {.5, .3, .1, .02};
    for (int k = 0; k < 4; k++) {
        double g[2], nu[2] = {q[k], 1 - q[k]};
        REQUIRE(ot_heights_newton(g, NULL, NULL, 2, 2, y, nu, box, 1e-14, 20));
        near("g1 - g0", g[1] - g[0], -2 * (2 * q[k] - 1), 1e-12);
    }
}

/* 400 points in two discs, mostly outside the box, masses 0.3 : 0.7 and uneven within: masses come out to 1e-12 and the
 * total is 1. */
Test(semi_discrete, newton_meets_any_masses_in_the_plane)
{
    enum { N = 400 };
    const double box[4] = {-1, -1, 1, 1};
    double *y = two_discs(N, .5), nu[N], g[N], mass[N], again[N], sum = 0, total = 0;
    for (int j = 0; j < N; j++)
        sum += nu[j] = (j < N / 2 ? 3 : 7) * (1 + 0.9 * sin(j));
    for (int j = 0; j < N; j++)
        nu[j] /= sum;
    ot_newton_result r;
    REQUIRE(ot_heights_newton(g, mass, &r, N, 2, y, nu, box, 1e-13, 60));
    REQUIRE(ot_cells_exact(again, N, 2, y, g, box));
    for (int j = 0; j < N; j++) {
        near("mass", again[j], nu[j], 1e-12);
        total += again[j];
    }
    near("total", total, 1, 1e-12);
    fwm_log(FWM_LOG_INFO, "400 cells in the plane: %d Newton steps, |mass - nu| %.2g", r.steps, r.error);
    free(y);
}

/* The derivative of masses by heights, from facets, against differences: the step that Newton takes must shrink a small
 * error quadratically. Starting 1e-3 off the solution, one accepted full step leaves less than 1e-4 of it. */
Test(semi_discrete, newton_converges_quadratically)
{
    enum { N = 40 };
    const double box[4] = {0, 0, 2, 1};
    double y[2 * N], nu[N], g[N], error[2];
    for (int i = 0; i < 2 * N; i++)
        y[i] = (i % 2 ? 1 : 2) * fwm_random_uniform((fwm_key){4, 4}, 0, (uint32_t)i);
    for (int j = 0; j < N; j++)
        nu[j] = 1.0 / N;
    ot_newton_result r;
    REQUIRE(ot_heights_newton(g, NULL, &r, N, 2, y, nu, box, 1e-3, 60));
    error[0] = r.error;
    int steps = r.steps;
    REQUIRE(ot_heights_newton(g, NULL, &r, N, 2, y, nu, box, 0.99 * error[0], 60));
    error[1] = r.error;
    fwm_log(FWM_LOG_INFO, "Newton: %.3g after %d steps, %.3g after %d", error[0], steps, error[1], r.steps);
    cr_expect(r.steps == steps + 1 && error[1] < 30 * error[0] * error[0], "%g then %g", error[0], error[1]);
}

Test(semi_discrete, newton_names_bad_input)
{
    const double y[2] = {.5, .5}, box[2] = {0, 1}, bad[2] = {.5, .6}, reversed[2] = {1, 0};
    double g[2];
    cr_expect(ot_heights_newton(g, NULL, NULL, 2, 1, y, NULL, box, 1e-9, 10) == FWM_INVALID);
    cr_expect(strstr(fwm_error_message(), "coincide"), "%s", fwm_error_message());
    cr_expect(ot_heights_newton(g, NULL, NULL, 2, 1, y, bad, box, 1e-9, 10) == FWM_INVALID);
    cr_expect(ot_heights_newton(g, NULL, NULL, 2, 1, y, NULL, reversed, 1e-9, 10) == FWM_INVALID);
    cr_expect(ot_heights_newton(g, NULL, NULL, 2, 3, y, NULL, box, 1e-9, 10) == FWM_INVALID);
}

/* ---- Adam on a bank ---- */

/* A3 by Adam: lines for q = .5, .3, .1 within .005 of 2q - 1. The bank of 8192 Sobol points allows about 1/sqrt(8192)
 * / 8. */
Test(semi_discrete, A3_two_diracs_by_adam)
{
    enum { BANK = 8192 };
    const double y[4] = {-1, 0, 1, 0}, q[3] = {.5, .3, .1};
    double *source = square_points(BANK, 2);
    ot_sites *sites;
    REQUIRE(ot_sites_create(&sites, AD_F64, 2, 2));
    REQUIRE(ot_sites_set(sites, 2, y, NULL));
    for (int k = 0; k < 3; k++) {
        double g[2] = {0}, nu[2] = {q[k], 1 - q[k]};
        ot_adam_result r;
        ot_adam_options o = {.rate = 2e-2, .tol = 2e-4, .batch = 1024, .patience = 30, .steps = 4000};
        REQUIRE(ot_heights_adam(g, &r, sites, nu, BANK, source, &o));
        double line = 0.5 * (g[0] - g[1]); /* s_0 = s_1 */
        fwm_log(FWM_LOG_INFO, "A3 two Diracs, q = %.1f: line %+.4f, exact %+.4f, %lld steps", q[k], line, 2 * q[k] - 1,
                (long long)r.steps);
        near("line", line, 2 * q[k] - 1, .005);
    }
    ot_sites_destroy(&sites);
    free(source);
}

/* Adam's heights for 64 cells have the masses that they promise on the whole bank, whatever the number of threads. */
Test(semi_discrete, adam_meets_masses_on_its_bank)
{
    enum { N = 64, BANK = 4096 };
    double *source = square_points(BANK, 2), y[2 * N], g[2][N], error = 0;
    for (int i = 0; i < 2 * N; i++)
        y[i] = 2 * fwm_random_uniform((fwm_key){8, 1}, 0, (uint32_t)i) - 1;
    ot_adam_result r;
    ot_adam_options o = {.rate = 1e-2, .tol = 5e-3, .batch = 512, .patience = 30, .steps = 3000};
    int64_t *cell = integers(BANK);
    for (int k = 0; k < 2; k++) {
        ot_sites *sites;
        omp_set_num_threads(k + 1);
        REQUIRE(ot_sites_create(&sites, AD_F64, N, 2));
        REQUIRE(ot_sites_set(sites, N, y, NULL));
        memset(g[k], 0, sizeof g[k]);
        REQUIRE(ot_heights_adam(g[k], &r, sites, NULL, BANK, source, &o));
        ot_sites_cells(sites, cell, NULL, BANK, source);
        ot_sites_destroy(&sites);
    }
    double mass[N] = {0};
    for (int i = 0; i < BANK; i++)
        mass[cell[i]] += 1.0 / BANK;
    for (int j = 0; j < N; j++)
        error += (mass[j] - 1.0 / N) * (mass[j] - 1.0 / N);
    fwm_log(FWM_LOG_INFO, "Adam, 64 cells: |mass - nu| %.4f after %lld steps", sqrt(error), (long long)r.steps);
    cr_expect(r.batch == BANK && sqrt(error) <= 5e-3, "%g", sqrt(error));
    cr_expect(memcmp(g[0], g[1], sizeof g[0]) == 0, "threads must not matter");
    free(source);
    free(cell);
}

/* ---- Sinkhorn's dual and the correction ---- */

/* Discs of mass .1 and .9: the dual of a short anneal gives the left one far more; the correction sets both masses
 * right to about one source point, and equals Newton's exact heights in how the groups stand to each other. */
Test(semi_discrete, correction_sets_the_masses_of_groups)
{
    enum { N = 200, SOURCE = 512, BANK = 4096, LEFT = 20 };
    const double box[4] = {-1, -1, 1, 1};
    double *y = two_discs(N, .1), *x = square_points(SOURCE, 2), *bank = square_points(BANK, 2), g[N], exact[N];
    const double nu[2] = {.1, .9};
    int64_t group[N];
    for (int j = 0; j < N; j++)
        group[j] = j >= LEFT;
    ot_sinkhorn *s;
    ot_sites *sites;
    ot_correction *c;
    ot_correction_result r;
    ot_sinkhorn_options o = {.blur = .05, .scaling = .7, .extra = 20};
    REQUIRE(ot_sinkhorn_create(&s, AD_F64, SOURCE, N, 2, &o));
    REQUIRE(ot_sinkhorn_run(s, NULL, NULL, NULL, NULL, NULL, x, y, NULL, NULL));
    ot_heights_sinkhorn(g, N, s);
    REQUIRE(ot_sites_create(&sites, AD_F64, N, 2));
    REQUIRE(ot_sites_set(sites, N, y, g));
    REQUIRE(ot_correction_create(&c, BANK, N, 4));
    size_t before = fwm_allocation_count();
    REQUIRE(ot_correction_run(c, &r, g, sites, 2, group, nu, BANK, bank));
    cr_expect(fwm_allocation_count() == before, "a run allocates nothing");
    REQUIRE(ot_heights_newton(exact, NULL, NULL, N, 2, y, NULL, box, 1e-12, 60));
    double mass[N], left = 0;
    REQUIRE(ot_cells_exact(mass, N, 2, y, g, box));
    for (int j = 0; j < LEFT; j++)
        left += mass[j];
    fwm_log(FWM_LOG_INFO,
            "discs .1/.9: group mass off by %.4f after Sinkhorn, %.4f corrected (%d steps); exact mass %.4f", r.before,
            r.error, r.steps, left);
    cr_expect(r.before > .05, "%g", r.before);
    cr_expect(r.error < 5e-3, "%g", r.error); /* tau .01 rounds the boundary over some points in 4096 */
    near("left", left, .1, 5e-3);
    ot_correction_destroy(&c);
    ot_sites_destroy(&sites);
    ot_sinkhorn_destroy(&s);
    free(y), free(x), free(bank);
}

/* The masses of eight groups, one of them of a single point, from heights that leave most groups empty. */
Test(semi_discrete, correction_starts_from_empty_groups)
{
    enum { N = 71, K = 8, BANK = 4096 };
    double *y = clusters(N, 2, K - 1, 1, .1, 3), *bank = square_points(BANK, 2), g[N], nu[K];
    int64_t group[N];
    for (int j = 0; j < N; j++) {
        group[j] = j ? j % (K - 1) : K - 1;
        g[j] = group[j] == 0 ? 5 : 0;
    }
    for (int k = 0; k < K; k++)
        nu[k] = (k + 1) / 36.0;
    ot_sites *sites;
    ot_correction *c;
    ot_correction_result r;
    REQUIRE(ot_sites_create(&sites, AD_F64, N, 2));
    REQUIRE(ot_sites_set(sites, N, y, g));
    REQUIRE(ot_correction_create(&c, BANK, N, K));
    REQUIRE(ot_correction_run(c, &r, g, sites, K, group, nu, BANK, bank));
    fwm_log(FWM_LOG_INFO, "eight groups: off by %.4f before, %.4f after %d steps", r.before, r.error, r.steps);
    cr_expect(r.before > .5 && r.error < 1e-2, "%g, %g", r.before, r.error);
    double kept = bank[77], height = g[5];
    bank[77] = NAN;
    cr_expect(ot_correction_run(c, &r, g, sites, K, group, nu, BANK, bank) == FWM_NUMERIC && g[5] == height);
    ot_adam_options o = {.rate = 1e-2, .tol = 0, .batch = 512, .patience = 30, .steps = 10};
    cr_expect(ot_heights_adam(g, NULL, sites, NULL, BANK, bank, &o) == FWM_NUMERIC);
    cr_expect(strstr(fwm_error_message(), "source point 38"), "%s", fwm_error_message());
    bank[77] = kept;
    nu[0] += .2;
    cr_expect(ot_correction_run(c, &r, g, sites, K, group, nu, BANK, bank) == FWM_INVALID);
    group[3] = K;
    cr_expect(ot_correction_run(c, &r, g, sites, K, group, nu, BANK, bank) == FWM_INVALID);
    cr_expect(strstr(fwm_error_message(), "point 3"), "%s", fwm_error_message());
    ot_correction_destroy(&c);
    ot_sites_destroy(&sites);
    free(y), free(bank);
}
