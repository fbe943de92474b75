/* The optimiser's update of the reference model's parameters. */
#include "model/base/arena.h"
#include "tools/bench/bench.h"
#include "train/optimizer.h"

typedef struct state {
    float *vector[4]; /* p, m, v, g */
    int64_t n, step;
} state;

static fwm_status open_case(bench_job *job)
{
    state *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    job->self = s;
    s->n = job->row->size[0];
    for (int k = 0; k < 4; k++) {
        FWM_TRY(fwm_block_alloc((void **)&s->vector[k], (size_t)s->n * sizeof(float)));
        bench_fill(s->vector[k], s->n);
    }
    for (int64_t i = 0; i < s->n; i++)
        s->vector[2][i] *= s->vector[2][i];
    job->items = 1;
    job->need = 28.0 * (double)s->n; /* reads p, m, v, g and writes p, m, v */
    return FWM_OK;
}

static fwm_status run(void *self)
{
    state *s = self;
    const tr_adamw_options o = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip = 1};
    float **x = s->vector;
    return tr_adamw_step(NULL, x[0], x[1], x[2], NULL, x[3], &o, 1e-4, ++s->step, AD_F32, s->n);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    for (int k = 0; k < 4; k++)
        fwm_block_free(s->vector[k], (size_t)s->n * sizeof(float));
    fwm_free(s);
}

extern const bench_case bench_cases_adamw[];
const bench_case bench_cases_adamw[] = {
    {"adamw", "AdamW with clipping by the norm on 8.1 M float32 parameters; limit: 28 bytes each", BENCH_MS,
     BENCH_TRIAD, .size = {8100000}, .open = open_case, .run = run, .close = close_case},
    {0}};
