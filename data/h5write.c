#include "data/h5write.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

fwm_status ds_h5_put_group(const ds_h5_sink *sink, const char *group)
{
    hid_t create = H5Pcreate(H5P_GROUP_CREATE);
    const bool ok = create >= 0 && H5Pset_obj_track_times(create, false) >= 0;
    hid_t id = ok ? H5Gcreate2(sink->id, group, H5P_DEFAULT, create, H5P_DEFAULT) : -1;
    if (create >= 0)
        H5Pclose(create);
    FWM_CHECK(id >= 0, FWM_IO, "%s: %s: cannot be created, HDF5 says: %s", sink->path, group, ds_h5_reason());
    H5Gclose(id);
    return FWM_OK;
}

/* count < 0: a scalar. */
static fwm_status put_attribute(const ds_h5_sink *sink, const char *object, const char *name, hid_t type, int64_t count,
                                const void *values)
{
    hsize_t n = count < 0 ? 1 : (hsize_t)count;
    hid_t space = count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &n, NULL);
    hid_t id =
        space < 0 ? -1 : H5Acreate_by_name(sink->id, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    fwm_status status = FWM_OK;
    if (id < 0 || (n > 0 && H5Awrite(id, type, values) < 0))
        status =
            fwm_fail(FWM_IO, "%s: %s@%s: cannot be written, HDF5 says: %s", sink->path, object, name, ds_h5_reason());
    if (id >= 0)
        H5Aclose(id);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

static fwm_status put_strings(const ds_h5_sink *sink, const char *object, const char *name, int64_t count,
                              const char *const *texts)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)
        return fwm_fail(FWM_LIBRARY, "%s: %s@%s: no text type, HDF5 says: %s", sink->path, object, name,
                        ds_h5_reason());
    fwm_status status = put_attribute(sink, object, name, type, count, texts);
    H5Tclose(type);
    return status;
}

fwm_status ds_h5_put_text(const ds_h5_sink *sink, const char *object, const char *name, const char *text)
{
    return put_strings(sink, object, name, -1, &text);
}

fwm_status ds_h5_put_texts(const ds_h5_sink *sink, const char *object, const char *name, int64_t count,
                           const char *const *texts)
{
    if (count == 0)
        return put_attribute(sink, object, name, H5T_IEEE_F64LE, 0, NULL);
    return put_strings(sink, object, name, count, texts);
}

fwm_status ds_h5_put_number(const ds_h5_sink *sink, const char *object, const char *name, hid_t type, const void *value)
{
    return put_attribute(sink, object, name, type, -1, value);
}

