#include "train/groups.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static bool matches(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, 0) == 0;
}

bool tr_is_frozen(const tr_config *config, const char *name)
{
    for (int64_t i = 0; i < config->optimizer.frozen.count; i++)
        if (matches(config->optimizer.frozen.items[i], name))
            return true;
    return false;
}

static double factor_of(const tr_map *map, const char *name)
{
    double factor = 1;
    for (int64_t i = 0; i < map->count; i++)
        if (matches(map->items[i].name, name))
            factor *= map->items[i].value;
    return factor;
}

/* Parts of the model, each once: "decoder, encoder, ...". */
static void list_parts(const nn_store *store, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < nn_store_count(store) && used < capacity; k++) {
        const char *name = nn_store_slot(store, k)->name;
        const size_t length = strcspn(name, "/");
        bool seen = false;
        for (int j = 0; j < k && !seen; j++) {
            const char *other = nn_store_slot(store, j)->name;
            seen = strcspn(other, "/") == length && strncmp(name, other, length) == 0;
        }
        if (!seen)
            used += (size_t)snprintf(text + used, capacity - used, "%s%.*s", used > 0 ? ", " : "", (int)length, name);
    }
}

static fwm_status check_pattern(const nn_store *store, const char *key, const char *pattern)
{
    char parts[256];
    for (int k = 0; k < nn_store_count(store); k++)
        if (matches(pattern, nn_store_slot(store, k)->name))
            return FWM_OK;
    list_parts(store, parts, sizeof parts);
    return fwm_fail(
        FWM_CONFIG,
        "%s: expected a pattern that matches a parameter, found \"%s\"; parameters are named PART/..., with "
        "the parts %s; `fwm inspect CHECKPOINT` lists them",
        key, pattern, parts);
}

static fwm_status check_patterns(const tr_config *c, const nn_store *store)
{
    const tr_map *map[] = {&c->optimizer.lr_factor, &c->optimizer.decay_factor};
    static const char *const key[] = {"optimizer.lr_factor", "optimizer.decay_factor"};
    for (int m = 0; m < 2; m++)
        for (int64_t i = 0; i < map[m]->count; i++)
            FWM_TRY(check_pattern(store, key[m], map[m]->items[i].name));
    for (int64_t i = 0; i < c->optimizer.frozen.count; i++)
        FWM_TRY(check_pattern(store, "optimizer.frozen", c->optimizer.frozen.items[i]));
    return FWM_OK;
}

fwm_status tr_groups_fill(tr_group *groups, const tr_config *c, const nn_store *store, int64_t law_size)
{
    FWM_TRY(check_patterns(c, store));
    for (int k = 0; k < nn_store_count(store); k++) {
        const nn_slot *s = nn_store_slot(store, k);
        const bool law = s->offset < law_size && c->physics.identification.freeze;
        const bool frozen = law || tr_is_frozen(c, s->name);
        groups[k] = (tr_group){.begin = s->offset,
                               .end = s->offset + s->count,
                               .lr_scale = frozen ? 0 : factor_of(&c->optimizer.lr_factor, s->name),
                               .decay_scale = s->init.no_decay ? 0 : factor_of(&c->optimizer.decay_factor, s->name)};
    }
    return FWM_OK;
}
