/* One value: from a node of the tree to its place in the structures. */
#include "train/config_internal.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LENGTH = 200 }; /* of free text in a list or as a map's name */

/* ---- numbers ---- */
static locale_t c_locale(void)
{
    static locale_t made; /* a race makes it twice at worst */
    if (made == (locale_t)0)
        made = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return made;
}

static const char *skip_digits(const char *c)
{
    while (*c >= '0' && *c <= '9')
        c++;
    return c;
}

/* Past [-+]?(0|[1-9][0-9]*); NULL where the text does not begin so. */
static const char *skip_integer(const char *c)
{
    if (*c == '-' || *c == '+')
        c++;
    if (*c == '0')
        return c + 1;
    return *c >= '1' && *c <= '9' ? skip_digits(c) : NULL;
}

bool tr_int_parse(const char *text, int64_t *value)
{
    const char *end = skip_integer(text);
    if (end == NULL || *end != '\0')
        return false;
    errno = 0;
    *value = strtoll(text, NULL, 10);
    return errno == 0;
}

bool tr_real_parse(const char *text, double *value)
{
    const char *c = skip_integer(text);
    if (c == NULL)
        return false;
    if (*c == '.')
        c = skip_digits(c + 1);
    if (*c == 'e' || *c == 'E') {
        c++;
        if (*c == '-' || *c == '+')
            c++;
        const char *end = skip_digits(c);
        if (end == c)
            return false;
        c = end;
    }
    if (*c != '\0')
        return false;
    *value = strtod_l(text, NULL, c_locale());
    return isfinite(*value);
}

