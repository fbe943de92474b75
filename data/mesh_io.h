/* Meshes to and from the native layout's groups (/mesh, /coarse_mesh). The HDF5 lock is held by the caller. */
#ifndef FWM_DATA_MESH_IO_H
#define FWM_DATA_MESH_IO_H

#include "data/grid.h"
#include "data/h5write.h"
#include "data/mesh.h"

/* FWM_INVALID, saying which part, unless cell type, space, extents and every index agree and
 * coordinates are finite. */
fwm_status ds_mesh_check(const ds_mesh *mesh) FWM_MUST_USE;

/* Reads and checks the mesh at `group` into the arena; *out is NULL where there is no such group. */
fwm_status ds_mesh_read(const ds_h5 *file, const char *group, fwm_arena *arena, const ds_mesh **out) FWM_MUST_USE;

fwm_status ds_mesh_write(const ds_h5_sink *sink, const char *group, const ds_mesh *mesh) FWM_MUST_USE;

/* The same for grids: names of the axes, points and coordinates of each, what holds at its two ends. Conditions over
 * parts of the grid are not kept. *out is NULL where there is no such group. */
fwm_status ds_grid_read(const ds_h5 *file, const char *group, fwm_arena *arena, const ds_grid **out) FWM_MUST_USE;
fwm_status ds_grid_write(const ds_h5_sink *sink, const char *group, const ds_grid *grid) FWM_MUST_USE;

#endif
