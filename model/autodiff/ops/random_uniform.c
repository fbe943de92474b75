/* y = uniform draws from (0,1); gradient 0. */
#include "model/autodiff/ops/noise.h"

static fwm_status run(const ad_call *call)
{
#if FWM_REAL_BITS == 64
    fwm_random_uniform_f64(ad_noise_key(call), call->step, ad_shape_count(call->out_shape), call->out);
#else
    fwm_random_uniform_f32(ad_noise_key(call), call->step, ad_shape_count(call->out_shape), call->out);
#endif
    return FWM_OK;
}
AD_KERNEL(random_uniform, run)
AD_NOISE_DEFINE(random_uniform, "RandomUniformLike")
