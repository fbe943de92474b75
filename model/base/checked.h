/* Checked arithmetic for every size that comes from a file, a config or a shape. */
#ifndef FWM_BASE_CHECKED_H
#define FWM_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b (a + b); false, with *out unspecified, when the result does not fit. */
static inline bool fwm_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool fwm_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool fwm_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool fwm_add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* n rounded up to a multiple of `align` (a power of two); false on overflow. */
static inline bool fwm_align_size(size_t n, size_t align, size_t *out)
{
    size_t up;
    if (__builtin_add_overflow(n, align - 1, &up))
        return false;
    *out = up & ~(align - 1);
    return true;
}

#endif
