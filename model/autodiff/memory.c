/* Liveness and offsets. Every kept value that is no view and not bound elsewhere gets an interval of steps; intervals
 * that do not overlap share bytes. Offsets: largest first, each at the lowest place that is free during its interval
 * (Pisarchyk & Lee, arXiv 2001.03288, greedy by size). */
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
        if (p->slot[node->in[j]].root == root && ad_shape_count(&p->g->node[node->in[j]].shape) != ad_shape_count(&node->shape))
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

static const ad_buffer *sorted_base;

static int by_size(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    size_t x = sorted_base[i].size, y = sorted_base[j].size;
    return x != y ? (x < y ? 1 : -1) : (i > j) - (i < j);
}

static int by_offset(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    size_t x = sorted_base[i].offset, y = sorted_base[j].offset;
    return x != y ? (x > y ? 1 : -1) : (i > j) - (i < j);
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

static fwm_status assign_offsets(ad_plan *p)
{
    int32_t n = 0;
    int32_t *order = fwm_malloc((size_t)p->n_buffers + 1, sizeof *order);
    int32_t *placed = fwm_malloc((size_t)p->n_buffers + 1, sizeof *placed);
    if (!order || !placed) {
        fwm_free(order);
        fwm_free(placed);
        return fwm_fail(FWM_MEMORY, "plan: out of memory");
    }
    for (int32_t i = 0; i < p->n_buffers; i++)
        if (!p->buffer[i].bound)
            order[n++] = i;
    sorted_base = p->buffer;
    qsort(order, (size_t)n, sizeof *order, by_size);
    size_t end = 0;
    for (int32_t i = 0; i < n; i++) {
        ad_buffer *b = &p->buffer[order[i]];
        b->offset = lowest_fit(p, placed, i, b);
        if (b->offset + b->size > end)
            end = b->offset + b->size;
        int32_t at = i; /* keeps `placed` sorted by offset */
        placed[i] = order[i];
        while (at > 0 && by_offset(&placed[at - 1], &placed[at]) > 0) {
            int32_t swap = placed[at - 1];
            placed[at - 1] = placed[at];
            placed[at--] = swap;
        }
    }
    p->memory.workspace = end;
    fwm_free(order);
    fwm_free(placed);
    return FWM_OK;
}

static fwm_status lower_bound(ad_plan *p)
{
    /* Differences of the live bytes, then a running sum over the schedule. */
    int64_t *delta = fwm_calloc((size_t)p->n_steps + 2, sizeof *delta);
    FWM_CHECK(delta, FWM_MEMORY, "plan: out of memory");
    for (int32_t i = 0; i < p->n_buffers; i++) {
        const ad_buffer *b = &p->buffer[i];
        if (b->bound)
            continue;
        int32_t last = b->last < p->n_steps ? b->last : p->n_steps;
        int32_t first = b->first < 0 ? 0 : b->first;
        delta[first] += (int64_t)b->size;
        delta[last + 1] -= (int64_t)b->size;
    }
    int64_t live = 0, peak = 0;
    for (int32_t t = 0; t <= p->n_steps; t++) {
        live += delta[t];
        peak = live > peak ? live : peak;
    }
    p->memory.lower_bound = (size_t)peak;
    fwm_free(delta);
    return FWM_OK;
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
    FWM_TRY(lower_bound(p));
    p->planned = true;
    return FWM_OK;
}
