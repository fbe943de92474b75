#include "model/autodiff/graph_internal.h"

#include "model/autodiff/ops.h"
#include "model/base/checked.h"

#include <stdarg.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

/* ---- shapes ---- */

ad_shape ad_shape_from(int rank, const int64_t *dim)
{
    ad_shape s = {.rank = rank};
    for (int i = 0; i < rank && i < AD_MAX_RANK; i++)
        s.dim[i] = dim[i];
    return s;
}

int64_t ad_shape_count(const ad_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++)
        n *= s->dim[i];
    return n;
}

bool ad_shape_equal(const ad_shape *a, const ad_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

const char *ad_shape_text(const ad_shape *s, char buf[96])
{
    int at = snprintf(buf, 96, "[");
    for (int i = 0; i < s->rank && at < 90; i++)
        at += snprintf(buf + at, (size_t)(96 - at), "%s%lld", i ? "," : "", (long long)s->dim[i]);
    if (at < 95)
        (void)snprintf(buf + at, (size_t)(96 - at), "]");
    return buf;
}

bool ad_shape_broadcast(const ad_shape *a, const ad_shape *b, ad_shape *out)
{
    *out = (ad_shape){.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= out->rank; i++) {
        int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t db = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (da != db && da != 1 && db != 1)
            return false;
        out->dim[out->rank - i] = da > db ? da : db;
    }
    return true;
}

int ad_axis(int axis, int rank)
{
    int k = axis < 0 ? axis + rank : axis;
    return k >= 0 && k < rank ? k : -1;
}

/* A shape from a caller: positive dimensions whose product and byte count fit. */
static bool shape_is_valid(const ad_shape *s)
{
    if (s->rank < 0 || s->rank > AD_MAX_RANK)
        return false;
    int64_t n = (int64_t)sizeof(double);
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] <= 0 || !fwm_mul_i64(n, s->dim[i], &n))
            return false;
    return true;
}

size_t ad_dtype_size(ad_dtype dtype)
{
    return dtype == AD_F64 ? sizeof(double) : sizeof(float);
}

/* ---- graph ---- */

fwm_status ad_graph_create_in(ad_graph **graph, ad_dtype dtype, fwm_arena *arena)
{
    *graph = NULL;
    ad_graph *g = fwm_calloc(1, sizeof *g);
    FWM_CHECK(g, FWM_MEMORY, "graph: out of memory");
    g->dtype = dtype;
    g->arena = arena;
    g->borrowed = true;
    g->scope_name = "";
    *graph = g;
    return FWM_OK;
}

fwm_status ad_graph_create(ad_graph **graph, ad_dtype dtype)
{
    fwm_arena *arena = fwm_arena_create();
    *graph = NULL;
    FWM_CHECK(arena, FWM_MEMORY, "graph: out of memory");
    fwm_status status = ad_graph_create_in(graph, dtype, arena);
    if (status != FWM_OK)
        fwm_arena_destroy(arena);
    else
        (*graph)->borrowed = false;
    return status;
}

void ad_graph_destroy(ad_graph **graph)
{
    if (!graph || !*graph)
        return;
    if (!(*graph)->borrowed)
        fwm_arena_destroy((*graph)->arena);
    fwm_free((*graph)->node);
    fwm_free((*graph)->slot);
    fwm_free(*graph);
    *graph = NULL;
}

fwm_status ad_graph_status(const ad_graph *g)
{
    if (g->status != FWM_OK)
        fwm_error_set(g->message);
    return g->status;
}

static ad_value keep_failure(ad_graph *g, fwm_status code)
{
    if (g->status == FWM_OK) {
        g->status = code;
        fwm_error_get(g->message, sizeof g->message);
    }
    return AD_NONE;
}

ad_value ad_graph_fail(ad_graph *g, fwm_status code, const char *fmt, ...)
{
    char text[FWM_ERROR_CAPACITY / 2];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fwm_fail(code, "graph%s%s: %s", g->scope_name[0] ? " at " : "", g->scope_name, text);
    return keep_failure(g, code);
}

