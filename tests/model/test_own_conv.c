/* Our own convolutions, Winograd's and the narrow ones, against sums written out from the definition: all kinds, number
 * types, instruction sets, one and two threads with equal bits; odd sizes, padding on one side, every tap count and
 * stride that fits. */
#include "model/autodiff/kernels/narrow.h"
#include "model/autodiff/kernels/winograd.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"
#include "model/base/threads.h"
#include "model/nn/layers.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { X, W, Y, TENSORS, GUARD = 64 };

typedef struct problem {
    ad_conv_geometry s;
    int64_t n[TENSORS];
    double *in[TENSORS], *out[TENSORS]; /* drawn numbers; the three derivatives of their trilinear form */
    int64_t terms[TENSORS];
} problem;

static ad_conv_geometry geometry(const int64_t f[11])
{
    ad_conv_geometry s = {.B = f[0],
                          .H = f[1],
                          .W = f[2],
                          .Cin = f[3],
                          .Cout = f[4],
                          .kh = f[5],
                          .kw = f[5],
                          .groups = 1,
                          .stride = {f[6], f[6]},
                          .pad_before = {f[7], f[8]},
                          .pad_after = {f[9], f[10]},
                          .dilation = {1, 1}};
    s.h = (s.H + f[7] + f[9] - s.kh) / f[6] + 1;
    s.w = (s.W + f[8] + f[10] - s.kw) / f[6] + 1;
    return s;
}

static void sum_terms(problem *p)
{
    const ad_conv_geometry *s = &p->s;
    for (int64_t at_y = 0; at_y < p->n[Y]; at_y++) {
        int64_t o = at_y % s->Cout, v = at_y / s->Cout % s->w, u = at_y / s->Cout / s->w % s->h;
        int64_t b = at_y / s->Cout / s->w / s->h;
        for (int64_t i = 0; i < s->kh; i++)
            for (int64_t j = 0; j < s->kw; j++) {
                int64_t r = u * s->stride[0] + i - s->pad_before[0], c = v * s->stride[1] + j - s->pad_before[1];
                for (int64_t k = 0; k < s->Cin && r >= 0 && c >= 0 && r < s->H && c < s->W; k++) {
                    int64_t at_x = ((b * s->H + r) * s->W + c) * s->Cin + k;
                    int64_t at_w = ((i * s->kw + j) * s->Cin + k) * s->Cout + o;
                    p->out[Y][at_y] += p->in[X][at_x] * p->in[W][at_w];
                    p->out[X][at_x] += p->in[W][at_w] * p->in[Y][at_y];
                    p->out[W][at_w] += p->in[X][at_x] * p->in[Y][at_y];
                }
            }
    }
}

static problem make_problem(const int64_t f[11])
{
    problem p = {.s = geometry(f)};
    const ad_conv_geometry *s = &p.s;
    p.n[X] = s->B * s->H * s->W * s->Cin, p.n[W] = s->kh * s->kw * s->Cin * s->Cout,
    p.n[Y] = s->B * s->h * s->w * s->Cout;
    p.terms[X] = s->kh * s->kw * s->Cout, p.terms[W] = s->B * s->h * s->w, p.terms[Y] = s->kh * s->kw * s->Cin;
    for (int k = 0; k < TENSORS; k++) {
        p.in[k] = malloc((size_t)p.n[k] * sizeof(double));
        p.out[k] = calloc((size_t)p.n[k], sizeof(double));
        for (int64_t i = 0; i < p.n[k]; i++) /* numbers that float holds exactly */
            p.in[k][i] = (double)(float)(2 * fwm_random_uniform((fwm_key){9, (uint32_t)k}, 0, (uint32_t)i) - 1);
    }
    sum_terms(&p);
    return p;
}

