/* What the three convolution operators share: attributes, geometry, plain loops, preparation.
 *
 * y = conv(x, w):  y[b,p,q,o] = sum over i,j,c of x[b, p s - pad + i dil, q s - pad + j dil, c] w[i,j,c,o]
 * x [B,H,W,Cin], w [kh,kw,Cin/groups,Cout], y [B,h,w,Cout]; output channel o reads the channels of its group.
 * The form <y, conv(x, w)> is linear in each of x, w and y; conv2d, conv2d_transpose (adjoint in x) and
 * conv2d_weight_grad (adjoint in w) are its three derivatives, so that every gradient of one of them is again one of
 * them.
 *
 * float32 runs in our Winograd or narrow kernels where the shape makes them the faster, otherwise in oneDNN; float64,
 * and what oneDNN may not or cannot do, in the loops below, which give the same bits for any number of threads: an
 * output element belongs to one thread, and its sum has one order. */
#ifndef FWM_AUTODIFF_OPS_CONV_H
#define FWM_AUTODIFF_OPS_CONV_H

#include "model/autodiff/choice.h"
#include "model/autodiff/dnnl/conv.h"
#include "model/autodiff/kernels/narrow.h"
#include "model/autodiff/kernels/winograd.h"
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <string.h>

/* Places in ad_attributes.i; pairs are (vertical, horizontal). SIZE: H, W of conv2d_transpose, kh, kw of
 * conv2d_weight_grad. */
enum { CONV_STRIDE = 0, CONV_BEFORE = 2, CONV_AFTER = 4, CONV_DILATION = 6, CONV_GROUPS = 8, CONV_SIZE = 9 };

/* All sizes, from shapes that a shape rule has checked. */
static inline ad_conv_geometry conv_geometry(const ad_shape *x, const ad_shape *w, const ad_shape *y,
                                             const ad_attributes *attr)
{
    ad_conv_geometry s = {.B = x->dim[0], .H = x->dim[1], .W = x->dim[2], .Cin = x->dim[3]};
    s.kh = w->dim[0], s.kw = w->dim[1];
    s.h = y->dim[1], s.w = y->dim[2], s.Cout = y->dim[3];
    s.groups = attr->i[CONV_GROUPS];
    for (int k = 0; k < 2; k++) {
        s.stride[k] = attr->i[CONV_STRIDE + k];
        s.pad_before[k] = attr->i[CONV_BEFORE + k];
        s.pad_after[k] = attr->i[CONV_AFTER + k];
        s.dilation[k] = attr->i[CONV_DILATION + k];
    }
    return s;
}

/* ---- plain loops ---- */

/* y[n] += a x[n] and the dot product: the channels are contiguous, so these are the vector loops. */
static inline void conv_axpy(int64_t n, real a, const real *restrict x, real *restrict y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static inline real conv_dot(int64_t n, const real *restrict x, const real *restrict y)
{
    real s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++)
        s += x[i] * y[i];
    return s;
}

static inline void conv_forward_pixel(const ad_conv_geometry *s, const real *x, const real *w, real *y, int64_t p,
                                      int64_t q)
{
    int64_t cg = s->Cin / s->groups, og = s->Cout / s->groups;
    memset(y, 0, (size_t)s->Cout * sizeof *y);
    for (int64_t i = 0; i < s->kh; i++) {
        int64_t r = p * s->stride[0] - s->pad_before[0] + i * s->dilation[0];
        if (r < 0 || r >= s->H)
            continue;
        for (int64_t j = 0; j < s->kw; j++) {
            int64_t c = q * s->stride[1] - s->pad_before[1] + j * s->dilation[1];
            if (c < 0 || c >= s->W)
                continue;
            const real *pixel = x + (r * s->W + c) * s->Cin, *tap = w + (i * s->kw + j) * cg * s->Cout;
            for (int64_t g = 0; g < s->groups; g++)
                for (int64_t k = 0; k < cg; k++)
                    conv_axpy(og, pixel[g * cg + k], tap + k * s->Cout + g * og, y + g * og);
        }
    }
}