bool tr_bytes_parse(const char *text, size_t *bytes)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"B", 1},        {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
                 {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char number[TR_REAL_CAPACITY];
    double value;
    const char *unit = text + strspn(text, "0123456789.");
    size_t length = (size_t)(unit - text);
    *bytes = 0;
    if (strcmp(text, "none") == 0)
        return true;
    if (length == 0 || length >= sizeof number)
        return false;
    memcpy(number, text, length);
    number[length] = '\0';
    if (!tr_real_parse(number, &value))
        return false;
    unit += *unit == ' ';
    for (size_t k = 0; k < sizeof units / sizeof *units; k++)
        if (strcmp(unit, units[k].name) == 0 && value * units[k].bytes >= 1 && value * units[k].bytes <= 0x1p60) {
            *bytes = (size_t)(value * units[k].bytes);
            return true;
        }
    return false;
}

const char *tr_real_format(double value, char buf[TR_REAL_CAPACITY])
{
    const locale_t before = uselocale(c_locale());
    int digits = 1;
    for (; digits <= 17; digits++) {
        (void)snprintf(buf, TR_REAL_CAPACITY, "%.*g", digits, value);
        if (strtod(buf, NULL) == value)
            break;
    }
    /* 300 rather than 3e+02 */
    if (fabs(value) >= 1 && fabs(value) < 1e7) {
        const int whole = snprintf(NULL, 0, "%.0f", fabs(trunc(value)));
        (void)snprintf(buf, TR_REAL_CAPACITY, "%.*g", digits > whole ? digits : whole, value);
    }
    (void)uselocale(before);
    return buf;
}

/* ---- one node, one value ---- */
typedef struct reading {
    void *base;
    fwm_arena *arena;
    tr_errors *errors;
    const tr_row *row;
    bool failed, no_memory;
} reading;

static void refuse(reading *r, const tr_node *node, const char *part, const char *expected)
{
    r->failed = true;
    if (node->bad)
        return;
    char path[TR_PATH_CAPACITY], found[TR_FOUND_CAPACITY];
    (void)snprintf(path, sizeof path, "%s%s", r->row->path, part);
    tr_errors_add(r->errors, node->place, path, "expected %s, found %s", expected, tr_node_found(node, found));
}

static void refuse_whole(reading *r, const tr_node *node)
{
    char expected[256];
    tr_row_expected(r->row, expected, sizeof expected);
    refuse(r, node, "", expected);
}

/* A number of the row's kind and range; `part` ("[2]", ".loss") says which of several. */
static double read_number(reading *r, const tr_node *node, const char *part)
{
    const tr_row *row = r->row;
    const bool whole = row->type == TR_TYPE_INT || row->type == TR_TYPE_INTS;
    double value = 0;
    int64_t integer = 0;
    bool good = node->kind == TR_NODE_SCALAR && node->plain && !node->bad;
    if (good && row->word != NULL && strcmp(node->text, row->word) == 0)
        return 0;
    if (good && whole) {
        good = tr_int_parse(node->text, &integer);
        value = (double)integer;
    } else if (good) {
        good = tr_real_parse(node->text, &value);
    }
    if (good && value <= row->max && (row->above ? value > row->min : value >= row->min))
        return value;
    char low[TR_REAL_CAPACITY], high[TR_REAL_CAPACITY], expected[128];
    tr_real_format(row->min, low);
    tr_real_format(row->max, high);
    (void)snprintf(expected, sizeof expected, row->above ? "%s above %s and at most %s%s%s" : "%s from %s to %s%s%s",
                   whole ? "an integer" : "a number", low, high, row->word != NULL ? ", or " : "",
                   row->word != NULL ? row->word : "");
    refuse(r, node, part, expected);
    return 0;
}

static void *take(reading *r, int64_t count, size_t size)
{
    size_t bytes;
    void *p = __builtin_mul_overflow((size_t)count, size, &bytes) ? NULL : fwm_arena_alloc(r->arena, bytes);
    if (p == NULL)
        r->no_memory = r->failed = true;
    return p;
}

/* Numbers of a sequence (its length is checked by the caller). */
static void read_numbers(reading *r, const tr_node *node, const char *part, double *values)
{
    int64_t i = 0;
    for (const tr_node *child = node->first; child != NULL && !r->errors->full; child = child->next, i++) {
        char at[64];
        (void)snprintf(at, sizeof at, "%s[%lld]", part, (long long)i);
        values[i] = read_number(r, child, at);
    }
}

static void *place_in(void *base, const tr_row *row)
{
    return (char *)base + row->offset;
}

static void store_bool(reading *r, const tr_node *node)
{
    const bool yes = tr_node_plain(node, "true");
    if (!yes && !tr_node_plain(node, "false"))
        refuse_whole(r, node);
    else
        *(bool *)place_in(r->base, r->row) = yes;
}

static void store_string(reading *r, const tr_node *node)
{
    if (node->kind != TR_NODE_SCALAR ||
        (node->plain && (node->text[0] == '\0' || tr_node_plain(node, "null") || tr_node_plain(node, "~")))) {
        refuse_whole(r, node);
        return;
    }
    const char *copy = fwm_arena_strdup(r->arena, node->text);
    if (copy == NULL)
        r->no_memory = r->failed = true;
    else
        *(const char **)place_in(r->base, r->row) = copy;
}

static const char *suggestion(const tr_row *row, const tr_node *node, char *buf, size_t capacity)
{
    fwm_nearest nearest;
    buf[0] = '\0';
    if (node->kind != TR_NODE_SCALAR)
        return buf;
    fwm_nearest_start(&nearest, node->text);
    for (int i = 0; row->choices[i] != NULL; i++)
        fwm_nearest_offer(&nearest, row->choices[i]);
    if (fwm_nearest_found(&nearest))
        (void)snprintf(buf, capacity, "; did you mean %.100s?", nearest.best);
    return buf;
}

/* A word out of the row's choices; -1 after an error. */
static int read_choice(reading *r, const tr_node *node, const char *part)
{
    const int found = node->kind == TR_NODE_SCALAR ? tr_choice_find(r->row->choices, node->text) : -1;
    if (found >= 0 && !node->bad)
        return found;
    r->failed = true;
    if (node->bad)
        return -1;
    char path[TR_PATH_CAPACITY], expected[256], text[TR_FOUND_CAPACITY], mean[128];
    (void)snprintf(path, sizeof path, "%s%s", r->row->path, part);
    tr_row one = *r->row;
    one.type = TR_TYPE_ENUM;
    tr_row_expected(&one, expected, sizeof expected);
    tr_errors_add(r->errors, node->place, path, "expected %s, found %s%s", expected, tr_node_found(node, text),
                  suggestion(r->row, node, mean, sizeof mean));
    return -1;
}

/* The row's own word for a node, or a copy of any text where the row has no words; NULL after an error. */
static const char *read_text(reading *r, const tr_node *node, const char *part)
{
    if (r->row->choices != NULL) {
        const int choice = read_choice(r, node, part);
        return choice >= 0 ? r->row->choices[choice] : NULL;
    }
    if (node->kind != TR_NODE_SCALAR || node->text[0] == '\0' || strlen(node->text) > TEXT_LENGTH || node->bad) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "a text of 1 to %d characters", TEXT_LENGTH);
        refuse(r, node, part, expected);
        return NULL;
    }
    const char *copy = fwm_arena_strdup(r->arena, node->text);
    if (copy == NULL)
        r->no_memory = r->failed = true;
    return copy;
}

