/* One operator or composite at given numbers against expected ones, for both types, every instruction set, one and two
 * threads. Numbers are exact in float32, so that only the arithmetic of what is tested differs from the expected value.
 */
#ifndef FWM_TESTS_MODEL_OP_TRIAL_H
#define FWM_TESTS_MODEL_OP_TRIAL_H

#include "tests/model/op_check.h"

#include <omp.h>

enum { TRIAL_MAX_INPUTS = 7 };

typedef ad_value (*trial_build)(ad_graph *g, const ad_value *in, const int64_t *how);

typedef struct trial {
    const char *what;
    int n;
    ad_shape shape[TRIAL_MAX_INPUTS];
    double *x[TRIAL_MAX_INPUTS];
    ad_shape out;
    double *y;
    int64_t how[12]; /* for the builder */
} trial;

static inline int64_t trial_below(uint64_t stream, uint64_t i, int64_t n)
{
    return (int64_t)(uniform_at(stream, i) * (double)n);
}

/* Adds an input of integers 0..below-1 plus `shift`, or (below 0) of numbers in [-1,1]. */
static inline double *trial_input(trial *t, ad_shape shape, int64_t below, int64_t shift)
{
    int64_t n = ad_shape_count(&shape);
    uint64_t stream = 1000 + (uint64_t)t->n;
    double *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = below ? (double)(trial_below(stream, (uint64_t)i, below) + shift)
                     : (double)(float)(2 * uniform_at(stream, (uint64_t)i) - 1);
    t->shape[t->n] = shape;
    return t->x[t->n++] = x;
}

static inline double *trial_output(trial *t, ad_shape shape)
{
    t->out = shape;
    return t->y = calloc((size_t)ad_shape_count(&shape), sizeof(double));
}

/* Holds |found - expected| <= bound * eps of the type; ends the trial. */
static inline void trial_hold(trial *t, trial_build build, double bound)
{
    const int isa_levels[] = {1, 3, 4};
    char a[96], b[96];
    for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++) {
        ad_graph *g;
        ad_value in[TRIAL_MAX_INPUTS];
        REQUIRE(ad_graph_create(&g, dtype));
        for (int k = 0; k < t->n; k++) {
            char name[16];
            snprintf(name, sizeof name, "x%d", k);
            in[k] = ad_input(g, name, t->shape[k]);
        }
        ad_value y = build(g, in, t->how);
        REQUIRE(ad_graph_status(g));
        cr_assert(ad_shape_equal(ad_shape_of(g, y), &t->out), "%s: shape %s, expected %s", t->what,
                  ad_shape_text(ad_shape_of(g, y), a), ad_shape_text(&t->out, b));
        double limit = bound * (dtype == AD_F32 ? (double)FLT_EPSILON : DBL_EPSILON);
        for (int level = 0; level < 3 && isa_levels[level] <= fwm_isa_level(); level++)
            for (int threads = 1; threads <= 2; threads++) {
                omp_set_num_threads(threads);
                double *found =
                    evaluate(g, t->n, in, t->x, y, &(ad_plan_options){.isa_level = isa_levels[level], .poison = true});
                for (int64_t i = 0; i < ad_shape_count(&t->out); i++)
                    cr_assert(fabs(found[i] - t->y[i]) <= limit,
                              "%s f%d level %d, %d threads: [%lld] is %.12g, expected %.12g, bound %g", t->what,
                              dtype == AD_F32 ? 32 : 64, isa_levels[level], threads, (long long)i, found[i], t->y[i],
                              limit);
                free(found);
            }
        ad_graph_destroy(&g);
    }
    for (int k = 0; k < t->n; k++)
        free(t->x[k]);
    free(t->y);
}

#endif
