/* From the parts of a .msh file to a mesh. */
#include "physics/gmsh_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tag_index {
    int64_t tag, index;
} tag_index;

static int compare_tags(const void *a, const void *b)
{
    const tag_index *x = a, *y = b;
    return (x->tag > y->tag) - (x->tag < y->tag);
}

/* Groups of one dimension under their names: regions or boundaries. */
typedef struct groups {
    int n;
    int32_t tag[FEM_MAX_NAMES];
    char name[FEM_MAX_NAMES][FEM_NAME_BYTES];
    const char *text[FEM_MAX_NAMES];
} groups;

typedef struct maker {
    const gmsh_file *file;
    int cell, face; /* kinds; the faces' may have none */
    int dim;
    tag_index *nodes;   /* [n_nodes] sorted by tag */
    int32_t *vertex;    /* [n_nodes] its number among the vertices, -1 unused */
    int64_t n_vertices; /* used by cells */
    double *vertices;
    int32_t *cells, *region, *faces;
    groups regions, boundaries;
    fem_named_faces named[FEM_MAX_NAMES];
} maker;

static fwm_status choose_cells(maker *m)
{
    const gmsh_file *f = m->file;
    m->cell = -1;
    for (int k = 0; k < GMSH_KINDS; k++)
        if (f->element[k].count > 0)
            m->cell = k;
    FWM_CHECK(m->cell > GMSH_LINE, FWM_DATA,
              "%s: expected triangles, quadrilaterals, tetrahedra or hexahedra, found none; save all elements, or give "
              "the cells a physical group",
              f->path);
    m->dim = gmsh_kinds[m->cell].dim;
    for (int k = GMSH_TRIANGLE; k < m->cell; k++)
        FWM_CHECK(gmsh_kinds[k].dim != m->dim || f->element[k].count == 0, FWM_DATA,
                  "%s: expected cells of one kind, found %lld %s and %lld %s", f->path, (long long)f->element[k].count,
                  gmsh_kinds[k].name, (long long)f->element[m->cell].count, gmsh_kinds[m->cell].name);
    m->face = m->dim == 2 ? GMSH_LINE : m->cell == GMSH_TETRAHEDRON ? GMSH_TRIANGLE : GMSH_QUADRILATERAL;
    return FWM_OK;
}

static fwm_status index_nodes(maker *m)
{
    const gmsh_file *f = m->file;
    m->nodes = fwm_malloc((size_t)f->n_nodes, sizeof *m->nodes);
    m->vertex = fwm_malloc((size_t)f->n_nodes, sizeof *m->vertex);
    FWM_CHECK(m->nodes && m->vertex, FWM_MEMORY, "%s: out of memory for %lld nodes", f->path, (long long)f->n_nodes);
    for (int64_t i = 0; i < f->n_nodes; i++) {
        m->nodes[i] = (tag_index){f->tag[i], i};
        m->vertex[i] = -1;
    }
    qsort(m->nodes, (size_t)f->n_nodes, sizeof *m->nodes, compare_tags);
    for (int64_t i = 1; i < f->n_nodes; i++)
        FWM_CHECK(m->nodes[i].tag != m->nodes[i - 1].tag, FWM_DATA, "%s: two nodes have the tag %lld", f->path,
                  (long long)m->nodes[i].tag);
    return FWM_OK;
}

static fwm_status find_node(const maker *m, int64_t tag, const char *what, int64_t element, int64_t *index)
{
    *index = 0;
    const tag_index *found =
        bsearch(&(tag_index){tag, 0}, m->nodes, (size_t)m->file->n_nodes, sizeof *m->nodes, compare_tags);
    FWM_CHECK(found, FWM_DATA, "%s: the %lld-th of the %s refers to node %lld, which the file does not hold",
              m->file->path, (long long)element + 1, what, (long long)tag);
    *index = found->index;
    return FWM_OK;
}

