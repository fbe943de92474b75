/* Chunks as they lie in a file, made plain again: deflate, shuffle, Fletcher-32 and LZF, undone outside HDF5 and so by
 * any number of threads at once. Sources: HDF5 File Format Specification 3.0, IV.A.2.l; RFC 1950; data/lzf.h.
 *
 * A pipeline is as the dataset's creation properties list it; undoing goes from its last to its first. */
#ifndef FWM_DATA_FILTERS_H
#define FWM_DATA_FILTERS_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DS_FILTERS_MAX = 6 };

typedef enum ds_filter_id {
    DS_FILTER_DEFLATE = 1,
    DS_FILTER_SHUFFLE = 2,
    DS_FILTER_FLETCHER32 = 3,
    DS_FILTER_LZF = 32000
} ds_filter_id;

typedef struct ds_pipeline {
    int count;
    struct {
        int id;
        uint32_t value; /* shuffle: bytes of an element; LZF: bytes of a chunk */
    } filter[DS_FILTERS_MAX];
} ds_pipeline;

/* Whether all of its filters are undone here. */
bool ds_pipeline_known(const ds_pipeline *pipeline);

/* What one thread needs to undo filters: two buffers and an inflater. Zeroed is empty. */
typedef struct ds_undoer {
    uint8_t *buffer[2];
    size_t room[2];
    void *inflater;
    struct ds_undoer *next; /* of those at rest */
} ds_undoer;

/* Buffer `which` with room for `size` bytes; NULL when memory is out. */
uint8_t *ds_undoer_room(ds_undoer *undoer, int which, size_t size);
void ds_undoer_clear(ds_undoer *undoer);

/* Undoes the filters on the `stored` bytes in buffer 0, leaving out those whose bit is set in `skipped`. *out: `plain`
 * bytes, in one of the buffers. Errors: FWM_DATA (damaged; the message has no place), FWM_MEMORY. */
fwm_status ds_pipeline_undo(const ds_pipeline *pipeline, ds_undoer *undoer, size_t stored, uint32_t skipped,
                            size_t plain, const uint8_t **out) FWM_MUST_USE;

#endif
