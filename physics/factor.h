/* Sparse L D L^T of symmetric positive definite matrices whose pattern never changes, for solves with a lane of
 * right-hand sides at a time.
 *
 * Order by PETSc (nested dissection), pattern once (elimination tree: Liu 1986), numbers row by row (up-looking, Davis
 * 2006, ch. 4). Why not PETSc's own: its solves take one column at a time and one thread; the lane-batched triangular
 * solve reads the factor once for 8 or 16 samples (see physics/README.md for the measured ratio to CHOLMOD). */
#ifndef FWM_PHYSICS_FACTOR_H
#define FWM_PHYSICS_FACTOR_H

#include "physics/mesh_impl.h"

typedef struct fem_symbolic fem_symbolic;
typedef struct fem_factor fem_factor;

/* The pattern of element matrices over `fields` unknowns a node. */
fwm_status fem_symbolic_create(fem_symbolic **s, const fem_mesh *mesh, int fields) FWM_MUST_USE;
void fem_symbolic_destroy(fem_symbolic **s);
int64_t fem_symbolic_nonzeros(const fem_symbolic *s); /* of L, without the diagonal */

/* Room for one factor; the pattern must outlive it. */
fwm_status fem_factor_create(fem_factor **f, const fem_symbolic *s) FWM_MUST_USE;
void fem_factor_destroy(fem_factor **f);

/* Sums element matrices ke [n_cells][i][j] (symmetric) and factorises. Errors: FWM_NUMERIC naming the unknown where a
 * pivot is not positive; the factor is then unusable. */
fwm_status fem_factor_compute(fem_factor *f, const double *ke) FWM_MUST_USE;

/* What the solve kernel of that number type reads. */
const fem_triangles *fem_factor_triangles(const fem_factor *f, ad_dtype dtype);

#endif
