/* What the reader refuses, in the order in which it looks:
 *   - fewer than 8 bytes; a header longer than 100,000,000 bytes or than the file;
 *   - a header that is not one JSON object in valid UTF-8, beginning with '{', without duplicate keys;
 *   - metadata that is not an object of strings; a tensor that is not {dtype, shape, data_offsets} and nothing else;
 *   - a dtype that it does not know, a rank above TR_TENSOR_RANK_MAX, a negative size, a product that overflows;
 *   - offsets outside the file, a byte count that is not shape times dtype;
 *   - a hole or an overlap between tensors, bytes after the last. */
#include "train/safetensors.h"

#include "model/base/arena.h"
#include "model/base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MAX = 100000000, LENGTH_BYTES = 8, DATA_ALIGNMENT = 64, WRITE_CHUNK = 1 << 26 };

struct tr_safetensors {
    fwm_arena *arena;
    void *mapping; /* NULL where the bytes are the caller's */
    size_t mapped;
    const char *name;
    tr_tensor *tensors;
    int64_t count;
    json_t *metadata;
};

static const struct {
    const char *name;
    size_t size;
} dtypes[TR_DTYPE_COUNT] = {
    [TR_F32] = {"F32", 4}, [TR_F64] = {"F64", 8}, [TR_I64] = {"I64", 8}, [TR_I32] = {"I32", 4}, [TR_U8] = {"U8", 1}};

