/* Activations that would wait for the backward pass are thrown away and computed again, until the live bytes meet the
 * budget (Chen et al., arXiv 1604.06174; here greedy, by bytes saved for each operation more).
 *
 * At the step where most is alive, a value that was last read before it and is next read after it is a candidate. It is
 * computed again just before that next reader, and so is, in turn, what it needs and is no longer there. The candidate
 * that saves most bytes for its operations goes first, then the peak is looked for again. A copy is the same operator
 * with the same attributes, noise included, on the same numbers: bits do not change. */
#include "model/autodiff/passes/pass.h"

#include <stdlib.h>
#include <string.h>

extern const ad_op ad_op_custom, ad_op_custom_vjp;

enum { CLONES = 24, NOWHERE = -1 };

/* The schedule: a list of items, each a value of the graph or a copy of one, whose inputs are items. */
typedef struct item {
    ad_value v;
    uint32_t copy;
    int32_t *in, next, previous;
    int32_t root, place, last; /* place in the list; last place that reads the memory, of roots */
    int64_t bytes;             /* of roots with memory of their own that the schedule decides on */
} item;

typedef struct schedule {
    const ad_rewrite *r;
    item *item;
    int32_t n, capacity, first, end, places;
    int32_t *of; /* [from->n]: the first item of each value */
    uint32_t copies;
    int64_t *live; /* [places] */
    int32_t live_capacity;
} schedule;

static const ad_node *node_of(const schedule *s, int32_t i)
{
    return &s->r->from->node[s->item[i].v];
}

static bool is_leaf(const schedule *s, int32_t i)
{
    return (node_of(s, i)->op->flags & AD_LEAF) != 0;
}

static bool is_view(const schedule *s, int32_t i)
{
    return node_of(s, i)->n_in > 0 && ad_view_offset(s->r->from, s->item[i].v) >= 0;
}

/* Appends an item to the arrays (not to the list); NOWHERE where memory is out. */
static int32_t new_item(schedule *s, ad_value v, uint32_t copy)
{
    if (s->n == s->capacity) {
        int32_t capacity = s->capacity ? 2 * s->capacity : s->r->from->n + 64;
        item *all = fwm_realloc(s->item, (size_t)capacity, sizeof *all);
        if (!all)
            return NOWHERE;
        s->item = all;
        s->capacity = capacity;
    }
    const ad_node *node = &s->r->from->node[v];
    int32_t *in = fwm_arena_alloc(s->r->to->arena, (size_t)(node->n_in + 1) * sizeof *in);
    if (!in)
        return NOWHERE;
    s->item[s->n] = (item){.v = v, .copy = copy, .in = in, .next = NOWHERE, .previous = NOWHERE, .root = s->n};
    return s->n++;
}

static void insert_before(schedule *s, int32_t i, int32_t at)
{
    item *x = &s->item[i];
    x->next = at;
    x->previous = at == NOWHERE ? s->end : s->item[at].previous;
    if (x->previous == NOWHERE)
        s->first = i;
    else
        s->item[x->previous].next = i;
    if (at == NOWHERE)
        s->end = i;
    else
        s->item[at].previous = i;
}

static fwm_status list_all(schedule *s)
{
    const ad_graph *g = s->r->from;
    s->first = s->end = NOWHERE;
    for (ad_value v = 0; v < g->n; v++) {
        s->of[v] = NOWHERE;
        if (!s->r->live[v])
            continue;
        int32_t i = new_item(s, v, 0);
        FWM_CHECK(i != NOWHERE, FWM_MEMORY, "out of memory");
        s->of[v] = i;
        for (int k = 0; k < g->node[v].n_in; k++)
            s->item[i].in[k] = s->of[g->node[v].in[k]];
        insert_before(s, i, NOWHERE);
    }
    return FWM_OK;
}

/* ---- what is alive where ---- */

