#include "model/base/random.h"

#include "model/base/threads.h"

#include <Random123/philox.h>
#include <math.h>

enum { FEISTEL_ROUNDS = 6 };

static philox4x32_ctr_t draw(fwm_key key, uint64_t step, uint32_t index)
{
    philox4x32_ctr_t ctr = {{index, key.stream, (uint32_t)step, (uint32_t)(step >> 32)}};
    philox4x32_key_t k = {{(uint32_t)key.seed, (uint32_t)(key.seed >> 32)}};
    return philox4x32(ctr, k);
}

void fwm_random_words(fwm_key key, uint64_t step, uint32_t index, uint32_t out[4])
{
    philox4x32_ctr_t r = draw(key, step, index);
    for (int i = 0; i < 4; i++)
        out[i] = r.v[i];
}

static double to_unit(uint32_t hi, uint32_t lo)
{
    uint64_t bits = ((uint64_t)hi << 21) ^ (lo >> 11);
    return ((double)bits + 0.5) * 0x1p-53;
}

double fwm_random_uniform(fwm_key key, uint64_t step, uint32_t index)
{
    philox4x32_ctr_t r = draw(key, step, index);
    return to_unit(r.v[0], r.v[1]);
}

double fwm_random_normal(fwm_key key, uint64_t step, uint32_t index)
{
    philox4x32_ctr_t r = draw(key, step, index);
    double u = to_unit(r.v[0], r.v[1]), v = to_unit(r.v[2], r.v[3]);
    return sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v);
}

/* One Philox block gives two float normals: 24-bit uniforms are enough for single precision. */
static void normal_pair(fwm_key key, uint64_t step, uint32_t block, double out[2])
{
    philox4x32_ctr_t r = draw(key, step, block);
    double u = to_unit(r.v[0], r.v[1]), v = to_unit(r.v[2], r.v[3]);
    double radius = sqrt(-2.0 * log(u));
    out[0] = radius * cos(2.0 * M_PI * v);
    out[1] = radius * sin(2.0 * M_PI * v);
}

#define FILL(NAME, TYPE, PAIR)                                                                                         \
    void NAME(fwm_key key, uint64_t step, int64_t n, TYPE *out)                                                        \
    {                                                                                                                  \
        int64_t blocks = (n + 1) / 2;                                                                                  \
        _Pragma("omp parallel for if (n > FWM_PARALLEL_MIN)") for (int64_t b = 0; b < blocks; b++)                     \
        {                                                                                                              \
            double pair[2];                                                                                            \
            PAIR(key, step, (uint32_t)b, pair);                                                                        \
            out[2 * b] = (TYPE)pair[0];                                                                                \
            if (2 * b + 1 < n)                                                                                         \
                out[2 * b + 1] = (TYPE)pair[1];                                                                        \
        }                                                                                                              \
    }

static void uniform_pair(fwm_key key, uint64_t step, uint32_t block, double out[2])
{
    philox4x32_ctr_t r = draw(key, step, block);
    out[0] = ((double)(r.v[0] >> 9) + 0.5) * 0x1p-23;
    out[1] = ((double)(r.v[2] >> 9) + 0.5) * 0x1p-23;
}

FILL(fwm_random_normal_f32, float, normal_pair)
FILL(fwm_random_normal_f64, double, normal_pair)
FILL(fwm_random_uniform_f32, float, uniform_pair)
FILL(fwm_random_uniform_f64, double, uniform_pair)

static uint64_t feistel(fwm_key key, uint64_t epoch, unsigned half_bits, uint64_t x)
{
    uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t left = x >> half_bits, right = x & mask;
    for (uint32_t round = 0; round < FEISTEL_ROUNDS; round++) {
        /* The round's function reads the right half and the epoch: both go into the key's seed by Philox itself. */
        fwm_key sub = {key.seed ^ (epoch * UINT64_C(0x9E3779B97F4A7C15)), key.stream + round};
        philox4x32_ctr_t r = draw(sub, right, (uint32_t)(right >> 32) ^ round);
        uint64_t f = ((uint64_t)r.v[0] << 32 | r.v[1]) & mask;
        uint64_t next = left ^ f;
        left = right;
        right = next;
    }
    return left << half_bits | right;
}

uint64_t fwm_random_permute(fwm_key key, uint64_t epoch, uint64_t n, uint64_t i)
{
    unsigned bits = 2;
    while (bits < 62 && (UINT64_C(1) << bits) < n)
        bits += 2;
    uint64_t x = i;
    do
        x = feistel(key, epoch, bits / 2, x);
    while (x >= n);
    return x;
}
