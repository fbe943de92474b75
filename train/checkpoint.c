/* In the safetensors metadata, each a string:
 *   format     TR_CHECKPOINT_FORMAT
 *   config     the resolved YAML
 *   position   JSON object of integers
 *   about      JSON object
 *   xxh64      JSON object: tensor name -> 16 hexadecimal digits
 *   digest     over tensors and position
 *   checksum   over all of the above and every tensor's name, type and shape */
#include "train/checkpoint.h"

#include "model/base/arena.h"
#include "model/base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define TR_CHECKPOINT_FORMAT "fwm-checkpoint-1"

enum { HEX_CAPACITY = 17 };

struct tr_checkpoint {
    tr_safetensors *file;
    char *path;
    json_t *position, *about;
    uint64_t *hashes; /* by tensor, in the file's order */
};

static const char *hex(uint64_t value, char buf[HEX_CAPACITY])
{
    (void)snprintf(buf, HEX_CAPACITY, "%016llx", (unsigned long long)value);
    return buf;
}

/* ---- hashing ---- */
static void hash_text(XXH64_state_t *state, const char *text)
{
    const uint64_t length = strlen(text);
    (void)XXH64_update(state, &length, sizeof length);
    (void)XXH64_update(state, text, length);
}

static fwm_status hash_tensor(const tr_tensor *tensor, uint64_t *hash)
{
    int64_t elements;
    size_t bytes;
    FWM_TRY(tr_tensor_size(tensor, &elements, &bytes));
    *hash = XXH64(tensor->data, bytes, 0);
    return FWM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tr_tensor *)a)->name, ((const tr_tensor *)b)->name);
}

/* Name, type, shape and bytes of every tensor (sorted by name), then the position. */
static uint64_t digest_of(XXH64_state_t *state, const tr_tensor *sorted, const uint64_t *hashes, int64_t count,
                          const char *position)
{
    (void)XXH64_reset(state, 0);
    for (int64_t i = 0; i < count; i++) {
        hash_text(state, sorted[i].name);
        hash_text(state, tr_dtype_name(sorted[i].dtype));
        (void)XXH64_update(state, sorted[i].shape, (size_t)sorted[i].rank * sizeof *sorted[i].shape);
        (void)XXH64_update(state, &hashes[i], sizeof hashes[i]);
    }
    hash_text(state, position);
    return XXH64_digest(state);
}

static uint64_t checksum_of(XXH64_state_t *state, const char *digest, const json_t *texts)
{
    static const char *const keys[] = {"format", "config", "position", "about", "xxh64"};
    (void)XXH64_reset(state, 1);
    hash_text(state, digest);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = json_string_value(json_object_get(texts, keys[i]));
        hash_text(state, text != NULL ? text : "");
    }
    return XXH64_digest(state);
}

/* Sorted copies of the tensors, and their hashes. */
static fwm_status sort_and_hash(const tr_tensor *tensors, int64_t count, tr_tensor **sorted, uint64_t **hashes)
{
    *hashes = NULL;
    *sorted = fwm_calloc((size_t)count, sizeof **sorted);
    FWM_CHECK(*sorted != NULL, FWM_MEMORY, "no memory for %lld tensors", (long long)count);
    for (int64_t i = 0; i < count; i++)
        (*sorted)[i] = tensors[i];
    qsort(*sorted, (size_t)count, sizeof **sorted, by_name);
    *hashes = fwm_calloc((size_t)count, sizeof **hashes);
    FWM_CHECK(*hashes != NULL, FWM_MEMORY, "no memory for %lld hashes", (long long)count);
    for (int64_t i = 0; i < count; i++)
        FWM_TRY(hash_tensor(&(*sorted)[i], &(*hashes)[i]));
    return FWM_OK;
}

/* ---- saving ---- */
static fwm_status check_content(const tr_checkpoint_content *content)
{
    const char *key;
    json_t *value;
    FWM_CHECK(json_is_object(content->position), FWM_INVALID, "checkpoint: expected position as an object");
    json_object_foreach((json_t *)content->position, key, value)
        FWM_CHECK(json_is_integer(value), FWM_INVALID, "checkpoint: position: expected an integer for %s", key);
    FWM_CHECK(json_object_get(content->position, "step") && json_object_get(content->position, "seed"), FWM_INVALID,
              "checkpoint: expected step and seed in position");
    FWM_CHECK(content->about == NULL || json_is_object(content->about), FWM_INVALID,
              "checkpoint: expected about as an object");
    FWM_CHECK(content->config != NULL, FWM_INVALID, "checkpoint: expected the configuration's text");
    return FWM_OK;
}

/* Sets key to the compact JSON of value, keys sorted; false when memory is out. */
static bool set_json(json_t *texts, const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    const bool good = text != NULL && json_object_set_new(texts, key, json_string(text)) == 0;
    free(text);
    return good;
}

