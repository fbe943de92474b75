#include "train/optimizer.h"

#include "model/autodiff/kernels/optimizer.h"
#include "model/base/arena.h"
#include "model/base/random.h"
#include "model/base/threads.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More than two chunks of the update, and no multiple of any vector's length. */
enum { N = 40009, STEPS = 20 };

static const tr_group groups[] = {
    {3, 17, 1.0, 0.0},        /* a bias: no decay */
    {17, 17, 9.0, 9.0},       /* empty */
    {17, 16390, 0.5, 1.0},    /* across a chunk's border */
    {20000, 33001, 1.0, 2.0}, /* a gap before it, and another border inside */
    {N - 5, N, 0.0, 1.0},     /* frozen */
};

/* All rules, each without and with adaptive clipping. */
typedef struct variant {
    tr_rule rule;
    bool nesterov;
    double agc;
} variant;
static const variant variants[] = {
    {TR_RULE_ADAMW, false, 0},    {TR_RULE_LAPROP, false, 0},    {TR_RULE_SGD, false, 0},  {TR_RULE_SGD, true, 0},
    {TR_RULE_ADAMW, false, 5e-4}, {TR_RULE_LAPROP, false, 5e-4}, {TR_RULE_SGD, true, 5e-4}};
enum { VARIANTS = sizeof variants / sizeof *variants };

static tr_optimizer_options options(void)
{
    static double factors[sizeof groups / sizeof *groups];
    return (tr_optimizer_options){.beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .weight_decay = 0.1,
                                  .clip = 1.0,
                                  .ema = 0.99,
                                  .groups = groups,
                                  .n_groups = sizeof groups / sizeof *groups,
                                  .factors = factors};
}

static tr_optimizer_options options_of(const variant *v)
{
    tr_optimizer_options o = options();
    o.rule = v->rule;
    o.nesterov = v->nesterov;
    o.agc = v->agc;
    return o;
}

static void gradient(int step, double *g)
{
    fwm_random_normal_f64((fwm_key){.seed = 7, .stream = 1}, (uint64_t)step, N, g);
    /* Norms on both sides of the clip: sqrt(N) = 200 times 0.001, 0.01. */
    for (int i = 0; i < N; i++)
        g[i] = (double)(float)(g[i] * (step % 2 ? 0.001 : 0.01));
}

/* ---- the reference: one parameter at a time, as the papers have it, nothing folded ---- */

typedef struct state {
    double p[N], m[N], v[N], ema[N];
} state;

