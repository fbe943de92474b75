/* Hierarchies: uniform refinement, and fields between the levels.
 *
 * A coarse field on the fine mesh is fem_prolong (mesh.h), exact for nested meshes; a fine field on a coarse one by
 * node values is fem_prolong the other way, nested or not. Here: restriction as the weighted transpose of a
 * prolongation, and the L2 projection. */
#ifndef FWM_PHYSICS_REFINE_H
#define FWM_PHYSICS_REFINE_H

#include "physics/mesh.h"

/* Cuts every edge in two: triangles, quadrilaterals into 4, tetrahedra (the inner octahedron along its shortest
 * diagonal) and hexahedra into 8. Names of boundaries and regions, and periodic sides, are kept; curved boundaries are
 * not known and stay the polygons they are. Vertices of the coarse mesh keep their numbers. Errors: FWM_OVERFLOW where
 * the fine mesh is too large. Source: Bey 1995 (tetrahedra). */
fwm_status fem_mesh_refine(fem_mesh **fine, const fem_mesh *coarse) FWM_MUST_USE;

/* nodes of `fine` -> nodes of the coarse mesh that `prolong` [fine nodes, coarse nodes] comes from:
 *     R = S^-1 |P|^T m,  m the fine lumped mass, S the diagonal that makes rows sum to 1.
 * A local average: constants stay constants; with S as weights, degree 1 keeps the integral. (Functions of degree 2
 * have negative parts, and at vertices integrals of 0: hence the absolute values.) */
fwm_status fem_restrict(fem_csr **out, const fem_mesh *fine, const fem_csr *prolong) FWM_MUST_USE;

/* y [coarse nodes] = M^-1 P^T M_f x, the field of the coarse space nearest to x [fine nodes] in L2, by conjugate
 * gradients to 1e-13 of the right-hand side; on nested meshes it undoes prolongation. The transpose is the adjoint: y
 * [fine nodes] = M_f P M^-1 x. Errors: FWM_NUMERIC where it does not converge (500 iterations). */
fwm_status fem_project(double *y, const double *x, const fem_mesh *coarse, const fem_mesh *fine,
                       const fem_csr *prolong) FWM_MUST_USE;
fwm_status fem_project_transpose(double *y, const double *x, const fem_mesh *coarse, const fem_mesh *fine,
                                 const fem_csr *prolong) FWM_MUST_USE;

#endif