static double number(ad_dtype dtype, const void *x, int64_t i)
{
    return dtype == AD_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

/* A family of kernels seen alike. */
typedef struct family {
    bool (*fits)(ad_conv_kind kind, const ad_conv_geometry *s);
    size_t (*scratch)(ad_conv_kind kind, const ad_conv_geometry *s, int threads, size_t size);
    void (*run)(ad_conv_kind kind, const ad_conv_geometry *s, int threads, ad_dtype dtype, int isa, char *const *tensor,
                void *work);
    double error; /* largest in eps/2 sqrt(terms) with |x|, |w|, |y| <= 1: twice the largest seen, or more */
} family;

static bool winograd_fits(ad_conv_kind kind, const ad_conv_geometry *s)
{
    (void)kind;
    return ad_winograd_fits(s);
}

static size_t winograd_scratch(ad_conv_kind kind, const ad_conv_geometry *s, int threads, size_t size)
{
    ad_winograd p = ad_winograd_plan(kind, s, threads);
    return ad_winograd_scratch(&p, size);
}

static void winograd_run(ad_conv_kind kind, const ad_conv_geometry *s, int threads, ad_dtype dtype, int isa,
                         char *const *tensor, void *work)
{
    ad_winograd p = ad_winograd_plan(kind, s, threads);
    ad_winograd_find(dtype, isa)(&p, tensor[X], tensor[W], tensor[Y], work);
}

static size_t narrow_scratch(ad_conv_kind kind, const ad_conv_geometry *s, int threads, size_t size)
{
    ad_narrow p = ad_narrow_plan(kind, s, threads);
    return ad_narrow_scratch(&p, size);
}

static void narrow_run(ad_conv_kind kind, const ad_conv_geometry *s, int threads, ad_dtype dtype, int isa,
                       char *const *tensor, void *work)
{
    ad_narrow p = ad_narrow_plan(kind, s, threads);
    ad_narrow_find(dtype, isa)(&p, tensor[X], tensor[W], tensor[Y], work);
}

/* Rounding errors add up like a random walk; a wrong term would be a thousand times larger than these bounds. */
static const family winograd = {winograd_fits, winograd_scratch, winograd_run, 100};
static const family narrow = {ad_narrow_fits, narrow_scratch, narrow_run, 20};

/* The tensor of the kind, computed; the memory behind it, in the scratch too, is held to be left alone. */
static void *compute(const family *f, const problem *p, ad_conv_kind kind, ad_dtype dtype, int isa, int threads)
{
    static const int target[] = {[AD_CONV_FORWARD] = Y, [AD_CONV_BACKWARD_DATA] = X, [AD_CONV_BACKWARD_WEIGHTS] = W};
    size_t size = ad_dtype_size(dtype), scratch = f->scratch(kind, &p->s, threads, size);
    char *tensor[TENSORS], *work = aligned_alloc(64, (scratch + 63 + GUARD) / 64 * 64);
    for (int k = 0; k < TENSORS; k++) {
        tensor[k] = malloc((size_t)p->n[k] * size + GUARD);
        for (int64_t i = 0; i < p->n[k]; i++)
            if (dtype == AD_F64)
                ((double *)(void *)tensor[k])[i] = p->in[k][i];
            else
                ((float *)(void *)tensor[k])[i] = (float)p->in[k][i];
        memset(tensor[k] + (size_t)p->n[k] * size, 0x5a, GUARD);
    }
    memset(tensor[target[kind]], 0xff, (size_t)p->n[target[kind]] * size); /* NaN: every element must be written */
    memset(work, 0xff, scratch);
    memset(work + scratch, 0x5a, GUARD);
    f->run(kind, &p->s, threads, dtype, isa, tensor, work);
    for (int i = 0; i < GUARD; i++) {
        cr_assert(work[scratch + (size_t)i] == 0x5a, "kind %d writes behind its scratch", kind);
        for (int k = 0; k < TENSORS; k++)
            cr_assert(tensor[k][(size_t)p->n[k] * size + (size_t)i] == 0x5a, "kind %d writes behind tensor %d", kind,
                      k);
    }
    free(work);
    for (int k = 0; k < TENSORS; k++)
        if (k != target[kind])
            free(tensor[k]);
    return tensor[target[kind]];
}

static void check_values(const family *f, const problem *p, ad_conv_kind kind, int t, ad_dtype dtype, const void *found)
{
    double eps = dtype == AD_F64 ? DBL_EPSILON : (double)FLT_EPSILON,
           bound = 0.5 * eps * f->error * sqrt((double)p->terms[t]);
    const ad_conv_geometry *s = &p->s;
    for (int64_t i = 0; i < p->n[t]; i++) {
        double error = fabs(number(dtype, found, i) - p->out[t][i]);
        cr_assert(error <= bound,
                  "kind %d f%d k%lld s%lld [%lld,%lld,%lld,%lld]->%lld: element %lld is %.9g, expected "
                  "%.9g within %g",
                  kind, dtype == AD_F64 ? 64 : 32, (long long)s->kh, (long long)s->stride[0], (long long)s->B,
                  (long long)s->H, (long long)s->W, (long long)s->Cin, (long long)s->Cout, (long long)i,
                  number(dtype, found, i), p->out[t][i], bound);
    }
}

static void check_problem(const family *f, const int64_t shape[11])
{
    static const int target[] = {[AD_CONV_FORWARD] = Y, [AD_CONV_BACKWARD_DATA] = X, [AD_CONV_BACKWARD_WEIGHTS] = W};
    const int levels[] = {1, 3, 4};
    problem p = make_problem(shape);
    int fitting = 0;
    for (ad_conv_kind kind = AD_CONV_FORWARD; kind <= AD_CONV_BACKWARD_WEIGHTS; kind++) {
        if (!f->fits(kind, &p.s))
            continue;
        fitting++;
        for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++)
            for (int level = 0; level < 3 && levels[level] <= fwm_isa_level(); level++) {
                int t = target[kind];
                void *one = compute(f, &p, kind, dtype, levels[level], 1),
                     *two = compute(f, &p, kind, dtype, levels[level], 2);
                check_values(f, &p, kind, t, dtype, one);
                cr_assert(memcmp(one, two, (size_t)p.n[t] * ad_dtype_size(dtype)) == 0,
                          "kind %d f%d level %d: the bits depend on the threads", kind, dtype == AD_F64 ? 64 : 32,
                          levels[level]);
                free(one), free(two);
            }
    }
    cr_assert(fitting == (f == &narrow ? 2 : 3), "%d kinds fit", fitting);
    for (int k = 0; k < TENSORS; k++)
        free(p.in[k]), free(p.out[k]);
}

