#include "physics/warp.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

enum { MAX_SIDE = 8192, MAX_CHANNELS = 64 };

struct fem_warp {
    fem_warp_spec spec;
    int64_t batch;
    double scale[2]; /* pixels a length, along columns and rows (which run downwards) */
    ad_custom custom;
};

static double number(ad_dtype dtype, const void *x, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static void add(ad_dtype dtype, void *x, int64_t i, double value)
{
    if (dtype == AD_F64)
        ((double *)x)[i] += value;
    else
        ((float *)x)[i] += (float)value;
}

/* Four pixels around a place (column, row) in pixel units, their weights, and the weights' slopes along both (0 where
 * clamped). */
typedef struct stencil {
    int64_t pixel[4];
    double weight[4], slope[4][2];
} stencil;

static stencil stencil_at(const fem_warp_spec *s, const double at[2])
{
    const int64_t size[2] = {s->width, s->height};
    int64_t low[2];
    double t[2], moves[2];
    for (int d = 0; d < 2; d++) {
        double last = (double)(size[d] - 1), x = at[d] < 0 ? 0 : at[d] > last ? last : at[d];
        moves[d] = at[d] < 0 || at[d] > last ? 0 : 1;
        low[d] = (int64_t)x < size[d] - 2 ? (int64_t)x : size[d] - 2;
        t[d] = x - (double)low[d];
    }
    stencil k;
    for (int n = 0; n < 4; n++) {
        int right = n & 1, down = n >> 1;
        double a = right ? t[0] : 1 - t[0], b = down ? t[1] : 1 - t[1];
        k.pixel[n] = (low[1] + down) * s->width + low[0] + right;
        k.weight[n] = a * b;
        k.slope[n][0] = (right ? b : -b) * moves[0];
        k.slope[n][1] = (down ? a : -a) * moves[1];
    }
    return k;
}

/* Displacement in pixel units at a place, and I + its gradient. */
static void deform(const fem_warp *w, ad_dtype dtype, const void *displacement, int64_t first, const stencil *k,
                   double u[2], double jacobian[4])
{
    memcpy(jacobian, (double[]){1, 0, 0, 1}, 4 * sizeof *jacobian);
    u[0] = u[1] = 0;
    for (int n = 0; n < 4; n++)
        for (int d = 0; d < 2; d++) {
            double value = number(dtype, displacement, (first + k->pixel[n]) * 2 + d) * w->scale[d];
            u[d] += k->weight[n] * value;
            jacobian[2 * d] += k->slope[n][0] * value;
            jacobian[2 * d + 1] += k->slope[n][1] * value;
        }
}

/* The reference place of a pixel; false where it shows the background. Newton's steps are cut in half until they get
 * nearer. */
static bool find_place(const fem_warp *w, ad_dtype dtype, const void *displacement, int64_t first, const double x[2],
                       double at[2], stencil *k, double jacobian[4])
{
    enum { STEPS = 40, HALVINGS = 8 };
    double u[2], miss[2], size = INFINITY;
    memcpy(at, x, 2 * sizeof *at);
    *k = stencil_at(&w->spec, at);
    deform(w, dtype, displacement, first, k, u, jacobian);
    for (int it = 0; it < STEPS; it++) {
        for (int d = 0; d < 2; d++)
            miss[d] = at[d] + u[d] - x[d];
        size = hypot(miss[0], miss[1]);
        double det = jacobian[0] * jacobian[3] - jacobian[1] * jacobian[2];
        if (!isfinite(size) || size <= 1e-12 * (double)(w->spec.width + w->spec.height))
            break;
        double step[2] = {miss[0], miss[1]}; /* without a usable Jacobian: the fixed-point step */
        if (det > 1e-3) {
            step[0] = (jacobian[3] * miss[0] - jacobian[1] * miss[1]) / det;
            step[1] = (jacobian[0] * miss[1] - jacobian[2] * miss[0]) / det;
        }
        double from[2] = {at[0], at[1]}, part = 1;
        for (int half = 0; half < HALVINGS; half++, part *= 0.5) {
            for (int d = 0; d < 2; d++)
                at[d] = from[d] - part * step[d];
            *k = stencil_at(&w->spec, at);
            deform(w, dtype, displacement, first, k, u, jacobian);
            if (hypot(at[0] + u[0] - x[0], at[1] + u[1] - x[1]) < size)
                break;
        }
    }
    return size <= 1e-9 * (double)(w->spec.width + w->spec.height) &&
           jacobian[0] * jacobian[3] - jacobian[1] * jacobian[2] > 0 && at[0] >= -0.5 && at[1] >= -0.5 &&
           at[0] <= (double)w->spec.width - 0.5 && at[1] <= (double)w->spec.height - 0.5;
}

fwm_status fem_warp_apply(const fem_warp *w, ad_dtype dtype, void *out, const void *picture, const void *displacement)
{
    const fem_warp_spec *s = &w->spec;
    int64_t pixels = s->height * s->width, channels = s->channels;
    memset(out, 0, (size_t)(w->batch * pixels * channels) * (dtype == AD_F64 ? sizeof(double) : sizeof(float)));
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < w->batch * s->height; row++)
        for (int64_t column = 0; column < s->width; column++) {
            int64_t first = row / s->height * pixels, at = row * s->width + column;
            double x[2] = {(double)column, (double)(row % s->height)}, place[2], jacobian[4];
            stencil k;
            bool shown = find_place(w, dtype, displacement, first, x, place, &k, jacobian);
            for (int64_t c = 0; c < channels; c++) {
                double value = shown ? 0 : s->background;
                for (int n = 0; shown && n < 4; n++)
                    value += k.weight[n] * number(dtype, picture, (first + k.pixel[n]) * channels + c);
                add(dtype, out, at * channels + c, value);
            }
        }
    return FWM_OK;
}

