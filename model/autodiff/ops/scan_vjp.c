/* The cotangents of a scan's wanted inputs (bits of i[0]), one after the other, from its value, that value's cotangent
 * and its inputs: the steps' gradients from the last to the first. Differentiated once only. */
#include "model/autodiff/scan.h"

#include "model/base/variant.h"

static fwm_status run(const ad_call *call)
{
    return ad_scan_backward(call->state, call->out, call->in, call->scratch);
}
AD_KERNEL(scan_vjp, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    int64_t length;
    FWM_CHECK(attr->object && attr->i[0] != 0, FWM_INVALID, "expected a loop and an input whose gradient is wanted");
    FWM_TRY(ad_scan_length(attr->object, n - 2, in + 2, &length));
    FWM_CHECK(ad_shape_count(in[0]) == length && ad_shape_count(in[1]) == length, FWM_SHAPE,
              "expected the loop's value and its cotangent, %lld elements each", (long long)length);
    out->rank = 1;
    for (int k = 2; k < n; k++)
        out->dim[0] += attr->i[0] >> (k - 2) & 1 ? ad_shape_count(in[k]) : 0;
    return FWM_OK;
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    ad_scan_state *s;
    (void)out;
    FWM_TRY(ad_scan_open(&s, attr->object, dtype, n - 2, in + 2, true, attr->i[0], scratch_size));
    *state = s;
    return FWM_OK;
}

static void release(void *state)
{
    ad_scan_state *s = state;
    ad_scan_close(&s);
}

/* About twice the forward pass, and the forward pass again where nothing of it was stored. */
static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    const ad_scan *scan = attr->object;
    (void)out;
    return (scan->store ? 2 : 3) * ad_scan_flops(scan, n - 2, in + 2);
}

const ad_op ad_op_scan_vjp = {
    .name = "scan_vjp",
    .min_inputs = 4,
    .max_inputs = AD_SCAN_MOST + 2,
    .shape = shape,
    .prepare = prepare,
    .release = release,
    .flops = flops,
    .onnx = "none: training alone",
};
#endif