static void store_fixed(reading *r, const tr_node *node)
{
    const tr_row *row = r->row;
    double values[4] = {0};
    if (row->count == 1) {
        values[0] = read_number(r, node, "");
    } else {
        if (node->kind != TR_NODE_SEQUENCE || node->count != row->count) {
            refuse_whole(r, node);
            return;
        }
        read_numbers(r, node, "", values);
        if (!r->failed && row->ordered && values[0] > values[1]) {
            char low[TR_REAL_CAPACITY], high[TR_REAL_CAPACITY];
            tr_errors_add(r->errors, node->place, row->path, "expected the smaller number first, found [%s, %s]",
                          tr_real_format(values[0], low), tr_real_format(values[1], high));
            r->failed = true;
        }
    }
    for (int64_t i = 0; i < row->count && !r->failed; i++) {
        if (row->type == TR_TYPE_INT)
            ((int64_t *)place_in(r->base, row))[i] = (int64_t)values[i];
        else
            ((double *)place_in(r->base, row))[i] = values[i];
    }
}

static bool is_list(reading *r, const tr_node *node)
{
    if (node->kind == TR_NODE_SEQUENCE && node->count >= r->row->at_least && node->count <= r->row->count)
        return true;
    refuse_whole(r, node);
    return false;
}

static void store_numbers(reading *r, const tr_node *node)
{
    if (!is_list(r, node))
        return;
    double *values = take(r, node->count, sizeof *values);
    if (values == NULL)
        return;
    read_numbers(r, node, "", values);
    if (r->failed)
        return;
    if (r->row->type == TR_TYPE_REALS) {
        *(tr_reals *)place_in(r->base, r->row) = (tr_reals){node->count, values};
        return;
    }
    int64_t *items = take(r, node->count, sizeof *items);
    for (int64_t i = 0; i < node->count && items != NULL; i++)
        items[i] = (int64_t)values[i];
    if (items != NULL)
        *(tr_ints *)place_in(r->base, r->row) = (tr_ints){node->count, items};
}

static void store_strings(reading *r, const tr_node *node)
{
    if (!is_list(r, node))
        return;
    const char **items = take(r, node->count, sizeof *items);
    int64_t i = 0;
    for (const tr_node *child = node->first; child != NULL && items != NULL; child = child->next, i++) {
        char at[32];
        (void)snprintf(at, sizeof at, "[%lld]", (long long)i);
        items[i] = read_text(r, child, at);
    }
    if (!r->failed)
        *(tr_strings *)place_in(r->base, r->row) = (tr_strings){node->count, items};
}

static void store_matrix(reading *r, const tr_node *node)
{
    const int64_t columns = r->row->count;
    if (node->kind != TR_NODE_SEQUENCE) {
        refuse_whole(r, node);
        return;
    }
    double *items = take(r, node->count, (size_t)columns * sizeof *items);
    int64_t i = 0;
    for (const tr_node *row = node->first; row != NULL && items != NULL && !r->errors->full; row = row->next, i++) {
        char at[32], expected[64];
        (void)snprintf(at, sizeof at, "[%lld]", (long long)i);
        (void)snprintf(expected, sizeof expected, "a row of %lld numbers", (long long)columns);
        if (row->kind != TR_NODE_SEQUENCE || row->count != columns)
            refuse(r, row, at, expected);
        else
            read_numbers(r, row, at, items + i * columns);
    }
    if (!r->failed)
        *(tr_matrix *)place_in(r->base, r->row) = (tr_matrix){node->count, columns, items};
}

/* A map is laid over the one that is there. */
static void store_map(reading *r, const tr_node *node)
{
    if (node->kind != TR_NODE_MAPPING) {
        refuse_whole(r, node);
        return;
    }
    const tr_map *before = place_in(r->base, r->row);
    const int64_t most = before->count + node->count;
    struct tr_named_real *items = take(r, most, sizeof *items);
    if (items == NULL)
        return;
    int64_t count = before->count;
    if (count > 0)
        memcpy(items, before->items, (size_t)count * sizeof *items);
    for (const tr_node *child = node->first; child != NULL && !r->errors->full; child = child->next) {
        for (const tr_node *other = node->first; other != child; other = other->next)
            if (strcmp(other->key->text, child->key->text) == 0) {
                char path[TR_PATH_CAPACITY];
                (void)snprintf(path, sizeof path, "%s.%.64s", r->row->path, child->key->text);
                tr_errors_add(r->errors, child->key->place, path,
                              "expected each key once, found it again (first at %d:%d)", other->key->place.line,
                              other->key->place.column);
                r->failed = true;
                break;
            }
        const char *name = read_text(r, child->key, "");
        if (name == NULL)
            continue;
        char part[TR_PATH_CAPACITY];
        (void)snprintf(part, sizeof part, ".%.64s", child->key->text);
        const double value = read_number(r, child, part);
        int64_t i = 0;
        while (i < count && strcmp(items[i].name, name) != 0)
            i++;
        const tr_place at = child->key->place;
        items[i] = (struct tr_named_real){name, value, at.file, at.line, at.column};
        count += i == count;
    }
    if (!r->failed)
        *(tr_map *)place_in(r->base, r->row) = (tr_map){count, items};
}

