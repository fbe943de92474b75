/* Elementary functions of one `real`, for loops that the compiler must vectorise.
 *
 * float: own polynomials without branches, calls or tables, so that a loop over them becomes vector code at every
 * level. double: the C library's functions, because float64 is the reference that the others are held against.
 *
 * Largest error in float32, in units of the last place (ulp), over all finite inputs with normal results; the operator
 * tests hold these bounds for every instruction set (level 1 has no fused multiply-add and is the worst):
 *
 *     real_exp 1   real_log 1   real_log1p 2.5 (x >= 0)   real_tanh 1.5   real_sigmoid 3   real_erf 2.5
 *     real_gate 3 for |x| <= 87
 *     real_sin, real_cos 2 for |x| <= REAL_TRIG_LIMIT; beyond it they are wrong, and the caller takes the library's.
 *
 * NaN gives NaN; infinities and overflow behave as in C99 annex F. Subnormal numbers are exact unless the thread
 * flushes them.
 *
 * Source: Cody and Waite's range reductions (Software Manual for the Elementary Functions, 1980); the coefficients are
 * minimax polynomials in the relative error of the function, from a Remez exchange in 40 digits, rounded to float. */
#ifndef FWM_AUTODIFF_KERNELS_MATHFUN_H
#define FWM_AUTODIFF_KERNELS_MATHFUN_H

#include "model/base/variant.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define REAL_TRIG_LIMIT 1e8

#if FWM_REAL_BITS == 64

