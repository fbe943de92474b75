/* What the operator table test is made of: cases drawn from the operators' samples, graphs of one operator, evaluation
 * at given numbers, and the gradient check. Numbers are double on this side and rounded to the graph's type when bound.
 */
#ifndef FWM_TESTS_MODEL_OP_CHECK_H
#define FWM_TESTS_MODEL_OP_CHECK_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"
#include "model/base/threads.h"
#include "tests/model/op_objects.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { CHECK_MAX_INPUTS = 8, CHECK_MAX_SAMPLES = 32, CHECK_MAX_ELEMENTS = 1 << 21 };

/* ---- cases ---- */

typedef struct op_case {
    const ad_op *op;
    int index; /* of the sample */
    ad_sample sample;
    double *x[CHECK_MAX_INPUTS]; /* numbers of the inputs, owned */
} op_case;

static inline double uniform_at(uint64_t stream, uint64_t i)
{
    return fwm_random_uniform((fwm_key){4711, (uint32_t)stream}, i >> 32, (uint32_t)i);
}

/* Inputs that choose between other inputs take 0 and 1. */
static inline bool is_choice(const ad_op *op, int input)
{
    return strcmp(op->name, "where") == 0 && input == 2;
}

/* Fills the inputs with numbers in [lo,hi] that are all different, at least 0.6 (hi - lo) / N apart, and as far from
 * quarters of the interval as half of that: kinks of the operators (ties, 0, bounds of clamp) are then not within a
 * difference step. */
static inline void draw(op_case *c)
{
    const ad_sample *s = &c->sample;
    uint64_t total = 0, stream = 7;
    for (const char *p = c->op->name; *p; p++)
        stream = stream * 31 + (uint64_t)*p;
    stream += (uint64_t)c->index;
    for (int k = 0; k < s->n_in; k++)
        total += (uint64_t)ad_shape_count(&s->in[k]);
    uint64_t cells = (total + 3) / 4 * 4, at = 0;
    for (int k = 0; k < s->n_in; k++) {
        int64_t n = ad_shape_count(&s->in[k]);
        c->x[k] = malloc((size_t)n * sizeof(double));
        for (int64_t i = 0; i < n; i++, at++) {
            double cell = (double)fwm_random_permute((fwm_key){13, (uint32_t)stream}, 0, cells, at);
            double x = s->lo + (s->hi - s->lo) * (cell + 0.3 + 0.4 * uniform_at(stream, at)) / (double)cells;
            c->x[k][i] = is_choice(c->op, k) ? (double)(x > 0.5 * (s->lo + s->hi)) : x;
        }
    }
}

static inline void op_case_free(op_case *c)
{
    for (int k = 0; k < CHECK_MAX_INPUTS; k++)
        free(c->x[k]);
}

/* Leaves have nothing to compute; the products of a custom operator and of a scan are checked
 * through those operators' gradients. */
static inline bool has_samples(const ad_op *op)
{
    return !(op->flags & AD_LEAF) && strcmp(op->name, "custom_vjp") != 0 && strcmp(op->name, "scan_vjp") != 0;
}

/* Calls `visit` for every sample of every operator that has samples. */
static inline void for_each_case(void (*visit)(const op_case *, void *), void *data)
{
    for (int i = 0; i < ad_op_table_size; i++) {
        const ad_op *op = ad_op_table[i];
        ad_sample samples[CHECK_MAX_SAMPLES];
        int n = op->samples ? op->samples(samples, CHECK_MAX_SAMPLES) : 0;
        cr_assert(n > 0 || !has_samples(op), "%s has no samples", op->name);
        for (int k = 0; k < n; k++) {
            /* One place is left for a cotangent. */
            cr_assert(samples[k].n_in < CHECK_MAX_INPUTS, "%s has %d inputs", op->name, samples[k].n_in);
            op_case c = {.op = op, .index = k, .sample = samples[k]};
            c.sample.attr.object = op_object_make(op->name, &samples[k]);
            draw(&c);
            visit(&c, data);
            op_case_free(&c);
        }
    }
}

static inline const char *op_case_text(const op_case *c, char buf[256])
{
    size_t at = (size_t)snprintf(buf, 256, "%s sample %d:", c->op->name, c->index);
    for (int k = 0; k < c->sample.n_in && at < 200; k++) {
        char shape[96];
        at += (size_t)snprintf(buf + at, 256 - at, " %s", ad_shape_text(&c->sample.in[k], shape));
    }
    return buf;
}

/* ---- graphs ---- */

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

typedef struct op_graph {
    ad_graph *g;
    int n;
    ad_value in[CHECK_MAX_INPUTS], y;
} op_graph;

/* y = op(inputs). */
static inline op_graph op_graph_make(const op_case *c, ad_dtype dtype)
{
    op_graph o = {.n = c->sample.n_in};
    REQUIRE(ad_graph_create(&o.g, dtype));
    for (int k = 0; k < o.n; k++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", k);
        o.in[k] = ad_input(o.g, name, c->sample.in[k]);
    }
    o.y = ad_apply(o.g, c->op, o.n, o.in, &c->sample.attr);
    REQUIRE(ad_graph_status(o.g));
    return o;
}

/* ---- evaluation ---- */

static inline void put(const ad_graph *g, ad_plan *plan, ad_value v, const double *x)
{
    void *to = ad_plan_data(plan, v);
    int64_t n = ad_count(g, v);
    if (!to)
        return; /* the outputs do not depend on it */
    for (int64_t i = 0; i < n; i++)
        if (ad_graph_dtype(g) == AD_F64)
            ((double *)to)[i] = x[i];
        else
            ((float *)to)[i] = (float)x[i];
}

