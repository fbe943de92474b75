/* Boundary faces: names of files, and tables for the sweep over them. */
#include "model/base/arena.h"
#include "physics/petsc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

typedef struct face_key {
    int32_t vertex[4]; /* sorted, then -1 */
    int64_t face;
} face_key;

static int compare_int32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(((const face_key *)a)->vertex, ((const face_key *)b)->vertex, sizeof((const face_key *)a)->vertex);
}

static face_key key_of(const int32_t *vertex, int n, int64_t face)
{
    face_key k = {{-1, -1, -1, -1}, face};
    memcpy(k.vertex, vertex, (size_t)n * sizeof *vertex);
    qsort(k.vertex, (size_t)n, sizeof *k.vertex, compare_int32);
    return k;
}

static fwm_status label_of_name(fem_mesh *m, const char *name, int *label)
{
    FWM_CHECK(name && name[0] && strlen(name) < FEM_NAME_BYTES && !strchr(name, '/'), FWM_INVALID,
              "mesh: boundary '%.80s': expected a name of 1 to %d characters without '/'", name ? name : "",
              FEM_NAME_BYTES - 1);
    for (*label = 0; *label < m->n_labels; ++*label)
        if (strcmp(m->label_name[*label], name) == 0)
            return FWM_OK;
    FWM_CHECK(m->n_labels < FEM_MAX_NAMES, FWM_INVALID, "mesh: boundary '%s': more than %d names", name, FEM_MAX_NAMES);
    strcpy(m->label_name[m->n_labels++], name);
    return FWM_OK;
}

static fwm_status label_part(fem_mesh *m, const face_key *keys, const fem_named_faces *part)
{
    int label = 0;
    FWM_TRY(label_of_name(m, part->name, &label));
    for (int64_t i = 0; i < part->count; i++) {
        face_key key = key_of(part->faces + i * m->face_vertices, m->face_vertices, 0);
        const face_key *found = bsearch(&key, keys, (size_t)m->n_faces, sizeof *keys, compare_keys);
        FWM_CHECK(found, FWM_DATA,
                  "mesh: boundary '%s': its face %lld (vertices %d, %d, ...) bounds no cell, or lies between two",
                  part->name, (long long)i, part->faces[i * m->face_vertices], part->faces[i * m->face_vertices + 1]);
        int32_t *own = &m->face_label[found->face];
        FWM_CHECK(*own == -1 || *own == label, FWM_DATA,
                  "mesh: boundary '%s': its face %lld (vertices %d, %d, ...) belongs to '%s' already", part->name,
                  (long long)i, part->faces[i * m->face_vertices], part->faces[i * m->face_vertices + 1],
                  m->label_name[*own]);
        *own = label;
    }
    return FWM_OK;
}

fwm_status fem_label_faces(fem_mesh *m, int n, const fem_named_faces *named)
{
    face_key *keys = fwm_malloc((size_t)m->n_faces, sizeof *keys);
    FWM_CHECK(keys, FWM_MEMORY, "out of memory for %lld faces", (long long)m->n_faces);
    for (int64_t f = 0; f < m->n_faces; f++) {
        keys[f] = key_of(m->faces + f * m->face_vertices, m->face_vertices, f);
        m->face_label[f] = -1;
    }
    qsort(keys, (size_t)m->n_faces, sizeof *keys, compare_keys);
    fwm_status status = FWM_OK;
    for (int k = 0; k < n; k++)
        FWM_TRY_GOTO(status, label_part(m, keys, &named[k]));
    for (int64_t f = 0; f < m->n_faces; f++)
        if (m->face_label[f] == -1)
            m->face_label[f] = FEM_BOUNDARY_OTHER;
done:
    fwm_free(keys);
    return status;
}

/* ---- tables ---- */

typedef struct raw_faces {
    double *basis, *dbasis, *geometry, *normal, *point;
} raw_faces;

static fwm_status face_quadrature(const fem_mesh *m, PetscQuadrature *rule)
{
    const fem_element_sizes *e = &fem_element_table[m->element];
    const fem_cell_shape *own = fem_face_shape(e->shape);
    if (own->dim == 2 && own->simplex)
        FEM_PETSC(PetscDTSimplexQuadrature(2, 2 * e->degree, PETSCDTSIMPLEXQUAD_MINSYM, rule));
    else
        FEM_PETSC(PetscDTGaussTensorQuadrature(own->dim, 1, e->degree + 1, -1, 1, rule));
    return FWM_OK;
}

