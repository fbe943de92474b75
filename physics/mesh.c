/* Meshes from boxes and arrays: vertices and cells -> DMPlex -> space, quadrature, tables. */
#include "model/base/arena.h"
#include "physics/petsc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

fwm_status fem_element_parse(const char *cell, const char *space, fem_element *element)
{
    bool known = false;
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++) {
        const fem_element_sizes *s = &fem_element_table[e];
        if (!space || strcmp(space, s->space) != 0)
            continue;
        known = true;
        if (!cell || strcmp(cell, s->shape->name) == 0) {
            *element = (fem_element)e;
            return FWM_OK;
        }
    }
    FWM_CHECK(known, FWM_INVALID,
              "mesh: expected space P1 or P2 (triangle, tetrahedron), Q1 or Q2 (quadrilateral, hexahedron), found '%s'",
              space ? space : "nothing");
    return fwm_fail(FWM_INVALID, "mesh: space %s needs cell %s, found '%s'", space,
                    space[0] == 'P' ? "triangle or tetrahedron" : "quadrilateral or hexahedron", cell);
}

const char *fem_element_cell(fem_element element)
{
    return fem_element_table[element].shape->name;
}

const char *fem_element_space(fem_element element)
{
    return fem_element_table[element].space;
}

int fem_element_dim(fem_element element)
{
    return fem_element_table[element].shape->dim;
}

/* Names of which `use` holds, for messages. */
static void join(char *text, size_t bytes, char (*name)[FEM_NAME_BYTES], int n, const bool *use)
{
    size_t at = 0;
    text[0] = 0;
    for (int k = 0; k < n; k++)
        if (use[k] && at < bytes) {
            int wrote = snprintf(text + at, bytes - at, "%s%s", at ? ", " : "", name[k]);
            at += wrote > 0 ? (size_t)wrote : 0;
        }
}

fwm_status fem_mesh_label(const fem_mesh *mesh, const char *name, int *label)
{
    bool used[FEM_MAX_NAMES] = {false};
    char list[512];
    for (int64_t f = 0; f < mesh->n_faces; f++)
        used[mesh->face_label[f]] = true;
    for (int k = 0; k < mesh->n_labels; k++)
        if (used[k] && strcmp(mesh->label_name[k], name) == 0) {
            *label = k;
            return FWM_OK;
        }
    join(list, sizeof list, mesh->label_name, mesh->n_labels, used);
    return fwm_fail(FWM_INVALID, "mesh: no boundary '%.80s'; it has %s", name, list[0] ? list : "none");
}

fwm_status fem_mesh_region(const fem_mesh *mesh, const char *name, int *region)
{
    bool used[FEM_MAX_NAMES];
    char list[512];
    memset(used, 1, sizeof used);
    for (int k = 0; k < mesh->n_regions; k++)
        if (strcmp(mesh->region_name[k], name) == 0) {
            *region = k;
            return FWM_OK;
        }
    join(list, sizeof list, mesh->region_name, mesh->n_regions, used);
    return fwm_fail(FWM_INVALID, "mesh: no region '%.80s'; it has %s", name, list);
}

/* ---- making and ending ---- */

static const char *const side_names[FEM_BOUNDARY_COUNT] = {"other", "left", "right", "bottom", "top", "front", "back"};

static bool allocate_arrays(fem_mesh *m)
{
    size_t vertices = (size_t)(m->n_vertices * m->dim), cells = (size_t)m->n_cells;
    m->impl = fwm_calloc(1, sizeof *m->impl);
    if (!m->impl)
        return false;
    m->impl->petsc = fwm_calloc(1, sizeof *m->impl->petsc);
    m->impl->cell_size = fwm_malloc(cells, sizeof *m->impl->cell_size);
    m->vertices = fwm_malloc(vertices, sizeof *m->vertices);
    m->cells = fwm_malloc(cells * (size_t)m->cell_vertices, sizeof *m->cells);
    m->cell_area = fwm_malloc(cells, sizeof *m->cell_area);
    m->centroid = fwm_malloc(cells * (size_t)m->dim, sizeof *m->centroid);
    m->cell_region = fwm_calloc(cells, sizeof *m->cell_region);
    m->label_name = fwm_calloc(FEM_MAX_NAMES, sizeof *m->label_name);
    m->region_name = fwm_calloc(FEM_MAX_NAMES, sizeof *m->region_name);
    if (!m->impl->petsc || !m->impl->cell_size || !m->vertices || !m->cells || !m->cell_area || !m->centroid ||
        !m->cell_region || !m->label_name || !m->region_name)
        return false;
    m->impl->n_merged = m->n_vertices;
    m->n_labels = FEM_BOUNDARY_COUNT;
    for (int k = 0; k < FEM_BOUNDARY_COUNT; k++)
        strcpy(m->label_name[k], side_names[k]);
    m->n_regions = 1;
    strcpy(m->region_name[0], "all");
    return true;
}

