/* Pooling, padding, resizing and convolutions made of other operators: their gradients of every order are the walk's.
 */
#include "model/autodiff/ops.h"

#include "model/base/arena.h"

static bool has_rank(ad_graph *g, const char *what, ad_value x, int rank)
{
    char text[96];
    if (x < 0)
        return false;
    if (ad_shape_of(g, x)->rank != rank)
        (void)ad_graph_fail(g, FWM_SHAPE, "%s: expected %d axes, found %s", what, rank,
                            ad_shape_text(ad_shape_of(g, x), text));
    return ad_graph_status(g) == FWM_OK;
}

/* ---- pooling ---- */

static int64_t window_count(const ad_pool *p, int axis, int64_t place, int64_t size)
{
    int64_t stride = p->stride[axis] ? p->stride[axis] : p->kernel[axis];
    int64_t start = place * stride - p->pad_before[axis], end = start + p->kernel[axis];
    return (end < size ? end : size) - (start > 0 ? start : 0);
}

/* One over the number of elements of each window, [1,h,w,1]. */
static ad_value window_weights(ad_graph *g, const ad_pool *p, const ad_shape *x, const ad_shape *y)
{
    int64_t h = y->dim[1], w = y->dim[2];
    double *weight = fwm_malloc((size_t)(h * w), sizeof *weight);
    if (!weight)
        return ad_graph_fail(g, FWM_MEMORY, "average_pool_window: out of memory");
    for (int64_t i = 0; i < h * w; i++)
        weight[i] = 1.0 / (double)(window_count(p, 0, i / w, x->dim[1]) * window_count(p, 1, i % w, x->dim[2]));
    ad_value v = ad_constant(g, ad_shape_make(4, 1, h, w, 1), weight);
    fwm_free(weight);
    return v;
}

/* A convolution of each channel with equal weights: oneDNN's depthwise kernels serve it and its gradient. */
ad_value ad_average_pool_window(ad_graph *g, ad_value x, const ad_pool *p, bool count_padding)
{
    if (!has_rank(g, "average_pool_window", x, 4))
        return AD_NONE;
    ad_shape s = *ad_shape_of(g, x);
    ad_conv c = {.groups = (int)s.dim[3]};
    bool padded = false;
    for (int a = 0; a < 2; a++) {
        if (p->kernel[a] < 1 || p->stride[a] < 0 || p->pad_before[a] < 0 || p->pad_before[a] >= p->kernel[a] ||
            p->pad_after[a] < 0 || p->pad_after[a] >= p->kernel[a])
            return ad_graph_fail(g, FWM_INVALID,
                                 "average_pool_window: expected a kernel of at least 1 and padding of 0 to kernel - 1, "
                                 "found kernel %d, stride %d, padding %d and %d",
                                 p->kernel[a], p->stride[a], p->pad_before[a], p->pad_after[a]);
        c.stride[a] = p->stride[a] ? p->stride[a] : p->kernel[a];
        c.pad_before[a] = p->pad_before[a];
        c.pad_after[a] = p->pad_after[a];
        padded = padded || p->pad_before[a] || p->pad_after[a];
    }
    bool plain = count_padding || !padded;
    ad_value w = ad_fill(g, ad_shape_make(4, p->kernel[0], p->kernel[1], 1, s.dim[3]),
                         plain ? 1.0 / ((double)p->kernel[0] * p->kernel[1]) : 1.0);
    ad_value y = ad_conv2d(g, x, w, &c);
    if (plain || y < 0)
        return y;
    ad_shape out = *ad_shape_of(g, y);
    return ad_mul(g, y, window_weights(g, p, &s, &out));
}

static ad_value flat_pixels(ad_graph *g, const char *what, ad_value x)
{
    if (x < 0)
        return AD_NONE;
    const ad_shape *s = ad_shape_of(g, x);
    if (s->rank < 3)
        return ad_graph_fail(g, FWM_SHAPE, "%s: expected [B,...,C], found %d axes", what, s->rank);
    return ad_reshape(g, x, ad_shape_make(3, s->dim[0], -1, s->dim[s->rank - 1]));
}

ad_value ad_global_average_pool(ad_graph *g, ad_value x)
{
    return ad_mean(g, flat_pixels(g, "global_average_pool", x), 1, (const int[]){1}, false);
}

ad_value ad_global_max_pool(ad_graph *g, ad_value x)
{
    return ad_max(g, flat_pixels(g, "global_max_pool", x), 1, (const int[]){1}, false);
}

/* ---- convolution ---- */

static ad_conv signal_conv(const ad_conv1 *c)
{
    return (ad_conv){.stride = {1, c->stride},
                     .pad_before = {0, c->pad_before},
                     .pad_after = {0, c->pad_after},
                     .dilation = {1, c->dilation},
                     .groups = c->groups};
}

/* A signal is an image of one row. */
static ad_value as_image(ad_graph *g, ad_value x)
{
    const ad_shape *s = ad_shape_of(g, x);
    return ad_reshape(g, x, ad_shape_make(4, s->dim[0], 1, s->dim[1], s->dim[2]));
}

