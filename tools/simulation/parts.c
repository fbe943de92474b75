#include "tools/simulation/parts.h"

#include "model/base/arena.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { MAGIC = 0x31545246, FIELDS = 6, CHANNELS = 3 };

typedef struct part_header {
    uint32_t magic, split;
    uint64_t recipe;
    int64_t first, count, bytes; /* bytes of a trajectory */
} part_header;

struct fwm_parts {
    char *folder;
    uint64_t recipe;
    int rank;
    int64_t split_count[FEM_SPLIT_COUNT], count;
    unsigned char *buffer; /* one part: header, trajectories, hash */
    size_t capacity;
};

static int64_t parts_of(int64_t trajectories)
{
    return (trajectories + FWM_PART - 1) / FWM_PART;
}

fwm_status fwm_parts_open(fwm_parts **out, const char *path, const char *recipe, const fem_simulate_spec *spec,
                          int rank)
{
    *out = NULL;
    fwm_parts *p = fwm_calloc(1, sizeof *p);
    const size_t length = strlen(path) + sizeof ".parts";
    if (p)
        p->folder = fwm_malloc(length, 1);
    if (!p || !p->folder) {
        fwm_parts_close(&p);
        return fwm_fail(FWM_MEMORY, "simulate: out of memory");
    }
    (void)snprintf(p->folder, length, "%s.parts", path);
    p->recipe = XXH64(recipe, strlen(recipe), XXH64(FWM_VERSION, strlen(FWM_VERSION), FWM_PART));
    p->rank = rank;
    for (int k = 0; k < FEM_SPLIT_COUNT; k++) {
        p->split_count[k] = spec->count[k];
        p->count += parts_of(spec->count[k]);
    }
    if (mkdir(p->folder, 0777) != 0 && errno != EEXIST) {
        const fwm_status status = fwm_fail(FWM_IO, "%s: cannot be made: %s; finished trajectories are kept there",
                                           p->folder, strerror(errno));
        fwm_parts_close(&p);
        return status;
    }
    *out = p;
    return FWM_OK;
}

void fwm_parts_close(fwm_parts **parts)
{
    fwm_parts *p = *parts;
    if (!p)
        return;
    fwm_free(p->folder);
    fwm_free(p->buffer);
    fwm_free(p);
    *parts = NULL;
}

int64_t fwm_parts_count(const fwm_parts *parts)
{
    return parts->count;
}

void fwm_parts_range(const fwm_parts *p, int64_t k, fem_split *split, int64_t *first, int64_t *count)
{
    int s = 0;
    for (; s + 1 < FEM_SPLIT_COUNT && k >= parts_of(p->split_count[s]); s++)
        k -= parts_of(p->split_count[s]);
    *split = (fem_split)s;
    *first = k * FWM_PART;
    *count = p->split_count[s] - *first < FWM_PART ? p->split_count[s] - *first : FWM_PART;
}

static fwm_status name_part(const fwm_parts *p, int split, int64_t first, bool aside, char *name, size_t capacity)
{
    char tail[32] = "";
    if (aside)
        (void)snprintf(tail, sizeof tail, ".rank%d", p->rank);
    const int n = snprintf(name, capacity, "%s/%s-%08lld%s", p->folder, fem_split_name(split), (long long)first, tail);
    FWM_CHECK(n > 0 && (size_t)n < capacity, FWM_IO, "%s: expected a shorter path", p->folder);
    return FWM_OK;
}

static fwm_status make_room(fwm_parts *p, size_t size)
{
    if (size <= p->capacity)
        return FWM_OK;
    fwm_free(p->buffer);
    p->capacity = 0;
    p->buffer = fwm_malloc(size, 1);
    FWM_CHECK(p->buffer, FWM_MEMORY, "simulate: out of memory for %d trajectories of %zu bytes", FWM_PART,
              size / FWM_PART);
    p->capacity = size;
    return FWM_OK;
}

/* ---- a trajectory as bytes: its sizes, then its arrays ---- */

typedef struct record_sizes {
    int64_t frames, height, width, nodes, coarse_nodes, components, actions, has_key, has_basin;
} record_sizes;

static record_sizes sizes_of(const fem_trajectory *t)
{
    return (record_sizes){t->frames,       t->height,     t->width,         t->nodes,
                          t->coarse_nodes, t->components, t->actions_count, t->key_state != NULL,
                          t->basin != NULL};
}

/* Offsets of the arrays within a trajectory's bytes, which begin with its sizes; the last is the end. */
static void lay_out(const record_sizes *z, int64_t offset[FIELDS + 1])
{
    const int64_t width[FIELDS] = {z->height * z->width * CHANNELS,
                                   z->nodes * z->components * 4,
                                   z->coarse_nodes * z->components * 4,
                                   z->actions * 4,
                                   z->has_key,
                                   z->has_basin};
    offset[0] = (int64_t)sizeof *z;
    for (int f = 0; f < FIELDS; f++)
        offset[f + 1] = (offset[f] + z->frames * width[f] + 7) / 8 * 8;
}

static void pack(unsigned char *to, const fem_trajectory *t)
{
    const record_sizes z = sizes_of(t);
    int64_t offset[FIELDS + 1];
    lay_out(&z, offset);
    const void *const from[FIELDS] = {t->frame, t->state, t->cheap, t->actions, t->key_state, t->basin};
    const int64_t bytes[FIELDS] = {z.frames * z.height * z.width * CHANNELS,
                                   z.frames * z.nodes * z.components * 4,
                                   z.frames * z.coarse_nodes * z.components * 4,
                                   z.frames * z.actions * 4,
                                   z.frames * z.has_key,
                                   z.frames * z.has_basin};
    memset(to, 0, (size_t)offset[FIELDS]);
    memcpy(to, &z, sizeof z);
    for (int f = 0; f < FIELDS; f++)
        if (bytes[f] > 0)
            memcpy(to + offset[f], from[f], (size_t)bytes[f]);
}

