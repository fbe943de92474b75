/* Parts of making a mesh: measures and orientation of cells, PETSc's space and its nodes, faces. */
#include "model/base/arena.h"
#include "physics/petsc.h"

#include <math.h>
#include <string.h>

/* ---- cells ---- */

/* The measure with the sign of the orientation: exact, since the determinant is constant on simplices and of degree 1
 * (plane) or 2 (space) along each axis otherwise. */
static double signed_measure(const fem_mesh *m, int64_t cell)
{
    const fem_cell_shape *shape = fem_shape(m);
    int dim = shape->dim, points = shape->simplex ? 1 : 1 << dim;
    double sum = 0;
    for (int q = 0; q < points; q++) {
        double at[FEM_MAX_DIM], x[FEM_MAX_DIM], j[FEM_MAX_DIM * FEM_MAX_DIM];
        for (int d = 0; d < dim; d++)
            at[d] = shape->simplex ? -0.5 : (q >> d & 1 ? 1 : -1) / sqrt(3);
        fem_cell_map(m, cell, at, x, j);
        sum += fem_invert(dim, j, NULL);
    }
    return shape->simplex ? sum * (dim == 2 ? 2 : 4.0 / 3) : sum;
}

static fwm_status check_indices(const fem_mesh *m, int64_t cell, bool *used)
{
    const int32_t *v = m->cells + cell * m->cell_vertices;
    for (int k = 0; k < m->cell_vertices; k++) {
        FWM_CHECK(v[k] >= 0 && v[k] < m->n_vertices, FWM_DATA,
                  "mesh: cell %lld refers to vertex %d, expected 0 to %lld", (long long)cell, v[k],
                  (long long)m->n_vertices - 1);
        for (int l = 0; l < k; l++)
            FWM_CHECK(v[k] != v[l], FWM_DATA, "mesh: cell %lld has no area: vertex %d appears twice in it",
                      (long long)cell, v[k]);
        used[v[k]] = true;
    }
    return FWM_OK;
}

/* Measures one cell, turns it where mirrored, refuses it where flat or folded over. */
static fwm_status measure_cell(fem_mesh *m, int64_t cell)
{
    const fem_cell_shape *shape = fem_shape(m);
    int dim = shape->dim;
    int32_t *v = m->cells + cell * shape->vertices, before[FEM_MAX_CELL_VERTICES];
    double volume = signed_measure(m, cell), extent = 0, *centre = m->centroid + cell * dim;
    for (int d = 0; d < dim; d++) {
        double least = INFINITY, most = -INFINITY;
        centre[d] = 0;
        for (int k = 0; k < shape->vertices; k++) {
            double x = m->vertices[dim * (int64_t)v[k] + d];
            least = fmin(least, x);
            most = fmax(most, x);
            centre[d] += x / shape->vertices;
        }
        extent = fmax(extent, most - least);
    }
    double whole = pow(extent, dim);
    FWM_CHECK(isfinite(whole) && fabs(volume) > 1e-12 * whole, FWM_DATA,
              "mesh: cell %lld has no %s: %g, of an extent of %g; remove it or move its vertices apart",
              (long long)cell, dim == 2 ? "area" : "volume", volume, extent);
    if (volume < 0) {
        memcpy(before, v, (size_t)shape->vertices * sizeof *v);
        for (int k = 0; k < shape->vertices; k++)
            v[k] = before[shape->turned[k]];
    }
    for (int k = 0; !shape->simplex && k < shape->vertices; k++) {
        double x[FEM_MAX_DIM], j[FEM_MAX_DIM * FEM_MAX_DIM];
        fem_cell_map(m, cell, shape->corner[k], x, j);
        FWM_CHECK(fem_invert(dim, j, NULL) > 1e-12 * whole, FWM_DATA,
                  "mesh: cell %lld is folded over at its vertex %d; list its vertices around it, and keep it convex",
                  (long long)cell, v[k]);
    }
    m->cell_area[cell] = fabs(volume);
    m->area += fabs(volume);
    m->impl->cell_size[cell] = pow(fabs(volume), 1.0 / dim);
    return FWM_OK;
}

