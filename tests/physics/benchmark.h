/* What the benchmark programs share: a row for each figure, and meshes in arrays. A program prints
 *     name  figure  published  deviation  allowed
 * and ends with status 1 where a deviation is larger than allowed. */
#ifndef FWM_TESTS_PHYSICS_BENCHMARK_H
#define FWM_TESTS_PHYSICS_BENCHMARK_H

#include "model/base/threads.h"
#include "physics/fem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) != FWM_OK) {                                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, fwm_error_message());                                   \
            exit(2);                                                                                                   \
        }                                                                                                              \
    } while (0)

static int benchmark_misses;

static inline void benchmark_row(const char *name, double found, double published, double allowed)
{
    const double off = fabs(found - published);
    const bool good = off <= allowed;
    benchmark_misses += !good;
    printf("%-52s %12.6g %12.6g %10.2e %10.2e %s\n", name, found, published, off, allowed, good ? "" : "MISSED");
    (void)fflush(stdout);
}

static inline void benchmark_header(void)
{
    printf("%-52s %12s %12s %10s %10s\n", "", "figure", "published", "deviation", "allowed");
}

typedef struct benchmark_case {
    const char *name, *about;
    void (*full)(void);
    void (*brief)(void); /* for the tests: seconds */
} benchmark_case;

/* NAME...: those; none: all. "brief" before them: the short versions. */
static inline int benchmark_main(int argc, char **argv, const benchmark_case *cases, int n)
{
    const bool brief = argc > 1 && strcmp(argv[1], "brief") == 0;
    const int first = brief ? 2 : 1;
    int run = 0;
    MUST(fwm_threads_init(2));
    benchmark_header();
    for (int k = 0; k < n; k++) {
        bool wanted = first >= argc;
        for (int i = first; i < argc; i++)
            wanted = wanted || strcmp(argv[i], cases[k].name) == 0;
        if (!wanted)
            continue;
        run++;
        printf("%s: %s\n", cases[k].name, cases[k].about);
        const double start = fwm_seconds();
        (brief ? cases[k].brief : cases[k].full)();
        printf("%.1f s\n", fwm_seconds() - start);
    }
    if (run == 0)
        fprintf(stderr, "usage: %s [brief] [NAME]...; names:", argv[0]);
    for (int k = 0; run == 0 && k < n; k++)
        fprintf(stderr, " %s%s", cases[k].name, k == n - 1 ? "\n" : "");
    fem_finalize();
    return run == 0 ? 2 : benchmark_misses > 0 ? 1 : 0;
}

static inline double *benchmark_zeros(int64_t n)
{
    double *x = calloc((size_t)n, sizeof *x);
    if (!x)
        exit(2);
    return x;
}

#endif
