/* y.dim[k] = x.dim[perm[k]], perm = i[0..rank-1];  dx = dy transposed back. */
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <omp.h>
#include <string.h>

enum { TILE = 32, SHORT = 32 };

/* The result's dimensions with the input's and the output's steps; dimensions that stay neighbours are merged. */
typedef struct view {
    int rank;
    int64_t dim[AD_MAX_RANK], from[AD_MAX_RANK], to[AD_MAX_RANK];
} view;

static view collapse(const ad_call *call)
{
    const ad_shape *in = call->in_shape[0], *out = call->out_shape;
    int64_t in_step[AD_MAX_RANK], step = 1;
    for (int k = in->rank - 1; k >= 0; k--) {
        in_step[k] = step;
        step *= in->dim[k];
    }
    view v = {0};
    for (int k = 0; k < out->rank; k++) {
        int64_t from = in_step[call->attr->i[k]], dim = out->dim[k];
        if (dim == 1)
            continue;
        if (v.rank > 0 && v.from[v.rank - 1] == from * dim) {
            v.dim[v.rank - 1] *= dim;
            v.from[v.rank - 1] = from;
        } else {
            v.dim[v.rank] = dim;
            v.from[v.rank++] = from;
        }
    }
    if (v.rank == 0) {
        v.rank = 1;
        v.dim[0] = v.from[0] = 1;
    }
    step = 1;
    for (int k = v.rank - 1; k >= 0; k--) {
        v.to[k] = step;
        step *= v.dim[k];
    }
    return v;
}

/* Offsets of outer item `o` over all dimensions but `skip_a` and `skip_b`. */
static void offsets(const view *v, int skip_a, int skip_b, int64_t o, int64_t *from, int64_t *to)
{
    *from = *to = 0;
    for (int k = v->rank - 1; k >= 0; k--) {
        if (k == skip_a || k == skip_b)
            continue;
        int64_t at = o % v->dim[k];
        o /= v->dim[k];
        *from += at * v->from[k];
        *to += at * v->to[k];
    }
}

/* Runs first..end-1 of the output in order; the place in the input is counted on, not divided out. */
static void copy_runs(const view *v, int64_t first, int64_t end, real *y, const real *x)
{
    int last = v->rank - 1;
    int64_t run = v->dim[last], at[AD_MAX_RANK] = {0}, o = first;
    for (int k = last - 1; k >= 0; k--) {
        at[k] = o % v->dim[k];
        o /= v->dim[k];
        x += at[k] * v->from[k];
    }
    y += first * run;
    for (int64_t r = first; r < end; r++, y += run) {
        if (run < SHORT)
            for (int64_t i = 0; i < run; i++)
                y[i] = x[i];
        else
            memcpy(y, x, (size_t)run * sizeof *y);
        for (int k = last - 1; k >= 0; k--) {
            x += v->from[k];
            if (++at[k] < v->dim[k])
                break;
            x -= v->from[k] * v->dim[k];
            at[k] = 0;
        }
    }
}

/* The last axis stays last: runs are copied. */
static void move_runs(const view *v, int64_t total, real *y, const real *x)
{
    int64_t runs = total / v->dim[v->rank - 1];
#pragma omp parallel if (total > FWM_PARALLEL_MIN)
    {
        int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
        copy_runs(v, runs * me / threads, runs * (me + 1) / threads, y, x);
    }
}

/* A small square in registers: y[r * y_step + c] = x[c * x_step + r], r, c < SQUARE. The compiler's own answer to the
 * plain loop is a gather for each line, 2 times slower. */
#if FWM_REAL_BITS == 32
enum { SQUARE = 4 };
typedef float line __attribute__((vector_size(16)));
typedef int32_t order __attribute__((vector_size(16)));