fwm_status fem_build_cells(fem_mesh *m)
{
    bool *used = fwm_calloc((size_t)m->n_vertices, 1);
    FWM_CHECK(used, FWM_MEMORY, "out of memory for a mesh of %lld vertices", (long long)m->n_vertices);
    fwm_status status = FWM_OK;
    for (int d = 0; d < m->dim; d++) {
        m->lower[d] = INFINITY;
        m->upper[d] = -INFINITY;
    }
    for (int64_t i = 0; i < m->n_vertices * m->dim; i++) {
        double x = m->vertices[i];
        FWM_CHECK_GOTO(status, isfinite(x), FWM_DATA, "mesh: vertex %lld has a coordinate that is not finite",
                       (long long)(i / m->dim));
        m->lower[i % m->dim] = fmin(m->lower[i % m->dim], x);
        m->upper[i % m->dim] = fmax(m->upper[i % m->dim], x);
    }
    for (int64_t c = 0; c < m->n_cells; c++) {
        FWM_TRY_GOTO(status, check_indices(m, c, used));
        FWM_TRY_GOTO(status, measure_cell(m, c));
    }
    for (int64_t i = 0; i < m->n_vertices; i++)
        FWM_CHECK_GOTO(status, used[i], FWM_DATA, "mesh: vertex %lld belongs to no cell; leave it out", (long long)i);
done:
    fwm_free(used);
    return status;
}

/* ---- PETSc's topology and space ---- */

static inline int32_t merged(const fem_mesh *m, int32_t vertex)
{
    return m->impl->merged ? m->impl->merged[vertex] : vertex;
}

static fwm_status make_plex(fem_mesh *m)
{
    const fem_cell_shape *shape = fem_shape(m);
    struct fem_petsc_mesh *p = m->impl->petsc;
    PetscInt *cells = fwm_malloc((size_t)(m->n_cells * shape->vertices), sizeof *cells);
    double *x = fwm_malloc((size_t)(m->impl->n_merged * m->dim), sizeof *x);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, cells && x, FWM_MEMORY, "out of memory for a mesh of %lld cells", (long long)m->n_cells);
    for (int64_t c = 0; c < m->n_cells; c++)
        for (int k = 0; k < shape->vertices; k++)
            cells[c * shape->vertices + k] = merged(m, m->cells[c * shape->vertices + shape->petsc[k]]);
    for (int64_t i = m->n_vertices - 1; i >= 0; i--)
        memcpy(x + m->dim * (int64_t)merged(m, (int32_t)i), m->vertices + m->dim * i, (size_t)m->dim * sizeof *x);
    FEM_PETSC_GOTO(status, DMPlexCreateFromCellListPetsc(PETSC_COMM_SELF, m->dim, (PetscInt)m->n_cells,
                                                         (PetscInt)m->impl->n_merged, shape->vertices, PETSC_TRUE,
                                                         cells, m->dim, x, &p->dm));
done:
    fwm_free(cells);
    fwm_free(x);
    return status;
}

static fwm_status make_space(fem_mesh *m)
{
    const fem_element_sizes *e = &fem_element_table[m->element];
    struct fem_petsc_mesh *p = m->impl->petsc;
    FEM_PETSC(PetscFECreateLagrange(PETSC_COMM_SELF, m->dim, 1, e->shape->simplex ? PETSC_TRUE : PETSC_FALSE, e->degree,
                                    e->degree + 1, &p->fe));
    if (e->shape->simplex)
        FEM_PETSC(PetscDTSimplexQuadrature(m->dim, 2 * e->degree, PETSCDTSIMPLEXQUAD_MINSYM, &p->quadrature));
    else
        FEM_PETSC(PetscDTGaussTensorQuadrature(m->dim, 1, e->degree + 1, -1, 1, &p->quadrature));
    FEM_PETSC(PetscFESetQuadrature(p->fe, p->quadrature));
    FEM_PETSC(DMSetField(p->dm, 0, NULL, (PetscObject)p->fe));
    FEM_PETSC(DMCreateDS(p->dm));
    return FWM_OK;
}

