/* y = sum of x over axes i[0] .. i[0]+i[1]-1 (i[2]: keep them as 1), in double;  dx = dy, broadcast. */
#define REDUCE_START 0.0
#define REDUCE_STEP(acc, x) ((acc) + (x))
#include "model/autodiff/kernels/reduce.h"

AD_KERNEL(sum, reduce_run)

#ifdef FWM_DEFINITION
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_value x = ad_input_of(g, y, 0), kept = ad_reduction_kept(g, x, dy, ad_attributes_of(g, y));
    dx[0] = ad_broadcast_to(g, kept, *ad_shape_of(g, x));
}
AD_REDUCTION_SAMPLES
const ad_op ad_op_sum = {
    .name = "sum",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = ad_reduction_shape,
    .gradient = gradient,
    .scratch = reduce_scratch,
    .onnx = "ReduceSum",
    .samples = samples,
};

ad_value ad_sum(ad_graph *g, ad_value x, int n_axes, const int *axes, bool keep)
{
    return ad_reduction_apply(g, &ad_op_sum, x, n_axes, axes, keep);
}

ad_value ad_mean(ad_graph *g, ad_value x, int n_axes, const int *axes, bool keep)
{
    ad_value y = ad_sum(g, x, n_axes, axes, keep);
    if (y < 0)
        return AD_NONE;
    return ad_affine(g, y, (double)ad_count(g, y) / (double)ad_count(g, x), 0.0);
}

ad_value ad_sum_all(ad_graph *g, ad_value x)
{
    return ad_sum(g, x, 0, NULL, false);
}

ad_value ad_mean_all(ad_graph *g, ad_value x)
{
    return ad_mean(g, x, 0, NULL, false);
}

ad_value ad_sum_to(ad_graph *g, ad_value x, ad_shape shape)
{
    if (x < 0)
        return AD_NONE;
    const ad_shape *from = ad_shape_of(g, x);
    ad_shape both;
    char a[96], b[96];
    if (!ad_shape_broadcast(&shape, from, &both) || !ad_shape_equal(&both, from))
        return ad_graph_fail(g, FWM_SHAPE, "sum_to: expected a shape that broadcasts to %s, found %s",
                             ad_shape_text(from, a), ad_shape_text(&shape, b));
    int axes[AD_MAX_RANK], n = 0, missing = from->rank - shape.rank;
    for (int i = 0; i < from->rank; i++)
        if (i < missing || (shape.dim[i - missing] == 1 && from->dim[i] != 1))
            axes[n++] = i;
    if (n > 0)
        x = ad_sum(g, x, n, axes, true);
    return ad_reshape(g, x, shape);
}
#endif
