/* Meshes as they lie in a dataset: plain arrays, no algorithms.
 *
 * Vertices carry the geometry. A space with more nodes than vertices (P2, Q2) lists its nodes and, per cell, their
 * indices; for P1 and Q1 the nodes are the vertices, unless the mesh is periodic. Invariant after reading: every index
 * is in range, k fits the cell type. */
#ifndef FWM_DATA_MESH_H
#define FWM_DATA_MESH_H

#include <stdint.h>

typedef struct ds_boundary {
    const char *name;
    int64_t count;        /* faces */
    int64_t k;            /* vertices of a face */
    const int32_t *faces; /* [count,k] vertex indices */
} ds_boundary;

/* Cells that carry a name. */
typedef struct ds_region {
    const char *name;
    int64_t count;
    const int32_t *cells; /* [count] */
} ds_region;

typedef struct ds_mesh {
    int64_t dim;            /* 1, 2 or 3 */
    int64_t nv, ncell, k;   /* vertices, cells, vertices of a cell */
    const char *cell;       /* interval, triangle, quadrilateral, tetrahedron or hexahedron */
    const char *space;      /* P1, P2, Q1, Q2 */
    const double *vertices; /* [nv,dim] */
    const int32_t *cells;   /* [ncell,k] */
    int64_t nboundary;
    const ds_boundary *boundary;
    int64_t n, kn;             /* nodes, nodes of a cell; n = nv and kn = k where nodes is NULL */
    const double *nodes;       /* [n,dim], NULL for P1 and Q1 that are not periodic */
    const int32_t *cell_nodes; /* [ncell,kn], likewise */
    int64_t nregion;           /* 0 where none is named */
    const ds_region *region;
    const int32_t *merge; /* [nv] in a periodic mesh, the vertex whose node each shares; else NULL */
} ds_mesh;

#endif
