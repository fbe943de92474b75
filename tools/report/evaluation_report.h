/* The report of an evaluation: fills report.h's plain structs from what train/ measured. */
#ifndef TOOLS_REPORT_EVALUATION_REPORT_H
#define TOOLS_REPORT_EVALUATION_REPORT_H

#include "train/trainer.h"

/* `log` is the run's metrics.jsonl; where it cannot be read the training curves are left out. */
fwm_status report_evaluation(const char *path, const tr_trained *trained, const tr_evaluation *evaluation,
                             const char *split, const char *log) FWM_MUST_USE;

#endif
