/* Meshes: vertices and cells -> DMPlex -> space, quadrature, tables. */
#include "model/base/arena.h"
#include "physics/petsc.h"

#include <math.h>
#include <string.h>

const fem_element_sizes fem_element_table[FEM_ELEMENT_COUNT] = {
    [FEM_P1] = {"triangle", "P1", 3, 3, 3, 1},
    [FEM_Q1] = {"quadrilateral", "Q1", 4, 4, 4, 1},
    [FEM_P2] = {"triangle", "P2", 3, 6, 6, 2},
    [FEM_Q2] = {"quadrilateral", "Q2", 4, 9, 9, 2},
};

fwm_status fem_element_parse(const char *cell, const char *space, fem_element *element)
{
    for (int e = 0; e < FEM_ELEMENT_COUNT; e++)
        if (space && strcmp(space, fem_element_table[e].space) == 0) {
            FWM_CHECK(!cell || strcmp(cell, fem_element_table[e].cell) == 0, FWM_INVALID,
                      "mesh: space %s needs cell %s, found '%s'", space, fem_element_table[e].cell, cell);
            *element = (fem_element)e;
            return FWM_OK;
        }
    return fwm_fail(FWM_INVALID, "mesh: expected space P1 or P2 (triangle), Q1 or Q2 (quadrilateral), found '%s'",
                    space ? space : "nothing");
}

const char *fem_element_cell(fem_element element)
{
    return fem_element_table[element].cell;
}

const char *fem_element_space(fem_element element)
{
    return fem_element_table[element].space;
}

const char *fem_boundary_name(int label)
{
    static const char *const names[FEM_BOUNDARY_COUNT] = {"other", "left", "right", "bottom", "top"};
    return label >= 0 && label < FEM_BOUNDARY_COUNT ? names[label] : "unknown";
}

/* ---- cells and their maps ---- */

