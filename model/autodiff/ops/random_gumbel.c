/* y = -log(-log u), u uniform: standard Gumbel draws, a function of (seed, stream, step, index); gradient 0. Taken in
 * double from 53 bits, so that both tails are there in float32. i[0]: stream, i[1]: rank, i[2..]: shape. */
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/random.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <math.h>

static fwm_status run(const ad_call *call)
{
    fwm_key key = {call->seed, (uint32_t)call->attr->i[0]};
    int64_t n = ad_shape_count(call->out_shape);
    real *y = call->out;
    /* A draw costs about as much as thirty elements of other work. */
#pragma omp parallel for schedule(static) if (32 * n > FWM_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++)
        y[i] = (real)-log(-log(fwm_random_uniform(key, call->step, (uint32_t)i)));
    return FWM_OK;
}
AD_KERNEL(random_gumbel, run)

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
    s[0] = (ad_sample){.attr.i = {11, 2, 3, 5}};
    return 1;
}

const ad_op ad_op_random_gumbel = {
    .name = "random_gumbel",
    .flags = AD_RANDOM | AD_NO_GRADIENT,
    .shape = shape,
    .onnx = "RandomUniformLike, Log, Neg (an exported model takes the noise as an input)",
    .samples = samples,
};

ad_value ad_random_gumbel(ad_graph *g, ad_shape s)
{
    ad_attributes attr = {.i = {(int64_t)ad_graph_next_stream(g), s.rank}};
    for (int k = 0; k < s.rank && k < AD_MAX_RANK; k++)
        attr.i[2 + k] = s.dim[k];
    return ad_apply(g, &ad_op_random_gumbel, 0, NULL, &attr);
}
#endif