fwm_status ds_h5_create_array(const ds_h5_sink *sink, const char *name, hid_t stored, int rank, const int64_t *dims,
                              const int64_t *chunk, int gzip, hid_t *out)
{
    hsize_t extent[DS_RANK_MAX] = {0}, chunk_extent[DS_RANK_MAX] = {0};
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        extent[i] = (hsize_t)dims[i];
        chunk_extent[i] = chunk ? (hsize_t)chunk[i] : 0;
        empty |= dims[i] == 0;
    }
    hid_t space = H5Screate_simple(rank, extent, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    /* No times in the file: the same content is the same bytes. */
    bool ok = space >= 0 && create >= 0 && H5Pset_obj_track_times(create, false) >= 0;
    /* Extents of 0 have no chunks. The fill time stays at its default: with H5D_FILL_TIME_NEVER, HDF5 1.10.8 forgets
     * a dataset's only chunk when that is larger than the chunk cache. */
    if (ok && chunk && !empty)
        ok = H5Pset_chunk(create, rank, chunk_extent) >= 0 &&
             (gzip == 0 || (H5Pset_shuffle(create) >= 0 && H5Pset_deflate(create, (unsigned)gzip) >= 0));
    *out = ok ? H5Dcreate2(sink->id, name, stored, space, H5P_DEFAULT, create, H5P_DEFAULT) : -1;
    fwm_status status = FWM_OK;
    if (*out < 0)
        status = fwm_fail(FWM_IO, "%s: %s: cannot be created, HDF5 says: %s", sink->path, name, ds_h5_reason());
    if (create >= 0)
        H5Pclose(create);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

fwm_status ds_h5_put_array(const ds_h5_sink *sink, const char *name, hid_t stored, hid_t memory, int rank,
                           const int64_t *dims, const void *values)
{
    hid_t id;
    bool empty = false;
    for (int i = 0; i < rank; i++)
        empty |= dims[i] == 0;
    FWM_TRY(ds_h5_create_array(sink, name, stored, rank, dims, NULL, 0, &id));
    fwm_status status = FWM_OK;
    if (!empty && H5Dwrite(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = fwm_fail(FWM_IO, "%s: %s: cannot be written, HDF5 says: %s", sink->path, name, ds_h5_reason());
    if (H5Dclose(id) < 0 && status == FWM_OK)
        status = fwm_fail(FWM_IO, "%s: %s: cannot be closed, HDF5 says: %s", sink->path, name, ds_h5_reason());
    return status;
}

fwm_status ds_h5_put_box(const ds_h5_sink *sink, const char *name, hid_t array, hid_t memory, int rank,
                         const int64_t *at, const int64_t *count, const void *values)
{
    hsize_t from[DS_RANK_MAX] = {0}, extent[DS_RANK_MAX];
    for (int i = 0; i < rank; i++) {
        from[i] = (hsize_t)at[i];
        extent[i] = (hsize_t)count[i];
    }
    fwm_status status = FWM_OK;
    hid_t space = H5Dget_space(array), room = H5Screate_simple(rank, extent, NULL);
    if (space < 0 || room < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, extent, NULL) < 0 ||
        H5Dwrite(array, memory, room, space, H5P_DEFAULT, values) < 0)
        status = fwm_fail(FWM_IO, "%s: %s: trajectory %lld cannot be written, HDF5 says: %s", sink->path, name,
                          (long long)at[0], ds_h5_reason());
    if (room >= 0)
        H5Sclose(room);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

fwm_status ds_h5_put_slab(const ds_h5_sink *sink, const char *name, hid_t array, hid_t memory, int rank,
                          const int64_t *dims, int64_t index, const void *values)
{
    int64_t at[DS_RANK_MAX] = {index}, count[DS_RANK_MAX] = {1};
    memcpy(count + 1, dims + 1, (size_t)(rank - 1) * sizeof *dims);
    return ds_h5_put_box(sink, name, array, memory, rank, at, count, values);
}

/* ---- booleans --------------------------------------------------------------------------------------------------- */

static hid_t boolean_type(void)
{
    const int8_t no = 0, yes = 1;
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    if (type >= 0 && (H5Tenum_insert(type, "FALSE", &no) < 0 || H5Tenum_insert(type, "TRUE", &yes) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

fwm_status ds_h5_put_flags(const ds_h5_sink *sink, const char *object, const char *name, int64_t count,
                           const bool *values)
{
    int8_t bytes[DS_RANK_MAX] = {0};
    FWM_CHECK(count <= DS_RANK_MAX, FWM_INVALID, "%s: %s@%s: more flags than axes", sink->path, object, name);
    for (int64_t i = 0; i < (count < 0 ? 1 : count); i++)
        bytes[i] = values[i];
    hid_t type = boolean_type();
    FWM_CHECK(type >= 0, FWM_LIBRARY, "%s: %s@%s: no type, HDF5 says: %s", sink->path, object, name, ds_h5_reason());
    const fwm_status status = put_attribute(sink, object, name, type, count, bytes);
    H5Tclose(type);
    return status;
}

fwm_status ds_h5_put_booleans(const ds_h5_sink *sink, const char *name, int rank, const int64_t *dims,
                              const uint8_t *values)
{
    hid_t type = boolean_type();
    FWM_CHECK(type >= 0, FWM_LIBRARY, "%s: %s: no type, HDF5 says: %s", sink->path, name, ds_h5_reason());
    const fwm_status status = ds_h5_put_array(sink, name, type, type, rank, dims, values);
    H5Tclose(type);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static fwm_status sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    FWM_CHECK(fd >= 0, FWM_IO, "%s: cannot be opened for syncing: %s", path, strerror(errno));
    int result = fsync(fd), error = errno;
    close(fd);
    /* Some file systems cannot sync a folder; that is not a failure of the data. */
    FWM_CHECK(result == 0 || (flags & O_DIRECTORY), FWM_IO, "%s: cannot be synced: %s", path, strerror(error));
    return FWM_OK;
}

fwm_status ds_file_publish(const char *temporary, const char *target)
{
    FWM_TRY(sync_path(temporary, O_RDONLY));
    FWM_CHECK(rename(temporary, target) == 0, FWM_IO, "%s: cannot be renamed to %s: %s", temporary, target,
              strerror(errno));
    char *copy = fwm_strdup(target);
    FWM_CHECK(copy, FWM_MEMORY, "%s: out of memory", target);
    fwm_status status = sync_path(dirname(copy), O_RDONLY | O_DIRECTORY);
    fwm_free(copy);
    return status;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    (void)remove(path);
    return 0;
}

void ds_folder_remove(const char *path)
{
    enum { HANDLES = 8 };
    (void)nftw(path, remove_one, HANDLES, FTW_DEPTH | FTW_PHYS);
}