static fwm_status make_metadata(const tr_checkpoint_content *content, json_t *texts)
{
    tr_tensor *sorted = NULL;
    uint64_t *hashes = NULL;
    char buf[HEX_CAPACITY];
    fwm_status status;
    json_t *sums = json_object(), *about = content->about != NULL ? json_copy((json_t *)content->about) : json_object();
    XXH64_state_t *state = XXH64_createState();
    FWM_TRY_GOTO(status, sort_and_hash(content->tensors, content->count, &sorted, &hashes));
    bool good = state != NULL && json_object_set_new(about, "version", json_string(FWM_VERSION)) == 0;
    for (int64_t i = 0; i < content->count; i++)
        good = json_object_set_new(sums, sorted[i].name, json_string(hex(hashes[i], buf))) == 0 && good;
    good = good && json_object_set_new(texts, "format", json_string(TR_CHECKPOINT_FORMAT)) == 0 &&
           json_object_set_new(texts, "config", json_string(content->config)) == 0 &&
           set_json(texts, "position", content->position) && set_json(texts, "about", about) &&
           set_json(texts, "xxh64", sums);
    FWM_CHECK_GOTO(status, good, FWM_INVALID, "checkpoint: expected text in UTF-8 and names that JSON can hold");
    const char *position = json_string_value(json_object_get(texts, "position"));
    const uint64_t digest = digest_of(state, sorted, hashes, content->count, position);
    good = json_object_set_new(texts, "digest", json_string(hex(digest, buf))) == 0;
    const uint64_t checksum = checksum_of(state, json_string_value(json_object_get(texts, "digest")), texts);
    good = json_object_set_new(texts, "checksum", json_string(hex(checksum, buf))) == 0 && good;
    FWM_CHECK_GOTO(status, good, FWM_MEMORY, "checkpoint: no memory for its metadata");
done:
    if (state != NULL)
        (void)XXH64_freeState(state);
    json_decref(about);
    json_decref(sums);
    fwm_free(hashes);
    fwm_free(sorted);
    return status;
}

/* Makes `previous` another name of what `path` holds; `path` itself is never absent. */
static fwm_status keep(const char *path, const char *previous)
{
    char aside[PATH_MAX + 8];
    (void)snprintf(aside, sizeof aside, "%s.tmp", previous);
    (void)unlink(aside);
    if (link(path, aside) != 0) {
        if (errno == ENOENT)
            return FWM_OK; /* the first checkpoint */
        /* A file system without links: for a moment only the previous name exists, which loading knows. */
        FWM_CHECK(rename(path, previous) == 0, FWM_IO, "%s: cannot be renamed to %s: %s", path, previous,
                  strerror(errno));
        return FWM_OK;
    }
    FWM_CHECK(rename(aside, previous) == 0, FWM_IO, "%s: cannot be renamed to %s: %s", aside, previous,
              strerror(errno));
    return FWM_OK;
}

static fwm_status load_one(tr_checkpoint **out, const char *path);

fwm_status tr_checkpoint_save(const char *path, const tr_checkpoint_content *content, bool keep_previous)
{
    char fresh[PATH_MAX], previous[PATH_MAX];
    tr_checkpoint *back = NULL;
    fwm_status status;
    FWM_CHECK(snprintf(fresh, sizeof fresh, "%s.new", path) < PATH_MAX - 8, FWM_INVALID, "%s: expected a shorter path",
              path);
    (void)snprintf(previous, sizeof previous, "%s.prev", path);
    FWM_TRY(check_content(content));
    json_t *texts = json_object();
    FWM_TRY_GOTO(status, make_metadata(content, texts));
    FWM_TRY_GOTO(status, tr_safetensors_write(fresh, content->tensors, content->count, texts));
    status = load_one(&back, fresh);
    if (status != FWM_OK) {
        (void)unlink(fresh);
        (void)fwm_fail_within(status, "%s: what was written does not read back", path);
        goto done;
    }
    if (keep_previous)
        FWM_TRY_GOTO(status, keep(path, previous));
    FWM_CHECK_GOTO(status, rename(fresh, path) == 0, FWM_IO, "%s: cannot be renamed to %s: %s", fresh, path,
                   strerror(errno));
    FWM_TRY_GOTO(status, tr_safetensors_sync(path));
done:
    tr_checkpoint_destroy(back);
    json_decref(texts);
    return status;
}

/* ---- loading ---- */
static fwm_status load_json(const tr_safetensors *file, const char *name, const char *key, json_t **out)
{
    const char *text = tr_safetensors_text(file, key);
    FWM_CHECK(text != NULL, FWM_DATA, "%s: expected %s in its metadata", name, key);
    *out = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    FWM_CHECK(json_is_object(*out), FWM_DATA, "%s: expected a JSON object as %s", name, key);
    return FWM_OK;
}

