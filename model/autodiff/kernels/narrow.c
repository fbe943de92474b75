#include "model/autodiff/kernels/narrow.h"

#include "model/autodiff/kernels/panel_product.h"

#include <omp.h>
#include <string.h>

enum {
    STRIP = 8 /* rows of the wide image that are read again from the cache by every run and panel of weights */
};

/* Scratch: weights, then for each thread the padded image and the products of one row. */
static inline int64_t weights_size(const ad_narrow *p)
{
    return p->kind == AD_CONV_BACKWARD_WEIGHTS ? p->groups * p->many * p->kh * p->run : p->kh * p->many * PANEL;
}

static inline int64_t padded_size(const ad_narrow *p)
{
    return (p->rows * p->length + PANEL - 1) / PANEL * PANEL;
}

static inline int64_t own_size(const ad_narrow *p)
{
    return padded_size(p) + (p->kind != AD_CONV_BACKWARD_WEIGHTS ? p->kh * p->w * PANEL : 0);
}

/* Where W[i][column][n] stands in w [kh,kw,Cin,Cout]. */
static inline int64_t weight_at(const ad_narrow *p, int64_t i, int64_t column, int64_t n)
{
    int64_t j = column / p->few, c = column % p->few;
    return p->turned ? (((p->kh - 1 - i) * p->kw + p->kw - 1 - j) * p->many + n) * p->few + c
                     : ((i * p->kw + j) * p->few + c) * p->many + n;
}

/* [kh][many][16], zeros behind the run. */
static void pack_weights(const ad_narrow *p, const real *w, real *packed)
{
    for (int64_t i = 0; i < p->kh; i++)
        for (int64_t n = 0; n < p->many; n++, packed += PANEL)
            for (int64_t column = 0; column < PANEL; column++)
                packed[column] = column < p->run ? w[weight_at(p, i, column, n)] : 0;
}

static inline real *inside_of(const ad_narrow *p, real *padded)
{
    return padded + p->before[0] * p->length + p->before[1] * p->few;
}

static void copy_in(const ad_narrow *p, const real *image, real *padded)
{
    memset(padded, 0, (size_t)padded_size(p) * sizeof *padded);
    real *to = inside_of(p, padded);
    for (int64_t row = 0; row < p->H; row++)
        memcpy(to + row * p->length, image + row * p->W * p->few, (size_t)(p->W * p->few) * sizeof *to);
}

static void copy_out(const ad_narrow *p, real *image, real *padded)
{
    const real *from = inside_of(p, padded);
    for (int64_t row = 0; row < p->H; row++)
        memcpy(image + row * p->W * p->few, from + row * p->length, (size_t)(p->W * p->few) * sizeof *from);
}

/* Windows that are added one after the other lie a panel apart: none waits for what the one before has written. */
static void add_runs(const ad_narrow *p, const real *products, real *to)
{
    int64_t step = p->stride[1] * p->few, apart = (PANEL + step - 1) / step;
    for (int64_t first = 0; first < apart; first++)
        for (int64_t q = first; q < p->w; q += apart)
            for (int v = 0; v < PANEL; v += LANES)
                lanes_store(to + q * step + v, lanes_load(to + q * step + v) + lanes_load(products + q * PANEL + v));
}

static void scatter(const ad_narrow *p, real *narrow, const real *packed, const real *wide, real *padded)
{
    const panel_walk walk = {.a_row = p->many, .a_step = 1, .b_row = PANEL, .c_row = PANEL};
    real *products = padded + padded_size(p);
    memset(padded, 0, (size_t)padded_size(p) * sizeof *padded);
    for (int64_t row = 0; row < p->h; row++, wide += p->w * p->many)
        for (int64_t i = 0; i < p->kh; i++) {
            panel_product(p->w, products + i * p->w * PANEL, wide, packed + i * p->many * PANEL, p->many, 1, walk,
                          false);
            add_runs(p, products + i * p->w * PANEL, padded + (row * p->stride[0] + i) * p->length);
        }
    copy_out(p, narrow, padded);
}

