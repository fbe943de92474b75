/* Sparse direct factors of matrices whose pattern never changes, for solves with a lane of right-hand sides at a time:
 * L D L^T of symmetric positive definite matrices, L D U of general ones on the same symmetric pattern.
 *
 * Order by PETSc (nested dissection of the nodes), pattern once (elimination tree: Liu 1986), numbers row by row
 * (up-looking, Davis 2006, ch. 4). No pivoting: a constraint's unknowns (multipliers) are eliminated after all of their
 * neighbours, which gives them a pivot; a pivot that vanishes is an error, and every new factor answers a known solve.
 * Why not PETSc's own: its solves take one column at a time and one thread; the lane-batched triangular solve reads the
 * factor once for 8 or 16 samples (see physics/README.md for the measured ratio to CHOLMOD). */
#ifndef FWM_PHYSICS_FACTOR_H
#define FWM_PHYSICS_FACTOR_H

#include "physics/mesh_impl.h"

typedef struct fem_symbolic fem_symbolic;
typedef struct fem_factor fem_factor;

/* Of the matrices over `components` unknowns a node: which of them are not free (rows and columns of the identity),
 * which components are eliminated late, and whether components are coupled. */
typedef struct fem_pattern {
    int components;
    const uint8_t *held; /* [n_nodes*components] not 0: not free; NULL: all are */
    const bool *late;    /* [components]; NULL: none */
    bool apart;          /* true: components are not coupled */
} fem_pattern;
fwm_status fem_symbolic_create(fem_symbolic **s, const fem_mesh *mesh, const fem_pattern *pattern) FWM_MUST_USE;
void fem_symbolic_destroy(fem_symbolic **s);
int64_t fem_symbolic_nonzeros(const fem_symbolic *s); /* of L, without the diagonal */

/* Room for one factor; the pattern must outlive it. */
fwm_status fem_factor_create(fem_factor **f, const fem_symbolic *s, fem_matrix_kind kind) FWM_MUST_USE;
void fem_factor_destroy(fem_factor **f);

/* Sums element matrices ke [n_cells][i][j] (symmetric where the factor is definite) and factorises. Errors: FWM_NUMERIC
 * naming the unknown where a pivot is not positive, or zero, or not finite; the factor is then unusable. */
fwm_status fem_factor_compute(fem_factor *f, const double *ke) FWM_MUST_USE;

/* What the solve kernel of that number type reads: for A, and for its transpose. */
const fem_triangles *fem_factor_triangles(const fem_factor *f, ad_dtype dtype);
const fem_triangles *fem_factor_transposed(const fem_factor *f, ad_dtype dtype);

/* ---- one matrix a lane, in double ---- */

typedef struct fem_lane_factor fem_lane_factor;
fwm_status fem_lane_factor_create(fem_lane_factor **f, const fem_symbolic *s, fem_matrix_kind kind,
                                  const fem_lane_kernels *lane) FWM_MUST_USE;
void fem_lane_factor_destroy(fem_lane_factor **f);
void fem_lane_factor_clear(fem_lane_factor *f);
/* Adds row `test` of every cell's matrix: rows [n_cells][dofs][lanes]. */
void fem_lane_factor_add(fem_lane_factor *f, int test, const double *rows);
/* unknown[l]: where lane l has no pivot, -1 where all is well. */
void fem_lane_factor_compute(fem_lane_factor *f, int32_t unknown[FEM_MAX_LANES]);
/* x = A^-1 b or A^-T b; x may be b. */
void fem_lane_factor_solve(fem_lane_factor *f, void *x, const void *b, bool transposed);

#endif
