/* Line charts as inline SVG, and the ticks of their axes. */
#ifndef FWM_TOOLS_REPORT_CHART_H
#define FWM_TOOLS_REPORT_CHART_H

#include "tools/report/report.h"
#include "tools/report/text.h"

enum { REPORT_MAX_TICKS = 24 };

typedef struct report_axis {
    double low, high; /* of the data, widened where they are equal */
    bool log;
    int n; /* ticks within [low, high] */
    double tick[REPORT_MAX_TICKS];
    bool labelled[REPORT_MAX_TICKS]; /* the others are fine grid lines */
} report_axis;

/* Ticks at 1, 2 or 5 times a power of ten; on a logarithmic axis at powers of ten, with 2 and 5 where there are few.
 * low <= high, both finite; both > 0 on a logarithmic axis. */
report_axis report_axis_make(double low, double high, bool log);

/* Adds one <figure> with title, drawing, legend and note. Colours and dashes come from the page's style. */
void report_chart_add(report_text *text, const report_chart *chart);

#endif
