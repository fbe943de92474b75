/* Where the chunks of an array lie, read from the file's own index at once.
 *
 * HDF5 1.10 answers for one chunk at a time and goes through its whole index for each. Here the index is found through
 * the array's object header and walked once, by positioned reads, without the library and so without its lock.
 * Understood are the indices that HDF5 uses for arrays of fixed extents (version 1 B-trees, fixed arrays, implicit,
 * single chunks) and B-trees of growing ones; for others (extensible arrays, version 2 B-trees) the caller asks HDF5.
 * Nothing that the file says is believed: addresses, counts and levels are checked, so that a damaged index is an error
 * or a chunk elsewhere, never a crash or an endless walk. Source: HDF5 File Format Specification 3.0, III.A, IV.A.2.i,
 * VII.A to VII.C. */
#ifndef FWM_DATA_CHUNKS_H
#define FWM_DATA_CHUNKS_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct ds_h5;

typedef struct ds_chunk {
    int64_t address; /* in the file; 0: never written */
    uint32_t size;   /* bytes as stored */
    uint32_t mask;   /* bit i: filter i was left out */
} ds_chunk;

typedef enum ds_index_kind {
    DS_INDEX_NONE,
    DS_INDEX_TREE,
    DS_INDEX_FIXED,
    DS_INDEX_IMPLICIT,
    DS_INDEX_ONE
} ds_index_kind;

typedef struct ds_index {
    ds_index_kind kind;
    uint64_t address; /* as HDF5 counts; all bits set: no chunk was ever written */
    ds_chunk one;     /* of DS_INDEX_ONE, address aside */
} ds_index;

/* Finds the index of the chunked array whose object header is at `header`. index->kind is DS_INDEX_NONE where it is of
 * a kind that is not understood. Errors: FWM_IO, FWM_DATA (its message does not name the array). */
fwm_status ds_index_find(const struct ds_h5 *file, uint64_t header, int rank, ds_index *index) FWM_MUST_USE;

/* Fills table[product of grid] from the index: chunk (i0, i1, ...) of the grid is element (i0 grid[1] + i1) ... .
 * `most` are the chunks along each axis at its largest extent, `chunk` the extents of one, `bytes` what it takes before
 * filters. Errors: as above. */
fwm_status ds_index_read(const struct ds_h5 *file, const ds_index *index, int rank, const int64_t *chunk,
                         const int64_t *grid, const int64_t *most, bool filtered, uint32_t bytes,
                         ds_chunk *table) FWM_MUST_USE;

#endif
