/* Every operator by its own samples: a new file under ops/ is tested without new test code. */
#include "tests/model/op_check.h"

#include <omp.h>

static bool differentiable(const ad_op *op)
{
    return !(op->flags & (AD_LEAF | AD_NO_GRADIENT)) && op->gradient;
}

/* What gives no second derivative: what comes from outside, and loops. */
static bool once_only(const ad_op *op)
{
    return strcmp(op->name, "custom") == 0 || strcmp(op->name, "scan") == 0;
}

/* ---- forward ---- */

/* Inputs are rounded to the type first, so that only the operator's own arithmetic differs: it takes `terms` operations
 * on numbers up to M = max(1, |x|^2, |y|), each with a relative error of eps, and elementary functions have up to 3 ulp
 * = 6 eps/2. */
static double forward_bound(const op_case *c, const ad_graph *g, ad_value y, const double *ref, double eps)
{
    const ad_shape *in[CHECK_MAX_INPUTS];
    double read = 0, M = 1, outputs = (double)ad_count(g, y);
    for (int k = 0; k < c->sample.n_in; k++) {
        in[k] = &c->sample.in[k];
        read += (double)ad_shape_count(in[k]);
        double x = largest(ad_shape_count(in[k]), c->x[k]);
        M = fmax(M, x * x);
    }
    M = fmax(M, largest(ad_count(g, y), ref));
    double work = c->op->flops ? c->op->flops(c->sample.n_in, in, ad_shape_of(g, y), &c->sample.attr) : 0;
    return eps * (8 + fmax(read, work) / outputs) * M;
}

static void check_forward(const op_case *c, void *data)
{
    (void)data;
    const int isa_levels[] = {1, 3, 4};
    char text[256];
    for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++) {
        op_case rounded = *c;
        for (int k = 0; k < c->sample.n_in; k++) {
            int64_t n = ad_shape_count(&c->sample.in[k]);
            rounded.x[k] = malloc((size_t)n * sizeof(double));
            for (int64_t i = 0; i < n; i++)
                rounded.x[k][i] = dtype == AD_F32 ? (double)(float)c->x[k][i] : c->x[k][i];
        }
        op_graph exact = op_graph_make(c, AD_F64), o = op_graph_make(c, dtype);
        omp_set_num_threads(1);
        double *ref = evaluate(exact.g, exact.n, exact.in, rounded.x, exact.y, &(ad_plan_options){.isa_level = 1});
        double bound = forward_bound(c, o.g, o.y, ref, dtype == AD_F32 ? (double)FLT_EPSILON : DBL_EPSILON);
        for (int level = 0; level < 3 && isa_levels[level] <= fwm_isa_level(); level++)
            for (int threads = 1; threads <= 2; threads++) {
                ad_plan_options options = {.isa_level = isa_levels[level], .poison = true};
                omp_set_num_threads(threads);
                double *y = evaluate(o.g, o.n, o.in, rounded.x, o.y, &options);
                for (int64_t i = 0; i < ad_count(o.g, o.y); i++)
                    cr_assert(fabs(y[i] - ref[i]) <= bound,
                              "%s f%d level %d threads %d: [%lld] %.17g, reference %.17g, bound %g",
                              op_case_text(c, text), dtype == AD_F32 ? 32 : 64, isa_levels[level], threads,
                              (long long)i, y[i], ref[i], bound);
                free(y);
            }
        free(ref);
        ad_graph_destroy(&o.g);
        ad_graph_destroy(&exact.g);
        op_case_free(&rounded);
    }
}

Test(ops, forward_agrees_with_float64)
{
    for_each_case(check_forward, NULL);
}

/* ---- gradients ---- */

static void check_gradient(const op_case *c, void *data)
{
    (void)data;
    char text[256], why[256] = "";
    if (!c->op->gradient)
        return;
    op_graph o = op_graph_make(c, AD_F64);
    cr_expect(gradient_agrees(o.g, o.y, o.n, o.in, c->x, 100, why, sizeof why), "%s: %s", op_case_text(c, text), why);
    ad_graph_destroy(&o.g);
}

Test(ops, gradient_agrees_with_differences)
{
    for_each_case(check_gradient, NULL);
}

/* The gradient is a graph like any other: each dx is checked as a function of the inputs and of the cotangent. */
static void check_second_order(const op_case *c, void *data)
{
    (void)data;
    char text[256], why[256] = "";
    if (!differentiable(c->op) || once_only(c->op))
        return;
    for (int k = 0; k < c->sample.n_in; k++) {
        op_graph o = op_graph_make(c, AD_F64);
        ad_value dx[CHECK_MAX_INPUTS], dy = ad_input(o.g, "dy", *ad_shape_of(o.g, o.y));
        REQUIRE(ad_vjp(o.g, o.y, dy, o.n, o.in, dx));
        int64_t n = ad_count(o.g, dy);
        double *x[CHECK_MAX_INPUTS];
        memcpy(x, c->x, sizeof x);
        x[o.n] = malloc((size_t)n * sizeof(double));
        for (int64_t i = 0; i < n; i++)
            x[o.n][i] = 2 * uniform_at(55, (uint64_t)i) - 1;
        o.in[o.n] = dy;
        cr_expect(gradient_agrees(o.g, dx[k], o.n + 1, o.in, x, 200, why, sizeof why), "%s, gradient of input %d: %s",
                  op_case_text(c, text), k, why);
        free(x[o.n]);
        ad_graph_destroy(&o.g);
    }
}

