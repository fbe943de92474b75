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

static tr_adamw_options options(void)
{
    return (tr_adamw_options){.beta1 = 0.9,
                              .beta2 = 0.999,
                              .eps = 1e-8,
                              .weight_decay = 0.1,
                              .clip = 1.0,
                              .ema = 0.99,
                              .groups = groups,
                              .n_groups = sizeof groups / sizeof *groups};
}

static void gradient(int step, double *g)
{
    fwm_random_normal_f64((fwm_key){.seed = 7, .stream = 1}, (uint64_t)step, N, g);
    /* Norms on both sides of the clip: sqrt(N) = 200 times 0.001, 0.01. */
    for (int i = 0; i < N; i++)
        g[i] = (double)(float)(g[i] * (step % 2 ? 0.001 : 0.01));
}

/* ---- the reference: algorithm 2 of the paper, one parameter at a time, nothing folded ---- */

typedef struct state {
    double p[N], m[N], v[N], ema[N];
} state;

static void reference_step(state *s, const double *g, const tr_adamw_options *o, double lr, int step)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += g[i] * g[i];
    double scale = fmin(1.0, o->clip / sqrt(sum));
    for (int i = 0; i < N; i++) {
        double rate = lr, decay = o->weight_decay;
        for (int k = 0; k < o->n_groups; k++)
            if (i >= o->groups[k].begin && i < o->groups[k].end)
                rate *= o->groups[k].lr_scale, decay *= o->groups[k].decay_scale;
        double gi = scale * g[i];
        s->m[i] = o->beta1 * s->m[i] + (1 - o->beta1) * gi;
        s->v[i] = o->beta2 * s->v[i] + (1 - o->beta2) * gi * gi;
        double m_hat = s->m[i] / (1 - pow(o->beta1, step)), v_hat = s->v[i] / (1 - pow(o->beta2, step));
        s->p[i] -= rate * decay * s->p[i];
        s->p[i] -= rate * m_hat / (sqrt(v_hat) + o->eps);
        s->ema[i] = o->ema * s->ema[i] + (1 - o->ema) * s->p[i];
    }
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
 * |update| <= 1 each: lr * 16 eps a step. p itself (|p| < 5) is rounded three times a step, by 5 eps/2 at most, and the
 * average follows p. */
static double tolerance(double eps, double lr)
{
    return STEPS * (16 * lr + 8) * eps;
}

Test(optimizer, float64_against_the_plain_reference)
{
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    tr_adamw_options o = options();
    state *a = start(), *b = start();
    double *g = malloc(N * sizeof *g);
    for (int step = 1; step <= STEPS; step++) {
        gradient(step, g);
        reference_step(a, g, &o, 1e-2, step);
        cr_assert_eq(tr_adamw_step(NULL, b->p, b->m, b->v, b->ema, g, &o, 1e-2, step, AD_F64, N), FWM_OK);
    }
    cr_assert_lt(worst(a->p, b->p), tolerance(DBL_EPSILON, 1e-2));
    cr_assert_lt(worst(a->ema, b->ema), tolerance(DBL_EPSILON, 1e-2));
    cr_assert_lt(worst(a->m, b->m), 1e-15); /* |m| < 0.01 */
    cr_assert_lt(worst(a->v, b->v), 1e-15);
    free(a), free(b), free(g);
}

Test(optimizer, float32_against_the_plain_reference)
{
    cr_assert_eq(fwm_threads_init(2), FWM_OK);
    tr_adamw_options o = options();
    state *a = start(), *b = start();
    double *g = malloc(N * sizeof *g);
    float *x = calloc(5 * N, sizeof *x), *p = x, *m = x + N, *v = x + 2 * N, *ema = x + 3 * N, *gf = x + 4 * N;
    for (int i = 0; i < N; i++)
        p[i] = ema[i] = (float)a->p[i];
    for (int step = 1; step <= STEPS; step++) {
        gradient(step, g);
        for (int i = 0; i < N; i++)
            gf[i] = (float)g[i];
        reference_step(a, g, &o, 1e-2, step);
        cr_assert_eq(tr_adamw_step(NULL, p, m, v, ema, gf, &o, 1e-2, step, AD_F32, N), FWM_OK);
    }
    widen(b->p, p);
    widen(b->ema, ema);
    cr_assert_lt(worst(a->p, b->p), tolerance(FLT_EPSILON, 1e-2));
    cr_assert_lt(worst(a->ema, b->ema), tolerance(FLT_EPSILON, 1e-2));
    free(a), free(b), free(g), free(x);
}

