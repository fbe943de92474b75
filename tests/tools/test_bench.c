/* fwm bench as a script meets it: the keys that it may rely on, numbers that make sense, and what it refuses. */
#include "model/autodiff/kernels/machine.h"
#include "model/base/threads.h"
#include "tools/bench/bench.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(json_t **object, char *text, size_t capacity, const char *arguments)
{
    char command[1024];
    const char *build = getenv("FWM_BUILD");
    (void)snprintf(command, sizeof command, "%s/fwm bench %s", build ? build : "build", arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    const size_t n = fread(text, 1, capacity - 1, pipe);
    text[n] = '\0';
    const int status = pclose(pipe);
    cr_assert(WIFEXITED(status));
    *object = json_loads(text, 0, NULL);
    return WEXITSTATUS(status);
}

static double number(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    cr_assert(json_is_number(x), "%s is missing", key);
    return json_number_value(x);
}

Test(bench, promised_keys)
{
    static char text[1 << 16];
    json_t *report;
    cr_assert_eq(run(&report, text, sizeof text, "adamw startup --json --threads 1 --seconds 0 2>/dev/null"), 0);
    cr_assert(json_is_object(report), "%s", text);
    cr_expect_eq(number(report, "threads"), 1);
    static const char *const limits[] = {"fma_gflops", "sgemm_gflops", "triad_gbs", "pread_gbs"};
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++)
        cr_expect_gt(number(json_object_get(report, "limits"), limits[k]), 0, "%s", limits[k]);
    const json_t *results = json_object_get(report, "results"), *adamw = json_array_get(results, 0);
    cr_assert_eq(json_array_size(results), 2);
    cr_expect_str_eq(json_string_value(json_object_get(adamw, "name")), "adamw");
    cr_expect_str_eq(json_string_value(json_object_get(adamw, "unit")), "ms");
    const double value = number(adamw, "value"), limit = number(adamw, "limit");
    cr_expect_gt(number(adamw, "min"), 0);
    cr_expect_leq(number(adamw, "min"), value);
    cr_expect_geq(number(adamw, "max"), value);
    cr_expect_geq(number(adamw, "runs"), 3);
    /* The limit is 28 bytes for each of 8.1 M parameters at the triad's rate, the fraction the share of it that is
     * reached; printed with 15 digits or more. */
    const double expected = 1e3 * 28 * 8.1e6 / (1e9 * number(json_object_get(report, "limits"), "triad_gbs"));
    cr_expect_float_eq(limit, expected, 1e-12 * expected);
    cr_expect_float_eq(number(adamw, "fraction"), limit / value, 1e-12 * limit / value);
    /* What has no limit has null there. */
    const json_t *startup = json_array_get(results, 1);
    cr_expect_gt(number(startup, "value"), 0);
    cr_expect(json_is_null(json_object_get(startup, "limit")));
    cr_expect(json_is_null(json_object_get(startup, "fraction")));
    json_decref(report);
}

/* Opened and run once each, in the order given. */
Test(bench, once)
{
    static char text[1 << 16];
    json_t *report;
    cr_assert_eq(run(&report, text, sizeof text, "sgd overhead --once --json --threads 1 2>/dev/null"), 0);
    const json_t *once = json_object_get(report, "once");
    cr_assert_eq(json_array_size(once), 2, "%s", text);
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(once, 0), "name")), "sgd");
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(once, 1), "name")), "overhead");
    for (size_t k = 0; k < 2; k++)
        cr_expect_gt(number(json_array_get(once, k), "first_ms"), 0);
    /* Four vectors of 8.1 M numbers, of which sgd touches three. */
    cr_expect_gt(number(json_array_get(once, 0), "peak_mb"), 3 * 4 * 8.1);
    json_decref(report);
    cr_assert_eq(run(&report, text, sizeof text, "infer_1 --once --config no/such.yaml 2>&1"), 1);
    cr_expect_not_null(strstr(text, "no/such.yaml"), "%s", text);
}

/* Every call of the plan with time and fraction; what runs no plan, and no name at all, are refused. */
Test(bench, profile)
{
    static char text[1 << 16];
    json_t *none;
    cr_assert_eq(run(&none, text, sizeof text, "gemm_16_512_512_nt --profile --seconds 0 --threads 1 2>&1"), 0);
    cr_expect_not_null(strstr(text, "[16,512] [512,512] -> [16,512]"), "%s", text);
    cr_expect_not_null(strstr(text, " GFLOP/s "), "%s", text);
    cr_expect_not_null(strstr(text, "by operator"), "%s", text);
    cr_assert_eq(run(&none, text, sizeof text, "adamw --profile 2>&1"), 1);
    cr_expect_not_null(strstr(text, "adamw: it runs no plan"), "%s", text);
    cr_assert_eq(run(&none, text, sizeof text, "--profile 2>&1"), 2);
}

Test(bench, unknown_name_lists_the_names)
{
    static char text[1 << 16];
    json_t *none;
    cr_assert_eq(run(&none, text, sizeof text, "adamw nosuch 2>&1"), 2);
    cr_expect_null(none);
    cr_expect_not_null(strstr(text, "\"nosuch\""), "%s", text);
    const bench_case *row;
    int count = 0;
    for (; (row = bench_at(count)) != NULL; count++)
        cr_expect_not_null(strstr(text, row->name), "%s is not in the list", row->name);
    cr_expect_geq(count, 20);
    cr_assert_eq(run(&none, text, sizeof text, "adamw adamw 2>&1"), 2);
    cr_expect_not_null(strstr(text, "twice"), "%s", text);
}

