#include "train/config.h"

#include "train/config_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INCLUDE_DEPTH = 16 };

typedef struct loading {
    tr_config *config;
    struct tr_config_own *own;
    tr_errors *errors;
    bool variant; /* a variant's overrides: no variants and no includes in them */
    int depth;    /* of includes */
    struct {
        dev_t device;
        ino_t inode;
    } open[INCLUDE_DEPTH];
} loading;

/* ---- unknown keys ---- */
/* The nearest key: first among those of the same block (in their short form), then among all paths. */
static void offer_siblings(fwm_nearest *nearest, const char *prefix, size_t length)
{
    for (int i = 0; i < tr_config_row_count + tr_config_block_count; i++) {
        const char *path =
            i < tr_config_row_count ? tr_config_rows[i].path : tr_config_blocks[i - tr_config_row_count].path;
        if (strncmp(path, prefix, length) == 0 && strchr(path + length, '.') == NULL)
            fwm_nearest_offer(nearest, path + length);
    }
    if (length == 0) {
        fwm_nearest_offer(nearest, "include");
        fwm_nearest_offer(nearest, "variants");
    }
}

static void offer_all(fwm_nearest *nearest)
{
    for (int i = 0; i < tr_config_row_count; i++)
        fwm_nearest_offer(nearest, tr_config_rows[i].path);
    for (int i = 0; i < tr_config_block_count; i++)
        fwm_nearest_offer(nearest, tr_config_blocks[i].path);
}

static void refuse_key(loading *l, const tr_node *key, const char *prefix)
{
    char path[TR_PATH_CAPACITY], block[TR_PATH_CAPACITY], found[TR_FOUND_CAPACITY];
    const size_t length = strlen(prefix);
    (void)snprintf(path, sizeof path, "%s%.100s", prefix, key->text);
    (void)snprintf(block, sizeof block, length > 0 ? "%.*s" : "the top level", length > 0 ? (int)length - 1 : 0,
                   prefix);
    fwm_nearest nearest;
    fwm_nearest_start(&nearest, key->text);
    offer_siblings(&nearest, prefix, length);
    if (!fwm_nearest_found(&nearest)) {
        fwm_nearest_start(&nearest, key->text);
        offer_all(&nearest);
    }
    const bool near = fwm_nearest_found(&nearest) && strcmp(nearest.best, key->text) != 0;
    tr_errors_add(l->errors, key->place, path, "expected a key of %s, found %s%s%s%s", block, tr_node_found(key, found),
                  near ? "; did you mean " : "", near ? nearest.best : "", near ? "?" : "");
}

/* ---- laying a tree over the structures ---- */
static fwm_status apply_row(loading *l, const tr_row *row, const tr_node *node)
{
    const ptrdiff_t i = row - tr_config_rows;
    l->own->places[i] = node->place;
    l->own->missing[i] = tr_node_plain(node, "\?\?\?");
    if (l->own->missing[i])
        return FWM_OK;
    return tr_value_store(l->config, l->own->arena, l->errors, row, node);
}

static bool is_repeated(loading *l, const tr_node *mapping, const tr_node *child, const char *path)
{
    for (const tr_node *other = mapping->first; other != child; other = other->next)
        if (strcmp(other->key->text, child->key->text) == 0) {
            tr_errors_add(l->errors, child->key->place, path, "expected each key once, found it again (first at %d:%d)",
                          other->key->place.line, other->key->place.column);
            return true;
        }
    return false;
}