static inline double real_exp(double x)
{
    return exp(x);
}
static inline double real_log(double x)
{
    return log(x);
}
static inline double real_log1p(double x)
{
    return log1p(x);
}
static inline double real_tanh(double x)
{
    return tanh(x);
}
static inline double real_sigmoid(double x)
{
    double e = exp(-fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
static inline double real_gate(double x)
{
    return real_sigmoid(x);
}
static inline double real_erf(double x)
{
    return erf(x);
}
static inline double real_sin(double x)
{
    return sin(x);
}
static inline double real_cos(double x)
{
    return cos(x);
}

#else

/* a b + c: fused where the instruction set has it (C11 mode would otherwise round twice). */
#if FWM_ISA_LEVEL >= 3
#define REAL_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define REAL_FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline float real_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline uint32_t real_to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2. The factor 2^n is applied in two halves: n reaches 128 and -150.
 */
static inline float real_exp(float x)
{
    const float round_shift =
        12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits */
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float t = REAL_FMA(x, 1.44269504f, round_shift);
    float n = t - round_shift;
    float r = REAL_FMA(n, -0.693359375f, x); /* nine bits: the product is exact */
    r = REAL_FMA(n, 2.12194440e-4f, r);
    float p = REAL_FMA(r, 1.381314476e-03f, 8.369418792e-03f);
    p = REAL_FMA(p, r, 4.166845605e-02f);
    p = REAL_FMA(p, r, 1.666651517e-01f);
    p = REAL_FMA(p, r, 4.999999404e-01f);
    p = REAL_FMA(p, r * r, r) + 1.0f;
    uint32_t k = real_to_bits(t) - 0x4B400000u;
    uint32_t half = (uint32_t)((int32_t)k >> 1);
    return p * real_from_bits((half + 127u) << 23) * real_from_bits((k - half + 127u) << 23);
}

/* log x = e ln 2 + log m, m in [sqrt(1/2), sqrt 2). */
static inline float real_log(float x)
{
    float tiny = x < 1.17549435e-38f ? 1.0f : 0.0f;
    float z = tiny != 0.0f ? x * 8388608.0f : x;
    uint32_t k = real_to_bits(z) - 0x3F3504F3u;
    float e = (float)((int32_t)k >> 23) - 23.0f * tiny;
    float f = real_from_bits((k & 0x7FFFFFu) + 0x3F3504F3u) - 1.0f;
    float p = REAL_FMA(f, -7.634501159e-02f, 1.276157647e-01f);
    p = REAL_FMA(p, f, -1.316017956e-01f);
    p = REAL_FMA(p, f, 1.420175731e-01f);
    p = REAL_FMA(p, f, -1.662335694e-01f);
    p = REAL_FMA(p, f, 2.000122666e-01f);
    p = REAL_FMA(p, f, -2.500081956e-01f);
    p = REAL_FMA(p, f, 3.333333135e-01f);
    float f2 = f * f;
    float low = REAL_FMA(e, -2.12194440e-4f, f2 * f * p);
    low = REAL_FMA(f2, -0.5f, low);
    float y = REAL_FMA(e, 0.693359375f, f + low);
    y = x < INFINITY ? y : x;
    float outside = x == 0.0f ? -INFINITY : NAN;
    return x > 0.0f ? y : outside;
}

/* log(1 + x) for x >= 0: what 1 + x loses in rounding comes back through the derivative 1 / (1 + x). */
static inline float real_log1p(float x)
{
    float w = 1.0f + x;
    float lost = x - (w - 1.0f);
    lost = x < INFINITY ? lost : 0.0f;
    return real_log(w) + lost / w;
}

static inline float real_tanh(float x)
{
    float a = fabsf(x), s = x * x;
    float p = REAL_FMA(s, -5.704986863e-03f, 2.063908800e-02f);
    p = REAL_FMA(p, s, -5.373971537e-02f);
    p = REAL_FMA(p, s, 1.333144158e-01f);
    p = REAL_FMA(p, s, -3.333328068e-01f);
    float small = REAL_FMA(x * s, p, x);
    a = a > 10.0f ? 10.0f : a;
    float large = 1.0f - 2.0f / (real_exp(2.0f * a) + 1.0f);
    return copysignf(a < 0.625f ? small : large, x);
}

/* From e^-|x|, which does not overflow; keeps its relative accuracy where the result goes to 0. */
static inline float real_sigmoid(float x)
{
    float e = real_exp(-fabsf(x));
    float d = 1.0f / (1.0f + e);
    return x < 0.0f ? e * d : d;
}

/* 1 / (1 + e^-x) as the normalisations take it, at two thirds of the cost of real_sigmoid: 3 ulp for |x| <= 87, beyond
 * that wrong by at most 2e-38. e^-x is 2^n e^r as in real_exp, with n from -126 to 127: one factor. */
static inline float real_gate(float x)
{
    const float round_shift = 12582912.0f;
    float a = -x;
    a = 87.5f < a ? 87.5f : a;
    a = -87.0f > a ? -87.0f : a;
    float t = REAL_FMA(a, 1.44269504f, round_shift);
    float n = t - round_shift;
    float r = REAL_FMA(n, -0.693359375f, a);
    r = REAL_FMA(n, 2.12194440e-4f, r);
    float p = REAL_FMA(r, 1.381314476e-03f, 8.369418792e-03f);
    p = REAL_FMA(p, r, 4.166845605e-02f);
    p = REAL_FMA(p, r, 1.666651517e-01f);
    p = REAL_FMA(p, r, 4.999999404e-01f);
    p = REAL_FMA(p, r * r, r) + 1.0f;
    float scale = real_from_bits((real_to_bits(t) - 0x4B400000u + 127u) << 23);
    return 1.0f / REAL_FMA(p, scale, 1.0f);
}

/* |x| < 1: odd polynomial. Beyond: 1 - e^-T(|x|), T = -log erfc; from 3.95 on the result is 1. */
static inline float real_erf(float x)
{
    float a = fabsf(x), s = x * x;
    float p = REAL_FMA(s, 7.853860734e-05f, -8.010193123e-04f);
    p = REAL_FMA(p, s, 5.188327748e-03f);
    p = REAL_FMA(p, s, -2.685381100e-02f);
    p = REAL_FMA(p, s, 1.128358543e-01f);
    p = REAL_FMA(p, s, -3.761262596e-01f);
    p = REAL_FMA(p, s, 1.283791661e-01f);
    float small = REAL_FMA(x, p, x);
    float u = (a > 3.95f ? 3.95f : a) - 2.5f;
    float t = REAL_FMA(u, -1.863790822e-04f, 1.519711077e-04f);
    t = REAL_FMA(t, u, -2.465382917e-03f);
    t = REAL_FMA(t, u, 1.071126293e-02f);
    t = REAL_FMA(t, u, 9.438831210e-01f);
    t = REAL_FMA(t, u, 5.352694035f);
    t = REAL_FMA(t, u, 7.806818008f);
    float large = copysignf(1.0f - real_exp(-t), x);
    return a < 1.0f ? small : large;
}

/* x = n pi/2 + r, |r| <= pi/4, reduced in double: pi/2 in three parts whose first two have 25 bits, so that their
 * products with n (26 bits) are exact. Result: sine for even `quadrant`, cosine for odd ones, with the sign of the
 * quadrant. */
static inline float real_sine_of_quadrant(float x, int32_t shift)
{
    const double round_shift = 6755399441055744.0; /* 1.5 * 2^52 */
    double t = (double)x * 0.63661977236758134 + round_shift;
    double n = t - round_shift;
    double d = (((double)x - n * 0x1.921fb5p+0) - n * 0x1.110b46p-26) - n * 0x1.1a62633145c07p-54;
    uint64_t bits; /* n stands in the low bits of t */
    memcpy(&bits, &t, sizeof bits);
    int32_t quadrant = (int32_t)(uint32_t)bits + shift;
    float r = (float)d, s = r * r;
    float ps = REAL_FMA(s, -1.950874139e-04f, 8.332112804e-03f);
    ps = REAL_FMA(ps, s, -1.666665375e-01f);
    float sine = REAL_FMA(r * s, ps, r);
    float pc = REAL_FMA(s, 2.442568075e-05f, -1.388725126e-03f);
    pc = REAL_FMA(pc, s, 4.166664556e-02f);
    float cosine = REAL_FMA(s * s, pc, REAL_FMA(s, -0.5f, 1.0f));
    float y = (quadrant & 1) != 0 ? cosine : sine;
    return (quadrant & 2) != 0 ? -y : y;
}
static inline float real_sin(float x)
{
    return real_sine_of_quadrant(x, 0);
}
static inline float real_cos(float x)
{
    return real_sine_of_quadrant(x, 1);
}

#endif
#endif
