/* y[b,i,c] = sum_j M[i,j] x[b,j,c];  dx = M^T dy. The matrix is constant: attr.object, an ad_sparse that the caller
 * owns.
 *
 * Four samples go together, so that an entry's column and weight are read once for four; channels go in groups of at
 * most eight whose width is a constant in the loop. Measured on AVX2, 3 to 8 entries a row, batch 16: 0.28 ns an entry
 * at one channel, 0.1 to 0.3 ns an entry and channel above (a copy of x with the batch innermost was 2 to 4 times
 * slower). */
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

enum { SAMPLES = 4, CHANNELS = 8, ROWS = 1024 };

/* x and y point to the first sample's first channel of this block. */
typedef struct block {
    const int64_t *row_start;
    const int32_t *column;
    const real *weight, *x;
    real *y;
    int64_t first, last, stride_x, stride_y, C;
} block;

static inline __attribute__((always_inline)) void multiply(const block *b, int samples, int channels)
{
    for (int64_t i = b->first; i < b->last; i++) {
        real sum[SAMPLES][CHANNELS] = {{0}};
        for (int64_t k = b->row_start[i]; k < b->row_start[i + 1]; k++) {
            const real *from = b->x + (int64_t)b->column[k] * b->C;
            real weight = b->weight[k];
            for (int s = 0; s < samples; s++)
                for (int c = 0; c < channels; c++)
                    sum[s][c] += weight * from[s * b->stride_x + c];
        }
        for (int s = 0; s < samples; s++)
            for (int c = 0; c < channels; c++)
                b->y[s * b->stride_y + i * b->C + c] = sum[s][c];
    }
}

static void multiply_block(const block *b, int64_t samples, int64_t channels)
{
#define CASE(c)                                                                                                        \
    case c:                                                                                                            \
        if (samples == SAMPLES)                                                                                        \
            multiply(b, SAMPLES, c);                                                                                   \
        else                                                                                                           \
            for (int64_t s = 0; s < samples; s++) {                                                                    \
                block one = *b;                                                                                        \
                one.x += s * b->stride_x;                                                                              \
                one.y += s * b->stride_y;                                                                              \
                multiply(&one, 1, c);                                                                                  \
            }                                                                                                          \
        break;
    switch (channels) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
    default:
        CASE(8)
    }
#undef CASE
}

static fwm_status run(const ad_call *call)
{
    const ad_sparse *m = call->attr->object;
    int64_t B = call->out_shape->dim[0], C = call->out_shape->dim[2];
    int64_t groups = (B + SAMPLES - 1) / SAMPLES, parts = (m->rows + ROWS - 1) / ROWS;
#if FWM_REAL_BITS == 64
    const real *weight = m->weight;
#else
    const real *weight = m->weight_f32;
#endif
#pragma omp parallel for schedule(static) if (m->nnz * B * C > FWM_PARALLEL_MIN)
    for (int64_t unit = 0; unit < groups * parts; unit++) {
        int64_t b = unit / parts * SAMPLES, first = unit % parts * ROWS;
        int64_t samples = B - b < SAMPLES ? B - b : SAMPLES;
        for (int64_t c = 0; c < C; c += CHANNELS) {
            block part = {m->row_start,
                          m->column,
                          weight,
                          (const real *)call->in[0] + b * m->cols * C + c,
                          (real *)call->out + b * m->rows * C + c,
                          first,
                          first + ROWS < m->rows ? first + ROWS : m->rows,
                          m->cols * C,
                          m->rows * C,
                          C};
            multiply_block(&part, samples, C - c < CHANNELS ? C - c : CHANNELS);
        }
    }
    return FWM_OK;
}
AD_KERNEL(spmm, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    const ad_sparse *m = attr->object;
    FWM_CHECK(m, FWM_INVALID, "no matrix");
    FWM_CHECK(in[0]->rank == 3 && in[0]->dim[1] == m->cols, FWM_SHAPE,
              "a matrix of %lld x %lld multiplies fields [B,%lld,c]", (long long)m->rows, (long long)m->cols,
              (long long)m->cols);
    *out = *in[0];
    out->dim[1] = m->rows;
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    const ad_sparse *m = ad_attributes_of(g, y)->object;
    dx[0] = ad_spmm(g, m->transpose, dy);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in;
    const ad_sparse *m = attr->object;
    return 2.0 * (double)m->nnz * (double)(out->dim[0] * out->dim[2]);
}

/* The test's matrix has 6 columns. */
static int samples(ad_sample *s, int capacity)
{
    static const int64_t B[] = {1, 5, 4}, C[] = {1, 3, 10};
    for (int k = 0; k < 3 && k < capacity; k++)
        s[k] = (ad_sample){.n_in = 1, .in = {ad_shape_make(3, B[k], 6, C[k])}, .lo = -1, .hi = 1};
    return capacity < 3 ? capacity : 3;
}

const ad_op ad_op_spmm = {
    .name = "spmm",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .flops = flops,
    .onnx = "MatMul with a dense constant, or Gather, Mul and ScatterElements",
    .samples = samples,
};

ad_value ad_spmm(ad_graph *g, const ad_sparse *m, ad_value x)
{
    ad_attributes attr = {.object = m};
    return ad_apply(g, &ad_op_spmm, 1, &x, &attr);
}
#endif
