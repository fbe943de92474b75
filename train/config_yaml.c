#include "train/config_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

void tr_errors_add(tr_errors *errors, tr_place place, const char *path, const char *fmt, ...)
{
    if (errors->full)
        return;
    char line[TR_ERROR_LINE];
    int n = snprintf(line, sizeof line, "%s:%d:%d: %.*s%s", place.file, place.line, place.column, TR_PATH_CAPACITY / 2,
                     path, path[0] != '\0' ? ": " : "");
    if (n < 0 || n >= (int)sizeof line)
        n = (int)sizeof line - 1;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line + n, sizeof line - (size_t)n, fmt, args);
    va_end(args);
    size_t length = strlen(line);
    if (errors->used + length + 2 > sizeof errors->text) {
        errors->full = true;
        return;
    }
    if (errors->used > 0)
        errors->text[errors->used++] = '\n';
    memcpy(errors->text + errors->used, line, length + 1);
    errors->used += length;
    errors->count++;
    errors->full = errors->count >= TR_CONFIG_ERRORS;
}

const char *tr_node_found(const tr_node *node, char buf[TR_FOUND_CAPACITY])
{
    if (node->kind == TR_NODE_SEQUENCE) {
        (void)snprintf(buf, TR_FOUND_CAPACITY, "a list of %lld", (long long)node->count);
    } else if (node->kind == TR_NODE_MAPPING) {
        (void)snprintf(buf, TR_FOUND_CAPACITY, "a mapping");
    } else if (node->plain && node->text[0] == '\0') {
        (void)snprintf(buf, TR_FOUND_CAPACITY, "nothing");
    } else {
        size_t n = 0;
        const size_t stop = TR_FOUND_CAPACITY - 40;
        buf[n++] = '"';
        for (const char *c = node->text; *c != '\0'; c++) {
            /* Cut at the start of a character only, so that the message stays valid UTF-8. */
            if (n >= stop && ((unsigned char)*c & 0xC0) != 0x80) {
                n += (size_t)snprintf(buf + n, 8, "...");
                break;
            }
            if ((unsigned char)*c < 0x20 || *c == 0x7F)
                n += (size_t)snprintf(buf + n, 8, "\\x%02X", (unsigned)*c & 0xFFU);
            else
                buf[n++] = *c;
        }
        (void)snprintf(buf + n, TR_FOUND_CAPACITY - n, node->plain ? "\"" : "\" in quotes");
    }
    return buf;
}

bool tr_node_plain(const tr_node *node, const char *text)
{
    return node->kind == TR_NODE_SCALAR && node->plain && strcmp(node->text, text) == 0;
}

/* ---- from events to a tree ---- */
typedef struct builder {
    fwm_arena *arena;
    tr_errors *errors;
    const char *file;
    tr_node *root;
    tr_node *open[TR_YAML_DEPTH];    /* collections not yet closed */
    tr_node *pending[TR_YAML_DEPTH]; /* mappings: the key whose value comes next */
    int depth;
    int documents;
    bool done, stopped, no_memory;
} builder;

static tr_place place_of(const builder *b, yaml_mark_t mark)
{
    const size_t limit = 1 << 30;
    return (tr_place){b->file, (int)(mark.line < limit ? mark.line : limit) + 1,
                      (int)(mark.column < limit ? mark.column : limit) + 1};
}

/* The dotted path of the node that comes next. */
static const char *path_here(const builder *b, char path[TR_PATH_CAPACITY])
{
    size_t n = 0;
    path[0] = '\0';
    for (int i = 1; i <= b->depth && n < TR_PATH_CAPACITY - 2; i++) {
        const tr_node *key = i < b->depth ? b->open[i]->key : b->pending[i - 1];
        const int k =
            key != NULL ? snprintf(path + n, TR_PATH_CAPACITY - n, "%s%.64s", n > 0 ? "." : "", key->text) : 0;
        n += k > 0 ? (size_t)k : 0;
    }
    return path;
}

static void complain(builder *b, yaml_mark_t mark, const char *expected, const char *found)
{
    char path[TR_PATH_CAPACITY];
    tr_errors_add(b->errors, place_of(b, mark), path_here(b, path), "expected %s, found %s", expected, found);
}

/* Puts a new node where the next one belongs; NULL when memory is out or it is a key that cannot be one. */
static tr_node *attach(builder *b, tr_node_kind kind, const yaml_event_t *event)
{
    tr_node *node = fwm_arena_alloc(b->arena, sizeof *node);
    if (node == NULL) {
        b->no_memory = true;
        return NULL;
    }
    node->kind = kind;
    node->place = place_of(b, event->start_mark);
    node->text = "";
    if (b->depth == 0) {
        b->root = node;
        return node;
    }
    tr_node *parent = b->open[b->depth - 1];
    if (parent->kind == TR_NODE_MAPPING) {
        tr_node **key = &b->pending[b->depth - 1];
        if (*key == NULL) {
            if (kind != TR_NODE_SCALAR) {
                complain(b, event->start_mark, "a plain key", "a collection as key");
                b->stopped = true;
                return NULL;
            }
            *key = node;
            return node;
        }
        node->key = *key;
        *key = NULL;
    }
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    return node;
}