static inline void conv_forward_loops(const ad_conv_geometry *s, const real *x, const real *w, real *y)
{
    int64_t rows = s->B * s->h;
#pragma omp parallel for schedule(static) if (rows * s->w * s->Cout * s->kh * s->kw * s->Cin > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t q = 0; q < s->w; q++)
            conv_forward_pixel(s, x + row / s->h * s->H * s->W * s->Cin, w, y + (row * s->w + q) * s->Cout, row % s->h,
                               q);
}

/* The output row or column that tap `i` of input position `r` belongs to; -1 where there is none. */
static inline int64_t conv_source(const ad_conv_geometry *s, int axis, int64_t r, int64_t i, int64_t size)
{
    int64_t t = r + s->pad_before[axis] - i * s->dilation[axis];
    return t < 0 || t % s->stride[axis] != 0 || t / s->stride[axis] >= size ? -1 : t / s->stride[axis];
}

static inline void conv_data_pixel(const ad_conv_geometry *s, const real *y, const real *w, real *x, int64_t r,
                                   int64_t c)
{
    int64_t cg = s->Cin / s->groups, og = s->Cout / s->groups;
    memset(x, 0, (size_t)s->Cin * sizeof *x);
    for (int64_t i = 0; i < s->kh; i++) {
        int64_t p = conv_source(s, 0, r, i, s->h);
        for (int64_t j = 0; j < s->kw && p >= 0; j++) {
            int64_t q = conv_source(s, 1, c, j, s->w);
            if (q < 0)
                continue;
            const real *pixel = y + (p * s->w + q) * s->Cout, *tap = w + (i * s->kw + j) * cg * s->Cout;
            for (int64_t g = 0; g < s->groups; g++)
                for (int64_t k = 0; k < cg; k++)
                    x[g * cg + k] += conv_dot(og, pixel + g * og, tap + k * s->Cout + g * og);
        }
    }
}

static inline void conv_data_loops(const ad_conv_geometry *s, const real *y, const real *w, real *x)
{
    int64_t rows = s->B * s->H;
#pragma omp parallel for schedule(static) if (rows * s->W * s->Cin * s->kh * s->kw * s->Cout > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t c = 0; c < s->W; c++)
            conv_data_pixel(s, y + row / s->H * s->h * s->w * s->Cout, w, x + (row * s->W + c) * s->Cin, row % s->H, c);
}

/* One row of the weights' gradient: tap (i,j), channel k of every group. */
static inline void conv_weight_row(const ad_conv_geometry *s, const real *x, const real *y, real *w, int64_t i,
                                   int64_t j, int64_t k)
{
    int64_t cg = s->Cin / s->groups, og = s->Cout / s->groups;
    memset(w, 0, (size_t)s->Cout * sizeof *w);
    for (int64_t row = 0; row < s->B * s->h; row++) {
        int64_t b = row / s->h, r = row % s->h * s->stride[0] - s->pad_before[0] + i * s->dilation[0];
        if (r < 0 || r >= s->H)
            continue;
        for (int64_t q = 0; q < s->w; q++) {
            int64_t c = q * s->stride[1] - s->pad_before[1] + j * s->dilation[1];
            if (c < 0 || c >= s->W)
                continue;
            const real *pixel = x + ((b * s->H + r) * s->W + c) * s->Cin, *from = y + (row * s->w + q) * s->Cout;
            for (int64_t g = 0; g < s->groups; g++)
                conv_axpy(og, pixel[g * cg + k], from + g * og, w + g * og);
        }
    }
}

static inline void conv_weight_loops(const ad_conv_geometry *s, const real *x, const real *y, real *w)
{
    int64_t cg = s->Cin / s->groups, rows = s->kh * s->kw * cg;
#pragma omp parallel for schedule(static) if (rows * s->B * s->h * s->w * s->Cout > FWM_PARALLEL_MIN)
    for (int64_t row = 0; row < rows; row++)
        conv_weight_row(s, x, y, w + row * s->Cout, row / cg / s->kw, row / cg % s->kw, row % cg);
}

