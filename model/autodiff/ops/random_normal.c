/* y = standard normal draws, a function of (seed, stream, step, index); gradient 0. i[0]: stream, i[1]: rank, i[2..]:
 * shape. */
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/random.h"
#include "model/base/variant.h"

static fwm_status run(const ad_call *call)
{
    fwm_key key = {call->seed, (uint32_t)call->attr->i[0]};
#if FWM_REAL_BITS == 64
    fwm_random_normal_f64(key, call->step, ad_shape_count(call->out_shape), call->out);
#else
    fwm_random_normal_f32(key, call->step, ad_shape_count(call->out_shape), call->out);
#endif
    return FWM_OK;
}
AD_KERNEL(random_normal, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n, (void)in;
    FWM_CHECK(attr->i[1] >= 0 && attr->i[1] <= AD_MAX_RANK, FWM_INVALID, "rank %lld", (long long)attr->i[1]);
    *out = ad_shape_from((int)attr->i[1], attr->i + 2);
    return FWM_OK;
}

static int samples(ad_sample *s, int capacity)
{
    if (capacity < 1)
        return 0;
    s[0] = (ad_sample){.attr.i = {7, 2, 3, 5}};
    return 1;
}

const ad_op ad_op_random_normal = {
    .name = "random_normal",
    .flags = AD_RANDOM | AD_NO_GRADIENT,
    .shape = shape,
    .onnx = "RandomNormalLike (an exported model takes the noise as an input)",
    .samples = samples,
};

ad_value ad_random_normal(ad_graph *g, ad_shape s)
{
    ad_attributes attr = {.i = {(int64_t)ad_graph_next_stream(g), s.rank}};
    for (int k = 0; k < s.rank && k < AD_MAX_RANK; k++)
        attr.i[2 + k] = s.dim[k];
    return ad_apply(g, &ad_op_random_normal, 0, NULL, &attr);
}
#endif
