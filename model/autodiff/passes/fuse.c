/* Element-wise values that only one chain of later values reads are computed inside it, tile by tile (ops/chain.c):
 * they never go to memory.
 *
 * From the last value to the first: an element-wise value joins the chain of its readers where all of them are in one
 * chain, it is no output and has the chain's shape, its inputs are such as a chain can read, and joining keeps no more
 * bytes alive than the value itself did: the inputs of a value that moves to a later place live until there. */
#include "model/autodiff/passes/pass.h"

#include "model/autodiff/ops/chain.h"

#include <string.h>

extern const ad_op ad_op_chain;

enum { SEVERAL = -2 }; /* as a chain: readers outside chains, or in more than one */

typedef struct fusion {
    const ad_rewrite *r;
    const ad_graph *g;
    ad_value *chain;   /* the last value of the chain that v is in; AD_NONE: in none */
    ad_value *readers; /* the chain that all readers of v are in; AD_NONE: no reader yet; SEVERAL */
    ad_value *before;  /* the member before v in its chain, AD_NONE at the first */
    int32_t *members;  /* of the chain that ends with v */
    ad_value *root;    /* whose memory v shows */
    ad_value *last;    /* the last reader of a root's memory; the graph's size for outputs */
} fusion;

static bool may_join(const fusion *f, ad_value v, const ad_shape *shape)
{
    const ad_node *node = &f->g->node[v];
    if (!(node->op->flags & AD_ELEMENTWISE) || node->n_in > AD_CHAIN_INPUTS || !ad_shape_equal(&node->shape, shape))
        return false;
    for (int k = 0; k < node->n_in; k++)
        if (!ad_chain_reads(shape, &f->g->node[node->in[k]].shape))
            return false;
    return true;
}

/* Adds to in[0..n-1] what v reads and is neither a member of the chain nor `joining`; the new n, or -1: too many. */
static int add_outside(const fusion *f, ad_value end, ad_value joining, ad_value v, ad_value in[AD_CHAIN_INPUTS], int n)
{
    for (int k = 0; k < f->g->node[v].n_in; k++) {
        ad_value x = f->g->node[v].in[k];
        int j = 0;
        if (f->chain[x] == end || x == joining)
            continue;
        while (j < n && in[j] != x)
            j++;
        if (j == AD_CHAIN_INPUTS)
            return -1;
        in[j] = x;
        n += j == n;
    }
    return n;
}

/* What the chain reads from outside; with `joining` (or AD_NONE) as one more member. */
static int outside(const fusion *f, ad_value end, ad_value joining, ad_value in[AD_CHAIN_INPUTS])
{
    int n = 0;
    for (ad_value v = end; v != AD_NONE && n >= 0; v = f->before[v])
        n = add_outside(f, end, joining, v, in, n);
    return joining != AD_NONE && n >= 0 ? add_outside(f, end, joining, joining, in, n) : n;
}

/* Elements that live longer if v is computed at `end`, less those of v itself. */
static int64_t longer(const fusion *f, ad_value v, ad_value end)
{
    const ad_node *node = &f->g->node[v];
    int64_t sum = -ad_shape_count(&node->shape);
    for (int k = 0; k < node->n_in; k++) {
        ad_value x = f->root[node->in[k]];
        bool seen = false;
        for (int j = 0; j < k; j++)
            seen = seen || f->root[node->in[j]] == x;
        if (!seen && f->last[x] < end && !(f->g->node[x].op->flags & AD_LEAF))
            sum += ad_shape_count(&f->g->node[x].shape);
    }
    return sum;
}

static void place(fusion *f, ad_value v)
{
    ad_value in[AD_CHAIN_INPUTS], end = f->readers[v];
    f->chain[v] = f->before[v] = AD_NONE;
    if (end >= 0 && may_join(f, v, &f->g->node[end].shape) && f->members[end] < AD_CHAIN_STEPS &&
        longer(f, v, end) <= 0 && outside(f, end, v, in) >= 0) {
        ad_value first = end;
        while (f->before[first] != AD_NONE)
            first = f->before[first];
        f->before[first] = v;
        f->chain[v] = end;
        f->members[end]++;
    } else if (may_join(f, v, &f->g->node[v].shape)) {
        f->chain[v] = v;
        f->members[v] = 1;
    }
    for (int k = 0; k < f->g->node[v].n_in; k++) {
        ad_value x = f->g->node[v].in[k], at = f->chain[v], *last = &f->last[f->root[x]];
        f->readers[x] = at == AD_NONE || (f->readers[x] != AD_NONE && f->readers[x] != at) ? SEVERAL : at;
        *last = *last < at ? at : *last < v ? v : *last;
    }
}

