/* Many normal numbers at once are those that come one by one, wherever a run of them begins and ends. */
#include "model/base/random.h"

#include <criterion/criterion.h>
#include <math.h>

enum { N = 20000, EDGE = 200 };

/* Both come from the same uniform numbers; log u has the relative error of a few units, and the radius is at most
 * 8.6. */
Test(random, normals_are_the_single_ones)
{
    static double many[N], piece[EDGE + 1];
    const fwm_key key = {0x123456789abcdefu, 77};
    double sum = 0, square = 0;
    fwm_random_normals(key, 0x100000002u, 5, N, many);
    for (int i = 0; i < N; i++) {
        const double one = fwm_random_normal(key, 0x100000002u, 5 + (uint32_t)i);
        cr_assert(fabs(many[i] - one) <= 4e-15, "%d: %.17g, expected %.17g", i, many[i], one);
        sum += one, square += one * one;
    }
    cr_expect_float_eq(sum / N, 0, 4 / sqrt(N));
    cr_expect_float_eq(square / N, 1, 4 * sqrt(2.0 / N));
    for (int n = 0; n <= EDGE; n++) {
        piece[n] = -77;
        fwm_random_normals(key, 0x100000002u, 5, n, piece);
        cr_assert(piece[n] == -77, "%d numbers: one more is written", n);
        for (int i = 0; i < n; i++)
            cr_assert(piece[i] == many[i], "%d numbers: the bits of number %d depend on it", n, i);
    }
}
