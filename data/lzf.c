#include "data/lzf.h"

#include "data/h5.h"

#include <stdlib.h>
#include <string.h>

/* What h5py sets a filter up with: its revision, the format's version, the bytes of a chunk. */
enum { LZF_FILTER = 32000, LZF_VALUES = 3, LZF_CHUNK_BYTES = 2, LITERALS = 32, LONG_COPY = 7, COPY_MIN = 2 };

bool ds_lzf_decode(uint8_t *out, size_t expected, const uint8_t *in, size_t size)
{
    size_t at = 0, done = 0;
    while (at < size) {
        size_t control = in[at++];
        if (control < LITERALS) {
            size_t n = control + 1;
            if (n > size - at || n > expected - done)
                return false;
            memcpy(out + done, in + at, n);
            at += n;
            done += n;
            continue;
        }
        size_t n = control >> 5, distance = (control & 31) << 8;
        if (n == LONG_COPY) {
            if (at == size)
                return false;
            n += in[at++];
        }
        n += COPY_MIN;
        if (at == size)
            return false;
        distance += (size_t)in[at++] + 1;
        if (distance > done || n > expected - done)
            return false;
        for (size_t i = 0; i < n; i++, done++) /* byte by byte: a piece may copy what it has just written */
            out[done] = out[done - distance];
    }
    return done == expected;
}

/* HDF5 frees and keeps the buffer with the C library's own functions. */
static size_t decode_chunk(unsigned flags, size_t n_values, const unsigned values[], size_t size, size_t *room,
                           void **buffer)
{
    if (!(flags & H5Z_FLAG_REVERSE) || n_values < LZF_VALUES)
        return 0;
    size_t expected = values[LZF_CHUNK_BYTES];
    uint8_t *out = malloc(expected > 0 ? expected : 1);
    if (!out || !ds_lzf_decode(out, expected, *buffer, size)) {
        free(out);
        return 0;
    }
    free(*buffer);
    *buffer = out;
    *room = expected;
    return expected;
}

fwm_status ds_lzf_register(void)
{
    static const H5Z_class2_t filter = {
        .version = H5Z_CLASS_T_VERS,
        .id = LZF_FILTER,
        .encoder_present = 0,
        .decoder_present = 1,
        .name = "lzf",
        .filter = decode_chunk,
    };
    static bool known;
    if (!known)
        known = H5Zregister(&filter) >= 0;
    FWM_CHECK(known, FWM_LIBRARY, "HDF5 does not take the LZF filter: %s", ds_h5_reason());
    return FWM_OK;
}

bool ds_lzf_fits(hid_t creation, int64_t chunk_bytes)
{
    int n = H5Pget_nfilters(creation);
    for (int i = 0; i < n; i++) {
        unsigned flags, config, values[LZF_VALUES] = {0};
        size_t count = LZF_VALUES;
        if (H5Pget_filter2(creation, (unsigned)i, &flags, &count, values, 0, NULL, &config) == LZF_FILTER &&
            (count < LZF_VALUES || (int64_t)values[LZF_CHUNK_BYTES] != chunk_bytes))
            return false;
    }
    return true;
}
