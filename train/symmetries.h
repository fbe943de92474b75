/* Which turned copies of a clip are as lawful as the clip: mirrors and quarter turns of the state's mesh.
 *
 * All that is seen turns together: nodes of the mesh and of the coarse mesh, vectors (fields of the equation that are
 * vectors; without an equation, channels NAME_x and NAME_y one after the other), actions (a source takes the power of
 * the one that lies where it is turned from), pixels. Channels called vorticity change their sign in a mirror. A
 * symmetry is refused, naming what breaks it, unless nodes and cells of both meshes come onto nodes and cells, sources
 * onto sources of the same kind, and the law knows no direction: no conditions on boundaries, no inclusions, no learned
 * field, no wind along an axis that turns. */
#ifndef TRAIN_SYMMETRIES_H
#define TRAIN_SYMMETRIES_H

#include "data/augment.h"
#include "train/law.h"

/* Fills augment from data.augment.*: with the symmetries asked for, and all that they make together, in the arena.
 * Errors: FWM_CONFIG (a symmetry that does not hold, naming why), FWM_MEMORY. */
fwm_status tr_symmetries(ds_augment *augment, fwm_arena *arena, const tr_config *config, const ds_dataset *ds,
                         const tr_law *law) FWM_MUST_USE;

#endif