static inline void move_square(real *y, int64_t y_step, const real *x, int64_t x_step)
{
    line in[4], t[4], out[4];
    for (int k = 0; k < 4; k++)
        memcpy(&in[k], x + k * x_step, sizeof in[k]);
    for (int k = 0; k < 4; k += 2) {
        t[k] = __builtin_shuffle(in[k], in[k + 1], (order){0, 4, 1, 5});
        t[k + 1] = __builtin_shuffle(in[k], in[k + 1], (order){2, 6, 3, 7});
    }
    for (int k = 0; k < 2; k++) {
        out[2 * k] = __builtin_shuffle(t[k], t[k + 2], (order){0, 1, 4, 5});
        out[2 * k + 1] = __builtin_shuffle(t[k], t[k + 2], (order){2, 3, 6, 7});
    }
    for (int k = 0; k < 4; k++)
        memcpy(y + k * y_step, &out[k], sizeof out[k]);
}
#else
enum { SQUARE = 2 };

static inline void move_square(real *y, int64_t y_step, const real *x, int64_t x_step)
{
    real a = x[0], b = x[x_step], c = x[1], d = x[x_step + 1];
    y[0] = a, y[1] = b;
    y[y_step] = c, y[y_step + 1] = d;
}
#endif

/* The same for rows r0..r1-1 and columns c0..c1-1 of the output. */
static inline void move_tile(real *y, int64_t y_step, const real *x, int64_t x_step, int64_t r0, int64_t r1, int64_t c0,
                             int64_t c1)
{
    int64_t r = r0;
    for (; r + SQUARE <= r1; r += SQUARE) {
        int64_t c = c0;
        for (; c + SQUARE <= c1; c += SQUARE)
            move_square(y + r * y_step + c, y_step, x + c * x_step + r, x_step);
        for (; c < c1; c++)
            for (int64_t i = r; i < r + SQUARE; i++)
                y[i * y_step + c] = x[c * x_step + i];
    }
    for (; r < r1; r++)
        for (int64_t c = c0; c < c1; c++)
            y[r * y_step + c] = x[c * x_step + r];
}

/* The input's last axis is the output's axis `j`: square tiles, so that lines of both sides are used while in the
 * cache. */
static void move_tiles(const view *v, int j, int64_t total, real *y, const real *x)
{
    int last = v->rank - 1;
    int64_t rows = v->dim[j], columns = v->dim[last];
    int64_t row_tiles = (rows + TILE - 1) / TILE, column_tiles = (columns + TILE - 1) / TILE;
    int64_t items = total / (rows * columns) * row_tiles * column_tiles;
#pragma omp parallel for schedule(static) if (total > FWM_PARALLEL_MIN)
    for (int64_t item = 0; item < items; item++) {
        int64_t from, to, r0 = item / column_tiles % row_tiles * TILE, c0 = item % column_tiles * TILE;
        int64_t r1 = rows - r0 < TILE ? rows : r0 + TILE, c1 = columns - c0 < TILE ? columns : c0 + TILE;
        offsets(v, j, last, item / (row_tiles * column_tiles), &from, &to);
        move_tile(y + to, v->to[j], x + from, v->from[last], r0, r1, c0, c1);
    }
}

