/* Convolution and its adjoints against sums written out from the definition, with every instruction set that oneDNN may
 * choose here, one and two threads; the shapes include those that the packaged oneDNN computes wrongly. */
#include "model/autodiff/dnnl/conv.h"
#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"
#include "model/base/random.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(expr) cr_assert((expr) == FWM_OK, "%s: %s", #expr, fwm_error_message())

typedef struct sums {
    double *value, *absolute; /* of the terms */
} sums;

typedef struct problem {
    ad_conv_geometry s;
    int64_t nx, nw, ny;
    double *x, *w, *y;
    sums forward, data, weights;
} problem;

static double *draw(int64_t n, uint32_t stream)
{
    double *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++) /* numbers that float holds exactly */
        v[i] = (double)(float)(2 * fwm_random_uniform((fwm_key){5, stream}, 0, (uint32_t)i) - 1);
    return v;
}

static sums zeros(int64_t n)
{
    return (sums){calloc((size_t)n, sizeof(double)), calloc((size_t)n, sizeof(double))};
}

static void add(sums s, int64_t at, double term)
{
    s.value[at] += term;
    s.absolute[at] += fabs(term);
}

/* Every term x w y of the trilinear form goes to its three derivatives. */
static void sum_terms(problem *p)
{
    const ad_conv_geometry *s = &p->s;
    int64_t cg = s->Cin / s->groups, og = s->Cout / s->groups;
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t u = 0; u < s->h; u++)
            for (int64_t v = 0; v < s->w; v++)
                for (int64_t i = 0; i < s->kh; i++)
                    for (int64_t j = 0; j < s->kw; j++) {
                        int64_t r = u * s->stride[0] + i * s->dilation[0] - s->pad_before[0];
                        int64_t c = v * s->stride[1] + j * s->dilation[1] - s->pad_before[1];
                        if (r < 0 || c < 0 || r >= s->H || c >= s->W)
                            continue;
                        for (int64_t o = 0; o < s->Cout; o++)
                            for (int64_t k = 0; k < cg; k++) {
                                int64_t at_x = ((b * s->H + r) * s->W + c) * s->Cin + o / og * cg + k;
                                int64_t at_w = ((i * s->kw + j) * cg + k) * s->Cout + o;
                                int64_t at_y = ((b * s->h + u) * s->w + v) * s->Cout + o;
                                add(p->forward, at_y, p->x[at_x] * p->w[at_w]);
                                add(p->data, at_x, p->w[at_w] * p->y[at_y]);
                                add(p->weights, at_w, p->x[at_x] * p->y[at_y]);
                            }
                    }
}

/* Square kernels and images; the padding is what keeps size / stride, more behind than before. */
static problem make_problem(int64_t B, int64_t H, int64_t Cin, int64_t Cout, int64_t k, int64_t stride,
                            int64_t dilation, int64_t groups)
{
    int64_t span = (k - 1) * dilation, before = span / 2, after = span - before;
    problem p = {.s = {.B = B, .H = H, .W = H + 1, .Cin = Cin, .Cout = Cout, .kh = k, .kw = k, .groups = groups}};
    for (int a = 0; a < 2; a++) {
        p.s.stride[a] = stride, p.s.dilation[a] = dilation;
        p.s.pad_before[a] = before, p.s.pad_after[a] = after;
    }
    p.s.h = (p.s.H - 1) / stride + 1;
    p.s.w = (p.s.W - 1) / stride + 1;
    p.nx = B * p.s.H * p.s.W * Cin, p.nw = k * k * (Cin / groups) * Cout, p.ny = B * p.s.h * p.s.w * Cout;
    p.x = draw(p.nx, 1), p.w = draw(p.nw, 2), p.y = draw(p.ny, 3);
    p.forward = zeros(p.ny), p.data = zeros(p.nx), p.weights = zeros(p.nw);
    sum_terms(&p);
    return p;
}

