#include "data/chunks.h"

#include "data/h5.h"
#include "model/base/checked.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    WORD = 8, /* bytes of an address and of a length: others are not understood */
    MESSAGE_LAYOUT = 8,
    MESSAGE_CONTINUATION = 16,
    HEADER_BYTES_MAX = 1 << 24,
    BLOCKS_MAX = 1024, /* of one object header */
    LEVELS_MAX = 32,
    NODE_HEAD = 24,
    CHECKSUM = 4,
    CHUNKED = 2,
    FIXED_HEAD = 28,
    FIXED_BLOCK_HEAD = 14
};

static uint64_t little(const uint8_t *bytes, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--)
        v = v << 8 | bytes[i];
    return v;
}

/* `size` bytes at an address of HDF5's. */
static fwm_status read_at(const ds_h5 *file, void *out, uint64_t address, uint64_t size)
{
    const uint64_t end = (uint64_t)(file->size - file->base);
    uint8_t *to = out;
    FWM_CHECK(address <= end && size <= end - address, FWM_DATA,
              "its metadata lies at bytes %llu to %llu, beyond the file's %llu: the file is damaged",
              (unsigned long long)address, (unsigned long long)(address + size), (unsigned long long)end);
    int64_t at = file->base + (int64_t)address;
    while (size > 0) {
        const ssize_t n = pread(file->fd, to, (size_t)size, at);
        if (n < 0 && errno == EINTR)
            continue;
        FWM_CHECK(n >= 0, FWM_IO, "its metadata cannot be read: %s", strerror(errno));
        FWM_CHECK(n > 0, FWM_IO, "the file ends at byte %lld (truncated while open?)", (long long)at);
        to += n;
        at += n;
        size -= (uint64_t)n;
    }
    return FWM_OK;
}

/* ---- the object header ----------------------------------------------------------------------------------------- */

/* A block of messages to go through. */
typedef struct block {
    uint64_t address, size;
} block;

typedef struct header_walk {
    const ds_h5 *file;
    bool new_style;
    bool ordered; /* messages carry their order of creation */
    int blocks, done;
    block list[BLOCKS_MAX];
    int rank;
    ds_index *out;
    bool found;
} header_walk;

/* Layout messages of version 4: after version and class. */
static void parse_layout_4(const uint8_t *m, uint64_t size, int rank, ds_index *out)
{
    enum { DONT_FILTER_EDGES = 1, ONE_FILTERED = 2, KIND_ONE = 1, KIND_IMPLICIT = 2, KIND_FIXED = 3 };
    if (size < 6)
        return;
    const uint8_t flags = m[2], dims = m[3], width = m[4];
    uint64_t at = 5 + (uint64_t)dims * width;
    if (dims != rank + 1 || width < 1 || width > WORD || (flags & DONT_FILTER_EDGES) || at >= size)
        return;
    const uint8_t kind = m[at++];
    if (kind == KIND_ONE && (flags & ONE_FILTERED)) {
        if (size - at < 2 * WORD + 4 || little(m + at, WORD) > UINT32_MAX)
            return;
        out->one = (ds_chunk){.size = (uint32_t)little(m + at, WORD), .mask = (uint32_t)little(m + at + WORD, 4)};
        at += WORD + 4;
    } else if (kind == KIND_FIXED) {
        at += 1; /* page bits: again in the index */
    }
    if (size < at || size - at < WORD)
        return;
    out->address = little(m + at, WORD);
    out->kind = kind == KIND_ONE        ? DS_INDEX_ONE
                : kind == KIND_IMPLICIT ? DS_INDEX_IMPLICIT
                : kind == KIND_FIXED    ? DS_INDEX_FIXED
                                        : DS_INDEX_NONE;
}

static void parse_layout(const uint8_t *m, uint64_t size, int rank, ds_index *out)
{
    if (size < 3 || m[1] != CHUNKED)
        return;
    if (m[0] == 4) {
        parse_layout_4(m, size, rank, out);
    } else if (m[0] == 3 && size >= 3 + WORD && m[2] == rank + 1) {
        out->kind = DS_INDEX_TREE;
        out->address = little(m + 3, WORD);
    }
}

