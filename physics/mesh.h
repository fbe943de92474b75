/* Meshes, nodal spaces, and the constant sparse operators that join nodes to pictures and to other meshes.
 *
 * PETSc builds them (DMPlex, PetscFE, PetscSection); what is kept is plain arrays, read-only to callers. Node k of a
 * field [B,n,c] is at nodes[dim*k]. Lengths are in the problem's own unit [L].
 *
 * Order of vertices within a cell: triangles and quadrilaterals counter-clockwise; a tetrahedron's last vertex lies on
 * the side from which the first three turn counter-clockwise inwards, (v1-v0) x (v2-v0) . (v3-v0) > 0; a hexahedron's
 * bottom counter-clockwise from above, then its top over it (VTK's and gmsh's orders). A face turns counter-clockwise
 * seen from outside; its nodes are its vertices, the middles of its edges in the same turn, its centre.
 *
 * Periodic meshes: vertices and cells are the geometry, not wrapped; nodes are merged across the periodic sides, which
 * are no boundary. Without periodicity the nodes of P1 and Q1 are the vertices in the same order; a box numbers
 * vertices along x, then y, then z from its lower corner.
 *
 * Owner: the caller destroys meshes and operators; a problem keeps a pointer to its mesh, which must outlive it.
 * Cost: 20 ms for 64x64 cells, once. */
#ifndef FWM_PHYSICS_MESH_H
#define FWM_PHYSICS_MESH_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Starts MPI and PETSc once for the process (later calls do nothing): without signal handlers, resource files or
 * printed errors. Called by whatever needs it, so commands that never make a mesh never pay for it (about 60 ms without
 * a launcher). MPI is left alone where the caller has started it. One thread at a time. Errors: FWM_LIBRARY. */
fwm_status fem_init(void) FWM_MUST_USE;
/* Ends what fem_init started; all meshes and problems are destroyed before. Allowed without fem_init. MPI cannot start
 * twice in one process, so this is for the end of a program. */
void fem_finalize(void);

typedef enum fem_element {
    FEM_P1,
    FEM_Q1,
    FEM_P2,
    FEM_Q2,
    FEM_TET_P1,
    FEM_HEX_Q1,
    FEM_TET_P2,
    FEM_HEX_Q2,
    FEM_ELEMENT_COUNT
} fem_element;
enum { FEM_MAX_DIM = 3, FEM_MAX_CELL_VERTICES = 8, FEM_MAX_CELL_NODES = 27, FEM_MAX_FACE_NODES = 9 };

/* "triangle" and "P1" give FEM_P1, "tetrahedron" and "P1" FEM_TET_P1; no cell: the plane one. Errors: FWM_INVALID,
 * naming the choices. */
fwm_status fem_element_parse(const char *cell, const char *space, fem_element *element) FWM_MUST_USE;
const char *fem_element_cell(fem_element element);  /* "triangle", "quadrilateral", "tetrahedron", "hexahedron" */
const char *fem_element_space(fem_element element); /* "P1", "Q1", "P2", "Q2" */
int fem_element_dim(fem_element element);

typedef struct fem_mesh_spec {
    fem_element element;
    int64_t nx, ny;             /* cells along each edge; simplices cut each along the same diagonal: meshes nest */
    double lx, ly;              /* edges of the box [0,lx] x [0,ly] (x [0,lz]) [L] */
    int64_t nz;                 /* for cells in space only */
    double lz;                  /* likewise */
    bool periodic[FEM_MAX_DIM]; /* axes whose two sides are one; at least 3 cells along them */
} fem_mesh_spec;

/* Labels that every mesh has; more are named by meshes from files. Left and right bound x, bottom and top y, front
 * (lower) and back (upper) z. */
enum {
    FEM_BOUNDARY_OTHER,
    FEM_BOUNDARY_LEFT,
    FEM_BOUNDARY_RIGHT,
    FEM_BOUNDARY_BOTTOM,
    FEM_BOUNDARY_TOP,
    FEM_BOUNDARY_FRONT,
    FEM_BOUNDARY_BACK,
    FEM_BOUNDARY_COUNT
};
enum { FEM_MAX_NAMES = 64, FEM_NAME_BYTES = 64 };

typedef struct fem_mesh {
    fem_element element;
    int dim; /* 2 or 3 */
    int64_t n_vertices, n_cells, n_nodes, n_faces, n_pairs;
    int cell_vertices, cell_node_count;            /* 3, 4, 8; 3 to 27 */
    int face_vertices, face_node_count;            /* 2, 3, 4; 2 to 9 */
    double lower[FEM_MAX_DIM], upper[FEM_MAX_DIM]; /* the box that holds it [L] */
    bool periodic[FEM_MAX_DIM];
    double area;         /* its measure [L^dim] */
    double *vertices;    /* [n_vertices,dim] */
    int32_t *cells;      /* [n_cells,cell_vertices] */
    int32_t *merge;      /* [n_vertices] in a periodic mesh, the vertex whose node each shares; else NULL */
    double *nodes;       /* [n_nodes,dim] */
    int32_t *cell_nodes; /* [n_cells,cell_node_count], in the order of PETSc's closure */

    int32_t *faces;                      /* [n_faces,face_vertices] boundary faces as vertices */
    int32_t *face_nodes;                 /* [n_faces,face_node_count] the same as nodes */
    int32_t *face_cell;                  /* [n_faces] the cell it bounds */
    int32_t *face_local;                 /* [n_faces] which of that cell's faces */
    int32_t *face_label;                 /* [n_faces] FEM_BOUNDARY_* or a label of the mesh's own */
    int n_labels;                        /* at least FEM_BOUNDARY_COUNT */
    char (*label_name)[FEM_NAME_BYTES];  /* [n_labels] */
    int n_regions;                       /* at least 1 */
    char (*region_name)[FEM_NAME_BYTES]; /* [n_regions]; "all" where nobody named any */
    int32_t *cell_region;                /* [n_cells] */

    double *lumped;      /* [n_nodes] lumped mass [L^dim]; all positive, sums to area */
    double *cell_area;   /* [n_cells] measure [L^dim] */
    double *centroid;    /* [n_cells,dim] mean of the vertices */
    int32_t *pair;       /* [n_pairs,2] cells that share a face (an edge in the plane) */
    double *pair_length; /* [n_pairs] measure of that face [L^(dim-1)] */
    struct fem_mesh_impl *impl;
} fem_mesh;

