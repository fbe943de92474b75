#include "model/nn/layers.h"

#include <math.h>

static const nn_init zeros = {.kind = NN_INIT_CONSTANT, .value = 0, .no_decay = true};
static const nn_init ones = {.kind = NN_INIT_CONSTANT, .value = 1, .no_decay = true};
static const double NORM_EPS = 1e-5;

static nn_init fan_in_init(double gain, int64_t fan_in)
{
    return (nn_init){.kind = gain == 0 ? NN_INIT_CONSTANT : NN_INIT_FAN_IN, .value = gain, .fan_in = fan_in};
}

ad_value nn_linear(const nn_builder *b, const char *name, ad_value x, int64_t out, double gain)
{
    ad_scope_push(b->g, name);
    int64_t in = ad_dim(b->g, x, -1);
    ad_value w = nn_parameter(b, "weight", ad_shape_make(2, in, out), fan_in_init(gain, in));
    ad_value bias = nn_parameter(b, "bias", ad_shape_make(1, out), zeros);
    ad_value y = ad_add(b->g, ad_matmul(b->g, x, w, false, false), bias);
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_conv(const nn_builder *b, const char *name, ad_value x, int64_t out, int kernel, int stride, bool bias,
                 double gain)
{
    ad_scope_push(b->g, name);
    int64_t in = ad_dim(b->g, x, -1), k = kernel;
    ad_value w = nn_parameter(b, "weight", ad_shape_make(4, k, k, in, out), fan_in_init(gain, k * k * in));
    int pad = (kernel - 1) / 2;
    ad_conv c = {.stride = {stride, stride}, .pad_before = {pad, pad}, .pad_after = {pad, pad}};
    ad_value y = ad_conv2d(b->g, x, w, &c);
    if (bias)
        y = ad_add(b->g, y, nn_parameter(b, "bias", ad_shape_make(1, out), zeros));
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_conv_up(const nn_builder *b, const char *name, ad_value x, int64_t out, double gain)
{
    ad_scope_push(b->g, name);
    int64_t in = ad_dim(b->g, x, -1);
    /* Each output pixel sees 2 x 2 of the 4 x 4 taps. */
    ad_value w = nn_parameter(b, "weight", ad_shape_make(4, 4, 4, out, in), fan_in_init(gain, 4 * in));
    const ad_conv c = {.stride = {2, 2}, .pad_before = {1, 1}, .pad_after = {1, 1}};
    ad_value y = ad_conv2d_transpose(b->g, x, w, 2 * ad_dim(b->g, x, 1), 2 * ad_dim(b->g, x, 2), &c);
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_gru(const nn_builder *b, const char *name, ad_value x, ad_value h)
{
    ad_scope_push(b->g, name);
    int64_t in = ad_dim(b->g, x, -1), size = ad_dim(b->g, h, -1);
    ad_value W = nn_parameter(b, "input", ad_shape_make(2, in, 3 * size), fan_in_init(1.0, in));
    ad_value R = nn_parameter(b, "recurrent", ad_shape_make(2, size, 3 * size), fan_in_init(1.0, size));
    ad_value bx = nn_parameter(b, "input_bias", ad_shape_make(1, 3 * size), zeros);
    ad_value bh = nn_parameter(b, "recurrent_bias", ad_shape_make(1, 3 * size), zeros);
    ad_value y = ad_gru(b->g, x, h, W, R, bx, bh);
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_norm_silu(const nn_builder *b, const char *name, ad_value x, int groups)
{
    ad_scope_push(b->g, name);
    int64_t C = ad_dim(b->g, x, -1);
    while (groups > 1 && C % groups != 0)
        groups--;
    ad_value scale = nn_parameter(b, "scale", ad_shape_make(1, C), ones);
    ad_value shift = nn_parameter(b, "shift", ad_shape_make(1, C), zeros);
    ad_value y = ad_group_norm(b->g, x, scale, shift, groups, NORM_EPS, true);
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_conv_block(const nn_builder *b, const char *name, ad_value x, int64_t out, int kernel, int stride,
                       int groups)
{
    ad_scope_push(b->g, name);
    ad_value y = nn_conv(b, "conv", x, out, kernel, stride, false, sqrt(2.0));
    y = nn_norm_silu(b, "norm", y, groups);
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_conv_block_join(const nn_builder *b, const char *name, ad_value coarse, ad_value fine, int64_t out,
                            int groups)
{
    ad_graph *g = b->g;
    ad_scope_push(g, name);
    ad_scope_push(g, "conv");
    int64_t Ca = ad_dim(g, coarse, -1), Cb = ad_dim(g, fine, -1), in = Ca + Cb;
    ad_value w = nn_parameter(b, "weight", ad_shape_make(4, 3, 3, in, out), fan_in_init(sqrt(2.0), 9 * in));
    const ad_conv c = {.pad_before = {1, 1}, .pad_after = {1, 1}};
    ad_value y = ad_conv2d_doubled(g, coarse, ad_slice(g, w, 2, 0, Ca));
    y = ad_add(g, y, ad_conv2d(g, fine, ad_slice(g, w, 2, Ca, Cb), &c));
    ad_scope_pop(g);
    y = nn_norm_silu(b, "norm", y, groups);
    ad_scope_pop(g);
    return y;
}

ad_value nn_film(const nn_builder *b, const char *name, ad_value x, ad_value cond)
{
    ad_scope_push(b->g, name);
    int64_t B = ad_dim(b->g, x, 0), C = ad_dim(b->g, x, -1);
    ad_value both = nn_linear(b, "linear", cond, 2 * C, 0.0);
    ad_value scale = ad_reshape(b->g, ad_slice(b->g, both, 1, 0, C), ad_shape_make(4, B, 1, 1, C));
    ad_value shift = ad_reshape(b->g, ad_slice(b->g, both, 1, C, C), ad_shape_make(4, B, 1, 1, C));
    ad_value y = ad_add(b->g, ad_mul(b->g, x, ad_affine(b->g, scale, 1.0, 1.0)), shift);
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_position_bias(const nn_builder *b, const char *name, ad_value x)
{
    ad_shape shape = ad_shape_make(4, 1, ad_dim(b->g, x, 1), ad_dim(b->g, x, 2), ad_dim(b->g, x, 3));
    return ad_add(b->g, x, nn_parameter(b, name, shape, zeros));
}

ad_value nn_mlp(const nn_builder *b, const char *name, ad_value x, int64_t hidden, int64_t out, double gain)
{
    ad_scope_push(b->g, name);
    ad_value y = ad_silu(b->g, nn_linear(b, "in", x, hidden, sqrt(2.0)));
    y = nn_linear(b, "out", y, out, gain);
    ad_scope_pop(b->g);
    return y;
}

ad_value nn_flatten(const nn_builder *b, ad_value x)
{
    int64_t B = ad_dim(b->g, x, 0);
    return ad_reshape(b->g, x, ad_shape_make(2, B, B > 0 ? ad_count(b->g, x) / B : -1));
}
