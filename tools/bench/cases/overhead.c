/* What the engine adds to an operator: a plan of many operators on next to no numbers, on one thread's work each. */
#include "model/autodiff/ops.h"
#include "model/autodiff/ops_index.h"
#include "model/autodiff/plan.h"
#include "model/base/arena.h"
#include "tools/bench/bench.h"

enum { CALLS = 256, NUMBERS = 4 };

typedef struct state {
    ad_graph *g;
    ad_plan *plan;
} state;

static fwm_status build(state *s)
{
    FWM_TRY(ad_graph_create(&s->g, AD_F32));
    ad_value x = ad_input(s->g, "x", ad_shape_make(2, 1, NUMBERS)), y = x;
    for (int k = 0; k < CALLS; k++) /* alternately, so that nothing can be folded into one */
        y = k % 2 ? ad_maximum(s->g, y, x) : ad_cumsum(s->g, y, 1, false);
    FWM_TRY(ad_graph_status(s->g));
    FWM_TRY(ad_plan_create(&s->plan, s->g, 1, &y, NULL));
    FWM_TRY(ad_plan_prepare(s->plan));
    bench_fill(ad_plan_data(s->plan, x), NUMBERS);
    return FWM_OK;
}

static fwm_status open_case(bench_job *job)
{
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    job->items = CALLS;
    return build(s);
}

static fwm_status run(void *self)
{
    state *s = self;
    return ad_plan_run(s->plan, 0, 0);
}

static ad_plan *plan_of(void *self)
{
    return ((state *)self)->plan;
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    ad_plan_destroy(&s->plan);
    ad_graph_destroy(&s->g);
    fwm_free(s);
}

extern const bench_case bench_cases_overhead[];
const bench_case bench_cases_overhead[] = {
    {"overhead", "an operator on four numbers in a plan of 256: the engine's own cost, and the kernel's call",
     BENCH_US_CALL, BENCH_NONE, .open = open_case, .run = run, .plan = plan_of, .close = close_case},
    {0}};
