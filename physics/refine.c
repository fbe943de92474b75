#include "physics/refine.h"

#include "model/base/arena.h"
#include "physics/mesh_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLACES = 27, MAX_CHILDREN = 8, KEY = 4 };

/* The vertices of a cell's children: each is the mean of those of the cell's vertices whose bits are set. */
typedef struct lattice {
    int places, children;
    uint8_t mean[MAX_PLACES];
    int8_t child[MAX_CHILDREN][FEM_MAX_CELL_VERTICES];
} lattice;

static const lattice triangle = {6, 4, {1, 2, 4, 3, 6, 5}, {{0, 3, 5}, {3, 1, 4}, {5, 4, 2}, {3, 4, 5}}};
static const lattice quadrilateral = {
    9, 4, {1, 2, 4, 8, 3, 6, 12, 9, 15}, {{0, 4, 8, 7}, {4, 1, 5, 8}, {8, 5, 2, 6}, {7, 8, 6, 3}}};
/* The last four children depend on the diagonal: see octahedra. */
static const lattice tetrahedron = {
    10, 8, {1, 2, 4, 8, 3, 6, 5, 9, 10, 12}, {{0, 4, 6, 7}, {4, 1, 5, 8}, {6, 5, 2, 9}, {7, 8, 9, 3}}};
static const lattice hexahedron = {
    27,
    8,
    {1, 2, 4, 8, 16, 32, 64, 128, 3, 6, 12, 9, 48, 96, 192, 144, 17, 34, 68, 136, 153, 102, 51, 204, 15, 240, 255},
    {{0, 8, 24, 11, 16, 22, 26, 20},
     {8, 1, 9, 24, 22, 17, 21, 26},
     {24, 9, 2, 10, 26, 21, 18, 23},
     {11, 24, 10, 3, 20, 26, 23, 19},
     {16, 22, 26, 20, 4, 12, 25, 15},
     {22, 17, 21, 26, 12, 5, 13, 25},
     {26, 21, 18, 23, 25, 13, 6, 14},
     {20, 26, 23, 19, 15, 25, 14, 7}}};
/* A diagonal of the octahedron between a tetrahedron's edges, and the four other corners around it. */
static const int8_t octahedra[3][6] = {{4, 9, 5, 6, 7, 8}, {5, 7, 4, 6, 9, 8}, {6, 8, 4, 5, 9, 7}};

static const lattice *lattice_of(const fem_cell_shape *shape)
{
    if (shape->dim == 2)
        return shape->simplex ? &triangle : &quadrilateral;
    return shape->simplex ? &tetrahedron : &hexahedron;
}

typedef struct place_key {
    int32_t vertex[KEY]; /* sorted, filled up with -1; {-2, cell} for what lies inside a cell */
    int64_t at;          /* where the number is wanted */
} place_key;