fwm_status tr_value_store(void *base, fwm_arena *arena, tr_errors *errors, const tr_row *row, const tr_node *node)
{
    reading r = {.base = base, .arena = arena, .errors = errors, .row = row};
    if (node->bad)
        return FWM_OK; /* its error is recorded */
    switch (row->type) {
    case TR_TYPE_BOOL:
        store_bool(&r, node);
        break;
    case TR_TYPE_STRING:
        store_string(&r, node);
        break;
    case TR_TYPE_ENUM: {
        const int choice = read_choice(&r, node, "");
        if (choice >= 0)
            *(int *)place_in(base, row) = choice;
        break;
    }
    case TR_TYPE_INT:
    case TR_TYPE_REAL:
        store_fixed(&r, node);
        break;
    case TR_TYPE_INTS:
    case TR_TYPE_REALS:
        store_numbers(&r, node);
        break;
    case TR_TYPE_STRINGS:
        store_strings(&r, node);
        break;
    case TR_TYPE_MATRIX:
        store_matrix(&r, node);
        break;
    case TR_TYPE_MAP:
        store_map(&r, node);
        break;
    case TR_TYPE_RECORDS:
        return tr_records_store(place_in(base, row), arena, errors, row, node);
    }
    FWM_CHECK(!r.no_memory, FWM_MEMORY, "%s: no memory for the value", row->path);
    return FWM_OK;
}

/* ---- copying ---- */
static void *duplicate(fwm_arena *arena, const void *from, int64_t count, size_t size)
{
    void *to = fwm_arena_alloc(arena, (size_t)count * size);
    if (to != NULL && count > 0)
        memcpy(to, from, (size_t)count * size);
    return to;
}

/* Words of the table live for ever, other text in a configuration's arena. */
static bool copy_text(fwm_arena *arena, const tr_row *row, const char **text)
{
    if (row->choices == NULL)
        *text = fwm_arena_strdup(arena, *text);
    return *text != NULL;
}

fwm_status tr_value_copy(void *to, fwm_arena *arena, const void *from, const tr_row *row)
{
    const char *source = (const char *)from + row->offset;
    void *target = place_in(to, row);
    bool good = true;
    switch (row->type) {
    case TR_TYPE_BOOL:
        *(bool *)target = *(const bool *)source;
        break;
    case TR_TYPE_ENUM:
        *(int *)target = *(const int *)source;
        break;
    case TR_TYPE_INT:
    case TR_TYPE_REAL:
        memcpy(target, source, (size_t)row->count * 8);
        break;
    case TR_TYPE_STRING: {
        const char *text = *(const char *const *)source;
        const char *copy = text != NULL ? fwm_arena_strdup(arena, text) : NULL;
        *(const char **)target = copy;
        good = text == NULL || copy != NULL;
        break;
    }
    case TR_TYPE_INTS: {
        tr_ints *list = target;
        *list = *(const tr_ints *)source;
        good = (list->items = duplicate(arena, list->items, list->count, sizeof *list->items)) != NULL;
        break;
    }
    case TR_TYPE_REALS: {
        tr_reals *list = target;
        *list = *(const tr_reals *)source;
        good = (list->items = duplicate(arena, list->items, list->count, sizeof *list->items)) != NULL;
        break;
    }
    case TR_TYPE_STRINGS: {
        tr_strings *list = target;
        *list = *(const tr_strings *)source;
        good = (list->items = duplicate(arena, list->items, list->count, sizeof *list->items)) != NULL;
        for (int64_t i = 0; i < list->count && good; i++)
            good = copy_text(arena, row, &list->items[i]);
        break;
    }
    case TR_TYPE_MATRIX: {
        tr_matrix *matrix = target;
        *matrix = *(const tr_matrix *)source;
        matrix->items = duplicate(arena, matrix->items, matrix->rows * matrix->columns, sizeof *matrix->items);
        good = matrix->items != NULL;
        break;
    }
    case TR_TYPE_MAP: {
        tr_map *map = target;
        *map = *(const tr_map *)source;
        good = (map->items = duplicate(arena, map->items, map->count, sizeof *map->items)) != NULL;
        for (int64_t i = 0; i < map->count && good; i++) {
            struct tr_named_real *item = &map->items[i];
            item->file = item->file != NULL ? fwm_arena_strdup(arena, item->file) : "";
            good = copy_text(arena, row, &item->name) && item->file != NULL;
        }
        break;
    }
    case TR_TYPE_RECORDS:
        return tr_records_copy(target, arena, (const tr_records *)(const void *)source, row);
    }
    FWM_CHECK(good, FWM_MEMORY, "%s: no memory for a copy of the value", row->path);
    return FWM_OK;
}
