#include "data/numbers.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1024 };

bool ds_stored_is_f32(ds_stored stored)
{
    return stored.kind == DS_FLOATING && stored.size == 4 && !stored.swapped;
}

bool ds_stored_is_u8(ds_stored stored)
{
    return stored.kind == DS_UNSIGNED && stored.size == 1;
}

/* A division, not a product with the reciprocal, which would differ in the last place. */
__attribute__((target_clones("avx2", "default"))) void
ds_bytes_to_floats(float *restrict out, const uint8_t *restrict in, int64_t n, float divisor)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)in[i] / divisor;
}

/* IEEE 754 binary16. */
static float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3FF;
    const float magnitude = exponent == 0    ? ldexpf((float)fraction, -24)
                            : exponent == 31 ? (fraction ? NAN : INFINITY)
                                             : ldexpf((float)(fraction | 0x400), (int)exponent - 25);
    return sign ? -magnitude : magnitude;
}

/* Numbers of one size with their bytes in this machine's order. */
static void order_bytes(void *out, const uint8_t *in, int64_t n, int size, bool swapped)
{
    uint8_t *to = out;
    if (!swapped) {
        memcpy(to, in, (size_t)(n * size));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < size; k++)
            to[i * size + k] = in[i * size + size - 1 - k];
}

#define CONVERT(type, expression)                                                                                      \
    {                                                                                                                  \
        const type *x = (const type *)(const void *)block;                                                             \
        for (int64_t i = 0; i < n; i++)                                                                                \
            out[i] = (float)(expression);                                                                              \
        return;                                                                                                        \
    }

/* One block, in this machine's byte order and aligned. */
static void convert_block(float *out, const uint64_t *block, int64_t n, ds_stored s)
{
    if (s.kind == DS_FLOATING) {
        if (s.size == 2)
            CONVERT(uint16_t, half_to_float(x[i]))
        if (s.size == 4)
            CONVERT(float, x[i])
        CONVERT(double, x[i])
    }
    const int code = s.size * 2 + (s.kind == DS_SIGNED);
    if (code == 2)
        CONVERT(uint8_t, x[i])
    if (code == 3)
        CONVERT(int8_t, x[i])
    if (code == 4)
        CONVERT(uint16_t, x[i])
    if (code == 5)
        CONVERT(int16_t, x[i])
    if (code == 8)
        CONVERT(uint32_t, x[i])
    if (code == 9)
        CONVERT(int32_t, x[i])
    if (code == 16)
        CONVERT(uint64_t, x[i])
    CONVERT(int64_t, x[i])
}

void ds_numbers_to_floats(float *out, const void *in, int64_t n, ds_stored stored, float divisor)
{
    uint64_t block[BLOCK];
    const uint8_t *from = in;
    if (ds_stored_is_u8(stored)) {
        ds_bytes_to_floats(out, in, n, divisor);
        return;
    }
    if (ds_stored_is_f32(stored)) {
        memcpy(out, in, (size_t)n * sizeof *out);
    } else {
        for (int64_t i = 0; i < n; i += BLOCK) {
            const int64_t m = n - i < BLOCK ? n - i : BLOCK;
            order_bytes(block, from + i * stored.size, m, stored.size, stored.swapped);
            convert_block(out + i, block, m, stored);
        }
    }
    for (int64_t i = 0; divisor != 1.0F && i < n; i++)
        out[i] /= divisor;
}