static fwm_status allocate(fem_mesh **mesh, fem_element element, int64_t n_vertices, int64_t n_cells)
{
    *mesh = NULL;
    FWM_CHECK((int)element >= 0 && element < FEM_ELEMENT_COUNT, FWM_INVALID, "mesh: unknown element %d", (int)element);
    FWM_CHECK(n_vertices >= 3 && n_vertices < (INT64_C(1) << 26) && n_cells >= 1 && n_cells < (INT64_C(1) << 26),
              FWM_INVALID,
              "mesh: expected at least 3 vertices and 1 cell and fewer than 2^26 of each, found %lld and %lld",
              (long long)n_vertices, (long long)n_cells);
    FWM_TRY(fem_init());
    fem_mesh *m = fwm_calloc(1, sizeof *m);
    FWM_CHECK(m, FWM_MEMORY, "out of memory for a mesh");
    const fem_cell_shape *shape = fem_element_table[element].shape;
    m->element = element;
    m->dim = shape->dim;
    m->n_vertices = n_vertices;
    m->n_cells = n_cells;
    m->cell_vertices = shape->vertices;
    m->face_vertices = shape->face_vertices;
    if (!allocate_arrays(m)) {
        fem_mesh_destroy(&m);
        return fwm_fail(FWM_MEMORY, "out of memory for a mesh of %lld cells", (long long)n_cells);
    }
    *mesh = m;
    return FWM_OK;
}

/* Numbers the vertices that are left when each is the one that merge[] leads to. */
static fwm_status merge_vertices(fem_mesh *m, const int32_t *merge)
{
    int32_t *number = m->impl->merged = fwm_malloc((size_t)m->n_vertices, sizeof *number), left = 0;
    m->merge = fwm_malloc((size_t)m->n_vertices, sizeof *m->merge);
    FWM_CHECK(number && m->merge, FWM_MEMORY, "out of memory for a mesh of %lld vertices", (long long)m->n_vertices);
    memcpy(m->merge, merge, (size_t)m->n_vertices * sizeof *merge);
    for (int64_t i = 0; i < m->n_vertices; i++) {
        FWM_CHECK(merge[i] >= 0 && merge[i] < m->n_vertices && merge[merge[i]] == merge[i], FWM_DATA,
                  "mesh: vertex %lld is merged with %d, expected a vertex that is merged with itself", (long long)i,
                  merge[i]);
        number[i] = merge[i] == i ? left++ : -1;
        for (int d = 0; d < m->dim; d++) {
            double apart = m->vertices[m->dim * i + d] - m->vertices[m->dim * (int64_t)merge[i] + d];
            m->periodic[d] = m->periodic[d] || fabs(apart) > 1e-9 * (m->upper[d] - m->lower[d]);
        }
    }
    for (int64_t i = 0; i < m->n_vertices; i++)
        number[i] = number[merge[i]];
    m->impl->n_merged = left;
    for (int64_t c = 0; c < m->n_cells; c++)
        for (int k = 0; k < m->cell_vertices; k++)
            for (int l = 0; l < k; l++) {
                const int32_t *v = m->cells + c * m->cell_vertices;
                FWM_CHECK(number[v[k]] != number[v[l]], FWM_DATA,
                          "mesh: cell %lld: its vertices %d and %d are merged; a periodic axis needs 3 cells",
                          (long long)c, v[l], v[k]);
            }
    return FWM_OK;
}

static fwm_status build(fem_mesh **mesh, const fem_mesh_arrays *a)
{
    fwm_status status;
    FWM_TRY_GOTO(status, fem_build_cells(*mesh));
    if (a->merge)
        FWM_TRY_GOTO(status, merge_vertices(*mesh, a->merge));
    FWM_TRY_GOTO(status, fem_build_space(*mesh));
    FWM_TRY_GOTO(status, fem_build_faces(*mesh));
    if (a->n_boundaries > 0)
        FWM_TRY_GOTO(status, fem_label_faces(*mesh, a->n_boundaries, a->boundary));
    FWM_TRY_GOTO(status, fem_tables_create(*mesh));
    FWM_TRY_GOTO(status, fem_face_tables_create(*mesh));
    return FWM_OK;
done:
    fem_mesh_destroy(mesh);
    return status;
}