/* Numbers the nodes that cells use, in the file's order. */
static fwm_status take_cells(maker *m)
{
    const gmsh_file *f = m->file;
    const gmsh_elements *e = &f->element[m->cell];
    int k = gmsh_kinds[m->cell].nodes;
    m->cells = fwm_malloc((size_t)(e->count * k), sizeof *m->cells);
    FWM_CHECK(m->cells, FWM_MEMORY, "%s: out of memory for %lld cells", f->path, (long long)e->count);
    for (int64_t i = 0; i < e->count * k; i++) {
        int64_t index;
        FWM_TRY(find_node(m, e->node[i], gmsh_kinds[m->cell].name, i / k, &index));
        m->vertex[index] = 0;
        m->cells[i] = (int32_t)index;
    }
    for (int64_t i = 0; i < f->n_nodes; i++)
        if (m->vertex[i] == 0)
            m->vertex[i] = (int32_t)m->n_vertices++;
    for (int64_t i = 0; i < e->count * k; i++)
        m->cells[i] = m->vertex[m->cells[i]];
    return FWM_OK;
}

static fwm_status take_vertices(maker *m)
{
    const gmsh_file *f = m->file;
    double low = INFINITY, high = -INFINITY, size = 0;
    m->vertices = fwm_malloc((size_t)(m->n_vertices * m->dim), sizeof *m->vertices);
    FWM_CHECK(m->vertices, FWM_MEMORY, "%s: out of memory for %lld vertices", f->path, (long long)m->n_vertices);
    for (int64_t i = 0; i < f->n_nodes; i++) {
        if (m->vertex[i] < 0)
            continue;
        memcpy(m->vertices + m->dim * (int64_t)m->vertex[i], f->x + 3 * i, (size_t)m->dim * sizeof *m->vertices);
        low = fmin(low, f->x[3 * i + 2]);
        high = fmax(high, f->x[3 * i + 2]);
        size = fmax(size, fmax(fabs(f->x[3 * i]), fabs(f->x[3 * i + 1])));
    }
    FWM_CHECK(m->dim == 3 || high - low <= 1e-9 * size, FWM_DATA,
              "%s: %s from z = %g to %g: expected a mesh in one plane z = constant, or cells that fill space", f->path,
              gmsh_kinds[m->cell].name, low, high);
    return FWM_OK;
}

/* The place of a physical tag among the groups, added where new; 0 is "other". */
static fwm_status group_of(const maker *m, groups *g, int dim, int32_t tag, int *at)
{
    for (*at = 0; *at < g->n; ++*at)
        if (g->tag[*at] == tag)
            return FWM_OK;
    FWM_CHECK(g->n < FEM_MAX_NAMES, FWM_DATA, "%s: more than %d physical groups of dimension %d", m->file->path,
              FEM_MAX_NAMES, dim);
    const char *name = NULL;
    for (int64_t k = 0; k < m->file->n_names; k++)
        if (m->file->name[k].dim == dim && m->file->name[k].tag == tag)
            name = m->file->name[k].text;
    if (name)
        strcpy(g->name[g->n], name);
    else if (tag == 0)
        strcpy(g->name[g->n], "other");
    else
        (void)snprintf(g->name[g->n], FEM_NAME_BYTES, "%d", tag);
    g->text[g->n] = g->name[g->n];
    g->tag[g->n++] = tag;
    return FWM_OK;
}

static fwm_status take_regions(maker *m)
{
    const gmsh_elements *e = &m->file->element[m->cell];
    bool any = false;
    m->region = fwm_malloc((size_t)e->count, sizeof *m->region);
    FWM_CHECK(m->region, FWM_MEMORY, "%s: out of memory for %lld cells", m->file->path, (long long)e->count);
    for (int64_t c = 0; c < e->count; c++) {
        int at;
        any = any || e->group[c] != 0;
        FWM_TRY(group_of(m, &m->regions, m->dim, e->group[c], &at));
        m->region[c] = at;
    }
    if (!any)
        m->regions.n = 0;
    return FWM_OK;
}