static fwm_status add_block(header_walk *w, uint64_t address, uint64_t size)
{
    FWM_CHECK(w->blocks < BLOCKS_MAX && size <= HEADER_BYTES_MAX, FWM_DATA,
              "its object header has more than %d pieces, or one of %llu bytes: the file is damaged", BLOCKS_MAX,
              (unsigned long long)size);
    w->list[w->blocks++] = (block){address, size};
    return FWM_OK;
}

static fwm_status take_message(header_walk *w, uint64_t type, const uint8_t *m, uint64_t size)
{
    if (type == MESSAGE_LAYOUT) {
        w->found = true;
        parse_layout(m, size, w->rank, w->out);
    } else if (type == MESSAGE_CONTINUATION && size >= 2 * WORD) {
        uint64_t address = little(m, WORD), length = little(m + WORD, WORD), edge = w->new_style ? 4 : 0;
        FWM_CHECK(length >= 2 * edge && address <= INT64_MAX, FWM_DATA,
                  "a piece of its object header has %llu bytes: the file is damaged", (unsigned long long)length);
        return add_block(w, address + edge, length - 2 * edge); /* without signature and checksum */
    }
    return FWM_OK;
}

static fwm_status walk_block(header_walk *w, const uint8_t *bytes, uint64_t size)
{
    const uint64_t head = w->new_style ? (w->ordered ? 6 : 4) : 8;
    for (uint64_t at = 0; !w->found && size - at >= head;) {
        const uint8_t *m = bytes + at;
        const uint64_t type = w->new_style ? m[0] : little(m, 2), length = little(m + (w->new_style ? 1 : 2), 2);
        at += head;
        FWM_CHECK(length <= size - at, FWM_DATA, "a message of its object header is cut: the file is damaged");
        FWM_TRY(take_message(w, type, bytes + at, length));
        at += length;
    }
    return FWM_OK;
}

/* The first block, which stands behind the header's own head. */
static fwm_status begin_header(header_walk *w, uint64_t address)
{
    uint8_t head[48] = {0};
    const uint64_t end = (uint64_t)(w->file->size - w->file->base);
    const uint64_t room = address < end && end - address < sizeof head ? end - address : sizeof head;
    FWM_TRY(read_at(w->file, head, address, room));
    if (memcmp(head, "OHDR\x02", 5) != 0) {
        FWM_CHECK(head[0] == 1, FWM_DATA, "expected an object header at byte %llu, found something else",
                  (unsigned long long)address);
        return add_block(w, address + 16, little(head + 8, 4));
    }
    enum { WIDTH = 3, ORDERED = 4, LIMITS = 16, TIMES = 32 };
    const uint8_t flags = head[5], width = (uint8_t)(1 << (flags & WIDTH));
    const uint64_t at = 6U + (flags & TIMES ? 16U : 0U) + (flags & LIMITS ? 4U : 0U);
    w->new_style = true;
    w->ordered = flags & ORDERED;
    return add_block(w, address + at + width, little(head + at, width));
}

static fwm_status walk_header(header_walk *w, uint64_t header)
{
    FWM_TRY(begin_header(w, header));
    for (; w->done < w->blocks && !w->found; w->done++) {
        const block b = w->list[w->done];
        const uint64_t end = (uint64_t)(w->file->size - w->file->base);
        FWM_CHECK(b.address <= end && b.size <= end - b.address, FWM_DATA,
                  "a piece of its object header lies beyond the end of the file, which is damaged");
        uint8_t *bytes = fwm_malloc((size_t)b.size + 1, 1);
        FWM_CHECK(bytes, FWM_MEMORY, "out of memory for an object header");
        fwm_status status = read_at(w->file, bytes, b.address, b.size);
        if (status == FWM_OK)
            status = walk_block(w, bytes, b.size);
        fwm_free(bytes);
        FWM_TRY(status);
    }
    return FWM_OK;
}

