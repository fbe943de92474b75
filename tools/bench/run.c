/* Meters in turn, round after round, and what is made of their samples. */
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tools/bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { ROUNDS_LEAST = 3, ROUNDS_MOST = 200, REPEATS_MOST = 100000 };
static const double SAMPLE_SECONDS = 0.010; /* what the clock and one thread's awakening cannot disturb */

/* ---- names ---- */

#define X(name) extern const bench_case bench_cases_##name[];
#include "benchmarks.def" /* made by the build */
#undef X

const bench_case *bench_at(int i)
{
    static const bench_case *const files[] = {
#define X(name) bench_cases_##name,
#include "benchmarks.def"
#undef X
    };
    for (size_t f = 0; f < sizeof files / sizeof *files; f++)
        for (const bench_case *row = files[f]; row->name != NULL; row++)
            if (i-- == 0)
                return row;
    return NULL;
}

const bench_case *bench_find(const char *name)
{
    const bench_case *row;
    for (int i = 0; (row = bench_at(i)) != NULL; i++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static const struct {
    const char *text;
    bool rate;
    double scale; /* of seconds an item, or items a second */
} units[BENCH_UNIT_COUNT] = {
    [BENCH_MS] = {"ms", false, 1e3},           [BENCH_US_STATE] = {"us/state", false, 1e6},
    [BENCH_US_CALL] = {"us/call", false, 1e6}, [BENCH_GFLOPS] = {"GFLOP/s", true, 1e-9},
    [BENCH_GBS] = {"GB/s", true, 1e-9},
};

const char *bench_unit_text(bench_unit unit)
{
    return units[unit].text;
}

const char *bench_limit_text(bench_limit limit)
{
    static const char *const text[] = {[BENCH_FMA] = "fma",     [BENCH_SGEMM] = "sgemm", [BENCH_TRIAD] = "triad",
                                       [BENCH_PREAD] = "pread", [BENCH_OWN] = "own",     [BENCH_NONE] = ""};
    return text[limit];
}

static double in_unit(bench_unit unit, double seconds, double items)
{
    return units[unit].scale * (units[unit].rate ? items / seconds : seconds / items);
}

/* ---- meters ---- */

typedef struct meter {
    bench_runner run;
    void (*rest)(void *self);
    void *self;
    int repeats, samples;
    double sample[ROUNDS_MOST]; /* seconds of one run */
} meter;

static fwm_status measure(meter *m, double *seconds)
{
    const double start = fwm_seconds();
    for (int i = 0; i < m->repeats; i++)
        FWM_TRY(m->run(m->self));
    *seconds = (fwm_seconds() - start) / m->repeats;
    if (m->rest)
        m->rest(m->self);
    return FWM_OK;
}

/* The first run touches memory and makes what is made once, the second one tells how many fill a sample. */
static fwm_status warm_up(meter *m, bench_runner run, void (*rest)(void *), void *self)
{
    double seconds;
    *m = (meter){.run = run, .rest = rest, .self = self, .repeats = 1};
    FWM_TRY(measure(m, &seconds));
    FWM_TRY(measure(m, &seconds));
    const double repeats = ceil(SAMPLE_SECONDS / fmax(seconds, 1e-9));
    m->repeats = repeats < REPEATS_MOST ? (int)repeats : REPEATS_MOST;
    return FWM_OK;
}

static fwm_status sample(meter *m)
{
    double seconds;
    FWM_TRY(measure(m, &seconds));
    m->sample[m->samples++] = seconds;
    return FWM_OK;
}

static int by_value(const void *a_, const void *b_)
{
    const double a = *(const double *)a_, b = *(const double *)b_;
    return (a > b) - (a < b);
}

/* Sorts the samples; the middle one, or the mean of the two in the middle. */
static double median(meter *m)
{
    qsort(m->sample, (size_t)m->samples, sizeof *m->sample, by_value);
    const int half = m->samples / 2;
    return m->samples % 2 == 1 ? m->sample[half] : 0.5 * (m->sample[half - 1] + m->sample[half]);
}

/* ---- a session ---- */

typedef struct entry {
    bench_job job;
    bool open;
    meter main, limit; /* limit: for BENCH_OWN */
} entry;

typedef struct session {
    bench_machine *machine;
    meter limit[BENCH_LIMIT_COUNT];
    entry *entries;
    int64_t n;
} session;

static fwm_status open_entry(entry *e)
{
    const bench_case *row = e->job.row;
    const double start = fwm_seconds();
    fwm_status status = row->open(&e->job);
    const double opened = fwm_seconds() - start;
    if (status == FWM_OK)
        status = warm_up(&e->main, row->run, row->rest, e->job.self);
    if (status == FWM_OK && row->limit == BENCH_OWN)
        status = warm_up(&e->limit, row->limit_run, NULL, e->job.self);
    e->open = status == FWM_OK;
    fwm_log(FWM_LOG_DEBUG, "%s: opened in %.2f s, first runs %.2f s", row->name, opened,
            fwm_seconds() - start - opened);
    if (!e->open) {
        row->close(e->job.self);
        status = fwm_fail_within(status, "%s", row->name);
    }
    return status;
}

static fwm_status prepare(session *s, bench_result *results, bool strict)
{
    for (int64_t i = 0; i < s->n; i++) {
        const fwm_status status = open_entry(&s->entries[i]);
        if (status != FWM_OK && (strict || (status != FWM_IO && status != FWM_UNSUPPORTED)))
            return status;
        if (status != FWM_OK)
            (void)snprintf(results[i].why, sizeof results[i].why, "%s", fwm_error_message());
    }
    const double start = fwm_seconds();
    FWM_TRY(bench_machine_create(&s->machine));
    for (int k = 0; k < BENCH_LIMIT_COUNT; k++)
        FWM_TRY(warm_up(&s->limit[k], bench_machine_runner((bench_limit)k), NULL, s->machine));
    fwm_log(FWM_LOG_DEBUG, "limits: prepared in %.2f s", fwm_seconds() - start);
    return FWM_OK;
}

static fwm_status one_round(session *s)
{
    for (int k = 0; k < BENCH_LIMIT_COUNT; k++)
        FWM_TRY(sample(&s->limit[k]));
    for (int64_t i = 0; i < s->n; i++) {
        entry *e = &s->entries[i];
        if (!e->open)
            continue;
        FWM_TRY(sample(&e->main));
        if (e->job.row->limit == BENCH_OWN)
            FWM_TRY(sample(&e->limit));
    }
    return FWM_OK;
}

static int64_t preemptions(void)
{
    struct rusage use = {0};
    (void)getrusage(RUSAGE_SELF, &use);
    return use.ru_nivcsw;
}

/* Rounds until the next one would end too late. */
static fwm_status measure_all(session *s, double end, bench_report *report)
{
    const double start = fwm_seconds();
    const int64_t before = preemptions();
    int64_t *rounds = &report->rounds;
    fwm_log(FWM_LOG_INFO, "all is prepared, measuring for %.0f s", fmax(end - start, 0));
    for (*rounds = 0; *rounds < ROUNDS_MOST; ++*rounds) {
        const double spent = fwm_seconds() - start, each = *rounds > 0 ? spent / (double)*rounds : 0;
        if (*rounds >= ROUNDS_LEAST && start + spent + each > end)
            break;
        FWM_TRY(one_round(s));
    }
    report->preempted = preemptions() - before;
    report->measured = fwm_seconds() - start;
    return FWM_OK;
}

/* What one run would take at the limit, in the unit of the result. */
static double limit_in_unit(entry *e, const bench_report *report)
{
    const bench_case *row = e->job.row;
    if (row->limit == BENCH_NONE)
        return (double)NAN;
    if (row->limit == BENCH_OWN)
        return in_unit(row->unit, median(&e->limit), e->job.items);
    return in_unit(row->unit, e->job.need / report->limit[row->limit], e->job.items);
}

static void conclude(session *s, bench_report *report, bench_result *results)
{
    for (int k = 0; k < BENCH_LIMIT_COUNT; k++)
        report->limit[k] = bench_machine_items(s->machine, (bench_limit)k) / median(&s->limit[k]);
    for (int64_t i = 0; i < s->n; i++) {
        entry *e = &s->entries[i];
        bench_result *r = &results[i];
        r->row = e->job.row;
        r->measured = e->open;
        r->value = r->min = r->max = r->limit = r->fraction = (double)NAN;
        if (!e->open)
            continue;
        const bool rate = units[r->row->unit].rate;
        r->value = in_unit(r->row->unit, median(&e->main), e->job.items);
        const double quick = in_unit(r->row->unit, e->main.sample[0], e->job.items);
        const double slow = in_unit(r->row->unit, e->main.sample[e->main.samples - 1], e->job.items);
        r->min = rate ? slow : quick;
        r->max = rate ? quick : slow;
        r->runs = e->main.samples;
        r->limit = limit_in_unit(e, report);
        r->fraction = rate ? r->value / r->limit : r->limit / r->value;
    }
}

fwm_status bench_run(bench_report *report, bench_result *results, const bench_case *const *rows, int64_t n, bool strict,
                     const bench_settings *settings)
{
    const double start = fwm_seconds();
    session s = {.entries = fwm_calloc((size_t)n + 1, sizeof *s.entries), .n = n};
    FWM_CHECK(s.entries, FWM_MEMORY, "bench: out of memory");
    memset(results, 0, (size_t)n * sizeof *results);
    for (int64_t i = 0; i < n; i++)
        s.entries[i].job = (bench_job){.row = rows[i], .settings = settings};
    fwm_status status = prepare(&s, results, strict);
    if (status == FWM_OK)
        status = measure_all(&s, start + settings->seconds, report);
    if (status == FWM_OK)
        conclude(&s, report, results);
    report->seconds = fwm_seconds() - start;
    for (int64_t i = 0; i < n; i++)
        if (s.entries[i].open)
            s.entries[i].job.row->close(s.entries[i].job.self);
    bench_machine_destroy(&s.machine);
    fwm_free(s.entries);
    return status;
}

fwm_status bench_once(bench_result *results, const bench_case *const *rows, int64_t n, const bench_settings *settings)
{
    for (int64_t i = 0; i < n; i++) {
        bench_job job = {.row = rows[i], .settings = settings};
        const double start = fwm_seconds();
        fwm_status status = rows[i]->open(&job);
        if (status == FWM_OK)
            status = rows[i]->run(job.self);
        results[i] =
            (bench_result){.row = rows[i], .measured = true, .value = 1e3 * (fwm_seconds() - start), .runs = 1};
        rows[i]->close(job.self);
        if (status != FWM_OK)
            return fwm_fail_within(status, "%s", rows[i]->name);
    }
    return FWM_OK;
}

static fwm_status profile_case(bench_job *job, double seconds, FILE *out)
{
    const bench_case *row = job->row;
    FWM_CHECK(row->plan, FWM_UNSUPPORTED, "it runs no plan of the engine whose calls could be measured");
    FWM_TRY(row->open(job));
    FWM_TRY(row->run(job->self)); /* touches memory */
    ad_plan *plan = row->plan(job->self);
    ad_plan_profile(plan, true);
    const double end = fwm_seconds() + seconds;
    do
        FWM_TRY(row->run(job->self));
    while (fwm_seconds() < end);
    ad_plan_print(plan, out);
    return FWM_OK;
}

fwm_status bench_profile(const bench_case *const *rows, int64_t n, const bench_settings *settings, FILE *out)
{
    for (int64_t i = 0; i < n; i++) {
        bench_job job = {.row = rows[i], .settings = settings};
        fwm_status status = profile_case(&job, settings->seconds / (double)n, out);
        rows[i]->close(job.self);
        if (status != FWM_OK)
            return fwm_fail_within(status, "%s", rows[i]->name);
    }
    return FWM_OK;
}
