/* The configuration and its table, written out: resolved YAML, JSON, JSON Schema, help. */
#include "train/config_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- growing text ---- */
typedef struct text {
    char *bytes;
    size_t used, capacity;
    bool no_memory;
} text;

static void put(text *t, const char *fmt, ...) FWM_PRINTF(2, 3);

static void put(text *t, const char *fmt, ...)
{
    for (int attempt = 0; attempt < 2 && !t->no_memory; attempt++) {
        va_list args;
        va_start(args, fmt);
        const size_t room = t->capacity - t->used;
        const int n = vsnprintf(t->bytes != NULL ? t->bytes + t->used : NULL, room, fmt, args);
        va_end(args);
        if (n >= 0 && (size_t)n < room) {
            t->used += (size_t)n;
            return;
        }
        const size_t capacity = 2 * t->capacity + (n > 0 ? (size_t)n : 0) + 256;
        char *bytes = fwm_realloc(t->bytes, capacity, 1);
        t->no_memory = bytes == NULL || n < 0;
        if (bytes != NULL) {
            t->bytes = bytes;
            t->capacity = capacity;
        }
    }
}

static fwm_status give(text *t, char **out)
{
    if (t->no_memory) {
        fwm_free(t->bytes);
        *out = NULL;
        return fwm_fail(FWM_MEMORY, "no memory to write the configuration out");
    }
    *out = t->bytes;
    return FWM_OK;
}

/* ---- YAML ---- */
#define FIRST_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_./"
#define WORD_LETTERS FIRST_LETTERS "0123456789-"

static bool is_plain(const char *s)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(s, words[i]) == 0)
            return false;
    if (s[0] == '\0' || strspn(s, FIRST_LETTERS) == 0)
        return false;
    return strspn(s, WORD_LETTERS) == strlen(s);
}

/* One character of valid UTF-8; advances *s. */
static unsigned decode(const char **s)
{
    const unsigned char *c = (const unsigned char *)*s;
    const int more = c[0] < 0x80 ? 0 : c[0] < 0xE0 ? 1 : c[0] < 0xF0 ? 2 : 3;
    unsigned value = more == 0 ? c[0] : c[0] & (0x3FU >> more);
    int i = 1;
    for (; i <= more && (c[i] & 0xC0U) == 0x80; i++)
        value = value << 6 | (c[i] & 0x3FU);
    *s += i;
    return value;
}

static void put_string(text *t, const char *s)
{
    if (is_plain(s)) {
        put(t, "%s", s);
        return;
    }
    put(t, "\"");
    while (*s != '\0') {
        const unsigned c = decode(&s);
        if (c == '"' || c == '\\')
            put(t, "\\%c", (int)c);
        else if (c >= 0x20 && c < 0x7F)
            put(t, "%c", (int)c);
        else if (c < 0x10000)
            put(t, "\\u%04X", c);
        else
            put(t, "\\U%08X", c);
    }
    put(t, "\"");
}

static void put_reals(text *t, const double *values, int64_t count)
{
    char number[TR_REAL_CAPACITY];
    put(t, "[");
    for (int64_t i = 0; i < count; i++)
        put(t, "%s%s", i > 0 ? ", " : "", tr_real_format(values[i], number));
    put(t, "]");
}

static void put_ints(text *t, const int64_t *values, int64_t count)
{
    put(t, "[");
    for (int64_t i = 0; i < count; i++)
        put(t, "%s%lld", i > 0 ? ", " : "", (long long)values[i]);
    put(t, "]");
}

static void put_map(text *t, const tr_map *map)
{
    char number[TR_REAL_CAPACITY];
    put(t, "{");
    for (int64_t i = 0; i < map->count; i++) {
        put(t, i > 0 ? ", " : "");
        put_string(t, map->items[i].name);
        put(t, ": %s", tr_real_format(map->items[i].value, number));
    }
    put(t, "}");
}

static void put_value(text *t, const void *base, const tr_row *row);

