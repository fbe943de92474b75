/* The graph value of a divergence. One custom operator gives [value, dS/dx, dS/dy, dS/da, dS/db] in one vector, of
 * which the graph sees the first element; its vector-Jacobian product scales the rest. */
#include "model/transport/sinkhorn_impl.h"

#include "model/transport/sites.h"

enum { PARTS = 4 };

/* Elements of the gradients in x, y, a, b; 0 for what has none. */
static void part_sizes(const ot_sinkhorn *s, int64_t size[PARTS])
{
    size[0] = s->M * s->d;
    size[1] = s->options.fixed_y ? 0 : s->N * s->d;
    size[2] = s->weighted[0] ? s->M : 0;
    size[3] = s->weighted[1] ? s->N : 0;
}

static fwm_status packed_shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    const ot_sinkhorn *s = self;
    int64_t size[PARTS], most = 1;
    part_sizes(s, size);
    FWM_CHECK(ad_shape_count(&in[0]) == s->M * s->d && ad_shape_count(&in[1]) == s->N * s->d, FWM_SHAPE,
              "expected clouds [%lld,%lld] and [%lld,%lld]", (long long)s->M, (long long)s->d, (long long)s->N,
              (long long)s->d);
    for (int k = 2; k < n; k++) {
        int64_t expected = k == 2 && s->weighted[0] ? s->M : s->N;
        FWM_CHECK(ad_shape_count(&in[k]) == expected, FWM_SHAPE, "expected %lld weights, found %lld",
                  (long long)expected, (long long)ad_shape_count(&in[k]));
    }
    for (int k = 0; k < PARTS; k++)
        most += size[k];
    *out = ad_shape_make(1, most);
    return FWM_OK;
}

static char *packed_at(const ot_sinkhorn *s, void *packed, int64_t i)
{
    return (char *)packed + (size_t)i * ad_dtype_size(s->dtype);
}

/* Weights are read into, and their gradients out of, doubles of the workspace (ot_sinkhorn_run may alias them). */
static const double *read_weights(const ot_sinkhorn *s, const void *from, int64_t n, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = ot_number(s->dtype, from, i);
    return to;
}

static fwm_status packed_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    ot_sinkhorn *s = self;
    int64_t size[PARTS], at = 1, begin[PARTS];
    FWM_CHECK(dtype == s->dtype, FWM_INVALID, "Sinkhorn: made for f%d, the graph is f%d", s->dtype == AD_F64 ? 64 : 32,
              dtype == AD_F64 ? 64 : 32);
    part_sizes(s, size);
    for (int k = 0; k < PARTS; k++) {
        begin[k] = at;
        at += size[k];
    }
    int next = 2;
    const double *a = s->weighted[0] ? read_weights(s, in[next++], s->M, s->a) : NULL;
    const double *b = s->weighted[1] ? read_weights(s, in[next], s->N, s->b) : NULL;
    FWM_TRY(ot_sinkhorn_run(s, NULL, packed_at(s, out, begin[0]), size[1] ? packed_at(s, out, begin[1]) : NULL,
                            size[2] ? s->pt : NULL, size[3] ? s->qt : NULL, in[0], in[1], a, b));
    ot_number_put(dtype, out, 0, s->last.value);
    for (int64_t i = 0; i < size[2]; i++)
        ot_number_put(dtype, out, begin[2] + i, s->pt[i]);
    for (int64_t j = 0; j < size[3]; j++)
        ot_number_put(dtype, out, begin[3] + j, s->qt[j]);
    return FWM_OK;
}

static fwm_status packed_vjp(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                             void *const *dx)
{
    (void)in;
    const ot_sinkhorn *s = self;
    int64_t size[PARTS], length = 1, at = 1;
    part_sizes(s, size);
    for (int k = 0; k < PARTS; k++)
        length += size[k];
    for (int64_t i = 1; i < length; i++)
        FWM_CHECK(ot_number(dtype, dout, i) == 0, FWM_UNSUPPORTED,
                  "the Sinkhorn divergence gives first derivatives only: put stop_gradient on its gradient");
    double scale = ot_number(dtype, dout, 0);
    int input = 0;
    for (int k = 0; k < PARTS; k++) {
        if (k >= 2 && size[k] == 0)
            continue;
        void *to = dx[input++];
        for (int64_t i = 0; to && k == 1 && size[k] == 0 && i < s->N * s->d; i++)
            ot_number_put(dtype, to, i, 0.0);
        for (int64_t i = 0; to && i < size[k]; i++)
            ot_number_put(dtype, to, i, scale * ot_number(dtype, out, at + i));
        at += size[k];
    }
    return FWM_OK;
}

ad_value ot_sinkhorn_weighted(ad_graph *g, ot_sinkhorn *s, ad_value x, ad_value y, ad_value a, ad_value b)
{
    double M = (double)s->M, N = (double)s->N, d = (double)s->d;
    double steps = 8 + s->options.extra; /* an anneal by halves from 100 blurs takes about 8 */
    double entries = M * N + (s->options.biased ? 0.0 : 0.5 * M * M + 0.5 * N * N);
    s->weighted[0] = a != AD_NONE;
    s->weighted[1] = b != AD_NONE;
    s->custom = (ad_custom){
        .name = "sinkhorn_divergence",
        .self = s,
        .shape = packed_shape,
        .forward = packed_forward,
        .vjp = packed_vjp,
        .flops = entries * (20 * steps + 8 * d),
        .bytes = entries * (double)ad_dtype_size(s->dtype) * steps,
    };
    ad_value in[4] = {x, s->options.fixed_y ? ad_stop_gradient(g, y) : y};
    int n = 2;
    if (s->weighted[0])
        in[n++] = a;
    if (s->weighted[1])
        in[n++] = b;
    return ad_slice(g, ad_custom_apply(g, &s->custom, n, in), 0, 0, 1);
}

ad_value ot_sinkhorn_divergence(ad_graph *g, ot_sinkhorn *s, ad_value x, ad_value y)
{
    return ot_sinkhorn_weighted(g, s, x, y, AD_NONE, AD_NONE);
}