/* ---- nodes ---- */

/* The reference coordinates of the k-th node of a face: its vertices, the middles of its edges, its centre. */
static void face_node_at(const fem_cell_shape *shape, int face, int k, double *reference)
{
    const int *vertex = shape->face[face];
    int n = shape->face_vertices, edges = n == 2 ? 1 : n,
        first = k < n           ? k
                : k < n + edges ? k - n
                                : 0,
        count = k < n           ? 1
                : k < n + edges ? 2
                                : n;
    for (int d = 0; d < shape->dim; d++) {
        reference[d] = 0;
        for (int v = 0; v < count; v++)
            reference[d] += shape->corner[vertex[(first + v) % n]][d] / count;
    }
}

static fwm_status find_face_nodes(fem_mesh *m, double (*at)[FEM_MAX_DIM])
{
    const fem_cell_shape *shape = fem_shape(m);
    for (int f = 0; f < shape->faces; f++)
        for (int k = 0; k < m->face_node_count; k++) {
            double want[FEM_MAX_DIM];
            int found = -1;
            face_node_at(shape, f, k, want);
            for (int i = 0; i < m->cell_node_count; i++) {
                double distance = 0;
                for (int d = 0; d < shape->dim; d++)
                    distance += fabs(at[i][d] - want[d]);
                if (distance < 1e-9)
                    found = i;
            }
            FWM_CHECK(found >= 0, FWM_INTERNAL, "mesh: no node at the place of node %d of face %d", k, f);
            m->impl->local_face_nodes[f][k] = found;
        }
    return FWM_OK;
}

static fwm_status find_places(fem_mesh *m, double (*at)[FEM_MAX_DIM])
{
    const fem_cell_shape *shape = fem_shape(m);
    for (int i = 0; i < m->cell_node_count; i++) {
        int found = -1;
        for (int p = 0; p < shape->places && found < 0; p++) {
            double distance = 0;
            for (int d = 0; d < shape->dim; d++) {
                double mean = 0;
                for (int v = 0; v < shape->vertices; v++)
                    mean += shape->mean[p] >> v & 1 ? shape->corner[v][d] / __builtin_popcount(shape->mean[p]) : 0;
                distance += fabs(at[i][d] - mean);
            }
            found = distance < 1e-9 ? p : -1;
        }
        FWM_CHECK(found >= 0, FWM_INTERNAL, "mesh: node %d of a cell lies at no vertex, edge, face or centre", i);
        m->impl->node_place[i] = found;
    }
    return FWM_OK;
}

/* Nodes where the first cell has them; other cells must agree, or PETSc numbers a cell's vertices otherwise than the
 * tables of mesh_cell.c say. */
static fwm_status place_nodes(fem_mesh *m, int64_t cell, double (*at)[FEM_MAX_DIM], bool *placed)
{
    double slack = 1e-9 * m->impl->cell_size[cell];
    for (int i = 0; i < m->cell_node_count; i++) {
        int64_t node = m->cell_nodes[cell * m->cell_node_count + i];
        double x[FEM_MAX_DIM], *own = m->nodes + m->dim * node;
        fem_cell_map(m, cell, at[i], x, NULL);
        for (int d = 0; placed[node] && !m->impl->merged && d < m->dim; d++)
            FWM_CHECK(fabs(x[d] - own[d]) <= slack + 1e-12 * fabs(x[d]), FWM_INTERNAL,
                      "mesh: cell %lld has its node %d elsewhere than its neighbours", (long long)cell, i);
        if (!placed[node])
            memcpy(own, x, (size_t)m->dim * sizeof *x);
        placed[node] = true;
    }
    return FWM_OK;
}