static void append(tr_node *parent, tr_node *child)
{
    child->next = NULL;
    if (parent->last != NULL)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

static bool has_key(const tr_node *first, const tr_node *end, const char *key)
{
    for (const tr_node *node = first; node != end; node = node->next)
        if (strcmp(node->key->text, key) == 0)
            return true;
    return false;
}

/* `over` laid over `base` as apply_mapping would do one after the other: mappings merge, all else replaces. NULL: no
 * memory. A key that `over` repeats is kept twice, so that it is refused later. */
static tr_node *merge(fwm_arena *arena, const tr_node *base, const tr_node *over)
{
    tr_node *made = fwm_arena_alloc(arena, sizeof *made);
    if (made == NULL)
        return NULL;
    *made = *over;
    made->first = made->last = NULL;
    made->count = 0;
    for (const tr_node *old = base->first; old != NULL; old = old->next) {
        if (has_key(over->first, NULL, old->key->text))
            continue;
        tr_node *copy = fwm_arena_alloc(arena, sizeof *copy);
        if (copy == NULL)
            return NULL;
        *copy = *old;
        append(made, copy);
    }
    for (const tr_node *child = over->first; child != NULL; child = child->next) {
        const tr_node *old = base->first;
        while (old != NULL && strcmp(old->key->text, child->key->text) != 0)
            old = old->next;
        const bool both = old != NULL && old->kind == TR_NODE_MAPPING && child->kind == TR_NODE_MAPPING &&
                          !has_key(over->first, child, child->key->text);
        tr_node *copy = both ? merge(arena, old, child) : fwm_arena_alloc(arena, sizeof *copy);
        if (copy == NULL)
            return NULL;
        if (!both)
            *copy = *child;
        append(made, copy);
    }
    return made;
}

static fwm_status add_override(loading *l, const tr_node *node)
{
    tr_override **end = &l->own->overrides;
    while (*end != NULL && strcmp((*end)->name, node->key->text) != 0)
        end = &(*end)->next;
    if (*end != NULL) {
        (*end)->node = merge(l->own->arena, (*end)->node, node);
    } else {
        *end = fwm_arena_alloc(l->own->arena, sizeof **end);
        if (*end != NULL)
            **end = (tr_override){.name = node->key->text, .node = node};
    }
    FWM_CHECK(*end != NULL && (*end)->node != NULL, FWM_MEMORY, "no memory for variant %s", node->key->text);
    return FWM_OK;
}

static fwm_status collect_variants(loading *l, const tr_node *node)
{
    char found[TR_FOUND_CAPACITY];
    if (node->kind != TR_NODE_MAPPING) {
        tr_errors_add(l->errors, node->place, "variants", "expected a mapping from names to overrides, found %s",
                      tr_node_found(node, found));
        return FWM_OK;
    }
    int64_t count = 0;
    for (const tr_node *child = node->first; child != NULL && !l->errors->full; child = child->next) {
        char path[TR_PATH_CAPACITY];
        (void)snprintf(path, sizeof path, "variants.%.100s", child->key->text);
        if (++count > TR_CONFIG_VARIANTS) {
            tr_errors_add(l->errors, child->key->place, path, "expected at most %d variants, found one more",
                          TR_CONFIG_VARIANTS);
            return FWM_OK;
        }
        if (child->key->bad || child->bad || is_repeated(l, node, child, path))
            continue;
        if (child->kind != TR_NODE_MAPPING) {
            tr_errors_add(l->errors, child->place, path, "expected a mapping of overrides, found %s",
                          tr_node_found(child, found));
            continue;
        }
        if (child->key->text[0] == '\0' || strpbrk(child->key->text, "/.") != NULL || strlen(child->key->text) > 64) {
            tr_errors_add(l->errors, child->key->place, path, "expected a name of 1 to 64 characters without / and .");
            continue;
        }
        FWM_TRY(add_override(l, child));
    }
    return FWM_OK;
}

/* prefix: "" or "block.", ending in a dot. */
static fwm_status apply_mapping(loading *l, const tr_node *mapping, const char *prefix)
{
    for (const tr_node *child = mapping->first; child != NULL && !l->errors->full; child = child->next) {
        char path[TR_PATH_CAPACITY], found[TR_FOUND_CAPACITY];
        (void)snprintf(path, sizeof path, "%s%.100s", prefix, child->key->text);
        if (child->key->bad || is_repeated(l, mapping, child, path))
            continue;
        const tr_row *row = tr_row_find(path);
        if (row != NULL) {
            FWM_TRY(apply_row(l, row, child));
        } else if (tr_block_find(path) != NULL) {
            if (child->bad)
                continue;
            if (child->kind != TR_NODE_MAPPING) {
                tr_errors_add(l->errors, child->place, path, "expected a mapping of keys, found %s",
                              tr_node_found(child, found));
                continue;
            }
            char below[TR_PATH_CAPACITY + 1];
            (void)snprintf(below, sizeof below, "%s.", path);
            FWM_TRY(apply_mapping(l, child, below));
        } else if (prefix[0] == '\0' && !l->variant && strcmp(path, "variants") == 0) {
            if (!child->bad)
                FWM_TRY(collect_variants(l, child));
        } else if (prefix[0] == '\0' && !l->variant && strcmp(path, "include") == 0 && l->depth > 0) {
            continue; /* done before: see apply_text */
        } else {
            refuse_key(l, child->key, prefix);
        }
    }
    return FWM_OK;
}

/* ---- files ---- */
static fwm_status read_all(fwm_arena *arena, const char *file, char **text, size_t *size, struct stat *about)
{
    FILE *stream = fopen(file, "rb");
    FWM_CHECK(stream != NULL, FWM_IO, "%s: expected a configuration file, found: %s", file, strerror(errno));
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, fstat(fileno(stream), about) == 0 && !S_ISDIR(about->st_mode), FWM_IO,
                   "%s: expected a configuration file, found a folder", file);
    *text = fwm_arena_alloc(arena, TR_YAML_BYTES + 1);
    FWM_CHECK_GOTO(status, *text != NULL, FWM_MEMORY, "%s: no memory to read it", file);
    *size = fread(*text, 1, TR_YAML_BYTES + 1, stream); /* one more than allowed: the parser refuses it */
    FWM_CHECK_GOTO(status, !ferror(stream), FWM_IO, "%s: cannot be read: %s", file, strerror(errno));
done:
    (void)fclose(stream);
    return status;
}

