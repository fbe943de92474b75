/* Liveness and offsets. Every kept value that is no view and not bound elsewhere gets an interval of steps; intervals
 * that do not overlap share bytes. Offsets: buffers in some order, each at the lowest place that is free during its
 * interval (Pisarchyk & Lee, arXiv 2001.03288); several orders are tried until one is close to the live bytes. */
#include "model/autodiff/plan_internal.h"

#include "model/base/checked.h"

#include <stdlib.h>
#include <string.h>

static size_t value_bytes(const ad_plan *p, ad_value v)
{
    return (size_t)ad_shape_count(&p->g->node[v].shape) * ad_dtype_size(p->g->dtype);
}

static fwm_status add_buffer(ad_plan *p, int32_t first, int32_t last, size_t size, void *bound, int32_t *index)
{
    if (p->n_buffers == p->capacity) {
        int32_t capacity = p->capacity ? 2 * p->capacity : 256;
        ad_buffer *buffer = fwm_realloc(p->buffer, (size_t)capacity, sizeof *buffer);
        FWM_CHECK(buffer, FWM_MEMORY, "plan: out of memory");
        p->buffer = buffer;
        p->capacity = capacity;
    }
    FWM_CHECK(fwm_align_size(size, AD_ALIGNMENT, &size), FWM_OVERFLOW, "plan: a buffer's size overflows");
    *index = p->n_buffers;
    p->buffer[p->n_buffers++] = (ad_buffer){.first = first, .last = last, .size = size, .bound = bound};
    return FWM_OK;
}

/* Whether step t may write its value over input k: the input's memory dies here, has the same size and belongs to
 * nobody else. */
static bool may_share(const ad_plan *p, int32_t t, int k)
{
    const ad_node *node = &p->g->node[p->step[t].value];
    ad_value root = p->slot[node->in[k]].root;
    const ad_slot *from = &p->slot[root];
    if (p->options.no_reuse || p->g->node[root].op->flags & AD_LEAF || from->bound || from->use != t ||
        from->buffer < 0)
        return false;
    if (ad_shape_count(&p->g->node[root].shape) != ad_shape_count(&node->shape))
        return false;
    /* Another input that shows a part of the same memory is read at other places than are written. */
    for (int j = 0; j < node->n_in; j++)
        if (p->slot[node->in[j]].root == root &&
            ad_shape_count(&p->g->node[node->in[j]].shape) != ad_shape_count(&node->shape))
            return false;
    return !p->slot[p->step[t].value].bound;
}

static fwm_status place_step(ad_plan *p, int32_t t)
{
    ad_step *s = &p->step[t];
    s->buffer = s->scratch = -1;
    if (s->scratch_size > 0)
        FWM_TRY(add_buffer(p, t, t, s->scratch_size, NULL, &s->scratch));
    if (s->value == AD_NONE)
        return FWM_OK;
    ad_slot *slot = &p->slot[s->value];
    int32_t last = slot->use < t ? t : slot->use;
    if (s->op->flags & AD_IN_PLACE)
        for (int k = 0; k < p->g->node[s->value].n_in && s->buffer < 0; k++)
            if (may_share(p, t, k)) {
                s->buffer = p->slot[p->slot[p->g->node[s->value].in[k]].root].buffer;
                p->buffer[s->buffer].last = last;
            }
    if (s->buffer < 0)
        FWM_TRY(add_buffer(p, t, last, value_bytes(p, s->value), slot->bound, &s->buffer));
    slot->buffer = s->buffer;
    return FWM_OK;
}

/* The lowest offset at which b fits among the already placed ones (sorted by offset) that live at the same time. */
static size_t lowest_fit(const ad_plan *p, const int32_t *placed, int32_t n, const ad_buffer *b)
{
    size_t at = 0;
    for (int32_t i = 0; i < n; i++) {
        const ad_buffer *o = &p->buffer[placed[i]];
        if (!p->options.no_reuse && (o->last < b->first || b->last < o->first))
            continue;
        if (at + b->size <= o->offset)
            break;
        if (o->offset + o->size > at)
            at = o->offset + o->size;
    }
    return at;
}

/* Bytes alive at each step: live[0..n_steps], the last for what outlives the steps. */
static void count_live(const ad_plan *p, int64_t *live)
{
    for (int32_t t = 0; t <= p->n_steps + 1; t++)
        live[t] = 0;
    for (int32_t i = 0; i < p->n_buffers; i++) {
        const ad_buffer *b = &p->buffer[i];
        if (b->bound)
            continue;
        live[b->first < 0 ? 0 : b->first] += (int64_t)b->size;
        live[(b->last < p->n_steps ? b->last : p->n_steps) + 1] -= (int64_t)b->size;
    }
    for (int32_t t = 1; t <= p->n_steps; t++)
        live[t] += live[t - 1];
}

/* ---- orders in which buffers are placed ---- */

typedef struct rank {
    double key; /* larger ones first */
    size_t size;
    int32_t buffer;
} rank;

static int by_rank(const void *a, const void *b)
{
    const rank *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? 1 : -1;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return (x->buffer > y->buffer) - (x->buffer < y->buffer);
}

typedef double (*ranking)(const ad_plan *p, const ad_buffer *b, const int64_t *live);