static fwm_status name_regions(fem_mesh *m, const fem_mesh_arrays *a)
{
    FWM_CHECK(a->n_regions <= FEM_MAX_NAMES, FWM_INVALID, "mesh: expected at most %d regions, found %d", FEM_MAX_NAMES,
              a->n_regions);
    m->n_regions = a->n_regions;
    for (int k = 0; k < a->n_regions; k++) {
        const char *name = a->region_name[k];
        FWM_CHECK(name && name[0] && strlen(name) < FEM_NAME_BYTES && !strchr(name, '/'), FWM_INVALID,
                  "mesh: region '%.80s': expected a name of 1 to %d characters without '/'", name ? name : "",
                  FEM_NAME_BYTES - 1);
        for (int l = 0; l < k; l++)
            FWM_CHECK(strcmp(name, a->region_name[l]) != 0, FWM_INVALID, "mesh: two regions are called '%s'", name);
        strcpy(m->region_name[k], name);
    }
    for (int64_t c = 0; c < m->n_cells; c++) {
        FWM_CHECK(a->cell_region[c] >= 0 && a->cell_region[c] < a->n_regions, FWM_DATA,
                  "mesh: cell %lld is of region %d, expected 0 to %d", (long long)c, a->cell_region[c],
                  a->n_regions - 1);
        m->cell_region[c] = a->cell_region[c];
    }
    return FWM_OK;
}

fwm_status fem_mesh_build(fem_mesh **mesh, const fem_mesh_arrays *a)
{
    FWM_TRY(allocate(mesh, a->element, a->n_vertices, a->n_cells));
    fem_mesh *m = *mesh;
    memcpy(m->vertices, a->vertices, (size_t)(a->n_vertices * m->dim) * sizeof *a->vertices);
    memcpy(m->cells, a->cells, (size_t)(a->n_cells * m->cell_vertices) * sizeof *a->cells);
    if (a->n_regions > 0) {
        fwm_status status = name_regions(m, a);
        if (status != FWM_OK) {
            fem_mesh_destroy(mesh);
            return status;
        }
    }
    return build(mesh, a);
}

fwm_status fem_mesh_from_arrays(fem_mesh **mesh, fem_element element, int64_t n_vertices, const double *vertices,
                                int64_t n_cells, const int32_t *cells)
{
    return fem_mesh_build(
        mesh,
        &(fem_mesh_arrays){
            .element = element, .n_vertices = n_vertices, .n_cells = n_cells, .vertices = vertices, .cells = cells});
}

void fem_mesh_destroy(fem_mesh **mesh)
{
    fem_mesh *m = *mesh;
    if (!m)
        return;
    *mesh = NULL;
    if (m->impl) {
        if (m->impl->petsc) {
            (void)DMDestroy(&m->impl->petsc->dm);
            (void)PetscFEDestroy(&m->impl->petsc->fe);
            (void)PetscQuadratureDestroy(&m->impl->petsc->quadrature);
            fwm_free(m->impl->petsc);
        }
        for (int d = 0; d < 2; d++) {
            for (int k = 0; k < FEM_TABLE_ARRAYS; k++)
                fwm_free(m->impl->owned[d][k]);
            for (int k = 0; k < FEM_FACE_ARRAYS; k++)
                fwm_free(m->impl->owned_faces[d][k]);
        }
        fwm_free(m->impl->merged);
        fwm_free(m->impl->cell_size);
        fem_csr_destroy(&m->impl->mass);
        fwm_free(m->impl);
    }
    void *arrays[] = {m->vertices,  m->cells,      m->nodes,      m->cell_nodes, m->faces,       m->face_nodes,
                      m->face_cell, m->face_local, m->face_label, m->label_name, m->region_name, m->cell_region,
                      m->merge,     m->lumped,     m->cell_area,  m->centroid,   m->pair,        m->pair_length};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free(m);
}

/* ---- boxes ---- */

static fwm_status check_box(const fem_mesh_spec *spec, int dim, const int64_t *n, const double *size)
{
    enum { MAX_PLANE = 4096, MAX_SPACE = 512, MIN_PERIODIC = 3 };
    static const char axis[] = "xyz";
    int64_t most = dim == 2 ? MAX_PLANE : MAX_SPACE;
    for (int d = 0; d < dim; d++) {
        FWM_CHECK(n[d] >= 1 && n[d] <= most, FWM_INVALID, "mesh: expected n%c from 1 to %lld, found %lld", axis[d],
                  (long long)most, (long long)n[d]);
        FWM_CHECK(isfinite(size[d]) && size[d] > 0, FWM_INVALID, "mesh: expected a positive edge l%c, found %g",
                  axis[d], size[d]);
        FWM_CHECK(!spec->periodic[d] || n[d] >= MIN_PERIODIC, FWM_INVALID,
                  "mesh: expected at least %d cells along the periodic axis %c, found %lld", MIN_PERIODIC, axis[d],
                  (long long)n[d]);
    }
    FWM_CHECK(dim == 3 || !spec->periodic[2], FWM_INVALID, "mesh: a plane mesh has no axis z to be periodic");
    return FWM_OK;
}