ad_dtype ad_graph_dtype(const ad_graph *g)
{
    return g->dtype;
}

int32_t ad_graph_size(const ad_graph *g)
{
    return g->n;
}

size_t ad_graph_memory(const ad_graph *g)
{
    return fwm_arena_memory(g->arena) + (size_t)g->capacity * sizeof *g->node + g->n_slots * sizeof *g->slot;
}

uint32_t ad_graph_next_stream(ad_graph *g)
{
    return g->next_stream++;
}

void ad_scope_push(ad_graph *g, const char *name)
{
    size_t at = strlen(g->scope);
    if (g->scope_depth >= AD_SCOPE_DEPTH || at + strlen(name) + 2 > sizeof g->scope) {
        (void)ad_graph_fail(g, FWM_INVALID, "scope '%s': nested too deep or named too long", name);
        return;
    }
    g->scope_length[g->scope_depth++] = (int)at;
    (void)snprintf(g->scope + at, sizeof g->scope - at, "%s%s", at ? "/" : "", name);
    const char *copy = fwm_arena_strdup(g->arena, g->scope);
    g->scope_name = copy ? copy : "";
}

void ad_scope_pop(ad_graph *g)
{
    if (g->scope_depth == 0) {
        (void)ad_graph_fail(g, FWM_INVALID, "scope: pop without push");
        return;
    }
    g->scope[g->scope_length[--g->scope_depth]] = '\0';
    const char *copy = fwm_arena_strdup(g->arena, g->scope);
    g->scope_name = copy ? copy : "";
}

const char *ad_scope_of(const ad_graph *g)
{
    return g->scope;
}

/* ---- values ---- */

const ad_shape *ad_shape_of(const ad_graph *g, ad_value v)
{
    static const ad_shape none = {.rank = 0};
    return v >= 0 && v < g->n ? &g->node[v].shape : &none;
}

int64_t ad_count(const ad_graph *g, ad_value v)
{
    return ad_shape_count(ad_shape_of(g, v));
}

int64_t ad_dim(const ad_graph *g, ad_value v, int axis)
{
    const ad_shape *s = ad_shape_of(g, v);
    int k = ad_axis(axis, s->rank);
    return k < 0 ? 0 : s->dim[k];
}

const char *ad_name_of(const ad_graph *g, ad_value v)
{
    return v >= 0 && v < g->n ? g->node[v].name : "";
}

const ad_op *ad_op_of(const ad_graph *g, ad_value v)
{
    return v >= 0 && v < g->n ? g->node[v].op : NULL;
}

const ad_attributes *ad_attributes_of(const ad_graph *g, ad_value v)
{
    return v >= 0 && v < g->n ? &g->node[v].attr : NULL;
}

int ad_input_count(const ad_graph *g, ad_value v)
{
    return v >= 0 && v < g->n ? g->node[v].n_in : 0;
}

ad_value ad_input_of(const ad_graph *g, ad_value v, int k)
{
    return k >= 0 && k < ad_input_count(g, v) ? g->node[v].in[k] : AD_NONE;
}

int64_t ad_view_offset(const ad_graph *g, ad_value v)
{
    const ad_node *node = &g->node[v];
    if (node->op->view_offset)
        return node->op->view_offset(&g->node[node->in[0]].shape, &node->shape, &node->attr);
    return node->op->flags & AD_VIEW ? 0 : -1;
}

/* ---- making a value ---- */