/* ---- choice ---- */

/* Which of them runs; without a state the loops do. */
typedef struct conv_state {
    enum { CONV_LIBRARY, CONV_WINOGRAD, CONV_NARROW } which;
    ad_dnnl_conv *library;
    ad_winograd winograd;
    ad_narrow narrow;
} conv_state;

static inline fwm_status conv_run(ad_conv_kind kind, const ad_conv_geometry *s, const ad_call *call, const void *x,
                                  const void *w, const void *y)
{
    const conv_state *state = call->state;
    /* One of the three is the output; oneDNN's memory objects take all of them without const. */
    void *px = (void *)(uintptr_t)x, *pw = (void *)(uintptr_t)w, *py = (void *)(uintptr_t)y;
    if (state && state->which == CONV_LIBRARY)
        return ad_dnnl_conv_run(state->library, px, pw, py, call->scratch);
    if (state && state->which == CONV_NARROW)
        ad_narrow_find(call->dtype, FWM_ISA_LEVEL)(&state->narrow, px, pw, py, call->scratch);
    else if (state)
        ad_winograd_find(call->dtype, FWM_ISA_LEVEL)(&state->winograd, px, pw, py, call->scratch);
    else if (kind == AD_CONV_FORWARD)
        conv_forward_loops(s, x, w, call->out);
    else if (kind == AD_CONV_BACKWARD_DATA)
        conv_data_loops(s, y, w, call->out);
    else
        conv_weight_loops(s, x, y, call->out);
    return FWM_OK;
}

/* ---- description ---- */

#ifdef FWM_DEFINITION

static inline fwm_status conv_output_size(const ad_attributes *attr, int axis, int64_t size, int64_t kernel,
                                          int64_t *out)
{
    int64_t stride = attr->i[CONV_STRIDE + axis], dilation = attr->i[CONV_DILATION + axis];
    int64_t before = attr->i[CONV_BEFORE + axis], after = attr->i[CONV_AFTER + axis];
    FWM_CHECK(kernel >= 1 && stride >= 1 && dilation >= 1 && before >= 0 && after >= 0, FWM_INVALID,
              "expected kernel, stride and dilation of at least 1 and padding of at least 0; found %lld, %lld, %lld, "
              "%lld, %lld",
              (long long)kernel, (long long)stride, (long long)dilation, (long long)before, (long long)after);
    int64_t room = size + before + after - ((kernel - 1) * dilation + 1);
    FWM_CHECK(room >= 0, FWM_SHAPE, "the kernel spans %lld positions, the padded image has only %lld",
              (long long)((kernel - 1) * dilation + 1), (long long)(size + before + after));
    *out = room / stride + 1;
    return FWM_OK;
}

static inline fwm_status conv_check_ranks(const ad_shape *a, const ad_shape *b)
{
    FWM_CHECK(a->rank == 4 && b->rank == 4, FWM_SHAPE,
              "expected images [B,H,W,C] and weights [kh,kw,Cin,Cout], found ranks %d and %d", a->rank, b->rank);
    return FWM_OK;
}

static inline fwm_status conv_check_channels(const ad_attributes *attr, int64_t Cin, int64_t Cout, int64_t per_group)
{
    int64_t groups = attr->i[CONV_GROUPS];
    FWM_CHECK(groups >= 1 && Cin % groups == 0 && Cout % groups == 0, FWM_SHAPE,
              "%lld groups do not divide %lld and %lld channels", (long long)groups, (long long)Cin, (long long)Cout);
    FWM_CHECK(per_group == Cin / groups, FWM_SHAPE, "the weights read %lld channels a group, the images have %lld",
              (long long)per_group, (long long)(Cin / groups));
    return FWM_OK;
}

