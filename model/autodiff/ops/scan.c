/* A loop over time as one value: h_(t+1), y_t = body(h_t, x_t, shared), t = 0..T-1; attr.object is an ad_scan that the
 * caller owns. The value is a vector of all states and outputs, which the builder cuts (model/autodiff/scan.h).
 * Its gradient is one scan_vjp, which runs the steps backwards. */
#include "model/autodiff/scan.h"

#include "model/autodiff/ops/samples.h"
#include "model/base/variant.h"

static fwm_status run(const ad_call *call)
{
    return ad_scan_forward(call->state, call->out, call->in, call->scratch);
}
AD_KERNEL(scan, run)

#ifdef FWM_DEFINITION
#include "model/autodiff/ops.h"

extern const ad_op ad_op_scan, ad_op_scan_vjp;

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    FWM_CHECK(attr->object, FWM_INVALID, "expected a description of the loop");
    out->rank = 1;
    return ad_scan_length(attr->object, n, in, &out->dim[0]);
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    ad_value in[AD_SCAN_MOST + 2] = {y, dy};
    ad_attributes attr = {.object = ad_attributes_of(g, y)->object};
    int n = ad_input_count(g, y);
    for (int k = 0; k < n; k++) {
        in[k + 2] = ad_input_of(g, y, k);
        attr.i[0] |= (int64_t)need[k] << k;
    }
    ad_value all = ad_apply(g, &ad_op_scan_vjp, n + 2, in, &attr);
    int64_t start = 0;
    for (int k = 0; k < n; k++) {
        if (!need[k])
            continue;
        ad_shape s = *ad_shape_of(g, in[k + 2]);
        dx[k] = ad_reshape(g, ad_slice(g, all, 0, start, ad_shape_count(&s)), s);
        start += ad_shape_count(&s);
    }
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    ad_scan_state *s;
    (void)out;
    FWM_TRY(ad_scan_open(&s, attr->object, dtype, n, in, false, 0, scratch_size));
    *state = s;
    return FWM_OK;
}

static void release(void *state)
{
    ad_scan_state *s = state;
    ad_scan_close(&s);
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)out;
    return ad_scan_flops(attr->object, n, in);
}

/* State [2,3], sequence of 4 or of 1, weights [3,3]. */
AD_SAMPLES({3, {{2, {2, 3}}, {3, {4, 2, 3}}, {2, {3, 3}}}, -1, 1, {.i = {0}}},
           {3, {{2, {2, 3}}, {3, {1, 2, 3}}, {2, {3, 3}}}, -1, 1, {.i = {0}}})
const ad_op ad_op_scan = {
    .name = "scan",
    .min_inputs = 2,
    .max_inputs = AD_SCAN_MOST,
    .shape = shape,
    .gradient = gradient,
    .prepare = prepare,
    .release = release,
    .flops = flops,
    .onnx = "Scan",
    .samples = samples,
};

/* x of the vector from `start` on as `shape`. */
static ad_value piece(ad_graph *g, ad_value all, int64_t start, ad_shape s)
{
    return ad_reshape(g, ad_slice(g, all, 0, start, ad_shape_count(&s)), s);
}

/* The shape of an output of one step, with time before it. */
static ad_shape in_time(const ad_shape *s, int64_t steps)
{
    ad_shape t = {.rank = s->rank + 1, .dim = {steps}};
    for (int i = 0; i < s->rank && i + 1 < AD_MAX_RANK; i++)
        t.dim[i + 1] = s->dim[i];
    return t;
}

void ad_scan_apply(ad_graph *g, const ad_scan *scan, const ad_value *states, const ad_value *sequences,
                   const ad_value *shared, ad_value *last, ad_value *outputs)
{
    ad_value in[AD_SCAN_MOST] = {0};
    ad_shape result[AD_SCAN_MOST];
    const ad_shape *shapes[AD_SCAN_MOST] = {0};
    int n = 0, most = scan->n_states + scan->n_sequences + scan->n_shared;
    for (int k = 0; k < scan->n_states; k++)
        last[k] = AD_NONE;
    for (int k = 0; k < scan->n_outputs; k++)
        outputs[k] = AD_NONE;
    if (most > AD_SCAN_MOST || scan->n_outputs > AD_SCAN_MOST) {
        (void)ad_graph_fail(g, FWM_INVALID, "scan '%s': expected at most %d inputs and outputs, found %d and %d",
                            scan->name, AD_SCAN_MOST, most, scan->n_outputs);
        return;
    }
    for (int k = 0; k < most; k++) {
        in[n] = k < scan->n_states                       ? states[k]
                : k < scan->n_states + scan->n_sequences ? sequences[k - scan->n_states]
                                                         : shared[k - scan->n_states - scan->n_sequences];
        shapes[n] = ad_shape_of(g, in[n]);
        n++;
    }
    ad_attributes attr = {.object = scan};
    ad_value all = ad_apply(g, &ad_op_scan, n, in, &attr);
    if (all == AD_NONE)
        return;
    for (int k = 0; k < n; k++) /* adding the value may have moved them */
        shapes[k] = ad_shape_of(g, in[k]);
    fwm_status status = ad_scan_outputs(scan, n, shapes, result);
    if (status != FWM_OK) {
        (void)ad_graph_fail(g, status, "%s", fwm_error_message());
        return;
    }
    int64_t steps = ad_dim(g, sequences[0], 0), at = 0;
    for (int k = 0; k < scan->n_states; k++) {
        ad_shape s = *ad_shape_of(g, in[k]);
        last[k] = piece(g, all, at + steps * ad_shape_count(&s), s);
        at += (steps + 1) * ad_shape_count(&s);
    }
    for (int k = 0; k < scan->n_outputs; k++) {
        outputs[k] = piece(g, all, at, in_time(&result[k], steps));
        at += steps * ad_shape_count(&result[k]);
    }
}
#endif
