/* Finished trajectories on disk until the dataset is whole: a folder PATH.parts with one file for each PART
 * trajectories of a split.
 *
 * A part is a header (magic, hash of the recipe and of the program's version, split, first, count, bytes of a
 * trajectory), the trajectories, and the XXH64 of all that. It is written aside and renamed, so that a part that is
 * there is whole; one of another recipe, cut or damaged counts as not there and is made again. */
#ifndef TOOLS_SIMULATION_PARTS_H
#define TOOLS_SIMULATION_PARTS_H

#include "physics/simulate.h"

enum { FWM_PART = 8 }; /* trajectories: small enough to lose, large enough to fill lanes and threads */

typedef struct fwm_parts fwm_parts;

/* Makes the folder where it is not there. `rank` distinguishes the files written aside. Errors: FWM_IO, FWM_MEMORY. */
fwm_status fwm_parts_open(fwm_parts **parts, const char *path, const char *recipe, const fem_simulate_spec *spec,
                          int rank) FWM_MUST_USE;
void fwm_parts_close(fwm_parts **parts);

int64_t fwm_parts_count(const fwm_parts *parts);
/* Trajectories of part k, in order of split and index. */
void fwm_parts_range(const fwm_parts *parts, int64_t k, fem_split *split, int64_t *first, int64_t *count);

/* Is part k there, whole and of this recipe? It is then kept in memory until another one is asked for. Errors:
 * FWM_MEMORY. */
fwm_status fwm_parts_find(fwm_parts *parts, int64_t k, bool *found) FWM_MUST_USE;

/* A fem_sink that writes a part when its last trajectory has come; `parts` is an fwm_parts. Trajectories of a part come
 * in order. Errors: FWM_IO, FWM_MEMORY. */
fwm_status fwm_parts_put(void *parts, const fem_trajectory *trajectory) FWM_MUST_USE;

/* Hands the part that was found last to a sink, trajectory by trajectory. */
fwm_status fwm_parts_give(fwm_parts *parts, fem_sink sink, void *context) FWM_MUST_USE;

/* Removes all parts, of whatever recipe, and the folder where nothing else is in it. */
void fwm_parts_remove(fwm_parts *parts);

#endif