static void free_problem(problem *p)
{
    double *all[] = {p->x,
                     p->w,
                     p->y,
                     p->forward.value,
                     p->forward.absolute,
                     p->data.value,
                     p->data.absolute,
                     p->weights.value,
                     p->weights.absolute};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void put(ad_dtype dtype, void *to, int64_t n, const double *from)
{
    for (int64_t i = 0; i < n; i++)
        if (dtype == AD_F64)
            ((double *)to)[i] = from[i];
        else
            ((float *)to)[i] = (float)from[i];
}

/* A sum of n terms in any order, and in blocks, has an error of at most n eps/2 times the sum of the absolute terms
 * (oneDNN takes Winograd, which is worse, only where it is asked to). */
static void compare(const char *what, const problem *p, ad_dtype dtype, int64_t n, const void *found, sums expected,
                    int64_t terms)
{
    double eps = dtype == AD_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    for (int64_t i = 0; i < n; i++) {
        double value = dtype == AD_F64 ? ((const double *)found)[i] : (double)((const float *)found)[i];
        double bound = 0.5 * eps * (double)(terms + 2) * expected.absolute[i];
        cr_assert(fabs(value - expected.value[i]) <= bound,
                  "%s f%d [%lld,%lld,%lld,%lld]->%lld k%lld s%lld d%lld g%lld threads %d: element %lld is %.9g, "
                  "expected %.9g "
                  "within %g",
                  what, dtype == AD_F64 ? 64 : 32, (long long)p->s.B, (long long)p->s.H, (long long)p->s.W,
                  (long long)p->s.Cin, (long long)p->s.Cout, (long long)p->s.kh, (long long)p->s.stride[0],
                  (long long)p->s.dilation[0], (long long)p->s.groups, omp_get_max_threads(), (long long)i, value,
                  expected.value[i], bound);
    }
}

/* y = conv(x,w) has its two gradients in the graph: all three operators run as training runs them. */
static void check_graph(const problem *p, ad_dtype dtype)
{
    const ad_conv_geometry *s = &p->s;
    ad_conv c = {.groups = (int)s->groups};
    for (int a = 0; a < 2; a++) {
        c.stride[a] = (int)s->stride[a], c.dilation[a] = (int)s->dilation[a];
        c.pad_before[a] = (int)s->pad_before[a], c.pad_after[a] = (int)s->pad_after[a];
    }
    ad_graph *g;
    ad_plan *plan;
    REQUIRE(ad_graph_create(&g, dtype));
    ad_value in[2] = {ad_input(g, "x", ad_shape_make(4, s->B, s->H, s->W, s->Cin)),
                      ad_input(g, "w", ad_shape_make(4, s->kh, s->kw, s->Cin / s->groups, s->Cout))};
    ad_value cotangent = ad_input(g, "dy", ad_shape_make(4, s->B, s->h, s->w, s->Cout)), out[3];
    out[0] = ad_conv2d(g, in[0], in[1], &c);
    REQUIRE(ad_vjp(g, out[0], cotangent, 2, in, out + 1));
    REQUIRE(ad_plan_create(&plan, g, 3, out, &(ad_plan_options){.poison = true}));
    REQUIRE(ad_plan_prepare(plan));
    put(dtype, ad_plan_data(plan, in[0]), p->nx, p->x);
    put(dtype, ad_plan_data(plan, in[1]), p->nw, p->w);
    put(dtype, ad_plan_data(plan, cotangent), p->ny, p->y);
    for (int run = 0; run < 2; run++) /* the second run finds memory handles set */
        REQUIRE(ad_plan_run(plan, 1, 1));
    int64_t per_tap = s->kh * s->kw;
    compare("forward", p, dtype, p->ny, ad_plan_data(plan, out[0]), p->forward, per_tap * s->Cin / s->groups);
    compare("data", p, dtype, p->nx, ad_plan_data(plan, out[1]), p->data, per_tap * s->Cout / s->groups);
    compare("weights", p, dtype, p->nw, ad_plan_data(plan, out[2]), p->weights, s->B * s->h * s->w);
    ad_plan_destroy(&plan);
    ad_graph_destroy(&g);
}

static void check_problem(problem p, bool both_types)
{
    for (int threads = 1; threads <= 2; threads++) {
        omp_set_num_threads(threads);
        check_graph(&p, AD_F32);
        if (both_types)
            check_graph(&p, AD_F64);
    }
    free_problem(&p);
}

static void check_all(bool both_types)
{
    static const int64_t channels[][2] = {{1, 1}, {1, 8}, {3, 16}, {4, 32}, {5, 3}, {7, 8}, {12, 16}, {16, 3}};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int64_t k = 1; k <= 4; k += k == 1 ? 2 : 1)
            for (int64_t stride = 1; stride <= 2; stride++)
                check_problem(make_problem(2, 6, channels[i][0], channels[i][1], k, stride, 1, 1), both_types);
    check_problem(make_problem(1, 9, 4, 6, 3, 1, 2, 1), both_types);
    check_problem(make_problem(2, 7, 4, 6, 3, 2, 1, 2), both_types);
    check_problem(make_problem(2, 8, 16, 32, 3, 1, 1, 4), both_types);
    check_problem(make_problem(2, 8, 8, 8, 3, 1, 1, 8), both_types);
    check_problem(make_problem(3, 16, 3, 32, 4, 2, 1, 1), both_types);
    check_problem(make_problem(3, 17, 6, 40, 1, 2, 1, 1), both_types);
}

