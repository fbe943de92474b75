/* Random expressions with their gradients, for the tests of plans and passes: the graph is a function of the seed, the
 * type and the size, so that it can be made again and again. */
#ifndef FWM_TESTS_MODEL_RANDOM_GRAPH_H
#define FWM_TESTS_MODEL_RANDOM_GRAPH_H

#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"
#include "model/base/status.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_MAX_VALUES = 48, RANDOM_OUTPUTS = 3 };

static inline uint32_t random_pick(uint64_t seed, uint32_t *at, uint32_t n)
{
    uint32_t words[4];
    fwm_random_words((fwm_key){seed, 77}, 0, (*at)++, words);
    return words[0] % n;
}

typedef struct random_graph {
    ad_graph *g;
    int64_t rows, columns;
    ad_value x, w;                /* [rows,columns], [columns,columns] */
    ad_value out[RANDOM_OUTPUTS]; /* loss [1], its gradients */
} random_graph;

/* Pieces of a, b: parts of a concatenation; rows are views, columns are copies. */
static inline ad_value random_pieces(const random_graph *r, ad_value a, ad_value b, int i)
{
    ad_graph *g = r->g;
    ad_value fresh = ad_affine(g, a, 0.5, 0.1 * i); /* dies in a sum with a part of itself */
    ad_value both[2] = {ad_add(g, fresh, ad_slice(g, fresh, 0, 2, 1)), b};
    ad_value joined = ad_concat(g, 2, both, 0);
    ad_value y = ad_add(g, ad_slice(g, joined, 0, 3, r->rows), ad_slice(g, a, 0, 2, 1));
    return ad_mul(g, y, ad_slice(g, ad_slice(g, joined, 0, 1, r->rows), 1, 2, 1));
}

/* A value cut into columns that go different ways and are put together again: the gradient sums padded pieces. */
static inline ad_value random_split(const random_graph *r, ad_value a, uint32_t how)
{
    ad_graph *g = r->g;
    int64_t half = r->columns / 2;
    ad_value left = ad_slice(g, a, 1, 0, half), right = ad_slice(g, a, 1, half, r->columns - half);
    ad_value both[2] = {how & 1 ? ad_tanh(g, left) : left, how & 2 ? ad_cos(g, right) : right};
    return ad_add(g, ad_concat(g, 2, both, 1), how & 4 ? a : ad_fill(g, ad_shape_make(1, 1), 0.25));
}

/* Element-wise values of numbers, rows, columns and whole operands, some of them constant. */
static inline ad_value random_chain(const random_graph *r, ad_value a, ad_value b, uint32_t how)
{
    ad_graph *g = r->g;
    ad_value row = ad_slice(g, b, 0, 1, 1), column = ad_slice(g, a, 1, 1, 1);
    ad_value two = ad_fill(g, ad_shape_make(2, r->rows, r->columns), 2), none = ad_fill(g, ad_shape_make(1, 1), 0);
    ad_value y = ad_sigmoid(g, ad_add(g, ad_mul(g, a, how & 1 ? row : ad_mul(g, two, two)), b));
    y = how & 2 ? ad_mul(g, y, column) : ad_neg(g, ad_neg(g, y));
    y = ad_where(g, ad_greater(g, a, none), y, how & 4 ? ad_sub(g, b, none) : ad_gelu(g, y));
    return ad_clamp(g, ad_sub(g, y, ad_mul(g, y, y)), -3, 3);
}

static inline ad_value random_step(const random_graph *r, ad_value a, ad_value b, uint32_t kind, uint32_t how, int i)
{
    ad_graph *g = r->g;
    int axis = 1, back[2] = {1, 0};
    ad_shape shape = ad_shape_make(2, r->rows, r->columns);
    switch (kind) {
    case 0:
        return ad_add(g, a, b);
    case 1:
        return ad_mul(g, ad_tanh(g, a), b);
    case 2:
        return ad_tanh(g, ad_matmul(g, a, r->w, false, false));
    case 3:
        return ad_sub(g, a, ad_mean(g, b, 1, &axis, true));
    case 4:
        return ad_silu(g, a);
    case 5:
        return ad_reshape(g, ad_sin(g, ad_reshape(g, a, ad_shape_make(1, r->rows * r->columns))), shape);
    case 6:
        return random_pieces(r, a, b, i);
    case 7:
        return ad_softmax(g, a);
    case 8:
        return ad_maximum(g, a, how & 1 ? a : b);
    case 9:
        return random_split(r, a, how);
    case 10:
        return random_chain(r, a, b, how);
    case 11:
        return ad_transpose(g, ad_sin(g, ad_transpose(g, ad_mul(g, a, ad_stop_gradient(g, b)), back)), back);
    case 12:
        return ad_layer_norm(g, ad_add(g, a, b), ad_reshape(g, ad_slice(g, r->w, 0, 0, 1), (ad_shape){1, {-1}}),
                             ad_reshape(g, ad_slice(g, r->w, 0, 1, 1), (ad_shape){1, {-1}}), 1e-3);
    default:
        return ad_add(g, a, ad_affine(g, ad_random_normal(g, shape), 0.1, 0));
    }
}