static int compare_int32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int compare_keys(const void *a, const void *b)
{
    const place_key *x = a, *y = b;
    for (int k = 0; k < KEY; k++)
        if (x->vertex[k] != y->vertex[k])
            return x->vertex[k] < y->vertex[k] ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static bool same_key(const place_key *a, const place_key *b)
{
    return memcmp(a->vertex, b->vertex, sizeof a->vertex) == 0;
}

/* What is made for the fine mesh. */
typedef struct refinement {
    const fem_mesh *coarse;
    const lattice *lattice;
    int64_t n_vertices, n_cells;
    int32_t *place;  /* [coarse cells, places] vertex of the fine mesh */
    place_key *keys; /* [coarse cells, places], of which n_keys are used */
    int64_t n_keys;
    double *vertices;
    int32_t *cells, *merge, *region, *faces;
    fem_named_faces named[FEM_MAX_NAMES];
    int n_named;
} refinement;

static place_key key_of(const refinement *r, int64_t cell, int place)
{
    const fem_mesh *m = r->coarse;
    unsigned mean = r->lattice->mean[place];
    place_key key = {{-1, -1, -1, -1}, cell * r->lattice->places + place};
    int n = 0;
    if (mean == (1U << m->cell_vertices) - 1) {
        key.vertex[0] = -2;
        key.vertex[1] = (int32_t)cell;
        return key;
    }
    for (int v = 0; v < m->cell_vertices; v++)
        if (mean >> v & 1)
            key.vertex[n++] = m->cells[cell * m->cell_vertices + v];
    qsort(key.vertex, (size_t)n, sizeof *key.vertex, compare_int32);
    return key;
}

static void place_vertex(const refinement *r, int64_t cell, int place, int32_t number)
{
    const fem_mesh *m = r->coarse;
    unsigned mean = r->lattice->mean[place];
    double *x = r->vertices + m->dim * (int64_t)number;
    int n = __builtin_popcount(mean);
    for (int d = 0; d < m->dim; d++) {
        x[d] = 0;
        for (int v = 0; v < m->cell_vertices; v++)
            if (mean >> v & 1)
                x[d] += m->vertices[m->dim * (int64_t)m->cells[cell * m->cell_vertices + v] + d];
        x[d] /= n;
    }
}

/* Numbers of the places of every cell: the coarse vertices, then one for each edge, face and cell, by their keys. */
static fwm_status number_places(refinement *r)
{
    const fem_mesh *m = r->coarse;
    int places = r->lattice->places;
    size_t all = (size_t)(m->n_cells * places);
    r->place = fwm_malloc(all, sizeof *r->place);
    r->keys = fwm_malloc(all, sizeof *r->keys);
    FWM_CHECK(r->place && r->keys, FWM_MEMORY, "refine: out of memory for %lld cells", (long long)m->n_cells);
    for (int64_t c = 0; c < m->n_cells; c++)
        for (int p = 0; p < places; p++) {
            if (p < m->cell_vertices)
                r->place[c * places + p] = m->cells[c * m->cell_vertices + p];
            else
                r->keys[r->n_keys++] = key_of(r, c, p);
        }
    qsort(r->keys, (size_t)r->n_keys, sizeof *r->keys, compare_keys);
    int64_t number = m->n_vertices;
    for (int64_t k = 0; k < r->n_keys; k++) {
        number += k > 0 && !same_key(&r->keys[k], &r->keys[k - 1]);
        r->place[r->keys[k].at] = (int32_t)number;
    }
    r->n_vertices = number + 1;
    r->vertices = fwm_malloc((size_t)(r->n_vertices * m->dim), sizeof *r->vertices);
    FWM_CHECK(r->vertices, FWM_MEMORY, "refine: out of memory for %lld vertices", (long long)r->n_vertices);
    memcpy(r->vertices, m->vertices, (size_t)(m->n_vertices * m->dim) * sizeof *r->vertices);
    for (int64_t k = 0; k < r->n_keys; k++)
        if (k == 0 || !same_key(&r->keys[k], &r->keys[k - 1]))
            place_vertex(r, r->keys[k].at / places, (int)(r->keys[k].at % places), r->place[r->keys[k].at]);
    return FWM_OK;
}

/* New vertices on periodic sides are merged where the vertices around them are. */
static fwm_status merge_places(refinement *r)
{
    const fem_mesh *m = r->coarse;
    if (!m->merge)
        return FWM_OK;
    r->merge = fwm_malloc((size_t)r->n_vertices, sizeof *r->merge);
    FWM_CHECK(r->merge, FWM_MEMORY, "refine: out of memory for %lld vertices", (long long)r->n_vertices);
    memcpy(r->merge, m->merge, (size_t)m->n_vertices * sizeof *r->merge);
    for (int64_t k = 0; k < r->n_keys; k++) {
        place_key *key = &r->keys[k];
        int n = 0;
        key->at = r->place[key->at];
        for (; key->vertex[0] >= 0 && n < KEY && key->vertex[n] >= 0; n++)
            key->vertex[n] = m->merge[key->vertex[n]];
        qsort(key->vertex, (size_t)n, sizeof *key->vertex, compare_int32);
    }
    qsort(r->keys, (size_t)r->n_keys, sizeof *r->keys, compare_keys);
    int64_t first = 0;
    for (int64_t k = 0; k < r->n_keys; k++) {
        first = k > 0 && same_key(&r->keys[k], &r->keys[k - 1]) ? first : k;
        r->merge[r->keys[k].at] = (int32_t)r->keys[first].at;
    }
    return FWM_OK;
}

/* Which of the three diagonals of a cut tetrahedron is shortest. */
static int shortest_diagonal(const refinement *r, const int32_t *place)
{
    double least = INFINITY;
    int best = 0;
    for (int k = 0; k < 3; k++) {
        double length = 0;
        for (int d = 0; d < 3; d++) {
            double apart = r->vertices[3 * (int64_t)place[octahedra[k][0]] + d] -
                           r->vertices[3 * (int64_t)place[octahedra[k][1]] + d];
            length += apart * apart;
        }
        if (length < least * (1 - 1e-12)) {
            least = length;
            best = k;
        }
    }
    return best;
}

static fwm_status cut_cells(refinement *r)
{
    const fem_mesh *m = r->coarse;
    int n = m->cell_vertices, children = r->lattice->children;
    r->n_cells = m->n_cells * children;
    r->cells = fwm_malloc((size_t)(r->n_cells * n), sizeof *r->cells);
    r->region = fwm_malloc((size_t)r->n_cells, sizeof *r->region);
    FWM_CHECK(r->cells && r->region, FWM_MEMORY, "refine: out of memory for %lld cells", (long long)r->n_cells);
    bool tetrahedra = r->lattice == &tetrahedron;
    for (int64_t c = 0; c < m->n_cells; c++) {
        const int32_t *place = r->place + c * r->lattice->places;
        const int8_t *around = tetrahedra ? octahedra[shortest_diagonal(r, place)] : NULL;
        for (int k = 0; k < children; k++) {
            int8_t inner[4] = {0};
            const int8_t *child = r->lattice->child[k];
            if (tetrahedra && k >= 4) {
                memcpy(inner, (int8_t[]){around[0], around[1], around[2 + k % 4], around[2 + (k + 1) % 4]}, 4);
                child = inner;
            }
            for (int v = 0; v < n; v++)
                r->cells[(c * children + k) * n + v] = place[child[v]];
            r->region[c * children + k] = m->cell_region[c];
        }
    }
    return FWM_OK;
}

static int32_t place_of(const refinement *r, int64_t cell, unsigned mean)
{
    int p = 0;
    while (r->lattice->mean[p] != mean)
        p++;
    return r->place[cell * r->lattice->places + p];
}

/* The parts of a face of a cell: each part has one of its vertices, or is the middle triangle. */
static int32_t *cut_face(const refinement *r, int64_t face, int32_t *out)
{
    const fem_mesh *m = r->coarse;
    int64_t cell = m->face_cell[face];
    const int *vertex = fem_shape(m)->face[m->face_local[face]];
    int n = m->face_vertices;
    unsigned all = 0;
    int32_t middle[4];
    for (int k = 0; k < n; k++) {
        all |= 1U << vertex[k];
        middle[k] = place_of(r, cell, 1U << vertex[k] | 1U << vertex[(k + 1) % n]);
    }
    for (int k = 0; k < n; k++) {
        *out++ = place_of(r, cell, 1U << vertex[k]);
        *out++ = middle[k];
        if (n == 4)
            *out++ = place_of(r, cell, all);
        if (n > 2)
            *out++ = middle[(k + n - 1) % n];
    }
    for (int k = 0; n == 3 && k < 3; k++)
        *out++ = middle[k];
    return out;
}

static fwm_status cut_faces(refinement *r)
{
    const fem_mesh *m = r->coarse;
    int n = m->face_vertices, parts = n == 2 ? 2 : 4;
    r->faces = fwm_malloc((size_t)(m->n_faces * parts * n), sizeof *r->faces);
    FWM_CHECK(r->faces, FWM_MEMORY, "refine: out of memory for %lld faces", (long long)m->n_faces);
    int32_t *next = r->faces;
    for (int label = 0; label < m->n_labels; label++) {
        fem_named_faces part = {.name = m->label_name[label], .faces = next};
        for (int64_t f = 0; f < m->n_faces; f++)
            if (m->face_label[f] == label)
                next = cut_face(r, f, next);
        part.count = (next - part.faces) / n;
        if (part.count > 0)
            r->named[r->n_named++] = part;
    }
    return FWM_OK;
}

static fwm_status make_fine(fem_mesh **fine, refinement *r)
{
    const fem_mesh *m = r->coarse;
    const char *names[FEM_MAX_NAMES];
    FWM_CHECK(m->n_cells < (INT64_C(1) << 26) / r->lattice->places, FWM_OVERFLOW,
              "refine: %lld cells are too many to be refined", (long long)m->n_cells);
    FWM_TRY(number_places(r));
    FWM_TRY(merge_places(r));
    FWM_TRY(cut_cells(r));
    FWM_TRY(cut_faces(r));
    for (int k = 0; k < m->n_regions; k++)
        names[k] = m->region_name[k];
    return fem_mesh_build(fine, &(fem_mesh_arrays){.element = m->element,
                                                   .n_vertices = r->n_vertices,
                                                   .n_cells = r->n_cells,
                                                   .vertices = r->vertices,
                                                   .cells = r->cells,
                                                   .merge = r->merge,
                                                   .n_boundaries = r->n_named,
                                                   .boundary = r->named,
                                                   .n_regions = m->n_regions,
                                                   .region_name = names,
                                                   .cell_region = r->region});
}

fwm_status fem_mesh_refine(fem_mesh **fine, const fem_mesh *coarse)
{
    *fine = NULL;
    refinement r = {.coarse = coarse, .lattice = lattice_of(fem_shape(coarse))};
    fwm_status status = make_fine(fine, &r);
    fwm_free(r.place);
    fwm_free(r.keys);
    fwm_free(r.vertices);
    fwm_free(r.cells);
    fwm_free(r.merge);
    fwm_free(r.region);
    fwm_free(r.faces);
    return status;
}

/* ---- fields ---- */

fwm_status fem_restrict(fem_csr **out, const fem_mesh *fine, const fem_csr *prolong)
{
    *out = NULL;
    FWM_CHECK(prolong->rows == fine->n_nodes, FWM_SHAPE, "restrict: expected a prolongation to %lld nodes, found %lld",
              (long long)fine->n_nodes, (long long)prolong->rows);
    fem_csr *r = fem_csr_new(prolong->cols, prolong->rows, prolong->nnz);
    FWM_CHECK(r, FWM_MEMORY, "restrict: out of memory for %lld entries", (long long)prolong->nnz);
    for (int64_t e = 0; e < prolong->nnz; e++)
        r->row_start[prolong->column[e] + 1]++;
    for (int64_t i = 0; i < r->rows; i++)
        r->row_start[i + 1] += r->row_start[i];
    for (int64_t j = 0; j < prolong->rows; j++)
        for (int64_t e = prolong->row_start[j]; e < prolong->row_start[j + 1]; e++) {
            int64_t at = r->row_start[prolong->column[e]]++;
            r->column[at] = (int32_t)j;
            r->weight[at] = fabs(prolong->weight[e]) * fine->lumped[j];
        }
    for (int64_t i = r->rows; i > 0; i--)
        r->row_start[i] = r->row_start[i - 1];
    r->row_start[0] = 0;
    fwm_status status = FWM_OK;
    for (int64_t i = 0; i < r->rows && status == FWM_OK; i++) {
        double sum = 0;
        for (int64_t e = r->row_start[i]; e < r->row_start[i + 1]; e++)
            sum += r->weight[e];
        if (!(sum > 0))
            status =
                fwm_fail(FWM_INVALID, "restrict: node %lld of the coarse mesh has no node of the fine mesh near it",
                         (long long)i);
        for (int64_t e = r->row_start[i]; e < r->row_start[i + 1]; e++)
            r->weight[e] /= sum;
    }
    if (status == FWM_OK)
        *out = r;
    else
        fem_csr_destroy(&r);
    return status;
}

static void apply_transpose(const fem_csr *m, const double *y, double *x)
{
    memset(x, 0, (size_t)m->cols * sizeof *x);
    for (int64_t i = 0; i < m->rows; i++)
        for (int64_t e = m->row_start[i]; e < m->row_start[i + 1]; e++)
            x[m->column[e]] += m->weight[e] * y[i];
}

static double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* x = M^-1 b by conjugate gradients, preconditioned by the lumped mass; `work` [4 n]. */
static fwm_status solve_mass(const fem_mesh *m, double *x, const double *b, double *work)
{
    enum { ITERATIONS = 500 };
    int64_t n = m->n_nodes;
    double *r = work, *z = r + n, *p = z + n, *q = p + n, rz, first = 0;
    memset(x, 0, (size_t)n * sizeof *x);
    memcpy(r, b, (size_t)n * sizeof *r);
    for (int64_t i = 0; i < n; i++)
        p[i] = z[i] = r[i] / m->lumped[i];
    first = rz = dot(r, z, n);
    for (int it = 0; it < ITERATIONS && rz > 1e-26 * first; it++) {
        fem_csr_apply(m->impl->mass, p, q);
        double alpha = rz / dot(p, q, n), before = rz;
        for (int64_t i = 0; i < n; i++) {
            x[i] += alpha * p[i];
            r[i] -= alpha * q[i];
            z[i] = r[i] / m->lumped[i];
        }
        rz = dot(r, z, n);
        for (int64_t i = 0; i < n; i++)
            p[i] = z[i] + rz / before * p[i];
    }
    FWM_CHECK(rz <= 1e-26 * first, FWM_NUMERIC, "project: the mass matrix of %lld nodes was not inverted in %d steps",
              (long long)n, ITERATIONS);
    return FWM_OK;
}

static fwm_status check_pair(const fem_mesh *coarse, const fem_mesh *fine, const fem_csr *prolong)
{
    FWM_CHECK(prolong->rows == fine->n_nodes && prolong->cols == coarse->n_nodes, FWM_SHAPE,
              "project: expected a prolongation from %lld to %lld nodes, found %lld to %lld",
              (long long)coarse->n_nodes, (long long)fine->n_nodes, (long long)prolong->cols, (long long)prolong->rows);
    return FWM_OK;
}

fwm_status fem_project(double *y, const double *x, const fem_mesh *coarse, const fem_mesh *fine, const fem_csr *prolong)
{
    FWM_TRY(check_pair(coarse, fine, prolong));
    double *work = fwm_malloc((size_t)(fine->n_nodes + 5 * coarse->n_nodes), sizeof *work);
    FWM_CHECK(work, FWM_MEMORY, "project: out of memory for %lld nodes", (long long)fine->n_nodes);
    double *mass_x = work, *b = mass_x + fine->n_nodes;
    fem_csr_apply(fine->impl->mass, x, mass_x);
    apply_transpose(prolong, mass_x, b);
    fwm_status status = solve_mass(coarse, y, b, b + coarse->n_nodes);
    fwm_free(work);
    return status;
}

fwm_status fem_project_transpose(double *y, const double *x, const fem_mesh *coarse, const fem_mesh *fine,
                                 const fem_csr *prolong)
{
    FWM_TRY(check_pair(coarse, fine, prolong));
    double *work = fwm_malloc((size_t)(fine->n_nodes + 5 * coarse->n_nodes), sizeof *work);
    FWM_CHECK(work, FWM_MEMORY, "project: out of memory for %lld nodes", (long long)fine->n_nodes);
    double *up = work, *v = up + fine->n_nodes;
    fwm_status status = solve_mass(coarse, v, x, v + coarse->n_nodes);
    if (status == FWM_OK) {
        fem_csr_apply(prolong, v, up);
        fem_csr_apply(fine->impl->mass, up, y);
    }
    fwm_free(work);
    return status;
}
