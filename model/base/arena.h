/* Memory: bump arenas for many small things with one lifetime, and page-aligned blocks for numbers.
 *
 * Three lifetimes, three owners: a graph's arena (nodes, shapes, names), a plan's block (parameters,
 * gradients, workspace) and a step, which allocates nothing. */
#ifndef FWM_BASE_ARENA_H
#define FWM_BASE_ARENA_H

#include "model/base/status.h"

typedef struct fwm_arena fwm_arena;

/* An empty arena; NULL when memory is out. Destroying NULL is allowed. */
fwm_arena *fwm_arena_create(void);
void fwm_arena_destroy(fwm_arena *arena);

/* `size` zeroed bytes aligned to 16, alive until the arena dies; NULL when memory is out. */
void *fwm_arena_alloc(fwm_arena *arena, size_t size);

/* A copy of a string; NULL when memory is out. */
char *fwm_arena_strdup(fwm_arena *arena, const char *text);

/* Bytes taken from the system. */
size_t fwm_arena_memory(const fwm_arena *arena);

/* One zeroed mapping of at least `size` bytes, aligned to 64 (to huge pages where large). Pages are touched
 * by the caller's first write. `size` 0 gives a valid pointer. Free with fwm_block_free(ptr, size). */
fwm_status fwm_block_alloc(void **ptr, size_t size) FWM_MUST_USE;
void fwm_block_free(void *ptr, size_t size);

/* How often the library asked the system for memory in this process (arenas, blocks and fwm_malloc): a test holds
 * that training steps after the first do not change it. */
size_t fwm_allocation_count(void);

/* malloc, calloc, realloc, free with checked products and the count above. NULL when out of memory or on overflow. */
void *fwm_malloc(size_t n, size_t size);
void *fwm_calloc(size_t n, size_t size);
void *fwm_realloc(void *ptr, size_t n, size_t size);
void fwm_free(void *ptr);
char *fwm_strdup(const char *text);

#endif
