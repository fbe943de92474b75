/* y = (1/S) C x, or (i[3]) C (x / w), of length i[2] along the last transformed axis: see fft.h;  dx = rfft's other
 * form of dy. */
#include "model/autodiff/ops/fft.h"

static fwm_status run(const ad_call *call)
{
    fft_geometry s = fft_geometry_of(call->out_shape, call->attr);
    const real *x = call->in[0];
    real *y = call->out, *copy = call->scratch; /* FFTW overwrites it */
    bool weighted = call->attr->i[3] != 0;
    real scale = weighted ? (real)1 : (real)(1 / fft_elements(&s));
#pragma omp parallel for schedule(static) if (s.before * s.reals > FWM_PARALLEL_MIN)
    for (int64_t b = 0; b < s.before; b++) {
        fft_weight(&s, x + b * s.pairs * 2, copy + b * s.pairs * 2, scale, weighted ? (real)0.5 : (real)1);
        ad_fft_run(call->state, copy + b * s.pairs * 2, y + b * s.reals);
    }
    return FWM_OK;
}
AD_KERNEL(irfft, run)

#ifdef FWM_DEFINITION
static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    (void)n;
    char text[96];
    int rank = in[0]->rank - 1;
    FWM_CHECK(rank >= 1 && in[0]->dim[rank] == 2, FWM_SHAPE, "expected (real, imaginary) as the last axis, found %s",
              ad_shape_text(in[0], text));
    FWM_TRY(fft_check_axes(in[0], rank, attr));
    *out = *in[0];
    out->rank = rank;
    out->dim[rank] = 0;
    int64_t *last = &out->dim[attr->i[0] + attr->i[1] - 1], length = attr->i[2];
    FWM_CHECK(length >= 1 && *last == length / 2 + 1, FWM_SHAPE,
              "expected length/2 + 1 bins, found %lld for length %lld", (long long)*last, (long long)length);
    *last = length;
    return FWM_OK;
}

static void gradient(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx)
{
    (void)need;
    ad_attributes attr = *ad_attributes_of(g, y);
    attr.i[2] = 0;
    attr.i[3] = !attr.i[3];
    dx[0] = ad_apply(g, ad_op_find("rfft"), 1, &dy, &attr);
}

static size_t scratch(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)out, (void)attr;
    return (size_t)ad_shape_count(in[0]) * ad_dtype_size(dtype);
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    (void)n, (void)in, (void)scratch_size;
    fft_geometry s = fft_geometry_of(out, attr);
    return ad_fft_create((ad_fft **)state, dtype, s.n_axes, s.N, s.after, true);
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
    (void)n, (void)in;
    fft_geometry s = fft_geometry_of(out, attr);
    return fft_work(&s);
}

static int samples(ad_sample *s, int capacity)
{
    return fft_samples(s, capacity, true);
}

const ad_op ad_op_irfft = {
    .name = "irfft",
    .min_inputs = 1,
    .max_inputs = 1,
    .flags = AD_LINEAR,
    .shape = shape,
    .gradient = gradient,
    .scratch = scratch,
    .prepare = prepare,
    .release = release,
    .implementation = implementation,
    .flops = flops,
    .onnx = "DFT (inverse) of the spectrum with its mirror",
    .samples = samples,
};

ad_value ad_irfft(ad_graph *g, ad_value y, int axis, int n_axes, int64_t length)
{
    if (y < 0)
        return AD_NONE;
    int normal = ad_axis(axis, ad_shape_of(g, y)->rank - 1);
    ad_attributes attr = {.i = {normal >= 0 ? normal : axis, n_axes, length}};
    return ad_apply(g, &ad_op_irfft, 1, &y, &attr);
}
#endif
