/* y = F x, or (i[3]) (w/S) F x: see fft.h;  dx = irfft's other form of dy. */
#include "model/autodiff/ops/fft.h"

static fwm_status run(const ad_call *call)
{
    fft_geometry s = fft_geometry_of(call->in_shape[0], call->attr);
    /* FFTW takes its input without const, and keeps it. */
    real *x = (real *)(uintptr_t)call->in[0], *y = call->out;
#pragma omp parallel for schedule(static) if (s.before * s.reals > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < s.before; b++) {
        real *to = y + b * s.pairs * 2;
        ad_fft_run(call->state, x + b * s.reals, to);
        if (call->attr->i[3])
            fft_weight(&s, to, to, (real)(1 / fft_elements(&s)), 2);
    }
    return FWM_OK;
}
AD_KERNEL(rfft, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    FWM_TRY(fft_check_axes(in[0], in[0]->rank, attr));
    FWM_CHECK(in[0]->rank < AD_MAX_RANK, FWM_SHAPE, "expected at most %d axes, found %d", AD_MAX_RANK - 1, in[0]->rank);
    *out = *in[0];
    int64_t *last = &out->dim[attr->i[0] + attr->i[1] - 1];
    *last = *last / 2 + 1;
    out->dim[out->rank++] = 2;
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_attributes attr = *ad_attributes_of(g, y);
    attr.i[2] = ad_dim(g, ad_input_of(g, y, 0), (int)(attr.i[0] + attr.i[1] - 1));
    attr.i[3] = !attr.i[3];
    dx[0] = ad_apply(g, ad_op_find("irfft"), 1, &dy, &attr);
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    (void)n, (void)out, (void)scratch_size;
    fft_geometry s = fft_geometry_of(in[0], attr);
    return ad_fft_create((ad_fft **)state, dtype, s.n_axes, s.N, s.after, false);
}

static void release(void *state)
{
    ad_fft *fft = state;
    ad_fft_destroy(&fft);
}

static const char *implementation(const void *state)
{
    (void)state;
    return "fftw";
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)out;
    fft_geometry s = fft_geometry_of(in[0], attr);
    return fft_work(&s);
}

static int samples(ad_sample *s, int capacity)
{
    return fft_samples(s, capacity, false);
}

const ad_op ad_op_rfft = {
    .name = "rfft",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .prepare = prepare,
    .release = release,
    .implementation = implementation,
    .flops = flops,
    .onnx = "DFT (onesided)",
    .samples = samples,
};

ad_value ad_rfft(ad_graph *g, ad_value x, int axis, int n_axes)
{
    if (x < 0)
        return AD_NONE;
    int normal = ad_axis(axis, ad_shape_of(g, x)->rank);
    ad_attributes attr = {.i = {normal >= 0 ? normal : axis, n_axes}};
    return ad_apply(g, &ad_op_rfft, 1, &x, &attr);
}
#endif
