/* Lists of mappings of one kind: conditions, loads, starts. Each member of a mapping is read by its own row. */
#include "train/config_internal.h"

#include <stdio.h>
#include <string.h>

static const tr_node *find_child(const tr_node *mapping, const char *key)
{
    for (const tr_node *child = mapping->first; child != NULL; child = child->next)
        if (strcmp(child->key->text, key) == 0)
            return child;
    return NULL;
}

/* Keys that the kind does not know, or that stand twice. */
static void refuse_keys(tr_errors *errors, const tr_row *row, const tr_node *mapping, const char *path)
{
    for (const tr_node *child = mapping->first; child != NULL && !errors->full; child = child->next) {
        const tr_node *first = find_child(mapping, child->key->text);
        if (child->key->bad)
            continue;
        if (first != child) {
            tr_errors_add(errors, child->key->place, path, "expected each key once, found %.64s again (first at %d:%d)",
                          child->key->text, first->key->place.line, first->key->place.column);
            continue;
        }
        bool known = false;
        fwm_nearest nearest;
        fwm_nearest_start(&nearest, child->key->text);
        for (const tr_row *m = row->members; m->path != NULL; m++) {
            known = known || strcmp(m->path, child->key->text) == 0;
            fwm_nearest_offer(&nearest, m->path);
        }
        char names[256] = "";
        size_t n = 0;
        for (const tr_row *m = row->members; m->path != NULL && n < sizeof names; m++)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", m == row->members ? "" : ", ", m->path);
        const bool near = fwm_nearest_found(&nearest);
        if (!known)
            tr_errors_add(errors, child->key->place, path, "expected one of %s, found \"%.64s\"%s%s%s", names,
                          child->key->text, near ? "; did you mean " : "", near ? nearest.best : "", near ? "?" : "");
    }
}

static fwm_status store_one(char *record, fwm_arena *arena, tr_errors *errors, const tr_row *row, const tr_node *node,
                            const char *path)
{
    *(tr_place *)(void *)record = node->place;
    refuse_keys(errors, row, node, path);
    for (const tr_row *m = row->members; m->path != NULL && !errors->full; m++) {
        char whole[TR_PATH_CAPACITY];
        tr_row member = *m;
        (void)snprintf(whole, sizeof whole, "%.120s.%.100s", path, m->path);
        member.path = whole;
        tr_node *value = NULL;
        const tr_node *given = find_child(node, m->path);
        if (given == NULL && strcmp(m->text, "\?\?\?") == 0) {
            tr_errors_add(errors, node->place, whole, "expected a value (%s), found nothing", m->help);
            continue;
        }
        if (given == NULL)
            FWM_TRY(tr_yaml_parse(arena, errors, m->text, strlen(m->text), whole, &value));
        FWM_TRY(tr_value_store(record, arena, errors, &member, given != NULL ? given : value));
    }
    return FWM_OK;
}

fwm_status tr_records_store(tr_records *list, fwm_arena *arena, tr_errors *errors, const tr_row *row,
                            const tr_node *node)
{
    char expected[512], found[TR_FOUND_CAPACITY], path[TR_PATH_CAPACITY];
    const int before = errors->count;
    if (node->kind != TR_NODE_SEQUENCE || node->count > row->count) {
        tr_row_expected(row, expected, sizeof expected);
        tr_errors_add(errors, node->place, row->path, "expected %s, found %s", expected, tr_node_found(node, found));
        return FWM_OK;
    }
    char *items = fwm_arena_alloc(arena, (size_t)(node->count + 1) * row->size);
    FWM_CHECK(items != NULL, FWM_MEMORY, "%s: no memory for the value", row->path);
    memset(items, 0, (size_t)(node->count + 1) * row->size);
    int64_t i = 0;
    for (const tr_node *child = node->first; child != NULL && !errors->full; child = child->next, i++) {
        (void)snprintf(path, sizeof path, "%.200s[%lld]", row->path, (long long)i);
        if (child->kind != TR_NODE_MAPPING)
            tr_errors_add(errors, child->place, path, "expected a mapping of keys, found %s",
                          tr_node_found(child, found));
        else
            FWM_TRY(store_one(items + (size_t)i * row->size, arena, errors, row, child, path));
    }
    if (errors->count == before)
        *list = (tr_records){node->count, items};
    return FWM_OK;
}

fwm_status tr_records_copy(tr_records *to, fwm_arena *arena, const tr_records *from, const tr_row *row)
{
    char *items = fwm_arena_alloc(arena, (size_t)(from->count + 1) * row->size);
    FWM_CHECK(items != NULL, FWM_MEMORY, "%s: no memory for a copy of the value", row->path);
    memset(items, 0, (size_t)(from->count + 1) * row->size);
    for (int64_t i = 0; i < from->count; i++) {
        char *record = items + (size_t)i * row->size;
        const char *source = (const char *)from->items + (size_t)i * row->size;
        tr_place *place = (tr_place *)(void *)record;
        *place = *(const tr_place *)(const void *)source;
        place->file = fwm_arena_strdup(arena, place->file);
        FWM_CHECK(place->file != NULL, FWM_MEMORY, "%s: no memory for a copy of the value", row->path);
        for (const tr_row *m = row->members; m->path != NULL; m++)
            FWM_TRY(tr_value_copy(record, arena, source, m));
    }
    *to = (tr_records){from->count, items};
    return FWM_OK;
}
