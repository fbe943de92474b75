/* What the files of the configuration share: the tree of a YAML text, the table's rows, the list of errors.
 *
 * Text becomes a tree (config_yaml.c) that knows where each node stands; the tree is laid over the structures by the
 * table (config.c, config_value.c); then the rules between keys are held (config_rules.c). Everything lives in one
 * arena. */
#ifndef TRAIN_CONFIG_INTERNAL_H
#define TRAIN_CONFIG_INTERNAL_H

#include "model/base/arena.h"
#include "model/base/nearest.h"
#include "train/config.h"

enum {
    TR_YAML_DEPTH = 64,
    TR_YAML_BYTES = 1 << 20,
    TR_CONFIG_ERRORS = 20,
    TR_CONFIG_VARIANTS = 64,
    TR_PATH_CAPACITY = 256,
    TR_ERROR_LINE = 390 /* so that TR_CONFIG_ERRORS lines fit into FWM_ERROR_CAPACITY */
};

typedef struct tr_errors {
    int count;
    bool full; /* no more are collected */
    size_t used;
    char text[FWM_ERROR_CAPACITY];
} tr_errors;

/* Adds one line "place: path: ..." (path "" is left out). */
void tr_errors_add(tr_errors *errors, tr_place place, const char *path, const char *fmt, ...) FWM_PRINTF(4, 5);

typedef enum tr_node_kind { TR_NODE_SCALAR, TR_NODE_SEQUENCE, TR_NODE_MAPPING } tr_node_kind;

typedef struct tr_node {
    tr_node_kind kind;
    bool plain; /* a scalar without quotes */
    bool bad;   /* an error about it is recorded: not to be read */
    const char *text;
    tr_place place;
    const struct tr_node *key;           /* in a mapping */
    struct tr_node *first, *last, *next; /* children; the next sibling */
    int64_t count;
} tr_node;

/* Parses one document. *root is NULL where an error was recorded that leaves no tree. Status: FWM_OK unless memory is
 * out. */
fwm_status tr_yaml_parse(fwm_arena *arena, tr_errors *errors, const char *text, size_t size, const char *file,
                         tr_node **root) FWM_MUST_USE;

/* "found" for messages: `"text"`, `nothing`, `a list`, `a mapping`; cut and escaped into buf. */
enum { TR_FOUND_CAPACITY = 96 };
const char *tr_node_found(const tr_node *node, char buf[TR_FOUND_CAPACITY]);

/* Is it the plain scalar `text`? */
bool tr_node_plain(const tr_node *node, const char *text);

/* ---- the table ---- */
typedef enum tr_type {
    TR_TYPE_BOOL,   /* bool */
    TR_TYPE_INT,    /* int64_t[count], count 1: a scalar */
    TR_TYPE_REAL,   /* double[count] */
    TR_TYPE_STRING, /* const char * */
    TR_TYPE_ENUM,   /* int */
    TR_TYPE_INTS,
    TR_TYPE_REALS,
    TR_TYPE_STRINGS,
    TR_TYPE_MATRIX, /* rows of `count` reals */
    TR_TYPE_MAP,
    TR_TYPE_RECORDS /* mappings whose keys are `members` */
} tr_type;

typedef struct tr_row {
    const char *path;
    tr_type type;
    size_t offset;
    int64_t count;              /* fixed arrays and matrix columns; lists: the most entries */
    int64_t at_least;           /* lists: the fewest entries */
    double min, max;            /* of each number, both included */
    bool above;                 /* min itself is excluded */
    bool ordered;               /* a pair: first <= second */
    const char *word;           /* an int: this word means 0 */
    const char *unit;           /* "" or "-": none */
    const char *text;           /* the default, as YAML; "???": must be given */
    const char *const *choices; /* ended by NULL: of an enum, of a list's strings, of a map's names. NULL for the latter
                                   two: any text, or names that the rules check */
    const char *help;
    const struct tr_row
        *members; /* of records: rows with paths and offsets within one; the last has no path. No maps */
    size_t size;  /* of a record */
} tr_row;

typedef struct tr_block {
    const char *path, *help;
} tr_block;

extern const tr_row tr_config_rows[];
extern const int tr_config_row_count;
extern const tr_block tr_config_blocks[];
extern const int tr_config_block_count;

const tr_row *tr_row_find(const char *path);     /* NULL: none */
const tr_block *tr_block_find(const char *path); /* NULL: none */

int tr_choice_find(const char *const *choices, const char *word); /* -1: none */

/* "an integer from 1 to 8", "one of P1, P2", ... */
void tr_row_expected(const tr_row *row, char *buf, size_t capacity);

/* ---- values ---- */
/* Reads a node into the row's place in `base`, a tr_config or a record; records an error (and stores nothing) where it
 * does not fit. */
fwm_status tr_value_store(void *base, fwm_arena *arena, tr_errors *errors, const tr_row *row,
                          const tr_node *node) FWM_MUST_USE;
/* Copies a row's value into another configuration (or record) and its arena. */
fwm_status tr_value_copy(void *to, fwm_arena *arena, const void *from, const tr_row *row) FWM_MUST_USE;
/* The same for a list of records (config_records.c). */
fwm_status tr_records_store(tr_records *list, fwm_arena *arena, tr_errors *errors, const tr_row *row,
                            const tr_node *node) FWM_MUST_USE;
fwm_status tr_records_copy(tr_records *to, fwm_arena *arena, const tr_records *from, const tr_row *row) FWM_MUST_USE;

/* The shortest decimal that reads back to the same double, in the C locale; returns buf. */
enum { TR_REAL_CAPACITY = 40 };
const char *tr_real_format(double value, char buf[TR_REAL_CAPACITY]);

/* Strict full-match numbers of the C locale. */
bool tr_int_parse(const char *text, int64_t *value);
bool tr_real_parse(const char *text, double *value);

/* ---- one configuration's own part ---- */
typedef struct tr_override { /* a variant, its layers merged */
    const char *name;
    const tr_node *node;
    struct tr_override *next;
} tr_override;

struct tr_config_own {
    fwm_arena *arena;
    const char *file;       /* for messages */
    tr_override *overrides; /* in the order given */
    tr_place *places;       /* by row; file NULL: the default */
    bool *missing;          /* by row: the value is ??? */
    const char **sets;      /* KEY=VALUE given beside the file: they stand above the variants, too */
    int64_t set_count;
};

/* Rules between keys; errors are recorded where the first of the keys involved was given. */
void tr_config_hold_rules(const tr_config *config, tr_errors *errors);
/* Those of the simulated scene, which tr_config_hold_rules asks for (config_scene.c). */
void tr_config_hold_scene(const tr_config *config, tr_errors *errors);

#endif