fwm_status ds_index_find(const ds_h5 *file, uint64_t header, int rank, ds_index *index)
{
    memset(index, 0, sizeof *index);
    if (file->fd < 0 || file->offset_bytes != WORD)
        return FWM_OK;
    header_walk *w = fwm_calloc(1, sizeof *w);
    FWM_CHECK(w, FWM_MEMORY, "out of memory for an object header");
    w->file = file;
    w->rank = rank;
    w->out = index;
    const fwm_status status = walk_header(w, header);
    fwm_free(w);
    return status;
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

typedef struct table_job {
    const ds_h5 *file;
    int rank;
    const int64_t *chunk, *grid, *most;
    bool filtered;
    uint32_t bytes;
    ds_chunk *table;
    uint64_t budget; /* bytes of the index that may still be read */
} table_job;

/* Notes a chunk; what lies outside the file is left for the reader to name. */
static void note(const table_job *j, int64_t at, uint64_t address, uint64_t size, uint64_t mask)
{
    if (address == UINT64_MAX || address > INT64_MAX / 2 || size == 0 || size > UINT32_MAX)
        return;
    j->table[at] = (ds_chunk){(int64_t)address + j->file->base, (uint32_t)size, (uint32_t)mask};
}

/* Element of the table for a chunk whose first value is at `offsets`; false where there is none. */
static bool place_of(const table_job *j, const uint8_t *offsets, int64_t *out)
{
    *out = 0;
    for (int d = 0; d < j->rank; d++) {
        const uint64_t at = little(offsets + d * WORD, WORD), step = (uint64_t)j->chunk[d];
        if (at % step != 0 || at / step >= (uint64_t)j->grid[d])
            return false;
        *out = *out * j->grid[d] + (int64_t)(at / step);
    }
    return true;
}

/* A node of a version 1 B-tree and all below it. */
static fwm_status read_tree(table_job *j, uint64_t address, int level, bool top)
{
    uint8_t head[NODE_HEAD];
    const uint64_t key = 8 + WORD * ((uint64_t)j->rank + 1), step = key + WORD;
    FWM_TRY(read_at(j->file, head, address, sizeof head));
    const int found = head[5];
    FWM_CHECK(memcmp(head, "TREE", 4) == 0 && head[4] == 1 && found < LEVELS_MAX && (top || found == level), FWM_DATA,
              "its index of chunks is broken at byte %llu: the file is damaged", (unsigned long long)address);
    const uint64_t entries = little(head + 6, 2), size = NODE_HEAD + entries * step;
    FWM_CHECK(size <= j->budget, FWM_DATA, "its index of chunks goes round in circles: the file is damaged");
    j->budget -= size;
    uint8_t *bytes = fwm_malloc((size_t)(entries * step + 1), 1);
    FWM_CHECK(bytes, FWM_MEMORY, "out of memory for its index of chunks");
    fwm_status status = read_at(j->file, bytes, address + NODE_HEAD, entries * step);
    for (uint64_t i = 0; i < entries && status == FWM_OK; i++) {
        const uint8_t *k = bytes + i * step;
        const uint64_t child = little(k + key, WORD);
        int64_t at;
        if (found > 0)
            status = read_tree(j, child, found - 1, false);
        else if (place_of(j, k + 8, &at))
            note(j, at, child, little(k, 4), little(k + 4, 4));
    }
    fwm_free(bytes);
    return status;
}

/* The element of our table for element `i` of an index over the largest extents; -1 outside today's. */
static int64_t from_most(const table_job *j, int64_t i)
{
    int64_t out = 0, at[DS_RANK_MAX];
    for (int d = j->rank - 1; d >= 0; d--) {
        at[d] = i % j->most[d];
        i /= j->most[d];
    }
    for (int d = 0; d < j->rank; d++) {
        if (at[d] >= j->grid[d])
            return -1;
        out = out * j->grid[d] + at[d];
    }
    return out;
}

static int64_t count_most(const table_job *j)
{
    int64_t n = 1;
    for (int d = 0; d < j->rank; d++)
        if (!fwm_mul_i64(n, j->most[d], &n))
            return -1;
    return n;
}

static void note_elements(const table_job *j, const uint8_t *bytes, uint64_t width, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *e = bytes + (uint64_t)i * width;
        const int64_t at = from_most(j, first + i);
        const int size = (int)width - WORD - 4;
        if (at >= 0 && j->filtered)
            note(j, at, little(e, WORD), little(e + WORD, size), little(e + WORD + size, 4));
        else if (at >= 0)
            note(j, at, little(e, WORD), j->bytes, 0);
    }
}

