/* fwm bench: the program's timings beside the machine's limits. */
#include "tools/bench/bench.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tools/command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { MOST = 256, LIST = 4096, BUSY = 10 /* losses of a processor, a second and thread */ };

static const struct argp_option options[] = {
    {"seconds", 0, "N", 0, "About how long to measure, preparation included; at least three rounds (default 60)", 0},
    {"threads", 0, "N", 0, "Threads (default: all)", 0},
    {"config", 0, "FILE", 0, "The experiment of step_heat, step_heat_2 and infer_1 (default configs/heat_plate.yaml)",
     0},
    {"once", 0, NULL, 0, "Open and run each once: its time, and the process's peak memory so far", 0},
    {"profile", 0, NULL, 0,
     "Measure every call of the named benchmarks' plans, for --seconds in all (default 10), and print the plans", 0},
    {"list", 0, NULL, 0, "Print the names, and what each of them measures", 0},
    {0}};

const fwm_command fwm_command_bench = {
    .name = "bench",
    .summary = "time the program's parts beside the limits of the machine",
    .arguments = "[NAME]...",
    .doc = "Measures the named benchmarks, or all of them: training steps, optimiser, finite elements, transport, "
           "loader, convolutions, "
           "matrix products, inference, start. Beside them, in the same rounds, it measures what the machine can do: "
           "multiply-adds, "
           "matrix product, memory, reading a cached file. Values are medians over the rounds. Temporary files go to "
           "TMPDIR and are "
           "removed.",
    .options = options,
    .min_arguments = 0,
    .max_arguments = -1,
};

/* ---- names ---- */

static fwm_status unknown(fwm_call *call, const char *name)
{
    char list[LIST];
    size_t at = 0;
    const bench_case *row;
    for (int i = 0; (row = bench_at(i)) != NULL && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? ", " : "", row->name);
    return fwm_misuse(call, "bench: expected a benchmark, found \"%s\"; there are %s", name, list);
}

static fwm_status choose(fwm_call *call, const bench_case **rows, int64_t *n)
{
    *n = 0;
    if (call->argument_count > MOST)
        return fwm_misuse(call, "bench: at most %d names, found %d", MOST, call->argument_count);
    for (int i = 0; i < call->argument_count; i++) {
        rows[*n] = bench_find(call->arguments[i]);
        if (rows[*n] == NULL)
            return unknown(call, call->arguments[i]);
        for (int64_t k = 0; k < *n; k++)
            if (rows[k] == rows[*n])
                return fwm_misuse(call, "bench: %s is named twice", call->arguments[i]);
        ++*n;
    }
    if (call->argument_count == 0)
        while (*n < MOST && (rows[*n] = bench_at((int)*n)) != NULL)
            ++*n;
    return FWM_OK;
}

static fwm_status print_list(const fwm_call *call, const bench_case *const *rows, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) {
        if (!call->json)
            (void)printf("%-28s %-9s %s\n", rows[i]->name, bench_unit_text(rows[i]->unit), rows[i]->about);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", rows[i]->name, "unit",
                                                    bench_unit_text(rows[i]->unit), "about", rows[i]->about));
    }
    if (call->json)
        return fwm_print_json(json_pack("{s:o}", "benchmarks", list));
    json_decref(list);
    return FWM_OK;
}

/* ---- the report ---- */

static const char *isa_text(void)
{
    return fwm_isa_level() >= 4 ? "AVX-512" : fwm_isa_level() >= 3 ? "AVX2" : "x86-64";
}

static json_t *result_json(const bench_result *r)
{
    json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o}", "name", r->row->name, "unit",
                          bench_unit_text(r->row->unit), "value", fwm_json_number(r->value), "min",
                          fwm_json_number(r->min), "max", fwm_json_number(r->max), "runs", (json_int_t)r->runs, "limit",
                          fwm_json_number(r->limit), "fraction", fwm_json_number(r->fraction));
    if (r->measured && r->row->limit != BENCH_NONE)
        (void)json_object_set_new(o, "limited_by", json_string(bench_limit_text(r->row->limit)));
    if (!r->measured)
        (void)json_object_set_new(o, "why", json_string(r->why));
    return o;
}

static fwm_status print_json(const bench_report *report, const bench_result *results, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++)
        (void)json_array_append_new(list, result_json(&results[i]));
    const double *limit = report->limit;
    return fwm_print_json(json_pack(
        "{s:i, s:s, s:f, s:I, s:I, s:{s:o, s:o, s:o, s:o}, s:o}", "threads", fwm_threads_count(), "isa", isa_text(),
        "seconds", report->seconds, "rounds", (json_int_t)report->rounds, "preempted", (json_int_t)report->preempted,
        "limits", "fma_gflops", fwm_json_number(1e-9 * limit[BENCH_FMA]), "sgemm_gflops",
        fwm_json_number(1e-9 * limit[BENCH_SGEMM]), "triad_gbs", fwm_json_number(1e-9 * limit[BENCH_TRIAD]),
        "pread_gbs", fwm_json_number(1e-9 * limit[BENCH_PREAD]), "results", list));
}