size_t tr_dtype_size(tr_dtype dtype)
{
    return (int)dtype >= 0 && dtype < TR_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

const char *tr_dtype_name(tr_dtype dtype)
{
    return (int)dtype >= 0 && dtype < TR_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

fwm_status tr_tensor_size(const tr_tensor *tensor, int64_t *elements, size_t *bytes)
{
    FWM_CHECK(tr_dtype_size(tensor->dtype) > 0, FWM_INVALID, "%s: expected F32, F64, I64, I32 or U8, found type %d",
              tensor->name, (int)tensor->dtype);
    FWM_CHECK(tensor->rank >= 0 && tensor->rank <= TR_TENSOR_RANK_MAX, FWM_INVALID,
              "%s: expected 0 to %d dimensions, found %d", tensor->name, TR_TENSOR_RANK_MAX, tensor->rank);
    int64_t n = 1;
    for (int i = 0; i < tensor->rank; i++) {
        FWM_CHECK(tensor->shape[i] >= 0, FWM_INVALID, "%s: expected sizes of at least 0, found %lld", tensor->name,
                  (long long)tensor->shape[i]);
        FWM_CHECK(fwm_mul_i64(n, tensor->shape[i], &n), FWM_OVERFLOW, "%s: the product of its sizes overflows",
                  tensor->name);
    }
    *elements = n;
    FWM_CHECK(fwm_mul_size((size_t)n, tr_dtype_size(tensor->dtype), bytes), FWM_OVERFLOW, "%s: its bytes overflow",
              tensor->name);
    return FWM_OK;
}

/* ---- reading ---- */
typedef struct entry { /* a tensor with its place in the data */
    tr_tensor tensor;
    size_t begin, end;
} entry;

static fwm_status parse_dtype(const char *file, const char *name, const json_t *value, tr_dtype *dtype)
{
    FWM_CHECK(json_is_string(value), FWM_DATA, "%s: %.100s: expected a dtype as a string", file, name);
    for (int i = 0; i < TR_DTYPE_COUNT; i++)
        if (strcmp(json_string_value(value), dtypes[i].name) == 0) {
            *dtype = (tr_dtype)i;
            return FWM_OK;
        }
    return fwm_fail(FWM_UNSUPPORTED, "%s: %.100s: expected dtype F32, F64, I64, I32 or U8, found %.20s", file, name,
                    json_string_value(value));
}

static fwm_status parse_shape(const char *file, const char *name, const json_t *value, tr_tensor *tensor)
{
    FWM_CHECK(json_is_array(value) && json_array_size(value) <= TR_TENSOR_RANK_MAX, FWM_DATA,
              "%s: %.100s: expected a shape, a list of at most %d sizes", file, name, TR_TENSOR_RANK_MAX);
    tensor->rank = (int)json_array_size(value);
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *size = json_array_get(value, (size_t)i);
        FWM_CHECK(json_is_integer(size) && json_integer_value(size) >= 0, FWM_DATA,
                  "%s: %.100s: expected sizes that are integers of at least 0", file, name);
        tensor->shape[i] = json_integer_value(size);
    }
    return FWM_OK;
}

static fwm_status parse_offsets(const char *file, const char *name, const json_t *value, size_t data_size, entry *e)
{
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    FWM_CHECK(json_is_array(value) && json_array_size(value) == 2 && json_is_integer(begin) && json_is_integer(end),
              FWM_DATA, "%s: %.100s: expected data_offsets as two integers", file, name);
    const json_int_t b = json_integer_value(begin), n = json_integer_value(end);
    FWM_CHECK(b >= 0 && n >= b && (uint64_t)n <= data_size, FWM_DATA,
              "%s: %.100s: expected data_offsets within %zu bytes of data, found [%lld, %lld]", file, name, data_size,
              (long long)b, (long long)n);
    e->begin = (size_t)b;
    e->end = (size_t)n;
    return FWM_OK;
}

static fwm_status parse_entry(tr_safetensors *f, const char *name, const json_t *value, const unsigned char *data,
                              size_t data_size, entry *e)
{
    int64_t elements;
    size_t bytes;
    FWM_CHECK(json_is_object(value) && json_object_size(value) == 3, FWM_DATA,
              "%s: %.100s: expected an object of dtype, shape and data_offsets", f->name, name);
    FWM_TRY(parse_dtype(f->name, name, json_object_get(value, "dtype"), &e->tensor.dtype));
    FWM_TRY(parse_shape(f->name, name, json_object_get(value, "shape"), &e->tensor));
    FWM_TRY(parse_offsets(f->name, name, json_object_get(value, "data_offsets"), data_size, e));
    e->tensor.name = fwm_arena_strdup(f->arena, name);
    FWM_CHECK(e->tensor.name != NULL, FWM_MEMORY, "%s: no memory for its header", f->name);
    if (tr_tensor_size(&e->tensor, &elements, &bytes) != FWM_OK)
        return fwm_fail_within(FWM_DATA, "%s", f->name);
    FWM_CHECK(bytes == e->end - e->begin, FWM_DATA, "%s: %.100s: expected %zu bytes for its shape, found %zu", f->name,
              name, bytes, e->end - e->begin);
    e->tensor.data = data + e->begin;
    return FWM_OK;
}

static int by_offset(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) /* empty tensors stand before the one that begins at the same place */
        return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

static fwm_status parse_tensors(tr_safetensors *f, json_t *header, const unsigned char *data, size_t data_size)
{
    const size_t most = json_object_size(header);
    entry *entries = fwm_calloc(most, sizeof *entries);
    fwm_status status = FWM_OK;
    const char *name;
    json_t *value;
    size_t end = 0;
    FWM_CHECK(entries != NULL, FWM_MEMORY, "%s: no memory for %zu tensors", f->name, most);
    json_object_foreach(header, name, value)
    {
        if (strcmp(name, "__metadata__") != 0)
            FWM_TRY_GOTO(status, parse_entry(f, name, value, data, data_size, &entries[f->count++]));
    }
    qsort(entries, (size_t)f->count, sizeof *entries, by_offset);
    f->tensors = fwm_arena_alloc(f->arena, (most + 1) * sizeof *f->tensors);
    FWM_CHECK_GOTO(status, f->tensors != NULL, FWM_MEMORY, "%s: no memory for %zu tensors", f->name, most);
    for (int64_t i = 0; i < f->count; i++) {
        FWM_CHECK_GOTO(status, entries[i].begin == end, FWM_DATA,
                       "%s: %.100s: expected its data at byte %zu, without hole or overlap, found %zu", f->name,
                       entries[i].tensor.name, end, entries[i].begin);
        end = entries[i].end;
        f->tensors[i] = entries[i].tensor;
    }
    FWM_CHECK_GOTO(status, end == data_size, FWM_DATA, "%s: expected the data to end at byte %zu, found %zu bytes",
                   f->name, end, data_size);
done:
    fwm_free(entries);
    return status;
}

static fwm_status parse_metadata(tr_safetensors *f, const json_t *header)
{
    json_t *given = json_object_get(header, "__metadata__");
    const char *key;
    json_t *value;
    FWM_CHECK(given == NULL || json_is_object(given), FWM_DATA, "%s: expected __metadata__ to be an object", f->name);
    json_object_foreach(given, key, value)
        FWM_CHECK(json_is_string(value), FWM_DATA, "%s: __metadata__: expected strings, found another value for %.100s",
                  f->name, key);
    f->metadata = given != NULL ? json_incref(given) : json_object();
    FWM_CHECK(f->metadata != NULL, FWM_MEMORY, "%s: no memory for its metadata", f->name);
    return FWM_OK;
}

static fwm_status parse(tr_safetensors *f, const unsigned char *bytes, size_t size)
{
    FWM_CHECK(size >= LENGTH_BYTES, FWM_DATA, "%s: expected a safetensors file of at least %d bytes, found %zu",
              f->name, LENGTH_BYTES, size);
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)bytes[i] << (8 * i);
    FWM_CHECK(length >= 2 && length <= HEADER_MAX && length <= size - LENGTH_BYTES, FWM_DATA,
              "%s: expected a safetensors header of 2 to %d bytes within a file of %zu, found a length of %llu",
              f->name, HEADER_MAX, size, (unsigned long long)length);
    const char *text = (const char *)bytes + LENGTH_BYTES;
    FWM_CHECK(text[0] == '{', FWM_DATA, "%s: expected the header to begin with '{'", f->name);
    json_error_t error;
    json_t *header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    FWM_CHECK(header != NULL, FWM_DATA, "%s: expected a header of JSON, found at byte %d of it: %s", f->name,
              error.position, error.text);
    const size_t start = LENGTH_BYTES + (size_t)length;
    fwm_status status = parse_metadata(f, header);
    if (status == FWM_OK)
        status = parse_tensors(f, header, bytes + start, size - start);
    json_decref(header);
    return status;
}