/* Faces of named groups, collected group by group. */
static fwm_status take_boundaries(maker *m)
{
    const gmsh_elements *e = &m->file->element[m->face];
    int k = gmsh_kinds[m->face].nodes, at;
    m->faces = fwm_malloc((size_t)(e->count * k), sizeof *m->faces);
    FWM_CHECK(m->faces, FWM_MEMORY, "%s: out of memory for %lld faces", m->file->path, (long long)e->count);
    for (int64_t i = 0; i < e->count; i++)
        if (e->group[i] != 0)
            FWM_TRY(group_of(m, &m->boundaries, m->dim - 1, e->group[i], &at));
    int32_t *next = m->faces;
    for (int g = 0; g < m->boundaries.n; g++) {
        m->named[g] = (fem_named_faces){.name = m->boundaries.text[g], .faces = next};
        for (int64_t i = 0; i < e->count; i++) {
            if (e->group[i] != m->boundaries.tag[g])
                continue;
            for (int v = 0; v < k; v++) {
                int64_t index;
                FWM_TRY(find_node(m, e->node[i * k + v], gmsh_kinds[m->face].name, i, &index));
                FWM_CHECK(m->vertex[index] >= 0, FWM_DATA,
                          "%s: boundary '%s' holds node %lld, which belongs to none of the %s", m->file->path,
                          m->named[g].name, (long long)e->node[i * k + v], gmsh_kinds[m->cell].name);
                *next++ = m->vertex[index];
            }
            m->named[g].count++;
        }
    }
    return FWM_OK;
}

static fwm_status make(fem_mesh **mesh, maker *m, int degree)
{
    static const fem_element elements[GMSH_KINDS][2] = {[GMSH_TRIANGLE] = {FEM_P1, FEM_P2},
                                                        [GMSH_QUADRILATERAL] = {FEM_Q1, FEM_Q2},
                                                        [GMSH_TETRAHEDRON] = {FEM_TET_P1, FEM_TET_P2},
                                                        [GMSH_HEXAHEDRON] = {FEM_HEX_Q1, FEM_HEX_Q2}};
    FWM_TRY(choose_cells(m));
    FWM_TRY(index_nodes(m));
    FWM_TRY(take_cells(m));
    FWM_TRY(take_vertices(m));
    FWM_TRY(take_regions(m));
    FWM_TRY(take_boundaries(m));
    fwm_status status = fem_mesh_build(mesh, &(fem_mesh_arrays){.element = elements[m->cell][degree - 1],
                                                                .n_vertices = m->n_vertices,
                                                                .n_cells = m->file->element[m->cell].count,
                                                                .vertices = m->vertices,
                                                                .cells = m->cells,
                                                                .n_boundaries = m->boundaries.n,
                                                                .boundary = m->named,
                                                                .n_regions = m->regions.n,
                                                                .region_name = m->regions.text,
                                                                .cell_region = m->region});
    return status == FWM_OK ? status : fwm_fail_within(status, "%s", m->file->path);
}

fwm_status fem_mesh_from_gmsh(fem_mesh **mesh, const char *path, int degree)
{
    *mesh = NULL;
    FWM_CHECK(degree == 1 || degree == 2, FWM_INVALID, "%s: expected a space of degree 1 or 2, found %d", path, degree);
    gmsh_file file;
    maker *m = fwm_calloc(1, sizeof *m);
    FWM_CHECK(m, FWM_MEMORY, "%s: out of memory", path);
    fwm_status status = gmsh_read(&file, path);
    m->file = &file;
    if (status == FWM_OK)
        status = make(mesh, m, degree);
    gmsh_free(&file);
    fwm_free(m->nodes);
    fwm_free(m->vertex);
    fwm_free(m->vertices);
    fwm_free(m->cells);
    fwm_free(m->region);
    fwm_free(m->faces);
    fwm_free(m);
    return status;
}
