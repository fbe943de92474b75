/* Matrix products and convolutions as plans run them. */
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/arena.h"
#include "tools/bench/bench.h"

typedef struct state {
    ad_graph *g;
    ad_plan *plan;
} state;

/* Plans `wanted`, fills what it reads. */
static fwm_status finish(bench_job *job, state *s, ad_value wanted, int n, const ad_value *inputs)
{
    FWM_TRY(ad_graph_status(s->g));
    FWM_TRY(ad_plan_create(&s->plan, s->g, 1, &wanted, NULL));
    FWM_TRY(ad_plan_prepare(s->plan));
    for (int k = 0; k < n; k++)
        if (ad_plan_data(s->plan, inputs[k]))
            bench_fill(ad_plan_data(s->plan, inputs[k]), ad_count(s->g, inputs[k]));
    job->items = job->need = ad_plan_flops(s->plan);
    return FWM_OK;
}

static fwm_status begin(bench_job *job, state **s)
{
    *s = job->self = fwm_calloc(1, sizeof **s);
    FWM_CHECK(*s, FWM_MEMORY, "out of memory");
    return ad_graph_create(&(*s)->g, AD_F32);
}

/* size: m, n, k, transpose a, transpose b. */
static fwm_status open_gemm(bench_job *job)
{
    state *s;
    const int64_t *z = job->row->size;
    FWM_TRY(begin(job, &s));
    const ad_value a = ad_input(s->g, "a", z[3] ? ad_shape_make(2, z[2], z[0]) : ad_shape_make(2, z[0], z[2]));
    const ad_value b = ad_input(s->g, "b", z[4] ? ad_shape_make(2, z[1], z[2]) : ad_shape_make(2, z[2], z[1]));
    const ad_value c = ad_matmul(s->g, a, b, z[3] != 0, z[4] != 0);
    return finish(job, s, c, 2, (const ad_value[]){a, b});
}

enum pass { FORWARD, DATA, WEIGHTS };

/* size: channels in, channels out, kernel, stride, edge of the picture, pass. Batch 16, padded so that stride 1 keeps
 * the edge and stride 2 halves it. */
static fwm_status open_conv(bench_job *job)
{
    enum { BATCH = 16 };
    state *s;
    const int64_t *z = job->row->size;
    FWM_TRY(begin(job, &s));
    const int stride = (int)z[3], pad = (int)(z[2] - 1) / 2;
    const ad_conv conv = {.stride = {stride, stride}, .pad_before = {pad, pad}, .pad_after = {pad, pad}};
    const ad_value x = ad_input(s->g, "x", ad_shape_make(4, BATCH, z[4], z[4], z[0]));
    const ad_value w = ad_input(s->g, "w", ad_shape_make(4, z[2], z[2], z[0], z[1]));
    ad_value wanted = ad_conv2d(s->g, x, w, &conv), dy = AD_NONE;
    if (z[5] != FORWARD && wanted != AD_NONE) {
        dy = ad_input(s->g, "dy", *ad_shape_of(s->g, wanted));
        FWM_TRY(ad_vjp(s->g, wanted, dy, 1, z[5] == DATA ? &x : &w, &wanted));
    }
    return finish(job, s, wanted, dy == AD_NONE ? 2 : 3, (const ad_value[]){x, w, dy});
}

static fwm_status run(void *self)
{
    return ad_plan_run(((state *)self)->plan, 0, 0);
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

#define GEMM(name, about, ...)                                                                                         \
    {                                                                                                                  \
        name, about, BENCH_GFLOPS, BENCH_FMA, .size = {__VA_ARGS__}, .open = open_gemm, .run = run, .plan = plan_of,   \
                                              .close = close_case                                                      \
    }
#define CONV(name, about, ...)                                                                                         \
    {name "_forward",   "convolution " about, BENCH_GFLOPS,    BENCH_FMA,          .size = {__VA_ARGS__, FORWARD},     \
     .open = open_conv, .run = run,           .plan = plan_of, .close = close_case},                                   \
        {name "_data",                                                                                                 \
         "gradient in the data of the convolution " about,                                                             \
         BENCH_GFLOPS,                                                                                                 \
         BENCH_FMA,                                                                                                    \
         .size = {__VA_ARGS__, DATA},                                                                                  \
         .open = open_conv,                                                                                            \
         .run = run,                                                                                                   \
         .plan = plan_of,                                                                                              \
         .close = close_case},                                                                                         \
    {                                                                                                                  \
        name "_weights", "gradient in the weights of the convolution " about, BENCH_GFLOPS, BENCH_FMA,                 \
            .size = {__VA_ARGS__, WEIGHTS}, .open = open_conv, .run = run, .plan = plan_of, .close = close_case        \
    }

extern const bench_case bench_cases_kernels[];
const bench_case bench_cases_kernels[] = {
    GEMM("gemm_512", "C = A B, 512 x 512 x 512", 512, 512, 512, 0, 0),
    GEMM("gemm_2048", "C = A B, 2048 x 2048 x 2048", 2048, 2048, 2048, 0, 0),
    GEMM("gemm_16_512_512_nt", "C = A B^T, 16 x 512, inner 512: a layer", 16, 512, 512, 0, 1),
    GEMM("gemm_128_1024_512_nt", "C = A B^T, 128 x 1024, inner 512: a layer over time", 128, 1024, 512, 0, 1),
    GEMM("gemm_1536_512_16_tn", "C = A^T B, 1536 x 512, inner 16: a weight gradient", 1536, 512, 16, 1, 0),
    GEMM("gemm_1_512_512_nt", "C = A B^T, 1 x 512, inner 512: inference", 1, 512, 512, 0, 1),
    CONV("conv_3_32_k4s2_64", "3 to 32 channels, 4x4, stride 2, batch 16 of 64x64", 3, 32, 4, 2, 64),
    CONV("conv_32_64_k4s2_32", "32 to 64 channels, 4x4, stride 2, batch 16 of 32x32", 32, 64, 4, 2, 32),
    CONV("conv_64_64_k3_32", "64 to 64 channels, 3x3, batch 16 of 32x32", 64, 64, 3, 1, 32),
    CONV("conv_128_128_k3_16", "128 to 128 channels, 3x3, batch 16 of 16x16", 128, 128, 3, 1, 16),
    CONV("conv_64_4_k3_64", "64 to 4 channels, 3x3, batch 16 of 64x64", 64, 4, 3, 1, 64),
    {0}};