static void put_records(text *t, const tr_records *list, const tr_row *row)
{
    put(t, "[");
    for (int64_t i = 0; i < list->count; i++) {
        put(t, i > 0 ? ", {" : "{");
        for (const tr_row *m = row->members; m->path != NULL; m++) {
            put(t, "%s%s: ", m == row->members ? "" : ", ", m->path);
            put_value(t, (const char *)list->items + (size_t)i * row->size, m);
        }
        put(t, "}");
    }
    put(t, "]");
}

static void put_value(text *t, const void *base, const tr_row *row)
{
    const void *value = (const char *)base + row->offset;
    char number[TR_REAL_CAPACITY];
    switch (row->type) {
    case TR_TYPE_BOOL:
        put(t, "%s", *(const bool *)value ? "true" : "false");
        break;
    case TR_TYPE_INT:
        if (row->word != NULL && *(const int64_t *)value == 0)
            put(t, "%s", row->word);
        else if (row->count == 1)
            put(t, "%lld", (long long)*(const int64_t *)value);
        else
            put_ints(t, value, row->count);
        break;
    case TR_TYPE_REAL:
        if (row->count == 1)
            put(t, "%s", tr_real_format(*(const double *)value, number));
        else
            put_reals(t, value, row->count);
        break;
    case TR_TYPE_STRING:
        put_string(t, *(const char *const *)value);
        break;
    case TR_TYPE_ENUM:
        put(t, "%s", row->choices[*(const int *)value]);
        break;
    case TR_TYPE_INTS:
        put_ints(t, ((const tr_ints *)value)->items, ((const tr_ints *)value)->count);
        break;
    case TR_TYPE_REALS:
        put_reals(t, ((const tr_reals *)value)->items, ((const tr_reals *)value)->count);
        break;
    case TR_TYPE_STRINGS: {
        const tr_strings *list = value;
        put(t, "[");
        for (int64_t i = 0; i < list->count; i++) {
            put(t, i > 0 ? ", " : "");
            put_string(t, list->items[i]);
        }
        put(t, "]");
        break;
    }
    case TR_TYPE_MATRIX: {
        const tr_matrix *matrix = value;
        put(t, "[");
        for (int64_t i = 0; i < matrix->rows; i++) {
            put(t, i > 0 ? ", " : "");
            put_reals(t, matrix->items + i * matrix->columns, matrix->columns);
        }
        put(t, "]");
        break;
    }
    case TR_TYPE_MAP:
        put_map(t, value);
        break;
    case TR_TYPE_RECORDS:
        put_records(t, value, row);
        break;
    }
}

static void put_node(text *t, const tr_node *node)
{
    if (node->kind == TR_NODE_SCALAR) {
        /* Words and numbers stay as they were given; other text may need quotes here that it did not need there. */
        const bool safe = strspn(node->text, WORD_LETTERS "+?") == strlen(node->text);
        if (node->plain && safe)
            put(t, "%s", node->text);
        else
            put_string(t, node->text);
        return;
    }
    const bool map = node->kind == TR_NODE_MAPPING;
    put(t, map ? "{" : "[");
    for (const tr_node *child = node->first; child != NULL; child = child->next) {
        put(t, child != node->first ? ", " : "");
        if (map) {
            put_string(t, child->key->text);
            put(t, ": ");
        }
        put_node(t, child);
    }
    put(t, map ? "}" : "]");
}

/* The length of the block part of a path ("model.encoder" of "model.encoder.widths"). */
static size_t block_length(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? (size_t)(dot - path) : 0;
}

static int levels(const char *path, size_t length)
{
    int n = length > 0;
    for (size_t i = 0; i < length; i++)
        n += path[i] == '.';
    return n;
}