/* Values and reference derivatives of the vertex functions (linear or bilinear), vertices counter-clockwise. */
static void vertex_functions(int vertices, const double r[FEM_DIM], double *value, double (*slope)[FEM_DIM])
{
    if (vertices == 3) {
        value[0] = -0.5 * (r[0] + r[1]);
        value[1] = 0.5 * (1 + r[0]);
        value[2] = 0.5 * (1 + r[1]);
        const double s[3][2] = {{-0.5, -0.5}, {0.5, 0}, {0, 0.5}};
        memcpy(slope, s, sizeof s);
        return;
    }
    static const double corner[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
    for (int v = 0; v < 4; v++) {
        double a = 1 + corner[v][0] * r[0], b = 1 + corner[v][1] * r[1];
        value[v] = 0.25 * a * b;
        slope[v][0] = 0.25 * corner[v][0] * b;
        slope[v][1] = 0.25 * corner[v][1] * a;
    }
}

void fem_cell_map(const fem_mesh *mesh, int64_t cell, const double reference[FEM_DIM], double x[FEM_DIM],
                  double *jacobian)
{
    double value[4], slope[4][FEM_DIM];
    vertex_functions(mesh->cell_vertices, reference, value, slope);
    double at[FEM_DIM] = {0, 0}, j[FEM_DIM * FEM_DIM] = {0, 0, 0, 0};
    for (int v = 0; v < mesh->cell_vertices; v++) {
        const double *corner = mesh->vertices + FEM_DIM * (int64_t)mesh->cells[cell * mesh->cell_vertices + v];
        for (int e = 0; e < FEM_DIM; e++) {
            at[e] += value[v] * corner[e];
            for (int d = 0; d < FEM_DIM; d++)
                j[e * FEM_DIM + d] += slope[v][d] * corner[e];
        }
    }
    memcpy(x, at, sizeof at);
    if (jacobian)
        memcpy(jacobian, j, sizeof j);
}

bool fem_cell_inverse(const fem_mesh *mesh, int64_t cell, const double x[FEM_DIM], double slack,
                      double reference[FEM_DIM])
{
    enum { ITERATIONS = 20 };
    double r[FEM_DIM] = {mesh->cell_vertices == 3 ? -1.0 / 3 : 0, mesh->cell_vertices == 3 ? -1.0 / 3 : 0};
    double change = INFINITY;
    for (int it = 0; it < ITERATIONS && change > 1e-14; it++) {
        double at[FEM_DIM], j[FEM_DIM * FEM_DIM];
        fem_cell_map(mesh, cell, r, at, j);
        double det = j[0] * j[3] - j[1] * j[2], dx = x[0] - at[0], dy = x[1] - at[1];
        if (!(fabs(det) > 0))
            return false;
        double step[FEM_DIM] = {(j[3] * dx - j[1] * dy) / det, (j[0] * dy - j[2] * dx) / det};
        change = fabs(step[0]) + fabs(step[1]);
        r[0] += step[0];
        r[1] += step[1];
        if (!(fabs(r[0]) + fabs(r[1]) < 100))
            return false;
    }
    memcpy(reference, r, sizeof r);
    if (change > 1e-10 || r[0] < -1 - slack || r[1] < -1 - slack)
        return false;
    return mesh->cell_vertices == 3 ? r[0] + r[1] <= slack : r[0] <= 1 + slack && r[1] <= 1 + slack;
}

/* ---- arrays ---- */

static double signed_area(const fem_mesh *mesh, int64_t cell)
{
    double twice = 0;
    const int32_t *v = mesh->cells + cell * mesh->cell_vertices;
    for (int k = 0; k < mesh->cell_vertices; k++) {
        const double *a = mesh->vertices + 2 * (int64_t)v[k],
                     *b = mesh->vertices + 2 * (int64_t)v[(k + 1) % mesh->cell_vertices];
        twice += a[0] * b[1] - a[1] * b[0];
    }
    return 0.5 * twice;
}

/* Areas, centroids, the box, orientation; refuses cells without area and vertices without cell. */
static fwm_status measure(fem_mesh *m)
{
    double *vertex = m->vertices;
    bool *used = fwm_calloc((size_t)m->n_vertices, 1);
    FWM_CHECK(used, FWM_MEMORY, "out of memory for a mesh of %lld vertices", (long long)m->n_vertices);
    fwm_status status = FWM_OK;
    for (int d = 0; d < FEM_DIM; d++) {
        m->lower[d] = INFINITY;
        m->upper[d] = -INFINITY;
    }
    for (int64_t i = 0; i < m->n_vertices * FEM_DIM; i++) {
        FWM_CHECK_GOTO(status, isfinite(vertex[i]), FWM_DATA, "mesh: vertex %lld has a coordinate that is not finite",
                       (long long)(i / FEM_DIM));
        m->lower[i % FEM_DIM] = fmin(m->lower[i % FEM_DIM], vertex[i]);
        m->upper[i % FEM_DIM] = fmax(m->upper[i % FEM_DIM], vertex[i]);
    }
    double box = (m->upper[0] - m->lower[0]) * (m->upper[1] - m->lower[1]);
    for (int64_t c = 0; c < m->n_cells; c++) {
        int32_t *v = m->cells + c * m->cell_vertices;
        for (int k = 0; k < m->cell_vertices; k++) {
            FWM_CHECK_GOTO(status, v[k] >= 0 && v[k] < m->n_vertices, FWM_DATA,
                           "mesh: cell %lld refers to vertex %d, expected 0 to %lld", (long long)c, v[k],
                           (long long)m->n_vertices - 1);
            used[v[k]] = true;
        }
        double area = signed_area(m, c);
        FWM_CHECK_GOTO(status, fabs(area) > 1e-14 * box, FWM_DATA, "mesh: cell %lld has no area", (long long)c);
        if (area < 0) { /* turned, keeping the first vertex */
            int32_t last = v[m->cell_vertices - 1];
            v[m->cell_vertices - 1] = v[1];
            v[1] = last;
        }
        m->cell_area[c] = fabs(area);
        m->area += fabs(area);
        double *centre = m->centroid + c * FEM_DIM;
        for (int d = 0; d < FEM_DIM; d++) {
            centre[d] = 0;
            for (int k = 0; k < m->cell_vertices; k++)
                centre[d] += vertex[FEM_DIM * (int64_t)v[k] + d] / m->cell_vertices;
        }
        m->impl->cell_size[c] = sqrt(fabs(area));
    }
    for (int64_t i = 0; i < m->n_vertices; i++)
        FWM_CHECK_GOTO(status, used[i], FWM_DATA, "mesh: vertex %lld belongs to no cell; leave it out", (long long)i);
done:
    fwm_free(used);
    return status;
}

static fwm_status make_space(fem_mesh *m)
{
    const fem_element_sizes *e = &fem_element_table[m->element];
    struct fem_petsc_mesh *p = m->impl->petsc;
    PetscInt *cells = fwm_malloc((size_t)(m->n_cells * e->cell_vertices), sizeof *cells);
    FWM_CHECK(cells, FWM_MEMORY, "out of memory for a mesh of %lld cells", (long long)m->n_cells);
    for (int64_t i = 0; i < m->n_cells * e->cell_vertices; i++)
        cells[i] = m->cells[i];
    PetscErrorCode code =
        DMPlexCreateFromCellListPetsc(PETSC_COMM_SELF, FEM_DIM, (PetscInt)m->n_cells, (PetscInt)m->n_vertices,
                                      e->cell_vertices, PETSC_TRUE, cells, FEM_DIM, m->vertices, &p->dm);
    fwm_free(cells);
    FEM_PETSC(code);
    PetscBool simplex = e->cell_vertices == 3 ? PETSC_TRUE : PETSC_FALSE;
    FEM_PETSC(PetscFECreateLagrange(PETSC_COMM_SELF, FEM_DIM, 1, simplex, e->degree, e->degree + 1, &p->fe));
    if (simplex)
        FEM_PETSC(PetscDTSimplexQuadrature(FEM_DIM, 2 * e->degree, PETSCDTSIMPLEXQUAD_MINSYM, &p->quadrature));
    else
        FEM_PETSC(PetscDTGaussTensorQuadrature(FEM_DIM, 1, e->degree + 1, -1, 1, &p->quadrature));
    FEM_PETSC(PetscFESetQuadrature(p->fe, p->quadrature));
    FEM_PETSC(DMSetField(p->dm, 0, NULL, (PetscObject)p->fe));
    FEM_PETSC(DMCreateDS(p->dm));
    return FWM_OK;
}

static fwm_status make_nodes(fem_mesh *m)
{
    struct fem_petsc_mesh *p = m->impl->petsc;
    PetscSection section;
    PetscInt size;
    FEM_PETSC(DMGetLocalSection(p->dm, &section));
    FEM_PETSC(PetscSectionGetStorageSize(section, &size));
    m->n_nodes = size;
    m->cell_node_count = fem_element_table[m->element].nodes;
    m->cell_nodes = fwm_malloc((size_t)(m->n_cells * m->cell_node_count), sizeof *m->cell_nodes);
    m->nodes = fwm_calloc((size_t)m->n_nodes * FEM_DIM, sizeof *m->nodes);
    m->lumped = fwm_calloc((size_t)m->n_nodes, sizeof *m->lumped);
    FWM_CHECK(m->cell_nodes && m->nodes && m->lumped, FWM_MEMORY, "out of memory for a mesh of %lld nodes",
              (long long)m->n_nodes);
    double at[FEM_MAX_CELL_NODES][FEM_DIM];
    PetscDualSpace dual;
    FEM_PETSC(PetscFEGetDualSpace(p->fe, &dual));
    for (PetscInt i = 0; i < m->cell_node_count; i++) {
        PetscQuadrature functional;
        const PetscReal *point;
        FEM_PETSC(PetscDualSpaceGetFunctional(dual, i, &functional));
        FEM_PETSC(PetscQuadratureGetData(functional, NULL, NULL, NULL, &point, NULL));
        memcpy(at[i], point, sizeof at[i]);
    }
    for (int64_t c = 0; c < m->n_cells; c++) {
        PetscInt n, *index = NULL;
        FEM_PETSC(DMPlexGetClosureIndices(p->dm, section, section, (PetscInt)c, PETSC_TRUE, &n, &index, NULL, NULL));
        FWM_CHECK(n == m->cell_node_count, FWM_INTERNAL, "mesh: cell %lld has %d nodes, expected %d", (long long)c,
                  (int)n, m->cell_node_count);
        for (int i = 0; i < n; i++) {
            m->cell_nodes[c * n + i] = index[i];
            fem_cell_map(m, c, at[i], m->nodes + FEM_DIM * (int64_t)index[i], NULL);
        }
        FEM_PETSC(
            DMPlexRestoreClosureIndices(p->dm, section, section, (PetscInt)c, PETSC_TRUE, &n, &index, NULL, NULL));
    }
    return FWM_OK;
}

static int face_label(const fem_mesh *m, const double *a, const double *b)
{
    static const struct {
        int axis, upper, label;
    } sides[] = {
        {0, 0, FEM_BOUNDARY_LEFT}, {0, 1, FEM_BOUNDARY_RIGHT}, {1, 0, FEM_BOUNDARY_BOTTOM}, {1, 1, FEM_BOUNDARY_TOP}};
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        int d = sides[s].axis;
        double line = sides[s].upper ? m->upper[d] : m->lower[d], slack = 1e-9 * (m->upper[d] - m->lower[d]);
        if (fabs(a[d] - line) <= slack && fabs(b[d] - line) <= slack)
            return sides[s].label;
    }
    return FEM_BOUNDARY_OTHER;
}