static fwm_status apply_text(loading *l, const char *text, size_t size, const char *file);

static fwm_status apply_file(loading *l, const char *file, const tr_node *from)
{
    char *text = NULL;
    size_t size = 0;
    struct stat about = {0};
    const fwm_status status = read_all(l->own->arena, file, &text, &size, &about);
    if (status != FWM_OK && from != NULL) {
        const char *reason = fwm_error_message();
        tr_errors_add(l->errors, from->place, "include", "%s", reason);
        return status == FWM_MEMORY ? status : FWM_OK;
    }
    FWM_TRY(status);
    for (int i = 0; i < l->depth; i++)
        if (l->open[i].device == about.st_dev && l->open[i].inode == about.st_ino && about.st_ino != 0) {
            tr_errors_add(l->errors, from->place, "include", "expected a file that is not including this one, found %s",
                          file);
            return FWM_OK;
        }
    if (l->depth == INCLUDE_DEPTH) {
        tr_errors_add(l->errors, from->place, "include", "expected at most %d files, each including the next",
                      INCLUDE_DEPTH);
        return FWM_OK;
    }
    l->open[l->depth].device = about.st_dev;
    l->open[l->depth].inode = about.st_ino;
    l->depth++;
    FWM_TRY(apply_text(l, text, size, file));
    l->depth--;
    return FWM_OK;
}

static fwm_status apply_include(loading *l, const tr_node *node, const char *file)
{
    char found[TR_FOUND_CAPACITY], path[PATH_MAX];
    if (node->bad)
        return FWM_OK;
    if (node->kind != TR_NODE_SCALAR || node->text[0] == '\0') {
        tr_errors_add(l->errors, node->place, "include", "expected a file name, found %s", tr_node_found(node, found));
        return FWM_OK;
    }
    const char *slash = strrchr(file, '/');
    const int folder = node->text[0] != '/' && slash != NULL ? (int)(slash - file) + 1 : 0;
    if (snprintf(path, sizeof path, "%.*s%s", folder, file, node->text) >= (int)sizeof path) {
        tr_errors_add(l->errors, node->place, "include", "expected a shorter file name");
        return FWM_OK;
    }
    const char *kept = fwm_arena_strdup(l->own->arena, path);
    FWM_CHECK(kept != NULL, FWM_MEMORY, "%s: no memory for its name", path);
    return apply_file(l, kept, node);
}