static ad_value as_weights(ad_graph *g, ad_value w)
{
    const ad_shape *s = ad_shape_of(g, w);
    return ad_reshape(g, w, ad_shape_make(4, 1, s->dim[0], s->dim[1], s->dim[2]));
}

static ad_value as_signal(ad_graph *g, ad_value y)
{
    if (y < 0)
        return AD_NONE;
    const ad_shape *s = ad_shape_of(g, y);
    return ad_reshape(g, y, ad_shape_make(3, s->dim[0], s->dim[2], s->dim[3]));
}

ad_value ad_conv1d(ad_graph *g, ad_value x, ad_value w, const ad_conv1 *c)
{
    if (!has_rank(g, "conv1d", x, 3) || !has_rank(g, "conv1d weights", w, 3))
        return AD_NONE;
    ad_conv two = signal_conv(c);
    ad_value image = as_image(g, x);
    return as_signal(g, ad_conv2d(g, image, as_weights(g, w), &two));
}

ad_value ad_conv1d_transpose(ad_graph *g, ad_value x, ad_value w, int64_t L, const ad_conv1 *c)
{
    if (!has_rank(g, "conv1d_transpose", x, 3) || !has_rank(g, "conv1d_transpose weights", w, 3))
        return AD_NONE;
    ad_conv two = signal_conv(c);
    ad_value image = as_image(g, x);
    return as_signal(g, ad_conv2d_transpose(g, image, as_weights(g, w), 1, L, &two));
}

/* Every stride-th slice of x along depth from `start` on, `n` of them. */
static ad_value depth_slices(ad_graph *g, ad_value x, int64_t start, int64_t stride, int64_t n)
{
    if (stride == 1 || n == 1)
        return ad_slice(g, x, 1, start, n);
    double *index = fwm_malloc((size_t)n, sizeof *index);
    if (!index)
        return ad_graph_fail(g, FWM_MEMORY, "conv3d: out of memory");
    for (int64_t k = 0; k < n; k++)
        index[k] = (double)(start + k * stride);
    ad_value v = ad_gather(g, x, ad_constant(g, ad_shape_make(1, n), index), 1);
    fwm_free(index);
    return v;
}

ad_value ad_conv3d(ad_graph *g, ad_value x, ad_value w, const ad_conv3 *c)
{
    enum { MAX_DEPTH = 64 };
    if (!has_rank(g, "conv3d", x, 5) || !has_rank(g, "conv3d weights", w, 5))
        return AD_NONE;
    ad_shape s = *ad_shape_of(g, x), k = *ad_shape_of(g, w);
    int64_t stride = c->stride[0] ? c->stride[0] : 1, dilation = c->dilation[0] ? c->dilation[0] : 1;
    int64_t room = s.dim[1] + c->pad_before[0] + c->pad_after[0] - ((k.dim[0] - 1) * dilation + 1);
    if (stride < 1 || dilation < 1 || c->pad_before[0] < 0 || c->pad_after[0] < 0 || room < 0 || k.dim[0] > MAX_DEPTH)
        return ad_graph_fail(g, FWM_SHAPE,
                             "conv3d: expected a kernel of 1 to %d slices inside the padded depth, found %lld slices "
                             "%lld apart, stride %lld, depth %lld padded by %d and %d",
                             MAX_DEPTH, (long long)k.dim[0], (long long)dilation, (long long)stride,
                             (long long)s.dim[1], c->pad_before[0], c->pad_after[0]);
    int64_t depth = room / stride + 1;
    ad_conv two = {.groups = c->groups};
    for (int a = 0; a < 2; a++) {
        two.stride[a] = c->stride[1 + a], two.dilation[a] = c->dilation[1 + a];
        two.pad_before[a] = c->pad_before[1 + a], two.pad_after[a] = c->pad_after[1 + a];
    }
    ad_value padded = ad_pad(g, x, 1, c->pad_before[0], c->pad_after[0]), term[MAX_DEPTH];
    for (int64_t i = 0; i < k.dim[0]; i++) {
        ad_value slices = depth_slices(g, padded, i * dilation, stride, depth);
        slices = ad_reshape(g, slices, ad_shape_make(4, s.dim[0] * depth, s.dim[2], s.dim[3], s.dim[4]));
        ad_value tap = ad_reshape(g, ad_slice(g, w, 0, i, 1), ad_shape_make(4, k.dim[1], k.dim[2], k.dim[3], k.dim[4]));
        term[i] = ad_conv2d(g, slices, tap, &two);
    }
    ad_value y = k.dim[0] == 1 ? term[0] : ad_add_n(g, (int)k.dim[0], term);
    if (y < 0)
        return AD_NONE;
    return ad_reshape(g, y, ad_shape_make(5, s.dim[0], depth, ad_dim(g, y, 1), ad_dim(g, y, 2), ad_dim(g, y, 3)));
}