/* Headers of the blocks of `path` that are not open yet; `open` is the block of the row before. */
static void put_headers(text *t, const char *path, const char *open, size_t open_length)
{
    const size_t length = block_length(path);
    for (size_t i = 0; i <= length; i++) {
        if (i < length && path[i] != '.')
            continue;
        if (i == 0 || (i <= open_length && strncmp(path, open, i) == 0 && (i == open_length || open[i] == '.')))
            continue;
        char name[TR_PATH_CAPACITY];
        (void)snprintf(name, sizeof name, "%.*s", (int)i, path);
        const tr_block *block = tr_block_find(name);
        const size_t parent = block_length(name);
        const int indent = 2 * levels(name, parent);
        put(t, "%s%*s%s: # %s\n", indent == 0 ? "\n" : "", indent, "", name + parent + (parent > 0),
            block != NULL ? block->help : "");
    }
}

static void put_comment(text *t, const tr_row *row)
{
    char expected[256];
    tr_row_expected(row, expected, sizeof expected);
    put(t, "# %s", row->help);
    if (row->unit != NULL && row->unit[0] != '\0' && strcmp(row->unit, "-") != 0)
        put(t, " [%s]", row->unit);
    if (row->type != TR_TYPE_STRING && row->type != TR_TYPE_BOOL)
        put(t, "; %s", expected);
    if (strcmp(row->text, "\?\?\?") != 0)
        put(t, "; default %s", row->text);
}

fwm_status tr_config_dump(const tr_config *config, char **out)
{
    text t = {0};
    const char *open = "";
    size_t open_length = 0;
    enum { COMMENT_COLUMN = 40 };
    for (int i = 0; i < tr_config_row_count; i++) {
        const tr_row *row = &tr_config_rows[i];
        put_headers(&t, row->path, open, open_length);
        open = row->path;
        open_length = block_length(open);
        const size_t start = t.used;
        put(&t, "%*s%s: ", 2 * levels(open, open_length), "", row->path + open_length + (open_length > 0));
        put_value(&t, config, row);
        const size_t width = t.used - start;
        put(&t, "%*s ", width < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - width) : 0, "");
        put_comment(&t, row);
        put(&t, "\n");
    }
    /* A variant's own configuration has none. */
    if (config->variants.count > 0)
        put(&t, "\nvariants: # overrides by name, each over all of the above\n");
    for (const tr_override *o = config->variants.count > 0 ? config->own->overrides : NULL; o != NULL; o = o->next) {
        put(&t, "  ");
        put_string(&t, o->name);
        put(&t, ": ");
        put_node(&t, o->node);
        put(&t, "\n");
    }
    return give(&t, out);
}

/* ---- JSON ---- */
static json_t *json_reals(const double *values, int64_t count)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_real(values[i]));
    return list;
}

static json_t *json_ints(const int64_t *values, int64_t count)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_integer(values[i]));
    return list;
}

static json_t *value_json(const void *base, const tr_row *row);

static json_t *records_json(const tr_records *records, const tr_row *row)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < records->count; i++) {
        json_t *object = json_object();
        for (const tr_row *m = row->members; m->path != NULL; m++)
            (void)json_object_set_new(object, m->path,
                                      value_json((const char *)records->items + (size_t)i * row->size, m));
        (void)json_array_append_new(list, object);
    }
    return list;
}

static json_t *value_json(const void *base, const tr_row *row)
{
    const void *value = (const char *)base + row->offset;
    switch (row->type) {
    case TR_TYPE_BOOL:
        return json_boolean(*(const bool *)value);
    case TR_TYPE_INT:
        if (row->count > 1)
            return json_ints(value, row->count);
        return json_integer(*(const int64_t *)value);
    case TR_TYPE_REAL:
        return row->count == 1 ? json_real(*(const double *)value) : json_reals(value, row->count);
    case TR_TYPE_STRING:
        return json_string(*(const char *const *)value);
    case TR_TYPE_ENUM:
        return json_string(row->choices[*(const int *)value]);
    case TR_TYPE_INTS:
        return json_ints(((const tr_ints *)value)->items, ((const tr_ints *)value)->count);
    case TR_TYPE_REALS:
        return json_reals(((const tr_reals *)value)->items, ((const tr_reals *)value)->count);
    case TR_TYPE_STRINGS: {
        json_t *list = json_array();
        for (int64_t i = 0; i < ((const tr_strings *)value)->count; i++)
            (void)json_array_append_new(list, json_string(((const tr_strings *)value)->items[i]));
        return list;
    }
    case TR_TYPE_MATRIX: {
        const tr_matrix *matrix = value;
        json_t *list = json_array();
        for (int64_t i = 0; i < matrix->rows; i++)
            (void)json_array_append_new(list, json_reals(matrix->items + i * matrix->columns, matrix->columns));
        return list;
    }
    case TR_TYPE_MAP: {
        json_t *object = json_object();
        for (int64_t i = 0; i < ((const tr_map *)value)->count; i++) {
            const struct tr_named_real *item = &((const tr_map *)value)->items[i];
            (void)json_object_set_new(object, item->name, json_real(item->value));
        }
        return object;
    }
    case TR_TYPE_RECORDS:
        return records_json(value, row);
    }
    return NULL;
}

