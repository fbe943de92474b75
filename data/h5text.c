/* Texts of variable length. HDF5 keeps them in global heaps, which carry no checksum and which HDF5 1.10 follows
 * without checking: a damaged one crashes it. So HDF5 is asked for the raw references only (by a conversion to opaque
 * bytes that copies them), and the heap is read here, every length checked. Source: HDF5 File Format Specification
 * 3.0, III.E and VIII.B. */
#include "data/h5.h"

#include "model/base/checked.h"

#include <string.h>
#include <unistd.h>

enum { REFERENCE_BYTES = 16, HEAP_HEADER = 16, OBJECT_HEADER = 16, HEAP_MAX = 1 << 26 };

static herr_t keep_bytes(hid_t from, hid_t to, H5T_cdata_t *data, size_t n, size_t stride, size_t back_stride,
                         void *buffer, void *background, hid_t transfer)
{
    (void)from, (void)to, (void)n, (void)stride, (void)back_stride, (void)buffer, (void)background, (void)transfer;
    if (data->command == H5T_CONV_INIT)
        data->need_bkg = H5T_BKG_NO;
    return 0;
}

/* Teaches HDF5, once in the process, to hand out references to texts as 16 opaque bytes; *type is that type. */
static bool opaque_references(hid_t *type)
{
    static bool taught;
    *type = H5Tcreate(H5T_OPAQUE, REFERENCE_BYTES);
    if (taught || *type < 0)
        return *type >= 0;
    hid_t text = H5Tcopy(H5T_C_S1);
    taught = text >= 0 && H5Tset_size(text, H5T_VARIABLE) >= 0 &&
             H5Tregister(H5T_PERS_SOFT, "fwm text references", text, *type, keep_bytes) >= 0;
    if (text >= 0)
        H5Tclose(text);
    if (!taught)
        H5Tclose(*type);
    return taught;
}

static uint64_t little(const unsigned char *bytes, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--)
        v = v << 8 | bytes[i];
    return v;
}

/* The object `index` of a heap of `size` bytes: its data, NULL when it is not there whole. */
static const unsigned char *find_object(const unsigned char *heap, uint64_t size, uint64_t index, uint64_t length)
{
    for (uint64_t at = HEAP_HEADER; size - at >= OBJECT_HEADER;) {
        uint64_t found = little(heap + at, 2), bytes = little(heap + at + 8, 8), room = size - at - OBJECT_HEADER;
        if (found == 0 || bytes > room) /* free space ends the list */
            return NULL;
        if (found == index)
            return length <= bytes ? heap + at + OBJECT_HEADER : NULL;
        uint64_t padded = (bytes + 7) & ~(uint64_t)7;
        if (padded > room)
            return NULL;
        at += OBJECT_HEADER + padded;
    }
    return NULL;
}

/* Copies one text into the arena; NULL with *status set otherwise. */
static const char *fetch(const ds_h5 *file, const unsigned char *reference, fwm_arena *arena, fwm_status *status)
{
    uint64_t length = little(reference, 4), address = little(reference + 4, 8), index = little(reference + 12, 4),
             size = 0;
    unsigned char header[HEAP_HEADER], *heap = NULL;
    const unsigned char *data;
    char *text = NULL;
    *status = FWM_OK;
    if (length == 0)
        return "";
    uint64_t end = (uint64_t)(file->size - file->base);
    bool ok = address < end && end - address >= HEAP_HEADER &&
              pread(file->fd, header, sizeof header, file->base + (int64_t)address) == (ssize_t)sizeof header &&
              memcmp(header, "GCOL\x01", 5) == 0;
    if (ok) {
        size = little(header + 8, 8);
        ok = size >= HEAP_HEADER && size <= end - address && size <= HEAP_MAX;
    }
    if (ok && !(heap = fwm_malloc((size_t)size, 1))) {
        *status = fwm_fail(FWM_MEMORY, "out of memory for a text heap of %llu bytes", (unsigned long long)size);
        return NULL;
    }
    ok = ok && pread(file->fd, heap, (size_t)size, file->base + (int64_t)address) == (ssize_t)size;
    data = ok ? find_object(heap, size, index, length) : NULL;
    if (data)
        text = fwm_arena_alloc(arena, (size_t)length + 1);
    if (text)
        memcpy(text, data, (size_t)length);
    else
        *status =
            data ? fwm_fail(FWM_MEMORY, "out of memory for a text of %llu bytes", (unsigned long long)length)
                 : fwm_fail(FWM_DATA,
                            "its text of %llu bytes is not where it should be (heap at byte %llu): the file is damaged",
                            (unsigned long long)length, (unsigned long long)address);
    fwm_free(heap);
    return text;
}

fwm_status ds_h5_heap_texts(const ds_h5 *file, hid_t holder, int64_t count, fwm_arena *arena, const char **out)
{
    hid_t type = -1;
    size_t bytes = 0;
    FWM_CHECK(file->fd >= 0 && file->offset_bytes == 8, FWM_UNSUPPORTED,
              "texts of variable length in such a file are not read");
    FWM_CHECK(fwm_mul_size((size_t)count, REFERENCE_BYTES, &bytes) && (int64_t)bytes <= file->size, FWM_DATA,
              "%lld texts do not fit in a file of %lld bytes", (long long)count, (long long)file->size);
    unsigned char *references = fwm_calloc(bytes + 1, 1);
    FWM_CHECK(references, FWM_MEMORY, "out of memory for %lld texts", (long long)count);
    fwm_status status = FWM_OK;
    bool read = opaque_references(&type) &&
                (H5Iget_type(holder) == H5I_DATASET ? H5Dread(holder, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, references)
                                                    : H5Aread(holder, type, references)) >= 0;
    FWM_CHECK_GOTO(status, read, FWM_DATA, "cannot be read, HDF5 says: %s", ds_h5_reason());
    for (int64_t i = 0; i < count && status == FWM_OK; i++)
        out[i] = fetch(file, references + i * REFERENCE_BYTES, arena, &status);
done:
    if (type >= 0)
        H5Tclose(type);
    fwm_free(references);
    return status;
}