static bool refuse_marks(builder *b, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL)
        complain(b, event->start_mark, "a value", "an anchor (&): write the value out");
    if (tag != NULL)
        complain(b, event->start_mark, "a value", "a tag (!): types come from the key");
    return anchor == NULL && tag == NULL;
}

static void take_scalar(builder *b, const yaml_event_t *event)
{
    bool good = refuse_marks(b, event, event->data.scalar.anchor, event->data.scalar.tag);
    const char *value = (const char *)event->data.scalar.value;
    const bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(value) != event->data.scalar.length) {
        complain(b, event->start_mark, "text", "a zero byte in it");
        good = false;
    }
    const bool is_key =
        b->depth > 0 && b->open[b->depth - 1]->kind == TR_NODE_MAPPING && b->pending[b->depth - 1] == NULL;
    if (is_key && plain && strcmp(value, "<<") == 0) {
        complain(b, event->start_mark, "a key", "a merge key (<<): use include");
        good = false;
    }
    tr_node *node = attach(b, TR_NODE_SCALAR, event);
    if (node == NULL)
        return;
    node->plain = plain;
    node->bad = !good;
    node->text = fwm_arena_strdup(b->arena, value);
    b->no_memory = node->text == NULL;
}

static void take_open(builder *b, const yaml_event_t *event, tr_node_kind kind)
{
    const bool map = kind == TR_NODE_MAPPING;
    bool good = refuse_marks(b, event, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                             map ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    if (b->depth == TR_YAML_DEPTH) {
        complain(b, event->start_mark, "at most 64 levels", "one more");
        b->stopped = true;
        return;
    }
    tr_node *node = attach(b, kind, event);
    if (node == NULL)
        return;
    node->bad = !good;
    b->open[b->depth] = node;
    b->pending[b->depth] = NULL;
    b->depth++;
}

static void take_alias(builder *b, const yaml_event_t *event)
{
    complain(b, event->start_mark, "a value", "an alias (*): write the value out");
    tr_node *node = attach(b, TR_NODE_SCALAR, event);
    if (node != NULL)
        node->bad = true;
}

static void take_event(builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++ > 0) {
            complain(b, event->start_mark, "one document", "a second one");
            b->stopped = true;
        }
        break;
    case YAML_ALIAS_EVENT:
        take_alias(b, event);
        break;
    case YAML_SCALAR_EVENT:
        take_scalar(b, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        take_open(b, event, TR_NODE_SEQUENCE);
        break;
    case YAML_MAPPING_START_EVENT:
        take_open(b, event, TR_NODE_MAPPING);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        break;
    case YAML_STREAM_END_EVENT:
        b->done = true;
        break;
    default: /* stream start, document end: nothing to build */
        break;
    }
}

/* Line and column of a byte, for errors that libyaml places by offset. */
static tr_place place_at(const char *file, const char *text, size_t size, size_t offset)
{
    tr_place place = {file, 1, 1};
    for (size_t i = 0; i < offset && i < size; i++) {
        if (text[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

static void report_syntax(builder *b, const yaml_parser_t *parser, const char *text, size_t size)
{
    const char *problem = parser->problem != NULL ? parser->problem : "something else";
    if (parser->error == YAML_MEMORY_ERROR) {
        b->no_memory = true;
    } else if (parser->error == YAML_READER_ERROR) {
        tr_errors_add(b->errors, place_at(b->file, text, size, parser->problem_offset), "",
                      "expected UTF-8 text, found %s", problem);
    } else {
        char path[TR_PATH_CAPACITY];
        tr_errors_add(b->errors, place_of(b, parser->problem_mark), path_here(b, path), "expected YAML, found %s%s%s",
                      problem, parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
    }
    b->stopped = true;
}

static bool is_utf16(const char *text, size_t size)
{
    return size >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0);
}

fwm_status tr_yaml_parse(fwm_arena *arena, tr_errors *errors, const char *text, size_t size, const char *file,
                         tr_node **root)
{
    *root = NULL;
    const tr_place start = {file, 1, 1};
    if (size > TR_YAML_BYTES) {
        tr_errors_add(errors, start, "", "expected at most %d bytes, found %zu", TR_YAML_BYTES, size);
        return FWM_OK;
    }
    if (is_utf16(text, size)) {
        tr_errors_add(errors, start, "", "expected UTF-8 text, found the byte-order mark of UTF-16");
        return FWM_OK;
    }
    builder b = {.arena = arena, .errors = errors, .file = file};
    yaml_parser_t parser;
    FWM_CHECK(yaml_parser_initialize(&parser), FWM_MEMORY, "%s: no memory for a YAML parser", file);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    while (!b.done && !b.stopped && !b.no_memory && !errors->full) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            report_syntax(&b, &parser, text, size);
            break;
        }
        take_event(&b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    FWM_CHECK(!b.no_memory, FWM_MEMORY, "%s: no memory for %zu bytes of YAML", file, size);
    if (b.done)
        *root = b.root;
    return FWM_OK;
}
