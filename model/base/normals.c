/* Many normal numbers at once: what fwm_random_normal gives one by one, in loops that the compiler makes vector code
 * of. Logarithm and cosine are power series on reduced arguments, so that a number differs from the one that the C
 * library's functions give by its last bits (tests hold 4e-15). */
#include "model/base/random.h"

#include <math.h>
#include <string.h>

/* One copy of the function for each instruction set, chosen when the program starts by what the machine has, not by its
 * maker's name; without fused multiply-adds, so that all give the same bits. */
#if defined(__SANITIZE_ADDRESS__)
#define EVERY_MACHINE
#else
#define EVERY_MACHINE __attribute__((target_clones("default", "avx2")))
#endif
#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 64, ROUNDS = 10 };

/* Philox4x32-10 (Salmon et al., SC 2011) on BLOCK counters. */
INLINE void philox(fwm_key key, uint64_t step, uint32_t first, uint32_t word[4][BLOCK])
{
    uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);
    for (uint32_t i = 0; i < BLOCK; i++) {
        word[0][i] = first + i;
        word[1][i] = key.stream;
        word[2][i] = (uint32_t)step;
        word[3][i] = (uint32_t)(step >> 32);
    }
    for (int round = 0; round < ROUNDS; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        for (int i = 0; i < BLOCK; i++) {
            const uint64_t a = (uint64_t)word[0][i] * 0xD2511F53u, b = (uint64_t)word[2][i] * 0xCD9E8D57u;
            const uint32_t c1 = word[1][i], c3 = word[3][i];
            word[0][i] = (uint32_t)(b >> 32) ^ c1 ^ k0;
            word[1][i] = (uint32_t)b;
            word[2][i] = (uint32_t)(a >> 32) ^ c3 ^ k1;
            word[3][i] = (uint32_t)a;
        }
}

INLINE double from_unsigned(uint32_t x)
{
    return (double)(int32_t)(x ^ 0x80000000u) + 0x1p31;
}

/* In (0,1), as random.c makes it of 53 bits. */
INLINE double to_unit(uint32_t high, uint32_t low)
{
    return (from_unsigned(high) * 0x1p21 + (double)(int32_t)(low >> 11) + 0.5) * 0x1p-53;
}

/* log u = e ln 2 + 2 artanh s, u = 2^e m, m in [sqrt(1/2), sqrt 2), s = (m - 1) / (m + 1): |s| < 0.172. */
INLINE double log_of(double u)
{
    const uint32_t half = 0x3FE6A09Eu; /* the upper word of sqrt(1/2) */
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    const uint32_t k = (uint32_t)(bits >> 32) - half;
    const double e = (double)((int32_t)k >> 20);
    bits = ((uint64_t)((k & 0xFFFFFu) + half) << 32) | (bits & 0xFFFFFFFFu);
    double m;
    memcpy(&m, &bits, sizeof m);
    const double f = m - 1, s = f / (2 + f), z = s * s;
    double p = 1.0 / 23;
    p = p * z + 1.0 / 21;
    p = p * z + 1.0 / 19;
    p = p * z + 1.0 / 17;
    p = p * z + 1.0 / 15;
    p = p * z + 1.0 / 13;
    p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9;
    p = p * z + 1.0 / 7;
    p = p * z + 1.0 / 5;
    p = p * z + 1.0 / 3;
    return e * 0x1.62e42feep-1 + (2 * s + (2 * s * (z * p) + e * 0x1.a39ef35793c76p-33)); /* ln 2 in two parts */
}

/* cos 2 pi v: quarter turns are taken off exactly, |x| <= pi/4 remains. */
INLINE double cosine_of_turn(double v)
{
    const double round_shift = 0x1.8p52, t = 4 * v, n = (t + round_shift) - round_shift, x = (t - n) * M_PI_2;
    const double z = x * x;
    double c = 1.0 / 20922789888000, s = 1.0 / 355687428096000; /* 1/16!, 1/17! */
    c = c * z - 1.0 / 87178291200;
    s = s * z - 1.0 / 1307674368000;
    c = c * z + 1.0 / 479001600;
    s = s * z + 1.0 / 6227020800;
    c = c * z - 1.0 / 3628800;
    s = s * z - 1.0 / 39916800;
    c = c * z + 1.0 / 40320;
    s = s * z + 1.0 / 362880;
    c = c * z - 1.0 / 720;
    s = s * z - 1.0 / 5040;
    c = c * z + 1.0 / 24;
    s = s * z + 1.0 / 120;
    c = c * z - 0.5;
    s = s * z - 1.0 / 6;
    c = c * z + 1;
    s = x + x * (z * s);
    const int32_t quarter = (int32_t)n;
    const double y = (quarter & 1) != 0 ? s : c;
    return ((quarter + 1) & 2) != 0 ? -y : y;
}

EVERY_MACHINE static void block_of(fwm_key key, uint64_t step, uint32_t first, double *restrict out)
{
    uint32_t word[4][BLOCK];
    philox(key, step, first, word);
    for (int i = 0; i < BLOCK; i++)
        out[i] = sqrt(-2 * log_of(to_unit(word[0][i], word[1][i]))) * cosine_of_turn(to_unit(word[2][i], word[3][i]));
}

void fwm_random_normals(fwm_key key, uint64_t step, uint32_t first, int64_t n, double *out)
{
    double rest[BLOCK];
    for (; n >= BLOCK; n -= BLOCK, first += BLOCK, out += BLOCK)
        block_of(key, step, first, out);
    if (n <= 0)
        return;
    block_of(key, step, first, rest);
    memcpy(out, rest, (size_t)n * sizeof *out);
}
