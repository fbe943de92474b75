/* Meshes between the solver (physics/) and files (data/). */
#ifndef FWM_TRAIN_MESH_DATA_H
#define FWM_TRAIN_MESH_DATA_H

#include "data/mesh.h"
#include "data/view.h"
#include "model/base/arena.h"
#include "physics/mesh.h"

#include <jansson.h>

/* The mesh as a dataset stores it, with its boundaries, regions and periodic sides; faces are grouped by name into the
 * arena, other arrays are those of `mesh`. */
fwm_status tr_mesh_to_data(ds_mesh *out, fwm_arena *arena, const fem_mesh *mesh) FWM_MUST_USE;

/* The mesh that a dataset holds at `place` (for messages: "/mesh"); `from` may be NULL. A named face that bounds no
 * cell is an error; faces without a name are "other" where any have one. Errors: FWM_DATA or as fem_mesh_build. */
fwm_status tr_mesh_from_data(fem_mesh **mesh, const ds_mesh *from, const char *path, const char *place) FWM_MUST_USE;

/* A sparse operator as views take it, copied into the arena. Errors: FWM_MEMORY. */
fwm_status tr_rows_keep(ds_rows *out, fwm_arena *arena, const fem_csr *csr) FWM_MUST_USE;

/* Whether a file begins as gmsh's do. */
bool tr_mesh_file_is(const char *path);
/* What the mesh of a gmsh file holds: cell, dimensions, counts, extent, measures of its regions, faces of its
 * boundaries. Errors: those of fem_mesh_from_gmsh. The caller owns *out. */
fwm_status tr_mesh_file_json(json_t **out, const char *path) FWM_MUST_USE;

#endif
