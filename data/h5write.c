#include "data/h5write.h"

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

fwm_status ds_h5_put_slab(const ds_h5_sink *sink, const char *name, hid_t array, hid_t memory, int rank,
                          const int64_t *dims, int64_t index, const void *values)
{
    hsize_t at[DS_RANK_MAX] = {0}, count[DS_RANK_MAX];
    for (int i = 0; i < rank; i++)
        count[i] = i == 0 ? 1 : (hsize_t)dims[i];
    at[0] = (hsize_t)index;
    fwm_status status = FWM_OK;
    hid_t space = H5Dget_space(array), from = H5Screate_simple(rank, count, NULL);
    if (space < 0 || from < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, count, NULL) < 0 ||
        H5Dwrite(array, memory, from, space, H5P_DEFAULT, values) < 0)
        status = fwm_fail(FWM_IO, "%s: %s: trajectory %lld cannot be written, HDF5 says: %s", sink->path, name,
                          (long long)index, ds_h5_reason());
    if (from >= 0)
        H5Sclose(from);
    if (space >= 0)
        H5Sclose(space);
    return status;
}
