#include "train/optimizer.h"

#include "model/autodiff/kernels/optimizer.h"
#include "model/base/threads.h"

#include <math.h>

/* The norm is cut into this many chunks, whatever the threads; the update into chunks of this many parameters, whose
 * arrays stay in the second-level cache of one core. */
enum { NORM_CHUNKS = 256, UPDATE_CHUNK = 16384 };

fwm_status tr_adamw_check(const tr_adamw_options *o, int64_t n)
{
    FWM_CHECK(n >= 0, FWM_INVALID, "adamw: expected a number of parameters, found %lld", (long long)n);
    FWM_CHECK(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1, FWM_INVALID,
              "adamw: expected betas in [0,1), found %g and %g", o->beta1, o->beta2);
    FWM_CHECK(o->eps > 0 && isfinite(o->eps), FWM_INVALID, "adamw: expected eps > 0, found %g", o->eps);
    FWM_CHECK(o->weight_decay >= 0 && isfinite(o->weight_decay), FWM_INVALID,
              "adamw: expected a weight decay of 0 or more, found %g", o->weight_decay);
    FWM_CHECK(o->clip >= 0, FWM_INVALID, "adamw: expected a norm to clip at, or 0 for none, found %g", o->clip);
    FWM_CHECK(o->ema >= 0 && o->ema <= 1, FWM_INVALID, "adamw: expected a decay of the average in [0,1], found %g",
              o->ema);
    int64_t end = 0;
    for (int64_t i = 0; i < o->n_groups; i++) {
        const tr_group *g = &o->groups[i];
        FWM_CHECK(
            g->begin >= end && g->end >= g->begin && g->end <= n, FWM_INVALID,
            "adamw: expected sorted, disjoint groups within [0,%lld), found [%lld,%lld) as number %lld after %lld",
            (long long)n, (long long)g->begin, (long long)g->end, (long long)i, (long long)end);
        FWM_CHECK(g->lr_scale >= 0 && g->decay_scale >= 0 && isfinite(g->lr_scale) && isfinite(g->decay_scale),
                  FWM_INVALID, "adamw: expected factors of 0 or more in group %lld, found %g and %g", (long long)i,
                  g->lr_scale, g->decay_scale);
        end = g->end;
    }
    return FWM_OK;
}

double tr_gradient_norm(ad_dtype dtype, const void *g, int64_t n)
{
    const ad_optimizer_kernels *kernels = ad_optimizer_find(dtype, fwm_isa_level());
    const char *bytes = g;
    size_t size = ad_dtype_size(dtype);
    double part[NORM_CHUNKS];
    /* A multiple of 64 numbers, so that chunks begin at cache lines. */
    int64_t chunk = ((n + NORM_CHUNKS - 1) / NORM_CHUNKS + 63) / 64 * 64;
#pragma omp parallel for schedule(static) if (n > FWM_PARALLEL_MIN)
    for (int i = 0; i < NORM_CHUNKS; i++) {
        int64_t begin = i * chunk, count = n - begin < chunk ? n - begin : chunk;
        part[i] = count > 0 ? kernels->square_sum(bytes + (size_t)begin * size, count) : 0.0;
    }
    double sum = 0;
    for (int i = 0; i < NORM_CHUNKS; i++)
        sum += part[i];
    return sqrt(sum);
}

typedef struct vectors {
    char *p, *m, *v, *ema;
    const char *g;
    size_t size; /* of a number */
} vectors;

static void update_run(const vectors *x, const ad_optimizer_kernels *kernels, const ad_adamw *a, int64_t begin,
                       int64_t end)
{
    size_t at = (size_t)begin * x->size;
    kernels->adamw(x->p + at, x->m + at, x->v + at, x->ema ? x->ema + at : NULL, x->g + at, a, end - begin);
}

/* The first group that ends after i. */
static int64_t first_group(const tr_adamw_options *o, int64_t i)
{
    int64_t low = 0, high = o->n_groups;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (o->groups[middle].end > i)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Parameters [begin, end): runs that lie inside a group, or between groups. `a` holds the update without lr and decay.
 */
static void update_chunk(const vectors *x, const ad_optimizer_kernels *kernels, const tr_adamw_options *o, ad_adamw a,
                         double lr, int64_t begin, int64_t end)
{
    const double correction = a.rate;
    for (int64_t group = first_group(o, begin); begin < end;) {
        const tr_group *g = group < o->n_groups ? &o->groups[group] : NULL;
        bool in = g && g->begin <= begin;
        int64_t stop = !g ? end : in ? g->end : g->begin;
        if (stop > end)
            stop = end;
        double rate = lr * (in ? g->lr_scale : 1.0);
        a.keep = 1.0 - rate * o->weight_decay * (in ? g->decay_scale : 1.0);
        a.rate = rate * correction;
        if (stop > begin)
            update_run(x, kernels, &a, begin, stop);
        begin = stop;
        group += in;
    }
}

fwm_status tr_adamw_step(tr_adamw_report *report, void *p, void *m, void *v, void *ema, const void *g,
                         const tr_adamw_options *o, double lr, int64_t step, ad_dtype dtype, int64_t n)
{
    FWM_TRY(tr_adamw_check(o, n));
    FWM_CHECK(step >= 1 && lr >= 0 && isfinite(lr), FWM_INVALID,
              "adamw: expected a step of 1 or more and a learning rate of 0 or more, found %lld and %g",
              (long long)step, lr);
    double norm = tr_gradient_norm(dtype, g, n);
    double scale = o->clip > 0 && norm > o->clip ? o->clip / norm : 1.0;
    if (report)
        *report = (tr_adamw_report){.norm = norm, .scale = scale};
    /* A float32 second moment of more than the largest float would stop its parameter for ever. */
    bool fits = dtype == AD_F32 ? norm * scale < 1e19 : isfinite(norm);
    FWM_CHECK(fits, FWM_NUMERIC,
              "adamw: the gradient's norm at step %lld is %g, the parameters were left as they were; a lower learning "
              "rate, or a lower optimizer.clip, may help",
              (long long)step, norm);
    double t = (double)step;
    ad_adamw a = {.g_scale = scale,
                  .beta1 = o->beta1,
                  .beta2 = o->beta2,
                  .rate = 1.0 / (1.0 - pow(o->beta1, t)),
                  .v_scale = 1.0 / sqrt(1.0 - pow(o->beta2, t)),
                  .eps = o->eps,
                  .ema = 1.0 - o->ema};
    vectors x = {.p = p, .m = m, .v = v, .ema = ema, .g = g, .size = ad_dtype_size(dtype)};
    const ad_optimizer_kernels *kernels = ad_optimizer_find(dtype, fwm_isa_level());
#pragma omp parallel for schedule(static) if (n > FWM_PARALLEL_MIN)
    for (int64_t begin = 0; begin < n; begin += UPDATE_CHUNK)
        update_chunk(&x, kernels, o, a, lr, begin, n - begin < UPDATE_CHUNK ? n : begin + UPDATE_CHUNK);
    return FWM_OK;
}
