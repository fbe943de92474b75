#include "train/schedule.h"

#include <math.h>

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
              "schedule: a constant one ends at fraction 1, found %g; take a cosine, or leave the fraction out",
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
    double fraction = s->kind == TR_SCHEDULE_COSINE ? 0.5 * (1.0 + cos(3.14159265358979323846 * done)) : 1.0;
    return s->lr * (s->final + (1.0 - s->final) * fraction);
}
