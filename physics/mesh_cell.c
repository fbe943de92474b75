/* The kinds of cells, and the maps of single cells. */
#include "physics/mesh_impl.h"

#include <math.h>
#include <string.h>

static const fem_cell_shape triangle = {
    .name = "triangle",
    .simplex = true,
    .dim = 2,
    .vertices = 3,
    .faces = 3,
    .face_vertices = 2,
    .corner = {{-1, -1}, {1, -1}, {-1, 1}},
    .petsc = {0, 1, 2},
    .face = {{0, 1}, {1, 2}, {2, 0}},
    .turned = {0, 2, 1},
    .places = 6,
    .mean = {1, 2, 4, 3, 6, 5},
};
static const fem_cell_shape quadrilateral = {
    .name = "quadrilateral",
    .dim = 2,
    .vertices = 4,
    .faces = 4,
    .face_vertices = 2,
    .corner = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}},
    .petsc = {0, 1, 2, 3},
    .face = {{0, 1}, {1, 2}, {2, 3}, {3, 0}},
    .turned = {0, 3, 2, 1},
    .places = 9,
    .mean = {1, 2, 4, 8, 3, 6, 12, 9, 15},
};
/* PETSc's reference tetrahedron and hexahedron number the vertices of their bottoms clockwise from above. */
static const fem_cell_shape tetrahedron = {
    .name = "tetrahedron",
    .simplex = true,
    .dim = 3,
    .vertices = 4,
    .faces = 4,
    .face_vertices = 3,
    .corner = {{-1, -1, -1}, {1, -1, -1}, {-1, 1, -1}, {-1, -1, 1}},
    .petsc = {0, 2, 1, 3},
    .face = {{0, 2, 1}, {0, 3, 2}, {0, 1, 3}, {1, 2, 3}},
    .turned = {0, 2, 1, 3},
    .places = 10,
    .mean = {1, 2, 4, 8, 3, 6, 5, 9, 10, 12},
};
static const fem_cell_shape hexahedron = {
    .name = "hexahedron",
    .dim = 3,
    .vertices = 8,
    .faces = 6,
    .face_vertices = 4,
    .corner = {{-1, -1, -1}, {1, -1, -1}, {1, 1, -1}, {-1, 1, -1}, {-1, -1, 1}, {1, -1, 1}, {1, 1, 1}, {-1, 1, 1}},
    .petsc = {0, 3, 2, 1, 4, 5, 6, 7},
    .face = {{0, 3, 2, 1}, {4, 5, 6, 7}, {0, 1, 5, 4}, {2, 3, 7, 6}, {1, 2, 6, 5}, {0, 4, 7, 3}},
    .turned = {0, 3, 2, 1, 4, 7, 6, 5},
    .places = 27,
    .mean = {1,   2,   4,  8,  16, 32,  64,  128, 3,  6,   12, 9,   48, 96,
             192, 144, 17, 34, 68, 136, 153, 102, 51, 204, 15, 240, 255},
};
/* What a face's own coordinates refer to. */
static const fem_cell_shape segment = {.dim = 1, .simplex = true, .vertices = 2, .corner = {{-1}, {1}}};

const fem_element_sizes fem_element_table[FEM_ELEMENT_COUNT] = {
    [FEM_P1] = {&triangle, "P1", 3, 3, 1, 2, 2},          [FEM_Q1] = {&quadrilateral, "Q1", 4, 4, 1, 2, 2},
    [FEM_P2] = {&triangle, "P2", 6, 6, 2, 3, 3},          [FEM_Q2] = {&quadrilateral, "Q2", 9, 9, 2, 3, 3},
    [FEM_TET_P1] = {&tetrahedron, "P1", 4, 4, 1, 3, 3},   [FEM_HEX_Q1] = {&hexahedron, "Q1", 8, 8, 1, 4, 4},
    [FEM_TET_P2] = {&tetrahedron, "P2", 10, 14, 2, 6, 6}, [FEM_HEX_Q2] = {&hexahedron, "Q2", 27, 27, 2, 9, 9},
};

const fem_cell_shape *fem_face_shape(const fem_cell_shape *shape)
{
    return shape->dim == 2 ? &segment : shape->simplex ? &triangle : &quadrilateral;
}

void fem_vertex_functions(const fem_cell_shape *shape, const double *r, double *value, double *slope)
{
    int dim = shape->dim;
    if (shape->simplex) {
        value[0] = 1;
        for (int d = 0; d < dim; d++) {
            value[d + 1] = 0.5 * (1 + r[d]);
            value[0] -= value[d + 1];
            slope[d] = -0.5;
            for (int e = 0; e < dim; e++)
                slope[(d + 1) * dim + e] = d == e ? 0.5 : 0;
        }
        return;
    }
    for (int v = 0; v < shape->vertices; v++) {
        double factor[FEM_MAX_DIM];
        value[v] = 1;
        for (int d = 0; d < dim; d++) {
            factor[d] = 0.5 * (1 + shape->corner[v][d] * r[d]);
            value[v] *= factor[d];
        }
        for (int d = 0; d < dim; d++) {
            double s = 0.5 * shape->corner[v][d];
            for (int e = 0; e < dim; e++)
                s *= e == d ? 1 : factor[e];
            slope[v * dim + d] = s;
        }
    }
}

