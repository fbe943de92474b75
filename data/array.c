#include "data/array.h"

#include "data/boxes.h"
#include "data/lzf.h"
#include "model/base/checked.h"

#include <limits.h>
#include <string.h>

/* Deflate's best ratio is 1032 to 1: a filtered array may claim no more than this times its file. Of more chunks than
 * TABLE_MAX no table is kept (64 MiB); of more than ASK_MAX none is asked for chunk by chunk. */
enum { FILTER_RATIO = 1040, TABLE_MAX = 1 << 22, ASK_MAX = 4096, FILTER_VALUES = 8 };

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

static fwm_status read_extents(ds_array *a, hid_t id, int rank, hsize_t *largest)
{
    const char *path = a->file->path;
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(id);
    FWM_CHECK(space >= 0, FWM_DATA, "%s: %s: no extents, HDF5 says: %s", path, a->name, ds_h5_reason());
    int found = H5Sget_simple_extent_dims(space, dims, largest);
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

/* Byte order and kind of a type whose numbers fill their bytes; size 0 of others. */
static ds_stored stored_as(hid_t type, H5T_class_t kind)
{
    ds_stored s = {.size = (int)H5Tget_size(type), .swapped = H5Tget_order(type) == H5T_ORDER_BE};
    const bool full = H5Tget_offset(type) == 0 && H5Tget_precision(type) == 8 * H5Tget_size(type) &&
                      (H5Tget_order(type) == H5T_ORDER_LE || H5Tget_order(type) == H5T_ORDER_BE);
    if (kind == H5T_FLOAT) {
        size_t sign, exponent, exponent_bits, fraction, fraction_bits;
        s.kind = DS_FLOATING;
        const bool half = full && s.size == 2 && H5Tget_norm(type) == H5T_NORM_IMPLIED && H5Tget_ebias(type) == 15 &&
                          H5Tget_fields(type, &sign, &exponent, &exponent_bits, &fraction, &fraction_bits) >= 0 &&
                          sign == 15 && exponent == 10 && exponent_bits == 5 && fraction == 0 && fraction_bits == 10;
        const bool known = half || H5Tequal(type, s.swapped ? H5T_IEEE_F32BE : H5T_IEEE_F32LE) > 0 ||
                           H5Tequal(type, s.swapped ? H5T_IEEE_F64BE : H5T_IEEE_F64LE) > 0;
        s.size = known ? s.size : 0;
        return s;
    }
    s.kind = H5Tget_sign(type) == H5T_SGN_NONE ? DS_UNSIGNED : DS_SIGNED;
    s.size = full && (s.size == 1 || s.size == 2 || s.size == 4 || s.size == 8) ? s.size : 0;
    return s;
}

static fwm_status read_number_type(ds_array *a, hid_t id, size_t *size)
{
    hid_t type = H5Dget_type(id);
    FWM_CHECK(type >= 0, FWM_DATA, "%s: %s: no type, HDF5 says: %s", a->file->path, a->name, ds_h5_reason());
    H5T_class_t kind = H5Tget_class(type);
    *size = H5Tget_size(type);
    a->integer = kind == H5T_INTEGER || kind == H5T_ENUM;
    if (kind == H5T_ENUM && *size == 1) /* h5py's booleans */
        a->stored = (ds_stored){.kind = DS_UNSIGNED, .size = 1};
    else if (kind == H5T_INTEGER || kind == H5T_FLOAT)
        a->stored = stored_as(type, kind);
    a->number = ds_stored_is_u8(a->stored) ? DS_U8 : ds_stored_is_f32(a->stored) ? DS_F32 : DS_OTHER_NUMBER;
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

/* ---- storage --------------------------------------------------------------------------------------------------- */

/* The filters in their order; false where one is not undone here. */
static bool read_filters(ds_array *a, hid_t create, int count)
{
    if (count > DS_FILTERS_MAX)
        return false;
    for (int i = 0; i < count; i++) {
        unsigned flags, config, values[FILTER_VALUES] = {0};
        size_t n = FILTER_VALUES;
        const H5Z_filter_t id = H5Pget_filter2(create, (unsigned)i, &flags, &n, values, 0, NULL, &config);
        if (id < 0)
            return false;
        a->filters.filter[i].id = id;
        a->filters.filter[i].value = id == DS_FILTER_LZF ? (uint32_t)a->chunk_bytes : values[0];
    }
    a->filters.count = count;
    return ds_pipeline_known(&a->filters);
}

static fwm_status plan_contiguous(ds_array *a, hid_t id, hid_t create, int64_t bytes)
{
    const haddr_t address = H5Dget_offset(id);
    if (address == HADDR_UNDEF || H5Pget_external_count(create) != 0)
        return FWM_OK; /* never written, or elsewhere: HDF5 knows what is to be read */
    /* What H5Dget_offset gives counts the user block already. */
    FWM_CHECK(address <= (haddr_t)a->file->size && bytes <= a->file->size - (int64_t)address, FWM_DATA,
              "%s: %s: its values lie at byte %llu, %lld of them, beyond the file's end at %lld: the file is damaged",
              a->file->path, a->name, (unsigned long long)address, (long long)bytes, (long long)a->file->size);
    a->address = (int64_t)address;
    memcpy(a->chunk, a->dims, sizeof a->dims);
    a->storage = DS_CONTIGUOUS;
    return FWM_OK;
}

static fwm_status plan_chunks(ds_array *a, hid_t id, hid_t create, const hsize_t *chunk, const hsize_t *largest,
                              int filters)
{
    H5O_info_t object;
    int64_t count = 1;
    bool fits = true;
    for (int d = 0; d < a->rank; d++) {
        const int64_t c = a->chunk[d] = (int64_t)chunk[d];
        const bool open = largest[d] == H5S_UNLIMITED || largest[d] > (hsize_t)INT64_MAX;
        const int64_t most = open ? a->dims[d] : (int64_t)largest[d];
        a->grid[d] = a->dims[d] / c + (a->dims[d] % c != 0);
        a->most[d] = most / c + (most % c != 0);
        fits = fits && fwm_mul_i64(count, a->grid[d], &count) && a->most[d] >= a->grid[d];
    }
    if (!fits || count < 1 || count > TABLE_MAX || a->chunk_bytes > UINT32_MAX || !read_filters(a, create, filters))
        return FWM_OK;
    FWM_CHECK(H5Oget_info2(id, &object, H5O_INFO_BASIC) >= 0, FWM_DATA, "%s: %s: no object header, HDF5 says: %s",
              a->file->path, a->name, ds_h5_reason());
    const fwm_status status = ds_index_find(a->file, object.addr, a->rank, &a->index);
    if (status != FWM_OK)
        return fwm_fail_within(status, "%s: %s", a->file->path, a->name);
    if (a->index.kind != DS_INDEX_NONE || count <= ASK_MAX)
        a->storage = DS_CHUNKED;
    return FWM_OK;
}

static fwm_status open_checked(ds_array *a, hid_t id, int rank)
{
    size_t size = 0;
    hsize_t chunk[H5S_MAX_RANK] = {0}, largest[H5S_MAX_RANK] = {0};
    FWM_TRY(read_extents(a, id, rank, largest));
    FWM_TRY(read_number_type(a, id, &size));
    hid_t create = H5Dget_create_plist(id);
    FWM_CHECK(create >= 0, FWM_DATA, "%s: %s: no storage properties, HDF5 says: %s", a->file->path, a->name,
              ds_h5_reason());
    H5D_layout_t layout = H5Pget_layout(create);
    bool chunked = layout == H5D_CHUNKED;
    int filters = H5Pget_nfilters(create);
    fwm_status status = FWM_OK;
    if (filters < 0 || (chunked && H5Pget_chunk(create, H5S_MAX_RANK, chunk) != a->rank))
        status = fwm_fail(FWM_DATA, "%s: %s: damaged storage properties", a->file->path, a->name);
    if (status == FWM_OK)
        status = check_claim(a, chunked ? chunk : NULL, size, filters > 0, &a->chunk_bytes);
    if (status == FWM_OK && !ds_lzf_fits(create, a->chunk_bytes))
        status = fwm_fail(FWM_DATA, "%s: %s: expected an LZF filter for chunks of %lld bytes, found one for others",
                          a->file->path, a->name, (long long)a->chunk_bytes);
    const int64_t n = status == FWM_OK ? ds_array_width(a, 0) : 0;
    if (n > 0 && a->rank > 0 && a->stored.size > 0 && a->file->fd >= 0) {
        if (chunked)
            status = plan_chunks(a, id, create, chunk, largest, filters);
        else if (layout == H5D_CONTIGUOUS && filters == 0)
            status = plan_contiguous(a, id, create, n * a->stored.size);
    }
    H5Pclose(create);
    return status;
}

static hid_t open_dataset(const ds_array *a)
{
    return H5Dopen2(a->file->id, a->name, H5P_DEFAULT);
}

fwm_status ds_array_open(ds_array *a, const ds_h5 *file, const char *name, int rank, int axis)
{
    memset(a, 0, sizeof *a);
    a->file = file;
    a->axis = axis;
    a->divisor = 1;
    FWM_CHECK(ds_h5_exists(file, name), FWM_DATA, "%s: %s: expected a dataset, found none", file->path, name);
    a->name = fwm_strdup(name);
    FWM_CHECK(a->name, FWM_MEMORY, "%s: %s: out of memory", file->path, name);
    hid_t id = open_dataset(a);
    fwm_status status =
        id < 0 ? fwm_fail(FWM_DATA, "%s: %s: expected a dataset, HDF5 says: %s", file->path, name, ds_h5_reason())
               : open_checked(a, id, rank);
    if (id >= 0)
        (void)H5Dclose(id);
    if (status != FWM_OK)
        ds_array_close(a);
    return status;
}

void ds_array_close(ds_array *a)
{
    fwm_free(a->name);
    fwm_free(a->table);
    memset(a, 0, sizeof *a);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* A box of the array by HDF5's own reading. */
static fwm_status read_by_hdf5(const ds_array *a, const int64_t *at, const int64_t *count, ds_as as, void *out)
{
    fwm_status status = FWM_OK;
    hsize_t from[DS_RANK_MAX] = {0}, extent[DS_RANK_MAX] = {0};
    int64_t n = 1;
    for (int d = 0; d < a->rank; d++) {
        from[d] = (hsize_t)at[d];
        extent[d] = (hsize_t)count[d];
        n *= count[d];
    }
    ds_h5_lock();
    hid_t id = open_dataset(a), space = id >= 0 ? H5Dget_space(id) : -1,
          memory = H5Screate_simple(a->rank, extent, NULL);
    if (space < 0 || memory < 0 ||
        (a->rank > 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, extent, NULL) < 0) ||
        H5Dread(id, as == DS_AS_BYTES ? H5T_NATIVE_UCHAR : H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, out) < 0)
        status = fwm_fail(FWM_DATA, "%s: %s: cannot be read, HDF5 says: %s", a->file->path, a->name, ds_h5_reason());
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    if (id >= 0)
        H5Dclose(id);
    ds_h5_unlock();
    float *floats = out;
    for (int64_t i = 0; status == FWM_OK && as == DS_AS_FLOATS && a->divisor != 1.0F && i < n; i++)
        floats[i] /= a->divisor;
    return status;
}

fwm_status ds_array_read_box(ds_array *a, const int64_t *at, const int64_t *count, ds_as as, void *out)
{
    int64_t n = 1;
    FWM_CHECK(as == DS_AS_FLOATS || a->integer, FWM_INVALID, "%s: %s: expected integers, found another type",
              a->file->path, a->name);
    for (int d = 0; d < a->rank; d++) {
        FWM_CHECK(at[d] >= 0 && count[d] >= 0 && count[d] <= a->dims[d] && at[d] <= a->dims[d] - count[d], FWM_INVALID,
                  "%s: %s: axis %d: expected a range within %lld, asked for %lld from %lld on", a->file->path, a->name,
                  d, (long long)a->dims[d], (long long)count[d], (long long)at[d]);
        n *= count[d]; /* at most all elements, which were checked when the array was opened */
    }
    if (n == 0)
        return FWM_OK;
    if (a->storage == DS_BY_HDF5 || (as == DS_AS_BYTES && a->number != DS_U8))
        return read_by_hdf5(a, at, count, as, out);
    return ds_box_read(a, at, count, as, out);
}

fwm_status ds_array_read_steps(ds_array *a, int64_t index, int64_t start, int64_t length, ds_as as, void *out)
{
    int64_t at[DS_RANK_MAX] = {0}, count[DS_RANK_MAX];
    memcpy(count, a->dims, sizeof count);
    if (a->axis == 1) {
        at[0] = index;
        count[0] = 1;
    }
    at[a->axis] = start;
    count[a->axis] = length;
    return ds_array_read_box(a, at, count, as, out);
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
    hid_t id = -1;
    FWM_CHECK_GOTO(status, memory_type == H5T_NATIVE_DOUBLE || a.integer, FWM_DATA,
                   "%s: %s: expected integers, found floating-point numbers", file->path, name);
    FWM_CHECK_GOTO(status,
                   fwm_mul_size((size_t)n, size, &bytes) && (values = fwm_arena_alloc(arena, bytes + 1)) != NULL,
                   FWM_MEMORY, "%s: %s: out of memory for %lld values", file->path, name, (long long)n);
    id = n > 0 ? open_dataset(&a) : -1;
    FWM_CHECK_GOTO(status, n == 0 || H5Dread(id, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, FWM_DATA,
                   "%s: %s: cannot be read, HDF5 says: %s", file->path, name, ds_h5_reason());
    *found = a.rank;
    for (int i = 0; i < a.rank; i++)
        dims[i] = a.dims[i];
    *out = values;
done:
    if (id >= 0)
        (void)H5Dclose(id);
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