/* The loss is a mean of squares of the last of 8 to 31 values, each made of earlier ones. */
static inline random_graph random_graph_make(uint64_t seed, ad_dtype dtype, int64_t rows, int64_t columns)
{
    random_graph r = {.rows = rows, .columns = columns};
    ad_value pool[RANDOM_MAX_VALUES];
    int n = 0;
    uint32_t at = 0;
    cr_assert_eq(ad_graph_create(&r.g, dtype), FWM_OK);
    pool[n++] = r.x = ad_input(r.g, "x", ad_shape_make(2, rows, columns));
    r.w = ad_parameter(r.g, "w", ad_shape_make(2, columns, columns));
    int steps = 8 + (int)random_pick(seed, &at, 24);
    for (int i = 0; i < steps; i++) {
        ad_value a = pool[random_pick(seed, &at, (uint32_t)n)], b = pool[random_pick(seed, &at, (uint32_t)n)];
        uint32_t kind = random_pick(seed, &at, 14), how = random_pick(seed, &at, 8);
        pool[n++] = random_step(&r, a, b, kind, how, i);
    }
    ad_value wrt[2] = {r.x, r.w};
    r.out[0] = ad_mean_all(r.g, ad_square(r.g, pool[n - 1]));
    cr_assert_eq(ad_gradient(r.g, r.out[0], 2, wrt, r.out + 1), FWM_OK, "%s", fwm_error_message());
    return r;
}

static inline void random_graph_free(random_graph *r)
{
    ad_graph_destroy(&r->g);
}

typedef struct random_result {
    int64_t n[RANDOM_OUTPUTS];
    double *y[RANDOM_OUTPUTS];
    ad_memory memory;
} random_result;

static inline void random_result_free(random_result *r)
{
    for (int k = 0; k < RANDOM_OUTPUTS; k++)
        free(r->y[k]);
}

static inline void random_put(const random_graph *r, const ad_plan *plan, ad_value v, uint64_t seed, double scale)
{
    void *to = ad_plan_data(plan, v);
    for (int64_t i = 0; to && i < ad_count(r->g, v); i++) {
        double x = scale * fwm_random_normal((fwm_key){seed, 1}, 0, (uint32_t)i);
        if (ad_graph_dtype(r->g) == AD_F64)
            ((double *)to)[i] = x;
        else
            ((float *)to)[i] = (float)x;
    }
}

/* Values of the outputs after `runs` runs; `bind`: computed into memory of the caller. */
static inline random_result random_graph_run(const random_graph *r, uint64_t seed, const ad_plan_options *options,
                                             bool bind, int runs)
{
    random_result result = {{0}, {0}, {0, 0, 0, 0}};
    ad_plan *plan = NULL;
    void *bound[RANDOM_OUTPUTS] = {NULL};
    size_t size = ad_dtype_size(ad_graph_dtype(r->g));
    cr_assert_eq(ad_plan_create(&plan, r->g, RANDOM_OUTPUTS, r->out, options), FWM_OK, "%s", fwm_error_message());
    for (int k = 0; bind && k < RANDOM_OUTPUTS; k++) {
        bound[k] = malloc((size_t)ad_count(r->g, r->out[k]) * size);
        cr_assert_eq(ad_plan_bind(plan, r->out[k], bound[k]), FWM_OK, "%s", fwm_error_message());
    }
    ad_plan_memory(plan, &result.memory);
    cr_assert_eq(ad_plan_prepare(plan), FWM_OK, "%s", fwm_error_message());
    random_put(r, plan, r->x, 2 * seed, 1);
    random_put(r, plan, r->w, 2 * seed + 1, 0.3);
    for (int k = 0; k < runs; k++)
        cr_assert_eq(ad_plan_run(plan, 5, 9), FWM_OK, "%s", fwm_error_message());
    for (int k = 0; k < RANDOM_OUTPUTS; k++) {
        const void *from = bind ? bound[k] : ad_plan_data(plan, r->out[k]);
        cr_assert_not_null(from);
        result.n[k] = ad_count(r->g, r->out[k]);
        result.y[k] = malloc((size_t)result.n[k] * sizeof(double));
        for (int64_t i = 0; i < result.n[k]; i++)
            result.y[k][i] = size == sizeof(double) ? ((const double *)from)[i] : (double)((const float *)from)[i];
        free(bound[k]);
    }
    ad_plan_destroy(&plan);
    return result;
}

/* Equal numbers; `bits`: zeros of equal sign, too. */
static inline bool random_result_equal(const random_result *a, const random_result *b, bool bits)
{
    for (int k = 0; k < RANDOM_OUTPUTS; k++)
        for (int64_t i = 0; i < a->n[k]; i++)
            if (bits ? memcmp(&a->y[k][i], &b->y[k][i], sizeof(double)) != 0 : a->y[k][i] != b->y[k][i])
                return false;
    return true;
}

/* Equal up to roundings of sums: by `tolerance` of the largest number of each output. */
static inline bool random_result_near(const random_result *a, const random_result *b, double tolerance)
{
    for (int k = 0; k < RANDOM_OUTPUTS; k++) {
        double most = 0;
        for (int64_t i = 0; i < b->n[k]; i++)
            most = fmax(most, fabs(b->y[k][i]));
        for (int64_t i = 0; i < a->n[k]; i++)
            if (!(fabs(a->y[k][i] - b->y[k][i]) <= tolerance * most))
                return false;
    }
    return true;
}

#endif
