/* The report of a generator of points: figures, curves, the detected boundary and where points fall. */
#ifndef TOOLS_REPORT_POINTS_REPORT_H
#define TOOLS_REPORT_POINTS_REPORT_H

#include "train/trainer.h"

/* `log` is the run's metrics.jsonl; where it cannot be read the training curves are left out. */
fwm_status report_points(const char *path, const tr_trained *trained, const tr_points_report *points, const char *split,
                         const char *log) FWM_MUST_USE;

#endif
