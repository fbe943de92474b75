/* Boxes of every element, plain and with shifted inner vertices, for the tests of meshes. */
#ifndef FWM_TESTS_PHYSICS_BOXES_H
#define FWM_TESTS_PHYSICS_BOXES_H

#include "support.h"

#include "physics/mesh_impl.h"

static inline fem_mesh_spec box_spec(fem_element element, int64_t n)
{
    return (fem_mesh_spec){.element = element, .nx = n, .ny = n + 1, .lx = 1.2, .ly = 0.9, .nz = n + 2, .lz = 0.7};
}

static inline fem_mesh *plain_box(fem_element element, int64_t n)
{
    fem_mesh *mesh = NULL;
    fem_mesh_spec spec = box_spec(element, n);
    MUST(fwm_threads_init(2));
    MUST(fem_mesh_create(&mesh, &spec));
    return mesh;
}

/* No two cells alike, quadrilaterals and hexahedra are not parallel; the sides stay flat. */
static inline fem_mesh *crooked_box(fem_element element, int64_t n)
{
    fem_mesh *box = plain_box(element, n), *mesh = NULL;
    for (int64_t i = 0; i < box->n_vertices; i++) {
        double *x = box->vertices + box->dim * i, s = 0.12 / (double)n;
        for (int d = 0; d < box->dim; d++)
            s *= sin(M_PI * x[d] / box->upper[d]);
        for (int d = 0; d < box->dim; d++)
            x[d] += s * cos((5.0 + d) * (double)i + d);
    }
    MUST(fem_mesh_from_arrays(&mesh, element, box->n_vertices, box->vertices, box->n_cells, box->cells));
    fem_mesh_destroy(&box);
    return mesh;
}

#endif