/* Compares what the file says of itself with what it holds. */
static fwm_status verify(const tr_checkpoint *c, const json_t *sums, const char *name)
{
    tr_tensor *sorted = NULL;
    uint64_t *hashes = NULL;
    char buf[HEX_CAPACITY];
    fwm_status status;
    XXH64_state_t *state = XXH64_createState();
    const char *digest = tr_safetensors_text(c->file, "digest"), *sum = tr_safetensors_text(c->file, "checksum");
    const int64_t count = tr_safetensors_count(c->file);
    FWM_CHECK_GOTO(status, state != NULL, FWM_MEMORY, "%s: no memory to verify it", name);
    FWM_CHECK_GOTO(status, digest != NULL && sum != NULL && tr_safetensors_text(c->file, "config") != NULL, FWM_DATA,
                   "%s: expected digest, checksum and config in its metadata", name);
    const uint64_t own = checksum_of(state, digest, tr_safetensors_metadata(c->file));
    FWM_CHECK_GOTO(status, strcmp(hex(own, buf), sum) == 0, FWM_DATA,
                   "%s: damaged: its text has checksum %s, expected %.16s", name, buf, sum);
    FWM_TRY_GOTO(status, sort_and_hash(tr_safetensors_at(c->file, 0), count, &sorted, &hashes));
    FWM_CHECK_GOTO(status, json_object_size(sums) == (size_t)count, FWM_DATA, "%s: expected %zu tensors, found %lld",
                   name, json_object_size(sums), (long long)count);
    for (int64_t i = 0; i < count; i++) {
        const char *expected = json_string_value(json_object_get(sums, sorted[i].name));
        FWM_CHECK_GOTO(status, expected != NULL && strcmp(hex(hashes[i], buf), expected) == 0, FWM_DATA,
                       "%s: damaged: tensor %.100s has checksum %s, expected %.16s", name, sorted[i].name, buf,
                       expected != NULL ? expected : "none");
    }
    const uint64_t whole = digest_of(state, sorted, hashes, count, tr_safetensors_text(c->file, "position"));
    FWM_CHECK_GOTO(status, strcmp(hex(whole, buf), digest) == 0, FWM_DATA,
                   "%s: damaged: names or shapes of its tensors have digest %s, expected %.16s", name, buf, digest);
    for (int64_t i = 0; i < count; i++) { /* back into the file's order */
        const char *expected = json_string_value(json_object_get(sums, tr_safetensors_at(c->file, i)->name));
        c->hashes[i] = strtoull(expected, NULL, 16);
    }
done:
    if (state != NULL)
        (void)XXH64_freeState(state);
    fwm_free(hashes);
    fwm_free(sorted);
    return status;
}

/* Takes `file` over, also on failure. */
static fwm_status adopt(tr_checkpoint **out, tr_safetensors *file, const char *name)
{
    json_t *sums = NULL;
    fwm_status status = FWM_OK;
    tr_checkpoint *c = fwm_calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) {
        tr_safetensors_close(file);
        return fwm_fail(FWM_MEMORY, "%s: no memory to load it", name);
    }
    c->file = file;
    c->path = fwm_strdup(name);
    c->hashes = fwm_calloc((size_t)tr_safetensors_count(file), sizeof *c->hashes);
    FWM_CHECK_GOTO(status, c->path != NULL && c->hashes != NULL, FWM_MEMORY, "%s: no memory to load it", name);
    FWM_CHECK_GOTO(status, tr_checkpoint_is(file), FWM_DATA,
                   "%s: expected a checkpoint (format %s), found another safetensors file", name, TR_CHECKPOINT_FORMAT);
    FWM_TRY_GOTO(status, load_json(file, name, "position", &c->position));
    FWM_TRY_GOTO(status, load_json(file, name, "about", &c->about));
    FWM_TRY_GOTO(status, load_json(file, name, "xxh64", &sums));
    FWM_TRY_GOTO(status, verify(c, sums, name));
    *out = c;
    c = NULL;
done:
    json_decref(sums);
    tr_checkpoint_destroy(c);
    return status;
}

static fwm_status load_one(tr_checkpoint **out, const char *path)
{
    tr_safetensors *file;
    *out = NULL;
    FWM_TRY(tr_safetensors_open(&file, path));
    return adopt(out, file, path);
}

fwm_status tr_checkpoint_read(tr_checkpoint **out, const void *bytes, size_t size, const char *name)
{
    tr_safetensors *file;
    *out = NULL;
    FWM_TRY(tr_safetensors_read(&file, bytes, size, name));
    return adopt(out, file, name);
}