static json_t *new_block(const char *path, bool schema)
{
    const tr_block *block = tr_block_find(path);
    json_t *made = json_object();
    if (!schema)
        return made;
    (void)json_object_set_new(made, "type", json_string("object"));
    (void)json_object_set_new(made, "description", json_string(block != NULL ? block->help : ""));
    (void)json_object_set_new(made, "additionalProperties", json_false());
    (void)json_object_set_new(made, "properties", json_object());
    return made;
}

/* The object that holds the last part of `path`, made where it is not there; a schema has "properties" between two
 * levels. */
static json_t *object_for(json_t *root, const char *path, bool schema)
{
    json_t *here = root;
    for (const char *dot = strchr(path, '.'), *start = path; dot != NULL && here != NULL;
         start = dot + 1, dot = strchr(start, '.')) {
        char name[TR_PATH_CAPACITY], whole[TR_PATH_CAPACITY];
        (void)snprintf(name, sizeof name, "%.*s", (int)(dot - start), start);
        (void)snprintf(whole, sizeof whole, "%.*s", (int)(dot - path), path);
        json_t *next = json_object_get(here, name);
        if (next == NULL) {
            next = new_block(whole, schema);
            (void)json_object_set_new(here, name, next);
        }
        here = schema ? json_object_get(next, "properties") : next;
    }
    return here;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

fwm_status tr_config_json(const tr_config *config, json_t **out)
{
    bool good = true;
    *out = json_object();
    for (int i = 0; i < tr_config_row_count && *out != NULL && good; i++) {
        const tr_row *row = &tr_config_rows[i];
        json_t *where = object_for(*out, row->path, false);
        good = where != NULL && json_object_set_new(where, last_part(row->path), value_json(config, row)) == 0;
    }
    if (*out != NULL && good)
        return FWM_OK;
    json_decref(*out);
    *out = NULL;
    return fwm_fail(FWM_MEMORY, "no memory for the configuration as JSON");
}

/* ---- JSON Schema ---- */
static void set_bounds(json_t *s, const tr_row *row, bool whole)
{
    if (row->above)
        (void)json_object_set_new(s, "exclusiveMinimum", json_real(row->min));
    else
        (void)json_object_set_new(s, "minimum", whole ? json_integer((json_int_t)row->min) : json_real(row->min));
    (void)json_object_set_new(s, "maximum", whole ? json_integer((json_int_t)row->max) : json_real(row->max));
}

static json_t *number_schema(const tr_row *row, bool whole)
{
    json_t *s = json_object();
    (void)json_object_set_new(s, "type", json_string(whole ? "integer" : "number"));
    set_bounds(s, row, whole);
    return s;
}

static json_t *words_schema(const char *const *choices)
{
    json_t *s = json_object(), *list = json_array();
    for (int i = 0; choices[i] != NULL; i++)
        (void)json_array_append_new(list, json_string(choices[i]));
    (void)json_object_set_new(s, "enum", list);
    return s;
}

static json_t *list_schema(json_t *items, int64_t fewest, int64_t most)
{
    json_t *s = json_object();
    (void)json_object_set_new(s, "type", json_string("array"));
    (void)json_object_set_new(s, "items", items);
    if (most > 0) {
        (void)json_object_set_new(s, "minItems", json_integer(fewest));
        (void)json_object_set_new(s, "maxItems", json_integer(most));
    }
    return s;
}

static json_t *row_schema(const tr_row *row);

static json_t *record_schema(const tr_row *row)
{
    json_t *s = json_object(), *properties = json_object(), *required = json_array();
    for (const tr_row *m = row->members; m->path != NULL; m++) {
        (void)json_object_set_new(properties, m->path, row_schema(m));
        if (strcmp(m->text, "\?\?\?") == 0)
            (void)json_array_append_new(required, json_string(m->path));
    }
    (void)json_object_set_new(s, "type", json_string("object"));
    (void)json_object_set_new(s, "additionalProperties", json_false());
    (void)json_object_set_new(s, "properties", properties);
    (void)json_object_set_new(s, "required", required);
    return s;
}

static json_t *value_schema(const tr_row *row)
{
    const bool whole = row->type == TR_TYPE_INT || row->type == TR_TYPE_INTS;
    json_t *s = NULL;
    switch (row->type) {
    case TR_TYPE_BOOL:
    case TR_TYPE_STRING:
        s = json_object();
        (void)json_object_set_new(s, "type", json_string(row->type == TR_TYPE_BOOL ? "boolean" : "string"));
        return s;
    case TR_TYPE_ENUM:
        return words_schema(row->choices);
    case TR_TYPE_INT:
    case TR_TYPE_REAL:
        s = number_schema(row, whole);
        if (row->count > 1)
            return list_schema(s, row->count, row->count);
        if (row->word != NULL) {
            json_t *either = json_object(), *list = json_array();
            (void)json_array_append_new(list, s);
            (void)json_array_append_new(list, words_schema((const char *const[]){row->word, NULL}));
            (void)json_object_set_new(either, "anyOf", list);
            return either;
        }
        return s;
    case TR_TYPE_INTS:
    case TR_TYPE_REALS:
        return list_schema(number_schema(row, whole), row->at_least, row->count);
    case TR_TYPE_STRINGS:
        return list_schema(row->choices != NULL ? words_schema(row->choices)
                                                : json_pack("{s:s, s:i}", "type", "string", "minLength", 1),
                           row->at_least, row->count);
    case TR_TYPE_MATRIX:
        return list_schema(list_schema(number_schema(row, false), row->count, row->count), 0, 0);
    case TR_TYPE_MAP: {
        s = json_object();
        (void)json_object_set_new(s, "type", json_string("object"));
        (void)json_object_set_new(s, "additionalProperties",
                                  row->choices != NULL ? json_false() : number_schema(row, false));
        json_t *names = json_object();
        for (int i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
            (void)json_object_set_new(names, row->choices[i], number_schema(row, false));
        (void)json_object_set_new(s, "properties", names);
        return s;
    }
    case TR_TYPE_RECORDS:
        return list_schema(record_schema(row), 0, row->count);
    }
    return s;
}

static json_t *row_schema(const tr_row *row)
{
    json_t *s = value_schema(row);
    char help[512];
    const bool unit = row->unit != NULL && row->unit[0] != '\0' && strcmp(row->unit, "-") != 0;
    (void)snprintf(help, sizeof help, "%s%s%s%s. Default: %s", row->help, unit ? " [" : "", unit ? row->unit : "",
                   unit ? "]" : "", strcmp(row->text, "\?\?\?") != 0 ? row->text : "none, it must be given");
    (void)json_object_set_new(s, "description", json_string(help));
    return s;
}

fwm_status tr_config_schema(json_t **out)
{
    json_t *root = json_object(), *properties = json_object(), *variants = json_object(), *every = json_object();
    (void)json_object_set_new(root, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    (void)json_object_set_new(root, "title", json_string("Configuration of fwm"));
    (void)json_object_set_new(root, "type", json_string("object"));
    (void)json_object_set_new(root, "additionalProperties", json_false());
    for (int i = 0; i < tr_config_row_count; i++) {
        const tr_row *row = &tr_config_rows[i];
        (void)json_object_set_new(object_for(properties, row->path, true), last_part(row->path), row_schema(row));
    }
    (void)json_object_set_new(every, "type", json_string("object"));
    (void)json_object_set_new(every, "additionalProperties", json_false());
    (void)json_object_set_new(every, "properties", json_deep_copy(properties));
    (void)json_object_set_new(variants, "type", json_string("object"));
    (void)json_object_set_new(variants, "description", json_string("Overrides by name, each over the whole"));
    (void)json_object_set_new(variants, "additionalProperties", every);
    (void)json_object_set_new(properties, "variants", variants);
    (void)json_object_set_new(properties, "include",
                              json_pack("{s:s,s:s}", "type", "string", "description",
                                        "A file that this one is laid over; relative to this file"));
    const bool good = json_object_set_new(root, "properties", properties) == 0;
    *out = good ? root : NULL;
    if (!good)
        json_decref(root);
    FWM_CHECK(good, FWM_MEMORY, "no memory for the configuration's schema");
    return FWM_OK;
}

/* ---- help ---- */
static void help_row(text *t, const tr_row *row, const char *indent)
{
    char expected[512];
    tr_row_expected(row, expected, sizeof expected);
    const bool unit = row->unit != NULL && row->unit[0] != '\0' && strcmp(row->unit, "-") != 0;
    const bool required = strcmp(row->text, "\?\?\?") == 0;
    put(t, "%s%s\n%s    %s%s%s%s\n%s    %s; %s%s\n", indent, row->path, indent, row->help, unit ? " [" : "",
        unit ? row->unit : "", unit ? "]" : "", indent, expected, required ? "must be given" : "default ",
        required ? "" : row->text);
    for (const tr_row *m = row->members; m != NULL && m->path != NULL; m++)
        help_row(t, m, "          ");
}

static bool is_under(const char *path, const char *block, size_t length)
{
    return length == 0 || (strncmp(path, block, length) == 0 && (path[length] == '.' || path[length] == '\0'));
}

fwm_status tr_config_help(const char *path, char **out)
{
    text t = {0};
    const size_t length = strlen(path);
    *out = NULL;
    if (length > 0 && tr_row_find(path) == NULL && tr_block_find(path) == NULL) {
        fwm_nearest nearest;
        fwm_nearest_start(&nearest, path);
        for (int i = 0; i < tr_config_row_count; i++)
            fwm_nearest_offer(&nearest, tr_config_rows[i].path);
        for (int i = 0; i < tr_config_block_count; i++)
            fwm_nearest_offer(&nearest, tr_config_blocks[i].path);
        const bool near = fwm_nearest_found(&nearest);
        return fwm_fail(FWM_CONFIG, "expected a key or a block of the configuration, found \"%.100s\"%s%s%s", path,
                        near ? "; did you mean " : "", near ? nearest.best : "", near ? "?" : "");
    }
    const char *open = NULL;
    for (int i = 0; i < tr_config_row_count; i++) {
        const tr_row *row = &tr_config_rows[i];
        if (!is_under(row->path, path, length))
            continue;
        char name[TR_PATH_CAPACITY];
        (void)snprintf(name, sizeof name, "%.*s", (int)block_length(row->path), row->path);
        const tr_block *block = tr_block_find(name);
        if (block != NULL && block->path != open && tr_row_find(path) == NULL) {
            put(&t, "%s%s: %s\n", t.used > 0 ? "\n" : "", block->path, block->help);
            open = block->path;
        }
        help_row(&t, row, "  ");
    }
    if (length == 0)
        put(&t,
            "\ninclude\n      A file that this one is laid over, relative to this file\n"
            "variants\n      A mapping from names to overrides, each over the whole: `fwm ablate` trains them all\n");
    return give(&t, out);
}