static fwm_status run(const ad_call *call)
{
    view v = collapse(call);
    int64_t total = ad_shape_count(call->out_shape);
    int j = 0;
    while (v.from[j] != 1)
        j++;
    if (j == v.rank - 1)
        move_runs(&v, total, call->out, call->in[0]);
    else
        move_tiles(&v, j, total, call->out, call->in[0]);
    return FWM_OK;
}
AD_KERNEL(transpose, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    bool seen[AD_MAX_RANK] = {false};
    char a[96];
    out->rank = in[0]->rank;
    for (int k = 0; k < out->rank; k++) {
        int64_t axis = attr->i[k];
        FWM_CHECK(axis >= 0 && axis < out->rank && !seen[axis], FWM_SHAPE,
                  "expected a permutation of the axes of %s, found axis %lld at place %d", ad_shape_text(in[0], a),
                  (long long)axis, k);
        seen[axis] = true;
        out->dim[k] = in[0]->dim[axis];
    }
    return FWM_OK;
}
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    const ad_attributes *attr = ad_attributes_of(g, y);
    int back[AD_MAX_RANK] = {0};
    for (int k = 0; k < ad_shape_of(g, y)->rank; k++)
        back[attr->i[k]] = k;
    dx[0] = ad_transpose(g, dy, back);
}
AD_SAMPLES({1, {{2, {3, 5}}}, -1, 1, {.i = {1, 0}}}, {1, {{3, {2, 3, 4}}}, -1, 1, {.i = {0, 2, 1}}},
           {1, {{3, {2, 3, 4}}}, -1, 1, {.i = {1, 0, 2}}}, {1, {{4, {2, 3, 1, 4}}}, -1, 1, {.i = {3, 1, 2, 0}}},
           {1, {{2, {33, 35}}}, -1, 1, {.i = {1, 0}}}, {1, {{6, {2, 2, 2, 2, 2, 3}}}, -1, 1, {.i = {0, 1, 3, 2, 4, 5}}})
const ad_op ad_op_transpose = {
    .name = "transpose",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Transpose",
    .samples = samples,
};

ad_value ad_transpose(ad_graph *g, ad_value x, const int *perm)
{
    if (x < 0)
        return AD_NONE;
    ad_attributes attr = {.i = {0}};
    int rank = ad_shape_of(g, x)->rank;
    bool moved = false;
    for (int k = 0; k < rank; k++) {
        int axis = ad_axis(perm[k], rank);
        attr.i[k] = axis >= 0 ? axis : perm[k];
        moved = moved || attr.i[k] != k;
    }
    return moved ? ad_apply(g, &ad_op_transpose, 1, &x, &attr) : x;
}

/* [B,H,W,C] as blocks of f x f pixels, whose pixels become channels; and back. */
ad_value ad_pixel_unshuffle(ad_graph *g, ad_value x, int factor)
{
    if (x < 0)
        return AD_NONE;
    const ad_shape *s = ad_shape_of(g, x);
    int64_t f = factor;
    char a[96];
    if (s->rank != 4 || f < 1 || s->dim[1] % f || s->dim[2] % f)
        return ad_graph_fail(g, FWM_SHAPE, "pixel_unshuffle: expected [B,H,W,C] with H and W multiples of %d, found %s",
                             factor, ad_shape_text(s, a));
    int64_t B = s->dim[0], H = s->dim[1] / f, W = s->dim[2] / f, C = s->dim[3];
    ad_value blocks = ad_reshape(g, x, (ad_shape){6, {B, H, f, W, f, C}});
    return ad_reshape(g, ad_transpose(g, blocks, (int[]){0, 1, 3, 2, 4, 5}), (ad_shape){4, {B, H, W, f * f * C}});
}

ad_value ad_pixel_shuffle(ad_graph *g, ad_value x, int factor)
{
    if (x < 0)
        return AD_NONE;
    const ad_shape *s = ad_shape_of(g, x);
    int64_t f = factor;
    char a[96];
    if (s->rank != 4 || f < 1 || s->dim[3] % (f * f))
        return ad_graph_fail(g, FWM_SHAPE, "pixel_shuffle: expected [B,H,W,C] with C a multiple of %d^2, found %s",
                             factor, ad_shape_text(s, a));
    int64_t B = s->dim[0], H = s->dim[1], W = s->dim[2], C = s->dim[3] / (f * f);
    ad_value blocks = ad_reshape(g, x, (ad_shape){6, {B, H, W, f, f, C}});
    return ad_reshape(g, ad_transpose(g, blocks, (int[]){0, 1, 3, 2, 4, 5}), (ad_shape){4, {B, H * f, W * f, C}});
}
#endif