Test(winograd, agrees_with_the_definition)
{
    /* B, H, W, Cin, Cout, kernel, stride, padding before (rows, columns), after */
    static const int64_t table[][11] = {
        {1, 4, 4, 16, 16, 3, 1, 1, 1, 1, 1},   {2, 9, 6, 16, 32, 3, 1, 1, 1, 1, 1},
        {1, 7, 13, 48, 16, 3, 1, 0, 2, 0, 1},  {3, 5, 3, 32, 16, 3, 1, 0, 0, 0, 0},
        {1, 3, 3, 16, 16, 3, 1, 2, 2, 2, 2},   {2, 8, 8, 80, 48, 3, 1, 1, 1, 1, 1},
        {1, 6, 6, 272, 16, 3, 1, 1, 1, 1, 1},  {2, 8, 8, 16, 16, 4, 2, 1, 1, 1, 1},
        {1, 11, 10, 32, 16, 4, 2, 1, 1, 1, 1}, {2, 13, 7, 16, 48, 4, 2, 0, 2, 3, 1},
        {1, 9, 9, 16, 32, 4, 2, 3, 0, 0, 1},   {1, 4, 4, 16, 16, 4, 2, 0, 0, 0, 0},
        {8, 8, 8, 80, 32, 4, 2, 1, 1, 1, 1},   {2, 7, 6, 16, 16, 2, 1, 0, 0, 0, 0},
        {1, 5, 9, 32, 48, 2, 1, 1, 0, 0, 1},   {24, 10, 10, 32, 32, 3, 1, 1, 1, 1, 1},
        {6, 21, 18, 16, 16, 3, 1, 1, 1, 1, 1},
    };
    for (size_t k = 0; k < sizeof table / sizeof *table; k++)
        check_problem(&winograd, table[k]);
}