/* A 3x3 convolution of x doubled in size is a transposed 4x4 convolution of x with stride 2: of the taps that meet the
 * same pixel of x there remain their sums, in each axis w[2] | w[1]+w[2] | w[0]+w[1] | w[0]. Four taps for nine, and
 * the doubled image is never there. */
static ad_value doubled_taps(ad_graph *g, ad_value w)
{
    static const double sums[4][3] = {{0, 0, 1}, {0, 1, 1}, {1, 1, 0}, {1, 0, 0}};
    double both[4 * 4 * 9];
    int64_t in = ad_dim(g, w, 2), out = ad_dim(g, w, 3);
    for (int k = 0; k < 4 * 4 * 9; k++)
        both[k] = sums[k / 36][k % 9 / 3] * sums[k / 9 % 4][k % 3];
    ad_value v = ad_reshape(g, w, ad_shape_make(2, 9, in * out));
    v = ad_matmul(g, ad_constant(g, ad_shape_make(2, 16, 9), both), v, false, false);
    v = ad_transpose(g, ad_reshape(g, v, ad_shape_make(3, 16, in, out)), (const int[]){0, 2, 1});
    return ad_reshape(g, v, ad_shape_make(4, 4, 4, out, in));
}

ad_value ad_conv2d_doubled(ad_graph *g, ad_value x, ad_value w)
{
    if (!has_rank(g, "conv2d_doubled", x, 4) || !has_rank(g, "conv2d_doubled weights", w, 4))
        return AD_NONE;
    const ad_shape *s = ad_shape_of(g, x), *k = ad_shape_of(g, w);
    if (k->dim[0] != 3 || k->dim[1] != 3 || k->dim[2] != s->dim[3])
        return ad_graph_fail(g, FWM_SHAPE,
                             "conv2d_doubled: expected weights [3,3,%lld,Cout], found [%lld,%lld,%lld,%lld]",
                             (long long)s->dim[3], (long long)k->dim[0], (long long)k->dim[1], (long long)k->dim[2],
                             (long long)k->dim[3]);
    int64_t H = 2 * s->dim[1], W = 2 * s->dim[2];
    const ad_conv c = {.stride = {2, 2}, .pad_before = {1, 1}, .pad_after = {1, 1}};
    return ad_conv2d_transpose(g, x, doubled_taps(g, w), H, W, &c);
}

/* ---- padding ---- */

static int64_t reflected(int64_t k, int64_t n)
{
    return k < 0 ? -k : k >= n ? 2 * (n - 1) - k : k;
}

static int64_t wrapped(int64_t k, int64_t n)
{
    return k < 0 ? k + n : k >= n ? k - n : k;
}

/* x gathered from `place` of each position, from -before on; padding is at most `longest`. */
static ad_value pad_by(ad_graph *g, const char *what, ad_value x, int axis, int64_t before, int64_t after, int64_t less,
                       int64_t (*place)(int64_t k, int64_t n))
{
    if (x < 0)
        return AD_NONE;
    char text[96];
    const ad_shape *s = ad_shape_of(g, x);
    int rank = s->rank, normal = axis < 0 ? axis + rank : axis;
    int64_t n = normal >= 0 && normal < rank ? s->dim[normal] : 0;
    if (n == 0 || before < 0 || after < 0 || before > n - less || after > n - less)
        return ad_graph_fail(
            g, FWM_SHAPE, "%s: expected an axis of %s and padding of 0 to its length%s, found axis %d, %lld and %lld",
            what, ad_shape_text(s, text), less ? " less 1" : "", axis, (long long)before, (long long)after);
    if (before == 0 && after == 0)
        return x;
    int64_t total = n + before + after;
    double *index = fwm_malloc((size_t)total, sizeof *index);
    if (!index)
        return ad_graph_fail(g, FWM_MEMORY, "%s: out of memory", what);
    for (int64_t k = 0; k < total; k++)
        index[k] = (double)place(k - before, n);
    ad_value y = ad_gather(g, x, ad_constant(g, ad_shape_make(1, total), index), normal);
    fwm_free(index);
    return y;
}

ad_value ad_pad_reflect(ad_graph *g, ad_value x, int axis, int64_t before, int64_t after)
{
    return pad_by(g, "pad_reflect", x, axis, before, after, 1, reflected);
}

ad_value ad_pad_periodic(ad_graph *g, ad_value x, int axis, int64_t before, int64_t after)
{
    return pad_by(g, "pad_periodic", x, axis, before, after, 0, wrapped);
}

/* ---- resizing ---- */

/* The axis that shrinks more, or grows less, goes first: the image between is then the smaller one. */
ad_value ad_resize_bilinear(ad_graph *g, ad_value x, int64_t H, int64_t W)
{
    if (!has_rank(g, "resize_bilinear", x, 4))
        return AD_NONE;
    bool rows_first = (double)H / (double)ad_dim(g, x, 1) <= (double)W / (double)ad_dim(g, x, 2);
    ad_value between = rows_first ? ad_interpolate(g, x, 1, H) : ad_interpolate(g, x, 2, W);
    return rows_first ? ad_interpolate(g, between, 2, W) : ad_interpolate(g, between, 1, H);
}
