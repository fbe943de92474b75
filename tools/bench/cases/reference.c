/* Training steps of the reference models: forward, gradients, AdamW. */
#include "tools/bench/reference.h"
#include "tools/bench/bench.h"

/* size: 1 for S, 0 for M. */
static fwm_status open_case(bench_job *job)
{
    const bench_reference_spec spec = {.recurrent = job->row->size[0] == 1,
                                       .dtype = AD_F32,
                                       .batch = BENCH_REFERENCE_BATCH,
                                       .clip = BENCH_REFERENCE_CLIP};
    bench_reference *r;
    fwm_status status = bench_reference_create(&r, &spec);
    job->self = r;
    FWM_TRY(status);
    for (int k = 0; k < r->n_inputs; k++)
        bench_fill(ad_plan_data(r->plan, r->input[k]), ad_count(r->g, r->input[k]));
    job->items = 1;
    job->need = ad_plan_flops(r->plan);
    return FWM_OK;
}

/* A rate that changes nothing to speak of: the work is the same, and the hundredth step costs what the first did. */
static fwm_status run_case(void *self)
{
    double loss;
    return bench_reference_train(self, 1e-9, &loss);
}

static ad_plan *plan_of(void *self)
{
    return ((bench_reference *)self)->plan;
}

static void close_case(void *self)
{
    bench_reference *r = self;
    bench_reference_destroy(&r);
}

extern const bench_case bench_cases_reference[];
const bench_case bench_cases_reference[] = {
    {"step_s", "training step of the reference model S (recurrent, 16 clips of 8 frames); limit: its FLOPs", BENCH_MS,
     BENCH_FMA, .size = {1}, .open = open_case, .run = run_case, .plan = plan_of, .close = close_case},
    {"step_m", "training step of the reference model M (U-Net, batch 16); limit: its FLOPs", BENCH_MS, BENCH_FMA,
     .size = {0}, .open = open_case, .run = run_case, .plan = plan_of, .close = close_case},
    {0}};
