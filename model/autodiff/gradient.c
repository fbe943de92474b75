/* Reverse-mode differentiation from graph to graph: one walk from the last value to the first over a table of rules.
 *
 * The walk alone undoes broadcasting (sum_to) and adds contributions (add_n); a rule only says what one operator passes
 * on. Nothing is emitted for values that no wanted value reaches. */
#include "model/autodiff/graph_internal.h"
#include "model/autodiff/ops.h"

#include <string.h>

static _Thread_local const char *mutated;

void ad_mutate_gradient(const char *op_name)
{
    mutated = op_name;
}

typedef struct contribution {
    ad_value value;
    int32_t next;
} contribution;

typedef struct walk {
    ad_graph *g;
    bool *needed;  /* does the value depend on one of wrt */
    int32_t *head; /* first contribution of each value, -1 where none */
    contribution *pool;
    int32_t n_pool, capacity;
    ad_value *terms; /* scratch for add_n */
    int32_t n_terms;
} walk;

static fwm_status contribute(walk *w, ad_value to, ad_value dx)
{
    if (w->n_pool == w->capacity) {
        int32_t capacity = w->capacity ? 2 * w->capacity : 1024;
        contribution *pool = fwm_realloc(w->pool, (size_t)capacity, sizeof *pool);
        FWM_CHECK(pool, FWM_MEMORY, "gradient: out of memory");
        w->pool = pool;
        w->capacity = capacity;
    }
    w->pool[w->n_pool] = (contribution){dx, w->head[to]};
    w->head[to] = w->n_pool++;
    return FWM_OK;
}

/* The sum of what reached v: AD_NONE when nothing did. Contributions are added in the order in which they came. */
static fwm_status total(walk *w, ad_value v, ad_value *sum)
{
    int32_t n = 0;
    for (int32_t c = w->head[v]; c >= 0; c = w->pool[c].next)
        n++;
    *sum = AD_NONE;
    if (n == 0)
        return FWM_OK;
    if (n > w->n_terms) {
        ad_value *terms = fwm_realloc(w->terms, (size_t)n, sizeof *terms);
        FWM_CHECK(terms, FWM_MEMORY, "gradient: out of memory");
        w->terms = terms;
        w->n_terms = n;
    }
    int32_t at = n;
    for (int32_t c = w->head[v]; c >= 0; c = w->pool[c].next)
        w->terms[--at] = w->pool[c].value;
    *sum = n == 1 ? w->terms[0] : n == 2 ? ad_add(w->g, w->terms[0], w->terms[1]) : ad_add_n(w->g, n, w->terms);
    return ad_graph_status(w->g);
}

static fwm_status apply_rule(walk *w, ad_value v, ad_value dy)
{
    enum { INPUT_STACK = 64 };
    ad_graph *g = w->g;
    int n = g->node[v].n_in;
    const ad_op *op = g->node[v].op;
    bool need_stack[INPUT_STACK], *need = need_stack;
    ad_value dx_stack[INPUT_STACK], *dx = dx_stack;
    if (n > INPUT_STACK) {
        need = fwm_arena_alloc(g->arena, (size_t)n * sizeof *need);
        dx = fwm_arena_alloc(g->arena, (size_t)n * sizeof *dx);
        FWM_CHECK(need && dx, FWM_MEMORY, "gradient: out of memory");
    }
    for (int k = 0; k < n; k++) {
        need[k] = w->needed[g->node[v].in[k]];
        dx[k] = AD_NONE;
    }
    FWM_CHECK(op->gradient, FWM_UNSUPPORTED, "gradient: operator '%s' has no derivative (value %%%d, %s)", op->name, v,
              g->node[v].name);
    op->gradient(g, v, dy, need, dx);
    FWM_TRY(ad_graph_status(g));
    bool mutate = mutated && strcmp(mutated, op->name) == 0;
    for (int k = 0; k < n; k++) {
        ad_value to = g->node[v].in[k];
        if (!need[k] || dx[k] == AD_NONE)
            continue;
        if (!ad_shape_equal(&g->node[dx[k]].shape, &g->node[to].shape))
            dx[k] = ad_sum_to(g, dx[k], g->node[to].shape);
        if (mutate) {
            dx[k] = ad_affine(g, dx[k], 1.01, 0.0);
            mutate = false;
        }
        FWM_TRY(ad_graph_status(g));
        FWM_TRY(contribute(w, to, dx[k]));
    }
    return FWM_OK;
}