static fwm_status create(tr_safetensors **out, const char *name)
{
    tr_safetensors *f = fwm_calloc(1, sizeof *f);
    *out = NULL;
    FWM_CHECK(f != NULL, FWM_MEMORY, "%s: no memory to read it", name);
    f->arena = fwm_arena_create();
    f->name = f->arena != NULL ? fwm_arena_strdup(f->arena, name) : NULL;
    if (f->name == NULL) {
        tr_safetensors_close(f);
        return fwm_fail(FWM_MEMORY, "%s: no memory to read it", name);
    }
    *out = f;
    return FWM_OK;
}

fwm_status tr_safetensors_read(tr_safetensors **out, const void *bytes, size_t size, const char *name)
{
    tr_safetensors *f;
    *out = NULL;
    FWM_TRY(create(&f, name));
    const fwm_status status = parse(f, bytes, size);
    if (status == FWM_OK)
        *out = f;
    else
        tr_safetensors_close(f);
    return status;
}

fwm_status tr_safetensors_open(tr_safetensors **out, const char *path)
{
    tr_safetensors *f = NULL;
    fwm_status status = FWM_OK;
    struct stat about;
    *out = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    FWM_CHECK(fd >= 0, FWM_IO, "%s: cannot be opened: %s", path, strerror(errno));
    FWM_CHECK_GOTO(status, fstat(fd, &about) == 0 && S_ISREG(about.st_mode), FWM_IO, "%s: expected a file", path);
    FWM_TRY_GOTO(status, create(&f, path));
    if (about.st_size > 0) {
        void *mapping = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        FWM_CHECK_GOTO(status, mapping != MAP_FAILED, FWM_IO, "%s: cannot be mapped: %s", path, strerror(errno));
        f->mapping = mapping;
        f->mapped = (size_t)about.st_size;
    }
    FWM_TRY_GOTO(status, parse(f, f->mapping, f->mapped));
    *out = f;
    f = NULL;
done:
    tr_safetensors_close(f);
    (void)close(fd);
    return status;
}

