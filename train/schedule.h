/* The learning rate as a pure function of the step: nothing to save, nothing to resume. */
#ifndef FWM_TRAIN_SCHEDULE_H
#define FWM_TRAIN_SCHEDULE_H

#include "model/base/status.h"

#include <stdint.h>

typedef enum tr_schedule_kind { TR_SCHEDULE_CONSTANT, TR_SCHEDULE_COSINE, TR_SCHEDULE_COUNT } tr_schedule_kind;

/* Linear warm-up over `warmup` updates to lr, which a constant schedule keeps (and wants final = 1), and a cosine one
 * lowers to final * lr over the rest of `steps`, along half a period (Loshchilov & Hutter, ICLR 2017). */
typedef struct tr_schedule {
    tr_schedule_kind kind;
    double lr;      /* peak [-], >= 0 */
    int64_t warmup; /* 0..steps */
    int64_t steps;  /* >= 1 */
    double final;   /* fraction of lr at the last update, [0, 1] */
} tr_schedule;

/* Errors: FWM_INVALID. */
fwm_status tr_schedule_check(const tr_schedule *schedule) FWM_MUST_USE;

/* Learning rate of update `step` (1, 2, ..., steps): lr / warmup at the first of a warm-up, lr at its end, final * lr
 * at `steps` and after. The schedule has passed the check. */
double tr_schedule_rate(const tr_schedule *schedule, int64_t step);

#endif
