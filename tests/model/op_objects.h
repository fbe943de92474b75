/* Makers of the `object` attribute for the operator table test: one row for each operator whose samples need an object.
 * A maker gets the sample and returns what goes to attributes.object; it lives as long as the process. */
#ifndef FWM_TESTS_MODEL_OP_OBJECTS_H
#define FWM_TESTS_MODEL_OP_OBJECTS_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/chain.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

typedef struct op_object {
    const char *op;
    const void *(*make)(const ad_sample *sample);
} op_object;

/* ---- spmm: 4 x 6 with a full, an empty and two mixed rows ---- */

static inline const void *op_object_sparse(const ad_sample *sample)
{
    static ad_sparse *m;
    (void)sample;
    const int64_t row_start[] = {0, 6, 6, 8, 11};
    const int32_t column[] = {0, 1, 2, 3, 4, 5, 1, 4, 0, 2, 5};
    const double weight[] = {0.5, -1, 0.25, 2, -0.75, 1, 1.5, -0.5, 0.125, 1, -2};
    if (!m)
        cr_assert(ad_sparse_create(&m, 4, 6, row_start, column, weight) == FWM_OK, "%s", fwm_error_message());
    return m;
}

/* ---- custom: y = x0 sin(x1) ---- */

static inline fwm_status custom_shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    (void)self, (void)n;
    *out = in[0];
    return FWM_OK;
}

static inline double custom_get(ad_dtype dtype, const void *x, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static inline void custom_set(ad_dtype dtype, void *x, int64_t i, double value)
{
    if (dtype == AD_F64)
        ((double *)x)[i] = value;
    else
        ((float *)x)[i] = (float)value;
}

static inline fwm_status custom_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    for (int64_t i = 0; i < *(const int64_t *)self; i++)
        custom_set(dtype, out, i, custom_get(dtype, in[0], i) * sin(custom_get(dtype, in[1], i)));
    return FWM_OK;
}

static inline fwm_status custom_vjp(void *self, ad_dtype dtype, const void *const *in, const void *out,
                                    const void *dout, void *const *dx)
{
    (void)out;
    for (int64_t i = 0; i < *(const int64_t *)self; i++) {
        double x0 = custom_get(dtype, in[0], i), x1 = custom_get(dtype, in[1], i), dy = custom_get(dtype, dout, i);
        if (dx[0])
            custom_set(dtype, dx[0], i, dy * sin(x1));
        if (dx[1])
            custom_set(dtype, dx[1], i, dy * x0 * cos(x1));
    }
    return FWM_OK;
}

static inline const void *op_object_custom(const ad_sample *sample)
{
    static int64_t count;
    static ad_custom custom = {
        .name = "x0 sin(x1)", .self = &count, .shape = custom_shape, .forward = custom_forward, .vjp = custom_vjp};
    count = ad_shape_count(&sample->in[0]);
    return &custom;
}

/* ---- chain: y = tanh(x0 x1) (x2 + tanh(x0 x1)) ---- */

static inline const void *op_object_chain(const ad_sample *sample)
{
    static ad_chain chain[8];
    static int n;
    ad_chain *c = &chain[n++ % 8];
    ad_shape both;
    const ad_attributes none = {{0}, {0}, NULL};
    memset(c, 0, sizeof *c);
    cr_assert(ad_shape_broadcast(&sample->in[0], &sample->in[2], &both));
    c->shape = both;
    cr_assert(ad_chain_append(c, ad_op_find("mul"), &none, 2, (int[]){0, 1}, 0));
    cr_assert(ad_chain_append(c, ad_op_find("tanh"), &none, 1, (int[]){-1}, 0));
    cr_assert(ad_chain_append(c, ad_op_find("add"), &none, 2, (int[]){2, -1}, 1));
    cr_assert(ad_chain_append(c, ad_op_find("mul"), &none, 2, (int[]){-1, -2}, 0));
    return c;
}

/* ---- scan: h' = tanh(h W + x), y = h' x - h ---- */

static inline void scan_body(void *self, ad_graph *g, const ad_value *h, const ad_value *x, const ad_value *shared,
                             ad_value *next, ad_value *out)
{
    (void)self;
    next[0] = ad_tanh(g, ad_add(g, ad_matmul(g, h[0], shared[0], false, false), x[0]));
    out[0] = ad_sub(g, ad_mul(g, next[0], x[0]), h[0]);
}

/* Steps are computed again: what a scan may store besides has no cotangent (tests/model/test_scan.c). */
static inline const void *op_object_scan(const ad_sample *sample)
{
    static ad_scan scan = {"h W + x", NULL, 1, 1, 1, 1, false, scan_body};
    (void)sample;
    return &scan;
}

static const op_object op_objects[] = {
    {"scan", op_object_scan},
    {"chain", op_object_chain},
    {"custom", op_object_custom},
    {"spmm", op_object_sparse},
    {NULL, NULL},
};

static inline const void *op_object_make(const char *op, const ad_sample *sample)
{
    for (const op_object *o = op_objects; o->op; o++)
        if (strcmp(o->op, op) == 0)
            return o->make(sample);
    return sample->attr.object;
}

#endif
