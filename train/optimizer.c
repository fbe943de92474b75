#include "train/optimizer.h"

#include "model/autodiff/kernels/optimizer.h"
#include "model/base/threads.h"

#include <math.h>

/* The norm is cut into this many chunks, whatever the threads; the update into chunks of this many parameters, whose
 * arrays stay in the second-level cache of one core. */
enum { NORM_CHUNKS = 256, UPDATE_CHUNK = 16384 };
static const double AGC_FLOOR = 1e-3, EPS_LEAST = 1e-30;

fwm_status tr_optimizer_check(const tr_optimizer_options *o, int64_t n)
{
    FWM_CHECK(n >= 0, FWM_INVALID, "optimizer: expected a number of parameters, found %lld", (long long)n);
    FWM_CHECK(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1, FWM_INVALID,
              "optimizer: expected betas in [0,1), found %g and %g", o->beta1, o->beta2);
    FWM_CHECK((int)o->rule >= 0 && o->rule < TR_RULE_COUNT, FWM_INVALID, "optimizer: unknown rule %d", (int)o->rule);
    FWM_CHECK(o->rule == TR_RULE_SGD || (o->eps >= EPS_LEAST && isfinite(o->eps)), FWM_INVALID,
              "optimizer: expected eps of %g or more, found %g", EPS_LEAST, o->eps);
    FWM_CHECK(o->weight_decay >= 0 && isfinite(o->weight_decay), FWM_INVALID,
              "optimizer: expected a weight decay of 0 or more, found %g", o->weight_decay);
    FWM_CHECK(o->clip >= 0, FWM_INVALID, "optimizer: expected a norm to clip at, or 0 for none, found %g", o->clip);
    FWM_CHECK(
        o->agc >= 0 && isfinite(o->agc) && (o->agc <= 0 || o->n_groups == 0 || o->factors), FWM_INVALID,
        "optimizer: expected a ratio for adaptive clipping of 0 or more, and room for the groups' factors, found %g",
        o->agc);
    FWM_CHECK(o->ema >= 0 && o->ema <= 1, FWM_INVALID, "optimizer: expected a decay of the average in [0,1], found %g",
              o->ema);
    int64_t end = 0;
    for (int64_t i = 0; i < o->n_groups; i++) {
        const tr_group *g = &o->groups[i];
        FWM_CHECK(
            g->begin >= end && g->end >= g->begin && g->end <= n, FWM_INVALID,
            "optimizer: expected sorted, disjoint groups within [0,%lld), found [%lld,%lld) as number %lld after %lld",
            (long long)n, (long long)g->begin, (long long)g->end, (long long)i, (long long)end);
        FWM_CHECK(g->lr_scale >= 0 && g->decay_scale >= 0 && isfinite(g->lr_scale) && isfinite(g->decay_scale),
                  FWM_INVALID, "optimizer: expected factors of 0 or more in group %lld, found %g and %g", (long long)i,
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

/* ---- clipping ---- */

static double norm_between(ad_dtype dtype, const void *x, int64_t begin, int64_t end)
{
    return tr_gradient_norm(dtype, (const char *)x + (size_t)begin * ad_dtype_size(dtype), end - begin);
}

/* Fills the groups' factors; the norm before and after. What is not finite stays so in both. */
static void clip_adaptively(const tr_optimizer_options *o, const tr_vectors *x, ad_dtype dtype, int64_t n,
                            tr_optimizer_report *report, double *after)
{
    double before = 0, sum = 0;
    int64_t at = 0;
    for (int64_t k = 0; k <= o->n_groups; k++) { /* a gap, and the group behind it */
        const int64_t begin = k < o->n_groups ? o->groups[k].begin : n;
        const double gap = norm_between(dtype, x->g, at, begin);
        before += gap * gap;
        sum += gap * gap;
        if (k == o->n_groups)
            break;
        at = o->groups[k].end;
        const double g = norm_between(dtype, x->g, begin, at),
                     most = o->agc * fmax(norm_between(dtype, x->p, begin, at), AGC_FLOOR);
        o->factors[k] = g > most ? most / g : 1.0;
        report->clipped += g > most;
        before += g * g;
        sum += o->factors[k] * g * o->factors[k] * g;
    }
    report->norm = sqrt(before);
    *after = isfinite(before) ? sqrt(sum) : report->norm;
}

/* ---- the pass ---- */

typedef struct pass {
    const tr_vectors *x;
    const tr_optimizer_options *o;
    ad_update_fn update;
    ad_update a; /* without lr, decay and a group's factor */
    double lr, g_scale;
    size_t size; /* of a number */
} pass;

static void *offset(void *vector, size_t bytes)
{
    return vector ? (char *)vector + bytes : NULL;
}

static void update_run(const pass *w, const ad_update *a, int64_t begin, int64_t end)
{
    const size_t at = (size_t)begin * w->size;
    const tr_vectors *x = w->x;
    w->update(offset(x->p, at), offset(x->m, at), offset(x->v, at), offset(x->ema, at), (const char *)x->g + at, a,
              end - begin);
}

/* The first group that ends after i. */
static int64_t first_group(const tr_optimizer_options *o, int64_t i)
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

/* Parameters [begin, end): runs that lie inside a group, or between groups. */
static void update_chunk(const pass *w, int64_t begin, int64_t end)
{
    const tr_optimizer_options *o = w->o;
    for (int64_t group = first_group(o, begin); begin < end;) {
        const tr_group *g = group < o->n_groups ? &o->groups[group] : NULL;
        bool in = g && g->begin <= begin;
        int64_t stop = !g ? end : in ? g->end : g->begin;
        if (stop > end)
            stop = end;
        double rate = w->lr * (in ? g->lr_scale : 1.0);
        ad_update a = w->a;
        a.keep = 1.0 - rate * o->weight_decay * (in ? g->decay_scale : 1.0);
        a.rate = rate * w->a.rate;
        a.g_scale = w->g_scale * (in && o->agc > 0 ? o->factors[group] : 1.0);
        if (stop > begin)
            update_run(w, &a, begin, stop);
        begin = stop;
        group += in;
    }
}

/* What does not depend on the parameter. */
static ad_update constants(const tr_optimizer_options *o, int64_t step)
{
    const double t = (double)step;
    const bool adaptive = o->rule != TR_RULE_SGD;
    return (ad_update){.beta1 = o->beta1,
                       .beta2 = o->beta2,
                       .rate = adaptive ? 1.0 / (1.0 - pow(o->beta1, t)) : 1.0,
                       .v_scale = adaptive ? 1.0 / sqrt(1.0 - pow(o->beta2, t)) : 1.0,
                       .eps = o->eps,
                       .nesterov = o->nesterov,
                       .ema = 1.0 - o->ema};
}

fwm_status tr_optimizer_step(tr_optimizer_report *report, const tr_vectors *x, const tr_optimizer_options *o, double lr,
                             int64_t step, ad_dtype dtype, int64_t n)
{
    tr_optimizer_report own = {.scale = 1};
    FWM_TRY(tr_optimizer_check(o, n));
    FWM_CHECK(step >= 1 && lr >= 0 && isfinite(lr), FWM_INVALID,
              "optimizer: expected a step of 1 or more and a learning rate of 0 or more, found %lld and %g",
              (long long)step, lr);
    FWM_CHECK(x->v || o->rule == TR_RULE_SGD || n == 0, FWM_INVALID, "optimizer: expected a vector of second moments");
    double norm;
    if (o->agc > 0)
        clip_adaptively(o, x, dtype, n, &own, &norm);
    else
        own.norm = norm = tr_gradient_norm(dtype, x->g, n);
    own.scale = o->clip > 0 && norm > o->clip ? o->clip / norm : 1.0;
    if (report)
        *report = own;
    /* A float32 second moment of more than the largest float would stop its parameter for ever. */
    bool fits = dtype == AD_F32 ? norm * own.scale < 1e19 : isfinite(norm);
    FWM_CHECK(fits, FWM_NUMERIC,
              "optimizer: the gradient's norm at step %lld is %g, the parameters were left as they were; a lower "
              "learning rate, or a lower optimizer.clip, may help",
              (long long)step, norm);
    const ad_optimizer_kernels *kernels = ad_optimizer_find(dtype, fwm_isa_level());
    const ad_update_fn rules[TR_RULE_COUNT] = {
        [TR_RULE_ADAMW] = kernels->adamw, [TR_RULE_LAPROP] = kernels->laprop, [TR_RULE_SGD] = kernels->sgd};
    const pass w = {.x = x,
                    .o = o,
                    .update = rules[o->rule],
                    .a = constants(o, step),
                    .lr = lr,
                    .g_scale = own.scale,
                    .size = ad_dtype_size(dtype)};
#pragma omp parallel for schedule(static) if (n > FWM_PARALLEL_MIN)
    for (int64_t begin = 0; begin < n; begin += UPDATE_CHUNK)
        update_chunk(&w, begin, n - begin < UPDATE_CHUNK ? n : begin + UPDATE_CHUNK);
    return FWM_OK;
}