void tr_safetensors_close(tr_safetensors *f)
{
    if (f == NULL)
        return;
    if (f->mapping != NULL)
        (void)munmap(f->mapping, f->mapped);
    json_decref(f->metadata);
    fwm_arena_destroy(f->arena);
    fwm_free(f);
}

int64_t tr_safetensors_count(const tr_safetensors *f)
{
    return f->count;
}

const tr_tensor *tr_safetensors_at(const tr_safetensors *f, int64_t i)
{
    return i >= 0 && i < f->count ? &f->tensors[i] : NULL;
}

const tr_tensor *tr_safetensors_find(const tr_safetensors *f, const char *name)
{
    for (int64_t i = 0; i < f->count; i++)
        if (strcmp(f->tensors[i].name, name) == 0)
            return &f->tensors[i];
    return NULL;
}

const char *tr_safetensors_text(const tr_safetensors *f, const char *key)
{
    return json_string_value(json_object_get(f->metadata, key));
}

const json_t *tr_safetensors_metadata(const tr_safetensors *f)
{
    return f->metadata;
}

/* ---- writing ---- */
static int by_width(const void *a, const void *b)
{
    const tr_tensor *x = *(const tr_tensor *const *)a, *y = *(const tr_tensor *const *)b;
    const size_t p = tr_dtype_size(x->dtype), q = tr_dtype_size(y->dtype);
    return p != q ? (p > q ? -1 : 1) : strcmp(x->name, y->name);
}

/* The header's text with its padding, to be freed by free(). */
static fwm_status make_header(const char *path, const tr_tensor *const *sorted, int64_t count, const json_t *metadata,
                              char **text, size_t *length)
{
    json_t *header = json_object();
    fwm_status status = FWM_OK;
    char *compact = NULL;
    size_t end = 0;
    *text = NULL;
    if (metadata != NULL)
        FWM_CHECK_GOTO(status, json_object_set(header, "__metadata__", (json_t *)metadata) == 0, FWM_MEMORY,
                       "%s: no memory for its header", path);
    for (int64_t i = 0; i < count; i++) {
        const tr_tensor *t = sorted[i];
        int64_t elements;
        size_t bytes, begin = end;
        FWM_TRY_GOTO(status, tr_tensor_size(t, &elements, &bytes));
        FWM_CHECK_GOTO(status, fwm_add_size(begin, bytes, &end) && end <= INT64_MAX, FWM_OVERFLOW,
                       "%s: its size overflows", path);
        FWM_CHECK_GOTO(status, json_object_get(header, t->name) == NULL && strcmp(t->name, "__metadata__") != 0,
                       FWM_INVALID, "%s: expected names that are all different, found %s again", path, t->name);
        json_t *shape = json_array();
        for (int k = 0; k < t->rank; k++)
            (void)json_array_append_new(shape, json_integer(t->shape[k]));
        json_t *value = json_pack("{s:s,s:o,s:[I,I]}", "dtype", tr_dtype_name(t->dtype), "shape", shape, "data_offsets",
                                  (json_int_t)begin, (json_int_t)end);
        FWM_CHECK_GOTO(status, json_object_set_new(header, t->name, value) == 0, FWM_INVALID,
                       "%s: expected tensor names in UTF-8", path);
    }
    compact = json_dumps(header, JSON_COMPACT);
    FWM_CHECK_GOTO(status, compact != NULL, FWM_MEMORY, "%s: no memory for its header", path);
    const size_t used = strlen(compact);
    FWM_CHECK_GOTO(status,
                   fwm_align_size(used + LENGTH_BYTES, DATA_ALIGNMENT, length) && *length - LENGTH_BYTES <= HEADER_MAX,
                   FWM_INVALID, "%s: expected a header of at most %d bytes, found %zu", path, HEADER_MAX, used);
    *text = fwm_malloc(*length, 1);
    FWM_CHECK_GOTO(status, *text != NULL, FWM_MEMORY, "%s: no memory for its header", path);
    memset(*text, ' ', *length);
    for (int i = 0; i < LENGTH_BYTES; i++)
        (*text)[i] = (char)((*length - LENGTH_BYTES) >> (8 * i) & 0xFF);
    memcpy(*text + LENGTH_BYTES, compact, used);
done:
    free(compact);
    json_decref(header);
    return status;
}