/* Asked for by name, what cannot be measured is an error that says why. */
Test(bench, missing_experiment)
{
    static char text[1 << 16];
    json_t *none;
    cr_assert_eq(run(&none, text, sizeof text, "infer_1 --config no/such.yaml --seconds 0 2>&1"), 1);
    cr_expect_not_null(strstr(text, "infer_1: "), "%s", text);
    cr_expect_not_null(strstr(text, "no/such.yaml"), "%s", text);
}

Test(bench, rows_are_whole)
{
    const bench_case *row;
    for (int i = 0; (row = bench_at(i)) != NULL; i++) {
        cr_expect_eq(bench_find(row->name), row, "%s is there twice", row->name);
        cr_expect(row->about && row->about[0] != '\0', "%s", row->name);
        cr_expect(row->open && row->run && row->close, "%s", row->name);
        cr_expect_eq(row->limit == BENCH_OWN, row->limit_run != NULL, "%s", row->name);
    }
}

/* Every row opens, runs and closes; what it counts is positive. Rows that simulate or write tens of megabytes are left
 * to the next test. */
static bool is_light(const char *name)
{
    return strncmp(name, "conv", 4) == 0 || strncmp(name, "gemm_1", 6) == 0 || strncmp(name, "sinkhorn_2", 10) == 0 ||
           strstr(name, "heat_P1") != NULL;
}

Test(bench, rows_run)
{
    const bench_settings settings = {.config = "configs/heat_plate.yaml"};
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    const bench_case *row;
    int count = 0;
    for (int i = 0; (row = bench_at(i)) != NULL; i++) {
        if (!is_light(row->name))
            continue;
        bench_job job = {.row = row, .settings = &settings};
        cr_assert_eq(row->open(&job), FWM_OK, "%s: %s", row->name, fwm_error_message());
        cr_expect_eq(row->run(job.self), FWM_OK, "%s: %s", row->name, fwm_error_message());
        cr_expect_gt(job.items, 0, "%s", row->name);
        cr_expect(row->limit >= BENCH_LIMIT_COUNT || job.need > 0, "%s", row->name);
        row->close(job.self);
        count++;
    }
    cr_expect_geq(count, 20);
}

/* A convolution's FLOPs by its definition: batch 16, 32x32 outputs, 9 x 64 products for each of 64 channels. */
Test(bench, convolution_counts)
{
    bench_job job = {.row = bench_find("conv_64_64_k3_32_weights")};
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    cr_assert_eq(job.row->open(&job), FWM_OK, "%s", fwm_error_message());
    cr_expect_float_eq(job.items, 2.0 * 16 * 32 * 32 * 64 * 9 * 64, 0.5);
    job.row->close(job.self);
}

/* The loader's clips and the bare reads beside it; nothing stays in the temporary folder. */
Test(bench, loader_leaves_nothing_behind)
{
    char folder[] = "/tmp/fwm-bench-test-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(setenv("TMPDIR", folder, 1), 0);
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    bench_job job = {.row = bench_find("loader_chunked")};
    cr_assert_eq(job.row->open(&job), FWM_OK, "%s", fwm_error_message());
    cr_expect_eq(rmdir(folder), 0, "something is left in %s", folder);
    cr_expect_eq(job.row->run(job.self), FWM_OK, "%s", fwm_error_message());
    cr_expect_eq(job.row->limit_run(job.self), FWM_OK, "%s", fwm_error_message());
    cr_expect_float_eq(job.items, 32.0 * 16 * 8 * 64 * 64 * 3, 0.5);
    job.row->close(job.self);
}

/* The limits' loops compute what they say, for every instruction set of this machine and both types. */
Test(bench, machine_loops)
{
    enum { N = 256 };
    static _Alignas(64) double a[N], b[N], c[N];
    for (int dtype = AD_F32; dtype <= AD_F64; dtype++)
        for (int level = 1; level <= fwm_isa_level(); level += level == 1 ? 2 : 1) {
            const ad_machine_kernels *k = ad_machine_find((ad_dtype)dtype, level);
            for (int i = 0; i < N; i++) {
                a[i] = 0;
                if (dtype == AD_F64) {
                    b[i] = i;
                    c[i] = 2 * i;
                } else {
                    ((float *)b)[i] = (float)i;
                    ((float *)c)[i] = (float)(2 * i);
                }
            }
            k->triad(a, b, c, 1.5, N);
            for (int i = 0; i < N; i++) /* i + 3 i: exact in both types */
                cr_assert_eq(dtype == AD_F64 ? a[i] : (double)((const float *)a)[i], 4.0 * i, "level %d, %d", level, i);
            /* One round of x = 0.5 x + 4 from x = 4, 8, ..., 48 in every lane: sum over chains of (2 k + 4), k = 1..12,
             * is 204 a lane; lanes = FLOPs a round / 24. All exact. */
            cr_assert_eq(k->multiply_add(1, 0.5, 4), 204 * k->flops_per_round / 24, "level %d", level);
        }
}