static fwm_status make_nodes(fem_mesh *m)
{
    const fem_element_sizes *e = &fem_element_table[m->element];
    struct fem_petsc_mesh *p = m->impl->petsc;
    PetscSection section;
    PetscInt size;
    PetscDualSpace dual;
    double at[FEM_MAX_CELL_NODES][FEM_MAX_DIM];
    FEM_PETSC(DMGetLocalSection(p->dm, &section));
    FEM_PETSC(PetscSectionGetStorageSize(section, &size));
    m->n_nodes = size;
    m->cell_node_count = e->nodes;
    m->face_node_count = e->face_nodes;
    m->cell_nodes = fwm_malloc((size_t)(m->n_cells * e->nodes), sizeof *m->cell_nodes);
    m->nodes = fwm_calloc((size_t)(m->n_nodes * m->dim), sizeof *m->nodes);
    m->lumped = fwm_calloc((size_t)m->n_nodes, sizeof *m->lumped);
    bool *placed = fwm_calloc((size_t)m->n_nodes, 1);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, m->cell_nodes && m->nodes && m->lumped && placed, FWM_MEMORY,
                   "out of memory for a mesh of %lld nodes", (long long)m->n_nodes);
    FEM_PETSC_GOTO(status, PetscFEGetDualSpace(p->fe, &dual));
    for (PetscInt i = 0; i < e->nodes; i++) {
        PetscQuadrature functional;
        const PetscReal *point;
        FEM_PETSC_GOTO(status, PetscDualSpaceGetFunctional(dual, i, &functional));
        FEM_PETSC_GOTO(status, PetscQuadratureGetData(functional, NULL, NULL, NULL, &point, NULL));
        memcpy(at[i], point, (size_t)m->dim * sizeof *point);
    }
    FWM_TRY_GOTO(status, find_face_nodes(m, at));
    FWM_TRY_GOTO(status, find_places(m, at));
    for (int64_t c = 0; c < m->n_cells; c++) {
        PetscInt n, *index = NULL, cell = (PetscInt)c;
        FEM_PETSC_GOTO(status,
                       DMPlexGetClosureIndices(p->dm, section, section, cell, PETSC_TRUE, &n, &index, NULL, NULL));
        FWM_CHECK_GOTO(status, n == e->nodes, FWM_INTERNAL, "mesh: cell %lld has %d nodes, expected %d", (long long)c,
                       (int)n, e->nodes);
        for (int i = 0; i < n; i++)
            m->cell_nodes[c * n + i] = index[i];
        FEM_PETSC_GOTO(status,
                       DMPlexRestoreClosureIndices(p->dm, section, section, cell, PETSC_TRUE, &n, &index, NULL, NULL));
        FWM_TRY_GOTO(status, place_nodes(m, c, at, placed));
    }
done:
    fwm_free(placed);
    return status;
}

fwm_status fem_build_space(fem_mesh *m)
{
    FWM_TRY(make_plex(m));
    FWM_TRY(make_space(m));
    return make_nodes(m);
}

/* ---- faces ---- */

static int side_label(const fem_mesh *m, const int32_t *vertex)
{
    for (int d = 0; d < m->dim; d++)
        for (int upper = 0; upper < 2; upper++) {
            double plane = upper ? m->upper[d] : m->lower[d], slack = 1e-9 * (m->upper[d] - m->lower[d]);
            bool within = true;
            for (int k = 0; k < m->face_vertices; k++)
                within = within && fabs(m->vertices[m->dim * (int64_t)vertex[k] + d] - plane) <= slack;
            if (within)
                return FEM_BOUNDARY_LEFT + 2 * d + upper;
        }
    return FEM_BOUNDARY_OTHER;
}

/* Which of a cell's faces a point of the plex is. */
static fwm_status local_face(const fem_mesh *m, PetscInt face, PetscInt cell, int *local)
{
    const PetscInt *cone;
    FEM_PETSC(DMPlexGetCone(m->impl->petsc->dm, cell, &cone));
    for (*local = 0; *local < fem_shape(m)->faces; ++*local)
        if (cone[*local] == face)
            return FWM_OK;
    return fwm_fail(FWM_INTERNAL, "mesh: cell %d does not know its face %d", (int)cell, (int)face);
}