/* A box. Errors: FWM_INVALID for counts outside 1..4096 (512 in space; under 3 along a periodic axis) or lengths that
 * are not positive and finite. */
fwm_status fem_mesh_create(fem_mesh **mesh, const fem_mesh_spec *spec) FWM_MUST_USE;

/* Faces that carry a name: [count,face_vertices] vertices in any order. */
typedef struct fem_named_faces {
    const char *name;
    int64_t count;
    const int32_t *faces;
} fem_named_faces;

/* A mesh in arrays, as files and datasets keep it. */
typedef struct fem_mesh_arrays {
    fem_element element;
    int64_t n_vertices, n_cells;
    const double *vertices; /* [n_vertices,dim] */
    const int32_t *cells;   /* [n_cells,cell_vertices]; cells that turn the other way are turned */
    const int32_t *merge;   /* [n_vertices] a vertex that this one is the same node as (itself where none); or NULL */
    int n_boundaries;       /* 0: faces in the sides of the mesh's box take their labels */
    const fem_named_faces *boundary;
    int n_regions; /* 0: one, "all" */
    const char *const *region_name;
    const int32_t *cell_region; /* [n_cells] */
} fem_mesh_arrays;

/* Errors: FWM_DATA, naming the cell, vertex or boundary: indices out of range, a vertex twice in a cell or in none,
 * cells without area or folded over, cells that overlap across a face, more than two cells at a face, a named face that
 * bounds nothing; FWM_INVALID for counts and names out of range. */
fwm_status fem_mesh_build(fem_mesh **mesh, const fem_mesh_arrays *arrays) FWM_MUST_USE;
/* The same for vertices and cells alone. */
fwm_status fem_mesh_from_arrays(fem_mesh **mesh, fem_element element, int64_t n_vertices, const double *vertices,
                                int64_t n_cells, const int32_t *cells) FWM_MUST_USE;
void fem_mesh_destroy(fem_mesh **mesh);

/* The label (region) of a name. Errors: FWM_INVALID, listing the labels that have faces (the regions). */
fwm_status fem_mesh_label(const fem_mesh *mesh, const char *name, int *label) FWM_MUST_USE;
fwm_status fem_mesh_region(const fem_mesh *mesh, const char *name, int *region) FWM_MUST_USE;

/* ---- constant sparse operators ---- */

/* Compressed rows; what ad_sparse_create takes. Columns rise within a row. */
typedef struct fem_csr {
    int64_t rows, cols, nnz;
    int64_t *row_start; /* [rows+1] */
    int32_t *column;    /* [nnz] */
    double *weight;     /* [nnz] */
} fem_csr;
void fem_csr_destroy(fem_csr **m);
/* y = M x for one field, x [cols], y [rows]; a plain loop, for set-up and tests. */
void fem_csr_apply(const fem_csr *m, const double *x, double *y);

/* Values (axis -1) or derivatives along axis 0, 1 (2 in space) [1/L] of a field at points [m,dim]: rows of points
 * outside the mesh are empty. On faces that cells share, the cell of lowest index answers. `found` [m] may be NULL. */
fwm_status fem_evaluate(fem_csr **out, const fem_mesh *mesh, int64_t m, const double *points, int axis,
                        bool *found) FWM_MUST_USE;

/* nodes -> pixels [kh*kw]: row 0 on top, pixel (i,j) at (lower_x + (j+1/2) lx/kw, upper_y - (i+1/2) ly/kh) of the box
 * that holds the mesh; in space of the slice halfway along z. Zero rows outside. `mask` [kh*kw], 1 inside and 0
 * outside, may be NULL. */
fwm_status fem_render(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, double *mask) FWM_MUST_USE;
/* As above for the slice at z [L], values (axis -1) or derivatives. */
fwm_status fem_render_slice(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, double z, int axis,
                            double *mask) FWM_MUST_USE;
/* As fem_render for the derivative along an axis [1/L]. */
fwm_status fem_render_gradient(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, int axis) FWM_MUST_USE;
/* pixels [kh*kw] -> nodes, bilinear between pixel centres, clamped at the picture's edge: rows sum to 1. In space every
 * z takes the same picture. */
fwm_status fem_sample(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw) FWM_MUST_USE;
/* nodes of `from` -> nodes of `to`: the value of the field at each node. A fine mesh's field to a coarse mesh is the
 * same call. Errors: FWM_INVALID where a node of `to` lies outside `from`. */
fwm_status fem_prolong(fem_csr **out, const fem_mesh *from, const fem_mesh *to) FWM_MUST_USE;

#endif
