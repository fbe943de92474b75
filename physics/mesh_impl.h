/* What the room itself keeps of a mesh: tables for the sweep in both number types, the mass matrix, and PETSc's
 * objects. */
#ifndef FWM_PHYSICS_MESH_IMPL_H
#define FWM_PHYSICS_MESH_IMPL_H

#include "physics/kernel.h"

typedef struct fem_mesh_impl {
    struct fem_petsc_mesh *petsc; /* see petsc.h */
    int n_points;
    fem_tables tables[2]; /* by ad_dtype */
    void *owned[2][6];    /* their arrays */
    double *cell_size;
    fem_csr *mass; /* consistent mass matrix [L^2], whose pattern is that of every operator of one field */
} fem_mesh_impl;

/* Nodes, points and degree of an element: the sizes that form.h compiles in. */
typedef struct fem_element_sizes {
    const char *cell, *space;
    int cell_vertices, nodes, points, degree;
} fem_element_sizes;
extern const fem_element_sizes fem_element_table[FEM_ELEMENT_COUNT];

/* Fills impl's tables, the mass matrix and the lumped mass, once space and nodes stand. */
fwm_status fem_tables_create(fem_mesh *mesh) FWM_MUST_USE;

/* Values (and derivatives along reference axes when derivative is not NULL) of the element's functions at reference
 * points [m,2]: value [m,nodes], derivative [m,nodes,2]. */
fwm_status fem_tabulate(const fem_mesh *mesh, int64_t m, const double *reference, double *value,
                        double *derivative) FWM_MUST_USE;

/* The map of the cell's vertices at a reference point: x [2] and its Jacobian dx_e/dxi_d at [e*2+d] (may be NULL).
 * Reference cells are PETSc's: the triangle (-1,-1) (1,-1) (-1,1), the square [-1,1]^2. */
void fem_cell_map(const fem_mesh *mesh, int64_t cell, const double reference[FEM_DIM], double x[FEM_DIM],
                  double *jacobian);

/* The reference point of x in a cell: false where x lies outside (by more than `slack` in reference units) or the map
 * cannot be inverted there. */
bool fem_cell_inverse(const fem_mesh *mesh, int64_t cell, const double x[FEM_DIM], double slack,
                      double reference[FEM_DIM]);

/* A fill-reducing order of a symmetric pattern: order[k] is the unknown eliminated k-th. */
fwm_status fem_order(int64_t n, const int64_t *row_start, const int32_t *column, int32_t *order) FWM_MUST_USE;

/* An empty matrix with room; NULL on failure. */
fem_csr *fem_csr_new(int64_t rows, int64_t cols, int64_t nnz);

#endif