static inline double conv_flops(const ad_conv_geometry *s)
{
    return 2.0 * (double)(s->B * s->h * s->w * s->Cout) * (double)(s->kh * s->kw * (s->Cin / s->groups));
}

/* Kernels by name; without a state the plain loops. */
static const char *const conv_candidates[] = {"library", "winograd", "narrow", NULL};

/* What is asked for, or the rule's choice; false where the shape does not fit what is asked for. */
static inline bool conv_which(ad_conv_kind kind, const ad_conv_geometry *s, conv_state *c)
{
    const char *name = ad_preparing_choice();
    const bool winograd = name ? strcmp(name, "winograd") == 0 : ad_winograd_pays(kind, s);
    const bool narrow = name ? strcmp(name, "narrow") == 0 : !winograd && ad_narrow_pays(kind, s);
    c->which = winograd ? CONV_WINOGRAD : narrow ? CONV_NARROW : CONV_LIBRARY;
    return (!winograd || ad_winograd_fits(s)) && (!narrow || ad_narrow_fits(kind, s));
}

static inline fwm_status conv_prepare(ad_conv_kind kind, ad_dtype dtype, const ad_conv_geometry *s, void **state,
                                      size_t *scratch_size)
{
    conv_state c = {.which = CONV_LIBRARY};
    *state = NULL;
    if (dtype != AD_F32)
        return FWM_OK;
    if (!conv_which(kind, s, &c))
        return FWM_UNSUPPORTED;
    if (c.which == CONV_WINOGRAD) {
        c.winograd = ad_winograd_plan(kind, s, fwm_threads_count());
        *scratch_size = ad_winograd_scratch(&c.winograd, sizeof(float));
    } else if (c.which == CONV_NARROW) {
        c.narrow = ad_narrow_plan(kind, s, fwm_threads_count());
        *scratch_size = ad_narrow_scratch(&c.narrow, sizeof(float));
    } else {
        FWM_TRY(ad_dnnl_conv_create(&c.library, kind, s, scratch_size));
        if (!c.library)
            return FWM_OK;
    }
    *state = fwm_calloc(1, sizeof c);
    if (!*state)
        ad_dnnl_conv_destroy(&c.library);
    FWM_CHECK(*state, FWM_MEMORY, "convolution: out of memory");
    memcpy(*state, &c, sizeof c);
    return FWM_OK;
}

static inline void conv_release(void *state)
{
    conv_state *c = state;
    if (c)
        ad_dnnl_conv_destroy(&c->library);
    fwm_free(c);
}

static inline const char *conv_implementation(const void *state)
{
    const conv_state *c = state;
    return !c                          ? "loops"
           : c->which == CONV_WINOGRAD ? ad_winograd_name(&c->winograd)
           : c->which == CONV_NARROW   ? ad_narrow_name(&c->narrow)
                                       : ad_dnnl_conv_implementation(c->library);
}

static inline ad_attributes conv_attributes(const ad_conv *c)
{
    ad_attributes attr;
    memset(&attr, 0, sizeof attr);
    for (int k = 0; k < 2; k++) {
        attr.i[CONV_STRIDE + k] = c->stride[k] ? c->stride[k] : 1;
        attr.i[CONV_BEFORE + k] = c->pad_before[k];
        attr.i[CONV_AFTER + k] = c->pad_after[k];
        attr.i[CONV_DILATION + k] = c->dilation[k] ? c->dilation[k] : 1;
    }
    attr.i[CONV_GROUPS] = c->groups ? c->groups : 1;
    return attr;
}

/* The three operators on values, with the attributes of another member of the family. */
static inline ad_value conv_apply(ad_graph *g, const char *name, ad_value a, ad_value b, const ad_attributes *like,
                                  int64_t size0, int64_t size1)
{
    ad_attributes attr = *like;
    attr.i[CONV_SIZE] = size0;
    attr.i[CONV_SIZE + 1] = size1;
    return ad_apply(g, ad_op_find(name), 2, (ad_value[]){a, b}, &attr);
}