static void print_number(double x)
{
    if (isnan(x))
        (void)printf(" %9s", "-");
    else
        (void)printf(" %9.*f", fabs(x) >= 1000 ? 0 : fabs(x) >= 100 ? 1 : fabs(x) >= 1 ? 2 : 4, x);
}

static void print_row(const bench_result *r)
{
    (void)printf("%-28s", r->row->name);
    print_number(r->value);
    (void)printf(" %-8s", bench_unit_text(r->row->unit));
    print_number(r->limit);
    if (isnan(r->fraction))
        (void)printf(" %9s %-6s", "-", "");
    else
        (void)printf(" %9.2f %-6s", r->fraction, bench_limit_text(r->row->limit));
    print_number(r->min);
    print_number(r->max);
    (void)printf(" %5lld\n", (long long)r->runs);
    if (!r->measured)
        fwm_log(FWM_LOG_WARN, "not measured: %s", r->why);
}

static void print_table(const bench_report *report, const bench_result *results, int64_t n)
{
    const double *limit = report->limit;
    (void)printf("%d thread%s, %s, %lld rounds in %.0f s\n", fwm_threads_count(), fwm_threads_count() == 1 ? "" : "s",
                 isa_text(), (long long)report->rounds, report->seconds);
    (void)printf("limits: fma %.1f GFLOP/s, sgemm %.1f GFLOP/s, triad %.2f GB/s, pread %.2f GB/s\n\n",
                 1e-9 * limit[BENCH_FMA], 1e-9 * limit[BENCH_SGEMM], 1e-9 * limit[BENCH_TRIAD],
                 1e-9 * limit[BENCH_PREAD]);
    (void)printf("%-28s %9s %-8s %9s %9s %-6s %9s %9s %5s\n", "name", "value", "unit", "limit", "fraction", "of", "min",
                 "max", "runs");
    for (int64_t i = 0; i < n; i++)
        print_row(&results[i]);
    if ((double)report->preempted > BUSY * report->measured * fwm_threads_count())
        fwm_log(FWM_LOG_WARN,
                "other programs took processors away %.0f times a second: values are of a shared machine, and where "
                "threads wait "
                "for each other they are far from what it can do",
                (double)report->preempted / report->measured);
}

static fwm_status run_once(const fwm_call *call, bench_result *results, const bench_case *const *rows, int64_t n,
                           const bench_settings *settings)
{
    struct rusage use = {0};
    json_t *list = json_array();
    fwm_status status = FWM_OK;
    for (int64_t i = 0; i < n && status == FWM_OK; i++) {
        status = bench_once(&results[i], &rows[i], 1, settings);
        (void)getrusage(RUSAGE_SELF, &use);
        const double peak = 1024e-6 * (double)use.ru_maxrss;
        if (status == FWM_OK && !call->json)
            (void)printf("%-28s %9.1f ms to the end of the first run, peak memory %.1f MB\n", rows[i]->name,
                         results[i].value, peak);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:f, s:f}", "name", rows[i]->name, "first_ms", results[i].value, "peak_mb", peak));
    }
    if (status == FWM_OK && call->json)
        return fwm_print_json(json_pack("{s:o}", "once", list));
    json_decref(list);
    return status;
}

static fwm_status run_rounds(const fwm_call *call, bench_result *results, const bench_case *const *rows, int64_t n,
                             const bench_settings *settings)
{
    bench_report report = {0};
    FWM_TRY(bench_run(&report, results, rows, n, call->argument_count > 0, settings));
    if (call->json)
        return print_json(&report, results, n);
    print_table(&report, results, n);
    return FWM_OK;
}

fwm_status fwm_run_bench(fwm_call *call)
{
    const bench_case *rows[MOST];
    const bool profile = fwm_call_has(call, "profile");
    bench_settings settings = {.seconds = profile ? 10 : 60,
                               .config = fwm_call_text(call, "config", "configs/heat_plate.yaml")};
    int64_t n, threads = 0;
    FWM_TRY(fwm_call_real(call, "seconds", 0, 3600, &settings.seconds));
    FWM_TRY(fwm_call_int(call, "threads", 1, 1024, &threads));
    FWM_TRY(choose(call, rows, &n));
    if (fwm_call_has(call, "list"))
        return print_list(call, rows, n);
    FWM_TRY(fwm_threads_init((int)threads));
    if (profile) {
        if (call->argument_count == 0)
            return fwm_misuse(call, "bench --profile: expected names of benchmarks; --list has them");
        return bench_profile(rows, n, &settings, stdout);
    }
    bench_result *results = fwm_calloc((size_t)n + 1, sizeof *results);
    FWM_CHECK(results, FWM_MEMORY, "bench: out of memory");
    fwm_status status = fwm_call_has(call, "once") ? run_once(call, results, rows, n, &settings)
                                                   : run_rounds(call, results, rows, n, &settings);
    fwm_free(results);
    return status;
}