/* sums [many/16][kh][run][16] (+)= one image. */
static void add_weights(const ad_narrow *p, const real *narrow, const real *wide, real *sums, real *padded, bool add)
{
    const panel_walk walk = {.a_row = 1,
                             .a_step = p->stride[1] * p->few,
                             .a_outer = p->stride[0] * p->length,
                             .b_row = p->many,
                             .c_row = PANEL};
    copy_in(p, narrow, padded);
    for (int64_t row = 0; row < p->h; row += STRIP) {
        int64_t rows = p->h - row < STRIP ? p->h - row : STRIP;
        for (int64_t n = 0; n < p->many; n += PANEL)
            for (int64_t i = 0; i < p->kh; i++)
                panel_product(p->run, sums + (n / PANEL * p->kh + i) * p->run * PANEL,
                              padded + (row * p->stride[0] + i) * p->length, wide + row * p->w * p->many + n, p->w,
                              rows, walk, add || row > 0);
    }
}

static void finish_weights(const ad_narrow *p, const real *sums, real *w)
{
    int64_t each = p->many * p->kh * p->run;
    for (int64_t n = 0; n < p->many; n++)
        for (int64_t i = 0; i < p->kh; i++)
            for (int64_t column = 0; column < p->run; column++) {
                const real *from = sums + ((n / PANEL * p->kh + i) * p->run + column) * PANEL + n % PANEL;
                real total = 0;
                for (int64_t group = 0; group < p->groups; group++)
                    total += from[group * each];
                w[weight_at(p, i, column, n)] = total;
            }
}

static void run_weights(const ad_narrow *p, const real *narrow, real *w, const real *wide, real *scratch)
{
    int64_t each = p->many * p->kh * p->run;
#pragma omp parallel num_threads(p->threads) if (p->threads > 1)
    {
        real *padded = scratch + weights_size(p) + omp_get_thread_num() * own_size(p);
#pragma omp for schedule(dynamic)
        for (int64_t group = 0; group < p->groups; group++)
            for (int64_t b = group * p->B / p->groups, first = b; b < (group + 1) * p->B / p->groups; b++)
                add_weights(p, narrow + b * p->H * p->W * p->few, wide + b * p->h * p->w * p->many,
                            scratch + group * each, padded, b > first);
    }
    finish_weights(p, scratch, w);
}

static void run_scatter(const ad_narrow *p, real *narrow, const real *w, const real *wide, real *scratch)
{
    pack_weights(p, w, scratch);
#pragma omp parallel num_threads(p->threads) if (p->threads > 1)
    {
        real *padded = scratch + weights_size(p) + omp_get_thread_num() * own_size(p);
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < p->B; b++)
            scatter(p, narrow + b * p->H * p->W * p->few, scratch, wide + b * p->h * p->w * p->many, padded);
    }
}

static void run(const ad_narrow *p, void *x, void *w, void *y, void *scratch)
{
    real *narrow = p->turned ? y : x, *wide = p->turned ? x : y;
    if (p->kind == AD_CONV_BACKWARD_WEIGHTS)
        run_weights(p, narrow, w, wide, scratch);
    else
        run_scatter(p, narrow, w, wide, scratch);
}

extern const ad_narrow_kernel FWM_V(ad_narrow_run);
const ad_narrow_kernel FWM_V(ad_narrow_run) = run;

/* ---- planning ---- */

#ifdef FWM_DEFINITION

extern const ad_narrow_kernel ad_narrow_run_f32_v1, ad_narrow_run_f32_v3, ad_narrow_run_f32_v4, ad_narrow_run_f64_v3,
    ad_narrow_run_f64_v4;