static fwm_status write_bytes(int fd, const char *path, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        const ssize_t n = write(fd, at, size < WRITE_CHUNK ? size : WRITE_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        FWM_CHECK(n > 0, FWM_IO, "%s: cannot be written: %s", path, n < 0 ? strerror(errno) : "no bytes were taken");
        at += n;
        size -= (size_t)n;
    }
    return FWM_OK;
}

fwm_status tr_safetensors_sync(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, sizeof folder, "%.*s",
                   slash == NULL   ? 1
                   : slash == path ? 1
                                   : (int)(slash - path),
                   slash == NULL ? "." : path);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FWM_CHECK(fd >= 0, FWM_IO, "%s: cannot be opened: %s", folder, strerror(errno));
    /* Some file systems cannot synchronise a folder and say EINVAL: nothing more can be done there. */
    const bool good = fsync(fd) == 0 || errno == EINVAL;
    const int reason = errno;
    (void)close(fd);
    FWM_CHECK(good, FWM_IO, "%s: cannot be synchronised: %s", folder, strerror(reason));
    return FWM_OK;
}

fwm_status tr_safetensors_write(const char *path, const tr_tensor *tensors, int64_t count, const json_t *metadata)
{
    char aside[PATH_MAX];
    fwm_status status = FWM_OK;
    char *header = NULL;
    size_t length = 0;
    int fd = -1;
    bool made = false;
    const char *key;
    json_t *value;
    FWM_CHECK(snprintf(aside, sizeof aside, "%s.tmp", path) < (int)sizeof aside, FWM_INVALID,
              "%s: expected a shorter path", path);
    FWM_CHECK(metadata == NULL || json_is_object(metadata), FWM_INVALID, "%s: expected metadata as an object", path);
    json_object_foreach((json_t *)metadata, key, value)
        FWM_CHECK(json_is_string(value), FWM_INVALID, "%s: metadata: expected a string for %s", path, key);
    const tr_tensor **sorted = fwm_calloc((size_t)count, sizeof *sorted);
    FWM_CHECK(sorted != NULL, FWM_MEMORY, "%s: no memory for %lld tensors", path, (long long)count);
    for (int64_t i = 0; i < count; i++)
        sorted[i] = &tensors[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_width);
    FWM_TRY_GOTO(status, make_header(path, sorted, count, metadata, &header, &length));
    fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    FWM_CHECK_GOTO(status, fd >= 0, FWM_IO, "%s: cannot be created: %s", aside, strerror(errno));
    made = true;
    FWM_TRY_GOTO(status, write_bytes(fd, aside, header, length));
    for (int64_t i = 0; i < count; i++) {
        int64_t elements;
        size_t bytes;
        FWM_TRY_GOTO(status, tr_tensor_size(sorted[i], &elements, &bytes));
        FWM_TRY_GOTO(status, write_bytes(fd, aside, sorted[i]->data, bytes));
    }
    FWM_CHECK_GOTO(status, fsync(fd) == 0, FWM_IO, "%s: cannot be synchronised: %s", aside, strerror(errno));
    const int closed = close(fd);
    fd = -1;
    FWM_CHECK_GOTO(status, closed == 0, FWM_IO, "%s: cannot be closed: %s", aside, strerror(errno));
    FWM_CHECK_GOTO(status, rename(aside, path) == 0, FWM_IO, "%s: cannot be renamed to %s: %s", aside, path,
                   strerror(errno));
    FWM_TRY_GOTO(status, tr_safetensors_sync(path));
done:
    if (fd >= 0)
        (void)close(fd);
    if (made && status != FWM_OK)
        (void)unlink(aside); /* not there any more once it was renamed */
    fwm_free(header);
    fwm_free(sorted);
    return status;
}
