#include "model/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char error_message[FWM_ERROR_CAPACITY];

const char *fwm_status_text(fwm_status code)
{
    static const char *const texts[] = {
#define FWM_STATUS_TEXT(name, text) text,
        FWM_STATUS_LIST(FWM_STATUS_TEXT)
#undef FWM_STATUS_TEXT
    };
    if ((int)code < 0 || code >= FWM_STATUS_COUNT)
        return "unknown status";
    return texts[code];
}

fwm_status fwm_fail(fwm_status code, const char *fmt, ...)
{
    /* Formatted aside, because an argument may point into the present message. */
    char text[FWM_ERROR_CAPACITY];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    memcpy(error_message, text, sizeof text);
    return code;
}

fwm_status fwm_fail_within(fwm_status code, const char *fmt, ...)
{
    char text[2 * FWM_ERROR_CAPACITY];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, FWM_ERROR_CAPACITY, fmt, args);
    va_end(args);
    if (n < 0)
        n = 0;
    if (n >= FWM_ERROR_CAPACITY)
        n = FWM_ERROR_CAPACITY - 1;
    (void)snprintf(text + n, sizeof text - (size_t)n, ": %s", error_message);
    fwm_error_set(text);
    return code;
}

const char *fwm_error_message(void)
{
    return error_message;
}

void fwm_error_get(char *buf, size_t capacity)
{
    if (capacity > 0)
        (void)snprintf(buf, capacity, "%s", error_message);
}

void fwm_error_set(const char *message)
{
    size_t n = strlen(message);
    if (n >= sizeof error_message)
        n = sizeof error_message - 1;
    memmove(error_message, message, n);
    error_message[n] = '\0';
}