Test(narrow, agrees_with_the_definition)
{
    static const int64_t table[][11] = {
        {3, 9, 7, 3, 16, 3, 1, 1, 1, 1, 1}, {2, 8, 6, 3, 32, 4, 2, 1, 1, 1, 1},   {20, 5, 6, 4, 16, 3, 1, 0, 2, 2, 0},
        {2, 7, 8, 1, 48, 5, 3, 2, 0, 1, 3}, {1, 21, 18, 4, 16, 4, 1, 3, 0, 0, 2}, {2, 4, 4, 15, 32, 1, 2, 0, 0, 0, 0},
        {2, 9, 7, 16, 4, 3, 1, 1, 1, 1, 1}, {3, 6, 11, 48, 3, 4, 1, 3, 1, 0, 2},  {17, 5, 5, 32, 1, 2, 1, 0, 1, 0, 0},
    };
    for (size_t k = 0; k < sizeof table / sizeof *table; k++)
        check_problem(&narrow, table[k]);
}

/* The three operators inside a plan: chosen for a shape where it pays, named, and the same as in float64. */
static void *run_plan(ad_dtype dtype, ad_conv_kind kind, const ad_conv_geometry *s, char *text, size_t capacity)
{
    ad_graph *g;
    ad_plan *plan;
    cr_assert(ad_graph_create(&g, dtype) == FWM_OK);
    ad_value x = ad_input(g, "x", ad_shape_make(4, s->B, s->H, s->W, s->Cin));
    ad_value w = ad_input(g, "w", ad_shape_make(4, s->kh, s->kw, s->Cin, s->Cout)), in[2] = {x, w}, d[2];
    ad_value y = ad_conv2d(g, x, w, &(ad_conv){.pad_before = {1, 1}, .pad_after = {1, 1}});
    ad_value dy = ad_input(g, "dy", *ad_shape_of(g, y)), all[3] = {x, w, dy};
    cr_assert(ad_vjp(g, y, dy, 2, in, d) == FWM_OK);
    ad_value wanted = kind == AD_CONV_FORWARD ? y : kind == AD_CONV_BACKWARD_DATA ? d[0] : d[1];
    cr_assert(ad_plan_create(&plan, g, 1, &wanted, &(ad_plan_options){.poison = true}) == FWM_OK);
    cr_assert(ad_plan_prepare(plan) == FWM_OK);
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; ad_plan_data(plan, all[k]) && i < ad_count(g, all[k]); i++) {
            double v = (double)(float)(fwm_random_uniform((fwm_key){3, (uint32_t)k}, 0, (uint32_t)i) - 0.5);
            if (dtype == AD_F64)
                ((double *)ad_plan_data(plan, all[k]))[i] = v;
            else
                ((float *)ad_plan_data(plan, all[k]))[i] = (float)v;
        }
    cr_assert(ad_plan_run(plan, 0, 0) == FWM_OK);
    FILE *out = fmemopen(text, capacity, "w");
    ad_plan_print(plan, out);
    fclose(out);
    size_t bytes = (size_t)ad_count(g, wanted) * ad_dtype_size(dtype);
    void *copy = memcpy(malloc(bytes), ad_plan_data(plan, wanted), bytes);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    return copy;
}

Test(winograd, is_chosen_and_named_in_a_plan)
{
    static char text[16384];
    const int64_t f[11] = {8, 32, 32, 64, 64, 3, 1, 1, 1, 1, 1};
    const ad_conv_geometry s = geometry(f);
    const int64_t n[] = {[AD_CONV_FORWARD] = s.B * s.h * s.w * s.Cout,
                         [AD_CONV_BACKWARD_DATA] = s.B * s.H * s.W * s.Cin,
                         [AD_CONV_BACKWARD_WEIGHTS] = 9 * s.Cin * s.Cout};
    for (ad_conv_kind kind = AD_CONV_FORWARD; kind <= AD_CONV_BACKWARD_WEIGHTS; kind++) {
        double *exact = run_plan(AD_F64, kind, &s, text, sizeof text);
        cr_expect(!strstr(text, "winograd"), "float64 is the plain reference: %s", text);
        float *found = run_plan(AD_F32, kind, &s, text, sizeof text);
        cr_expect(strstr(text, "winograd:F(4x4,3x3)"), "%s", text);
        double terms = kind == AD_CONV_BACKWARD_WEIGHTS ? (double)(s.B * s.h * s.w) : 9.0 * 64;
        for (int64_t i = 0; i < n[kind]; i++)
            cr_assert(fabs((double)found[i] - exact[i]) <= 0.25 * 50 * (double)FLT_EPSILON * sqrt(terms),
                      "kind %d [%lld] %g %g", kind, (long long)i, (double)found[i], exact[i]);
        free(exact), free(found);
    }
}

