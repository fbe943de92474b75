#include "data/filters.h"

#include "data/lzf.h"
#include "model/base/arena.h"

#include <libdeflate.h>
#include <string.h>

enum { CHECKSUM_BYTES = 4, FOLD_WORDS = 360 };

bool ds_pipeline_known(const ds_pipeline *pipeline)
{
    for (int i = 0; i < pipeline->count; i++) {
        const int id = pipeline->filter[i].id;
        if (id != DS_FILTER_DEFLATE && id != DS_FILTER_SHUFFLE && id != DS_FILTER_FLETCHER32 && id != DS_FILTER_LZF)
            return false;
    }
    return true;
}

uint8_t *ds_undoer_room(ds_undoer *u, int which, size_t size)
{
    if (u->room[which] < size) {
        fwm_free(u->buffer[which]);
        u->buffer[which] = fwm_malloc(size, 1);
        u->room[which] = u->buffer[which] ? size : 0;
    }
    return u->buffer[which];
}

void ds_undoer_clear(ds_undoer *u)
{
    fwm_free(u->buffer[0]);
    fwm_free(u->buffer[1]);
    if (u->inflater)
        libdeflate_free_decompressor(u->inflater);
    memset(u, 0, sizeof *u);
}

/* Elements of `element` bytes; inlined, where it is a constant, so that the compiler sees a word put together. */
static inline __attribute__((always_inline)) void gather(uint8_t *restrict out, const uint8_t *restrict in, size_t n,
                                                         size_t element)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < element; k++)
            out[i * element + k] = in[k * n + i];
}

/* Bytes 0 of all elements came first, then bytes 1, ...; what is left over stands at the end as it was. */
__attribute__((target_clones("avx2", "default"))) static void
unshuffle(uint8_t *restrict out, const uint8_t *restrict in, size_t size, size_t element)
{
    const size_t n = size / element;
    if (element == 2)
        gather(out, in, n, 2);
    else if (element == 4)
        gather(out, in, n, 4);
    else if (element == 8)
        gather(out, in, n, 8);
    else
        gather(out, in, n, element);
    memcpy(out + n * element, in + n * element, size - n * element);
}

/* Fletcher's checksum as HDF5 takes it: over 16-bit words, first byte high, sums folded to 16 bits. */
static uint32_t fletcher32(const uint8_t *data, size_t size)
{
    uint32_t a = 0, b = 0;
    size_t words = size / 2;
    while (words > 0) {
        size_t n = words < FOLD_WORDS ? words : FOLD_WORDS;
        words -= n;
        for (; n > 0; n--, data += 2) {
            a += (uint32_t)data[0] << 8 | data[1];
            b += a;
        }
        a = (a & 0xFFFF) + (a >> 16);
        b = (b & 0xFFFF) + (b >> 16);
    }
    if (size % 2) {
        a += (uint32_t)*data << 8;
        b += a;
        a = (a & 0xFFFF) + (a >> 16);
        b = (b & 0xFFFF) + (b >> 16);
    }
    a = (a & 0xFFFF) + (a >> 16);
    b = (b & 0xFFFF) + (b >> 16);
    return b << 16 | a;
}

static fwm_status take_checksum(const uint8_t *data, size_t *size)
{
    FWM_CHECK(*size >= CHECKSUM_BYTES, FWM_DATA, "a chunk of %zu bytes has no checksum: the file is damaged", *size);
    *size -= CHECKSUM_BYTES;
    const uint8_t *kept = data + *size;
    const uint32_t expected =
        (uint32_t)kept[0] | (uint32_t)kept[1] << 8 | (uint32_t)kept[2] << 16 | (uint32_t)kept[3] << 24;
    const uint32_t found = fletcher32(data, *size);
    /* HDF5 before 1.6.3 stored the two bytes of each half the other way round, and later ones read both. */
    const uint32_t turned = ((found & 0x00FF00FFU) << 8) | ((found >> 8) & 0x00FF00FFU);
    FWM_CHECK(expected == found || expected == turned, FWM_DATA,
              "a chunk's checksum is %08x, expected %08x: the file is damaged", (unsigned)found, (unsigned)expected);
    return FWM_OK;
}

/* Undoes one filter; *size bytes in buffer *in become at most `room` bytes in the other. */
static fwm_status undo_one(int id, uint32_t value, ds_undoer *u, int *in, size_t *size, size_t room)
{
    uint8_t *from = u->buffer[*in], *to;
    bool ok = true;
    if (id == DS_FILTER_FLETCHER32)
        return take_checksum(from, size);
    if (id == DS_FILTER_SHUFFLE && value == 1)
        return FWM_OK; /* bytes of bytes stay where they are */
    to = ds_undoer_room(u, 1 - *in, room);
    FWM_CHECK(to, FWM_MEMORY, "out of memory for a chunk of %zu bytes", room);
    if (id == DS_FILTER_SHUFFLE) {
        ok = *size <= room && value > 0;
        if (ok)
            unshuffle(to, from, *size, value);
    } else if (id == DS_FILTER_LZF) {
        ok = value <= room && ds_lzf_decode(to, value, from, *size);
        *size = value;
    } else {
        size_t found = 0;
        if (!u->inflater && !(u->inflater = libdeflate_alloc_decompressor()))
            return fwm_fail(FWM_MEMORY, "out of memory for decompression");
        ok = libdeflate_zlib_decompress(u->inflater, from, *size, to, room, &found) == LIBDEFLATE_SUCCESS;
        *size = found;
    }
    FWM_CHECK(ok, FWM_DATA, "a chunk cannot be unpacked: the file is damaged");
    *in = 1 - *in;
    return FWM_OK;
}

fwm_status ds_pipeline_undo(const ds_pipeline *p, ds_undoer *u, size_t stored, uint32_t skipped, size_t plain,
                            const uint8_t **out)
{
    int in = 0;
    size_t size = stored, room = plain + (size_t)p->count * CHECKSUM_BYTES;
    for (int i = p->count - 1; i >= 0; i--)
        if (!(skipped >> i & 1))
            FWM_TRY(undo_one(p->filter[i].id, p->filter[i].value, u, &in, &size, room));
    FWM_CHECK(size == plain, FWM_DATA, "a chunk has %zu bytes, expected %zu: the file is damaged", size, plain);
    *out = u->buffer[in];
    return FWM_OK;
}
