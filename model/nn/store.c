#include "model/nn/store.h"

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/arena.h"
#include "model/base/random.h"
#include "model/base/threads.h"

#include <math.h>
#include <string.h>

enum { SLOT_ALIGNMENT = 16 };

enum { PIECE = 1024 /* numbers drawn together */ };

struct nn_store {
    fwm_arena *arena;
    nn_slot *slot;
    int n, capacity;
    int64_t size, parameters;
};

fwm_status nn_store_create(nn_store **store)
{
    *store = fwm_calloc(1, sizeof **store);
    FWM_CHECK(*store, FWM_MEMORY, "parameter store: out of memory");
    (*store)->arena = fwm_arena_create();
    if (!(*store)->arena)
        nn_store_destroy(store);
    FWM_CHECK(*store, FWM_MEMORY, "parameter store: out of memory");
    return FWM_OK;
}

void nn_store_destroy(nn_store **store)
{
    if (!store || !*store)
        return;
    fwm_arena_destroy((*store)->arena);
    fwm_free((*store)->slot);
    fwm_free(*store);
    *store = NULL;
}

int64_t nn_store_size(const nn_store *store)
{
    return store->size;
}

int64_t nn_store_parameters(const nn_store *store)
{
    return store->parameters;
}

int nn_store_count(const nn_store *store)
{
    return store->n;
}

const nn_slot *nn_store_slot(const nn_store *store, int k)
{
    return k >= 0 && k < store->n ? &store->slot[k] : NULL;
}

const nn_slot *nn_store_find(const nn_store *store, const char *name)
{
    for (int k = 0; k < store->n; k++)
        if (strcmp(store->slot[k].name, name) == 0)
            return &store->slot[k];
    return NULL;
}

static const nn_slot *add_slot(nn_store *store, const char *name, const ad_shape *shape, const nn_init *init)
{
    if (store->n == store->capacity) {
        int capacity = store->capacity ? 2 * store->capacity : 128;
        nn_slot *slot = fwm_realloc(store->slot, (size_t)capacity, sizeof *slot);
        if (!slot)
            return NULL;
        store->slot = slot;
        store->capacity = capacity;
    }
    char *copy = fwm_arena_strdup(store->arena, name);
    if (!copy)
        return NULL;
    nn_slot *s = &store->slot[store->n++];
    *s = (nn_slot){.name = copy, .shape = *shape, .offset = store->size, .count = ad_shape_count(shape), .init = *init};
    store->size += (s->count + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
    store->parameters += s->count;
    return s;
}

static uint32_t name_stream(const char *name)
{
    uint32_t h = 2166136261u;
    for (const char *c = name; *c; c++)
        h = (h ^ (uint32_t)(unsigned char)*c) * 16777619u;
    return h;
}

/* Numbers first..first+n-1 of a parameter. */
static void draw_piece(const nn_slot *s, uint64_t seed, int64_t first, int64_t n, ad_dtype dtype, void *flat)
{
    const double scale = s->init.kind == NN_INIT_FAN_IN ? s->init.value / sqrt((double)s->init.fan_in) : s->init.value;
    double x[PIECE];
    if (s->init.kind != NN_INIT_CONSTANT)
        fwm_random_normals((fwm_key){seed, name_stream(s->name)}, 0, (uint32_t)first, n, x);
    for (int64_t i = 0; i < n; i++) {
        const double value = s->init.kind == NN_INIT_CONSTANT ? scale : scale * x[i];
        if (dtype == AD_F64)
            ((double *)flat)[s->offset + first + i] = value;
        else
            ((float *)flat)[s->offset + first + i] = (float)value;
    }
}

void nn_store_initialise(const nn_store *store, uint64_t seed, ad_dtype dtype, void *flat)
{
    const size_t size = ad_dtype_size(dtype);
    for (int k = 0; k < store->n; k++) {
        const nn_slot *s = &store->slot[k];
        const int64_t room = (s->count + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
#pragma omp parallel for schedule(static) if (s->count > FWM_PARALLEL_MIN)
        for (int64_t first = 0; first < s->count; first += PIECE)
            draw_piece(s, seed, first, s->count - first < PIECE ? s->count - first : PIECE, dtype, flat);
        memset((char *)flat + (size_t)(s->offset + s->count) * size, 0, (size_t)(room - s->count) * size);
    }
}

static ad_value find_leaf(const ad_graph *g, const char *path)
{
    const ad_op *parameter = ad_op_find("parameter");
    for (ad_value v = 0; v < ad_graph_size(g); v++)
        if (ad_op_of(g, v) == parameter && strcmp(ad_name_of(g, v), path) == 0)
            return v;
    return AD_NONE;
}

ad_value nn_parameter(const nn_builder *b, const char *name, ad_shape shape, nn_init init)
{
    char path[384];
    if (name[0] == '/')
        (void)snprintf(path, sizeof path, "%s", name + 1);
    else
        (void)snprintf(path, sizeof path, "%s%s%s", ad_scope_of(b->g), ad_scope_of(b->g)[0] ? "/" : "", name);
    const nn_slot *slot = nn_store_find(b->store, path);
    if (slot && !ad_shape_equal(&slot->shape, &shape)) {
        char have[96], want[96];
        return ad_graph_fail(b->g, FWM_SHAPE, "parameter '%s': expected shape %s, found %s", path,
                             ad_shape_text(&slot->shape, have), ad_shape_text(&shape, want));
    }
    ad_value v = find_leaf(b->g, path);
    if (v == AD_NONE) {
        v = ad_parameter(b->g, name, shape);
        if (v != AD_NONE && !slot && !add_slot(b->store, path, &shape, &init))
            return ad_graph_fail(b->g, FWM_MEMORY, "parameter '%s': out of memory", path);
    }
    return b->frozen ? ad_stop_gradient(b->g, v) : v;
}

int nn_graph_parameters(const nn_builder *b, ad_value *values, const nn_slot **slots, int capacity)
{
    int n = 0;
    for (int k = 0; k < b->store->n && n < capacity; k++) {
        ad_value v = find_leaf(b->g, b->store->slot[k].name);
        if (v == AD_NONE)
            continue;
        values[n] = v;
        if (slots)
            slots[n] = &b->store->slot[k];
        n++;
    }
    return n;
}

fwm_status nn_store_bind(const nn_builder *b, ad_plan *plan, void *flat, int n, const ad_value *values,
                         const ad_value *d, void *flat_grad)
{
    size_t size = ad_dtype_size(ad_graph_dtype(b->g));
    for (int k = 0; k < n; k++) {
        const nn_slot *slot = nn_store_find(b->store, ad_name_of(b->g, values[k]));
        FWM_CHECK(slot, FWM_INTERNAL, "parameter '%s' is not in the store", ad_name_of(b->g, values[k]));
        FWM_TRY(ad_plan_bind(plan, values[k], (char *)flat + (size_t)slot->offset * size));
        if (d)
            FWM_TRY(ad_plan_bind(plan, d[k], (char *)flat_grad + (size_t)slot->offset * size));
    }
    return FWM_OK;
}