Test(ops, gradient_of_gradient_agrees_with_differences)
{
    for_each_case(check_second_order, NULL);
}

/* For an operator that is affine in input k: <c, f(x_k + v) - f(x_k)> = <vjp, v> up to rounding, eps times the absolute
 * sums and the operations in each term (at most the elements read). */
static void check_adjoint(const op_case *c, void *data)
{
    (void)data;
    char text[256];
    if (!(c->op->flags & AD_LINEAR))
        return;
    for (int k = 0; k < c->sample.n_in; k++) {
        op_graph o = op_graph_make(c, AD_F64);
        ad_value dy = ad_input(o.g, "dy", *ad_shape_of(o.g, o.y)), dx;
        REQUIRE(ad_vjp(o.g, o.y, dy, 1, &o.in[k], &dx));
        int64_t m = ad_count(o.g, o.y), n = ad_count(o.g, o.in[k]);
        double *cotangent = malloc((size_t)m * sizeof(double)), *v = malloc((size_t)n * sizeof(double)),
               *moved = malloc((size_t)n * sizeof(double));
        for (int64_t i = 0; i < m; i++)
            cotangent[i] = 2 * uniform_at(61, (uint64_t)i) - 1;
        for (int64_t i = 0; i < n; i++) {
            v[i] = 2 * uniform_at(62, (uint64_t)i) - 1;
            moved[i] = c->x[k][i] + v[i];
        }
        double *x[CHECK_MAX_INPUTS];
        memcpy(x, c->x, sizeof x);
        x[o.n] = cotangent;
        o.in[o.n] = dy;
        double *d = evaluate(o.g, o.n + 1, o.in, x, dx, NULL), *y0 = evaluate(o.g, o.n, o.in, x, o.y, NULL);
        x[k] = moved;
        double *y1 = evaluate(o.g, o.n, o.in, x, o.y, NULL);
        double left = 0, right = dot(n, d, v), scale = 1;
        for (int64_t i = 0; i < m; i++) {
            left += cotangent[i] * (y1[i] - y0[i]);
            scale += fabs(cotangent[i]) * (fabs(y1[i]) + fabs(y0[i]));
        }
        double bound = DBL_EPSILON * (8 + (double)n) * scale;
        cr_expect(fabs(left - right) <= bound, "%s, input %d: %.17g and %.17g, bound %g", op_case_text(c, text), k,
                  left, right, bound);
        free(cotangent), free(v), free(moved), free(d), free(y0), free(y1);
        ad_graph_destroy(&o.g);
    }
}

Test(ops, linear_operators_satisfy_the_adjoint_identity)
{
    for_each_case(check_adjoint, NULL);
}

/* ---- the tests' own test ---- */

enum { MAX_OPS = 256 };

typedef struct mutants {
    bool made[MAX_OPS], noticed[MAX_OPS];
} mutants;

static void check_mutation(const op_case *c, void *data)
{
    mutants *m = data;
    char why[256] = "";
    int at = 0;
    if (!differentiable(c->op))
        return;
    while (ad_op_table[at] != c->op)
        at++;
    op_graph o = op_graph_make(c, AD_F64);
    ad_mutate_gradient(c->op->name);
    m->noticed[at] |= !gradient_agrees(o.g, o.y, o.n, o.in, c->x, 100, why, sizeof why);
    ad_mutate_gradient(NULL);
    m->made[at] = true;
    ad_graph_destroy(&o.g);
}

/* A gradient that is wrong by 1 % fails the check of its operator. (Not in every sample: where a relu is shut, or a
 * choice took the other input, there is no gradient to be wrong.) */
Test(ops, every_broken_gradient_is_noticed)
{
    static mutants m;
    int made = 0;
    cr_assert(ad_op_table_size <= MAX_OPS);
    for_each_case(check_mutation, &m);
    for (int i = 0; i < ad_op_table_size; i++) {
        made += m.made[i];
        cr_expect(m.noticed[i] == m.made[i], "%s: a gradient that is wrong by 1 %% passed", ad_op_table[i]->name);
    }
    cr_assert(made >= 40, "only %d operators were broken", made);
}

/* ---- memory ---- */

