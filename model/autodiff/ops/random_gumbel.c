/* y = -log(-log u), u uniform: standard Gumbel draws; gradient 0. Taken in double from 53 bits, so that both tails are
 * there in float32. */
#include "model/autodiff/ops/noise.h"
#include "model/base/threads.h"

#include <math.h>

static fwm_status run(const ad_call *call)
{
    int64_t n = ad_shape_count(call->out_shape);
    fwm_key key = ad_noise_key(call);
    real *y = call->out;
    /* A draw costs about as much as thirty elements of other work. */
#pragma omp parallel for schedule(static) if (32 * n > FWM_PARALLEL_MIN)
    for (int64_t i = 0; i < n; i++)
        y[i] = (real)-log(-log(fwm_random_uniform(key, call->step, (uint32_t)i)));
    return FWM_OK;
}
AD_KERNEL(random_gumbel, run)
AD_NOISE_DEFINE(random_gumbel, "RandomUniformLike, Log, Neg")