/* A fixed array: a header, and one block, cut into pages where it is long. */
static fwm_status read_fixed(const table_job *j, uint64_t address)
{
    uint8_t head[FIXED_HEAD], start[FIXED_BLOCK_HEAD];
    FWM_TRY(read_at(j->file, head, address, sizeof head));
    const uint64_t width = head[6], count = little(head + 8, WORD), data = little(head + 16, WORD);
    const int bits = head[7];
    const int64_t most = count_most(j);
    FWM_CHECK(memcmp(head, "FAHD\x00", 5) == 0 && head[5] == (j->filtered ? 1 : 0) && bits < 32 && most >= 0 &&
                  count == (uint64_t)most && (j->filtered ? width > WORD + 4 && width <= 2 * WORD + 4 : width == WORD),
              FWM_DATA, "its index of chunks is broken at byte %llu: the file is damaged", (unsigned long long)address);
    if (data == UINT64_MAX)
        return FWM_OK; /* nothing was written */
    FWM_TRY(read_at(j->file, start, data, sizeof start));
    FWM_CHECK(memcmp(start, "FADB\x00", 5) == 0, FWM_DATA,
              "its index of chunks is broken at byte %llu: the file is damaged", (unsigned long long)data);
    const uint64_t page = (uint64_t)1 << bits, pages = count > page ? (count + page - 1) / page : 0;
    const uint64_t bitmap = (pages + 7) / 8, run = pages ? page : count;
    uint64_t at = data + FIXED_BLOCK_HEAD + bitmap + (pages ? CHECKSUM : 0), all;
    FWM_CHECK(!__builtin_mul_overflow(run, width, &all) && all <= (uint64_t)j->file->size &&
                  bitmap <= (uint64_t)j->file->size,
              FWM_DATA, "its index of chunks claims %llu entries, more than the file holds: the file is damaged",
              (unsigned long long)count);
    uint8_t *bytes = fwm_malloc((size_t)(all + bitmap + 1), 1);
    FWM_CHECK(bytes, FWM_MEMORY, "out of memory for its index of chunks");
    fwm_status status = read_at(j->file, bytes + all, data + FIXED_BLOCK_HEAD, bitmap);
    for (uint64_t first = 0, p = 0; first < count && status == FWM_OK; first += run, p++) {
        const uint64_t n = count - first < run ? count - first : run;
        if (!pages || (bytes[all + p / 8] & (0x80 >> p % 8))) { /* pages that were never written are left out */
            status = read_at(j->file, bytes, at, n * width);
            if (status == FWM_OK)
                note_elements(j, bytes, width, (int64_t)first, (int64_t)n);
        }
        at += run * width + CHECKSUM;
    }
    fwm_free(bytes);
    return status;
}

fwm_status ds_index_read(const ds_h5 *file, const ds_index *index, int rank, const int64_t *chunk, const int64_t *grid,
                         const int64_t *most, bool filtered, uint32_t bytes, ds_chunk *table)
{
    table_job j = {file, rank, chunk, grid, most, filtered, bytes, table, (uint64_t)file->size};
    int64_t n = 1;
    if (index->address == UINT64_MAX)
        return FWM_OK;
    switch (index->kind) {
    case DS_INDEX_TREE:
        return read_tree(&j, index->address, 0, true);
    case DS_INDEX_FIXED:
        return read_fixed(&j, index->address);
    case DS_INDEX_ONE:
        note(&j, 0, index->address, filtered && index->one.size ? index->one.size : bytes, index->one.mask);
        return FWM_OK;
    case DS_INDEX_IMPLICIT:
        n = count_most(&j);
        for (int64_t i = 0; i < n; i++)
            if (from_most(&j, i) >= 0)
                note(&j, from_most(&j, i), index->address + (uint64_t)i * bytes, bytes, 0);
        return FWM_OK;
    case DS_INDEX_NONE:
        break;
    }
    return fwm_fail(FWM_INTERNAL, "no index of chunks to read");
}