static fem_trajectory unpack(const unsigned char *from, const part_header *h, int64_t k, int64_t split_count)
{
    record_sizes z;
    int64_t offset[FIELDS + 1];
    memcpy(&z, from, sizeof z);
    lay_out(&z, offset);
    return (fem_trajectory){.split = (fem_split)h->split,
                            .index = h->first + k,
                            .count = split_count,
                            .frames = z.frames,
                            .height = z.height,
                            .width = z.width,
                            .nodes = z.nodes,
                            .coarse_nodes = z.coarse_nodes,
                            .components = z.components,
                            .actions_count = z.actions,
                            .frame = from + offset[0],
                            .state = (const float *)(const void *)(from + offset[1]),
                            .cheap = (const float *)(const void *)(from + offset[2]),
                            .actions = (const float *)(const void *)(from + offset[3]),
                            .key_state = z.has_key ? from + offset[4] : NULL,
                            .basin = z.has_basin ? (const int8_t *)(from + offset[5]) : NULL};
}

/* ---- writing ---- */

static fwm_status write_part(const fwm_parts *p, const part_header *h)
{
    char aside[4096], name[4096];
    FWM_TRY(name_part(p, (int)h->split, h->first, true, aside, sizeof aside));
    FWM_TRY(name_part(p, (int)h->split, h->first, false, name, sizeof name));
    const size_t size = sizeof *h + (size_t)(h->count * h->bytes);
    const uint64_t hash = XXH64(p->buffer, size, 0);
    memcpy(p->buffer + size, &hash, sizeof hash);
    FILE *f = fopen(aside, "wb");
    bool good = f != NULL && fwrite(p->buffer, 1, size + sizeof hash, f) == size + sizeof hash;
    good = (f == NULL || fclose(f) == 0) && good;
    FWM_CHECK(good && rename(aside, name) == 0, FWM_IO, "%s: cannot be written: %s", name, strerror(errno));
    return FWM_OK;
}

fwm_status fwm_parts_put(void *context, const fem_trajectory *t)
{
    fwm_parts *p = context;
    const record_sizes z = sizes_of(t);
    int64_t offset[FIELDS + 1];
    lay_out(&z, offset);
    const int64_t within = t->index % FWM_PART, left = t->count - (t->index - within);
    const part_header h = {.magic = MAGIC,
                           .split = (uint32_t)t->split,
                           .recipe = p->recipe,
                           .first = t->index - within,
                           .count = left < FWM_PART ? left : FWM_PART,
                           .bytes = offset[FIELDS]};
    FWM_TRY(make_room(p, sizeof h + (size_t)(FWM_PART * h.bytes) + sizeof(uint64_t)));
    memcpy(p->buffer, &h, sizeof h);
    pack(p->buffer + sizeof h + within * h.bytes, t);
    return within == h.count - 1 ? write_part(p, &h) : FWM_OK;
}

/* ---- reading ---- */

/* The whole of a file into the buffer; *size 0 where there is none, or it is not a file to be read. */
static fwm_status read_all(fwm_parts *p, const char *name, size_t *size)
{
    struct stat about;
    *size = 0;
    FILE *f = fopen(name, "rb");
    if (!f)
        return FWM_OK;
    fwm_status status = FWM_OK;
    if (fstat(fileno(f), &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0) {
        status = make_room(p, (size_t)about.st_size);
        if (status == FWM_OK && fread(p->buffer, 1, (size_t)about.st_size, f) == (size_t)about.st_size)
            *size = (size_t)about.st_size;
    }
    (void)fclose(f);
    return status;
}

fwm_status fwm_parts_find(fwm_parts *p, int64_t k, bool *found)
{
    fem_split split;
    int64_t first, count;
    char name[4096];
    size_t size;
    part_header h;
    uint64_t hash;
    *found = false;
    fwm_parts_range(p, k, &split, &first, &count);
    FWM_TRY(name_part(p, (int)split, first, false, name, sizeof name));
    FWM_TRY(read_all(p, name, &size));
    if (size < sizeof h + sizeof hash)
        return FWM_OK;
    memcpy(&h, p->buffer, sizeof h);
    memcpy(&hash, p->buffer + size - sizeof hash, sizeof hash);
    *found = h.magic == MAGIC && h.recipe == p->recipe && h.split == (uint32_t)split && h.first == first &&
             h.count == count && XXH64(p->buffer, size - sizeof hash, 0) == hash;
    return FWM_OK;
}

fwm_status fwm_parts_give(fwm_parts *p, fem_sink sink, void *context)
{
    part_header h;
    memcpy(&h, p->buffer, sizeof h);
    for (int64_t k = 0; k < h.count; k++) {
        const fem_trajectory t = unpack(p->buffer + sizeof h + k * h.bytes, &h, k, p->split_count[h.split]);
        FWM_TRY(sink(context, &t));
    }
    return FWM_OK;
}

void fwm_parts_remove(fwm_parts *p)
{
    for (int64_t k = 0; k < p->count; k++) {
        fem_split split;
        int64_t first, count;
        char name[4096];
        fwm_parts_range(p, k, &split, &first, &count);
        if (name_part(p, (int)split, first, false, name, sizeof name) == FWM_OK)
            (void)unlink(name);
    }
    (void)rmdir(p->folder);
}