/* Shapes of first and last layers find the narrow kernels; what these are not made for does not fit. */
Test(narrow, is_chosen_where_it_pays)
{
    const int64_t first[11] = {8, 16, 16, 3, 32, 4, 2, 1, 1, 1, 1}, last[11] = {8, 16, 16, 32, 3, 3, 1, 1, 1, 1, 1};
    ad_conv_geometry s = geometry(first), t = geometry(last);
    cr_expect(ad_narrow_pays(AD_CONV_BACKWARD_DATA, &s) && ad_narrow_pays(AD_CONV_BACKWARD_WEIGHTS, &s));
    cr_expect(ad_narrow_pays(AD_CONV_FORWARD, &t) && ad_narrow_pays(AD_CONV_BACKWARD_WEIGHTS, &t));
    cr_expect(!ad_narrow_pays(AD_CONV_FORWARD, &s) && !ad_narrow_pays(AD_CONV_BACKWARD_DATA, &t));
    ad_conv_geometry other[] = {s, s, s, s, t, s};
    other[0].Cin = 5;
    other[1].Cout = 24;
    other[2].groups = 3;
    other[3].dilation[0] = 2;
    other[4].stride[1] = 2;
    other[5].H = other[5].W = 1024, other[5].h = other[5].w = 512;
    for (size_t k = 0; k < sizeof other / sizeof *other; k++)
        cr_expect(!ad_narrow_fits(AD_CONV_BACKWARD_WEIGHTS, &other[k]), "case %zu", k);
}

/* What the kernels are not made for must not be taken for what they are. */
Test(winograd, other_shapes_do_not_fit)
{
    const int64_t fits[11] = {1, 8, 8, 16, 16, 3, 1, 1, 1, 1, 1};
    cr_assert(ad_winograd_fits(&(ad_conv_geometry){0}) == false);
    ad_conv_geometry s = geometry(fits);
    cr_assert(ad_winograd_fits(&s));
    ad_conv_geometry other[] = {s, s, s, s, s, s, s};
    other[0].Cin = 12;
    other[1].Cout = 3;
    other[2].dilation[1] = 2;
    other[3].groups = 2;
    other[4].kw = 2;
    other[5].stride[0] = other[5].stride[1] = 2;
    other[6].kh = other[6].kw = 5;
    for (size_t k = 0; k < sizeof other / sizeof *other; k++)
        cr_expect(!ad_winograd_fits(&other[k]), "case %zu", k);
}