static fwm_status run_walk(walk *w, ad_value y, ad_value dy, int n, const ad_value *wrt, ad_value *d)
{
    ad_graph *g = w->g;
    for (int k = 0; k < n; k++) {
        d[k] = AD_NONE;
        if (wrt[k] <= y)
            w->needed[wrt[k]] = true;
    }
    for (ad_value v = 0; v <= y; v++) {
        w->head[v] = -1;
        if (g->node[v].op->flags & AD_NO_GRADIENT)
            continue;
        for (int k = 0; k < g->node[v].n_in && !w->needed[v]; k++)
            w->needed[v] = w->needed[g->node[v].in[k]];
    }
    if (w->needed[y])
        FWM_TRY(contribute(w, y, dy));
    for (ad_value v = y; v >= 0; v--) {
        ad_value sum;
        if (!w->needed[v])
            continue;
        FWM_TRY(total(w, v, &sum));
        if (sum == AD_NONE)
            continue;
        for (int k = 0; k < n; k++)
            if (wrt[k] == v)
                d[k] = sum;
        if (g->node[v].n_in > 0 && !(g->node[v].op->flags & AD_NO_GRADIENT))
            FWM_TRY(apply_rule(w, v, sum));
    }
    for (int k = 0; k < n; k++)
        if (d[k] == AD_NONE)
            d[k] = ad_fill(g, g->node[wrt[k]].shape, 0.0);
    return ad_graph_status(g);
}

fwm_status ad_vjp(ad_graph *g, ad_value y, ad_value dy, int n, const ad_value *wrt, ad_value *d)
{
    FWM_TRY(ad_graph_status(g));
    FWM_CHECK(y >= 0 && y < g->n && dy >= 0 && dy < g->n, FWM_INVALID, "gradient: not a value of this graph");
    for (int k = 0; k < n; k++)
        FWM_CHECK(wrt[k] >= 0 && wrt[k] < g->n, FWM_INVALID, "gradient: wrt[%d] is not a value of this graph", k);
    char a[96], b[96];
    FWM_CHECK(ad_shape_equal(&g->node[y].shape, &g->node[dy].shape), FWM_SHAPE,
              "gradient: the cotangent has shape %s, expected %s", ad_shape_text(&g->node[dy].shape, a),
              ad_shape_text(&g->node[y].shape, b));
    walk w = {.g = g};
    w.needed = fwm_calloc((size_t)y + 1, sizeof *w.needed);
    w.head = fwm_malloc((size_t)y + 1, sizeof *w.head);
    fwm_status status =
        w.needed && w.head ? run_walk(&w, y, dy, n, wrt, d) : fwm_fail(FWM_MEMORY, "gradient: out of memory");
    fwm_free(w.needed);
    fwm_free(w.head);
    fwm_free(w.pool);
    fwm_free(w.terms);
    return status;
}

fwm_status ad_gradient(ad_graph *g, ad_value loss, int n, const ad_value *wrt, ad_value *d)
{
    FWM_TRY(ad_graph_status(g));
    FWM_CHECK(loss >= 0 && loss < g->n && ad_count(g, loss) == 1, FWM_SHAPE,
              "gradient: expected a loss of one element");
    return ad_vjp(g, loss, ad_fill(g, g->node[loss].shape, 1.0), n, wrt, d);
}