static double rank_by_size(const ad_plan *p, const ad_buffer *b, const int64_t *live)
{
    (void)p, (void)live;
    return (double)b->size;
}

/* By the largest sum of live bytes that the buffer is a part of (the same paper's greedy by breadth). */
static double rank_by_breadth(const ad_plan *p, const ad_buffer *b, const int64_t *live)
{
    int64_t most = 0;
    for (int32_t t = b->first < 0 ? 0 : b->first; t <= b->last && t <= p->n_steps; t++)
        most = live[t] > most ? live[t] : most;
    return (double)most;
}

static double rank_by_area(const ad_plan *p, const ad_buffer *b, const int64_t *live)
{
    int32_t last = b->last < p->n_steps ? b->last : p->n_steps;
    (void)live;
    return (double)b->size * (double)(last - b->first + 1);
}

/* Places the n buffers in the order given, each at its lowest place; the end of the block. `placed` is scratch. */
static size_t place_all(ad_plan *p, const rank *order, int32_t n, int32_t *placed, int32_t *top)
{
    size_t end = 0;
    *top = 0;
    for (int32_t i = 0; i < n; i++) {
        ad_buffer *b = &p->buffer[order[i].buffer];
        b->offset = lowest_fit(p, placed, i, b);
        if (b->offset + b->size > end) {
            end = b->offset + b->size;
            *top = i;
        }
        int32_t at = i; /* keeps `placed` sorted by offset */
        for (; at > 0 && p->buffer[placed[at - 1]].offset > b->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = order[i].buffer;
    }
    return end;
}

/* Tries the rankings, and then to place first what ended on top, until the block is within 2 % of the live bytes. */
static void search(ad_plan *p, rank *order, int32_t n, int32_t *placed, const int64_t *live, size_t *best)
{
    static const ranking rankings[] = {rank_by_size, rank_by_breadth, rank_by_area};
    enum { RANKINGS = sizeof rankings / sizeof *rankings, TRIALS = RANKINGS + 24 };
    size_t enough = p->options.no_reuse ? SIZE_MAX : p->memory.lower_bound + p->memory.lower_bound / 50,
           least = SIZE_MAX;
    int32_t top = 0;
    for (int trial = 0; trial < TRIALS && (trial == 0 || least > enough); trial++) {
        if (trial < RANKINGS) {
            for (int32_t i = 0; i < n; i++)
                order[i].key = rankings[trial](p, &p->buffer[order[i].buffer], live);
            qsort(order, (size_t)n, sizeof *order, by_rank);
        } else {
            rank first = order[top];
            memmove(order + 1, order, (size_t)top * sizeof *order);
            order[0] = first;
        }
        size_t end = place_all(p, order, n, placed, &top);
        if (end >= least)
            continue;
        least = end;
        for (int32_t i = 0; i < n; i++)
            best[order[i].buffer] = p->buffer[order[i].buffer].offset;
    }
    for (int32_t i = 0; i < n; i++)
        p->buffer[order[i].buffer].offset = best[order[i].buffer];
    p->memory.workspace = n > 0 ? least : 0;
}

static fwm_status assign_offsets(ad_plan *p)
{
    size_t count = (size_t)p->n_buffers + 1;
    int32_t n = 0;
    int64_t *live = fwm_malloc((size_t)p->n_steps + 2, sizeof *live);
    rank *order = fwm_malloc(count, sizeof *order);
    int32_t *placed = fwm_malloc(count, sizeof *placed);
    size_t *best = fwm_malloc(count, sizeof *best);
    fwm_status status = live && order && placed && best ? FWM_OK : fwm_fail(FWM_MEMORY, "plan: out of memory");
    if (status == FWM_OK) {
        count_live(p, live);
        for (int32_t t = 0; t <= p->n_steps; t++)
            if ((size_t)live[t] > p->memory.lower_bound)
                p->memory.lower_bound = (size_t)live[t];
        for (int32_t i = 0; i < p->n_buffers; i++)
            if (!p->buffer[i].bound)
                order[n++] = (rank){.size = p->buffer[i].size, .buffer = i};
        search(p, order, n, placed, live, best);
    }
    fwm_free(live);
    fwm_free(order);
    fwm_free(placed);
    fwm_free(best);
    return status;
}

fwm_status ad_plan_layout(ad_plan *p)
{
    p->n_buffers = 0;
    p->memory = (ad_memory){0};
    for (ad_value v = 0; v < p->n_values; v++) {
        ad_slot *s = &p->slot[v];
        s->buffer = -1;
        if (!s->live || !(p->g->node[v].op->flags & AD_LEAF))
            continue;
        size_t bytes = value_bytes(p, v);
        const char *kind = p->g->node[v].op->name;
        if (strcmp(kind, "parameter") == 0)
            p->memory.parameters += bytes;
        else if (strcmp(kind, "input") != 0)
            p->memory.constants += bytes;
        FWM_TRY(add_buffer(p, -1, INT32_MAX - 1, bytes, s->bound, &s->buffer));
    }
    for (int32_t t = 0; t < p->n_steps; t++)
        FWM_TRY(place_step(p, t));
    FWM_TRY(assign_offsets(p));
    p->planned = true;
    return FWM_OK;
}