static void form_chains(fusion *f)
{
    for (ad_value v = 0; v < f->g->n; v++) {
        f->root[v] = ad_view_offset(f->g, v) >= 0 ? f->root[f->g->node[v].in[0]] : v;
        f->readers[v] = f->chain[v] = f->last[v] = AD_NONE;
    }
    for (ad_value v = 0; v < f->g->n; v++)
        for (int k = 0; k < f->g->node[v].n_in && f->r->live[v]; k++)
            f->last[f->root[f->g->node[v].in[k]]] = v;
    for (int k = 0; k < f->r->n_outputs; k++) {
        f->readers[f->r->output[k]] = SEVERAL;
        f->last[f->root[f->r->output[k]]] = f->g->n;
    }
    for (ad_value v = f->g->n - 1; v >= 0; v--)
        if (f->r->live[v])
            place(f, v);
}

/* ---- making a chain ---- */

/* The members of a chain in order, with the last member that reads each. */
typedef struct members {
    int n;
    ad_value value[AD_CHAIN_STEPS];
    int last[AD_CHAIN_STEPS], reg[AD_CHAIN_STEPS];
    bool busy[AD_CHAIN_STEPS]; /* registers */
} members;

static int position(const members *m, ad_value v)
{
    for (int s = 0; s < m->n; s++)
        if (m->value[s] == v)
            return s;
    return -1;
}

static void list_members(const fusion *f, ad_value end, members *m)
{
    m->n = f->members[end];
    int at = m->n;
    for (ad_value v = end; v != AD_NONE; v = f->before[v])
        m->value[--at] = v;
    for (int s = 0; s < m->n; s++)
        for (int k = 0; k < f->g->node[m->value[s]].n_in; k++) {
            int from = position(m, f->g->node[m->value[s]].in[k]);
            if (from >= 0)
                m->last[from] = s;
        }
}

/* Registers of what dies at step s are free for its result: a row may be written over its input. */
static int take_register(members *m, int s)
{
    for (int from = 0; from < s; from++)
        if (m->last[from] == s)
            m->busy[m->reg[from]] = false;
    int reg = 0;
    while (m->busy[reg])
        reg++;
    m->busy[reg] = true;
    return m->reg[s] = reg;
}

static fwm_status append_step(const fusion *f, ad_chain *chain, members *m, int s, const ad_value *in, int n)
{
    const ad_node *node = &f->g->node[m->value[s]];
    int operand[AD_CHAIN_INPUTS];
    for (int k = 0; k < node->n_in; k++) {
        int from = position(m, node->in[k]), j = 0;
        while (from < 0 && j < n && in[j] != node->in[k])
            j++;
        operand[k] = from >= 0 ? -1 - m->reg[from] : j;
    }
    int reg = take_register(m, s);
    FWM_CHECK(ad_chain_append(chain, node->op, &node->attr, node->n_in, operand, reg), FWM_INTERNAL,
              "no room for %s in a chain", node->op->name);
    return FWM_OK;
}

static fwm_status make_chain(const fusion *f, ad_value end)
{
    ad_graph *to = f->r->to;
    ad_value in[AD_CHAIN_INPUTS];
    int n = outside(f, end, AD_NONE, in);
    members m = {0};
    ad_chain *chain = fwm_arena_alloc(to->arena, sizeof *chain);
    FWM_CHECK(chain && n > 0, FWM_MEMORY, "out of memory");
    chain->shape = f->g->node[end].shape;
    list_members(f, end, &m);
    for (int s = 0; s < m.n; s++)
        FWM_TRY(append_step(f, chain, &m, s, in, n));
    for (int k = 0; k < n; k++)
        in[k] = f->r->map[in[k]];
    ad_node node = {.op = &ad_op_chain,
                    .name = f->g->node[end].name,
                    .n_in = n,
                    .shape = chain->shape,
                    .attr = {.object = chain},
                    .copy = f->g->node[end].copy};
    f->r->map[end] = ad_graph_copy(to, &node, in, node.copy);
    return ad_graph_status(to);
}

static fwm_status rewrite(ad_rewrite *r, fusion *f)
{
    form_chains(f);
    for (ad_value v = 0; v < f->g->n; v++) {
        if (!r->live[v] || (f->chain[v] != AD_NONE && f->chain[v] != v))
            continue;
        if (f->chain[v] == v && f->members[v] > 1)
            FWM_TRY(make_chain(f, v));
        else
            (void)ad_rewrite_copy(r, v);
    }
    return ad_graph_status(r->to);
}

static fwm_status run(ad_rewrite *r)
{
    enum { ARRAYS = 6 };
    size_t n = (size_t)r->from->n + 1;
    ad_value *all = fwm_calloc(ARRAYS * n, sizeof *all);
    FWM_CHECK(all, FWM_MEMORY, "out of memory");
    fusion f = {.r = r,
                .g = r->from,
                .chain = all,
                .readers = all + n,
                .before = all + 2 * n,
                .members = all + 3 * n,
                .root = all + 4 * n,
                .last = all + 5 * n};
    fwm_status status = rewrite(r, &f);
    fwm_free(all);
    return status;
}

extern const ad_pass ad_pass_fuse;
const ad_pass ad_pass_fuse = {.name = "fuse",
                              .order = 90,
                              .exact = true,
                              .summary = "element-wise values run in chains, tile by tile",
                              .run = run};
