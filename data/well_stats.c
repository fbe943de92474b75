#include "data/well_stats.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { KINDS = 4, DEEP = 2 };

static yaml_node_t *find(yaml_document_t *document, const yaml_node_t *map, const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        if (name && name->type == YAML_SCALAR_NODE && strcmp((const char *)name->data.scalar.value, key) == 0)
            return yaml_document_get_node(document, pair->value);
    }
    return NULL;
}

/* Numbers of a node, lists within lists flattened, into out[room]; how many there are, -1 when it is not as expected.
 */
static int64_t numbers(yaml_document_t *document, const yaml_node_t *node, int depth, double *out, int64_t room)
{
    int64_t n = 0;
    if (node->type == YAML_SCALAR_NODE) {
        char *end = NULL;
        const char *text = (const char *)node->data.scalar.value;
        double value = strtod(text, &end);
        if (end == text || *end != '\0' || !isfinite(value) || room < 1)
            return -1;
        *out = value;
        return 1;
    }
    if (node->type != YAML_SEQUENCE_NODE || depth == DEEP)
        return -1;
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *child = yaml_document_get_node(document, *item);
        int64_t more = child ? numbers(document, child, depth + 1, out + n, room - n) : -1;
        if (more < 0)
            return -1;
        n += more;
    }
    return n;
}

static fwm_status read_kind(const char *path, yaml_document_t *document, const char *kind, bool increments,
                            const ds_well_field *fields, int64_t count, double *out, bool *complete)
{
    const yaml_node_t *map = find(document, yaml_document_get_root_node(document), kind);
    for (int64_t i = 0; i < count; i++) {
        const ds_well_field *f = &fields[i];
        const yaml_node_t *node = find(document, map, f->name);
        if (!node) {
            *complete = *complete && f->constant && increments;
            continue;
        }
        double *to = out + f->channel;
        int64_t n = numbers(document, node, 0, to, f->channels);
        FWM_CHECK(n == f->channels || n == 1, FWM_DATA,
                  "%s: %s.%s: expected one finite number or %lld, found another thing", path, kind, f->name,
                  (long long)f->channels);
        for (int64_t c = n; c < f->channels; c++)
            to[c] = to[0];
    }
    return FWM_OK;
}

static fwm_status read_document(const char *path, yaml_document_t *document, const ds_well_field *fields, int64_t count,
                                int64_t channels, fwm_arena *arena, ds_stats *out)
{
    static const char *const kinds[KINDS] = {"mean", "std", "mean_delta", "std_delta"};
    double *all = fwm_arena_alloc(arena, (size_t)(KINDS * channels + 1) * sizeof *all);
    bool complete = true;
    FWM_CHECK(all, FWM_MEMORY, "%s: out of memory", path);
    for (int k = 0; k < KINDS; k++)
        FWM_TRY(read_kind(path, document, kinds[k], k >= 2, fields, count, all + k * channels, &complete));
    if (complete)
        *out = (ds_stats){all, all + channels, all + 2 * channels, all + 3 * channels};
    return FWM_OK;
}

fwm_status ds_well_stats_read(const char *path, const ds_well_field *fields, int64_t count, int64_t channels,
                              fwm_arena *arena, ds_stats *out)
{
    yaml_parser_t parser;
    yaml_document_t document;
    FILE *file = fopen(path, "rb");
    FWM_CHECK(file, FWM_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (!yaml_parser_initialize(&parser)) {
        (void)fclose(file);
        return fwm_fail(FWM_MEMORY, "%s: out of memory", path);
    }
    fwm_status status;
    yaml_parser_set_input_file(&parser, file);
    if (yaml_parser_load(&parser, &document)) {
        status = read_document(path, &document, fields, count, channels, arena, out);
        yaml_document_delete(&document);
    } else
        status = fwm_fail(FWM_DATA, "%s: line %zu: expected YAML, found: %s", path, parser.problem_mark.line + 1,
                          parser.problem ? parser.problem : "nothing");
    yaml_parser_delete(&parser);
    (void)fclose(file);
    return status;
}