/* Every instruction set that this machine has, float and double, odd lengths, with and without the average. */
Test(optimizer, kernels_of_every_level_agree)
{
    const ad_adamw a = {.g_scale = 0.5,
                        .beta1 = 0.9,
                        .beta2 = 0.99,
                        .keep = 0.999,
                        .rate = 0.02,
                        .v_scale = 3,
                        .eps = 1e-6,
                        .ema = 0.1};
    enum { LENGTH = 77 };
    double g[LENGTH], want[LENGTH], want_ema[LENGTH];
    fwm_random_normal_f64((fwm_key){.seed = 1, .stream = 9}, 0, LENGTH, g);
    double squares = 0;
    for (int i = 0; i < LENGTH; i++) {
        g[i] = (double)(float)g[i];
        double gi = 0.5 * g[i], m = 0.1 * gi + 0.9 * 0.25, v = 0.01 * gi * gi + 0.99 * 0.5;
        want[i] = 0.999 * 1.5 - 0.02 * m / (sqrt(v) * 3 + 1e-6);
        want_ema[i] = 0.9 * 1.25 + 0.1 * want[i];
        squares += g[i] * g[i];
    }
    for (int level = 1; level <= fwm_isa_level(); level += level == 1 ? 2 : 1)
        for (int bits = 32; bits <= 64; bits += 32)
            for (int average = 0; average <= 1; average++) {
                const ad_optimizer_kernels *k = ad_optimizer_find(bits == 32 ? AD_F32 : AD_F64, level);
                float f[5][LENGTH];
                double d[5][LENGTH];
                for (int i = 0; i < LENGTH; i++) {
                    f[0][i] = 1.5f, f[1][i] = 0.25f, f[2][i] = 0.5f, f[3][i] = 1.25f, f[4][i] = (float)g[i];
                    d[0][i] = 1.5, d[1][i] = 0.25, d[2][i] = 0.5, d[3][i] = 1.25, d[4][i] = g[i];
                }
                if (bits == 32)
                    k->adamw(f[0], f[1], f[2], average ? f[3] : NULL, f[4], &a, LENGTH);
                else
                    k->adamw(d[0], d[1], d[2], average ? d[3] : NULL, d[4], &a, LENGTH);
                /* Values of size 1.5 after about ten roundings. */
                double eps = 10 * (bits == 32 ? (double)FLT_EPSILON : DBL_EPSILON);
                for (int i = 0; i < LENGTH; i++) {
                    double p = bits == 32 ? (double)f[0][i] : d[0][i], e = bits == 32 ? (double)f[3][i] : d[3][i];
                    cr_assert(fabs(p - want[i]) < eps, "level %d, %d bits, element %d", level, bits, i);
                    cr_assert(fabs(e - (average ? want_ema[i] : 1.25)) < eps, "average, level %d", level);
                }
                double sum = bits == 32 ? k->square_sum(f[4], LENGTH) : k->square_sum(d[4], LENGTH);
                cr_assert(fabs(sum - squares) < LENGTH * DBL_EPSILON * squares);
            }
}

Test(optimizer, threads_do_not_show)
{
    tr_adamw_options o = options();
    float *first = NULL;
    double norm = 0;
    for (int threads = 1; threads <= 3; threads++) {
        cr_assert_eq(fwm_threads_init(threads), FWM_OK);
        float *x = calloc(5 * N, sizeof *x);
        tr_adamw_report report = {0};
        for (int step = 1; step <= 3; step++) {
            fwm_random_normal_f32((fwm_key){.seed = 3, .stream = 1}, (uint64_t)step, N, x + 4 * N);
            cr_assert_eq(tr_adamw_step(&report, x, x + N, x + 2 * N, x + 3 * N, x + 4 * N, &o, 1e-2, step, AD_F32, N),
                         FWM_OK);
        }
        if (first) {
            cr_assert_eq(memcmp(first, x, 5 * N * sizeof *x), 0, "%d threads give other bits than 1", threads);
            cr_assert_eq(report.norm, norm);
            free(x);
        } else {
            first = x, norm = report.norm;
        }
    }
    free(first);
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
    tr_adamw_options o = {.beta1 = 0, .beta2 = 0, .eps = 1e-8, .clip = 1, .ema = 0};
    double p[2] = {0}, m[2] = {0}, v[2] = {0};
    const double g[2] = {3, 4}, small[2] = {0.3, 0.4};
    tr_adamw_report r;
    cr_assert_eq(tr_adamw_step(&r, p, m, v, NULL, g, &o, 0.1, 1, AD_F64, 2), FWM_OK);
    cr_assert_eq(r.norm, 5.0);
    cr_assert_eq(r.scale, 0.2);
    cr_assert_lt(fabs(m[0] - 0.6), 1e-15); /* beta1 = 0: the moment is the clipped gradient */
    cr_assert_lt(fabs(v[1] - 0.64), 1e-15);
    cr_assert_eq(tr_adamw_step(&r, p, m, v, NULL, small, &o, 0.1, 2, AD_F64, 2), FWM_OK);
    cr_assert_eq(r.scale, 1.0);
    o.clip = 0;
    cr_assert_eq(tr_adamw_step(&r, p, m, v, NULL, g, &o, 0.1, 3, AD_F64, 2), FWM_OK);
    cr_assert_eq(r.scale, 1.0, "clip 0 is no clip");
    cr_assert_eq(m[1], 4.0);
}

