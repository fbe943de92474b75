/* e^x for the softmin sweeps: a loop over it becomes vector code for float and double on every instruction set.
 *
 * Within 1 unit in the last place between the smallest normal number and about the largest finite one; below, it gives
 * the smallest normal number, which the sums here cannot notice; NaN stays NaN. Simpler, and in a sweep faster, than
 * the engine's real_exp, which is right at the ends of the range too. Method: x = n ln 2 + r with |r| <= ln(2)/2, a
 * polynomial that interpolates (e^r - 1 - r)/r^2 at Chebyshev nodes, and n put into the exponent. Adding 1.5 * 2^23
 * (2^52) rounds to an integer. */
#ifndef OT_KERNELS_EXP_H
#define OT_KERNELS_EXP_H

#include "model/base/variant.h"

#include <stdint.h>
#include <string.h>

#if FWM_REAL_BITS == 64

static inline double ot_exp(double x)
{
    const double rounder = 0x1.8p52;
    double lo = -708.3964185322641, hi = 709.0895657128241;
    x = x < lo ? lo : x;
    x = x > hi ? hi : x;
    double t = x * 1.4426950408889634 + rounder;
    double n = t - rounder;
    double r = (x - n * 0x1.62e42fefap-1) - n * 1.6465949582897081e-12;
    double p = 2.510038549551032e-08;
    p = p * r + 2.7620088445409746e-07;
    p = p * r + 2.7557268459997064e-06;
    p = p * r + 2.4801521295954376e-05;
    p = p * r + 0.00019841269863053618;
    p = p * r + 0.0013888888917213717;
    p = p * r + 0.008333333333330062;
    p = p * r + 0.04166666666662413;
    p = p * r + 0.16666666666666669;
    p = p * r + 0.5;
    p = p * r * r + r + 1.0;
    int64_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (int64_t)((uint64_t)(bits + 1023) << 52);
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

#else

static inline float ot_exp(float x)
{
    const float rounder = 0x1.8p23f;
    float lo = -87.33654f, hi = 88.37626f;
    x = x < lo ? lo : x;
    x = x > hi ? hi : x;
    float t = x * 1.44269504f + rounder;
    float n = t - rounder;
    float r = (x - n * 0.693145751953125f) - n * 1.42860682e-06f;
    float p = 0.0013926183587713494f;
    p = p * r + 0.008363179052722578f;
    p = p * r + 0.041666554617204574f;
    p = p * r + 0.16666576989698775f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    int32_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (int32_t)((uint32_t)(bits + 127) << 23);
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

#endif

#endif