ad_narrow_kernel ad_narrow_find(ad_dtype dtype, int isa_level)
{
    if (dtype == AD_F64)
        return isa_level >= 4 ? ad_narrow_run_f64_v4 : isa_level >= 3 ? ad_narrow_run_f64_v3 : ad_narrow_run_f64_v1;
    return isa_level >= 4 ? ad_narrow_run_f32_v4 : isa_level >= 3 ? ad_narrow_run_f32_v3 : ad_narrow_run_f32_v1;
}

static bool is_narrow(const ad_conv_geometry *s, int64_t few, int64_t many)
{
    return s->kw * few <= PANEL && many % PANEL == 0;
}

bool ad_narrow_fits(ad_conv_kind kind, const ad_conv_geometry *s)
{
    enum { LARGEST = 1 << 20 };
    if (s->groups != 1 || s->dilation[0] != 1 || s->dilation[1] != 1)
        return false;
    bool turned = !is_narrow(s, s->Cin, s->Cout);
    if (turned && (!is_narrow(s, s->Cout, s->Cin) || s->stride[0] != 1 || s->stride[1] != 1 ||
                   s->pad_before[0] >= s->kh || s->pad_before[1] >= s->kw))
        return false;
    if (kind == (turned ? AD_CONV_BACKWARD_DATA : AD_CONV_FORWARD))
        return false;
    ad_narrow p = ad_narrow_plan(kind, s, 1);
    return p.rows <= LARGEST && p.rows * p.length * (int64_t)sizeof(float) <= LARGEST;
}

ad_narrow ad_narrow_plan(ad_conv_kind kind, const ad_conv_geometry *s, int threads)
{
    enum { MOST_GROUPS = 16 };
    ad_narrow p = {.kind = kind, .turned = !is_narrow(s, s->Cin, s->Cout), .B = s->B, .kh = s->kh, .kw = s->kw};
    p.threads = threads;
    p.few = p.turned ? s->Cout : s->Cin;
    p.many = p.turned ? s->Cin : s->Cout;
    p.H = p.turned ? s->h : s->H, p.W = p.turned ? s->w : s->W;
    p.h = p.turned ? s->H : s->h, p.w = p.turned ? s->W : s->w;
    int64_t kernel[2] = {s->kh, s->kw}, from[2] = {p.H, p.W}, to[2] = {p.h, p.w}, span[2];
    for (int axis = 0; axis < 2; axis++) {
        p.stride[axis] = s->stride[axis];
        p.before[axis] = p.turned ? kernel[axis] - 1 - s->pad_before[axis] : s->pad_before[axis];
        int64_t read = (to[axis] - 1) * p.stride[axis] + kernel[axis], own = p.before[axis] + from[axis];
        span[axis] = read > own ? read : own;
    }
    p.run = s->kw * p.few;
    p.rows = span[0];
    p.length = span[1] * p.few + PANEL;
    p.groups = s->B < MOST_GROUPS ? s->B : MOST_GROUPS;
    return p;
}

/* Measured on two AVX2 cores of a Zen 3, oneDNN 2.6.3 beside it in one run: 3 and 4 channels against 32 and 64, batches
 * of 16 and 128: scatter 2.7 to 3.8 times faster, weights 1.6 to 4.4; 1 channel 2 to 5 as Cout, 0.8 to 1.4 as Cin.
 * Images are shared among threads whole. */
bool ad_narrow_pays(ad_conv_kind kind, const ad_conv_geometry *s)
{
    enum { FEW_IMAGES = 8, SHORT_RUN = 8 };
    bool tiny = s->kh == 1 || s->B < FEW_IMAGES || (s->Cin < s->Cout && s->kw * s->Cin < SHORT_RUN);
    return !tiny && ad_narrow_fits(kind, s);
}

const char *ad_narrow_name(const ad_narrow *p)
{
    return p->kind == AD_CONV_BACKWARD_WEIGHTS ? "narrow:weights" : "narrow:scatter";
}

size_t ad_narrow_scratch(const ad_narrow *p, size_t real_size)
{
    return (size_t)(weights_size(p) + p->threads * own_size(p)) * real_size;
}

#endif
