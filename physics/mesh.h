/* Meshes, nodal spaces, and the constant sparse operators that join nodes to pictures and to other meshes.
 *
 * PETSc builds them (DMPlex, PetscFE, PetscSection); what is kept is plain arrays, read-only to callers. Node k of a
 * field [B,n,c] is at nodes[2k]. For P1 and Q1 the nodes are the vertices in the same order; a box mesh numbers
 * vertices row by row from the lower left corner. Cells turn counter-clockwise. Lengths are in the problem's own unit
 * [L].
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

typedef enum fem_element { FEM_P1, FEM_Q1, FEM_P2, FEM_Q2, FEM_ELEMENT_COUNT } fem_element;
enum { FEM_DIM = 2, FEM_MAX_CELL_NODES = 9 };

/* "triangle" and "P1" give FEM_P1; the cell may be NULL. Errors: FWM_INVALID, naming the choices. */
fwm_status fem_element_parse(const char *cell, const char *space, fem_element *element) FWM_MUST_USE;
const char *fem_element_cell(fem_element element);  /* "triangle" or "quadrilateral" */
const char *fem_element_space(fem_element element); /* "P1", ... */

typedef struct fem_mesh_spec {
    fem_element element;
    int64_t nx,
        ny;        /* cells along each edge; a triangle mesh cuts each in two along the same diagonal, so meshes nest */
    double lx, ly; /* edges of the box [0,lx] x [0,ly] [L] */
} fem_mesh_spec;

enum {
    FEM_BOUNDARY_OTHER,
    FEM_BOUNDARY_LEFT,
    FEM_BOUNDARY_RIGHT,
    FEM_BOUNDARY_BOTTOM,
    FEM_BOUNDARY_TOP,
    FEM_BOUNDARY_COUNT
};
const char *fem_boundary_name(int label); /* "left", ... */

typedef struct fem_mesh {
    fem_element element;
    int64_t n_vertices, n_cells, n_nodes, n_faces, n_pairs;
    int cell_vertices, cell_node_count;    /* 3 or 4; 3, 4, 6 or 9 */
    double lower[FEM_DIM], upper[FEM_DIM]; /* the box that holds it [L] */
    double area;                           /* [L^2] */
    double *vertices;                      /* [n_vertices,2] */
    int32_t *cells;                        /* [n_cells,cell_vertices] */
    double *nodes;                         /* [n_nodes,2] */
    int32_t *cell_nodes;                   /* [n_cells,cell_node_count], in the order of PETSc's closure */
    int32_t *faces;                        /* [n_faces,2] boundary edges as vertices */
    int32_t *face_label; /* [n_faces] FEM_BOUNDARY_*: edges of the box that holds the mesh, else OTHER */
    double *lumped;      /* [n_nodes] lumped mass [L^2]; all positive, sums to area */
    double *cell_area;   /* [n_cells] */
    double *centroid;    /* [n_cells,2] */
    int32_t *pair;       /* [n_pairs,2] cells that share an edge */
    double *pair_length; /* [n_pairs] length of that edge [L] */
    struct fem_mesh_impl *impl;
} fem_mesh;

/* A box. Errors: FWM_INVALID for counts outside 1..4096 or lengths that are not positive and finite. */
fwm_status fem_mesh_create(fem_mesh **mesh, const fem_mesh_spec *spec) FWM_MUST_USE;

/* From vertices [nv,2] and cells [ncell,3|4] as a dataset stores them. Clockwise cells are turned. Errors: FWM_DATA for
 * indices out of range, cells without area, a vertex in no cell. */
fwm_status fem_mesh_from_arrays(fem_mesh **mesh, fem_element element, int64_t n_vertices, const double *vertices,
                                int64_t n_cells, const int32_t *cells) FWM_MUST_USE;
void fem_mesh_destroy(fem_mesh **mesh);

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

/* Values (axis -1) or derivatives along axis 0, 1 [1/L] of a field at points [m,2]: rows of points outside the mesh are
 * empty. On edges that cells share, the cell of lowest index answers. `found` [m] may be NULL. */
fwm_status fem_evaluate(fem_csr **out, const fem_mesh *mesh, int64_t m, const double *points, int axis,
                        bool *found) FWM_MUST_USE;

/* nodes -> pixels [kh*kw]: row 0 on top, pixel (i,j) at (lower_x + (j+1/2) lx/kw, upper_y - (i+1/2) ly/kh) of the box
 * that holds the mesh. Zero rows outside. `mask` [kh*kw], 1 inside and 0 outside, may be NULL. */
fwm_status fem_render(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, double *mask) FWM_MUST_USE;
/* As above for the derivative along axis 0 (x) or 1 (y) [1/L]. */
fwm_status fem_render_gradient(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw, int axis) FWM_MUST_USE;
/* pixels [kh*kw] -> nodes, bilinear between pixel centres, clamped at the picture's edge: rows sum to 1. */
fwm_status fem_sample(fem_csr **out, const fem_mesh *mesh, int64_t kh, int64_t kw) FWM_MUST_USE;
/* nodes of `from` -> nodes of `to`: the value of the field at each node. A fine mesh's field to a coarse mesh is the
 * same call. Errors: FWM_INVALID where a node of `to` lies outside `from`. */
fwm_status fem_prolong(fem_csr **out, const fem_mesh *from, const fem_mesh *to) FWM_MUST_USE;

#endif