static fwm_status face_basis(const fem_mesh *m, raw_faces *t, int points, const double *on_face)
{
    const fem_cell_shape *shape = fem_shape(m);
    double reference[FEM_MAX_CELL_FACES * FEM_MAX_FACE_NODES * FEM_MAX_DIM];
    for (int f = 0; f < shape->faces; f++)
        for (int q = 0; q < points; q++)
            fem_face_point(shape, f, on_face + q * (m->dim - 1), reference + (f * points + q) * m->dim);
    return fem_tabulate(m, shape->faces * points, reference, t->basis, t->dbasis);
}

static fwm_status face_geometry(const fem_mesh *m, raw_faces *t, int points, const double *on_face)
{
    int dim = m->dim, record = dim * dim + 1;
    for (int64_t f = 0; f < m->n_faces; f++)
        for (int q = 0; q < points; q++) {
            double jacobian[FEM_MAX_DIM * FEM_MAX_DIM];
            int64_t at = f * points + q;
            double size = fem_face_normal(m, m->face_cell[f], m->face_local[f], on_face + q * (dim - 1),
                                          t->point + at * dim, jacobian, t->normal + at * dim);
            double det = fem_invert(dim, jacobian, t->geometry + at * record);
            FWM_CHECK(size > 0 && det > 0, FWM_DATA, "mesh: cell %d is folded over at its face %d", m->face_cell[f],
                      m->face_local[f]);
            t->geometry[at * record + dim * dim] = size;
        }
    return FWM_OK;
}

static fwm_status keep_faces(fem_mesh *m, const raw_faces *t, int points, const double *weight)
{
    int64_t local = fem_shape(m)->faces * points * m->cell_node_count, all = m->n_faces * points;
    for (int d = 0; d < 2; d++) {
        ad_dtype dtype = (ad_dtype)d;
        void **own = m->impl->owned_faces[d];
        own[0] = fem_copy_as(dtype, t->basis, local);
        own[1] = fem_copy_as(dtype, t->dbasis, local * m->dim);
        own[2] = fem_copy_as(dtype, weight, points);
        own[3] = fem_copy_as(dtype, t->geometry, all * (m->dim * m->dim + 1));
        own[4] = fem_copy_as(dtype, t->normal, all * m->dim);
        own[5] = fem_copy_as(dtype, t->point, all * m->dim);
        for (int k = 0; k < FEM_FACE_ARRAYS; k++)
            FWM_CHECK(own[k], FWM_MEMORY, "out of memory for the tables of %lld faces", (long long)m->n_faces);
        m->impl->faces[d] = (fem_face_tables){.n_faces = m->n_faces,
                                              .n_points = points,
                                              .cell = m->face_cell,
                                              .local = m->face_local,
                                              .label = m->face_label,
                                              .cell_nodes = m->cell_nodes,
                                              .basis = own[0],
                                              .dbasis = own[1],
                                              .weight = own[2],
                                              .geometry = own[3],
                                              .normal = own[4],
                                              .point = own[5]};
    }
    return FWM_OK;
}

fwm_status fem_face_tables_create(fem_mesh *m)
{
    const fem_element_sizes *e = &fem_element_table[m->element];
    size_t local = (size_t)(e->shape->faces * e->face_points * e->nodes), dim = (size_t)m->dim;
    size_t all = (size_t)m->n_faces * (size_t)e->face_points;
    PetscQuadrature rule = NULL;
    PetscInt points;
    const PetscReal *on_face, *weight;
    raw_faces t = {.basis = fwm_malloc(local, sizeof(double)),
                   .dbasis = fwm_malloc(local * dim, sizeof(double)),
                   .geometry = fwm_malloc(all * (dim * dim + 1), sizeof(double)),
                   .normal = fwm_malloc(all * dim, sizeof(double)),
                   .point = fwm_malloc(all * dim, sizeof(double))};
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, t.basis && t.dbasis && t.geometry && t.normal && t.point, FWM_MEMORY,
                   "out of memory for the tables of %lld faces", (long long)m->n_faces);
    FWM_TRY_GOTO(status, face_quadrature(m, &rule));
    FEM_PETSC_GOTO(status, PetscQuadratureGetData(rule, NULL, NULL, &points, &on_face, &weight));
    FWM_CHECK_GOTO(status, points == e->face_points, FWM_INTERNAL, "quadrature of a face of %s has %d points, not %d",
                   e->space, (int)points, e->face_points);
    FWM_TRY_GOTO(status, face_basis(m, &t, points, on_face));
    FWM_TRY_GOTO(status, face_geometry(m, &t, points, on_face));
    FWM_TRY_GOTO(status, keep_faces(m, &t, points, weight));
done:
    (void)PetscQuadratureDestroy(&rule);
    fwm_free(t.basis);
    fwm_free(t.dbasis);
    fwm_free(t.geometry);
    fwm_free(t.normal);
    fwm_free(t.point);
    return status;
}
