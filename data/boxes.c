#include "data/boxes.h"

#include "model/base/arena.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Values that are converted pass through a block that stays in the first-level cache. Runs shorter than RUN_BYTES are
 * not worth a system call each: the chunk is read whole, unless it is larger than WHOLE_BYTES. */
enum { BLOCK_BYTES = 16384, RUN_BYTES = 2048, WHOLE_BYTES = 1 << 26, FEW_RUNS = 4, INFLATED_MAX = 1040 };

static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER, pool_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- buffers ---------------------------------------------------------------------------------------------------- */

static ds_undoer *take_undoer(const ds_h5 *file)
{
    ds_h5 *f = (ds_h5 *)(uintptr_t)file; /* the pool belongs to the file, and has its own lock */
    (void)pthread_mutex_lock(&pool_mutex);
    ds_undoer *u = f->resting;
    if (u)
        f->resting = u->next;
    (void)pthread_mutex_unlock(&pool_mutex);
    return u ? u : fwm_calloc(1, sizeof *u);
}

static void rest_undoer(const ds_h5 *file, ds_undoer *u)
{
    ds_h5 *f = (ds_h5 *)(uintptr_t)file;
    (void)pthread_mutex_lock(&pool_mutex);
    u->next = f->resting;
    f->resting = u;
    (void)pthread_mutex_unlock(&pool_mutex);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

static fwm_status pread_all(const ds_array *a, void *out, int64_t size, int64_t offset)
{
    char *to = out;
    while (size > 0) {
        ssize_t n = pread(a->file->fd, to, (size_t)size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        FWM_CHECK(n >= 0, FWM_IO, "%s: %s: cannot be read: %s", a->file->path, a->name, strerror(errno));
        FWM_CHECK(n > 0, FWM_IO, "%s: %s: the file ends at byte %lld, in the middle of it (truncated while open?)",
                  a->file->path, a->name, (long long)offset);
        to += n;
        offset += n;
        size -= n;
    }
    return FWM_OK;
}

/* Where a box comes from: memory, or the file at `offset`. */
typedef struct origin {
    const uint8_t *memory; /* NULL: the file */
    int64_t offset;
} origin;

/* n values from element `from` on. */
static fwm_status move_run(const ds_array *a, const origin *o, int64_t from, int64_t n, ds_as as, void *out)
{
    const int64_t size = a->stored.size;
    const bool as_it_is = as == DS_AS_BYTES || (ds_stored_is_f32(a->stored) && a->divisor == 1.0F);
    if (o->memory && as_it_is) {
        memcpy(out, o->memory + from * size, (size_t)(n * size));
    } else if (o->memory) {
        ds_numbers_to_floats(out, o->memory + from * size, n, a->stored, a->divisor);
    } else if (as_it_is) {
        return pread_all(a, out, n * size, o->offset + from * size);
    } else {
        uint64_t block[BLOCK_BYTES / sizeof(uint64_t)];
        const int64_t most = BLOCK_BYTES / size;
        for (int64_t i = 0; i < n; i += most) {
            const int64_t m = n - i < most ? n - i : most;
            FWM_TRY(pread_all(a, block, m * size, o->offset + (from + i) * size));
            ds_numbers_to_floats((float *)out + i, block, m, a->stored, a->divisor);
        }
    }
    return FWM_OK;
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

/* A box that lies in one chunk: its extents, and where it begins in the chunk and in what is read. */
typedef struct piece {
    int64_t length[DS_RANK_MAX], from[DS_RANK_MAX], to[DS_RANK_MAX];
    int64_t run, runs; /* values that are in a row on both sides; how many such rows */
    int axis;          /* the last that is not within a run */
} piece;

static void find_runs(piece *p, const ds_array *a, const int64_t *count)
{
    int d = a->rank - 1;
    p->run = p->length[d];
    while (d > 0 && p->length[d] == a->chunk[d] && p->length[d] == count[d])
        p->run *= p->length[--d];
    p->runs = 1;
    p->axis = d - 1;
    for (int i = 0; i < d; i++)
        p->runs *= p->length[i];
}

static fwm_status move_piece(const ds_array *a, const piece *p, const origin *o, const int64_t *count, ds_as as,
                             void *out)
{
    const int64_t width = as == DS_AS_BYTES ? 1 : (int64_t)sizeof(float);
    int64_t at[DS_RANK_MAX] = {0};
    for (int64_t r = 0; r < p->runs; r++) {
        int64_t from = 0, to = 0;
        for (int d = 0; d < a->rank; d++) {
            from = from * a->chunk[d] + p->from[d] + at[d];
            to = to * count[d] + p->to[d] + at[d];
        }
        FWM_TRY(move_run(a, o, from, p->run, as, (char *)out + to * width));
        for (int d = p->axis; d >= 0 && ++at[d] == p->length[d]; d--)
            at[d] = 0;
    }
    return FWM_OK;
}

/* ---- chunks ----------------------------------------------------------------------------------------------------- */

/* Extensible arrays and the like: HDF5 is asked, chunk by chunk. */
static fwm_status ask_table(const ds_array *a, int64_t n, ds_chunk *table)
{
    fwm_status status = FWM_OK;
    ds_h5_lock();
    hid_t id = H5Dopen2(a->file->id, a->name, H5P_DEFAULT);
    for (int64_t i = 0; i < n && status == FWM_OK; i++) {
        hsize_t at[DS_RANK_MAX], size = 0;
        haddr_t address = HADDR_UNDEF;
        unsigned mask = 0;
        for (int64_t d = a->rank - 1, k = i; d >= 0; k /= a->grid[d], d--)
            at[d] = (hsize_t)(k % a->grid[d] * a->chunk[d]);
        if (H5Dget_chunk_info_by_coord(id, at, &mask, &address, &size) < 0)
            status = fwm_fail(FWM_DATA, "a chunk cannot be found, HDF5 says: %s", ds_h5_reason());
        else if (address != HADDR_UNDEF && address <= INT64_MAX / 2 && size <= UINT32_MAX)
            table[i] = (ds_chunk){(int64_t)address + a->file->base, (uint32_t)size, mask};
    }
    if (id >= 0)
        H5Dclose(id);
    ds_h5_unlock();
    return status;
}

static fwm_status build_table(ds_array *a)
{
    int64_t n = 1;
    for (int d = 0; d < a->rank; d++)
        n *= a->grid[d]; /* limited when the array was opened */
    ds_chunk *table = fwm_calloc((size_t)n, sizeof *table);
    FWM_CHECK(table, FWM_MEMORY, "out of memory for the places of %lld chunks", (long long)n);
    const fwm_status status = a->index.kind == DS_INDEX_NONE
                                  ? ask_table(a, n, table)
                                  : ds_index_read(a->file, &a->index, a->rank, a->chunk, a->grid, a->most,
                                                  a->filters.count > 0, (uint32_t)a->chunk_bytes, table);
    if (status == FWM_OK)
        __atomic_store_n(&a->table, table, __ATOMIC_RELEASE);
    else
        fwm_free(table);
    return status;
}

static fwm_status need_table(ds_array *a)
{
    if (__atomic_load_n(&a->table, __ATOMIC_ACQUIRE))
        return FWM_OK;
    (void)pthread_mutex_lock(&table_mutex);
    fwm_status status = a->table ? FWM_OK : build_table(a);
    (void)pthread_mutex_unlock(&table_mutex);
    return status == FWM_OK ? FWM_OK : fwm_fail_within(status, "%s: %s", a->file->path, a->name);
}

static fwm_status check_chunk(const ds_array *a, const ds_chunk *c, const int64_t *at)
{
    FWM_CHECK(c->address != 0, FWM_DATA, "%s: %s: expected a chunk at member %lld, step %lld, but it was never written",
              a->file->path, a->name, (long long)(a->axis == 1 ? at[0] * a->chunk[0] : 0),
              (long long)(at[a->axis] * a->chunk[a->axis]));
    const int64_t plain = a->chunk_bytes, size = c->size;
    FWM_CHECK(size <= a->file->size && c->address <= a->file->size - size &&
                  (a->filters.count > 0 ? plain / INFLATED_MAX <= size : plain == size),
              FWM_DATA,
              "%s: %s: the chunk at byte %lld of %lld bytes cannot be a whole one within the file of %lld bytes: the "
              "file is damaged",
              a->file->path, a->name, (long long)c->address, (long long)size, (long long)a->file->size);
    return FWM_OK;
}

/* The whole chunk, plain. *out lies in one of the undoer's buffers. */
static fwm_status load_chunk(const ds_array *a, const ds_chunk *c, ds_undoer *u, const uint8_t **out)
{
    FWM_CHECK(u && ds_undoer_room(u, 0, c->size), FWM_MEMORY, "%s: %s: out of memory for a chunk of %u bytes",
              a->file->path, a->name, (unsigned)c->size);
    FWM_TRY(pread_all(a, u->buffer[0], c->size, c->address));
    const fwm_status status = ds_pipeline_undo(&a->filters, u, c->size, c->mask, (size_t)a->chunk_bytes, out);
    return status == FWM_OK ? FWM_OK : fwm_fail_within(status, "%s: %s", a->file->path, a->name);
}

static fwm_status read_chunk(const ds_array *a, const ds_chunk *c, const piece *p, ds_undoer **u, const int64_t *count,
                             ds_as as, void *out)
{
    const int64_t run_bytes = p->run * a->stored.size;
    origin o = {.offset = c->address};
    if (a->filters.count > 0 || (run_bytes < RUN_BYTES && p->runs > FEW_RUNS && a->chunk_bytes <= WHOLE_BYTES)) {
        if (!*u)
            *u = take_undoer(a->file);
        FWM_TRY(load_chunk(a, c, *u, &o.memory));
    }
    return move_piece(a, p, &o, count, as, out);
}

static fwm_status read_chunks(ds_array *a, ds_undoer **u, const int64_t *at, const int64_t *count, ds_as as, void *out)
{
    int64_t first[DS_RANK_MAX], last[DS_RANK_MAX], now[DS_RANK_MAX];
    for (int d = 0; d < a->rank; d++) {
        now[d] = first[d] = at[d] / a->chunk[d];
        last[d] = (at[d] + count[d] - 1) / a->chunk[d];
    }
    for (bool more = true; more;) {
        piece p;
        int64_t slot = 0;
        for (int d = 0; d < a->rank; d++) {
            const int64_t begin = now[d] * a->chunk[d], end = begin + a->chunk[d];
            const int64_t low = begin > at[d] ? begin : at[d], high = end < at[d] + count[d] ? end : at[d] + count[d];
            p.from[d] = low - begin;
            p.to[d] = low - at[d];
            p.length[d] = high - low;
            slot = slot * a->grid[d] + now[d];
        }
        find_runs(&p, a, count);
        FWM_TRY(check_chunk(a, &a->table[slot], now));
        FWM_TRY(read_chunk(a, &a->table[slot], &p, u, count, as, out));
        int d = a->rank - 1;
        for (; d >= 0 && ++now[d] > last[d]; d--)
            now[d] = first[d];
        more = d >= 0;
    }
    return FWM_OK;
}

fwm_status ds_box_read(ds_array *a, const int64_t *at, const int64_t *count, ds_as as, void *out)
{
    if (a->storage == DS_CONTIGUOUS) {
        piece p = {0};
        const origin o = {.offset = a->address};
        memcpy(p.length, count, (size_t)a->rank * sizeof *count);
        memcpy(p.from, at, (size_t)a->rank * sizeof *at);
        find_runs(&p, a, count);
        return move_piece(a, &p, &o, count, as, out);
    }
    ds_undoer *u = NULL;
    FWM_TRY(need_table(a));
    const fwm_status status = read_chunks(a, &u, at, count, as, out);
    if (u)
        rest_undoer(a->file, u);
    return status;
}
