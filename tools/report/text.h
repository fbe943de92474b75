/* Text that grows: the page is put together in memory and written in one piece.
 *
 * Invariant: `data` ends in a zero byte once anything was added. Running out of memory sets `failed` and makes every
 * later call a no-op, so that writers need not check one by one. Start from {0}; free with report_text_free. */
#ifndef FWM_TOOLS_REPORT_TEXT_H
#define FWM_TOOLS_REPORT_TEXT_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct report_text {
    char *data;
    size_t n, capacity;
    bool failed;
} report_text;

void report_text_free(report_text *text);

/* Markup, as it stands. */
void report_text_add(report_text *text, const char *markup);
void report_text_format(report_text *text, const char *fmt, ...) FWM_PRINTF(2, 3);

/* Anybody's text, made safe between tags and in quoted attributes: & < > " ' become entities; what is no UTF-8, and
 * control characters other than tab and newline, become U+FFFD. NULL adds nothing. */
void report_text_escape(report_text *text, const char *s);

/* A number to four digits; a dash with the title "not measured" where it is not finite. */
void report_text_number(report_text *text, double x);

/* RFC 4648 base 64, with padding. */
void report_text_base64(report_text *text, const uint8_t *data, size_t n);

#endif
