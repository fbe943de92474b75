#include "tools/report/text.h"

#include "model/base/arena.h"
#include "model/base/checked.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void report_text_free(report_text *t)
{
    fwm_free(t->data);
    *t = (report_text){0};
}

/* Room for `more` bytes and the final zero. */
static bool reserve(report_text *t, size_t more)
{
    size_t need;
    if (t->failed)
        return false;
    if (!fwm_add_size(t->n, more, &need) || !fwm_add_size(need, 1, &need)) {
        t->failed = true;
        return false;
    }
    if (need <= t->capacity)
        return true;
    size_t capacity = t->capacity + t->capacity / 2 + 4096;
    if (capacity < need)
        capacity = need;
    char *data = fwm_realloc(t->data, capacity, 1);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data, t->capacity = capacity;
    return true;
}

static void add_bytes(report_text *t, const char *s, size_t n)
{
    if (!reserve(t, n))
        return;
    memcpy(t->data + t->n, s, n);
    t->n += n;
    t->data[t->n] = '\0';
}

void report_text_add(report_text *t, const char *markup)
{
    add_bytes(t, markup, strlen(markup));
}

void report_text_format(report_text *t, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0)
        t->failed = true;
    else if (reserve(t, (size_t)n)) {
        (void)vsnprintf(t->data + t->n, (size_t)n + 1, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

/* Bytes of the UTF-8 sequence at s, 0 where it is none (overlong, surrogate, beyond U+10FFFF, cut short). */
static size_t sequence(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    bool bad = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
               (s[0] == 0xF4 && s[1] > 0x8F);
    return bad ? 0 : n;
}

static const char *entity(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return (c < 0x20 && c != '\t' && c != '\n') || c == 0x7F ? "\xEF\xBF\xBD" : NULL;
    }
}

void report_text_escape(report_text *t, const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    while (p && *p) {
        size_t n = sequence(p);
        const char *instead = n == 0 ? "\xEF\xBF\xBD" : n == 1 ? entity(*p) : NULL;
        if (instead)
            report_text_add(t, instead);
        else
            add_bytes(t, (const char *)p, n);
        p += n == 0 ? 1 : n;
    }
}

void report_text_number(report_text *t, double x)
{
    if (isfinite(x))
        report_text_format(t, "%.4g", x);
    else
        report_text_add(t, "<span class=\"none\" title=\"not measured\">\xE2\x80\x93</span>");
}

void report_text_base64(report_text *t, const uint8_t *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length;
    if (!fwm_mul_size((n + 2) / 3, 4, &length) || !reserve(t, length)) {
        t->failed = true;
        return;
    }
    char *out = t->data + t->n;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t b = (uint32_t)data[i] << 16;
        if (i + 1 < n)
            b |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < n)
            b |= data[i + 2];
        *out++ = digits[b >> 18];
        *out++ = digits[b >> 12 & 63];
        *out++ = i + 1 < n ? digits[b >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[b & 63] : '=';
    }
    *out = '\0';
    t->n += length;
}