/* The table test's geometries: channels 1, 3, 4, 5; stride 2; 1x1 kernels; padding on one side; dilation; groups. */
static inline int conv_sample_geometries(ad_conv_geometry *s, int capacity)
{
    static const ad_conv_geometry all[] = {
        {.B = 2,
         .H = 5,
         .W = 4,
         .Cin = 3,
         .kh = 3,
         .kw = 3,
         .h = 5,
         .w = 4,
         .Cout = 4,
         .groups = 1,
         .stride = {1, 1},
         .pad_before = {1, 1},
         .pad_after = {1, 1},
         .dilation = {1, 1}},
        {.B = 2,
         .H = 6,
         .W = 5,
         .Cin = 4,
         .kh = 1,
         .kw = 1,
         .h = 3,
         .w = 3,
         .Cout = 5,
         .groups = 1,
         .stride = {2, 2},
         .dilation = {1, 1}},
        {.B = 1,
         .H = 6,
         .W = 6,
         .Cin = 5,
         .kh = 4,
         .kw = 4,
         .h = 3,
         .w = 3,
         .Cout = 3,
         .groups = 1,
         .stride = {2, 2},
         .pad_before = {1, 1},
         .pad_after = {1, 1},
         .dilation = {1, 1}},
        {.B = 1,
         .H = 7,
         .W = 6,
         .Cin = 1,
         .kh = 2,
         .kw = 3,
         .h = 4,
         .w = 3,
         .Cout = 1,
         .groups = 1,
         .stride = {2, 1},
         .pad_before = {1, 0},
         .pad_after = {0, 1},
         .dilation = {1, 2}},
        {.B = 2,
         .H = 4,
         .W = 4,
         .Cin = 4,
         .kh = 3,
         .kw = 3,
         .h = 4,
         .w = 4,
         .Cout = 6,
         .groups = 2,
         .stride = {1, 1},
         .pad_before = {1, 1},
         .pad_after = {1, 1},
         .dilation = {1, 1}},
    };
    int n = (int)(sizeof all / sizeof *all);
    for (int k = 0; k < n && k < capacity; k++)
        s[k] = all[k];
    return n < capacity ? n : capacity;
}

static inline int conv_samples(ad_conv_kind kind, ad_sample *out, int capacity)
{
    ad_conv_geometry s[8];
    int n = conv_sample_geometries(s, capacity < 8 ? capacity : 8);
    for (int k = 0; k < n; k++) {
        const ad_conv_geometry *e = &s[k];
        ad_shape x = ad_shape_make(4, e->B, e->H, e->W, e->Cin), y = ad_shape_make(4, e->B, e->h, e->w, e->Cout);
        ad_shape w = ad_shape_make(4, e->kh, e->kw, e->Cin / e->groups, e->Cout);
        ad_conv c = {.groups = (int)e->groups};
        for (int a = 0; a < 2; a++) {
            c.stride[a] = (int)e->stride[a], c.dilation[a] = (int)e->dilation[a];
            c.pad_before[a] = (int)e->pad_before[a], c.pad_after[a] = (int)e->pad_after[a];
        }
        out[k] = (ad_sample){.n_in = 2, .lo = -1, .hi = 1, .attr = conv_attributes(&c)};
        out[k].in[0] = kind == AD_CONV_BACKWARD_DATA ? y : x;
        out[k].in[1] = kind == AD_CONV_BACKWARD_WEIGHTS ? y : w;
        if (kind != AD_CONV_FORWARD) {
            out[k].attr.i[CONV_SIZE] = kind == AD_CONV_BACKWARD_DATA ? e->H : e->kh;
            out[k].attr.i[CONV_SIZE + 1] = kind == AD_CONV_BACKWARD_DATA ? e->W : e->kw;
        }
    }
    return n;
}

#endif
#endif
