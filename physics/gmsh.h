/* Meshes from gmsh's .msh files, format 2.2 or 4.1, text or binary.
 *
 * The cells are the elements of the highest dimension; named physical groups of them become regions, those of one
 * dimension less boundaries (a group without a name is called by its number). Elements of no group are boundary "other"
 * and, where other cells have groups, region "other". Nodes that no cell uses are left out.
 *
 * Refused, by name: geometry of second order (save with Mesh.ElementOrder = 1: a space of degree 2 puts its own nodes
 * on straight edges), prisms and pyramids, cells of two kinds, a surface that is not in a plane z = constant, groups
 * inside the mesh, periodic and partitioned files.
 *
 * Format: gmsh's reference manual, "MSH file format" and its legacy version 2. */
#ifndef FWM_PHYSICS_GMSH_H
#define FWM_PHYSICS_GMSH_H

#include "physics/mesh.h"

/* `degree` 1 or 2: of the space on the file's cells (P on simplices, Q else). Errors: FWM_IO where the file cannot be
 * read; FWM_DATA with path and line (text) or byte (binary), or as fem_mesh_build. */
fwm_status fem_mesh_from_gmsh(fem_mesh **mesh, const char *path, int degree) FWM_MUST_USE;

#endif