/* <dy, conv of the doubled image> and its gradients in x and w, by the one operator or by the two. */
static void doubled(bool one, double *all[3])
{
    ad_graph *g;
    ad_plan *plan;
    cr_assert(ad_graph_create(&g, AD_F64) == FWM_OK);
    ad_value in[2] = {ad_input(g, "x", ad_shape_make(4, 2, 3, 5, 4)), ad_input(g, "w", ad_shape_make(4, 3, 3, 4, 3))};
    ad_value dy = ad_input(g, "dy", ad_shape_make(4, 2, 6, 10, 3)), fed[3] = {in[0], in[1], dy}, out[3];
    out[0] = one ? ad_conv2d_doubled(g, in[0], in[1])
                 : ad_conv2d(g, ad_upsample_nearest(g, in[0], 2), in[1],
                             &(ad_conv){.pad_before = {1, 1}, .pad_after = {1, 1}});
    cr_assert(ad_vjp(g, out[0], dy, 2, in, out + 1) == FWM_OK, "%s", fwm_error_message());
    cr_assert(ad_plan_create(&plan, g, 3, out, NULL) == FWM_OK);
    cr_assert(ad_plan_prepare(plan) == FWM_OK);
    for (uint32_t k = 0; k < 3; k++)
        for (int64_t i = 0; i < ad_count(g, fed[k]); i++)
            ((double *)ad_plan_data(plan, fed[k]))[i] = fwm_random_uniform((fwm_key){4, k}, 0, (uint32_t)i) - 0.5;
    cr_assert(ad_plan_run(plan, 0, 0) == FWM_OK);
    for (int k = 0; k < 3; k++) {
        size_t bytes = (size_t)ad_count(g, out[k]) * sizeof(double);
        all[k] = memcpy(malloc(bytes), ad_plan_data(plan, out[k]), bytes);
    }
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

/* Sums of at most 36 terms below 1/4, in another order. */
Test(own_conv, doubled_is_the_convolution_of_the_doubled_image)
{
    const int64_t count[3] = {2 * 6 * 10 * 3, 2 * 3 * 5 * 4, 9 * 4 * 3};
    double *one[3], *two[3];
    doubled(true, one);
    doubled(false, two);
    for (int k = 0; k < 3; k++) {
        double largest = 0;
        for (int64_t i = 0; i < count[k]; i++) {
            cr_assert(fabs(one[k][i] - two[k][i]) <= 1e-13, "%d [%lld]: %.17g and %.17g", k, (long long)i, one[k][i],
                      two[k][i]);
            largest = fmax(largest, fabs(two[k][i]));
        }
        cr_expect(largest > 0.1, "%d", k);
        free(one[k]), free(two[k]);
    }
    ad_graph *g;
    cr_assert(ad_graph_create(&g, AD_F64) == FWM_OK);
    ad_value x = ad_input(g, "x", ad_shape_make(4, 1, 2, 2, 4));
    (void)ad_conv2d_doubled(g, x, ad_input(g, "w", ad_shape_make(4, 3, 3, 5, 2)));
    cr_expect(ad_graph_status(g) == FWM_SHAPE && strstr(fwm_error_message(), "expected weights [3,3,4,Cout]"), "%s",
              fwm_error_message());
    ad_graph_destroy(&g);
}

/* The layer gives what convolution of the joined images gives with the same weights. */
static float *joined(bool one, int64_t *count)
{
    ad_graph *g;
    ad_plan *plan;
    nn_store *store;
    cr_assert(ad_graph_create(&g, AD_F32) == FWM_OK && nn_store_create(&store) == FWM_OK);
    const nn_builder b = {.g = g, .store = store};
    ad_value a = ad_input(g, "a", ad_shape_make(4, 2, 4, 4, 16)), c = ad_input(g, "c", ad_shape_make(4, 2, 8, 8, 8));
    ad_value in[2] = {a, c}, both[2] = {ad_upsample_nearest(g, a, 2), c}, parameter[8], all[1];
    all[0] = one ? nn_conv_block_join(&b, "block", a, c, 16, 4)
                 : nn_conv_block(&b, "block", ad_concat(g, 2, both, 3), 16, 3, 1, 4);
    int n = nn_graph_parameters(&b, parameter, NULL, 8);
    cr_assert(n == 3, "%d parameters", n);
    float *weights = malloc((size_t)nn_store_size(store) * sizeof *weights);
    nn_store_initialise(store, 1, AD_F32, weights);
    cr_assert(ad_plan_create(&plan, g, 1, all, NULL) == FWM_OK);
    cr_assert(nn_store_bind(&b, plan, weights, n, parameter, NULL, NULL) == FWM_OK);
    cr_assert(ad_plan_prepare(plan) == FWM_OK);
    for (uint32_t k = 0; k < 2; k++)
        for (int64_t i = 0; i < ad_count(g, in[k]); i++)
            ((float *)ad_plan_data(plan, in[k]))[i] = (float)fwm_random_uniform((fwm_key){4, k}, 0, (uint32_t)i);
    cr_assert(ad_plan_run(plan, 0, 0) == FWM_OK);
    *count = ad_count(g, all[0]);
    float *copy =
        memcpy(malloc((size_t)*count * sizeof(float)), ad_plan_data(plan, all[0]), (size_t)*count * sizeof(float));
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
    nn_store_destroy(&store);
    free(weights);
    return copy;
}

Test(own_conv, joined_layer_is_the_layer_of_the_joined_images)
{
    int64_t n, m;
    float *one = joined(true, &n), *two = joined(false, &m);
    cr_assert(n == m && n == 2 * 8 * 8 * 16);
    for (int64_t i = 0; i < n; i++) /* normalised numbers; sums of 216 terms */
        cr_assert(fabsf(one[i] - two[i]) <= 216 * FLT_EPSILON, "[%lld] %g %g", (long long)i, (double)one[i],
                  (double)two[i]);
    free(one), free(two);
}
