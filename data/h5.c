#include "data/h5.h"

#include "data/filters.h"
#include "data/lzf.h"
#include "model/base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 1024, TEXT_MAX_BYTES = 1 << 26 };

static pthread_mutex_t library_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool library_quiet;

void ds_h5_lock(void)
{
    (void)pthread_mutex_lock(&library_mutex);
    if (!library_quiet)
        library_quiet = H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0;
}

void ds_h5_unlock(void)
{
    (void)pthread_mutex_unlock(&library_mutex);
}

static herr_t keep_innermost(unsigned n, const H5E_error2_t *error, void *out)
{
    if (n == 0)
        (void)snprintf(out, 256, "%s", error->desc ? error->desc : "no description");
    return 0;
}

const char *ds_h5_reason(void)
{
    static _Thread_local char text[256];
    (void)snprintf(text, sizeof text, "no reason given");
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, text);
    return text;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* What a file that is not HDF5 seems to be, from its first bytes. */
static const char *guess_kind(const unsigned char *head, size_t n)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *kind;
    } kinds[] = {
        {"version https://git-lfs", 23, "a git-lfs pointer (run `git lfs pull` to get the data itself)"},
        {"<!DOCTYPE", 9, "a web page (the download got an HTML answer instead of the file)"},
        {"<!doctype", 9, "a web page (the download got an HTML answer instead of the file)"},
        {"<html", 5, "a web page (the download got an HTML answer instead of the file)"},
        {"<?xml", 5, "an XML document (the download may have got an error message)"},
        {"\x1f\x8b", 2, "a gzip archive (unpack it first)"},
        {"PK\x03\x04", 4, "a zip archive (unpack it first)"},
        {"CDF", 3, "a NetCDF-3 file"},
        {"\x93NUMPY", 6, "a NumPy array"},
        {"\x0e\x03\x13\x01", 4, "an HDF4 file"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (n >= kinds[i].length && memcmp(head, kinds[i].magic, kinds[i].length) == 0)
            return kinds[i].kind;
    if (n >= 9 && head[8] == '{')
        return "a safetensors file (a checkpoint or an export, not a dataset)";
    return "something else";
}

static fwm_status check_kind(const char *path, int64_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    FWM_CHECK(fd >= 0, FWM_IO, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat st;
    unsigned char head[64];
    ssize_t n = fstat(fd, &st) == 0 ? pread(fd, head, sizeof head, 0) : -1;
    int error = errno;
    close(fd);
    FWM_CHECK(n >= 0, FWM_IO, "%s: cannot be read: %s", path, strerror(error));
    FWM_CHECK(S_ISREG(st.st_mode), FWM_IO, "%s: expected a file, found something that is not a regular file", path);
    FWM_CHECK(n > 0, FWM_DATA, "%s: expected an HDF5 file, found an empty one", path);
    *size = st.st_size;
    htri_t is = H5Fis_hdf5(path);
    FWM_CHECK(is > 0, FWM_DATA, "%s: expected an HDF5 file, found %s", path, guess_kind(head, (size_t)n));
    return FWM_OK;
}

/* What positioned reads need: descriptor, where addresses begin, how wide they are. */
static void learn_addressing(ds_h5 *file)
{
    int *handle = NULL;
    hsize_t userblock = 0;
    size_t address = 0, length = 0;
    file->fd = -1;
    hid_t create = H5Fget_create_plist(file->id);
    if (create < 0)
        return;
    if (H5Pget_userblock(create, &userblock) >= 0 && H5Pget_sizes(create, &address, &length) >= 0 &&
        userblock <= (hsize_t)file->size && H5Fget_vfd_handle(file->id, H5P_DEFAULT, (void **)&handle) >= 0 && handle) {
        file->fd = *handle;
        file->base = (int64_t)userblock;
        file->offset_bytes = address == length ? (int)address : 0;
    }
    H5Pclose(create);
}

/* Opens for reading; on file systems that have no locks, without one. */
static hid_t open_for_reading(const char *path)
{
    static hid_t access = -1; /* for the life of the process: closing it after a failure would clear the reason */
    if (access < 0) {
        access = H5Pcreate(H5P_FILE_ACCESS);
        if (access < 0 || H5Pset_file_locking(access, true, true) < 0)
            return -1;
    }
    return H5Fopen(path, H5F_ACC_RDONLY, access);
}

fwm_status ds_h5_open(ds_h5 **out, const char *path)
{
    *out = NULL;
    int64_t size = 0;
    FWM_TRY(check_kind(path, &size));
    FWM_TRY(ds_lzf_register());
    ds_h5 *file = fwm_calloc(1, sizeof *file);
    FWM_CHECK(file, FWM_MEMORY, "%s: out of memory", path);
    file->size = size;
    file->path = fwm_strdup(path);
    file->id = file->path ? open_for_reading(path) : -1;
    if (file->id < 0) {
        fwm_status status =
            fwm_fail(FWM_DATA, "%s: expected a whole HDF5 file of %lld bytes, HDF5 says: %s (truncated or damaged?)",
                     path, (long long)size, ds_h5_reason());
        fwm_free(file->path);
        fwm_free(file);
        return status;
    }
    learn_addressing(file);
    *out = file;
    return FWM_OK;
}

void ds_h5_close(ds_h5 **file)
{
    if (!*file)
        return;
    (void)H5Fclose((*file)->id);
    for (ds_undoer *u = (*file)->resting, *next; u; u = next) {
        next = u->next;
        ds_undoer_clear(u);
        fwm_free(u);
    }
    fwm_free((*file)->path);
    fwm_free(*file);
    *file = NULL;
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

bool ds_h5_exists(const ds_h5 *file, const char *object)
{
    char prefix[NAME_MAX_BYTES];
    size_t n = strlen(object);
    if (n >= sizeof prefix || object[0] != '/')
        return false;
    if (n == 1)
        return true;
    /* H5Lexists fails where a step before the last is missing: ask for each. */
    for (size_t i = 1; i <= n; i++)
        if (i == n || object[i] == '/') {
            memcpy(prefix, object, i);
            prefix[i] = '\0';
            if (H5Lexists(file->id, prefix, H5P_DEFAULT) <= 0)
                return false;
        }
    return H5Oexists_by_name(file->id, object, H5P_DEFAULT) > 0;
}

bool ds_h5_is_dataset(const ds_h5 *file, const char *object)
{
    H5O_info_t info;
    return ds_h5_exists(file, object) &&
           H5Oget_info_by_name2(file->id, object, &info, H5O_INFO_BASIC, H5P_DEFAULT) >= 0 &&
           info.type == H5O_TYPE_DATASET;
}

typedef struct member_list {
    fwm_arena *arena;
    const char **names;
    int64_t count, max;
} member_list;

static herr_t collect_member(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    (void)group;
    (void)info;
    member_list *list = context;
    if (list->count == list->max)
        return -1;
    list->names[list->count] = fwm_arena_strdup(list->arena, name);
    return list->names[list->count++] ? 0 : -1;
}

fwm_status ds_h5_members(const ds_h5 *file, const char *group, int64_t max, fwm_arena *arena, int64_t *count,
                         const char ***names)
{
    *count = 0;
    *names = NULL;
    if (!ds_h5_exists(file, group))
        return FWM_OK;
    H5G_info_t info;
    FWM_CHECK(H5Gget_info_by_name(file->id, group, &info, H5P_DEFAULT) >= 0, FWM_DATA,
              "%s: %s: expected a group, HDF5 says: %s", file->path, group, ds_h5_reason());
    FWM_CHECK(info.nlinks <= (hsize_t)max, FWM_DATA, "%s: %s: expected at most %lld members, found %llu", file->path,
              group, (long long)max, (unsigned long long)info.nlinks);
    member_list list = {arena, fwm_arena_alloc(arena, (size_t)(info.nlinks + 1) * sizeof(char *)), 0,
                        (int64_t)info.nlinks};
    FWM_CHECK(list.names, FWM_MEMORY, "%s: %s: out of memory for %llu names", file->path, group,
              (unsigned long long)info.nlinks);
    FWM_CHECK(
        H5Literate_by_name(file->id, group, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_member, &list, H5P_DEFAULT) >= 0,
        FWM_DATA, "%s: %s: members cannot be listed, HDF5 says: %s", file->path, group, ds_h5_reason());
    *count = list.count;
    *names = list.names;
    return FWM_OK;
}

/* ---- attributes ------------------------------------------------------------------------------------------------ */

/* Opens an attribute with its type and element count; *id is -1 where there is none. */
static fwm_status attr_open(const ds_h5 *file, const char *object, const char *name, bool required, hid_t *id,
                            hid_t *type, int64_t *count)
{
    *id = -1;
    *type = -1;
    htri_t exists = H5Aexists_by_name(file->id, object, name, H5P_DEFAULT);
    if (exists == 0 && !required)
        return FWM_OK;
    FWM_CHECK(exists >= 0, FWM_DATA, "%s: %s@%s: HDF5 says: %s", file->path, object, name, ds_h5_reason());
    FWM_CHECK(exists > 0, FWM_DATA, "%s: %s@%s: expected an attribute, found none", file->path, object, name);
    *id = H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT);
    FWM_CHECK(*id >= 0, FWM_DATA, "%s: %s@%s: cannot be opened, HDF5 says: %s", file->path, object, name,
              ds_h5_reason());
    *type = H5Aget_type(*id);
    hid_t space = *type >= 0 ? H5Aget_space(*id) : -1;
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    fwm_status status = FWM_OK;
    if (n < 0)
        status = fwm_fail(FWM_DATA, "%s: %s@%s: damaged, HDF5 says: %s", file->path, object, name, ds_h5_reason());
    if (space >= 0)
        H5Sclose(space);
    *count = n;
    return status;
}

static void attr_close(hid_t id, hid_t type)
{
    if (type >= 0)
        H5Tclose(type);
    if (id >= 0)
        H5Aclose(id);
}

/* `count` texts of fixed length, of an attribute or a dataset, into the arena. */
static fwm_status fixed_texts(const ds_h5 *file, hid_t id, hid_t type, int64_t count, fwm_arena *arena,
                              const char **out)
{
    size_t width = H5Tget_size(type), bytes = 0;
    bool dataset = H5Iget_type(id) == H5I_DATASET; /* may be compressed */
    FWM_CHECK(width > 0 && fwm_mul_size(width, (size_t)count, &bytes) && bytes <= TEXT_MAX_BYTES &&
                  (dataset || (int64_t)bytes <= file->size),
              FWM_DATA, "%lld texts of %zu bytes do not fit in a file of %lld bytes", (long long)count, width,
              (long long)file->size);
    char *raw = fwm_calloc(bytes + 1, 1);
    FWM_CHECK(raw, FWM_MEMORY, "out of memory for texts of %zu bytes", bytes);
    fwm_status status = FWM_OK;
    bool padded = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    herr_t read = dataset ? H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) : H5Aread(id, type, raw);
    FWM_CHECK_GOTO(status, read >= 0, FWM_DATA, "cannot be read, HDF5 says: %s", ds_h5_reason());
    for (int64_t i = 0; i < count; i++) {
        const char *text = raw + (size_t)i * width;
        size_t n = strnlen(text, width);
        while (padded && n > 0 && text[n - 1] == ' ')
            n--;
        char *copy = fwm_arena_alloc(arena, n + 1);
        FWM_CHECK_GOTO(status, copy, FWM_MEMORY, "out of memory for a text of %zu bytes", n);
        memcpy(copy, text, n);
        out[i] = copy;
    }
done:
    fwm_free(raw);
    return status;
}

static fwm_status attr_read_texts(const ds_h5 *file, const char *object, const char *name, hid_t id, hid_t type,
                                  int64_t count, fwm_arena *arena, const char **out)
{
    FWM_CHECK(H5Tget_class(type) == H5T_STRING, FWM_DATA, "%s: %s@%s: expected text, found another type", file->path,
              object, name);
    fwm_status status = H5Tis_variable_str(type) > 0 ? ds_h5_heap_texts(file, id, count, arena, out)
                                                     : fixed_texts(file, id, type, count, arena, out);
    return status == FWM_OK ? FWM_OK : fwm_fail_within(status, "%s: %s@%s", file->path, object, name);
}

fwm_status ds_h5_attr_text(const ds_h5 *file, const char *object, const char *name, bool required, fwm_arena *arena,
                           const char **out)
{
    hid_t id, type;
    int64_t count = 0;
    fwm_status status = attr_open(file, object, name, required, &id, &type, &count);
    if (status == FWM_OK && id >= 0) {
        if (count != 1)
            status = fwm_fail(FWM_DATA, "%s: %s@%s: expected one text, found %lld elements", file->path, object, name,
                              (long long)count);
        else
            status = attr_read_texts(file, object, name, id, type, 1, arena, out);
    }
    attr_close(id, type);
    return status;
}

fwm_status ds_h5_attr_texts(const ds_h5 *file, const char *object, const char *name, int64_t count, fwm_arena *arena,
                            const char *const **out)
{
    hid_t id, type;
    int64_t found = 0;
    fwm_status status = attr_open(file, object, name, false, &id, &type, &found);
    if (status == FWM_OK && id >= 0) {
        const char **list = NULL;
        if (found != count)
            status = fwm_fail(FWM_DATA, "%s: %s@%s: expected %lld texts (one for each channel), found %lld", file->path,
                              object, name, (long long)count, (long long)found);
        else if (!(list = fwm_arena_alloc(arena, (size_t)(count + 1) * sizeof *list)))
            status = fwm_fail(FWM_MEMORY, "%s: %s@%s: out of memory", file->path, object, name);
        else if (count > 0) /* an empty list has no text type */
            status = attr_read_texts(file, object, name, id, type, count, arena, list);
        if (status == FWM_OK)
            *out = list;
    }
    attr_close(id, type);
    return status;
}

fwm_status ds_h5_attr_list(const ds_h5 *file, const char *object, const char *name, bool required, int64_t max,
                           fwm_arena *arena, int64_t *count, const char ***out)
{
    hid_t id, type;
    int64_t found = 0;
    *count = 0;
    *out = NULL;
    fwm_status status = attr_open(file, object, name, required, &id, &type, &found);
    if (status == FWM_OK && id >= 0 && found > 0) { /* an empty list has no text type */
        const char **list = NULL;
        if (found > max)
            status = fwm_fail(FWM_DATA, "%s: %s@%s: expected at most %lld texts, found %lld", file->path, object, name,
                              (long long)max, (long long)found);
        else if (!(list = fwm_arena_alloc(arena, (size_t)found * sizeof *list)))
            status = fwm_fail(FWM_MEMORY, "%s: %s@%s: out of memory", file->path, object, name);
        else
            status = attr_read_texts(file, object, name, id, type, found, arena, list);
        if (status == FWM_OK) {
            *count = found;
            *out = list;
        }
    }
    attr_close(id, type);
    return status;
}

fwm_status ds_h5_attr_flags(const ds_h5 *file, const char *object, const char *name, bool required, int64_t count,
                            bool *out)
{
    enum { FLAGS_MAX = 16 };
    hid_t id, type;
    int64_t found = 0, values[FLAGS_MAX];
    fwm_status status = attr_open(file, object, name, required, &id, &type, &found);
    if (status == FWM_OK && id >= 0) {
        H5T_class_t kind = H5Tget_class(type);
        if (found != count || count > FLAGS_MAX || (kind != H5T_INTEGER && kind != H5T_ENUM))
            status = fwm_fail(FWM_DATA, "%s: %s@%s: expected %lld booleans, found %lld elements%s", file->path, object,
                              name, (long long)count, (long long)found,
                              kind == H5T_INTEGER || kind == H5T_ENUM ? "" : " of another type");
        else if (H5Aread(id, H5T_NATIVE_INT64, values) < 0)
            status = fwm_fail(FWM_DATA, "%s: %s@%s: cannot be read, HDF5 says: %s", file->path, object, name,
                              ds_h5_reason());
        for (int64_t i = 0; status == FWM_OK && i < count; i++)
            out[i] = values[i] != 0;
    }
    attr_close(id, type);
    return status;
}

typedef struct number_list {
    fwm_arena *arena;
    const char **names;
    double *values;
    int64_t count, max;
} number_list;

/* Keeps what is one number; texts and lists are passed over. */
static herr_t collect_number(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
    (void)info;
    number_list *list = context;
    hid_t id = H5Aopen(object, name, H5P_DEFAULT), type = id >= 0 ? H5Aget_type(id) : -1;
    hid_t space = id >= 0 ? H5Aget_space(id) : -1;
    herr_t result = type >= 0 && space >= 0 ? 0 : -1;
    H5T_class_t kind = result == 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    if (result == 0 && (kind == H5T_INTEGER || kind == H5T_FLOAT) && H5Sget_simple_extent_npoints(space) == 1) {
        if (list->count == list->max || H5Aread(id, H5T_NATIVE_DOUBLE, &list->values[list->count]) < 0 ||
            !(list->names[list->count] = fwm_arena_strdup(list->arena, name)))
            result = -1;
        else
            list->count++;
    }
    if (space >= 0)
        H5Sclose(space);
    attr_close(id, type);
    return result;
}

fwm_status ds_h5_attr_numbers(const ds_h5 *file, const char *object, int64_t max, fwm_arena *arena, int64_t *count,
                              const char ***names, const double **values)
{
    hsize_t at = 0;
    number_list list = {.arena = arena, .max = max};
    list.names = fwm_arena_alloc(arena, (size_t)(max + 1) * sizeof *list.names);
    list.values = fwm_arena_alloc(arena, (size_t)(max + 1) * sizeof *list.values);
    *count = 0;
    FWM_CHECK(list.names && list.values, FWM_MEMORY, "%s: %s: out of memory", file->path, object);
    FWM_CHECK(
        H5Aiterate_by_name(file->id, object, H5_INDEX_NAME, H5_ITER_INC, &at, collect_number, &list, H5P_DEFAULT) >= 0,
        FWM_DATA, "%s: %s: expected at most %lld numbers as attributes, all whole; HDF5 says: %s", file->path, object,
        (long long)max, ds_h5_reason());
    *count = list.count;
    *names = list.names;
    *values = list.values;
    return FWM_OK;
}

/* ---- datasets of texts ----------------------------------------------------------------------------------------- */

static fwm_status dataset_texts(const ds_h5 *file, const char *name, hid_t id, hid_t type, int64_t max,
                                fwm_arena *arena, int64_t *count, const char ***out)
{
    hid_t space = H5Dget_space(id);
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (space >= 0)
        H5Sclose(space);
    FWM_CHECK(n >= 0 && n <= max, FWM_DATA, "%s: %s: expected at most %lld texts, found %lld", file->path, name,
              (long long)max, (long long)n);
    if (n == 0)
        return FWM_OK;
    FWM_CHECK(H5Tget_class(type) == H5T_STRING, FWM_DATA, "%s: %s: expected texts, found another type", file->path,
              name);
    const char **list = fwm_arena_alloc(arena, (size_t)n * sizeof *list);
    FWM_CHECK(list, FWM_MEMORY, "%s: %s: out of memory", file->path, name);
    fwm_status status = H5Tis_variable_str(type) > 0 ? ds_h5_heap_texts(file, id, n, arena, list)
                                                     : fixed_texts(file, id, type, n, arena, list);
    if (status != FWM_OK)
        return fwm_fail_within(status, "%s: %s", file->path, name);
    *count = n;
    *out = list;
    return FWM_OK;
}

fwm_status ds_h5_read_texts(const ds_h5 *file, const char *name, int64_t max, fwm_arena *arena, int64_t *count,
                            const char ***out)
{
    *count = 0;
    *out = NULL;
    hid_t id = ds_h5_exists(file, name) ? H5Dopen2(file->id, name, H5P_DEFAULT) : -1;
    FWM_CHECK(id >= 0, FWM_DATA, "%s: %s: expected a dataset of texts, found none", file->path, name);
    hid_t type = H5Dget_type(id);
    fwm_status status = type >= 0
                            ? dataset_texts(file, name, id, type, max, arena, count, out)
                            : fwm_fail(FWM_DATA, "%s: %s: no type, HDF5 says: %s", file->path, name, ds_h5_reason());
    if (type >= 0)
        H5Tclose(type);
    H5Dclose(id);
    return status;
}

/* ---- attributes that are numbers ------------------------------------------------------------------------------- */

static fwm_status attr_number(const ds_h5 *file, const char *object, const char *name, bool required, bool integer,
                              void *out)
{
    hid_t id, type;
    int64_t count = 0;
    fwm_status status = attr_open(file, object, name, required, &id, &type, &count);
    if (status == FWM_OK && id >= 0) {
        H5T_class_t kind = H5Tget_class(type);
        bool whole = kind == H5T_INTEGER || kind == H5T_ENUM;
        if (count != 1 || !(whole || (kind == H5T_FLOAT && !integer)))
            status = fwm_fail(FWM_DATA, "%s: %s@%s: expected one %s, found %lld elements of %s", file->path, object,
                              name, integer ? "integer" : "number", (long long)count,
                              whole               ? "integer type"
                              : kind == H5T_FLOAT ? "floating-point type"
                                                  : "another type");
        else if (H5Aread(id, integer ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, out) < 0)
            status = fwm_fail(FWM_DATA, "%s: %s@%s: cannot be read, HDF5 says: %s", file->path, object, name,
                              ds_h5_reason());
    }
    attr_close(id, type);
    return status;
}

fwm_status ds_h5_attr_f64(const ds_h5 *file, const char *object, const char *name, bool required, double *out)
{
    return attr_number(file, object, name, required, false, out);
}

fwm_status ds_h5_attr_i64(const ds_h5 *file, const char *object, const char *name, bool required, int64_t *out)
{
    return attr_number(file, object, name, required, true, out);
}
