#include "model/autodiff/passes/pass.h"

#include "model/base/checked.h"

#include <stdlib.h>
#include <string.h>

#define X(name) extern const ad_pass ad_pass_##name;
#include "passes.def"
#undef X

const ad_pass *const ad_pass_table[] = {
#define X(name) &ad_pass_##name,
#include "passes.def"
#undef X
};
const int ad_pass_table_size = (int)(sizeof ad_pass_table / sizeof *ad_pass_table);

enum { PASSES = sizeof ad_pass_table / sizeof *ad_pass_table };

ad_value ad_rewrite_copy(ad_rewrite *r, ad_value v)
{
    enum { INPUT_STACK = 64 };
    const ad_node *node = &r->from->node[v];
    ad_value stack[INPUT_STACK], *in = stack;
    if (node->n_in > INPUT_STACK && !(in = fwm_arena_alloc(r->to->arena, (size_t)node->n_in * sizeof *in)))
        return ad_graph_fail(r->to, FWM_MEMORY, "out of memory");
    for (int k = 0; k < node->n_in; k++)
        in[k] = r->map[node->in[k]];
    return r->map[v] = ad_graph_copy(r->to, node, in, node->copy);
}

/* ---- one pass ---- */

/* What the outputs need, and how often each value is read. */
static void mark(const ad_graph *g, int n, const ad_value *outputs, bool *live, int32_t *uses)
{
    memset(live, 0, (size_t)g->n * sizeof *live);
    memset(uses, 0, (size_t)g->n * sizeof *uses);
    for (int k = 0; k < n; k++) {
        live[outputs[k]] = true;
        uses[outputs[k]]++;
    }
    for (ad_value v = g->n - 1; v >= 0; v--)
        for (int k = 0; live[v] && k < g->node[v].n_in; k++) {
            live[g->node[v].in[k]] = true;
            uses[g->node[v].in[k]]++;
        }
}

static fwm_status verify(const ad_rewrite *r)
{
    char a[96], b[96];
    FWM_TRY(ad_graph_verify(r->to));
    for (int k = 0; k < r->n_outputs; k++) {
        ad_value v = r->output[k], w = r->map[v];
        FWM_CHECK(w >= 0 && w < r->to->n, FWM_INTERNAL, "output %%%d has no counterpart", v);
        FWM_CHECK(ad_shape_equal(&r->to->node[w].shape, &r->from->node[v].shape), FWM_INTERNAL,
                  "output %%%d of shape %s became %%%d of %s", v, ad_shape_text(&r->from->node[v].shape, a), w,
                  ad_shape_text(&r->to->node[w].shape, b));
    }
    return FWM_OK;
}

/* Runs the pass; *to is NULL after an error. map gets [from->n] values. */
static fwm_status run_pass(const ad_pass *pass, const ad_graph *from, fwm_arena *arena, int n, const ad_value *outputs,
                           const ad_optimise_options *options, ad_graph **to, ad_value *map)
{
    bool *live = fwm_malloc((size_t)from->n + 1, sizeof *live);
    int32_t *uses = fwm_malloc((size_t)from->n + 1, sizeof *uses);
    fwm_status status =
        live && uses ? ad_graph_create_in(to, from->dtype, arena) : fwm_fail(FWM_MEMORY, "out of memory");
    if (status == FWM_OK) {
        mark(from, n, outputs, live, uses);
        for (ad_value v = 0; v < from->n; v++)
            map[v] = AD_NONE;
        ad_rewrite r = {.from = from,
                        .to = *to,
                        .map = map,
                        .n_outputs = n,
                        .output = outputs,
                        .live = live,
                        .uses = uses,
                        .options = options};
        status = pass->run(&r);
        if (status == FWM_OK)
            status = verify(&r);
    }
    if (status != FWM_OK) {
        ad_graph_destroy(to);
        (void)fwm_fail_within(status, "pass %s", pass->name);
    }
    fwm_free(live);
    fwm_free(uses);
    return status;
}

/* ---- all ---- */