Test(optimizer, decay_follows_the_mask)
{
    tr_group mask[] = {{1, 2, 1, 0}, {2, 3, 0, 1}, {3, 4, 1, 2}};
    tr_adamw_options o = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.5, .groups = mask, .n_groups = 3};
    double p[5] = {1, 1, 1, 1, 1}, m[5] = {0}, v[5] = {0}, g[5] = {0};
    for (int step = 1; step <= 2; step++)
        cr_assert_eq(tr_adamw_step(NULL, p, m, v, NULL, g, &o, 0.5, step, AD_F64, 5), FWM_OK);
    /* No gradient: only the factor 1 - lr wd, exact in binary. */
    const double expected[5] = {0.5625, 1, 1, 0.25, 0.5625};
    cr_assert_eq(memcmp(p, expected, sizeof p), 0);
    g[2] = 1;
    cr_assert_eq(tr_adamw_step(NULL, p, m, v, NULL, g, &o, 0.5, 3, AD_F64, 5), FWM_OK);
    cr_assert_eq(p[2], 1.0, "a group with no learning rate is frozen");
}

Test(optimizer, a_gradient_that_is_not_finite_changes_nothing)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    tr_adamw_options o = options();
    o.n_groups = 0;
    for (int k = 0; k < 4; k++) {
        float p[3] = {1, 2, 3}, m[3] = {4, 5, 6}, v[3] = {7, 8, 9}, ema[3] = {1, 1, 1}, g[3] = {1, 1, 1};
        if (k < 3)
            g[1] = (float)bad[k];
        else
            g[1] = 1e20f, o.clip = 0; /* finite, but its square would stop the parameter for ever */
        tr_adamw_report r = {0};
        cr_assert_eq(tr_adamw_step(&r, p, m, v, ema, g, &o, 0.1, 1, AD_F32, 3), FWM_NUMERIC);
        cr_assert(k == 3 ? r.norm > 1e19 : !isfinite(r.norm));
        cr_assert(p[0] == 1 && p[1] == 2 && p[2] == 3 && m[0] == 4 && m[1] == 5 && v[2] == 9 && ema[0] == 1);
        cr_assert(strstr(fwm_error_message(), "step 1"), "the message says where: %s", fwm_error_message());
    }
}

Test(optimizer, misuse_is_refused)
{
    double x[4] = {0};
    const tr_adamw_options good = {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8};
    tr_adamw_options o[8];
    for (int i = 0; i < 8; i++)
        o[i] = good;
    const tr_group outside = {0, 2, 1, 1}, backward = {1, 0, 1, 1}, negative = {0, 1, -1, 1};
    o[0].beta1 = 1, o[1].beta2 = -0.1, o[2].eps = 0, o[3].weight_decay = NAN, o[4].ema = 1.5;
    o[5].groups = &outside, o[6].groups = &backward, o[7].groups = &negative;
    o[5].n_groups = o[6].n_groups = o[7].n_groups = 1;
    for (int i = 0; i < 8; i++)
        cr_assert_eq(tr_adamw_step(NULL, x, x + 1, x + 2, NULL, x + 3, &o[i], 0.1, 1, AD_F64, 1), FWM_INVALID, "%d", i);
    cr_assert_eq(tr_adamw_step(NULL, x, x + 1, x + 2, NULL, x + 3, &good, 0.1, 0, AD_F64, 1), FWM_INVALID);
    cr_assert_eq(tr_adamw_step(NULL, x, x + 1, x + 2, NULL, x + 3, &good, NAN, 1, AD_F64, 1), FWM_INVALID);
    const tr_group overlap[] = {{0, 2, 1, 1}, {1, 3, 1, 1}};
    o[0] = good, o[0].groups = overlap, o[0].n_groups = 2;
    cr_assert_eq(tr_adamw_check(&o[0], 4), FWM_INVALID);
    cr_assert_eq(tr_adamw_check(&good, 4), FWM_OK);
}

Test(optimizer, a_step_allocates_nothing)
{
    tr_adamw_options o = options();
    float *x = calloc(5 * N, sizeof *x);
    size_t before = fwm_allocation_count();
    cr_assert_eq(tr_adamw_step(NULL, x, x + N, x + 2 * N, x + 3 * N, x + 4 * N, &o, 1e-2, 1, AD_F32, N), FWM_OK);
    cr_assert_eq(fwm_allocation_count(), before);
    free(x);
}
