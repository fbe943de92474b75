#include "data/stats_file.h"

#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { PATH_BYTES = 4096, VERSION = 1, HANDLES = 8 };

static const char *const parts[4] = {"mean", "std", "delta_mean", "delta_std"};

/* ---- the key ---------------------------------------------------------------------------------------------------- */

static uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size)
{
    return XXH64(bytes, size, seed);
}

static uint64_t hash_text(uint64_t seed, const char *text)
{
    return hash_bytes(seed, text ? text : "-", text ? strlen(text) : 1);
}

/* nftw passes no context. */
static pthread_mutex_t walk_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t walk_sum;

static uint64_t hash_file(const char *path, const struct stat *st)
{
    const int64_t numbers[3] = {(int64_t)st->st_size, (int64_t)st->st_mtim.tv_sec, (int64_t)st->st_mtim.tv_nsec};
    return hash_bytes(hash_text(VERSION, path), numbers, sizeof numbers);
}

/* In whatever order a folder lists them. */
static int add_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)where;
    if (kind == FTW_F)
        walk_sum += hash_file(path, st);
    return 0;
}

static uint64_t hash_files(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return hash_file(path, &st);
    (void)pthread_mutex_lock(&walk_mutex);
    walk_sum = VERSION;
    (void)nftw(path, add_file, HANDLES, FTW_PHYS);
    const uint64_t sum = walk_sum;
    (void)pthread_mutex_unlock(&walk_mutex);
    return sum;
}

void ds_identity(const ds_dataset *ds, char key[DS_IDENTITY_BYTES])
{
    const ds_info *info = &ds->info;
    uint64_t h = hash_files(ds->path);
    h = hash_text(h, info->layout);
    h = hash_text(hash_text(hash_text(h, ds->options.frames), ds->options.state), ds->options.actions);
    h = hash_bytes(h, info->lengths, (size_t)info->trajectories * sizeof *info->lengths);
    h = hash_bytes(h, info->splits, (size_t)info->trajectories);
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        const int64_t extents[2] = {info->fields[f].points, info->fields[f].channels};
        h = hash_bytes(h, extents, sizeof extents);
    }
    (void)snprintf(key, DS_IDENTITY_BYTES, "%016llx", (unsigned long long)h);
}

/* PATH.stats.json, without the slashes that a folder's name may end in. */
static bool name_file(const ds_dataset *ds, const char *end, char path[PATH_BYTES])
{
    size_t n = strlen(ds->path);
    while (n > 1 && ds->path[n - 1] == '/')
        n--;
    const int written = snprintf(path, PATH_BYTES, "%.*s.stats.json%s", (int)n, ds->path, end);
    return written > 0 && written < PATH_BYTES;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static const double *read_list(const json_t *list, int64_t channels, fwm_arena *arena)
{
    if (!json_is_array(list) || (int64_t)json_array_size(list) != channels)
        return NULL;
    double *x = fwm_arena_alloc(arena, (size_t)(channels + 1) * sizeof *x);
    for (int64_t c = 0; x && c < channels; c++) {
        const json_t *number = json_array_get(list, (size_t)c);
        if (!json_is_number(number))
            return NULL;
        x[c] = json_number_value(number);
    }
    return x;
}

static void read_field(const json_t *object, ds_field_info *field, fwm_arena *arena)
{
    const double *x[4];
    for (int i = 0; i < 4; i++)
        if (!(x[i] = read_list(json_object_get(object, parts[i]), field->channels, arena)))
            return;
    field->stats = (ds_stats){x[0], x[1], x[2], x[3]};
}

void ds_stats_file_read(ds_dataset *ds)
{
    char path[PATH_BYTES], key[DS_IDENTITY_BYTES];
    json_t *all = name_file(ds, "", path) ? json_load_file(path, 0, NULL) : NULL;
    const char *found = json_string_value(json_object_get(all, "key"));
    if (found)
        ds_identity(ds, key);
    const bool ok = found && strcmp(found, key) == 0;
    for (ds_field f = 0; ok && f < DS_FIELDS; f++) {
        ds_field_info *field = &ds->info.fields[f];
        if (field->points > 0 && !field->stats.mean)
            read_field(json_object_get(all, ds_field_name(f)), field, ds->arena);
    }
    json_decref(all);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* NULL where a number is not finite: JSON has no such numbers. */
static json_t *list_of(const double *x, int64_t channels)
{
    json_t *list = json_array();
    for (int64_t c = 0; list && c < channels; c++)
        if (!isfinite(x[c]) || json_array_append_new(list, json_real(x[c])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *describe(const ds_dataset *ds)
{
    char key[DS_IDENTITY_BYTES];
    ds_identity(ds, key);
    json_t *all = json_pack("{s:s}", "key", key);
    bool ok = all != NULL;
    for (ds_field f = 0; ok && f < DS_FIELDS; f++) {
        const ds_field_info *field = &ds->info.fields[f];
        const double *x[4] = {field->stats.mean, field->stats.std, field->stats.delta_mean, field->stats.delta_std};
        if (field->points == 0 || !field->stats.mean)
            continue;
        json_t *object = json_object();
        for (int i = 0; ok && i < 4; i++)
            ok = x[i] && json_object_set_new(object, parts[i], list_of(x[i], field->channels)) == 0;
        ok = json_object_set_new(all, ds_field_name(f), object) == 0 && ok;
    }
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

void ds_stats_file_write(const ds_dataset *ds)
{
    enum { DIGITS = 17 };
    char path[PATH_BYTES], aside[PATH_BYTES], end[32];
    (void)snprintf(end, sizeof end, ".writing.%ld", (long)getpid());
    if (!name_file(ds, "", path) || !name_file(ds, end, aside))
        return;
    json_t *all = describe(ds);
    const bool written = all && json_dump_file(all, aside, JSON_INDENT(1) | JSON_REAL_PRECISION(DIGITS)) == 0;
    if (!written || rename(aside, path) != 0)
        (void)unlink(aside);
    json_decref(all);
}
