/* The vector elementary functions of float32: largest error in ulp at every instruction-set level, and special values.
 */
/* real_gate is no operator: it is taken as level 1 compiles it. */
#define FWM_REAL float
#define FWM_VARIANT test
#define FWM_REAL_BITS 32
#define FWM_ISA_LEVEL 1
#include "model/autodiff/kernels/mathfun.h"
#include "model/autodiff/op.h"
#include "model/base/threads.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double sigmoid(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}
static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* The bounds are those that kernels/mathfun.h states. softplus composes exp, log1p and one addition: 1 + 2.5 + 0.5. */
static const struct {
    const char *op;
    double (*exact)(double);
    double ulp, limit; /* arguments up to this magnitude */
} functions[] = {
    {"exp", exp, 1, FLT_MAX},     {"log", log, 1, FLT_MAX},
    {"tanh", tanh, 1.5, FLT_MAX}, {"sigmoid", sigmoid, 3, FLT_MAX},
    {"erf", erf, 2.5, FLT_MAX},   {"sin", sin, 2, 1e8},
    {"cos", cos, 2, 1e8},         {"softplus", softplus, 4, FLT_MAX},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

/* y = op(x) with the kernel of one level, outside any plan. */
static void apply(const char *name, int isa, int64_t n, const float *x, float *y)
{
    const ad_op *op = ad_op_find(name);
    cr_assert_not_null(op, "%s", name);
    ad_shape shape = ad_shape_make(1, n);
    ad_attributes attr;
    memset(&attr, 0, sizeof attr);
    const void *in[] = {x};
    const ad_shape *in_shape[] = {&shape};
    ad_call call = {
        .out = y, .in = in, .out_shape = &shape, .in_shape = in_shape, .attr = &attr, .n_in = 1, .dtype = AD_F32};
    cr_assert(ad_kernel_find(op, AD_F32, isa)(&call) == FWM_OK);
}

/* |y - exact| in units of the last place of the float nearest to exact. */
static double error_in_ulp(float y, double exact)
{
    int exponent;
    frexp(exact, &exponent);
    return fabs((double)y - exact) / ldexp(1, exponent - 24);
}

/* Every 1021st bit pattern of both signs: all exponents, 4000 to 8000 fractions each. Results that are no normal
 * numbers are the business of the next test. */
Test(mathfun, errors_are_within_the_stated_ulp)
{
    enum { STEP = 1021 };
    int64_t n = 0, capacity = (INT64_C(1) << 32) / STEP + 1;
    float *x = malloc((size_t)capacity * sizeof *x), *y = malloc((size_t)capacity * sizeof *y);
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += STEP) {
        uint32_t u = (uint32_t)bits;
        memcpy(&x[n], &u, sizeof u);
        n += isnormal(x[n]) != 0;
    }
    for (int f = 0; f < N_FUNCTIONS; f++)
        for (int isa = 1; isa <= fwm_isa_level(); isa = isa == 1 ? 3 : isa + 1) {
            double worst = 0;
            float at = 0;
            apply(functions[f].op, isa, n, x, y);
            for (int64_t i = 0; i < n; i++) {
                if (fabsf(x[i]) > functions[f].limit || (strcmp(functions[f].op, "log") == 0 && x[i] <= 0))
                    continue;
                double exact = functions[f].exact((double)x[i]);
                if (fabs(exact) > (double)FLT_MAX || fabs(exact) < (double)FLT_MIN)
                    continue;
                double error = error_in_ulp(y[i], exact);
                if (!(error <= worst))
                    worst = error, at = x[i];
            }
            cr_log_info("%s level %d: %.3f ulp at %.9g", functions[f].op, isa, worst, (double)at);
            cr_expect(worst <= functions[f].ulp, "%s level %d: %.3f ulp at %.9g, expected %.1f", functions[f].op, isa,
                      worst, (double)at, functions[f].ulp);
        }
    free(x);
    free(y);
}

static bool same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

Test(mathfun, special_values)
{
    const struct {
        const char *op;
        float x, y;
    } rows[] = {
        {"exp", INFINITY, INFINITY},
        {"exp", -INFINITY, 0},
        {"exp", 89, INFINITY},
        {"exp", -110, 0},
        {"exp", 0, 1},
        {"log", 0, -INFINITY},
        {"log", -1, NAN},
        {"log", INFINITY, INFINITY},
        {"log", 1, 0},
        {"tanh", INFINITY, 1},
        {"tanh", -INFINITY, -1},
        {"tanh", -0.0f, -0.0f},
        {"sigmoid", INFINITY, 1},
        {"sigmoid", -INFINITY, 0},
        {"sigmoid", 0, 0.5f},
        {"erf", INFINITY, 1},
        {"erf", -INFINITY, -1},
        {"erf", -0.0f, -0.0f},
        {"sin", INFINITY, NAN},
        {"cos", -INFINITY, NAN},
        {"cos", 0, 1},
        {"sin", 1e20f, sinf(1e20f)},
        {"softplus", 200, 200},
        {"softplus", INFINITY, INFINITY},
        {"softplus", -INFINITY, 0},
        {"relu", -INFINITY, 0},
        {"sign", -0.5f, -1},
        {"abs", -INFINITY, INFINITY},
        {"reciprocal", 0, INFINITY},
        {"sqrt", -1, NAN},
        {"rsqrt", 0, INFINITY},
    };
    const char *propagate[] = {"exp",      "log",   "tanh",       "sigmoid", "erf",   "sin", "cos",
                               "softplus", "relu",  "silu",       "gelu",    "sign",  "abs", "square",
                               "sqrt",     "rsqrt", "reciprocal", "clamp",   "affine"};
    for (int isa = 1; isa <= fwm_isa_level(); isa = isa == 1 ? 3 : isa + 1) {
        /* Nineteen copies: the vector body and the remainder of a loop both see the value. */
        float x[19], y[19];
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            for (int i = 0; i < 19; i++)
                x[i] = rows[r].x;
            apply(rows[r].op, isa, 19, x, y);
            for (int i = 0; i < 19; i++)
                cr_expect(same(y[i], rows[r].y), "%s(%g) level %d [%d]: %g, expected %g", rows[r].op, (double)rows[r].x,
                          isa, i, (double)y[i], (double)rows[r].y);
        }
        for (size_t r = 0; r < sizeof propagate / sizeof *propagate; r++) {
            for (int i = 0; i < 19; i++)
                x[i] = NAN;
            apply(propagate[r], isa, 19, x, y);
            for (int i = 0; i < 19; i++)
                cr_expect(isnan(y[i]), "%s(NaN) level %d: %g", propagate[r], isa, (double)y[i]);
        }
    }
}

/* Over the floats, one in 1009: 3 ulp up to 87 and 2e-38 beyond, NaN for NaN. */
Test(mathfun, gate_is_the_sigmoid)
{
    for (uint32_t bits = 0; bits < 0xff800000u; bits += bits < 0xff800000u - 1009 ? 1009 : 0xff800000u - bits) {
        float x = real_from_bits(bits);
        if (!isfinite(x))
            continue;
        double exact = sigmoid((double)x), error = fabs((double)real_gate(x) - exact);
        double bound = fabsf(x) <= 87 ? 3 * ldexp(1, ilogb(exact) - 23) : 2e-38;
        cr_assert(error <= bound, "gate(%g) = %g, expected %g", (double)x, (double)real_gate(x), exact);
    }
    cr_expect(isnan(real_gate(NAN)));
}