/* With inputs that are intermediate values and die at the operator, a plan may compute in place; the values and
 * gradients must be those of a plan that gives each value its own buffer, to the last bit. Dead and unset buffers are
 * NaN. */
static void check_in_place(const op_case *c, void *data)
{
    (void)data;
    char text[256];
    for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++) {
        op_graph o = op_graph_make(c, dtype);
        ad_value twice[CHECK_MAX_INPUTS], wanted[CHECK_MAX_INPUTS + 1];
        for (int k = 0; k < o.n; k++)
            twice[k] = ad_neg(o.g, ad_neg(o.g, o.in[k]));
        ad_value y = wanted[0] = ad_apply(o.g, c->op, o.n, twice, &c->sample.attr);
        int n = 1;
        if (differentiable(c->op)) {
            REQUIRE(ad_vjp(o.g, y, ad_fill(o.g, *ad_shape_of(o.g, y), 0.75), o.n, o.in, wanted + 1));
            n += o.n;
        }
        for (int k = 0; k < n; k++) {
            double *shared =
                evaluate(o.g, o.n, o.in, c->x, wanted[k], &(ad_plan_options){.poison = true, .passes = ""});
            double *apart =
                evaluate(o.g, o.n, o.in, c->x, wanted[k], &(ad_plan_options){.no_reuse = true, .passes = ""});
            cr_expect(memcmp(shared, apart, (size_t)ad_count(o.g, wanted[k]) * sizeof(double)) == 0,
                      "%s f%d: %s %d differs", op_case_text(c, text), dtype == AD_F32 ? 32 : 64,
                      k ? "gradient" : "value", k);
            free(shared);
            free(apart);
        }
        ad_graph_destroy(&o.g);
    }
}

Test(ops, values_do_not_depend_on_memory_sharing)
{
    for_each_case(check_in_place, NULL);
}

/* ---- threads ---- */

typedef struct reduction {
    ad_shape shape;
    int axis; /* of a sum over this axis; -1: over all */
} reduction;

/* The same bits for 1 to 4 threads and from run to run, and the exact sum within the bound that stands below. */
static void check_sum(const reduction *c, ad_dtype dtype, uint64_t stream)
{
    const ad_shape *s = &c->shape;
    ad_graph *g;
    REQUIRE(ad_graph_create(&g, dtype));
    ad_value x = ad_input(g, "x", *s), y = ad_sum(g, x, c->axis >= 0, &c->axis, false);
    int64_t n = ad_shape_count(s), outputs = ad_count(g, y), length = n / outputs, after = 1;
    double *data = malloc((size_t)n * sizeof *data), *first = NULL;
    for (int64_t i = 0; i < n; i++)
        data[i] = (double)(float)(2 * uniform_at(stream, (uint64_t)i) - 0.9);
    for (int run = 0; run < 8; run++) {
        omp_set_num_threads(1 + run % 4);
        double *sum = evaluate(g, 1, &x, &data, y, NULL);
        if (!first) {
            first = sum;
            continue;
        }
        cr_assert(memcmp(first, sum, (size_t)outputs * sizeof *sum) == 0, "case %d differs with %d threads",
                  (int)stream, 1 + run % 4);
        free(sum);
    }
    for (int d = c->axis + 1; d < s->rank && c->axis >= 0; d++)
        after *= s->dim[d];
    for (int64_t o = 0; o < outputs; o++) {
        long double exact = 0, size = 0;
        for (int64_t r = 0; r < length; r++) {
            long double value = data[(o / after * length + r) * after + o % after];
            exact += value;
            size += fabsl(value);
        }
        double eps = dtype == AD_F32 ? (double)FLT_EPSILON : DBL_EPSILON;
        double bound = 0.5 * eps * fabs((double)exact) + (double)length * DBL_EPSILON * (double)size;
        cr_assert(fabs(first[o] - (double)exact) <= bound, "case %d [%lld]: %.17g, exact %.17g", (int)stream,
                  (long long)o, first[o], (double)exact);
    }
    free(data);
    free(first);
    ad_graph_destroy(&g);
}

/* Reductions large enough to be cut and shared out. Sums are taken in double, with a relative error below n eps_64 of
 * the absolute sum, and rounded once. (Only float64 results show an order of summation that changes with the threads:
 * float32 rounds the difference away.) */
Test(ops, reductions_do_not_depend_on_threads)
{
    static const reduction cases[] = {{{1, {1000003}}, -1}, {{2, {65537, 3}}, 0},       {{2, {40001, 64}}, 0},
                                      {{2, {130, 700}}, 0}, {{3, {5, 4097, 8}}, 1},     {{2, {3, 20001}}, 1},
                                      {{2, {5001, 70}}, 1}, {{4, {2, 33, 65, 10}}, -1}, {{3, {2, 30, 5000}}, 1}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++)
            check_sum(&cases[k], dtype, 70 + k);
}
