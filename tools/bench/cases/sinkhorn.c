/* The debiased Sinkhorn divergence with gradients in both clouds: normal clouds, the second shifted by a half. And one
 * of its iterations, as the time of a long run over its steps: each updates the potentials of the three problems. */
#include "model/transport/sinkhorn.h"
#include "model/base/arena.h"
#include "tools/bench/bench.h"

#include <math.h>

typedef struct state {
    ot_sinkhorn *solver;
    float *x, *y, *dx, *dy; /* [n,d], one array */
} state;

/* size: n, d, further steps at the final blur (0: a time is of the whole divergence, else of one step). */
static fwm_status open_case(bench_job *job)
{
    const int64_t n = job->row->size[0], d = job->row->size[1], count = n * d;
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    s->x = fwm_calloc((size_t)(4 * count), sizeof *s->x);
    FWM_CHECK(s->x, FWM_MEMORY, "out of memory");
    s->y = s->x + count;
    s->dx = s->y + count;
    s->dy = s->dx + count;
    bench_fill(s->x, 2 * count);
    for (int64_t i = 0; i < count; i++)
        s->y[i] += 0.5f;
    job->items = 1;
    const ot_sinkhorn_options o = {
        .blur = 0.05 * sqrt(2.0 * (double)d), .scaling = 0.5, .extra = (int)job->row->size[2]};
    FWM_TRY(ot_sinkhorn_create(&s->solver, AD_F32, n, n, d, &o));
    if (o.extra > 0) {
        ot_sinkhorn_result result;
        FWM_TRY(ot_sinkhorn_run(s->solver, &result, s->dx, s->dy, NULL, NULL, s->x, s->y, NULL, NULL));
        job->items = result.iterations + 2; /* the first and the last are not counted there */
    }
    return FWM_OK;
}

static fwm_status run(void *self)
{
    const state *s = self;
    ot_sinkhorn_result result;
    return ot_sinkhorn_run(s->solver, &result, s->dx, s->dy, NULL, NULL, s->x, s->y, NULL, NULL);
}

static void close_case(void *self)
{
    state *s = self;
    if (!s)
        return;
    ot_sinkhorn_destroy(&s->solver);
    fwm_free(s->x);
    fwm_free(s);
}

#define SINKHORN(name, n, d)                                                                                           \
    {                                                                                                                  \
        name, "Sinkhorn divergence and gradients, " #n " points in " #d " dimensions, float32, scaling 0.5", BENCH_MS, \
            BENCH_NONE, .size = {n, d}, .open = open_case, .run = run, .close = close_case                             \
    }

#define STEP(name, n, d, extra)                                                                                        \
    {                                                                                                                  \
        name, "one step of a Sinkhorn divergence's three problems, " #n " points in " #d " dimensions, float32",       \
            BENCH_MS, BENCH_NONE, .size = {n, d, extra}, .open = open_case, .run = run, .close = close_case            \
    }

extern const bench_case bench_cases_sinkhorn[];
const bench_case bench_cases_sinkhorn[] = {SINKHORN("sinkhorn_256_64", 256, 64),
                                           SINKHORN("sinkhorn_1024_64", 1024, 64),
                                           STEP("sinkhorn_step_1024_64", 1024, 64, 60),
                                           {0}};
