/* What the room itself keeps of a mesh: tables for the sweep in both number types, the mass matrix, and PETSc's
 * objects; the shapes of cells. */
#ifndef FWM_PHYSICS_MESH_IMPL_H
#define FWM_PHYSICS_MESH_IMPL_H

#include "physics/kernel.h"

enum { FEM_TABLE_ARRAYS = 7, FEM_FACE_ARRAYS = 6, FEM_MAX_CELL_FACES = 6 };

typedef struct fem_mesh_impl {
    struct fem_petsc_mesh *petsc; /* see petsc.h */
    int n_points;
    int64_t n_merged;         /* vertices after merging */
    int32_t *merged;          /* [n_vertices] vertex of the topology; NULL: the vertex itself */
    fem_tables tables[2];     /* by ad_dtype */
    fem_face_tables faces[2]; /* by ad_dtype */
    void *owned[2][FEM_TABLE_ARRAYS];
    void *owned_faces[2][FEM_FACE_ARRAYS];
    int local_face_nodes[FEM_MAX_CELL_FACES][FEM_MAX_FACE_NODES]; /* a cell's nodes on each of its faces */
    int node_place[FEM_MAX_CELL_NODES];                           /* the place of the shape where each node lies */
    double *cell_size;
    fem_csr *mass; /* consistent mass matrix [L^dim], whose pattern is that of every operator of one field */
} fem_mesh_impl;

/* A kind of cell. Reference cells are PETSc's: the triangle (-1,-1) (1,-1) (-1,1), the square [-1,1]^2, the tetrahedron
 * of corner (-1,-1,-1) and edges 2, the cube [-1,1]^3. */
typedef struct fem_cell_shape {
    const char *name;
    bool simplex;
    int dim, vertices, faces, face_vertices;
    double corner[FEM_MAX_CELL_VERTICES][FEM_MAX_DIM]; /* reference coordinates of the vertices */
    int petsc[FEM_MAX_CELL_VERTICES];                  /* PETSc's k-th vertex is ours of this number */
    int face[FEM_MAX_CELL_FACES][4];                   /* vertices of each face, in the order of PETSc's cone */
    int turned[FEM_MAX_CELL_VERTICES];                 /* the order that turns a mirrored cell */
    /* Where nodes of degree 2 lie: the means of the vertices whose bits are set, vertices first, then edges, faces and
     * the centre where the tensor product has them. */
    int places;
    uint8_t mean[FEM_MAX_CELL_NODES];
} fem_cell_shape;

/* An element: its cell, and the sizes that form.h compiles in. */
typedef struct fem_element_sizes {
    const fem_cell_shape *shape;
    const char *space;
    int nodes, points, degree, face_nodes, face_points;
} fem_element_sizes;
extern const fem_element_sizes fem_element_table[FEM_ELEMENT_COUNT];

static inline const fem_cell_shape *fem_shape(const fem_mesh *mesh)
{
    return fem_element_table[mesh->element].shape;
}

/* ---- mesh_cell.c ---- */

/* Values [vertices] and slopes [vertices,dim] along reference axes of the functions that map a reference cell. */
void fem_vertex_functions(const fem_cell_shape *shape, const double *reference, double *value, double *slope);

/* The map of the cell's vertices at a reference point: x [dim] and its Jacobian dx_e/dxi_d at [e*dim+d] (may be NULL).
 */
void fem_cell_map(const fem_mesh *mesh, int64_t cell, const double *reference, double *x, double *jacobian);

/* The reference point of x in a cell: false where x lies outside (by more than `slack` in reference units) or the map
 * cannot be inverted there. */
bool fem_cell_inverse(const fem_mesh *mesh, int64_t cell, const double *x, double slack, double *reference);

/* Determinant of j [dim,dim]; its inverse, d xi_d/d x_e at [d*dim+e], unless the determinant is 0 (may be NULL). */
double fem_invert(int dim, const double *j, double *inverse);

/* What a face's own coordinates refer to: the segment [-1,1], the reference triangle or square. */
const fem_cell_shape *fem_face_shape(const fem_cell_shape *shape);
/* The reference point of the cell that is the point `on_face` [dim-1] of one of its faces. */
void fem_face_point(const fem_cell_shape *shape, int face, const double *on_face, double *reference);
/* At that point: x [dim], the cell's Jacobian [dim,dim], the outward normal of length 1. Returns the face's measure for
 * one of the reference face (0: no normal). */
double fem_face_normal(const fem_mesh *mesh, int64_t cell, int face, const double *on_face, double *x, double *jacobian,
                       double *normal);

/* ---- mesh_build.c, mesh_tables.c, mesh_faces.c: parts of making a mesh, in this order ---- */

fwm_status fem_build_cells(fem_mesh *mesh) FWM_MUST_USE; /* measures and orientation */
fwm_status fem_build_space(fem_mesh *mesh) FWM_MUST_USE; /* PETSc's objects, nodes */
fwm_status fem_build_faces(fem_mesh *mesh) FWM_MUST_USE; /* faces and pairs, without labels of files */
fwm_status fem_label_faces(fem_mesh *mesh, int n, const fem_named_faces *named) FWM_MUST_USE;
/* Fills impl's tables, the mass matrix and the lumped mass, once space and nodes stand. */
fwm_status fem_tables_create(fem_mesh *mesh) FWM_MUST_USE;
/* impl's tables of the boundary faces. */
fwm_status fem_face_tables_create(fem_mesh *mesh) FWM_MUST_USE;

/* Values (and derivatives along reference axes when derivative is not NULL) of the element's functions at reference
 * points [m,dim]: value [m,nodes], derivative [m,nodes,dim]. */
fwm_status fem_tabulate(const fem_mesh *mesh, int64_t m, const double *reference, double *value,
                        double *derivative) FWM_MUST_USE;

/* A copy of n doubles in a number type; NULL on failure. */
void *fem_copy_as(ad_dtype dtype, const double *x, int64_t n);

/* A fill-reducing order of a symmetric pattern: order[k] is the unknown eliminated k-th. */
fwm_status fem_order(int64_t n, const int64_t *row_start, const int32_t *column, int32_t *order) FWM_MUST_USE;

/* An empty matrix with room; NULL on failure. */
fem_csr *fem_csr_new(int64_t rows, int64_t cols, int64_t nnz);

/* ---- operators.c ---- */

fwm_status fem_check_picture(int64_t kh, int64_t kw) FWM_MUST_USE;
/* fem_sample for pictures whose axes are those of the mesh's given here, of the box from lower [2] to upper [2]. */
fwm_status fem_sample_box(fem_csr **out, const fem_mesh *mesh, const int axes[2], const double *lower,
                          const double *upper, int64_t kh, int64_t kw) FWM_MUST_USE;

#endif
