/* Reads the log that events.c writes. */
#include "model/base/arena.h"
#include "train/events.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 4096 };

static int find_column(const tr_history *h, const char *name)
{
    for (int c = 0; c < h->columns; c++)
        if (strcmp(h->names[c], name) == 0)
            return c;
    return -1;
}

/* One more column of `capacity` empty rows. */
static fwm_status add_column(tr_history *h, int64_t capacity, const char *name)
{
    FWM_CHECK(h->columns < MAX_COLUMNS, FWM_DATA, "expected at most %d different names", MAX_COLUMNS);
    size_t more = (size_t)h->columns + 1;
    char **names = fwm_realloc(h->names, more, sizeof *names);
    h->names = names ? names : h->names;
    double **values = fwm_realloc(h->values, more, sizeof *values);
    h->values = values ? values : h->values;
    unsigned char **present = fwm_realloc(h->present, more, sizeof *present);
    h->present = present ? present : h->present;
    FWM_CHECK(names && values && present, FWM_MEMORY, "out of memory");
    int c = h->columns++;
    names[c] = fwm_strdup(name);
    values[c] = fwm_malloc((size_t)capacity, sizeof **values);
    present[c] = fwm_calloc((size_t)capacity, 1);
    FWM_CHECK(names[c] && values[c] && present[c], FWM_MEMORY, "out of memory");
    for (int64_t i = 0; i < capacity; i++)
        values[c][i] = NAN;
    return FWM_OK;
}

/* Room for one more row. */
static fwm_status reserve(tr_history *h, int64_t *capacity)
{
    if (h->rows < *capacity)
        return FWM_OK;
    int64_t more = *capacity * 2;
    for (int c = 0; c < h->columns; c++) {
        double *values = fwm_realloc(h->values[c], (size_t)more, sizeof *values);
        h->values[c] = values ? values : h->values[c];
        unsigned char *present = fwm_realloc(h->present[c], (size_t)more, 1);
        h->present[c] = present ? present : h->present[c];
        FWM_CHECK(values && present, FWM_MEMORY, "out of memory");
        for (int64_t i = *capacity; i < more; i++)
            values[i] = NAN, present[i] = 0;
    }
    *capacity = more;
    return FWM_OK;
}

static fwm_status add_row(tr_history *h, int64_t *capacity, json_t *object)
{
    FWM_CHECK(json_is_integer(json_object_get(object, "step")), FWM_DATA,
              "expected a JSON object with an integer \"step\"");
    FWM_TRY(reserve(h, capacity));
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!json_is_number(value) && !json_is_null(value))
            continue;
        int c = find_column(h, name);
        if (c < 0) {
            FWM_TRY(add_column(h, *capacity, name));
            c = h->columns - 1;
        }
        h->present[c][h->rows] = 1;
        h->values[c][h->rows] = json_is_null(value) ? NAN : json_number_value(value);
    }
    h->rows++;
    return FWM_OK;
}

static fwm_status read_lines(tr_history *h, FILE *file, const char *path)
{
    char *line = NULL;
    size_t size = 0;
    int64_t capacity = 256, number = 0;
    fwm_status status = add_column(h, capacity, "step");
    for (ssize_t n; status == FWM_OK && (n = getline(&line, &size, file)) > 0;) {
        number++;
        if (line[n - 1] != '\n')
            break;
        json_error_t error;
        json_t *object = json_loadb(line, (size_t)n, 0, &error);
        status = object ? add_row(h, &capacity, object) : fwm_fail(FWM_DATA, "%s", error.text);
        json_decref(object);
        if (status != FWM_OK)
            status = fwm_fail_within(status, "%s:%lld", path, (long long)number);
    }
    if (status == FWM_OK && ferror(file))
        status = fwm_fail(FWM_IO, "%s: cannot read: %s", path, strerror(errno));
    free(line);
    return status;
}

fwm_status tr_history_read(tr_history *h, const char *path)
{
    *h = (tr_history){0};
    FILE *file = fopen(path, "re");
    FWM_CHECK(file, FWM_IO, "%s: cannot open: %s", path, strerror(errno));
    fwm_status status = read_lines(h, file, path);
    (void)fclose(file);
    if (status != FWM_OK)
        tr_history_free(h);
    return status;
}

void tr_history_free(tr_history *h)
{
    for (int c = 0; c < h->columns; c++) {
        fwm_free(h->names[c]);
        fwm_free(h->values[c]);
        fwm_free(h->present[c]);
    }
    fwm_free(h->names);
    fwm_free(h->values);
    fwm_free(h->present);
    *h = (tr_history){0};
}

const double *tr_history_column(const tr_history *h, const char *name)
{
    int c = find_column(h, name);
    return c < 0 ? NULL : h->values[c];
}

int64_t tr_history_series(const tr_history *h, const char *name, double *x, double *y)
{
    int c = find_column(h, name);
    int64_t n = 0;
    for (int64_t i = 0; c >= 0 && i < h->rows; i++)
        if (h->present[c][i]) {
            x[n] = h->values[0][i];
            y[n++] = h->values[c][i];
        }
    return n;
}