/* Cells of one box cell with the given corners (VTK's order); simplices all along the diagonal from the lower to the
 * upper corner, so that neighbours agree and meshes nest (Kuhn's subdivision). Returns how many. */
static int cut_box(const fem_cell_shape *shape, const int32_t *corner, int32_t *cells)
{
    static const int triangles[2][3] = {{0, 1, 2}, {0, 2, 3}};
    static const int tetrahedra[6][4] = {{0, 1, 2, 6}, {0, 2, 3, 6}, {0, 5, 1, 6},
                                         {0, 4, 5, 6}, {0, 3, 7, 6}, {0, 7, 4, 6}};
    if (!shape->simplex) {
        memcpy(cells, corner, (size_t)shape->vertices * sizeof *cells);
        return 1;
    }
    int count = shape->dim == 2 ? 2 : 6;
    for (int t = 0; t < count; t++)
        for (int k = 0; k < shape->vertices; k++)
            cells[t * shape->vertices + k] = corner[shape->dim == 2 ? triangles[t][k] : tetrahedra[t][k]];
    return count;
}

static void fill_box(fem_mesh *m, int32_t *merge, const fem_mesh_spec *spec, const int64_t n[FEM_MAX_DIM])
{
    const fem_cell_shape *shape = fem_shape(m);
    const double size[] = {spec->lx, spec->ly, spec->lz};
    int64_t row = n[0] + 1, layer = row * (n[1] + 1), layers = m->dim == 3 ? n[2] : 0, at = 0;
    for (int64_t v = 0; v < m->n_vertices; v++) {
        int64_t index[FEM_MAX_DIM] = {v % row, v / row % (n[1] + 1), v / layer};
        for (int d = 0; d < m->dim; d++) {
            m->vertices[m->dim * v + d] = size[d] * (double)index[d] / (double)n[d];
            index[d] = spec->periodic[d] && index[d] == n[d] ? 0 : index[d];
        }
        if (merge)
            merge[v] = (int32_t)(index[0] + index[1] * row + index[2] * layer);
    }
    for (int64_t k = 0; k < (layers ? layers : 1); k++)
        for (int64_t j = 0; j < n[1]; j++)
            for (int64_t i = 0; i < n[0]; i++) {
                int32_t a = (int32_t)(k * layer + j * row + i), r = (int32_t)row, l = (int32_t)layer;
                int32_t corner[] = {a, a + 1, a + r + 1, a + r, a + l, a + l + 1, a + l + r + 1, a + l + r};
                at += cut_box(shape, corner, m->cells + at * shape->vertices);
            }
}

fwm_status fem_mesh_create(fem_mesh **mesh, const fem_mesh_spec *spec)
{
    *mesh = NULL;
    FWM_CHECK((int)spec->element >= 0 && spec->element < FEM_ELEMENT_COUNT, FWM_INVALID, "mesh: unknown element %d",
              (int)spec->element);
    const fem_cell_shape *shape = fem_element_table[spec->element].shape;
    int64_t n[FEM_MAX_DIM] = {spec->nx, spec->ny, shape->dim == 3 ? spec->nz : 0};
    FWM_TRY(check_box(spec, shape->dim, n, (double[]){spec->lx, spec->ly, spec->lz}));
    int64_t vertices = (n[0] + 1) * (n[1] + 1) * (n[2] + 1), boxes = n[0] * n[1] * (shape->dim == 3 ? n[2] : 1);
    bool periodic = spec->periodic[0] || spec->periodic[1] || spec->periodic[2];
    FWM_TRY(allocate(mesh, spec->element, vertices, boxes * (!shape->simplex ? 1 : shape->dim == 2 ? 2 : 6)));
    int32_t *merge = periodic ? fwm_malloc((size_t)vertices, sizeof *merge) : NULL;
    if (periodic && !merge) {
        fem_mesh_destroy(mesh);
        return fwm_fail(FWM_MEMORY, "out of memory for a mesh of %lld vertices", (long long)vertices);
    }
    fill_box(*mesh, merge, spec, n);
    fwm_status status = build(mesh, &(fem_mesh_arrays){.merge = merge});
    fwm_free(merge);
    return status;
}