/* One pixel's share of the bars. */
static void pull(const fem_warp *w, ad_dtype dtype, void *picture_bar, void *displacement_bar, const void *out_bar,
                 const void *picture, int64_t first, int64_t pixel, const stencil *k, const double jacobian[4])
{
    int64_t channels = w->spec.channels;
    double g[2] = {0, 0}, det = jacobian[0] * jacobian[3] - jacobian[1] * jacobian[2];
    for (int64_t c = 0; c < channels; c++) {
        double bar = number(dtype, out_bar, (first + pixel) * channels + c);
        for (int n = 0; n < 4; n++) {
            int64_t i = (first + k->pixel[n]) * channels + c;
            for (int d = 0; d < 2; d++)
                g[d] += bar * k->slope[n][d] * number(dtype, picture, i);
            if (picture_bar)
                add(dtype, picture_bar, i, k->weight[n] * bar);
        }
    }
    const double l[2] = {(jacobian[3] * g[0] - jacobian[2] * g[1]) / det,
                         (jacobian[0] * g[1] - jacobian[1] * g[0]) / det};
    for (int n = 0; displacement_bar && n < 4; n++)
        for (int d = 0; d < 2; d++)
            add(dtype, displacement_bar, (first + k->pixel[n]) * 2 + d, -k->weight[n] * l[d] * w->scale[d]);
}

fwm_status fem_warp_vjp(const fem_warp *w, ad_dtype dtype, void *picture_bar, void *displacement_bar,
                        const void *out_bar, const void *picture, const void *displacement)
{
    const fem_warp_spec *s = &w->spec;
    int64_t pixels = s->height * s->width;
    size_t bytes = (size_t)(w->batch * pixels) * (dtype == AD_F64 ? sizeof(double) : sizeof(float));
    if (picture_bar)
        memset(picture_bar, 0, bytes * (size_t)s->channels);
    if (displacement_bar)
        memset(displacement_bar, 0, bytes * 2);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < w->batch; b++)
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            double x[2] = {(double)(pixel % s->width), (double)(pixel / s->width)}, place[2], jacobian[4];
            stencil k;
            if (find_place(w, dtype, displacement, b * pixels, x, place, &k, jacobian))
                pull(w, dtype, picture_bar, displacement_bar, out_bar, picture, b * pixels, pixel, &k, jacobian);
        }
    return FWM_OK;
}

/* ---- in the graph ---- */

static fwm_status custom_shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    const fem_warp *w = self;
    const fem_warp_spec *s = &w->spec;
    FWM_CHECK(n == 2, FWM_SHAPE, "warp: expected a picture and a displacement, found %d inputs", n);
    for (int k = 0; k < 2; k++) {
        const int64_t want[4] = {w->batch, s->height, s->width, k == 0 ? s->channels : 2};
        FWM_CHECK(in[k].rank == 4 && memcmp(in[k].dim, want, sizeof want) == 0, FWM_SHAPE,
                  "warp: %s: expected shape [%lld,%lld,%lld,%lld]", k == 0 ? "picture" : "displacement",
                  (long long)want[0], (long long)want[1], (long long)want[2], (long long)want[3]);
    }
    *out = in[0];
    return FWM_OK;
}

static fwm_status custom_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    return fem_warp_apply(self, dtype, out, in[0], in[1]);
}

static fwm_status custom_vjp(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                             void *const *dx)
{
    (void)out;
    return fem_warp_vjp(self, dtype, dx[0], dx[1], dout, in[0], in[1]);
}

const ad_custom *fem_warp_custom(const fem_warp *w)
{
    return &w->custom;
}

fwm_status fem_warp_create(fem_warp **out, const fem_warp_spec *spec, int64_t batch)
{
    *out = NULL;
    FWM_CHECK(spec->height >= 2 && spec->height <= MAX_SIDE && spec->width >= 2 && spec->width <= MAX_SIDE, FWM_INVALID,
              "warp: expected 2 to %d pixels a side, found %lldx%lld", MAX_SIDE, (long long)spec->height,
              (long long)spec->width);
    FWM_CHECK(spec->channels >= 1 && spec->channels <= MAX_CHANNELS && batch >= 1, FWM_INVALID,
              "warp: expected 1 to %d channels and a batch of at least 1, found %lld and %lld", MAX_CHANNELS,
              (long long)spec->channels, (long long)batch);
    fem_warp *w = fwm_calloc(1, sizeof *w);
    FWM_CHECK(w, FWM_MEMORY, "warp: out of memory");
    w->spec = *spec;
    w->batch = batch;
    w->scale[0] = (double)spec->width / (spec->upper[0] - spec->lower[0]);
    w->scale[1] = -(double)spec->height / (spec->upper[1] - spec->lower[1]);
    w->custom =
        (ad_custom){.name = "warp", .self = w, .shape = custom_shape, .forward = custom_forward, .vjp = custom_vjp};
    if (!(w->scale[0] > 0 && w->scale[1] < 0 && isfinite(w->scale[0]) && isfinite(w->scale[1]))) {
        fem_warp_destroy(&w);
        return fwm_fail(FWM_INVALID, "warp: expected a box of positive extent, found %g..%g x %g..%g", spec->lower[0],
                        spec->upper[0], spec->lower[1], spec->upper[1]);
    }
    *out = w;
    return FWM_OK;
}

void fem_warp_destroy(fem_warp **w)
{
    fwm_free(*w);
    *w = NULL;
}
