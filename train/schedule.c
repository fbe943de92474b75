#include "train/schedule.h"

#include <math.h>
#include <string.h>

static const char *const kind_names[] = {"constant", "linear", "cosine"};

const char *tr_schedule_name(tr_schedule_kind kind)
{
    return (int)kind >= 0 && kind < TR_SCHEDULE_COUNT ? kind_names[kind] : "unknown schedule";
}

bool tr_schedule_find(const char *name, tr_schedule_kind *kind)
{
    for (int i = 0; i < TR_SCHEDULE_COUNT; i++)
        if (strcmp(name, kind_names[i]) == 0) {
            *kind = (tr_schedule_kind)i;
            return true;
        }
    return false;
}

fwm_status tr_schedule_check(const tr_schedule *s)
{
    FWM_CHECK((int)s->kind >= 0 && s->kind < TR_SCHEDULE_COUNT, FWM_INVALID, "schedule: unknown kind %d", (int)s->kind);
    FWM_CHECK(s->lr >= 0 && isfinite(s->lr), FWM_INVALID, "schedule: expected a learning rate of 0 or more, found %g",
              s->lr);
    FWM_CHECK(s->steps >= 1, FWM_INVALID, "schedule: expected 1 step or more, found %lld", (long long)s->steps);
    FWM_CHECK(s->warmup >= 0 && s->warmup <= s->steps, FWM_INVALID,
              "schedule: expected a warm-up of 0 to %lld steps (all of the run), found %lld", (long long)s->steps,
              (long long)s->warmup);
    FWM_CHECK(s->final >= 0 && s->final <= 1, FWM_INVALID, "schedule: expected a final fraction in [0,1], found %g",
              s->final);
    FWM_CHECK(s->kind != TR_SCHEDULE_CONSTANT || s->final == 1, FWM_INVALID,
              "schedule: a constant one ends at fraction 1, found %g; take linear or cosine, or leave the fraction out",
              s->final);
    return FWM_OK;
}

double tr_schedule_rate(const tr_schedule *s, int64_t step)
{
    if (step < 1)
        step = 1;
    if (step > s->steps)
        step = s->steps;
    if (step <= s->warmup)
        return s->lr * (double)step / (double)s->warmup;
    /* Without a warm-up the first update has the peak; with one, its last update has. */
    int64_t peak = s->warmup > 0 ? s->warmup : 1;
    double done = s->steps > peak ? (double)(step - peak) / (double)(s->steps - peak) : 1.0;
    switch (s->kind) {
    case TR_SCHEDULE_LINEAR:
        return s->lr * (1.0 - (1.0 - s->final) * done);
    case TR_SCHEDULE_COSINE:
        return s->lr * (s->final + (1.0 - s->final) * 0.5 * (1.0 + cos(3.14159265358979323846 * done)));
    default:
        return s->lr;
    }
}
