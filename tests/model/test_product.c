/* Our own matrix product against sums written out: every transposition, number types, instruction sets, one and two
 * threads with equal bits; sizes around panels, chunks and register blocks. */
#include "model/autodiff/kernels/product.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"
#include "model/base/threads.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64 };

static double drawn(uint32_t stream, int64_t i) /* numbers that float holds exactly */
{
    return (double)(float)(2 * fwm_random_uniform((fwm_key){21, stream}, 0, (uint32_t)i) - 1);
}

static void *filled(ad_dtype dtype, uint32_t stream, int64_t n)
{
    void *x = malloc((size_t)n * ad_dtype_size(dtype));
    for (int64_t i = 0; i < n; i++)
        if (dtype == AD_F64)
            ((double *)x)[i] = drawn(stream, i);
        else
            ((float *)x)[i] = (float)drawn(stream, i);
    return x;
}

/* The product, computed; what lies behind the result and the scratch is held to be left alone. */
static void *compute(const int64_t s[5], ad_dtype dtype, int isa, int threads)
{
    const ad_product p = ad_product_plan(s[0], s[1], s[2], s[3] != 0, s[4] != 0, threads);
    const size_t size = ad_dtype_size(dtype), bytes = (size_t)(s[0] * s[1]) * size, room = ad_product_scratch(&p, size);
    char *c = malloc(bytes + GUARD), *scratch = aligned_alloc(64, (room + 63 + GUARD) / 64 * 64);
    void *a = filled(dtype, 1, s[0] * s[2]), *b = filled(dtype, 2, s[1] * s[2]);
    memset(c, 0xff, bytes); /* NaN: every element must be written */
    memset(scratch, 0xff, room);
    memset(c + bytes, 0x5a, GUARD);
    memset(scratch + room, 0x5a, GUARD);
    ad_product_find(dtype, isa)(&p, c, a, b, scratch);
    for (size_t i = 0; i < GUARD; i++)
        cr_assert(c[bytes + i] == 0x5a && scratch[room + i] == 0x5a, "writes behind its memory");
    free(a), free(b), free(scratch);
    return c;
}

/* Rounding errors of k products add up like a random walk: 20 times sqrt(k) half units are never seen by chance. */
static void hold(const int64_t s[5], ad_dtype dtype, const void *c)
{
    const double bound = 10 * sqrt((double)s[2]) * (dtype == AD_F64 ? DBL_EPSILON : (double)FLT_EPSILON);
    for (int64_t i = 0; i < s[0]; i++)
        for (int64_t j = 0; j < s[1]; j++) {
            double sum = 0, found = dtype == AD_F64 ? ((const double *)c)[i * s[1] + j]
                                                    : (double)((const float *)c)[i * s[1] + j];
            for (int64_t k = 0; k < s[2]; k++)
                sum += drawn(1, s[3] ? k * s[0] + i : i * s[2] + k) * drawn(2, s[4] ? j * s[2] + k : k * s[1] + j);
            cr_assert(fabs(found - sum) <= bound, "%lld x %lld x %lld [%lld,%lld]: %.9g, expected %.9g within %g",
                      (long long)s[0], (long long)s[1], (long long)s[2], (long long)i, (long long)j, found, sum, bound);
        }
}

Test(product, agrees_with_the_definition)
{
    /* m, n, k, transposed a, b */
    static const int64_t table[][5] = {
        {1, 16, 1, 0, 0},   {7, 32, 19, 0, 0},   {13, 48, 300, 0, 0}, {60, 16, 256, 0, 0}, {16, 16, 3, 1, 0},
        {48, 32, 37, 1, 0}, {32, 16, 270, 1, 0}, {16, 5, 33, 0, 1},   {32, 61, 16, 0, 1},  {16, 100, 290, 0, 1},
        {3, 16, 40, 0, 1},  {70, 48, 17, 0, 1},  {32, 16, 8, 0, 1},   {64, 80, 64, 0, 1},
    };
    const int levels[] = {1, 3, 4};
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
        const int64_t *s = table[t];
        cr_assert(ad_product_fits(s[0], s[1], s[2], s[3] != 0, s[4] != 0), "case %zu", t);
        for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++)
            for (int level = 0; level < 3 && levels[level] <= fwm_isa_level(); level++) {
                void *one = compute(s, dtype, levels[level], 1), *two = compute(s, dtype, levels[level], 2);
                hold(s, dtype, one);
                cr_assert(memcmp(one, two, (size_t)(s[0] * s[1]) * ad_dtype_size(dtype)) == 0,
                          "case %zu level %d: the bits depend on the threads", t, levels[level]);
                free(one), free(two);
            }
    }
}

Test(product, other_shapes_do_not_fit)
{
    cr_expect(!ad_product_fits(32, 24, 8, false, false), "B's columns fill no panels");
    cr_expect(!ad_product_fits(24, 32, 8, true, false), "A's columns fill no panels");
    cr_expect(!ad_product_fits(24, 40, 8, false, true), "neither side fills panels");
    cr_expect(!ad_product_fits(32, 32, 8, true, true), "both transposed");
    cr_expect(!ad_product_fits(32, 32, 0, false, false), "no terms");
    cr_expect(!ad_product_pays(1, 512, 512, false, false) && !ad_product_pays(2048, 2048, 2048, false, false));
}

/* Inside a plan: chosen for a layer over time and named; its numbers are those of float64. */
Test(product, is_chosen_and_named_in_a_plan)
{
    enum { M = 112, N = 256, K = 96 };
    double exact[N];
    for (ad_dtype dtype = AD_F64; (int)dtype >= AD_F32; dtype--) {
        ad_graph *g;
        ad_plan *plan;
        char text[4096];
        cr_assert(ad_graph_create(&g, dtype) == FWM_OK);
        const ad_value in[2] = {ad_input(g, "a", ad_shape_make(2, M, K)), ad_input(g, "b", ad_shape_make(2, K, N))};
        const ad_value y = ad_matmul(g, in[0], in[1], false, false);
        cr_assert(ad_plan_create(&plan, g, 1, &y, NULL) == FWM_OK && ad_plan_prepare(plan) == FWM_OK);
        for (uint32_t k = 0; k < 2; k++) {
            void *x = filled(dtype, k, ad_count(g, in[k]));
            memcpy(ad_plan_data(plan, in[k]), x, (size_t)ad_count(g, in[k]) * ad_dtype_size(dtype));
            free(x);
        }
        cr_assert(ad_plan_run(plan, 0, 0) == FWM_OK);
        FILE *out = fmemopen(text, sizeof text, "w");
        ad_plan_print(plan, out);
        (void)fclose(out);
        cr_expect_eq(strstr(text, "panels:A B") != NULL, dtype == AD_F32, "%s", text);
        for (int j = 0; j < N && dtype == AD_F64; j++)
            exact[j] = ((const double *)ad_plan_data(plan, y))[j];
        for (int j = 0; j < N && dtype == AD_F32; j++)
            cr_assert(fabs((double)((const float *)ad_plan_data(plan, y))[j] - exact[j]) <=
                      10 * sqrt(K) * (double)FLT_EPSILON);
        ad_plan_destroy(&plan);
        ad_graph_destroy(&g);
    }
}
