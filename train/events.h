/* The run's log of numbers, metrics.jsonl: one JSON object a line, "step" first, in the order of the steps
 * (a step may have several lines, of different names).
 *
 * Invariant: a resumed run repeats no line. A line is one write(2) to a descriptor opened for appending, so that a
 * killed process leaves at most one partial line, at the end; opening for a resumed run drops it, and drops every line
 * of a step that is about to be repeated. Numbers that are not finite become null. */
#ifndef FWM_TRAIN_EVENTS_H
#define FWM_TRAIN_EVENTS_H

#include "model/base/status.h"

#include <stdint.h>

typedef struct tr_events tr_events;

/* One number of a line. `name` is of [A-Za-z0-9_./-], and not "step". */
typedef struct tr_scalar {
    const char *name;
    double value;
} tr_scalar;

/* Opens (or makes) the log for a run that has done `done` updates: lines of later steps, and lines that are no JSON
 * object with an integer "step", are dropped (the file is written aside and renamed; the lines kept are kept to the
 * byte). done = -1 begins afresh. Errors: FWM_INVALID, FWM_IO, FWM_MEMORY; *events is then NULL and the file as it was.
 */
fwm_status tr_events_open(tr_events **events, const char *path, int64_t done) FWM_MUST_USE;

/* Appends {"step": step, name: value, ...}. Integers below 2^53 are written as integers, others with the fewest
 * of 9, 15, 16 and 17 digits that read back as the same double. Errors: FWM_INVALID (a bad name, nothing written),
 * FWM_IO, FWM_MEMORY. */
fwm_status tr_events_write(tr_events *events, int64_t step, const tr_scalar *scalars, int n) FWM_MUST_USE;

/* Closes; NULL inside is allowed. Errors: FWM_IO when the system reports lost writes; *events is NULL in any case. */
fwm_status tr_events_close(tr_events **events) FWM_MUST_USE;

/* ---- reading ---- */

/* A log as columns: values[column][row], NaN where a line lacks the number or has null. Column 0 is "step". */
typedef struct tr_history {
    int64_t rows;
    int columns;
    char **names;
    double **values;
    unsigned char **present; /* present[column][row]: 1 where the line has the name, be it null */
} tr_history;

/* Reads a log; a partial last line is left out. Errors: FWM_IO, FWM_DATA (line number in the message), FWM_MEMORY;
 * *history is then empty. */
fwm_status tr_history_read(tr_history *history, const char *path) FWM_MUST_USE;
void tr_history_free(tr_history *history);

/* The column of a name [rows], or NULL. */
const double *tr_history_column(const tr_history *history, const char *name);

/* The lines that have a name, as a curve: x (steps) and y (NaN for null), each [rows] from the caller. Returns their
 * number. */
int64_t tr_history_series(const tr_history *history, const char *name, double *x, double *y);

#endif
