#include "train/events.h"

#include "model/base/arena.h"
#include "model/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tr_events {
    int fd;
    char *path;
    char *line; /* [capacity] */
    size_t capacity;
};

static fwm_status io_error(const char *what, const char *path)
{
    return fwm_fail(FWM_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static fwm_status write_all(int fd, const char *data, size_t n, const char *path)
{
    while (n > 0) {
        ssize_t done = write(fd, data, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return io_error("write", path);
        data += done, n -= (size_t)done;
    }
    return FWM_OK;
}

/* ---- opening ---- */

/* The step of a whole line, newline included; false where it is none of ours. */
static bool line_step(const char *line, size_t n, json_int_t *step)
{
    if (n == 0 || line[n - 1] != '\n')
        return false;
    json_t *object = json_loadb(line, n, 0, NULL);
    json_t *value = json_object_get(object, "step");
    bool found = json_is_integer(value);
    if (found)
        *step = json_integer_value(value);
    json_decref(object);
    return found;
}

/* Copies the lines to keep; counts what it leaves out. */
static fwm_status copy_kept(FILE *in, FILE *out, const char *path, int64_t done, int64_t *later, int64_t *broken)
{
    char *line = NULL;
    size_t capacity = 0;
    fwm_status status = FWM_OK;
    for (ssize_t n; (n = getline(&line, &capacity, in)) > 0;) {
        json_int_t step;
        if (!line_step(line, (size_t)n, &step))
            (*broken)++;
        else if (step > done)
            (*later)++;
        else if (fwrite(line, 1, (size_t)n, out) != (size_t)n)
            FWM_TRY_GOTO(status, io_error("write a copy beside it", path));
    }
    if (ferror(in))
        status = io_error("read", path);
done:
    free(line);
    return status;
}

/* Drops from the file what a run that has done `done` updates will write again, and what is broken. */
static fwm_status drop_lines(const char *path, int64_t done)
{
    size_t size = strlen(path) + 8;
    char *aside = fwm_malloc(size, 1);
    FILE *in = NULL, *out = NULL;
    int64_t later = 0, broken = 0;
    fwm_status status = FWM_OK;
    bool made = false;
    FWM_CHECK_GOTO(status, aside, FWM_MEMORY, "%s: out of memory", path);
    (void)snprintf(aside, size, "%s.aside", path);
    in = fopen(path, "re");
    if (!in) {
        status = errno == ENOENT ? FWM_OK : io_error("open", path);
        goto done;
    }
    out = fopen(aside, "we");
    if (!out)
        FWM_TRY_GOTO(status, io_error("make", aside));
    made = true;
    FWM_TRY_GOTO(status, copy_kept(in, out, path, done, &later, &broken));
    if (later + broken == 0)
        goto done;
    bool synced = fflush(out) == 0 && fsync(fileno(out)) == 0;
    if (!synced)
        FWM_TRY_GOTO(status, io_error("write", aside));
    if (rename(aside, path) != 0)
        FWM_TRY_GOTO(status, io_error("replace", path));
    made = false;
    if (done >= 0)
        fwm_log(FWM_LOG_INFO, "%s: dropped %lld lines of steps after %lld, and %lld broken ones", path,
                (long long)later, (long long)done, (long long)broken);
done:
    if (in)
        (void)fclose(in);
    if (out)
        (void)fclose(out);
    if (made)
        (void)unlink(aside);
    fwm_free(aside);
    return status;
}

fwm_status tr_events_open(tr_events **events, const char *path, int64_t done)
{
    *events = NULL;
    FWM_CHECK(done >= -1, FWM_INVALID, "%s: expected the number of updates done, or -1, found %lld", path,
              (long long)done);
    FWM_TRY(drop_lines(path, done));
    tr_events *e = fwm_calloc(1, sizeof *e);
    FWM_CHECK(e, FWM_MEMORY, "%s: out of memory", path);
    e->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    e->path = fwm_strdup(path);
    fwm_status status = FWM_OK;
    if (e->fd < 0)
        status = io_error("open", path);
    else if (!e->path)
        status = fwm_fail(FWM_MEMORY, "%s: out of memory", path);
    if (status != FWM_OK) {
        if (e->fd >= 0)
            (void)close(e->fd);
        fwm_free(e->path);
        fwm_free(e);
        return status;
    }
    *events = e;
    return FWM_OK;
}

/* ---- writing ---- */

static bool name_fits(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";
    size_t n = strlen(name);
    return n > 0 && n < 256 && strspn(name, allowed) == n && strcmp(name, "step") != 0;
}

/* At most 25 characters. */
static int format_number(char out[32], double x)
{
    if (!isfinite(x))
        return snprintf(out, 32, "null");
    if (x == floor(x) && fabs(x) < 9007199254740992.0)
        return snprintf(out, 32, "%lld", (long long)x);
    int n = 0;
    for (int digits = 9; digits <= 17; digits += digits == 9 ? 6 : 1) {
        n = snprintf(out, 32, "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            break;
    }
    /* JSON has points, whatever a library has made of the locale. */
    char *comma = strchr(out, ',');
    if (comma)
        *comma = '.';
    return n;
}

fwm_status tr_events_write(tr_events *e, int64_t step, const tr_scalar *scalars, int n)
{
    size_t need = 64;
    for (int i = 0; i < n; i++) {
        FWM_CHECK(name_fits(scalars[i].name), FWM_INVALID,
                  "%s: expected names of up to 255 letters, digits, '_', '.', '/' or '-' other than step, found \"%s\"",
                  e->path, scalars[i].name);
        need += strlen(scalars[i].name) + 40;
    }
    if (need > e->capacity) {
        char *line = fwm_realloc(e->line, need, 1);
        FWM_CHECK(line, FWM_MEMORY, "%s: out of memory", e->path);
        e->line = line, e->capacity = need;
    }
    size_t at = (size_t)snprintf(e->line, e->capacity, "{\"step\": %lld", (long long)step);
    for (int i = 0; i < n; i++) {
        char number[32];
        (void)format_number(number, scalars[i].value);
        at += (size_t)snprintf(e->line + at, e->capacity - at, ", \"%s\": %s", scalars[i].name, number);
    }
    memcpy(e->line + at, "}\n", 2);
    return write_all(e->fd, e->line, at + 2, e->path);
}

fwm_status tr_events_close(tr_events **events)
{
    tr_events *e = *events;
    *events = NULL;
    if (!e)
        return FWM_OK;
    fwm_status status = close(e->fd) == 0 ? FWM_OK : io_error("close", e->path);
    fwm_free(e->path);
    fwm_free(e->line);
    fwm_free(e);
    return status;
}
