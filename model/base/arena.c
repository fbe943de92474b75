#include "model/base/arena.h"

#include "model/base/checked.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK_SIZE = 64 * 1024, ALIGNMENT = 16 };

typedef struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(16) unsigned char bytes[];
} chunk;

struct fwm_arena {
    chunk *head;
    size_t total;
};

static atomic_size_t allocation_count;

size_t fwm_allocation_count(void)
{
    return atomic_load(&allocation_count);
}

void *fwm_malloc(size_t n, size_t size)
{
    size_t bytes;
    if (!fwm_mul_size(n, size, &bytes))
        return NULL;
    atomic_fetch_add(&allocation_count, 1);
    return malloc(bytes > 0 ? bytes : 1);
}

void *fwm_calloc(size_t n, size_t size)
{
    atomic_fetch_add(&allocation_count, 1);
    return calloc(n > 0 ? n : 1, size > 0 ? size : 1);
}

void *fwm_realloc(void *ptr, size_t n, size_t size)
{
    size_t bytes;
    if (!fwm_mul_size(n, size, &bytes))
        return NULL;
    atomic_fetch_add(&allocation_count, 1);
    return realloc(ptr, bytes > 0 ? bytes : 1);
}

void fwm_free(void *ptr)
{
    free(ptr);
}

char *fwm_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = fwm_malloc(n, 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

fwm_arena *fwm_arena_create(void)
{
    return fwm_calloc(1, sizeof(fwm_arena));
}

void fwm_arena_destroy(fwm_arena *arena)
{
    if (!arena)
        return;
    for (chunk *c = arena->head; c;) {
        chunk *next = c->next;
        fwm_free(c);
        c = next;
    }
    fwm_free(arena);
}

void *fwm_arena_alloc(fwm_arena *arena, size_t size)
{
    size_t need;
    if (!fwm_align_size(size > 0 ? size : 1, ALIGNMENT, &need))
        return NULL;
    if (!arena->head || arena->head->size - arena->head->used < need) {
        size_t room = need > CHUNK_SIZE ? need : (size_t)CHUNK_SIZE;
        size_t bytes;
        if (!fwm_add_size(room, sizeof(chunk), &bytes))
            return NULL;
        chunk *c = fwm_calloc(1, bytes);
        if (!c)
            return NULL;
        c->size = room;
        c->next = arena->head;
        arena->head = c;
        arena->total += bytes;
    }
    void *ptr = arena->head->bytes + arena->head->used;
    arena->head->used += need;
    return ptr;
}

char *fwm_arena_strdup(fwm_arena *arena, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = fwm_arena_alloc(arena, n);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

size_t fwm_arena_memory(const fwm_arena *arena)
{
    return arena ? arena->total : 0;
}

fwm_status fwm_block_alloc(void **ptr, size_t size)
{
    *ptr = NULL;
    size_t bytes = size > 0 ? size : 1;
    atomic_fetch_add(&allocation_count, 1);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FWM_CHECK(p != MAP_FAILED, FWM_MEMORY, "cannot map %zu bytes: out of memory; lower the batch or clip length",
              bytes);
    enum { HUGE_PAGE = 2 * 1024 * 1024 };
    if (bytes >= 4 * (size_t)HUGE_PAGE)
        (void)madvise(p, bytes, MADV_HUGEPAGE);
    *ptr = p;
    return FWM_OK;
}

void fwm_block_free(void *ptr, size_t size)
{
    if (ptr)
        (void)munmap(ptr, size > 0 ? size : 1);
}