static double norm_of(const double *x, int64_t begin, int64_t end)
{
    double sum = 0;
    for (int64_t i = begin; i < end; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* What adaptive clipping makes of g; returns the number of groups clipped. */
static int reference_clip(double *g, const double *p, const tr_optimizer_options *o)
{
    int clipped = 0;
    for (int k = 0; k < o->n_groups && o->agc > 0; k++) {
        const tr_group *group = &o->groups[k];
        double ratio = norm_of(g, group->begin, group->end) / fmax(norm_of(p, group->begin, group->end), 1e-3);
        for (int64_t i = group->begin; i < group->end && ratio > o->agc; i++)
            g[i] *= o->agc / ratio;
        clipped += ratio > o->agc;
    }
    return clipped;
}

/* The step's direction for one parameter. */
static double reference_direction(double *m, double *v, double g, const tr_optimizer_options *o, int step)
{
    double first = 1 - pow(o->beta1, step), second = 1 - pow(o->beta2, step);
    if (o->rule == TR_RULE_SGD) {
        *m = o->beta1 * *m + g;
        return o->nesterov ? g + o->beta1 * *m : *m;
    }
    *v = o->beta2 * *v + (1 - o->beta2) * g * g;
    double root = sqrt(*v / second) + o->eps;
    if (o->rule == TR_RULE_LAPROP) {
        *m = o->beta1 * *m + (1 - o->beta1) * g / root;
        return *m / first;
    }
    *m = o->beta1 * *m + (1 - o->beta1) * g;
    return *m / first / root;
}

static int reference_step(state *s, const double *gradient, const tr_optimizer_options *o, double lr, int step)
{
    static double g[N];
    memcpy(g, gradient, sizeof g);
    const int clipped = reference_clip(g, s->p, o);
    double scale = fmin(1.0, o->clip / norm_of(g, 0, N));
    for (int i = 0; i < N; i++) {
        double rate = lr, decay = o->weight_decay;
        for (int k = 0; k < o->n_groups; k++)
            if (i >= o->groups[k].begin && i < o->groups[k].end)
                rate *= o->groups[k].lr_scale, decay *= o->groups[k].decay_scale;
        double direction = reference_direction(&s->m[i], &s->v[i], scale * g[i], o, step);
        s->p[i] -= rate * decay * s->p[i];
        s->p[i] -= rate * direction;
        s->ema[i] = o->ema * s->ema[i] + (1 - o->ema) * s->p[i];
    }
    return clipped;
}

static state *start(void)
{
    state *s = calloc(1, sizeof *s);
    fwm_random_normal_f64((fwm_key){.seed = 7, .stream = 2}, 0, N, s->p);
    for (int i = 0; i < N; i++)
        s->ema[i] = s->p[i] = (double)(float)s->p[i];
    return s;
}

static double worst(const double *a, const double *b)
{
    double most = 0;
    for (int i = 0; i < N; i++)
        most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

static void widen(double *out, const float *in)
{
    for (int i = 0; i < N; i++)
        out[i] = (double)in[i];
}

/* An update's m/sqrt(v) carries some ten roundings, and where m crosses zero they are relative to the g that met there,
 * |update| <= 1 each (10 for sgd, whose momentum adds up ten gradients of at most 1): lr * 16 eps a step. p itself (|p|
 * < 5) is rounded three times a step, by 5 eps/2 at most, and the average follows p. */
static double tolerance(const variant *v, double eps, double lr)
{
    return STEPS * (16 * lr * (v->rule == TR_RULE_SGD ? 10 : 1) + 8) * eps;
}

Test(optimizer, float64_against_the_plain_reference)
{
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    double *g = malloc(N * sizeof *g);
    for (int k = 0; k < VARIANTS; k++) {
        tr_optimizer_options o = options_of(&variants[k]);
        state *a = start(), *b = start();
        const tr_vectors x = {b->p, b->m, o.rule == TR_RULE_SGD ? NULL : b->v, b->ema, g};
        int64_t clipped = 0;
        for (int step = 1; step <= STEPS; step++) {
            gradient(step, g);
            int expected = reference_step(a, g, &o, 1e-2, step);
            tr_optimizer_report report;
            cr_assert_eq(tr_optimizer_step(&report, &x, &o, 1e-2, step, AD_F64, N), FWM_OK);
            cr_assert_eq(report.clipped, expected, "variant %d", k);
            clipped += expected;
        }
        cr_assert(o.agc > 0 ? clipped > 0 && clipped < STEPS * o.n_groups : clipped == 0, "variant %d: %lld", k,
                  (long long)clipped);
        cr_expect_lt(worst(a->p, b->p), tolerance(&variants[k], DBL_EPSILON, 1e-2), "variant %d", k);
        cr_expect_lt(worst(a->ema, b->ema), tolerance(&variants[k], DBL_EPSILON, 1e-2), "variant %d", k);
        /* AdamW's |m| < 0.01, the others' are sums of up to ten numbers of size 1. */
        cr_expect_lt(worst(a->m, b->m), o.rule == TR_RULE_ADAMW ? 1e-15 : 16 * STEPS * DBL_EPSILON, "variant %d", k);
        cr_expect_lt(worst(a->v, b->v), 1e-15);
        free(a), free(b);
    }
    free(g);
}

Test(optimizer, float32_against_the_plain_reference)
{
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    double *g = malloc(N * sizeof *g);
    for (int k = 0; k < VARIANTS; k++) {
        tr_optimizer_options o = options_of(&variants[k]);
        state *a = start(), *b = start();
        float *x = calloc(5 * N, sizeof *x), *p = x, *m = x + N, *v = x + 2 * N, *ema = x + 3 * N, *gf = x + 4 * N;
        for (int i = 0; i < N; i++)
            p[i] = ema[i] = (float)a->p[i];
        for (int step = 1; step <= STEPS; step++) {
            gradient(step, g);
            for (int i = 0; i < N; i++)
                gf[i] = (float)g[i];
            (void)reference_step(a, g, &o, 1e-2, step);
            const tr_vectors all = {p, m, v, ema, gf};
            cr_assert_eq(tr_optimizer_step(NULL, &all, &o, 1e-2, step, AD_F32, N), FWM_OK);
        }
        widen(b->p, p);
        widen(b->ema, ema);
        cr_expect_lt(worst(a->p, b->p), tolerance(&variants[k], FLT_EPSILON, 1e-2), "variant %d", k);
        cr_expect_lt(worst(a->ema, b->ema), tolerance(&variants[k], FLT_EPSILON, 1e-2), "variant %d", k);
        free(a), free(b), free(x);
    }
    free(g);
}

/* One element's new parameter from p 1.5, m 0.25, v 0.5. */
static double expected_parameter(const ad_update *a, int rule, double g)
{
    double s = a->g_scale * g, v = (1 - a->beta2) * s * s + a->beta2 * 0.5, root = sqrt(v) * a->v_scale + a->eps, step;
    if (rule == TR_RULE_ADAMW)
        step = ((1 - a->beta1) * s + a->beta1 * 0.25) / root;
    else if (rule == TR_RULE_LAPROP)
        step = (1 - a->beta1) * s / root + a->beta1 * 0.25;
    else
        step = a->nesterov ? s + a->beta1 * (a->beta1 * 0.25 + s) : a->beta1 * 0.25 + s;
    return a->keep * 1.5 - a->rate * step;
}

static void check_kernel(const ad_update *a, int rule, int level, int bits, bool average)
{
    enum { LENGTH = 77 };
    double g[LENGTH];
    fwm_random_normal_f64((fwm_key){.seed = 1, .stream = 9}, 0, LENGTH, g);
    const ad_optimizer_kernels *k = ad_optimizer_find(bits == 32 ? AD_F32 : AD_F64, level);
    const ad_update_fn update[] = {k->adamw, k->laprop, k->sgd};
    float f[5][LENGTH];
    double d[5][LENGTH], squares = 0;
    for (int i = 0; i < LENGTH; i++) {
        g[i] = (double)(float)g[i];
        squares += g[i] * g[i];
        f[0][i] = 1.5f, f[1][i] = 0.25f, f[2][i] = 0.5f, f[3][i] = 1.25f, f[4][i] = (float)g[i];
        d[0][i] = 1.5, d[1][i] = 0.25, d[2][i] = 0.5, d[3][i] = 1.25, d[4][i] = g[i];
    }
    if (bits == 32)
        update[rule](f[0], f[1], f[2], average ? f[3] : NULL, f[4], a, LENGTH);
    else
        update[rule](d[0], d[1], d[2], average ? d[3] : NULL, d[4], a, LENGTH);
    /* Values of size 1.5 after about ten roundings. */
    const double eps = 10 * (bits == 32 ? (double)FLT_EPSILON : DBL_EPSILON);
    for (int i = 0; i < LENGTH; i++) {
        double p = bits == 32 ? (double)f[0][i] : d[0][i], e = bits == 32 ? (double)f[3][i] : d[3][i];
        double want = expected_parameter(a, rule, g[i]);
        cr_assert(fabs(p - want) < eps, "rule %d, level %d, %d bits, element %d", rule, level, bits, i);
        cr_assert(fabs(e - (average ? 1.25 + a->ema * (want - 1.25) : 1.25)) < eps, "average, level %d", level);
        if (rule == TR_RULE_SGD)
            cr_assert(bits == 32 ? f[2][i] == 0.5f : d[2][i] == 0.5, "sgd touched the second moment");
    }
    double sum = bits == 32 ? k->square_sum(f[4], LENGTH) : k->square_sum(d[4], LENGTH);
    cr_assert(fabs(sum - squares) < LENGTH * DBL_EPSILON * squares);
}

/* Every rule, instruction set of this machine, float and double, odd lengths, with and without the average. */
Test(optimizer, kernels_of_every_level_agree)
{
    ad_update a = {.g_scale = 0.5,
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .keep = 0.999,
                   .rate = 0.02,
                   .v_scale = 3,
                   .eps = 1e-6,
                   .ema = 0.1};
    for (int rule = 0; rule < TR_RULE_COUNT; rule++)
        for (int nesterov = 0; nesterov <= (rule == TR_RULE_SGD); nesterov++)
            for (int level = 1; level <= fwm_isa_level(); level += level == 1 ? 2 : 1)
                for (int bits = 32; bits <= 64; bits += 32)
                    for (int average = 0; average <= 1; average++) {
                        a.nesterov = nesterov;
                        check_kernel(&a, rule, level, bits, average);
                    }
}

Test(optimizer, threads_do_not_show)
{
    for (int k = 0; k < VARIANTS; k++) {
        tr_optimizer_options o = options_of(&variants[k]);
        float *first = NULL;
        double norm = 0;
        for (int threads = 1; threads <= 3; threads++) {
            cr_assert_eq(fwm_threads_init(threads), FWM_OK);
            float *x = calloc(5 * N, sizeof *x);
            const tr_vectors all = {x, x + N, x + 2 * N, x + 3 * N, x + 4 * N};
            tr_optimizer_report report = {0};
            for (int step = 1; step <= 3; step++) {
                fwm_random_normal_f32((fwm_key){.seed = 3, .stream = 1}, (uint64_t)step, N, x + 4 * N);
                cr_assert_eq(tr_optimizer_step(&report, &all, &o, 1e-2, step, AD_F32, N), FWM_OK);
            }
            if (first) {
                cr_assert_eq(memcmp(first, x, 5 * N * sizeof *x), 0, "variant %d: %d threads give other bits than 1", k,
                             threads);
                cr_assert_eq(report.norm, norm);
                free(x);
            } else {
                first = x, norm = report.norm;
            }
        }
        free(first);
    }
}

Test(optimizer, norm)
{
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    float *g = malloc(N * sizeof *g);
    long double sum = 0;
    fwm_random_normal_f32((fwm_key){.seed = 2, .stream = 4}, 0, N, g);
    for (int i = 0; i < N; i++)
        sum += (long double)g[i] * (long double)g[i];
    /* At most N roundings of 1.1e-16 each, in practice far fewer; halved by the root. */
    cr_assert_lt(fabs(tr_gradient_norm(AD_F32, g, N) / (double)sqrtl(sum) - 1), N * 1.2e-16);
    g[5] = 1e30f; /* its square is no float32 */
    cr_assert_lt(fabs(tr_gradient_norm(AD_F32, g, N) / (double)1e30f - 1), 1e-15);
    cr_assert_eq(tr_gradient_norm(AD_F32, g, 0), 0.0);
    for (int i = 0; i < 16384; i++)
        g[i] = 1; /* every chunk is full */
    cr_assert_eq(tr_gradient_norm(AD_F32, g, 16384), 128.0);
    for (int64_t n = 1; n < 70; n++) {
        double ones[70];
        for (int i = 0; i < 70; i++)
            ones[i] = i < n ? 1 : 1e9; /* reading past the end would show */
        cr_assert_eq(tr_gradient_norm(AD_F64, ones, n), sqrt((double)n));
    }
    free(g);
}

Test(optimizer, clipping)
{
    tr_optimizer_options o = {.beta1 = 0, .beta2 = 0, .eps = 1e-8, .clip = 1, .ema = 0};
    double p[2] = {0}, m[2] = {0}, v[2] = {0};
    const double g[2] = {3, 4}, small[2] = {0.3, 0.4};
    tr_optimizer_report r;
    cr_assert_eq(tr_optimizer_step(&r, &(tr_vectors){p, m, v, NULL, g}, &o, 0.1, 1, AD_F64, 2), FWM_OK);
    cr_assert_eq(r.norm, 5.0);
    cr_assert_eq(r.scale, 0.2);
    cr_assert_lt(fabs(m[0] - 0.6), 1e-15); /* beta1 = 0: the moment is the clipped gradient */
    cr_assert_lt(fabs(v[1] - 0.64), 1e-15);
    cr_assert_eq(tr_optimizer_step(&r, &(tr_vectors){p, m, v, NULL, small}, &o, 0.1, 2, AD_F64, 2), FWM_OK);
    cr_assert_eq(r.scale, 1.0);
    o.clip = 0;
    cr_assert_eq(tr_optimizer_step(&r, &(tr_vectors){p, m, v, NULL, g}, &o, 0.1, 3, AD_F64, 2), FWM_OK);
    cr_assert_eq(r.scale, 1.0, "clip 0 is no clip");
    cr_assert_eq(m[1], 4.0);
}

Test(optimizer, decay_follows_the_mask)
{
    tr_group mask[] = {{1, 2, 1, 0}, {2, 3, 0, 1}, {3, 4, 1, 2}};
    tr_optimizer_options o = {
        .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.5, .groups = mask, .n_groups = 3};
    double p[5] = {1, 1, 1, 1, 1}, m[5] = {0}, v[5] = {0}, g[5] = {0};
    for (int step = 1; step <= 2; step++)
        cr_assert_eq(tr_optimizer_step(NULL, &(tr_vectors){p, m, v, NULL, g}, &o, 0.5, step, AD_F64, 5), FWM_OK);
    /* No gradient: only the factor 1 - lr wd, exact in binary. */
    const double expected[5] = {0.5625, 1, 1, 0.25, 0.5625};
    cr_assert_eq(memcmp(p, expected, sizeof p), 0);
    g[2] = 1;
    cr_assert_eq(tr_optimizer_step(NULL, &(tr_vectors){p, m, v, NULL, g}, &o, 0.5, 3, AD_F64, 5), FWM_OK);
    cr_assert_eq(p[2], 1.0, "a group with no learning rate is frozen");
}

Test(optimizer, a_gradient_that_is_not_finite_changes_nothing)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    tr_optimizer_options o = options();
    o.n_groups = 0;
    for (int k = 0; k < 4; k++) {
        float p[3] = {1, 2, 3}, m[3] = {4, 5, 6}, v[3] = {7, 8, 9}, ema[3] = {1, 1, 1}, g[3] = {1, 1, 1};
        if (k < 3)
            g[1] = (float)bad[k];
        else
            g[1] = 1e20f, o.clip = 0; /* finite, but its square would stop the parameter for ever */
        tr_optimizer_report r = {0};
        cr_assert_eq(tr_optimizer_step(&r, &(tr_vectors){p, m, v, ema, g}, &o, 0.1, 1, AD_F32, 3), FWM_NUMERIC);
        cr_assert(k == 3 ? r.norm > 1e19 : !isfinite(r.norm));
        cr_assert(p[0] == 1 && p[1] == 2 && p[2] == 3 && m[0] == 4 && m[1] == 5 && v[2] == 9 && ema[0] == 1);
        cr_assert(strstr(fwm_error_message(), "step 1"), "the message says where: %s", fwm_error_message());
    }
}

Test(optimizer, misuse_is_refused)
{
    double x[4] = {0};
    const tr_optimizer_options good = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
    tr_optimizer_options o[8];
    for (int i = 0; i < 8; i++)
        o[i] = good;
    const tr_group outside = {0, 2, 1, 1}, backward = {1, 0, 1, 1}, negative = {0, 1, -1, 1};
    const tr_optimizer_options unknown = {.rule = TR_RULE_COUNT, .eps = 1e-8}, tiny = {.eps = 1e-46};
    cr_assert_eq(tr_optimizer_check(&unknown, 4), FWM_INVALID);
    cr_assert_eq(tr_optimizer_check(&tiny, 4), FWM_INVALID, "an eps that float32 does not have");
    cr_assert_eq(tr_optimizer_step(NULL, &(tr_vectors){x, x + 1, NULL, NULL, x + 3}, &good, 0.1, 1, AD_F64, 1),
                 FWM_INVALID, "AdamW without a second moment");
    const tr_group all = {0, 1, 1, 1};
    const tr_optimizer_options nowhere = {.eps = 1e-8, .agc = 0.1, .groups = &all, .n_groups = 1};
    cr_assert_eq(tr_optimizer_check(&nowhere, 4), FWM_INVALID, "adaptive clipping without room for the factors");
    o[0].beta1 = 1, o[1].beta2 = -0.1, o[2].eps = 0, o[3].weight_decay = NAN, o[4].ema = 1.5;
    o[5].groups = &outside, o[6].groups = &backward, o[7].groups = &negative;
    o[5].n_groups = o[6].n_groups = o[7].n_groups = 1;
    for (int i = 0; i < 8; i++)
        cr_assert_eq(tr_optimizer_step(NULL, &(tr_vectors){x, x + 1, x + 2, NULL, x + 3}, &o[i], 0.1, 1, AD_F64, 1),
                     FWM_INVALID, "%d", i);
    cr_assert_eq(tr_optimizer_step(NULL, &(tr_vectors){x, x + 1, x + 2, NULL, x + 3}, &good, 0.1, 0, AD_F64, 1),
                 FWM_INVALID);
    cr_assert_eq(tr_optimizer_step(NULL, &(tr_vectors){x, x + 1, x + 2, NULL, x + 3}, &good, NAN, 1, AD_F64, 1),
                 FWM_INVALID);
    const tr_group overlap[] = {{0, 2, 1, 1}, {1, 3, 1, 1}};
    o[0] = good, o[0].groups = overlap, o[0].n_groups = 2;
    cr_assert_eq(tr_optimizer_check(&o[0], 4), FWM_INVALID);
    cr_assert_eq(tr_optimizer_check(&good, 4), FWM_OK);
}

Test(optimizer, a_step_allocates_nothing)
{
    tr_optimizer_options o = options();
    float *x = calloc(5 * N, sizeof *x);
    size_t before = fwm_allocation_count();
    cr_assert_eq(
        tr_optimizer_step(NULL, &(tr_vectors){x, x + N, x + 2 * N, x + 3 * N, x + 4 * N}, &o, 1e-2, 1, AD_F32, N),
        FWM_OK);
    cr_assert_eq(fwm_allocation_count(), before);
    free(x);
}
