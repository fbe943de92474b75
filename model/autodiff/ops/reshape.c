/* y is x under another shape, i[1..i[0]]: a view;  dx = dy under x's shape. */
#include "model/autodiff/ops/samples.h"
#include "model/autodiff/ops/shape_attribute.h"
#include "model/autodiff/ops/view.h"

AD_KERNEL(reshape, ad_view_copy)

#ifdef FWM_DEFINITION
#include "model/autodiff/ops.h"
#include "model/base/checked.h"

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    *out = ad_attribute_shape(attr);
    char a[96], b[96];
    FWM_CHECK(ad_shape_count(out) == ad_shape_count(in[0]), FWM_SHAPE,
              "expected as many elements as %s has (%lld), found %s (%lld)", ad_shape_text(in[0], a),
              (long long)ad_shape_count(in[0]), ad_shape_text(out, b), (long long)ad_shape_count(out));
    return FWM_OK;
}
static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    dx[0] = ad_reshape(g, dy, *ad_shape_of(g, ad_input_of(g, y, 0)));
}
AD_SAMPLES({1, {{2, {3, 4}}}, -1, 1, {.i = {3, 2, 2, 3}}}, {1, {{3, {2, 3, 1}}}, -1, 1, {.i = {1, 6}}})
const ad_op ad_op_reshape = {
    .name = "reshape",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_VIEW | AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .onnx = "Reshape",
    .samples = samples,
};

/* Replaces a dimension of -1 by what the others leave of `count`. */
static fwm_status resolve(ad_shape *s, int64_t count)
{
    int unknown = -1;
    int64_t known = 1;
    char text[96];
    FWM_CHECK(s->rank >= 1 && s->rank <= AD_MAX_RANK, FWM_SHAPE, "reshape: expected 1 to %d dimensions, found %d",
              AD_MAX_RANK, s->rank);
    for (int k = 0; k < s->rank; k++) {
        if (s->dim[k] == -1 && unknown < 0)
            unknown = k;
        else
            FWM_CHECK(s->dim[k] > 0 && fwm_mul_i64(known, s->dim[k], &known), FWM_SHAPE,
                      "reshape: expected positive dimensions with at most one -1, found %s", ad_shape_text(s, text));
    }
    if (unknown < 0)
        return FWM_OK;
    FWM_CHECK(count % known == 0, FWM_SHAPE, "reshape: expected known dimensions whose product divides %lld, found %s",
              (long long)count, ad_shape_text(s, text));
    s->dim[unknown] = count / known;
    return FWM_OK;
}

ad_value ad_reshape(ad_graph *g, ad_value x, ad_shape want)
{
    if (x < 0)
        return AD_NONE;
    fwm_status status = resolve(&want, ad_count(g, x));
    if (status != FWM_OK)
        return ad_graph_fail(g, status, "%s", fwm_error_message());
    /* A view of a view is a view of the first: and the first shape again is the value itself. */
    ad_value root = x;
    while (ad_op_of(g, root) == &ad_op_reshape)
        root = ad_input_of(g, root, 0);
    if (ad_shape_count(&want) == ad_count(g, root))
        x = root;
    if (ad_shape_equal(ad_shape_of(g, x), &want))
        return x;
    ad_attributes attr = ad_shape_attribute(&want);
    return ad_apply(g, &ad_op_reshape, 1, &x, &attr);
}
#endif
