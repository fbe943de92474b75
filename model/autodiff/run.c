#include "model/autodiff/plan_internal.h"

#include "model/base/threads.h"

#include <string.h>

static void copy_out(const ad_plan *p, const ad_step *s)
{
    const ad_slot *root = &p->slot[p->slot[s->copy_from].root];
    const ad_buffer *b = &p->buffer[root->buffer];
    const char *from = b->bound ? b->bound : (char *)p->block + b->offset;
    memcpy(s->call.out, from + (size_t)p->slot[s->copy_from].offset * ad_dtype_size(p->g->dtype), s->copy_size);
}

/* A byte pattern that is a quiet NaN in both types. */
static void poison_buffer(const ad_plan *p, const ad_buffer *b)
{
    if (!b->bound)
        memset((char *)p->block + b->offset, 0xff, b->size);
}

static void poison_before(const ad_plan *p, int32_t t)
{
    const ad_step *s = &p->step[t];
    if (s->scratch >= 0)
        poison_buffer(p, &p->buffer[s->scratch]);
    if (s->buffer >= 0 && p->buffer[s->buffer].first == t)
        poison_buffer(p, &p->buffer[s->buffer]);
}

static void poison_after(const ad_plan *p, int32_t t)
{
    for (int32_t i = 0; i < p->n_buffers; i++)
        if (p->buffer[i].last == t)
            poison_buffer(p, &p->buffer[i]);
}

static fwm_status run_step(ad_plan *p, int32_t t)
{
    ad_step *s = &p->step[t];
    if (s->value == AD_NONE) {
        copy_out(p, s);
        return FWM_OK;
    }
    fwm_status status = s->kernel(&s->call);
    if (status != FWM_OK)
        return fwm_fail_within(status, "%s (%%%d%s%s)", s->op->name, s->value,
                               ad_name_of(p->g, s->value)[0] ? ", " : "", ad_name_of(p->g, s->value));
    return FWM_OK;
}

static fwm_status run_watched(ad_plan *p)
{
    for (int32_t t = 0; t < p->n_steps; t++) {
        if (p->options.poison)
            poison_before(p, t);
        double start = fwm_seconds();
        FWM_TRY(run_step(p, t));
        p->step[t].seconds += fwm_seconds() - start;
        if (p->options.poison)
            poison_after(p, t);
    }
    p->profiled_runs++;
    return FWM_OK;
}

fwm_status ad_plan_run(ad_plan *p, uint64_t seed, uint64_t step)
{
    FWM_CHECK(p->prepared, FWM_INVALID, "plan: run before prepare");
    for (int32_t i = 0; i < p->n_random; i++) {
        p->random[i]->call.seed = seed;
        p->random[i]->call.step = step;
    }
    if (p->profile || p->options.poison)
        return run_watched(p);
    for (int32_t t = 0; t < p->n_steps; t++)
        FWM_TRY(run_step(p, t));
    return FWM_OK;
}

void ad_plan_profile(ad_plan *p, bool on)
{
    p->profile = on;
    p->profiled_runs = 0;
    for (int32_t t = 0; t < p->n_steps; t++)
        p->step[t].seconds = 0;
}