static fwm_status make_edges(fem_mesh *m)
{
    DM dm = m->impl->petsc->dm;
    PetscInt first, end, first_vertex;
    FEM_PETSC(DMPlexGetHeightStratum(dm, 1, &first, &end));
    FEM_PETSC(DMPlexGetDepthStratum(dm, 0, &first_vertex, NULL));
    size_t n = (size_t)(end - first);
    m->faces = fwm_malloc(2 * n, sizeof *m->faces);
    m->face_label = fwm_malloc(n, sizeof *m->face_label);
    m->pair = fwm_malloc(2 * n, sizeof *m->pair);
    m->pair_length = fwm_malloc(n, sizeof *m->pair_length);
    FWM_CHECK(m->faces && m->face_label && m->pair && m->pair_length, FWM_MEMORY, "out of memory for %zu edges", n);
    for (PetscInt f = first; f < end; f++) {
        const PetscInt *cone, *support;
        PetscInt cells;
        FEM_PETSC(DMPlexGetCone(dm, f, &cone));
        FEM_PETSC(DMPlexGetSupportSize(dm, f, &cells));
        FEM_PETSC(DMPlexGetSupport(dm, f, &support));
        int32_t v[2] = {cone[0] - first_vertex, cone[1] - first_vertex};
        const double *a = m->vertices + 2 * (int64_t)v[0], *b = m->vertices + 2 * (int64_t)v[1];
        if (cells == 2) {
            memcpy(m->pair + 2 * m->n_pairs, (int32_t[2]){support[0], support[1]}, 2 * sizeof *m->pair);
            m->pair_length[m->n_pairs++] = hypot(b[0] - a[0], b[1] - a[1]);
        } else {
            FWM_CHECK(cells == 1, FWM_DATA, "mesh: the edge between vertices %d and %d has %d cells, expected 1 or 2",
                      v[0], v[1], (int)cells);
            memcpy(m->faces + 2 * m->n_faces, v, sizeof v);
            m->face_label[m->n_faces++] = face_label(m, a, b);
        }
    }
    return FWM_OK;
}