static fwm_status apply_text(loading *l, const char *text, size_t size, const char *file)
{
    tr_node *root;
    const int before = l->errors->count;
    FWM_TRY(tr_yaml_parse(l->own->arena, l->errors, text, size, file, &root));
    if (root == NULL || root->kind != TR_NODE_MAPPING) {
        char found[TR_FOUND_CAPACITY] = "nothing";
        if (l->errors->count == before)
            tr_errors_add(l->errors, root != NULL ? root->place : (tr_place){file, 1, 1}, "",
                          "expected a mapping of keys, found %s", root != NULL ? tr_node_found(root, found) : found);
        return FWM_OK;
    }
    for (const tr_node *child = root->first; child != NULL; child = child->next)
        if (strcmp(child->key->text, "include") == 0) {
            FWM_TRY(apply_include(l, child, file)); /* under this file, wherever it stands in it */
            break;
        }
    return apply_mapping(l, root, "");
}

/* ---- --set ---- */
static tr_node *make_node(loading *l, tr_node_kind kind, tr_place place, const char *text)
{
    tr_node *node = fwm_arena_alloc(l->own->arena, sizeof *node);
    if (node != NULL)
        *node = (tr_node){.kind = kind, .plain = true, .place = place, .text = text};
    return node;
}

/* "a.b=c" becomes the tree {a: {b: c}} and goes the way of a file. */
static fwm_status apply_set(loading *l, const char *set)
{
    char name[TR_PATH_CAPACITY];
    const size_t length = strcspn(set, "=");
    (void)snprintf(name, sizeof name, "--set %.120s", set);
    tr_place place = {fwm_arena_strdup(l->own->arena, name), 1, 1};
    FWM_CHECK(place.file != NULL, FWM_MEMORY, "no memory for %s", name);
    if (set[length] == '\0' || length == 0) {
        tr_errors_add(l->errors, place, "", "expected KEY=VALUE, as in optimizer.lr=1.0e-3, found \"%.100s\"", set);
        return FWM_OK;
    }
    tr_node *value;
    const int before = l->errors->count;
    FWM_TRY(tr_yaml_parse(l->own->arena, l->errors, set + length + 1, strlen(set + length + 1), place.file, &value));
    if (value == NULL && l->errors->count > before)
        return FWM_OK;
    if (value == NULL)
        value = make_node(l, TR_NODE_SCALAR, place, "");
    else
        value->place.column += (int)length + 1;
    FWM_CHECK(value != NULL, FWM_MEMORY, "no memory for %s", name);
    size_t end = length;
    for (;;) { /* from the last part of the path to the first */
        size_t start = end;
        while (start > 0 && set[start - 1] != '.')
            start--;
        char part[TR_PATH_CAPACITY];
        (void)snprintf(part, sizeof part, "%.*s", (int)(end - start < 128 ? end - start : 128), set + start);
        place.column = (int)start + 1;
        const char *kept = fwm_arena_strdup(l->own->arena, part);
        tr_node *key = make_node(l, TR_NODE_SCALAR, place, kept), *around = make_node(l, TR_NODE_MAPPING, place, "");
        FWM_CHECK(kept != NULL && key != NULL && around != NULL, FWM_MEMORY, "no memory for %s", name);
        value->key = key;
        around->first = around->last = value;
        around->count = 1;
        value = around;
        if (start == 0)
            break;
        end = start - 1;
    }
    return apply_mapping(l, value, "");
}

/* ---- the whole ---- */
static fwm_status apply_defaults(loading *l)
{
    for (int i = 0; i < tr_config_row_count; i++) {
        const tr_row *row = &tr_config_rows[i];
        tr_node *node;
        if (strcmp(row->text, "\?\?\?") == 0) {
            l->own->missing[i] = true;
            continue;
        }
        FWM_TRY(tr_yaml_parse(l->own->arena, l->errors, row->text, strlen(row->text), row->path, &node));
        FWM_TRY(tr_value_store(l->config, l->own->arena, l->errors, row, node));
    }
    FWM_CHECK(l->errors->count == 0, FWM_INTERNAL, "defaults of the configuration's table: %s", l->errors->text);
    return FWM_OK;
}

static void hold_required(loading *l)
{
    for (int i = 0; i < tr_config_row_count; i++) {
        if (!l->own->missing[i])
            continue;
        tr_place place = l->own->places[i];
        if (place.file == NULL)
            place = (tr_place){l->own->file, 1, 1};
        tr_errors_add(l->errors, place, tr_config_rows[i].path,
                      "expected a value (%s), found %s; give it in the file or by --set %s=...", tr_config_rows[i].help,
                      l->own->places[i].file == NULL ? "nothing" : "\?\?\?", tr_config_rows[i].path);
    }
}