Test(conv, agrees_with_the_definition)
{
    check_all(true);
}

Test(conv, agrees_with_the_definition_in_avx2)
{
    cr_assert(dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2) == dnnl_success);
    check_all(false);
}

Test(conv, agrees_with_the_definition_in_sse41)
{
    cr_assert(dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41) == dnnl_success);
    check_all(false);
}

/* The named bug: oneDNN 2.6.3 overwrites the heap for these, so the primitive must not even be made. The limit is the
 * vector width: 8 channels with AVX2, 16 with AVX-512. */
Test(conv, deny_table_holds_back_pointwise_strided_weight_gradients)
{
    for (int64_t Cin = 1; Cin <= 16; Cin++) {
        ad_conv_geometry s = {.B = 2,
                              .H = 8,
                              .W = 8,
                              .Cin = Cin,
                              .kh = 1,
                              .kw = 1,
                              .h = 4,
                              .w = 4,
                              .Cout = 16,
                              .groups = 1,
                              .stride = {2, 2},
                              .dilation = {1, 1}};
        ad_dnnl_conv *conv;
        size_t scratch = 0;
        REQUIRE(ad_dnnl_conv_create(&conv, AD_CONV_BACKWARD_WEIGHTS, &s, &scratch));
        cr_expect((conv == NULL) == (Cin < 16), "%lld channels", (long long)Cin);
        ad_dnnl_conv_destroy(&conv);
    }
}

/* What training runs most must not fall back to loops or to oneDNN's GEMM path unseen. */
Test(conv, common_shapes_run_compiled_kernels)
{
    for (ad_conv_kind kind = AD_CONV_FORWARD; kind <= AD_CONV_BACKWARD_WEIGHTS; kind++) {
        ad_conv_geometry s = {.B = 4,
                              .H = 32,
                              .W = 32,
                              .Cin = 32,
                              .kh = 4,
                              .kw = 4,
                              .h = 16,
                              .w = 16,
                              .Cout = 64,
                              .groups = 1,
                              .stride = {2, 2},
                              .pad_before = {1, 1},
                              .pad_after = {1, 1},
                              .dilation = {1, 1}};
        ad_dnnl_conv *conv;
        size_t scratch = 0;
        REQUIRE(ad_dnnl_conv_create(&conv, kind, &s, &scratch));
        cr_assert_not_null(conv);
        cr_expect(strncmp(ad_dnnl_conv_implementation(conv), "jit", 3) == 0 ||
                      strncmp(ad_dnnl_conv_implementation(conv), "brg", 3) == 0,
                  "kind %d runs '%s'", kind, ad_dnnl_conv_implementation(conv));
        ad_dnnl_conv_destroy(&conv);
    }
}

static void expect_failure(ad_graph *g, fwm_status code, const char *part)
{
    cr_expect(ad_graph_status(g) == code, "status %d", ad_graph_status(g));
    cr_expect(strstr(fwm_error_message(), part), "message '%s' lacks '%s'", fwm_error_message(), part);
    ad_graph_destroy(&g);
}

Test(conv, wrong_shapes_are_named)
{
    ad_graph *g;
    REQUIRE(ad_graph_create(&g, AD_F32));
    ad_value x = ad_input(g, "x", ad_shape_make(4, 1, 8, 8, 3));
    (void)ad_conv2d(g, x, ad_input(g, "w", ad_shape_make(4, 3, 3, 4, 8)), &(ad_conv){0});
    expect_failure(g, FWM_SHAPE, "the weights read 4 channels");
    REQUIRE(ad_graph_create(&g, AD_F32));
    x = ad_input(g, "x", ad_shape_make(4, 1, 8, 8, 3));
    (void)ad_conv2d(g, x, ad_input(g, "w", ad_shape_make(4, 9, 9, 3, 8)), &(ad_conv){0});
    expect_failure(g, FWM_SHAPE, "the kernel spans 9");
    REQUIRE(ad_graph_create(&g, AD_F32));
    x = ad_input(g, "x", ad_shape_make(4, 1, 8, 8, 8));
    (void)ad_conv2d_transpose(g, x, ad_input(g, "w", ad_shape_make(4, 4, 4, 3, 8)), 19, 16,
                              &(ad_conv){.stride = {2, 2}, .pad_before = {1, 1}, .pad_after = {1, 1}});
    expect_failure(g, FWM_SHAPE, "choose another size");
}
