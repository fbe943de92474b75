/* Arrays in HDF5 files. Where values are stored plainly (contiguous, or in chunks without filters, as float32 or
 * bytes) they are read with pread at addresses that HDF5 is asked for once; everything else goes through HDF5's own
 * reading. */
#include "data/h5.h"

#include "data/lzf.h"
#include "model/base/checked.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Deflate's best ratio is 1032 to 1: a filtered array may claim no more than this times its file. */
enum { FILTER_RATIO = 1040, ADDRESS_UNKNOWN = 0, ADDRESS_NONE = -1, GRID_MAX = 1 << 24, EXPAND_BLOCK = 4096 };

static bool product(const int64_t *dims, int from, int to, int64_t *out)
{
    *out = 1;
    for (int i = from; i < to; i++)
        if (!fwm_mul_i64(*out, dims[i], out))
            return false;
    return true;
}

int64_t ds_array_width(const ds_array *array, int axis)
{
    int64_t n = 1;
    (void)product(array->dims, axis, array->rank, &n); /* checked when the array was opened */
    return n;
}

fwm_status ds_array_check_extent(const ds_array *array, int axis, int64_t expected, const char *what)
{
    FWM_CHECK(array->dims[axis] == expected, FWM_DATA, "%s: %s: expected extent %lld on axis %d (%s), found %lld",
              array->file->path, array->name, (long long)expected, axis, what, (long long)array->dims[axis]);
    return FWM_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static fwm_status read_extents(ds_array *a, int rank)
{
    const char *path = a->file->path;
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(a->id);
    FWM_CHECK(space >= 0, FWM_DATA, "%s: %s: no extents, HDF5 says: %s", path, a->name, ds_h5_reason());
    int found = H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    FWM_CHECK(found >= 0, FWM_DATA, "%s: %s: damaged extents", path, a->name);
    FWM_CHECK(found <= DS_RANK_MAX && (rank == 0 || found == rank), FWM_DATA, "%s: %s: expected %d axes, found %d",
              path, a->name, rank ? rank : DS_RANK_MAX, found);
    a->rank = found;
    for (int i = 0; i < found; i++) {
        FWM_CHECK(dims[i] <= (hsize_t)INT64_MAX, FWM_DATA, "%s: %s: absurd extent on axis %d", path, a->name, i);
        a->dims[i] = (int64_t)dims[i];
    }
    return FWM_OK;
}

static fwm_status read_number_type(ds_array *a, size_t *size)
{
    hid_t type = H5Dget_type(a->id);
    FWM_CHECK(type >= 0, FWM_DATA, "%s: %s: no type, HDF5 says: %s", a->file->path, a->name, ds_h5_reason());
    H5T_class_t kind = H5Tget_class(type);
    *size = H5Tget_size(type);
    a->integer = kind == H5T_INTEGER || kind == H5T_ENUM;
    bool byte = *size == 1 && (kind == H5T_ENUM || (kind == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE));
    a->number = byte ? DS_U8 : H5Tequal(type, H5T_IEEE_F32LE) > 0 ? DS_F32 : DS_OTHER_NUMBER;
    H5Tclose(type);
    FWM_CHECK(a->integer || kind == H5T_FLOAT, FWM_DATA, "%s: %s: expected numbers, found another type", a->file->path,
              a->name);
    FWM_CHECK(*size >= 1 && *size <= 16, FWM_DATA, "%s: %s: expected numbers of 1 to 16 bytes, found %zu",
              a->file->path, a->name, *size);
    return FWM_OK;
}

/* The extents may claim no more than the file can hold; a chunk neither, since HDF5 allocates whole chunks. */
static fwm_status check_claim(const ds_array *a, const hsize_t *chunk, size_t size, bool filtered, int64_t *whole_chunk)
{
    int64_t limit = filtered ? FILTER_RATIO : 1, bytes, chunk_bytes = (int64_t)size;
    bool fits = fwm_mul_i64(limit, a->file->size, &limit) && product(a->dims, 0, a->rank, &bytes) &&
                fwm_mul_i64(bytes, (int64_t)size, &bytes) && bytes <= limit;
    for (int i = 0; chunk && fits && i < a->rank; i++)
        fits =
            chunk[i] > 0 && chunk[i] <= (hsize_t)INT64_MAX && fwm_mul_i64(chunk_bytes, (int64_t)chunk[i], &chunk_bytes);
    /* The last chunk of each axis may stand over: allow for it, within the same order of magnitude. */
    fits = fits && (!chunk || chunk_bytes <= (limit > (1 << 20) ? limit : 1 << 20));
    *whole_chunk = chunk_bytes;
    FWM_CHECK(fits, FWM_DATA, "%s: %s: its extents claim more than a file of %lld bytes can hold", a->file->path,
              a->name, (long long)a->file->size);
    return FWM_OK;
}

/* Decides between positioned reads and HDF5's. Inner axes must be whole in a chunk for a step to be one
 * run of bytes. */
static fwm_status plan_reads(ds_array *a, hid_t create, H5D_layout_t layout, const hsize_t *chunk, bool filtered)
{
    a->direct = false;
    if (a->file->fd < 0 || a->file->base != 0 || filtered || a->number == DS_OTHER_NUMBER || a->rank <= a->axis)
        return FWM_OK;
    int64_t c[2] = {1, 1}, g[2] = {1, 1}, count;
    for (int i = 0; i <= a->axis; i++) {
        int j = i + 1 - a->axis;
        c[j] = layout == H5D_CHUNKED ? (int64_t)chunk[i] : a->dims[i];
        g[j] = c[j] > 0 ? a->dims[i] / c[j] + (a->dims[i] % c[j] != 0) : 0;
    }
    for (int i = a->axis + 1; layout == H5D_CHUNKED && i < a->rank; i++)
        if ((int64_t)chunk[i] != a->dims[i])
            return FWM_OK;
    if ((layout != H5D_CHUNKED && (layout != H5D_CONTIGUOUS || H5Pget_external_count(create) != 0)) ||
        !fwm_mul_i64(g[0], g[1], &count) || count < 1 || count > GRID_MAX)
        return FWM_OK;
    a->address = fwm_calloc((size_t)count, sizeof *a->address);
    FWM_CHECK(a->address, FWM_MEMORY, "%s: %s: out of memory for %lld chunk addresses", a->file->path, a->name,
              (long long)count);
    if (layout == H5D_CONTIGUOUS) {
        haddr_t address = H5Dget_offset(a->id);
        if (address == HADDR_UNDEF || address > (haddr_t)a->file->size)
            return FWM_OK;
        a->address[0] = (int64_t)address;
    }
    memcpy(a->chunk, c, sizeof c);
    memcpy(a->grid, g, sizeof g);
    a->direct = true;
    return FWM_OK;
}

static fwm_status open_checked(ds_array *a, int rank)
{
    size_t size = 0;
    int64_t chunk_bytes = 0;
    FWM_TRY(read_extents(a, rank));
    FWM_TRY(read_number_type(a, &size));
    hid_t create = H5Dget_create_plist(a->id);
    FWM_CHECK(create >= 0, FWM_DATA, "%s: %s: no storage properties, HDF5 says: %s", a->file->path, a->name,
              ds_h5_reason());
    hsize_t chunk[H5S_MAX_RANK] = {0};
    H5D_layout_t layout = H5Pget_layout(create);
    bool chunked = layout == H5D_CHUNKED;
    int filters = H5Pget_nfilters(create);
    fwm_status status = FWM_OK;
    if (filters < 0 || (chunked && H5Pget_chunk(create, H5S_MAX_RANK, chunk) != a->rank))
        status = fwm_fail(FWM_DATA, "%s: %s: damaged storage properties", a->file->path, a->name);
    if (status == FWM_OK)
        status = check_claim(a, chunked ? chunk : NULL, size, filters > 0, &chunk_bytes);
    if (status == FWM_OK && !ds_lzf_fits(create, chunk_bytes))
        status = fwm_fail(FWM_DATA, "%s: %s: expected an LZF filter for chunks of %lld bytes, found one for others",
                          a->file->path, a->name, (long long)chunk_bytes);
    if (status == FWM_OK)
        status = plan_reads(a, create, layout, chunk, filters > 0);
    H5Pclose(create);
    return status;
}

fwm_status ds_array_open(ds_array *a, const ds_h5 *file, const char *name, int rank, int axis)
{
    memset(a, 0, sizeof *a);
    a->file = file;
    a->axis = axis;
    a->divisor = 1;
    a->id = -1;
    FWM_CHECK(ds_h5_exists(file, name), FWM_DATA, "%s: %s: expected a dataset, found none", file->path, name);
    a->name = fwm_strdup(name);
    FWM_CHECK(a->name, FWM_MEMORY, "%s: %s: out of memory", file->path, name);
    a->id = H5Dopen2(file->id, name, H5P_DEFAULT);
    fwm_status status =
        a->id < 0 ? fwm_fail(FWM_DATA, "%s: %s: expected a dataset, HDF5 says: %s", file->path, name, ds_h5_reason())
                  : open_checked(a, rank);
    if (status != FWM_OK)
        ds_array_close(a);
    return status;
}

void ds_array_close(ds_array *a)
{
    if (a->name && a->id >= 0)
        (void)H5Dclose(a->id);
    fwm_free(a->name);
    fwm_free(a->address);
    memset(a, 0, sizeof *a);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Bytes that lie at the end of `out` become n floats from its start: a float is written only where
 * bytes were read. */
static void expand_bytes(float *out, int64_t n, float divisor)
{
    const uint8_t *bytes = (const uint8_t *)(out + n) - n;
    uint8_t block[EXPAND_BLOCK];
    for (int64_t i = 0; i < n; i += EXPAND_BLOCK) {
        int64_t m = n - i < EXPAND_BLOCK ? n - i : EXPAND_BLOCK;
        memcpy(block, bytes + i, (size_t)m);
        for (int64_t j = 0; j < m; j++)
            out[i + j] = (float)block[j] / divisor;
    }
}

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

/* Looks up the address of chunk (row, column), once. The lock is held. */
static fwm_status find_chunk(ds_array *a, int64_t row, int64_t column, int64_t inner)
{
    int64_t *slot = &a->address[row * a->grid[1] + column];
    hsize_t at[DS_RANK_MAX] = {0}, size = 0;
    haddr_t address = HADDR_UNDEF;
    unsigned mask = 0;
    if (*slot != ADDRESS_UNKNOWN)
        return FWM_OK;
    if (a->axis == 1)
        at[0] = (hsize_t)(row * a->chunk[0]);
    at[a->axis] = (hsize_t)(column * a->chunk[1]);
    FWM_CHECK(H5Dget_chunk_info_by_coord(a->id, at, &mask, &address, &size) >= 0, FWM_DATA,
              "%s: %s: a chunk cannot be found, HDF5 says: %s", a->file->path, a->name, ds_h5_reason());
    FWM_CHECK(address != HADDR_UNDEF, FWM_DATA,
              "%s: %s: expected a chunk at member %lld, step %lld, but it was never written", a->file->path, a->name,
              (long long)(row * a->chunk[0]), (long long)(column * a->chunk[1]));
    bool plain = size == (hsize_t)(a->chunk[0] * a->chunk[1] * inner) && size <= (hsize_t)a->file->size &&
                 address <= (haddr_t)a->file->size - size;
    *slot = plain ? (int64_t)address : ADDRESS_NONE;
    return FWM_OK;
}

/* *direct: every chunk of the range is at a known address. */
static fwm_status locate(ds_array *a, int64_t index, int64_t start, int64_t length, int64_t inner, bool *direct)
{
    fwm_status status = FWM_OK;
    int64_t row = index / a->chunk[0];
    *direct = true;
    ds_h5_lock();
    for (int64_t c = start / a->chunk[1]; c <= (start + length - 1) / a->chunk[1] && status == FWM_OK; c++) {
        status = find_chunk(a, row, c, inner);
        *direct = *direct && a->address[row * a->grid[1] + c] != ADDRESS_NONE;
    }
    ds_h5_unlock();
    return status;
}

/* inner: bytes of a step. */
static fwm_status read_direct(const ds_array *a, int64_t index, int64_t start, int64_t length, int64_t inner, void *out)
{
    char *to = out;
    while (length > 0) {
        int64_t column = start / a->chunk[1], within = start % a->chunk[1];
        int64_t run = a->chunk[1] - within < length ? a->chunk[1] - within : length;
        int64_t base = a->address[index / a->chunk[0] * a->grid[1] + column];
        FWM_TRY(pread_all(a, to, run * inner, base + ((index % a->chunk[0]) * a->chunk[1] + within) * inner));
        to += run * inner;
        start += run;
        length -= run;
    }
    return FWM_OK;
}

/* A box of the array by HDF5's own reading. */
static fwm_status read_hyperslab(const ds_array *a, const hsize_t *at, const hsize_t *count, hid_t memory_type,
                                 void *out)
{
    fwm_status status = FWM_OK;
    ds_h5_lock();
    hid_t space = H5Dget_space(a->id), memory = H5Screate_simple(a->rank, count, NULL);
    if (space < 0 || memory < 0 ||
        (a->rank > 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, count, NULL) < 0) ||
        H5Dread(a->id, memory_type, memory, space, H5P_DEFAULT, out) < 0)
        status = fwm_fail(FWM_DATA, "%s: %s: cannot be read, HDF5 says: %s", a->file->path, a->name, ds_h5_reason());
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    ds_h5_unlock();
    return status;
}

static fwm_status read_library(const ds_array *a, int64_t index, int64_t start, int64_t length, hid_t memory_type,
                               void *out)
{
    hsize_t at[DS_RANK_MAX] = {0}, count[DS_RANK_MAX];
    for (int i = 0; i < a->rank; i++)
        count[i] = (hsize_t)a->dims[i];
    if (a->axis == 1) {
        at[0] = (hsize_t)index;
        count[0] = 1;
    }
    at[a->axis] = (hsize_t)start;
    count[a->axis] = (hsize_t)length;
    return read_hyperslab(a, at, count, memory_type, out);
}

static fwm_status check_range(const ds_array *a, int64_t index, int64_t start, int64_t length)
{
    int64_t members = a->axis == 1 ? a->dims[0] : 1, steps = a->dims[a->axis];
    FWM_CHECK(index >= 0 && index < members && start >= 0 && length >= 0 && length <= steps && start <= steps - length,
              FWM_INVALID,
              "%s: %s: expected a range within %lld members of %lld steps, asked for member %lld, steps %lld to %lld",
              a->file->path, a->name, (long long)members, (long long)steps, (long long)index, (long long)start,
              (long long)start + (long long)length);
    return FWM_OK;
}

fwm_status ds_array_read_steps(ds_array *a, int64_t index, int64_t start, int64_t length, float *out)
{
    FWM_TRY(check_range(a, index, start, length));
    int64_t inner = ds_array_width(a, a->axis + 1), n = length * inner;
    if (n == 0)
        return FWM_OK;
    bool bytes = a->number == DS_U8;
    int64_t step_bytes = bytes ? inner : inner * (int64_t)sizeof(float);
    void *to = bytes ? (void *)((uint8_t *)(out + n) - n) : (void *)out;
    bool direct = false;
    if (a->direct)
        FWM_TRY(locate(a, index, start, length, step_bytes, &direct));
    if (direct)
        FWM_TRY(read_direct(a, index, start, length, step_bytes, to));
    else
        FWM_TRY(read_library(a, index, start, length, bytes ? H5T_NATIVE_UCHAR : H5T_NATIVE_FLOAT, to));
    if (bytes)
        expand_bytes(out, n, a->divisor);
    return FWM_OK;
}

fwm_status ds_array_read_box(const ds_array *a, const int64_t *at, const int64_t *count, float *out)
{
    hsize_t from[DS_RANK_MAX] = {0}, extent[DS_RANK_MAX] = {0};
    int64_t n = 1;
    for (int i = 0; i < a->rank; i++) {
        FWM_CHECK(at[i] >= 0 && count[i] >= 0 && count[i] <= a->dims[i] && at[i] <= a->dims[i] - count[i], FWM_INVALID,
                  "%s: %s: axis %d: expected a range within %lld, asked for %lld from %lld on", a->file->path, a->name,
                  i, (long long)a->dims[i], (long long)count[i], (long long)at[i]);
        from[i] = (hsize_t)at[i];
        extent[i] = (hsize_t)count[i];
        n *= count[i]; /* at most all elements, which were checked when the array was opened */
    }
    if (n == 0)
        return FWM_OK;
    bool bytes = a->number == DS_U8;
    void *to = bytes ? (void *)((uint8_t *)(out + n) - n) : (void *)out;
    FWM_TRY(read_hyperslab(a, from, extent, bytes ? H5T_NATIVE_UCHAR : H5T_NATIVE_FLOAT, to));
    if (bytes)
        expand_bytes(out, n, a->divisor);
    return FWM_OK;
}

fwm_status ds_array_read_bytes(ds_array *a, int64_t index, int64_t start, int64_t length, uint8_t *out)
{
    FWM_CHECK(a->integer, FWM_DATA, "%s: %s: expected integers, found another type", a->file->path, a->name);
    FWM_TRY(check_range(a, index, start, length));
    if (length * ds_array_width(a, a->axis + 1) == 0)
        return FWM_OK;
    return read_library(a, index, start, length, H5T_NATIVE_UCHAR, out);
}

/* ---- whole small arrays ---------------------------------------------------------------------------------------- */

/* rank 0: any; *found and dims[] receive what it has. */
static fwm_status read_whole(const ds_h5 *file, const char *name, int rank, hid_t memory_type, size_t size,
                             fwm_arena *arena, int *found, int64_t *dims, const void **out)
{
    ds_array a;
    FWM_TRY(ds_array_open(&a, file, name, rank, 0));
    fwm_status status = FWM_OK;
    int64_t n = ds_array_width(&a, 0);
    size_t bytes = 0;
    void *values = NULL;
    FWM_CHECK_GOTO(status, memory_type == H5T_NATIVE_DOUBLE || a.integer, FWM_DATA,
                   "%s: %s: expected integers, found floating-point numbers", file->path, name);
    FWM_CHECK_GOTO(status,
                   fwm_mul_size((size_t)n, size, &bytes) && (values = fwm_arena_alloc(arena, bytes + 1)) != NULL,
                   FWM_MEMORY, "%s: %s: out of memory for %lld values", file->path, name, (long long)n);
    FWM_CHECK_GOTO(status, n == 0 || H5Dread(a.id, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, FWM_DATA,
                   "%s: %s: cannot be read, HDF5 says: %s", file->path, name, ds_h5_reason());
    *found = a.rank;
    for (int i = 0; i < a.rank; i++)
        dims[i] = a.dims[i];
    *out = values;
done:
    ds_array_close(&a);
    return status;
}

fwm_status ds_h5_read_f64(const ds_h5 *file, const char *name, int rank, fwm_arena *arena, int64_t *dims,
                          const double **out)
{
    const void *values = NULL;
    int found;
    FWM_TRY(read_whole(file, name, rank, H5T_NATIVE_DOUBLE, sizeof(double), arena, &found, dims, &values));
    *out = values;
    return FWM_OK;
}

fwm_status ds_h5_read_f64_any(const ds_h5 *file, const char *name, fwm_arena *arena, int *rank,
                              int64_t dims[DS_RANK_MAX], const double **out)
{
    const void *values = NULL;
    FWM_TRY(read_whole(file, name, 0, H5T_NATIVE_DOUBLE, sizeof(double), arena, rank, dims, &values));
    *out = values;
    return FWM_OK;
}

fwm_status ds_h5_read_i32(const ds_h5 *file, const char *name, int rank, fwm_arena *arena, int64_t *dims,
                          const int32_t **out)
{
    const void *values = NULL;
    int found;
    FWM_TRY(read_whole(file, name, rank, H5T_NATIVE_INT32, sizeof(int32_t), arena, &found, dims, &values));
    *out = values;
    return FWM_OK;
}

fwm_status ds_h5_read_u8(const ds_h5 *file, const char *name, int rank, fwm_arena *arena, int64_t *dims,
                         const uint8_t **out)
{
    const void *values = NULL;
    int found;
    FWM_TRY(read_whole(file, name, rank, H5T_NATIVE_UCHAR, 1, arena, &found, dims, &values));
    *out = values;
    return FWM_OK;
}