static int by_order(const void *a, const void *b)
{
    const ad_pass *x = *(const ad_pass *const *)a, *y = *(const ad_pass *const *)b;
    return x->order != y->order ? (x->order > y->order) - (x->order < y->order) : strcmp(x->name, y->name);
}

/* The wanted passes in order. */
static fwm_status choose(const char *names, const ad_pass *pass[PASSES], int *n)
{
    *n = 0;
    for (int k = 0; k < PASSES && !names; k++)
        pass[(*n)++] = ad_pass_table[k];
    while (names && *names) {
        size_t length = strcspn(names, ",");
        int k = 0;
        while (k < PASSES &&
               !(strlen(ad_pass_table[k]->name) == length && strncmp(ad_pass_table[k]->name, names, length) == 0))
            k++;
        FWM_CHECK(k < PASSES && *n < PASSES, FWM_INVALID, "passes: expected names of passes, each once, found '%.*s'",
                  (int)length, names);
        pass[(*n)++] = ad_pass_table[k];
        names += length + (names[length] == ',');
    }
    qsort(pass, (size_t)*n, sizeof *pass, by_order);
    return FWM_OK;
}

/* map := next after map. */
static void follow(ad_value *map, int32_t n, const ad_value *next)
{
    for (ad_value v = 0; v < n; v++)
        map[v] = map[v] == AD_NONE ? AD_NONE : next[map[v]];
}

typedef struct pipeline {
    const ad_graph *at; /* the newest graph */
    ad_graph *own;      /* the same, where a pass made it */
    fwm_arena *arena;   /* of all graphs that passes make */
    ad_value *next, *output;
} pipeline;

static fwm_status advance(pipeline *p, const ad_pass *pass, int32_t n_values, ad_value *map, int n,
                          const ad_value *outputs, const ad_optimise_options *options)
{
    ad_graph *to = NULL;
    fwm_free(p->next);
    p->next = fwm_malloc((size_t)p->at->n + 1, sizeof *p->next);
    FWM_CHECK(p->next, FWM_MEMORY, "passes: out of memory");
    for (int k = 0; k < n; k++)
        p->output[k] = map[outputs[k]];
    FWM_TRY(run_pass(pass, p->at, p->arena, n, p->output, options, &to, p->next));
    follow(map, n_values, p->next);
    ad_graph_destroy(&p->own);
    p->at = p->own = to;
    return FWM_OK;
}

/* Copies what the outputs need, for where no pass was wanted. */
static fwm_status copy_all(ad_rewrite *r)
{
    for (ad_value v = 0; v < r->from->n; v++)
        if (r->live[v])
            (void)ad_rewrite_copy(r, v);
    return ad_graph_status(r->to);
}

fwm_status ad_optimise(ad_graph **result, ad_value *map, const ad_graph *g, int n_outputs, const ad_value *outputs,
                       const ad_optimise_options *options)
{
    static const ad_pass plain = {.name = "copy", .run = copy_all};
    const ad_pass *pass[PASSES + 1];
    int n = 0;
    *result = NULL;
    FWM_TRY(choose(options->passes, pass, &n));
    if (n == 0)
        pass[n++] = &plain;
    pipeline p = {.at = g, .arena = fwm_arena_create()};
    fwm_status status = FWM_OK;
    p.output = fwm_malloc((size_t)n_outputs + 1, sizeof *p.output);
    if (!p.arena || !p.output)
        status = fwm_fail(FWM_MEMORY, "passes: out of memory");
    for (ad_value v = 0; v < g->n; v++)
        map[v] = v;
    for (int k = 0; k < n && status == FWM_OK; k++)
        status = advance(&p, pass[k], g->n, map, n_outputs, outputs, options);
    fwm_free(p.next);
    fwm_free(p.output);
    if (status == FWM_OK) {
        p.own->borrowed = false; /* the result owns the arena of all of them */
        *result = p.own;
        return FWM_OK;
    }
    ad_graph_destroy(&p.own);
    fwm_arena_destroy(p.arena);
    return status;
}