/* Places, roots, last readers and live bytes; the place of the peak. */
static fwm_status measure(schedule *s, int32_t *peak)
{
    s->places = 0;
    for (int32_t i = s->first; i != NOWHERE; i = s->item[i].next) {
        item *x = &s->item[i];
        x->place = x->last = s->places++;
        x->root = is_view(s, i) ? s->item[x->in[0]].root : i;
        x->bytes =
            is_view(s, i) ? 0 : (ad_count(s->r->from, x->v) * (int64_t)ad_dtype_size(s->r->from->dtype) + 63) / 64 * 64;
        for (int k = 0; k < node_of(s, i)->n_in; k++)
            s->item[s->item[x->in[k]].root].last = x->place;
    }
    for (int k = 0; k < s->r->n_outputs; k++)
        s->item[s->item[s->of[s->r->output[k]]].root].last = s->places;
    if (s->places + 2 > s->live_capacity) {
        int32_t capacity = 2 * s->places + 2;
        int64_t *live = fwm_realloc(s->live, (size_t)capacity, sizeof *live);
        FWM_CHECK(live, FWM_MEMORY, "out of memory");
        s->live = live;
        s->live_capacity = capacity;
    }
    memset(s->live, 0, (size_t)(s->places + 2) * sizeof *s->live);
    for (int32_t i = s->first; i != NOWHERE; i = s->item[i].next) {
        s->live[is_leaf(s, i) ? 0 : s->item[i].place] += s->item[i].bytes;
        s->live[(is_leaf(s, i) || s->item[i].last > s->places ? s->places : s->item[i].last) + 1] -= s->item[i].bytes;
    }
    *peak = 0;
    for (int32_t t = 1; t <= s->places; t++) {
        s->live[t] += s->live[t - 1];
        if (t < s->places && s->live[t] > s->live[*peak])
            *peak = t;
    }
    return FWM_OK;
}

/* ---- candidates ---- */

typedef struct candidate {
    int32_t root, before; /* its copy goes before this item */
    int n;                /* items to copy, the last needed first */
    int32_t clone[CLONES];
    double operations;
} candidate;

static double operations_of(const schedule *s, int32_t i)
{
    enum { INPUTS = 64 };
    const ad_node *node = node_of(s, i);
    const ad_shape *in[INPUTS];
    int64_t moved = ad_shape_count(&node->shape);
    for (int k = 0; k < node->n_in && k < INPUTS; k++) {
        in[k] = &s->r->from->node[node->in[k]].shape;
        moved += ad_shape_count(in[k]);
    }
    double work = node->op->flops && node->n_in <= INPUTS ? node->op->flops(node->n_in, in, &node->shape, &node->attr)
                                                          : (double)ad_shape_count(&node->shape);
    return work + 8.0 * (double)moved; /* a number to and from memory costs about as much as so many operations */
}

/* Whether the item's memory is still there at a place. */
static bool is_there(const schedule *s, int32_t i, int32_t place)
{
    int32_t root = s->item[i].root;
    return is_leaf(s, root) || (s->item[root].place < place && s->item[root].last >= place);
}

/* Adds item i, and what it needs and is not there, to the clones; false where that is too much or not allowed. */
static bool add_clone(const schedule *s, candidate *c, int32_t i, int32_t place)
{
    const ad_node *node = node_of(s, i);
    for (int k = 0; k < c->n; k++)
        if (c->clone[k] == i)
            return true;
    if (node->op == &ad_op_custom || node->op == &ad_op_custom_vjp)
        return false; /* whether it may be called twice is not ours to say */
    for (int k = 0; k < node->n_in; k++) {
        int32_t x = s->item[i].in[k];
        if ((s->item[x].root == c->root || !is_there(s, x, place)) && !add_clone(s, c, x, place))
            return false;
    }
    if (c->n == CLONES)
        return false;
    c->clone[c->n++] = i;
    c->operations += is_view(s, i) ? 0 : operations_of(s, i);
    return true;
}

/* The first reader of the root's memory after the peak, NOWHERE where it is read at the peak. Items in order. */
static void find_readers(const schedule *s, int32_t peak, int32_t *reader)
{
    for (int32_t i = 0; i < s->n; i++)
        reader[i] = NOWHERE;
    for (int32_t i = s->end; i != NOWHERE && s->item[i].place >= peak; i = s->item[i].previous)
        for (int k = 0; k < node_of(s, i)->n_in; k++)
            if (!is_view(s, i))
                reader[s->item[s->item[i].in[k]].root] = i;
}

static bool best_candidate(const schedule *s, int32_t peak, const int32_t *reader, candidate *best)
{
    double most = 0;
    for (int32_t i = s->first; i != NOWHERE && s->item[i].place < peak; i = s->item[i].next) {
        const item *x = &s->item[i];
        if (x->root != i || is_leaf(s, i) || x->last <= peak || x->last >= s->places || reader[i] == NOWHERE ||
            s->item[reader[i]].place <= peak)
            continue;
        candidate c = {.root = i, .before = reader[i]};
        if (!add_clone(s, &c, i, s->item[reader[i]].place))
            continue;
        double worth = (double)x->bytes / c.operations;
        if (worth > most) {
            most = worth;
            *best = c;
        }
    }
    return most > 0;
}

/* ---- applying one ---- */

