/* The whole boundary regulariser of a training step: divergence of 256 predictions and as many true codes, edge term
 * from them to a bank of 1024, memory with its looks (one in 50 steps); codes and contexts of 32 dimensions, float32.
 */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/arena.h"
#include "model/transport/edge_term.h"
#include "model/transport/sinkhorn.h"
#include "tools/bench/bench.h"

enum { MADE = 256, BANK = 1024, CODE = 32, CONTEXT = 32 };

typedef struct state {
    ot_memory *memory;
    ot_edge_term *edge;
    ot_sinkhorn *fit;
    ad_graph *g;
    ad_plan *plan;
    float *p, *y, *x;
    int64_t step;
} state;

static fwm_status build(state *s)
{
    const ot_memory_options mo = {
        .d = CODE, .dc = CONTEXT, .codes = BANK, .predictions = MADE, .every = 50, .eta = 1, .seed = 1};
    const ot_edge_options eo = {.scaling = 0.6, .extra = 2};
    const ot_sinkhorn_options so = {.blur = 0.5, .scaling = 0.6, .extra = 2, .fixed_y = true};
    FWM_TRY(ot_memory_create(&s->memory, AD_F32, &mo));
    FWM_TRY(ot_edge_term_create(&s->edge, s->memory, MADE, &eo));
    FWM_TRY(ot_sinkhorn_create(&s->fit, AD_F32, MADE, MADE, CODE + CONTEXT, &so));
    FWM_TRY(ad_graph_create(&s->g, AD_F32));
    ad_value p = ad_input(s->g, "p", ad_shape_make(2, MADE, CODE)),
             y = ad_input(s->g, "y", ad_shape_make(2, MADE, CODE)),
             x = ad_input(s->g, "x", ad_shape_make(2, MADE, CONTEXT)), out[2];
    ad_value fit = ot_sinkhorn_divergence(s->g, s->fit, ad_concat(s->g, 2, (ad_value[]){p, x}, 1),
                                          ad_concat(s->g, 2, (ad_value[]){y, x}, 1));
    out[0] = ad_add(s->g, fit, ot_edge_value(s->g, s->edge, p, x, AD_NONE));
    FWM_TRY(ad_gradient(s->g, out[0], 1, &p, out + 1));
    FWM_TRY(ad_plan_create(&s->plan, s->g, 2, out, NULL));
    FWM_TRY(ad_plan_prepare(s->plan));
    s->p = ad_plan_data(s->plan, p), s->y = ad_plan_data(s->plan, y), s->x = ad_plan_data(s->plan, x);
    return FWM_OK;
}

static fwm_status remember(state *s)
{
    return ot_memory_push(s->memory, ++s->step, MADE, s->y, s->x, MADE, s->p, s->x, NULL);
}

static fwm_status open_case(bench_job *job)
{
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    job->items = 1;
    FWM_TRY(build(s));
    bench_fill(s->y, (int64_t)MADE * CODE);
    bench_fill(s->x, (int64_t)MADE * CONTEXT);
    for (int64_t i = 0; i < MADE * CODE; i++) {
        s->y[i] += i / CODE % 2 ? 3.0f : -3.0f; /* two sheets */
        s->p[i] = 0.8f * s->y[i];
    }
    for (int k = 0; k < BANK / MADE; k++)
        FWM_TRY(remember(s));
    return FWM_OK;
}

static fwm_status run(void *self)
{
    state *s = self;
    FWM_TRY(ad_plan_run(s->plan, 1, (uint64_t)s->step));
    return remember(s);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    ad_plan_destroy(&s->plan);
    ad_graph_destroy(&s->g);
    ot_edge_term_destroy(&s->edge);
    ot_sinkhorn_destroy(&s->fit);
    ot_memory_destroy(&s->memory);
    fwm_free(s);
}

extern const bench_case bench_cases_regulariser[];
const bench_case bench_cases_regulariser[] = {
    {"regulariser", "boundary regulariser of a step: 256 predictions, bank of 1024 codes, looks included", BENCH_MS,
     BENCH_NONE, .open = open_case, .run = run, .close = close_case},
    {0}};