static fwm_status apply_sets(loading *l, const char *const *sets, int64_t count)
{
    l->own->sets = fwm_arena_alloc(l->own->arena, (size_t)(count + 1) * sizeof *l->own->sets);
    FWM_CHECK(l->own->sets != NULL, FWM_MEMORY, "no memory for %lld settings", (long long)count);
    for (int64_t i = 0; i < count && !l->errors->full; i++) {
        l->own->sets[i] = fwm_arena_strdup(l->own->arena, sets[i]);
        FWM_CHECK(l->own->sets[i] != NULL, FWM_MEMORY, "no memory for %.60s", sets[i]);
        l->own->set_count = i + 1;
        FWM_TRY(apply_set(l, sets[i]));
    }
    return FWM_OK;
}

static void finish_errors(loading *l, const char *variant)
{
    if (l->errors->count == 0) {
        hold_required(l);
        if (l->errors->count == 0)
            tr_config_hold_rules(l->config, l->errors);
    }
    if (variant != NULL && l->errors->count > 0 && !l->errors->full) {
        const tr_place place = {l->own->file, 1, 1};
        tr_errors_add(l->errors, place, "variants", "these are errors of variant %s", variant);
    }
}

static fwm_status create(tr_config **out, const char *file)
{
    tr_config *config = fwm_calloc(1, sizeof *config);
    struct tr_config_own *own = fwm_calloc(1, sizeof *own);
    fwm_arena *arena = fwm_arena_create();
    const size_t rows = (size_t)tr_config_row_count;
    if (config != NULL && own != NULL && arena != NULL) {
        config->own = own;
        own->arena = arena;
        own->file = fwm_arena_strdup(arena, file);
        own->places = fwm_arena_alloc(arena, rows * sizeof *own->places);
        own->missing = fwm_arena_alloc(arena, rows * sizeof *own->missing);
        if (own->file != NULL && own->places != NULL && own->missing != NULL) {
            *out = config;
            return FWM_OK;
        }
    }
    fwm_arena_destroy(arena);
    fwm_free(own);
    fwm_free(config);
    return fwm_fail(FWM_MEMORY, "%s: no memory for a configuration", file);
}

void tr_config_destroy(tr_config *config)
{
    if (config == NULL)
        return;
    fwm_arena_destroy(config->own->arena);
    fwm_free(config->own);
    fwm_free(config);
}

/* The configuration of a variant; where `sets`, what was given beside the file stands above it. */
static fwm_status overlay(const tr_config *config, const char *name, bool sets, tr_errors *errors, tr_config **out)
{
    tr_config *made;
    fwm_status status;
    FWM_TRY(create(&made, config->own->file));
    loading l = {.config = made, .own = made->own, .errors = errors, .variant = true};
    const size_t rows = (size_t)tr_config_row_count;
    memcpy(made->own->missing, config->own->missing, rows * sizeof *made->own->missing);
    for (int i = 0; i < tr_config_row_count; i++) {
        made->own->places[i] = config->own->places[i];
        if (made->own->places[i].file != NULL) {
            made->own->places[i].file = fwm_arena_strdup(made->own->arena, config->own->places[i].file);
            FWM_CHECK_GOTO(status, made->own->places[i].file != NULL, FWM_MEMORY, "no memory for a variant");
        }
        FWM_TRY_GOTO(status, tr_value_copy(made, made->own->arena, config, &tr_config_rows[i]));
    }
    for (const tr_override *o = config->own->overrides; o != NULL; o = o->next)
        if (strcmp(o->name, name) == 0)
            FWM_TRY_GOTO(status, apply_mapping(&l, o->node, ""));
    for (int64_t i = 0; sets && i < config->own->set_count; i++)
        if (strncmp(config->own->sets[i], "variants", strlen("variants")) != 0)
            FWM_TRY_GOTO(status, apply_set(&l, config->own->sets[i]));
    finish_errors(&l, name);
    *out = made;
    return FWM_OK;
done:
    tr_config_destroy(made);
    return status;
}

