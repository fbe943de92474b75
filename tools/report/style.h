/* The page's style sheet: one column of sections, colours as variables for light, dark and paper. */
#ifndef FWM_TOOLS_REPORT_STYLE_H
#define FWM_TOOLS_REPORT_STYLE_H

extern const char report_style[];

#endif