static inline void get(const ad_graph *g, const ad_plan *plan, ad_value v, double *x)
{
    const void *from = ad_plan_data(plan, v);
    int64_t n = ad_count(g, v);
    cr_assert_not_null(from);
    for (int64_t i = 0; i < n; i++)
        x[i] = ad_graph_dtype(g) == AD_F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

/* A newly allocated copy of `out` at the numbers x of `in`. */
static inline double *evaluate(const ad_graph *g, int n, const ad_value *in, double *const *x, ad_value out,
                               const ad_plan_options *options)
{
    ad_plan *plan;
    double *y = malloc((size_t)ad_count(g, out) * sizeof *y);
    REQUIRE(ad_plan_create(&plan, g, 1, &out, options));
    REQUIRE(ad_plan_prepare(plan));
    for (int k = 0; k < n; k++)
        put(g, plan, in[k], x[k]);
    REQUIRE(ad_plan_run(plan, 1, 1));
    get(g, plan, out, y);
    ad_plan_destroy(&plan);
    return y;
}

static inline double dot(int64_t n, const double *a, const double *b)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

static inline double largest(int64_t n, const double *a)
{
    double m = 0;
    for (int64_t i = 0; i < n; i++)
        m = fmax(m, fabs(a[i]));
    return m;
}

/* ---- the gradient check ---- */

/* <c, y(x)> with input k moved by t along v. */
typedef struct probe {
    const ad_graph *g;
    ad_plan *plan;
    ad_value y;
    const double *c;
    double *work, *moved;
} probe;

static inline double probe_at(const probe *p, ad_value in, const double *x, const double *v, double t)
{
    int64_t n = ad_count(p->g, in);
    for (int64_t i = 0; i < n; i++)
        p->moved[i] = x[i] + t * v[i];
    put(p->g, p->plan, in, p->moved);
    REQUIRE(ad_plan_run(p->plan, 1, 1));
    get(p->g, p->plan, p->y, p->work);
    put(p->g, p->plan, in, x);
    return dot(ad_count(p->g, p->y), p->c, p->work);
}

/* Whether ad_vjp of y agrees with central differences in every input, in float64: with a random cotangent c and a
 * random direction v for each input, D(h) = (<c,y(x+hv)> - <c,y(x-hv)>) / 2h and G = <vjp, v>, |D(h) - G| = |f'''| h^2
 * / 6 + O(h^4) + r / h, r being the rounding error of <c,y>, at most eps times the sum S of the absolute terms times
 * the operations that each took (64 covers them). Halving h must divide the error by 4 (3.5 leaves room for h^4),
 * unless it is already below the rounding floor 64 eps (S + 1) / h. A wrong gradient has an error that does not fall.
 */
static inline bool gradient_agrees(ad_graph *g, ad_value y, int n, const ad_value *in, double *const *x,
                                   uint64_t stream, char *why, size_t capacity)
{
    const double h = 0x1p-11;
    ad_value c = ad_input(g, "/cotangent of the check", *ad_shape_of(g, y)), out[CHECK_MAX_INPUTS + 1];
    REQUIRE(ad_vjp(g, y, c, n, in, out + 1));
    out[0] = y;
    int64_t count = ad_count(g, y), longest = count;
    for (int k = 0; k < n; k++)
        longest = ad_count(g, in[k]) > longest ? ad_count(g, in[k]) : longest;
    double *cotangent = malloc((size_t)count * sizeof *cotangent), *v = malloc((size_t)longest * sizeof *v),
           *dx = malloc((size_t)longest * sizeof *dx);
    probe p = {.g = g, .y = y, .c = cotangent};
    p.work = malloc((size_t)longest * sizeof *p.work);
    p.moved = malloc((size_t)longest * sizeof *p.moved);
    REQUIRE(ad_plan_create(&p.plan, g, n + 1, out, NULL));
    REQUIRE(ad_plan_prepare(p.plan));
    for (int64_t i = 0; i < count; i++)
        cotangent[i] = 2 * uniform_at(stream + 1, (uint64_t)i) - 1;
    put(g, p.plan, c, cotangent);
    for (int k = 0; k < n; k++)
        put(g, p.plan, in[k], x[k]);
    bool agrees = true;
    for (int k = 0; k < n && agrees; k++) {
        int64_t m = ad_count(g, in[k]);
        for (int64_t i = 0; i < m; i++)
            v[i] = 2 * uniform_at(stream + 2 + (uint64_t)k, (uint64_t)i) - 1;
        REQUIRE(ad_plan_run(p.plan, 1, 1));
        get(g, p.plan, out[1 + k], dx);
        get(g, p.plan, y, p.work);
        double sum = 0, G = dot(m, dx, v);
        for (int64_t i = 0; i < count; i++)
            sum += fabs(cotangent[i] * p.work[i]);
        double wide = fabs((probe_at(&p, in[k], x[k], v, h) - probe_at(&p, in[k], x[k], v, -h)) / (2 * h) - G);
        double half = fabs((probe_at(&p, in[k], x[k], v, h / 2) - probe_at(&p, in[k], x[k], v, -h / 2)) / h - G);
        agrees = half <= 64 * DBL_EPSILON * (sum + 1) / h || wide >= 3.5 * half;
        if (!agrees)
            snprintf(why, capacity, "input %d: gradient %.12g, errors of differences %.3g at h, %.3g at h/2", k, G,
                     wide, half);
    }
    ad_plan_destroy(&p.plan);
    free(cotangent), free(v), free(dx), free(p.work), free(p.moved);
    return agrees;
}

#endif