/* ---- making and ending ---- */

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
    if (m) {
        m->impl = fwm_calloc(1, sizeof *m->impl);
        m->element = element;
        m->n_vertices = n_vertices;
        m->n_cells = n_cells;
        m->cell_vertices = fem_element_table[element].cell_vertices;
        m->vertices = fwm_malloc((size_t)n_vertices * FEM_DIM, sizeof *m->vertices);
        m->cells = fwm_malloc((size_t)(n_cells * m->cell_vertices), sizeof *m->cells);
        m->cell_area = fwm_malloc((size_t)n_cells, sizeof *m->cell_area);
        m->centroid = fwm_malloc((size_t)n_cells * FEM_DIM, sizeof *m->centroid);
        if (m->impl) {
            m->impl->petsc = fwm_calloc(1, sizeof *m->impl->petsc);
            m->impl->cell_size = fwm_malloc((size_t)n_cells, sizeof *m->impl->cell_size);
        }
    }
    if (!m || !m->impl || !m->impl->petsc || !m->impl->cell_size || !m->vertices || !m->cells || !m->cell_area ||
        !m->centroid) {
        fem_mesh_destroy(&m);
        return fwm_fail(FWM_MEMORY, "out of memory for a mesh of %lld cells", (long long)n_cells);
    }
    *mesh = m;
    return FWM_OK;
}