static void add_face(fem_mesh *m, int64_t cell, int local)
{
    const fem_cell_shape *shape = fem_shape(m);
    int64_t f = m->n_faces++;
    for (int k = 0; k < m->face_vertices; k++)
        m->faces[f * m->face_vertices + k] = m->cells[cell * m->cell_vertices + shape->face[local][k]];
    for (int k = 0; k < m->face_node_count; k++)
        m->face_nodes[f * m->face_node_count + k] =
            m->cell_nodes[cell * m->cell_node_count + m->impl->local_face_nodes[local][k]];
    m->face_cell[f] = (int32_t)cell;
    m->face_local[f] = local;
    m->face_label[f] = side_label(m, m->faces + f * m->face_vertices);
}

/* The measure of a face between two cells, which must lie on its two sides. */
static fwm_status add_pair(fem_mesh *m, const PetscInt cell[2], const int local[2])
{
    const fem_cell_shape *shape = fem_shape(m), *own = fem_face_shape(shape);
    double middle[FEM_MAX_DIM - 1] = {0}, normal[2][FEM_MAX_DIM], x[FEM_MAX_DIM], j[FEM_MAX_DIM * FEM_MAX_DIM], dot = 0;
    double measure = shape->dim == 2 ? 2 : own->simplex ? 2 : 4, length = 0;
    for (int d = 0; own->simplex && own->dim == 2 && d < 2; d++)
        middle[d] = -1.0 / 3;
    for (int k = 0; k < 2; k++) {
        double size = fem_face_normal(m, cell[k], local[k], middle, x, j, normal[k]);
        length = k == 0 ? size * measure : length;
    }
    for (int d = 0; d < m->dim; d++)
        dot += normal[0][d] * normal[1][d];
    FWM_CHECK(dot < -0.5, FWM_DATA, "mesh: cells %d and %d overlap: both lie on the same side of the face they share",
              (int)cell[0], (int)cell[1]);
    memcpy(m->pair + 2 * m->n_pairs, (int32_t[]){cell[0], cell[1]}, 2 * sizeof *m->pair);
    m->pair_length[m->n_pairs++] = length;
    return FWM_OK;
}

fwm_status fem_build_faces(fem_mesh *m)
{
    DM dm = m->impl->petsc->dm;
    PetscInt first, end;
    FEM_PETSC(DMPlexGetHeightStratum(dm, 1, &first, &end));
    int64_t outer = 0, n = end - first;
    for (PetscInt f = first; f < end; f++) {
        PetscInt cells;
        FEM_PETSC(DMPlexGetSupportSize(dm, f, &cells));
        outer += cells == 1;
    }
    m->faces = fwm_malloc((size_t)(outer * m->face_vertices), sizeof *m->faces);
    m->face_nodes = fwm_malloc((size_t)(outer * m->face_node_count), sizeof *m->face_nodes);
    m->face_cell = fwm_malloc((size_t)outer, sizeof *m->face_cell);
    m->face_local = fwm_malloc((size_t)outer, sizeof *m->face_local);
    m->face_label = fwm_malloc((size_t)outer, sizeof *m->face_label);
    m->pair = fwm_malloc((size_t)(2 * (n - outer)), sizeof *m->pair);
    m->pair_length = fwm_malloc((size_t)(n - outer), sizeof *m->pair_length);
    FWM_CHECK(m->faces && m->face_nodes && m->face_cell && m->face_local && m->face_label && m->pair && m->pair_length,
              FWM_MEMORY, "out of memory for %lld faces", (long long)n);
    for (PetscInt f = first; f < end; f++) {
        const PetscInt *support;
        PetscInt cells;
        int local[2];
        FEM_PETSC(DMPlexGetSupportSize(dm, f, &cells));
        FEM_PETSC(DMPlexGetSupport(dm, f, &support));
        FWM_CHECK(cells == 1 || cells == 2, FWM_DATA,
                  "mesh: %d cells meet at one face of cell %d, expected 1 or 2; do cells appear twice?", (int)cells,
                  cells > 0 ? (int)support[0] : -1);
        for (int k = 0; k < cells; k++)
            FWM_TRY(local_face(m, f, support[k], &local[k]));
        if (cells == 1)
            add_face(m, support[0], local[0]);
        else
            FWM_TRY(add_pair(m, support, local));
    }
    return FWM_OK;
}
