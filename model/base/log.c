#include "model/base/log.h"

#include "model/base/threads.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static fwm_log_level shown = FWM_LOG_INFO;
static int my_rank, n_ranks = 1;
static fwm_progress *drawn_bar; /* a bar on the terminal's last line, which a message must not cut through */

enum { LINE_CAPACITY = 2400, BAR_WIDTH = 24 };
static const double TERMINAL_PERIOD = 0.1, PLAIN_PERIOD = 5.0;

void fwm_log_set_level(fwm_log_level level)
{
    shown = level;
}

void fwm_log_set_rank(int rank, int size)
{
    my_rank = rank;
    n_ranks = size;
}

void fwm_log(fwm_log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
    if (level > shown || (my_rank != 0 && level != FWM_LOG_ERROR))
        return;
    char line[LINE_CAPACITY];
    int n = snprintf(line, sizeof line, "%s%s", drawn_bar ? "\r\033[K" : "", names[level]);
    if (n_ranks > 1 && level == FWM_LOG_ERROR)
        n += snprintf(line + n, sizeof line - (size_t)n, "rank %d: ", my_rank);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, args);
    va_end(args);
    size_t end = strlen(line);
    line[end] = '\n';
    (void)!write(STDERR_FILENO, line, end + 1); /* one call a line, so that threads do not mix theirs */
}

void fwm_progress_start(fwm_progress *p, const char *label, int64_t first, int64_t total)
{
    *p = (fwm_progress){.label = label, .total = total, .first = first, .started = fwm_seconds()};
    p->drawn = p->started;
    p->terminal = isatty(STDERR_FILENO) != 0;
    p->open = my_rank == 0 && shown >= FWM_LOG_INFO;
}

static void format_eta(char *out, size_t capacity, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        (void)snprintf(out, capacity, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(out, capacity, "%ld:%02ld", s / 60, s % 60);
}

static void draw(fwm_progress *p, int64_t done, const char *text, double now)
{
    double elapsed = now - p->started;
    double rate = elapsed > 0 ? (double)(done - p->first) / elapsed : 0;
    char eta[32] = "-";
    if (rate > 0)
        format_eta(eta, sizeof eta, (double)(p->total - done) / rate);
    char line[LINE_CAPACITY];
    int n;
    if (p->terminal) {
        char bar[BAR_WIDTH + 1];
        int64_t filled = p->total > 0 ? done * BAR_WIDTH / p->total : BAR_WIDTH;
        for (int i = 0; i < BAR_WIDTH; i++)
            bar[i] = i < filled ? '=' : ' ';
        bar[BAR_WIDTH] = '\0';
        n = snprintf(line, sizeof line, "\r\033[K%s [%s] %lld/%lld  %.3g/s  ETA %s  %s", p->label, bar, (long long)done,
                     (long long)p->total, rate, eta, text);
    } else {
        n = snprintf(line, sizeof line, "%s %lld/%lld  %.3g/s  ETA %s  %s\n", p->label, (long long)done,
                     (long long)p->total, rate, eta, text);
    }
    if (n > 0)
        (void)!write(STDERR_FILENO, line, n < LINE_CAPACITY ? (size_t)n : LINE_CAPACITY - 1);
    drawn_bar = p->terminal ? p : NULL;
    p->drawn = now;
}

void fwm_progress_update(fwm_progress *p, int64_t done, const char *text)
{
    if (!p->open)
        return;
    double now = fwm_seconds();
    if (now - p->drawn >= (p->terminal ? TERMINAL_PERIOD : PLAIN_PERIOD))
        draw(p, done, text, now);
}

void fwm_progress_finish(fwm_progress *p, int64_t done, const char *text)
{
    if (!p->open)
        return;
    draw(p, done, text, fwm_seconds());
    if (p->terminal)
        (void)!write(STDERR_FILENO, "\n", 1);
    drawn_bar = NULL;
    p->open = false;
}