/* Every variant is laid over once, so that its own errors show at load. */
static fwm_status hold_variants(loading *l)
{
    int64_t count = 0;
    for (const tr_override *o = l->own->overrides; o != NULL; o = o->next)
        count++;
    const char **names = fwm_arena_alloc(l->own->arena, (size_t)(count + 1) * sizeof *names);
    FWM_CHECK(names != NULL, FWM_MEMORY, "no memory for %lld variants", (long long)count);
    l->config->variants.items = names;
    for (const tr_override *o = l->own->overrides; o != NULL && !l->errors->full; o = o->next) {
        names[l->config->variants.count++] = o->name;
        tr_errors *own = fwm_calloc(1, sizeof *own);
        FWM_CHECK(own != NULL, FWM_MEMORY, "no memory for a variant");
        tr_config *made = NULL;
        const fwm_status status = overlay(l->config, o->name, false, own, &made);
        tr_config_destroy(made);
        /* The lines are whole already: they move over as they are. */
        if (status == FWM_OK && own->count > 0 && l->errors->used + own->used + 2 < sizeof l->errors->text) {
            if (l->errors->used > 0)
                l->errors->text[l->errors->used++] = '\n';
            memcpy(l->errors->text + l->errors->used, own->text, own->used + 1);
            l->errors->used += own->used;
            l->errors->count += own->count;
        }
        l->errors->full = l->errors->count >= TR_CONFIG_ERRORS;
        fwm_free(own);
        FWM_TRY(status);
    }
    return FWM_OK;
}

static fwm_status load(tr_config **out, const char *file, const char *text, size_t size, const char *const *sets,
                       int64_t set_count)
{
    tr_config *config = NULL;
    fwm_status status;
    *out = NULL;
    tr_errors *errors = fwm_calloc(1, sizeof *errors);
    FWM_CHECK(errors != NULL, FWM_MEMORY, "%s: no memory for a configuration", file);
    FWM_TRY_GOTO(status, create(&config, file));
    loading l = {.config = config, .own = config->own, .errors = errors};
    FWM_TRY_GOTO(status, apply_defaults(&l));
    if (text == NULL) {
        FWM_TRY_GOTO(status, apply_file(&l, config->own->file, NULL));
    } else {
        l.depth = 1;
        FWM_TRY_GOTO(status, apply_text(&l, text, size, config->own->file));
        l.depth = 0;
    }
    FWM_TRY_GOTO(status, apply_sets(&l, sets, set_count));
    finish_errors(&l, NULL);
    if (errors->count == 0)
        FWM_TRY_GOTO(status, hold_variants(&l));
    FWM_CHECK_GOTO(status, errors->count == 0, FWM_CONFIG, "%s", errors->text);
    *out = config;
    config = NULL;
done:
    tr_config_destroy(config);
    fwm_free(errors);
    return status;
}

fwm_status tr_config_load(tr_config **out, const char *file, const char *const *sets, int64_t set_count)
{
    return load(out, file, NULL, 0, sets, set_count);
}

fwm_status tr_config_parse(tr_config **out, const char *text, size_t size, const char *name, const char *const *sets,
                           int64_t set_count)
{
    return load(out, name, text, size, sets, set_count);
}

fwm_status tr_config_variant(const tr_config *config, const char *name, tr_config **out)
{
    *out = NULL;
    bool known = false;
    fwm_nearest nearest;
    fwm_nearest_start(&nearest, name);
    for (int64_t i = 0; i < config->variants.count; i++) {
        known = known || strcmp(config->variants.items[i], name) == 0;
        fwm_nearest_offer(&nearest, config->variants.items[i]);
    }
    const bool near = fwm_nearest_found(&nearest);
    FWM_CHECK(known, FWM_CONFIG, "%s: variants: expected one of the %lld variants, found \"%.100s\"%s%s%s",
              config->own->file, (long long)config->variants.count, name, near ? "; did you mean " : "",
              near ? nearest.best : "", near ? "?" : "");
    tr_errors *errors = fwm_calloc(1, sizeof *errors);
    FWM_CHECK(errors != NULL, FWM_MEMORY, "no memory for variant %s", name);
    fwm_status status = overlay(config, name, true, errors, out);
    if (status == FWM_OK && errors->count > 0) {
        tr_config_destroy(*out);
        *out = NULL;
        status = fwm_fail(FWM_CONFIG, "%s", errors->text);
    }
    fwm_free(errors);
    return status;
}