fwm_status tr_checkpoint_load(tr_checkpoint **out, const char *path)
{
    char previous[PATH_MAX], reason[FWM_ERROR_CAPACITY];
    const fwm_status status = load_one(out, path);
    if (status == FWM_OK || snprintf(previous, sizeof previous, "%s.prev", path) >= PATH_MAX)
        return status;
    fwm_error_get(reason, sizeof reason);
    if (load_one(out, previous) != FWM_OK) {
        fwm_error_set(reason);
        return status;
    }
    int64_t step = -1;
    (void)!tr_checkpoint_int(*out, "step", &step);
    fwm_log(FWM_LOG_WARN, "%s; loaded the one before it, %s (step %lld)", reason, previous, (long long)step);
    return FWM_OK;
}

void tr_checkpoint_destroy(tr_checkpoint *c)
{
    if (c == NULL)
        return;
    json_decref(c->position);
    json_decref(c->about);
    tr_safetensors_close(c->file);
    fwm_free(c->hashes);
    fwm_free(c->path);
    fwm_free(c);
}

/* ---- asking ---- */
bool tr_checkpoint_is(const tr_safetensors *file)
{
    const char *format = tr_safetensors_text(file, "format");
    return format != NULL && strcmp(format, TR_CHECKPOINT_FORMAT) == 0;
}

int64_t tr_checkpoint_count(const tr_checkpoint *c)
{
    return tr_safetensors_count(c->file);
}

const tr_tensor *tr_checkpoint_at(const tr_checkpoint *c, int64_t i)
{
    return tr_safetensors_at(c->file, i);
}

const tr_tensor *tr_checkpoint_find(const tr_checkpoint *c, const char *name)
{
    return tr_safetensors_find(c->file, name);
}

uint64_t tr_checkpoint_hash(const tr_checkpoint *c, int64_t i)
{
    return c->hashes[i];
}

static void shape_text(int rank, const int64_t *shape, char *buf, size_t capacity)
{
    size_t n = (size_t)snprintf(buf, capacity, "[");
    for (int i = 0; i < rank && n < capacity; i++)
        n += (size_t)snprintf(buf + n, capacity - n, "%s%lld", i > 0 ? "," : "", (long long)shape[i]);
    if (n < capacity)
        (void)snprintf(buf + n, capacity - n, "]");
}

fwm_status tr_checkpoint_copy(const tr_checkpoint *c, const char *name, tr_dtype dtype, int rank, const int64_t *shape,
                              void *data)
{
    const tr_tensor *found = tr_checkpoint_find(c, name);
    FWM_CHECK(found != NULL, FWM_DATA, "%s: expected a tensor %s", c->path, name);
    bool same = found->dtype == dtype && found->rank == rank;
    for (int i = 0; i < rank && same; i++)
        same = found->shape[i] == shape[i];
    if (!same) {
        char expected[200], have[200];
        shape_text(rank, shape, expected, sizeof expected);
        shape_text(found->rank, found->shape, have, sizeof have);
        return fwm_fail(FWM_SHAPE, "%s: tensor %s: expected %s %s, found %s %s", c->path, name, tr_dtype_name(dtype),
                        expected, tr_dtype_name(found->dtype), have);
    }
    int64_t elements;
    size_t bytes;
    FWM_TRY(tr_tensor_size(found, &elements, &bytes));
    if (bytes > 0)
        memcpy(data, found->data, bytes);
    return FWM_OK;
}

fwm_status tr_checkpoint_int(const tr_checkpoint *c, const char *name, int64_t *value)
{
    const json_t *found = json_object_get(c->position, name);
    FWM_CHECK(json_is_integer(found), FWM_DATA, "%s: expected an integer %s in its position", c->path, name);
    *value = json_integer_value(found);
    return FWM_OK;
}

const json_t *tr_checkpoint_position(const tr_checkpoint *c)
{
    return c->position;
}

const json_t *tr_checkpoint_about(const tr_checkpoint *c)
{
    return c->about;
}

const char *tr_checkpoint_config(const tr_checkpoint *c)
{
    return tr_safetensors_text(c->file, "config");
}

const char *tr_checkpoint_path(const tr_checkpoint *c)
{
    return c->path;
}

const char *tr_checkpoint_digest(const tr_checkpoint *c)
{
    return tr_safetensors_text(c->file, "digest");
}

int64_t tr_checkpoint_parameters(const tr_checkpoint *c)
{
    int64_t total = 0;
    for (int64_t i = 0; i < tr_checkpoint_count(c); i++) {
        const tr_tensor *tensor = tr_checkpoint_at(c, i);
        int64_t elements;
        size_t bytes;
        if (strncmp(tensor->name, TR_WEIGHTS, strlen(TR_WEIGHTS)) == 0 &&
            tr_tensor_size(tensor, &elements, &bytes) == FWM_OK)
            total += elements;
    }
    return total;
}