/* The copy of item i, which shows the memory of the candidate: views are copied on the way. NOWHERE: out of memory. */
static int32_t copied(schedule *s, int32_t *copy, int32_t i, int32_t before)
{
    if (copy[i] != NOWHERE || !is_view(s, i) || copied(s, copy, s->item[i].in[0], before) == NOWHERE)
        return copy[i];
    int32_t y = new_item(s, s->item[i].v, s->copies);
    if (y == NOWHERE)
        return NOWHERE;
    s->item[y].in[0] = copy[s->item[i].in[0]];
    for (int k = 1; k < node_of(s, y)->n_in; k++)
        s->item[y].in[k] = s->item[i].in[k];
    s->item[y].root = s->item[s->item[y].in[0]].root;
    insert_before(s, y, before);
    return copy[i] = y;
}

static fwm_status apply(schedule *s, const candidate *c, int32_t *copy)
{
    int32_t known = s->n;
    s->copies++;
    for (int32_t i = 0; i < known; i++)
        copy[i] = NOWHERE;
    for (int m = 0; m < c->n; m++) {
        int32_t i = c->clone[m], y = new_item(s, s->item[i].v, s->copies);
        FWM_CHECK(y != NOWHERE, FWM_MEMORY, "out of memory");
        for (int k = 0; k < node_of(s, i)->n_in; k++) {
            int32_t x = s->item[i].in[k];
            s->item[y].in[k] = copy[x] != NOWHERE ? copy[x] : x;
        }
        copy[i] = y;
        insert_before(s, y, c->before);
    }
    for (int32_t i = c->before; i != NOWHERE; i = s->item[i].next) {
        for (int k = 0; k < node_of(s, i)->n_in; k++) {
            int32_t x = s->item[i].in[k], y = NOWHERE;
            if (s->item[x].root == c->root)
                FWM_CHECK((y = copied(s, copy, x, c->before)) != NOWHERE, FWM_MEMORY, "out of memory");
            s->item[i].in[k] = y == NOWHERE ? x : y;
        }
        if (is_view(s, i)) /* a view that is made later shows the copy now */
            s->item[i].root = s->item[s->item[i].in[0]].root;
    }
    return FWM_OK;
}

/* ---- the pass ---- */

static fwm_status reduce(schedule *s, int64_t budget)
{
    int64_t rounds = 4 * (int64_t)s->n;
    fwm_status status = FWM_OK;
    for (int64_t round = 0; round < rounds && status == FWM_OK; round++) {
        int32_t peak = 0;
        candidate best = {.root = NOWHERE};
        FWM_TRY(measure(s, &peak));
        if (s->live[peak] <= budget)
            break;
        /* Room for the copies and for copies of views of them. */
        int32_t *scratch = fwm_malloc(2 * (size_t)s->n + CLONES, sizeof *scratch);
        FWM_CHECK(scratch, FWM_MEMORY, "out of memory");
        find_readers(s, peak, scratch);
        bool found = best_candidate(s, peak, scratch, &best);
        if (found)
            status = apply(s, &best, scratch);
        fwm_free(scratch);
        if (!found)
            break;
    }
    return status;
}

static fwm_status emit(schedule *s)
{
    ad_rewrite *r = (ad_rewrite *)(uintptr_t)s->r;
    uint32_t base = 0;
    ad_value *made = fwm_malloc((size_t)s->n + 1, sizeof *made);
    FWM_CHECK(made, FWM_MEMORY, "out of memory");
    for (ad_value v = 0; v < r->from->n; v++)
        base = r->from->node[v].copy > base ? r->from->node[v].copy : base;
    for (int32_t i = s->first; i != NOWHERE && r->to->status == FWM_OK; i = s->item[i].next) {
        const ad_node *node = node_of(s, i);
        ad_value *in = s->item[i].in; /* int32 handles both */
        for (int k = 0; k < node->n_in; k++)
            in[k] = made[in[k]];
        made[i] = ad_graph_copy(r->to, node, in, s->item[i].copy ? base + s->item[i].copy : node->copy);
        if (s->item[i].copy == 0)
            r->map[s->item[i].v] = made[i];
    }
    fwm_free(made);
    return ad_graph_status(r->to);
}

static fwm_status run(ad_rewrite *r)
{
    schedule s = {.r = r};
    s.of = fwm_malloc((size_t)r->from->n + 1, sizeof *s.of);
    fwm_status status = s.of ? list_all(&s) : fwm_fail(FWM_MEMORY, "out of memory");
    if (status == FWM_OK && r->options->budget > 0)
        status = reduce(&s, (int64_t)r->options->budget);
    if (status == FWM_OK)
        status = emit(&s);
    fwm_free(s.of);
    fwm_free(s.item);
    fwm_free(s.live);
    return status;
}

extern const ad_pass ad_pass_recompute;
const ad_pass ad_pass_recompute = {.name = "recompute",
                                   .order = 50,
                                   .exact = true,
                                   .summary = "with a budget: activations are computed again instead of kept",
                                   .run = run};