static uint64_t mix(uint64_t h, const void *data, size_t size)
{
    const unsigned char *p = data; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t node_hash(const ad_op *op, int n, const ad_value *in, const ad_attributes *attr, uint32_t copy)
{
    uint64_t h = mix(UINT64_C(0xcbf29ce484222325), &op, sizeof op);
    h = mix(h, in, (size_t)n * sizeof *in);
    h = mix(h, &copy, sizeof copy);
    return mix(h, attr, sizeof *attr);
}

/* The value with this operator, inputs and attributes, or AD_NONE. */
static ad_value find(const ad_graph *g, const ad_op *op, int n, const ad_value *in, const ad_attributes *attr,
                     uint32_t copy, uint64_t hash)
{
    if (g->n_slots == 0)
        return AD_NONE;
    for (size_t i = hash & (g->n_slots - 1); g->slot[i] != AD_NONE; i = (i + 1) & (g->n_slots - 1)) {
        const ad_node *a = &g->node[g->slot[i]];
        if (a->hash == hash && a->op == op && a->copy == copy && a->n_in == n &&
            (n == 0 || memcmp(a->in, in, (size_t)n * sizeof *in) == 0) && memcmp(&a->attr, attr, sizeof *attr) == 0)
            return g->slot[i];
    }
    return AD_NONE;
}

static bool grow(ad_graph *g)
{
    if (g->n < g->capacity)
        return true;
    int32_t capacity = g->capacity ? 2 * g->capacity : FIRST_CAPACITY;
    ad_node *node = fwm_realloc(g->node, (size_t)capacity, sizeof *node);
    if (!node)
        return false;
    g->node = node;
    g->capacity = capacity;
    size_t n_slots = 4 * (size_t)capacity;
    ad_value *slot = fwm_malloc(n_slots, sizeof *slot);
    if (!slot)
        return false;
    for (size_t i = 0; i < n_slots; i++)
        slot[i] = AD_NONE;
    for (int32_t v = 0; v < g->n; v++) {
        size_t i = g->node[v].hash & (n_slots - 1);
        while (slot[i] != AD_NONE)
            i = (i + 1) & (n_slots - 1);
        slot[i] = v;
    }
    fwm_free(g->slot);
    g->slot = slot;
    g->n_slots = n_slots;
    return true;
}

static ad_value fail_op(ad_graph *g, const ad_op *op, int n, const ad_value *in, fwm_status code)
{
    char shapes[400] = "";
    size_t at = 0;
    for (int k = 0; k < n && at < 300; k++) {
        char text[96];
        at += (size_t)snprintf(shapes + at, sizeof shapes - at, "%s%s", k ? ", " : "",
                               ad_shape_text(ad_shape_of(g, in[k]), text));
    }
    (void)fwm_fail_within(code, "graph%s%s: %s(%s)", g->scope_name[0] ? " at " : "", g->scope_name, op->name, shapes);
    return keep_failure(g, code);
}

/* Adds the node with a copy of its inputs. */
static ad_value append(ad_graph *g, const ad_node *node)
{
    int n = node->n_in;
    ad_value *in = fwm_arena_alloc(g->arena, (size_t)(n > 0 ? n : 1) * sizeof *in);
    if (!in || !grow(g))
        return ad_graph_fail(g, FWM_MEMORY, "out of memory at %d values", g->n);
    if (n > 0)
        memcpy(in, node->in, (size_t)n * sizeof *in);
    ad_value v = g->n++;
    g->node[v] = *node;
    g->node[v].in = in;
    size_t i = node->hash & (g->n_slots - 1);
    while (g->slot[i] != AD_NONE)
        i = (i + 1) & (g->n_slots - 1);
    g->slot[i] = v;
    return v;
}

ad_value ad_apply(ad_graph *g, const ad_op *op, int n, const ad_value *in, const ad_attributes *attributes)
{
    enum { SHAPE_STACK = 64 };
    if (g->status != FWM_OK)
        return AD_NONE;
    if (n < op->min_inputs || (op->max_inputs >= 0 && n > op->max_inputs))
        return ad_graph_fail(g, FWM_INVALID, "%s: expected %d to %d inputs, found %d", op->name, op->min_inputs,
                             op->max_inputs, n);
    ad_attributes attr;
    memset(&attr, 0, sizeof attr);
    if (attributes)
        attr = *attributes;
    for (int k = 0; k < n; k++)
        if (in[k] < 0 || in[k] >= g->n)
            return ad_graph_fail(g, FWM_INVALID, "%s: input %d is not a value of this graph", op->name, k);
    uint64_t hash = node_hash(op, n, in, &attr, 0);
    ad_value equal = find(g, op, n, in, &attr, 0, hash);
    if (equal != AD_NONE)
        return equal;
    const ad_shape *stack[SHAPE_STACK] = {0}, **shapes = stack;
    if (n > SHAPE_STACK && !(shapes = fwm_arena_alloc(g->arena, (size_t)n * sizeof *shapes)))
        return ad_graph_fail(g, FWM_MEMORY, "out of memory");
    for (int k = 0; k < n; k++)
        shapes[k] = &g->node[in[k]].shape;
    ad_shape out;
    memset(&out, 0, sizeof out);
    fwm_status status = op->shape(n, shapes, &attr, &out);
    if (status != FWM_OK)
        return fail_op(g, op, n, in, status);
    if (!shape_is_valid(&out)) {
        char text[96];
        status = fwm_fail(FWM_SHAPE, "result %s has a dimension that is not positive or too many elements",
                          ad_shape_text(&out, text));
        return fail_op(g, op, n, in, status);
    }
    return append(
        g, &(ad_node){.op = op, .name = g->scope_name, .in = in, .n_in = n, .shape = out, .attr = attr, .hash = hash});
}

ad_value ad_graph_copy(ad_graph *g, const ad_node *node, const ad_value *in, uint32_t copy)
{
    if (g->status != FWM_OK)
        return AD_NONE;
    ad_node fresh = *node;
    fresh.in = in;
    fresh.copy = copy;
    fresh.hash = node_hash(node->op, node->n_in, in, &node->attr, copy);
    ad_value equal = find(g, node->op, node->n_in, in, &node->attr, copy, fresh.hash);
    return equal != AD_NONE ? equal : append(g, &fresh);
}

static fwm_status verify_node(const ad_graph *g, ad_value v)
{
    enum { SHAPE_MOST = 256 };
    const ad_node *node = &g->node[v];
    const ad_shape *in[SHAPE_MOST];
    char a[96], b[96];
    FWM_CHECK(node->n_in >= node->op->min_inputs && (node->op->max_inputs < 0 || node->n_in <= node->op->max_inputs),
              FWM_INTERNAL, "it has %d inputs", node->n_in);
    for (int k = 0; k < node->n_in; k++) {
        FWM_CHECK(node->in[k] >= 0 && node->in[k] < v, FWM_INTERNAL, "its input %d is %%%d, which is not before it", k,
                  node->in[k]);
        if (k < SHAPE_MOST)
            in[k] = &g->node[node->in[k]].shape;
    }
    if (node->n_in > SHAPE_MOST)
        return FWM_OK;
    ad_shape shape;
    memset(&shape, 0, sizeof shape);
    FWM_TRY(node->op->shape(node->n_in, in, &node->attr, &shape));
    FWM_CHECK(ad_shape_equal(&shape, &node->shape), FWM_INTERNAL, "its shape is %s, the operator's rule says %s",
              ad_shape_text(&node->shape, a), ad_shape_text(&shape, b));
    return FWM_OK;
}

fwm_status ad_graph_verify(const ad_graph *g)
{
    FWM_TRY(ad_graph_status(g));
    for (ad_value v = 0; v < g->n; v++) {
        fwm_status status = verify_node(g, v);
        if (status != FWM_OK)
            return fwm_fail_within(FWM_INTERNAL, "graph: value %%%d (%s, %s)", v, g->node[v].op->name, g->node[v].name);
    }
    return FWM_OK;
}

/* ---- leaves ---- */

extern const ad_op ad_op_input, ad_op_parameter, ad_op_fill, ad_op_constant;

static ad_attributes leaf_attributes(const ad_shape *shape, const void *object)
{
    ad_attributes attr;
    memset(&attr, 0, sizeof attr);
    attr.i[0] = shape->rank;
    for (int k = 0; k < shape->rank && k < AD_MAX_RANK; k++)
        attr.i[k + 1] = shape->dim[k];
    attr.object = object;
    return attr;
}

static ad_value named_leaf(ad_graph *g, const ad_op *op, const char *name, const ad_shape *shape)
{
    if (g->status != FWM_OK)
        return AD_NONE;
    char path[AD_SCOPE_CAPACITY + 128];
    if (name[0] == '/')
        (void)snprintf(path, sizeof path, "%s", name + 1);
    else
        (void)snprintf(path, sizeof path, "%s%s%s", g->scope, g->scope[0] ? "/" : "", name);
    for (int32_t v = 0; v < g->n; v++)
        if ((g->node[v].op == &ad_op_input || g->node[v].op == &ad_op_parameter) && strcmp(g->node[v].name, path) == 0)
            return ad_graph_fail(g, FWM_INVALID, "%s '%s': the name is taken", op->name, path);
    char *copy = fwm_arena_strdup(g->arena, path);
    if (!copy)
        return ad_graph_fail(g, FWM_MEMORY, "out of memory");
    ad_attributes attr = leaf_attributes(shape, copy);
    ad_value v = ad_apply(g, op, 0, NULL, &attr);
    if (v != AD_NONE)
        g->node[v].name = copy;
    return v;
}

ad_value ad_input(ad_graph *g, const char *name, ad_shape shape)
{
    return named_leaf(g, &ad_op_input, name, &shape);
}

ad_value ad_parameter(ad_graph *g, const char *name, ad_shape shape)
{
    return named_leaf(g, &ad_op_parameter, name, &shape);
}

ad_value ad_fill(ad_graph *g, ad_shape shape, double value)
{
    ad_attributes attr = leaf_attributes(&shape, NULL);
    attr.f[0] = value;
    return ad_apply(g, &ad_op_fill, 0, NULL, &attr);
}

ad_value ad_constant(ad_graph *g, ad_shape shape, const double *data)
{
    if (g->status != FWM_OK)
        return AD_NONE;
    if (!shape_is_valid(&shape))
        return ad_graph_fail(g, FWM_SHAPE, "constant: invalid shape");
    size_t bytes = (size_t)ad_shape_count(&shape) * sizeof *data;
    double *copy = fwm_arena_alloc(g->arena, bytes);
    if (!copy)
        return ad_graph_fail(g, FWM_MEMORY, "out of memory");
    memcpy(copy, data, bytes);
    ad_attributes attr = leaf_attributes(&shape, copy);
    return ad_apply(g, &ad_op_constant, 0, NULL, &attr);
}

/* ---- print ---- */

static void print_attributes(const ad_node *node, FILE *out)
{
    int n_ints = node->op->flags & AD_LEAF ? 0 : AD_MAX_INTS, n_reals = AD_MAX_REALS;
    while (n_ints > 0 && node->attr.i[n_ints - 1] == 0)
        n_ints--;
    while (n_reals > 0 && node->attr.f[n_reals - 1] == 0)
        n_reals--;
    for (int k = 0; k < n_ints; k++)
        fprintf(out, "%s%lld", k ? "," : " i=", (long long)node->attr.i[k]);
    for (int k = 0; k < n_reals; k++)
        fprintf(out, "%s%g", k ? "," : " f=", node->attr.f[k]);
}

void ad_graph_print(const ad_graph *g, FILE *out)
{
    char text[96];
    fprintf(out, "graph %s, %d values, %zu bytes\n", g->dtype == AD_F64 ? "f64" : "f32", g->n, ad_graph_memory(g));
    for (int32_t v = 0; v < g->n; v++) {
        const ad_node *node = &g->node[v];
        fprintf(out, "%%%-5d %-22s %-22s (", v, ad_shape_text(&node->shape, text), node->op->name);
        for (int k = 0; k < node->n_in; k++)
            fprintf(out, "%s%%%d", k ? ", " : "", node->in[k]);
        fprintf(out, ")");
        print_attributes(node, out);
        fprintf(out, "%s%s\n", node->name[0] ? "  # " : "", node->name);
    }
}
