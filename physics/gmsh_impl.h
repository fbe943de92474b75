/* What the reader of .msh files hands to the maker of meshes. */
#ifndef FWM_PHYSICS_GMSH_IMPL_H
#define FWM_PHYSICS_GMSH_IMPL_H

#include "physics/gmsh.h"

/* The kinds of elements that are kept. */
enum { GMSH_LINE, GMSH_TRIANGLE, GMSH_QUADRILATERAL, GMSH_TETRAHEDRON, GMSH_HEXAHEDRON, GMSH_KINDS };
typedef struct gmsh_kind {
    const char *name;
    int dim, nodes, type; /* gmsh's number of it */
} gmsh_kind;
extern const gmsh_kind gmsh_kinds[GMSH_KINDS];

typedef struct gmsh_elements {
    int64_t count, room;
    int64_t *node;  /* [count, nodes of the kind] tags */
    int32_t *group; /* [count] physical tag, 0 none */
} gmsh_elements;

typedef struct gmsh_name {
    int32_t dim, tag;
    char text[FEM_NAME_BYTES];
} gmsh_name;

typedef struct gmsh_file {
    const char *path;
    int64_t n_nodes;
    int64_t *tag; /* [n_nodes] */
    double *x;    /* [n_nodes,3] */
    gmsh_elements element[GMSH_KINDS];
    int64_t n_names, name_room;
    gmsh_name *name;
} gmsh_file;

fwm_status gmsh_read(gmsh_file *file, const char *path) FWM_MUST_USE;
void gmsh_free(gmsh_file *file);

#endif
