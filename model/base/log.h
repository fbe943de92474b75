/* Messages for people, on standard error, and the progress bar. Results go to standard output and are the commands'
 * own. */
#ifndef FWM_BASE_LOG_H
#define FWM_BASE_LOG_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum fwm_log_level { FWM_LOG_ERROR, FWM_LOG_WARN, FWM_LOG_INFO, FWM_LOG_DEBUG } fwm_log_level;

/* Only messages at or above `level` in urgency are shown (default FWM_LOG_INFO). A message is one line. Thread-safe. */
void fwm_log_set_level(fwm_log_level level);
void fwm_log(fwm_log_level level, const char *fmt, ...) FWM_PRINTF(2, 3);

/* Ranks other than 0 are silent but for errors, which name the rank. */
void fwm_log_set_rank(int rank, int size);

/* A progress line: on a terminal a bar that redraws, elsewhere one plain line every few seconds and one at the end. */
typedef struct fwm_progress {
    const char *label;
    int64_t total, first; /* first: where a resumed count began */
    double started, drawn;
    bool terminal, open;
} fwm_progress;

void fwm_progress_start(fwm_progress *p, const char *label, int64_t first, int64_t total);
/* `text` follows rate and ETA (losses); it may be "". */
void fwm_progress_update(fwm_progress *p, int64_t done, const char *text);
void fwm_progress_finish(fwm_progress *p, int64_t done, const char *text);

#endif