void fem_cell_map(const fem_mesh *mesh, int64_t cell, const double *reference, double *x, double *jacobian)
{
    const fem_cell_shape *shape = fem_shape(mesh);
    double value[FEM_MAX_CELL_VERTICES], slope[FEM_MAX_CELL_VERTICES * FEM_MAX_DIM];
    double at[FEM_MAX_DIM] = {0}, j[FEM_MAX_DIM * FEM_MAX_DIM] = {0};
    int dim = shape->dim;
    fem_vertex_functions(shape, reference, value, slope);
    for (int v = 0; v < shape->vertices; v++) {
        const double *corner = mesh->vertices + dim * (int64_t)mesh->cells[cell * shape->vertices + v];
        for (int e = 0; e < dim; e++) {
            at[e] += value[v] * corner[e];
            for (int d = 0; d < dim; d++)
                j[e * dim + d] += slope[v * dim + d] * corner[e];
        }
    }
    memcpy(x, at, (size_t)dim * sizeof *x);
    if (jacobian)
        memcpy(jacobian, j, (size_t)(dim * dim) * sizeof *j);
}

double fem_invert(int dim, const double *j, double *inverse)
{
    double c[FEM_MAX_DIM * FEM_MAX_DIM], det; /* the adjugate */
    if (dim == 2) {
        memcpy(c, (double[]){j[3], -j[1], -j[2], j[0]}, 4 * sizeof *c);
        det = j[0] * j[3] - j[1] * j[2];
    } else {
        for (int d = 0; d < 3; d++)
            for (int e = 0; e < 3; e++) {
                int d1 = (d + 1) % 3, d2 = (d + 2) % 3, e1 = (e + 1) % 3, e2 = (e + 2) % 3;
                c[d * 3 + e] = j[e1 * 3 + d1] * j[e2 * 3 + d2] - j[e1 * 3 + d2] * j[e2 * 3 + d1];
            }
        det = j[0] * c[0] + j[1] * c[3] + j[2] * c[6];
    }
    for (int i = 0; inverse && det != 0 && i < dim * dim; i++)
        inverse[i] = c[i] / det;
    return det;
}

bool fem_cell_inverse(const fem_mesh *mesh, int64_t cell, const double *x, double slack, double *reference)
{
    enum { ITERATIONS = 20 };
    const fem_cell_shape *shape = fem_shape(mesh);
    int dim = shape->dim;
    double r[FEM_MAX_DIM], change = INFINITY, size = 0, sum = dim - 2;
    for (int d = 0; d < dim; d++)
        r[d] = shape->simplex ? 2.0 / (dim + 1) - 1 : 0;
    for (int it = 0; it < ITERATIONS && change > 1e-14; it++) {
        double at[FEM_MAX_DIM], j[FEM_MAX_DIM * FEM_MAX_DIM], inverse[FEM_MAX_DIM * FEM_MAX_DIM];
        fem_cell_map(mesh, cell, r, at, j);
        if (!(fabs(fem_invert(dim, j, inverse)) > 0))
            return false;
        change = size = 0;
        for (int d = 0; d < dim; d++) {
            double step = 0;
            for (int e = 0; e < dim; e++)
                step += inverse[d * dim + e] * (x[e] - at[e]);
            r[d] += step;
            change += fabs(step);
            size += fabs(r[d]);
        }
        if (!(size < 100))
            return false;
    }
    memcpy(reference, r, (size_t)dim * sizeof *r);
    bool inside = change <= 1e-10;
    for (int d = 0; d < dim; d++) {
        inside = inside && r[d] >= -1 - slack && (shape->simplex || r[d] <= 1 + slack);
        sum += r[d];
    }
    return inside && (!shape->simplex || sum <= slack);
}

static void face_map(const fem_cell_shape *shape, int face, const double *on_face, double *reference, double *tangent)
{
    const fem_cell_shape *own = fem_face_shape(shape);
    double value[4], slope[4 * (FEM_MAX_DIM - 1)];
    int dim = shape->dim;
    fem_vertex_functions(own, on_face, value, slope);
    for (int e = 0; e < dim; e++) {
        reference[e] = 0;
        for (int d = 0; d < dim - 1; d++)
            tangent[d * dim + e] = 0;
    }
    for (int v = 0; v < own->vertices; v++)
        for (int e = 0; e < dim; e++) {
            double corner = shape->corner[shape->face[face][v]][e];
            reference[e] += value[v] * corner;
            for (int d = 0; d < dim - 1; d++)
                tangent[d * dim + e] += slope[v * (dim - 1) + d] * corner;
        }
}

void fem_face_point(const fem_cell_shape *shape, int face, const double *on_face, double *reference)
{
    double tangent[(FEM_MAX_DIM - 1) * FEM_MAX_DIM];
    face_map(shape, face, on_face, reference, tangent);
}

double fem_face_normal(const fem_mesh *mesh, int64_t cell, int face, const double *on_face, double *x, double *jacobian,
                       double *normal)
{
    const fem_cell_shape *shape = fem_shape(mesh);
    int dim = shape->dim;
    double reference[FEM_MAX_DIM], tangent[(FEM_MAX_DIM - 1) * FEM_MAX_DIM], t[(FEM_MAX_DIM - 1) * FEM_MAX_DIM] = {0};
    face_map(shape, face, on_face, reference, tangent);
    fem_cell_map(mesh, cell, reference, x, jacobian);
    for (int k = 0; k < dim - 1; k++)
        for (int e = 0; e < dim; e++)
            for (int d = 0; d < dim; d++)
                t[k * dim + e] += jacobian[e * dim + d] * tangent[k * dim + d];
    if (dim == 2) {
        normal[0] = t[1];
        normal[1] = -t[0];
    } else
        for (int d = 0; d < 3; d++) {
            int e = (d + 1) % 3, f = (d + 2) % 3;
            normal[d] = t[e] * t[3 + f] - t[f] * t[3 + e];
        }
    double length = 0;
    for (int d = 0; d < dim; d++)
        length += normal[d] * normal[d];
    length = sqrt(length);
    for (int d = 0; d < dim; d++)
        normal[d] /= length;
    return length;
}