static fwm_status build(fem_mesh **mesh)
{
    fwm_status status;
    FWM_TRY_GOTO(status, measure(*mesh));
    FWM_TRY_GOTO(status, make_space(*mesh));
    FWM_TRY_GOTO(status, make_nodes(*mesh));
    FWM_TRY_GOTO(status, make_edges(*mesh));
    FWM_TRY_GOTO(status, fem_tables_create(*mesh));
    return FWM_OK;
done:
    fem_mesh_destroy(mesh);
    return status;
}

fwm_status fem_mesh_create(fem_mesh **mesh, const fem_mesh_spec *spec)
{
    enum { MAX_CELLS = 4096 };
    *mesh = NULL;
    FWM_CHECK(spec->nx >= 1 && spec->nx <= MAX_CELLS && spec->ny >= 1 && spec->ny <= MAX_CELLS, FWM_INVALID,
              "mesh: expected nx and ny from 1 to %d, found %lld and %lld", MAX_CELLS, (long long)spec->nx,
              (long long)spec->ny);
    FWM_CHECK(isfinite(spec->lx) && isfinite(spec->ly) && spec->lx > 0 && spec->ly > 0, FWM_INVALID,
              "mesh: expected positive edges lx and ly, found %g and %g", spec->lx, spec->ly);
    FWM_CHECK((int)spec->element >= 0 && spec->element < FEM_ELEMENT_COUNT, FWM_INVALID, "mesh: unknown element %d",
              (int)spec->element);
    int64_t nx = spec->nx, ny = spec->ny;
    bool triangles = fem_element_table[spec->element].cell_vertices == 3;
    FWM_TRY(allocate(mesh, spec->element, (nx + 1) * (ny + 1), triangles ? 2 * nx * ny : nx * ny));
    fem_mesh *m = *mesh;
    for (int64_t j = 0; j <= ny; j++)
        for (int64_t i = 0; i <= nx; i++) {
            double *v = m->vertices + FEM_DIM * (j * (nx + 1) + i);
            v[0] = spec->lx * (double)i / (double)nx;
            v[1] = spec->ly * (double)j / (double)ny;
        }
    for (int64_t j = 0; j < ny; j++)
        for (int64_t i = 0; i < nx; i++) {
            int32_t a = (int32_t)(j * (nx + 1) + i), b = a + 1, c = a + (int32_t)nx + 2, d = c - 1;
            if (triangles)
                memcpy(m->cells + 6 * (j * nx + i), (int32_t[]){a, b, c, a, c, d}, 6 * sizeof *m->cells);
            else
                memcpy(m->cells + 4 * (j * nx + i), (int32_t[]){a, b, c, d}, 4 * sizeof *m->cells);
        }
    return build(mesh);
}

fwm_status fem_mesh_from_arrays(fem_mesh **mesh, fem_element element, int64_t n_vertices, const double *vertices,
                                int64_t n_cells, const int32_t *cells)
{
    FWM_TRY(allocate(mesh, element, n_vertices, n_cells));
    memcpy((*mesh)->vertices, vertices, (size_t)n_vertices * FEM_DIM * sizeof *vertices);
    memcpy((*mesh)->cells, cells, (size_t)(n_cells * (*mesh)->cell_vertices) * sizeof *cells);
    return build(mesh);
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
        for (int d = 0; d < 2; d++)
            for (int k = 0; k < 6; k++)
                fwm_free(m->impl->owned[d][k]);
        fwm_free(m->impl->cell_size);
        fem_csr_destroy(&m->impl->mass);
        fwm_free(m->impl);
    }
    void *arrays[] = {m->vertices, m->cells,     m->nodes,    m->cell_nodes, m->faces,      m->face_label,
                      m->lumped,   m->cell_area, m->centroid, m->pair,       m->pair_length};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free(m);
}
