/* The optimiser's update of as many parameters as the reference model S has. */
#include "train/optimizer.h"
#include "model/base/arena.h"
#include "tools/bench/bench.h"

enum { PARAMETERS = 8100000, TENSORS = 46, VECTORS = 5 };

typedef struct state {
    float *vector[VECTORS]; /* p, m, v, g, average */
    int64_t n, step;
    tr_optimizer_options options;
    tr_group group[TENSORS];
    double factor[TENSORS];
} state;

/* size: parameters, rule, with an average, adaptive clipping. The norm for the clip is a pass of its own. */
static void choose(state *s, const int64_t *size)
{
    s->n = size[0];
    s->options = (tr_optimizer_options){.rule = (tr_rule)size[1],
                                        .beta1 = 0.9,
                                        .beta2 = 0.999,
                                        .eps = 1e-8,
                                        .weight_decay = 0.01,
                                        .clip = 1,
                                        .ema = 0.999};
    if (size[3] == 0)
        return;
    for (int k = 0; k < TENSORS; k++)
        s->group[k] = (tr_group){s->n * k / TENSORS, s->n * (k + 1) / TENSORS, 1, 1};
    s->options.agc = 0.1;
    s->options.groups = s->group;
    s->options.n_groups = TENSORS;
    s->options.factors = s->factor;
}

static fwm_status open_case(bench_job *job)
{
    state *s = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    job->self = s;
    const int64_t *size = job->row->size;
    choose(s, size);
    const int vectors = size[2] ? VECTORS : VECTORS - 1;
    for (int k = 0; k < vectors; k++) {
        FWM_TRY(fwm_block_alloc((void **)&s->vector[k], (size_t)s->n * sizeof(float)));
        bench_fill(s->vector[k], s->n);
    }
    for (int64_t i = 0; i < s->n; i++)
        s->vector[2][i] *= s->vector[2][i];
    job->items = 1;
    /* Reads p, m, v, g and writes p, m, v; no v for sgd; the average is read and written. */
    job->need = (s->options.rule == TR_RULE_SGD ? 20.0 : 28.0) * (double)s->n + (size[2] ? 8.0 : 0.0) * (double)s->n;
    return FWM_OK;
}

static fwm_status run(void *self)
{
    state *s = self;
    const tr_vectors x = {s->vector[0], s->vector[1], s->vector[2], s->vector[4], s->vector[3]};
    return tr_optimizer_step(NULL, &x, &s->options, 1e-4, ++s->step, AD_F32, s->n);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    for (int k = 0; k < VECTORS; k++)
        fwm_block_free(s->vector[k], (size_t)s->n * sizeof(float));
    fwm_free(s);
}

#define ROW(name, about, bytes, ...)                                                                                   \
    {                                                                                                                  \
        name, about " on 8.1 M float32 parameters; limit: " bytes " bytes each", BENCH_MS, BENCH_TRIAD,                \
            .size = {PARAMETERS, __VA_ARGS__}, .open = open_case, .run = run, .close = close_case                      \
    }

extern const bench_case bench_cases_optimizer[];
const bench_case bench_cases_optimizer[] = {
    ROW("adamw", "AdamW with clipping by the norm", "28", TR_RULE_ADAMW, 0, 0),
    ROW("adamw_ema", "AdamW, clipping, and the moving average", "36", TR_RULE_ADAMW, 1, 0),
    ROW("adamw_agc", "AdamW with adaptive clipping of 46 tensors and by the norm", "28", TR_RULE_ADAMW, 0, 1),
    ROW("laprop", "LaProp with clipping by the norm", "28", TR_RULE_LAPROP, 0, 0),
    ROW("sgd", "gradient descent with momentum and clipping by the norm", "20", TR_RULE_SGD, 0, 0),
    {0}};
