/* Clouds that the transport tests share: discs, moons, Gaussians, points of a grid. */
#ifndef TESTS_MODEL_CLOUDS_H
#define TESTS_MODEL_CLOUDS_H

#include "model/base/log.h"
#include "model/base/random.h"
#include "model/transport/sobol.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

static inline void near(const char *what, double found, double expected, double tolerance)
{
    cr_expect(found == expected || fabs(found - expected) <= tolerance, "%s: %.12g, expected %.12g within %g", what,
              found, expected, tolerance);
}

static inline double *numbers(int64_t n)
{
    double *v = calloc((size_t)n, sizeof *v);
    cr_assert(v);
    return v;
}

static inline int64_t *integers(int64_t n)
{
    int64_t *v = calloc((size_t)n, sizeof *v);
    cr_assert(v);
    return v;
}

/* Sobol points in [-1,1]^d. */
static inline double *square_points(int64_t n, int64_t d)
{
    double *x = numbers(n * d);
    fwm_key shift = {11, 3};
    REQUIRE(ot_sobol_fill(x, n, d, 0, &shift));
    for (int64_t i = 0; i < n * d; i++)
        x[i] = 2 * x[i] - 1;
    return x;
}

/* Cell centres of a side x side grid on [-half,half]^2. */
static inline double *grid_points(int64_t side, double half)
{
    double *x = numbers(side * side * 2);
    for (int64_t i = 0; i < side * side; i++) {
        x[2 * i] = half * (2.0 * ((double)(i % side) + 0.5) / (double)side - 1);
        x[2 * i + 1] = half * (2.0 * ((double)(i / side) + 0.5) / (double)side - 1);
    }
    return x;
}

/* Two discs of radius .4 around (-1,0) and (1,0); round(share n) points in the left one, each evenly filled
 * (sunflower). */
static inline double *two_discs(int64_t n, double share)
{
    double *y = numbers(n * 2);
    int64_t left = (int64_t)lround(share * (double)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t count = i < left ? left : n - left, at = i < left ? i : i - left;
        double radius = 0.4 * sqrt(((double)at + 0.5) / (double)count), angle = 2.399963229728653 * (double)at;
        y[2 * i] = (i < left ? -1 : 1) + radius * cos(i < left ? angle : M_PI - angle);
        y[2 * i + 1] = radius * sin(i < left ? angle : M_PI - angle);
    }
    return y;
}

/* Two moons, half the points each, noise .05. */
static inline double *two_moons(int64_t n)
{
    double *y = numbers(n * 2);
    for (int64_t i = 0; i < n; i++) {
        double t = M_PI * fwm_random_uniform((fwm_key){21, 1}, 0, (uint32_t)i);
        bool upper = i % 2;
        y[2 * i] =
            (upper ? cos(t) : 1 - cos(t)) - 0.5 + 0.05 * fwm_random_normal((fwm_key){21, 2}, 0, (uint32_t)(2 * i));
        y[2 * i + 1] = (upper ? sin(t) : 0.5 - sin(t)) - 0.25 +
                       0.05 * fwm_random_normal((fwm_key){21, 2}, 0, (uint32_t)(2 * i + 1));
    }
    return y;
}

/* K clusters in d dimensions, Gaussian with standard deviation `size`, or uniform in balls of radius `size`: centres on
 * the unit circle for d = 2, else random directions times `radius`; point i belongs to cluster i % K. */
static inline double *clusters_of(bool balls, int64_t n, int64_t d, int64_t K, double radius, double size,
                                  uint64_t seed)
{
    double *y = numbers(n * d), *centre = numbers(K * d);
    for (int64_t k = 0; k < K; k++) {
        double square = 0;
        for (int64_t c = 0; c < d; c++) {
            double angle = 2 * M_PI * (double)k / (double)K;
            centre[k * d + c] = d == 2 ? (c ? sin(angle) : cos(angle))
                                       : fwm_random_normal((fwm_key){seed, 5}, (uint64_t)k, (uint32_t)c);
            square += centre[k * d + c] * centre[k * d + c];
        }
        for (int64_t c = 0; c < d; c++)
            centre[k * d + c] *= radius / sqrt(square);
    }
    for (int64_t i = 0; i < n; i++) {
        double square = 0, factor = size;
        for (int64_t c = 0; c < d; c++) {
            y[i * d + c] = fwm_random_normal((fwm_key){seed, 6}, 0, (uint32_t)(i * d + c));
            square += y[i * d + c] * y[i * d + c];
        }
        if (balls)
            factor *= pow(fwm_random_uniform((fwm_key){seed, 7}, 0, (uint32_t)i), 1 / (double)d) / sqrt(square);
        for (int64_t c = 0; c < d; c++)
            y[i * d + c] = centre[i % K * d + c] + factor * y[i * d + c];
    }
    free(centre);
    return y;
}

static inline double *clusters(int64_t n, int64_t d, int64_t K, double radius, double sigma, uint64_t seed)
{
    return clusters_of(false, n, d, K, radius, sigma, seed);
}

#endif
