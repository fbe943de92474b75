/* Timings of the program beside the machine's limits, taken in the same minutes.
 *
 * A benchmark is a row of a table in one of the files under cases/, which the build lists: a name, a unit, what bounds
 * it, and functions that open, run and close it. What is measured is a meter: each limit and each benchmark is one. The
 * meters take turns, one sample each a round, so that a drift of the machine's speed meets all alike; a sample is one
 * run, or as many as fill some milliseconds. The value is the median over the rounds.
 *
 * Ownership: whatever open() leaves in bench_job.self belongs to the case until close(), which is called after an
 * open() that failed too. Files: bench_temporary() gives a path that bench_forget() removes; a case forgets its file as
 * soon as it is open, so that nothing stays behind a benchmark that was killed. */
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H

#include "model/autodiff/plan.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum bench_unit {
    BENCH_MS,
    BENCH_US_STATE,
    BENCH_US_CALL,
    BENCH_GFLOPS,
    BENCH_GBS,
    BENCH_UNIT_COUNT
} bench_unit;

/* What bounds a benchmark: a limit of the machine, or one that the case measures itself (limit_run). */
typedef enum bench_limit {
    BENCH_FMA,   /* multiply-adds in registers, float32 [FLOP/s] */
    BENCH_SGEMM, /* the better library's 2048 x 2048 x 2048 product, float32 [FLOP/s] */
    BENCH_TRIAD, /* a = b + f c in memory [B/s] */
    BENCH_PREAD, /* reading a cached file, one thread [B/s] */
    BENCH_LIMIT_COUNT,
    BENCH_OWN = BENCH_LIMIT_COUNT,
    BENCH_NONE
} bench_limit;

typedef struct bench_settings {
    double seconds;     /* about how long, preparation included */
    const char *config; /* the experiment of the training and inference steps */
} bench_settings;

struct bench_case;

typedef struct bench_job {
    const struct bench_case *row;
    const bench_settings *settings;
    void *self;
    double items; /* of one run. A rate counts these (FLOP, bytes); a time is divided by them */
    double need;  /* what one run takes of its limit: FLOP or bytes; not read for BENCH_OWN and BENCH_NONE */
} bench_job;

typedef struct bench_case {
    const char *name, *about;
    bench_unit unit;
    bench_limit limit;
    int64_t size[8]; /* the case's own */
    /* Fills self, items and need; FWM_IO and FWM_UNSUPPORTED mean that it cannot be measured here. */
    fwm_status (*open)(bench_job *job);
    fwm_status (*run)(void *self);
    fwm_status (*limit_run)(void *self); /* with BENCH_OWN: takes the same items from the bare machine */
    void (*rest)(void *self);            /* called after a sample, untimed: lets threads come to rest; may be NULL */
    ad_plan *(*plan)(void *self);        /* the plan that run() runs, for bench_profile; may be NULL */
    void (*close)(void *self);
} bench_case;

/* All benchmarks, in the order of files and rows; NULL past the end. */
const bench_case *bench_at(int i);
const bench_case *bench_find(const char *name);

typedef struct bench_result {
    const bench_case *row;
    bool measured;          /* false: it cannot be measured here, `why` says the reason */
    double value, min, max; /* median, smallest and largest of the rounds [unit] */
    int64_t runs;           /* rounds */
    double limit, fraction; /* limit in the same unit, NaN without one; the share of it that is reached */
    char why[512];
} bench_result;

typedef struct bench_report {
    double limit[BENCH_LIMIT_COUNT]; /* medians [FLOP/s or B/s] */
    double seconds, measured;        /* in all; of the rounds alone */
    int64_t rounds;
    int64_t preempted; /* how often the system took a processor from a thread of ours during the rounds */
} bench_report;

const char *bench_unit_text(bench_unit unit);
const char *bench_limit_text(bench_limit limit); /* "fma", "sgemm", "triad", "pread", "own", "" */

/* Measures rows[n]; results[n] in the same order. `strict`: a benchmark that cannot be measured is an error, otherwise
 * its result says why. Errors: any failure of a run; FWM_MEMORY. */
fwm_status bench_run(bench_report *report, bench_result *results, const bench_case *const *rows, int64_t n, bool strict,
                     const bench_settings *settings) FWM_MUST_USE;

/* Opens, runs once and closes each of rows[n], one after the other: results[i].value is the time of both in ms, the
 * rest is not set. Errors: any failure. */
fwm_status bench_once(bench_result *results, const bench_case *const *rows, int64_t n,
                      const bench_settings *settings) FWM_MUST_USE;

/* Opens each of rows[n], runs it for about settings->seconds / n with every call of its plan measured, prints the plan
 * (ad_plan_print), closes it. Errors: FWM_UNSUPPORTED for a row without a plan; any failure. */
fwm_status bench_profile(const bench_case *const *rows, int64_t n, const bench_settings *settings,
                         FILE *out) FWM_MUST_USE;

/* ---- the machine's limits (limits.c) ---- */
typedef struct bench_machine bench_machine;
fwm_status bench_machine_create(bench_machine **machine) FWM_MUST_USE;
void bench_machine_destroy(bench_machine **machine);
/* One run of a limit; self is the machine. */
typedef fwm_status (*bench_runner)(void *self);
bench_runner bench_machine_runner(bench_limit limit);
double bench_machine_items(const bench_machine *machine, bench_limit limit); /* FLOP or bytes of one run */

/* ---- what cases share (support.c) ---- */

/* `count` normal numbers, always the same; they repeat after 65536. */
void bench_fill(float *x, int64_t count);
enum { BENCH_PATH = 512 };
/* The path of a file to be written, in a new folder of its own under the system's temporary one. */
fwm_status bench_temporary(char path[BENCH_PATH]) FWM_MUST_USE;
/* Removes the file, if it is there, and its folder. */
void bench_forget(const char *path);
/* An unnamed file of `size` bytes in the page cache, open for reading; the caller closes it. */
fwm_status bench_plain_file(int *fd, int64_t size) FWM_MUST_USE;
/* Reads exactly `size` bytes at `offset`. */
fwm_status bench_read(int fd, void *to, int64_t size, int64_t offset) FWM_MUST_USE;

#endif
