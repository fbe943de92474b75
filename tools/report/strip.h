/* Rows of images: truth, predictions and their errors at chosen times, as a film, and with their scales. */
#ifndef FWM_TOOLS_REPORT_STRIP_H
#define FWM_TOOLS_REPORT_STRIP_H

#include "tools/report/report.h"
#include "tools/report/text.h"

/* Adds one <figure>. The strip has been checked. Errors: FWM_MEMORY, FWM_LIBRARY. */
fwm_status report_strip_add(report_text *text, const report_strip *strip) FWM_MUST_USE;

#endif
