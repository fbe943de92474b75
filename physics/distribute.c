/* Dividing a mesh: PETSc says which cells a process gets, process 0 sends what they are made of. */
#include "physics/distribute_impl.h"

#include "model/base/arena.h"

#include <stdlib.h>
#include <string.h>

fwm_status fem_agree(fwm_status status)
{
    int rank, ranks, mine, first, code = (int)status;
    char text[FWM_ERROR_CAPACITY] = "";
    FEM_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    FEM_MPI(MPI_Comm_size(MPI_COMM_WORLD, &ranks));
    mine = status == FWM_OK ? ranks : rank;
    FEM_MPI(MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD));
    if (first == ranks)
        return FWM_OK;
    if (first == rank)
        fwm_error_get(text, sizeof text);
    FEM_MPI(MPI_Bcast(&code, 1, MPI_INT, first, MPI_COMM_WORLD));
    FEM_MPI(MPI_Bcast(text, (int)sizeof text, MPI_CHAR, first, MPI_COMM_WORLD));
    return fwm_fail((fwm_status)code, "process %d: %s", first, text);
}

fwm_status fem_part_sum(double *values, int n)
{
    FEM_MPI(MPI_Allreduce(MPI_IN_PLACE, values, n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD));
    return FWM_OK;
}

/* ---- process 0: the arrays ---- */

typedef struct named_face {
    int32_t vertex[4]; /* sorted, then -1 */
    int32_t label;
} named_face;

typedef struct whole {
    const fem_mesh_arrays *arrays; /* NULL but on process 0 */
    const fem_cell_shape *shape;
    int32_t *merged; /* [n_vertices] consecutive numbers of merged vertices */
    int64_t n_merged;
    named_face *named;
    int64_t n_named;
} whole;

static int compare_int32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int compare_named(const void *a, const void *b)
{
    return memcmp(((const named_face *)a)->vertex, ((const named_face *)b)->vertex,
                  sizeof((const named_face *)a)->vertex);
}

static named_face face_of(const int32_t *vertex, int n, int32_t label)
{
    named_face f = {{-1, -1, -1, -1}, label};
    memcpy(f.vertex, vertex, (size_t)n * sizeof *vertex);
    qsort(f.vertex, (size_t)n, sizeof *vertex, compare_int32);
    return f;
}

static fwm_status merge_numbers(whole *w)
{
    const fem_mesh_arrays *a = w->arrays;
    w->merged = fwm_malloc((size_t)a->n_vertices, sizeof *w->merged);
    FWM_CHECK(w->merged, FWM_MEMORY, "mesh: out of memory for %lld vertices", (long long)a->n_vertices);
    for (int64_t v = 0; v < a->n_vertices; v++) {
        int32_t to = a->merge ? a->merge[v] : (int32_t)v;
        FWM_CHECK(to >= 0 && to < a->n_vertices && (!a->merge || a->merge[to] == to), FWM_DATA,
                  "mesh: vertex %lld is merged with %d, expected a vertex that is merged with itself", (long long)v,
                  to);
        w->merged[v] = to == v ? (int32_t)w->n_merged++ : -1;
    }
    for (int64_t v = 0; a->merge && v < a->n_vertices; v++)
        w->merged[v] = w->merged[a->merge[v]];
    return FWM_OK;
}

static fwm_status prepare_whole(whole *w)
{
    const fem_mesh_arrays *a = w->arrays;
    int n = w->shape->face_vertices;
    FWM_CHECK(a->n_cells >= 1 && a->n_cells < (INT64_C(1) << 26) && a->n_vertices >= 3 &&
                  a->n_vertices < (INT64_C(1) << 26) && a->n_boundaries < FEM_MAX_NAMES &&
                  a->n_regions <= FEM_MAX_NAMES,
              FWM_INVALID, "mesh: expected 1 to 2^26 cells, 3 to 2^26 vertices and fewer than %d names", FEM_MAX_NAMES);
    for (int64_t i = 0; i < a->n_cells * w->shape->vertices; i++)
        FWM_CHECK(a->cells[i] >= 0 && a->cells[i] < a->n_vertices, FWM_DATA,
                  "mesh: cell %lld refers to vertex %d, expected 0 to %lld", (long long)(i / w->shape->vertices),
                  a->cells[i], (long long)a->n_vertices - 1);
    FWM_TRY(merge_numbers(w));
    for (int k = 0; k < a->n_boundaries; k++)
        w->n_named += a->boundary[k].count;
    w->named = fwm_malloc((size_t)w->n_named, sizeof *w->named);
    FWM_CHECK(w->named, FWM_MEMORY, "mesh: out of memory for %lld faces", (long long)w->n_named);
    int64_t at = 0;
    for (int k = 0; k < a->n_boundaries; k++)
        for (int64_t i = 0; i < a->boundary[k].count; i++)
            w->named[at++] = face_of(a->boundary[k].faces + i * n, n, k);
    qsort(w->named, (size_t)w->n_named, sizeof *w->named, compare_named);
    return FWM_OK;
}

/* ---- who gets which cells ---- */

static fwm_status make_plex(const whole *w, DM *dm)
{
    const fem_cell_shape *s = w->shape;
    int64_t n = w->arrays ? w->arrays->n_cells : 0, vertices = w->arrays ? w->n_merged : 0;
    PetscInt *cells = fwm_malloc((size_t)(n * s->vertices), sizeof *cells);
    double *x = fwm_calloc((size_t)(vertices * s->dim), sizeof *x);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, cells && x, FWM_MEMORY, "mesh: out of memory for %lld cells", (long long)n);
    for (int64_t c = 0; c < n; c++)
        for (int k = 0; k < s->vertices; k++)
            cells[c * s->vertices + k] = w->merged[w->arrays->cells[c * s->vertices + s->petsc[k]]];
    FEM_PETSC_GOTO(status, DMPlexCreateFromCellListParallelPetsc(PETSC_COMM_WORLD, s->dim, (PetscInt)n,
                                                                 (PetscInt)vertices, PETSC_DECIDE, s->vertices,
                                                                 PETSC_FALSE, cells, s->dim, x, NULL, NULL, dm));
done:
    fwm_free(cells);
    fwm_free(x);
    return status;
}

static fwm_status room_for_cells(fem_share *s, PetscInt n)
{
    s->n_cells = n;
    s->cell = fwm_malloc((size_t)n, sizeof *s->cell);
    s->owner = fwm_malloc((size_t)n, sizeof *s->owner);
    FWM_CHECK(s->cell && s->owner, FWM_MEMORY, "mesh: out of memory for %d cells", (int)n);
    return FWM_OK;
}

/* Original numbers of the points that a first division gave, then of those with the layer around them. */
static fwm_status trace_cells(fem_share *s, DM divided, DM layered, PetscSF first, PetscSF second)
{
    PetscInt points, layered_points, cells, leaves;
    const PetscInt *local;
    const PetscSFNode *remote;
    FEM_PETSC(DMPlexGetChart(divided, NULL, &points));
    FEM_PETSC(DMPlexGetChart(layered, NULL, &layered_points));
    FEM_PETSC(DMPlexGetHeightStratum(layered, 0, NULL, &cells));
    FWM_TRY(room_for_cells(s, cells));
    PetscInt *from = fwm_calloc((size_t)points, sizeof *from), *to = fwm_calloc((size_t)layered_points, sizeof *to);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, from && to, FWM_MEMORY, "mesh: out of memory for %d points", (int)layered_points);
    FEM_PETSC_GOTO(status, PetscSFGetGraph(first, NULL, &leaves, &local, &remote));
    for (PetscInt k = 0; k < leaves; k++)
        from[local ? local[k] : k] = remote[k].index;
    FEM_PETSC_GOTO(status, PetscSFBcastBegin(second, MPIU_INT, from, to, MPI_REPLACE));
    FEM_PETSC_GOTO(status, PetscSFBcastEnd(second, MPIU_INT, from, to, MPI_REPLACE));
    FEM_PETSC_GOTO(status, PetscSFGetGraph(second, NULL, &leaves, &local, &remote));
    for (PetscInt k = 0; k < leaves; k++) {
        PetscInt point = local ? local[k] : k;
        if (point < cells) {
            s->cell[point] = to[point];
            s->owner[point] = (int32_t)remote[k].rank;
        }
    }
done:
    fwm_free(from);
    fwm_free(to);
    return status;
}

static fwm_status divide(const whole *w, fem_share *s, int ranks)
{
    DM dm = NULL, divided = NULL, layered = NULL;
    PetscSF first = NULL, second = NULL;
    fwm_status status = FWM_OK;
    if (ranks == 1) {
        FWM_TRY(room_for_cells(s, (PetscInt)w->arrays->n_cells));
        for (int64_t c = 0; c < s->n_cells; c++) {
            s->cell[c] = (int32_t)c;
            s->owner[c] = 0;
        }
        return FWM_OK;
    }
    FWM_TRY_GOTO(status, make_plex(w, &dm));
    FEM_PETSC_GOTO(status, DMPlexDistribute(dm, 0, &first, &divided));
    FWM_CHECK_GOTO(status, divided, FWM_LIBRARY, "PETSc divided no mesh among %d processes", ranks);
    FEM_PETSC_GOTO(status, DMPlexDistributeOverlap(divided, 1, &second, &layered));
    FWM_TRY_GOTO(status, trace_cells(s, divided, layered, first, second));
done:
    (void)PetscSFDestroy(&first);
    (void)PetscSFDestroy(&second);
    (void)DMDestroy(&layered);
    (void)DMDestroy(&divided);
    (void)DMDestroy(&dm);
    return status;
}

/* ---- what they are made of ---- */

/* Integers of a cell: its vertices, the same merged, region, label of each face. */
static int cell_integers(const fem_cell_shape *s)
{
    return 2 * s->vertices + 1 + s->faces;
}

static void pack_cell(const whole *w, int32_t cell, int32_t *integer, double *x)
{
    const fem_mesh_arrays *a = w->arrays;
    const fem_cell_shape *s = w->shape;
    const int32_t *v = a->cells + (int64_t)cell * s->vertices;
    for (int k = 0; k < s->vertices; k++) {
        integer[k] = v[k];
        integer[s->vertices + k] = w->merged[v[k]];
        memcpy(x + k * s->dim, a->vertices + (int64_t)v[k] * s->dim, (size_t)s->dim * sizeof *x);
    }
    integer[2 * s->vertices] = a->n_regions > 0 ? a->cell_region[cell] : 0;
    for (int f = 0; f < s->faces; f++) {
        int32_t corner[4];
        for (int k = 0; k < s->face_vertices; k++)
            corner[k] = v[s->face[f][k]];
        named_face key = face_of(corner, s->face_vertices, 0);
        const named_face *found =
            w->n_named > 0 ? bsearch(&key, w->named, (size_t)w->n_named, sizeof key, compare_named) : NULL;
        integer[2 * s->vertices + 1 + f] = found ? found->label : -1;
    }
}

static fwm_status unpack_share(fem_share *s, const fem_cell_shape *shape, const int32_t *integer)
{
    size_t n = (size_t)s->n_cells, vertices = (size_t)shape->vertices, faces = (size_t)shape->faces;
    s->vertex = fwm_malloc(n * vertices, sizeof *s->vertex);
    s->merged = fwm_malloc(n * vertices, sizeof *s->merged);
    s->region = fwm_malloc(n, sizeof *s->region);
    s->label = fwm_malloc(n * faces, sizeof *s->label);
    FWM_CHECK(s->vertex && s->merged && s->region && s->label, FWM_MEMORY, "mesh: out of memory for %zu cells", n);
    for (size_t c = 0; c < n; c++) {
        const int32_t *from = integer + c * (size_t)cell_integers(shape);
        memcpy(s->vertex + c * vertices, from, vertices * sizeof *from);
        memcpy(s->merged + c * vertices, from + vertices, vertices * sizeof *from);
        s->region[c] = from[2 * vertices];
        memcpy(s->label + c * faces, from + 2 * vertices + 1, faces * sizeof *from);
    }
    return FWM_OK;
}

/* Process 0 answers one process after the other, so that its room is that of one share. */
static fwm_status send_shares(const whole *w, fem_share *s, int rank, int ranks)
{
    enum { CELLS, INTEGERS, NUMBERS };
    int width = cell_integers(w->shape), reals = w->shape->vertices * w->shape->dim;
    fwm_status status = FWM_OK;
    int32_t *integer = fwm_malloc((size_t)(s->n_cells * width), sizeof *integer);
    s->x = fwm_malloc((size_t)(s->n_cells * reals), sizeof *s->x);
    status =
        integer && s->x ? FWM_OK : fwm_fail(FWM_MEMORY, "mesh: out of memory for %lld cells", (long long)s->n_cells);
    FWM_TRY_GOTO(status, fem_agree(status));
    for (int64_t c = 0; rank == 0 && c < s->n_cells; c++)
        pack_cell(w, s->cell[c], integer + c * width, s->x + c * reals);
    for (int other = 1; rank == 0 && other < ranks; other++) {
        MPI_Status about;
        int n = 0;
        (void)MPI_Probe(other, CELLS, MPI_COMM_WORLD, &about);
        (void)MPI_Get_count(&about, MPI_INT32_T, &n);
        int32_t *list = fwm_malloc((size_t)n, sizeof *list), *out = fwm_malloc((size_t)n, (size_t)width * sizeof *out);
        double *x = fwm_malloc((size_t)n, (size_t)reals * sizeof *x);
        if (!list || !out || !x)
            status = fwm_fail(FWM_MEMORY, "mesh: out of memory for %d cells of process %d", n, other);
        int32_t none = 0;
        (void)MPI_Recv(list ? list : &none, list ? n : 0, MPI_INT32_T, other, CELLS, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        for (int c = 0; status == FWM_OK && c < n; c++)
            pack_cell(w, list[c], out + (int64_t)c * width, x + (int64_t)c * reals);
        (void)MPI_Send(out ? out : &none, status == FWM_OK ? n * width : 0, MPI_INT32_T, other, INTEGERS,
                       MPI_COMM_WORLD);
        (void)MPI_Send(x ? (void *)x : &none, status == FWM_OK ? n * reals : 0, MPI_DOUBLE, other, NUMBERS,
                       MPI_COMM_WORLD);
        fwm_free(list);
        fwm_free(out);
        fwm_free(x);
    }
    if (rank > 0) {
        (void)MPI_Send(s->cell, (int)s->n_cells, MPI_INT32_T, 0, CELLS, MPI_COMM_WORLD);
        (void)MPI_Recv(integer, (int)s->n_cells * width, MPI_INT32_T, 0, INTEGERS, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        (void)MPI_Recv(s->x, (int)s->n_cells * reals, MPI_DOUBLE, 0, NUMBERS, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    FWM_TRY_GOTO(status, fem_agree(status));
    status = fem_agree(unpack_share(s, w->shape, integer));
done:
    fwm_free(integer);
    return status;
}

/* ---- the local mesh ---- */

typedef struct name_list {
    int n_boundaries, n_regions;
    char boundary[FEM_MAX_NAMES][FEM_NAME_BYTES], region[FEM_MAX_NAMES][FEM_NAME_BYTES];
} name_list;

/* Names of process 0 on all; a mesh without named boundaries gets "other". */
static fwm_status share_names(name_list *list, const fem_mesh_arrays *a)
{
    memset(list, 0, sizeof *list);
    for (int k = 0; a && k < a->n_boundaries; k++)
        strncpy(list->boundary[k], a->boundary[k].name ? a->boundary[k].name : "", FEM_NAME_BYTES - 1);
    for (int k = 0; a && k < a->n_regions; k++)
        strncpy(list->region[k], a->region_name[k] ? a->region_name[k] : "", FEM_NAME_BYTES - 1);
    if (a) {
        list->n_boundaries = a->n_boundaries;
        list->n_regions = a->n_regions;
    }
    if (a && a->n_boundaries == 0)
        strcpy(list->boundary[list->n_boundaries++], "other");
    FEM_MPI(MPI_Bcast(list, (int)sizeof *list, MPI_BYTE, 0, MPI_COMM_WORLD));
    return FWM_OK;
}

/* Local numbers of the share's vertices, in the order of their global numbers. */
typedef struct local_vertices {
    int32_t *global; /* [n] sorted */
    int64_t n;
    double *x;
    int32_t *cells, *merge, *faces;
    fem_named_faces named[FEM_MAX_NAMES];
} local_vertices;

static int32_t local_number(const local_vertices *l, int32_t global)
{
    const int32_t *found = bsearch(&global, l->global, (size_t)l->n, sizeof global, compare_int32);
    return (int32_t)(found - l->global);
}

static fwm_status number_vertices(local_vertices *l, const fem_share *s, const fem_cell_shape *shape, int64_t n_merged)
{
    int64_t entries = s->n_cells * shape->vertices;
    l->global = fwm_malloc((size_t)entries, sizeof *l->global);
    l->cells = fwm_malloc((size_t)entries, sizeof *l->cells);
    FWM_CHECK(l->global && l->cells, FWM_MEMORY, "mesh: out of memory for %lld cells", (long long)s->n_cells);
    memcpy(l->global, s->vertex, (size_t)entries * sizeof *l->global);
    qsort(l->global, (size_t)entries, sizeof *l->global, compare_int32);
    for (int64_t i = 0; i < entries; i++)
        if (i == 0 || l->global[i] != l->global[i - 1])
            l->global[l->n++] = l->global[i];
    l->x = fwm_malloc((size_t)(l->n * shape->dim), sizeof *l->x);
    l->merge = fwm_malloc((size_t)l->n, sizeof *l->merge);
    int32_t *first = fwm_malloc((size_t)n_merged, sizeof *first);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, l->x && l->merge && first, FWM_MEMORY, "mesh: out of memory for %lld vertices",
                   (long long)l->n);
    memset(first, -1, (size_t)n_merged * sizeof *first);
    for (int64_t i = 0; i < entries; i++) {
        int32_t v = l->cells[i] = local_number(l, s->vertex[i]);
        memcpy(l->x + (int64_t)v * shape->dim, s->x + i * shape->dim, (size_t)shape->dim * sizeof *l->x);
        if (first[s->merged[i]] < 0 || v < first[s->merged[i]])
            first[s->merged[i]] = v;
    }
    for (int64_t i = 0; i < entries; i++)
        l->merge[l->cells[i]] = first[s->merged[i]];
done:
    fwm_free(first);
    return status;
}

static fwm_status name_faces(local_vertices *l, const fem_share *s, const fem_cell_shape *shape, const name_list *names)
{
    int n = shape->face_vertices;
    int64_t all = s->n_cells * shape->faces, count = 0;
    for (int64_t i = 0; i < all; i++)
        count += s->label[i] >= 0;
    int32_t *next = l->faces = fwm_malloc((size_t)(count * n), sizeof *l->faces);
    FWM_CHECK(next, FWM_MEMORY, "mesh: out of memory for %lld faces", (long long)count);
    for (int k = 0; k < names->n_boundaries; k++) {
        l->named[k] = (fem_named_faces){.name = names->boundary[k], .faces = next};
        for (int64_t i = 0; i < all; i++)
            if (s->label[i] == k) {
                const int32_t *cell = l->cells + i / shape->faces * shape->vertices;
                for (int v = 0; v < n; v++)
                    *next++ = cell[shape->face[i % shape->faces][v]];
                l->named[k].count++;
            }
    }
    return FWM_OK;
}

static fwm_status build_local(fem_part *p, fem_element element, const fem_share *s, const name_list *names,
                              int64_t n_merged, bool periodic)
{
    const fem_cell_shape *shape = fem_element_table[element].shape;
    local_vertices *l = fwm_calloc(1, sizeof *l);
    const char *regions[FEM_MAX_NAMES];
    fwm_status status = FWM_OK;
    FWM_CHECK(l, FWM_MEMORY, "mesh: out of memory");
    for (int k = 0; k < names->n_regions; k++)
        regions[k] = names->region[k];
    FWM_TRY_GOTO(status, number_vertices(l, s, shape, n_merged));
    FWM_TRY_GOTO(status, name_faces(l, s, shape, names));
    status = fem_mesh_build(&p->mesh, &(fem_mesh_arrays){.element = element,
                                                         .n_vertices = l->n,
                                                         .n_cells = s->n_cells,
                                                         .vertices = l->x,
                                                         .cells = l->cells,
                                                         .merge = periodic ? l->merge : NULL,
                                                         .n_boundaries = names->n_boundaries,
                                                         .boundary = l->named,
                                                         .n_regions = names->n_regions,
                                                         .region_name = regions,
                                                         .cell_region = s->region});
done:
    fwm_free(l->global);
    fwm_free(l->cells);
    fwm_free(l->x);
    fwm_free(l->merge);
    fwm_free(l->faces);
    fwm_free(l);
    return status;
}

static fwm_status list_cells(fem_part *p, const fem_share *s)
{
    p->cell = fwm_malloc((size_t)s->n_cells, sizeof *p->cell);
    p->own_cell = fwm_malloc((size_t)s->n_cells, sizeof *p->own_cell);
    FWM_CHECK(p->cell && p->own_cell, FWM_MEMORY, "mesh: out of memory for %lld cells", (long long)s->n_cells);
    for (int64_t c = 0; c < s->n_cells; c++) {
        p->cell[c] = s->cell[c];
        p->own_cell[c] = s->owner[c] == p->rank;
        p->n_own_cells += p->own_cell[c];
    }
    FWM_CHECK(p->n_own_cells > 0, FWM_INVALID, "mesh: this process gets no cell: start fewer than %d", p->ranks);
    return FWM_OK;
}

static fwm_status distribute(fem_part *p, whole *w, fem_share *s, fem_element element)
{
    name_list *names = fwm_malloc(1, sizeof *names);
    int64_t merged = 0;
    int periodic = w->arrays && w->arrays->merge != NULL;
    fwm_status status = fem_agree(names ? FWM_OK : fwm_fail(FWM_MEMORY, "mesh: out of memory"));
    if (status != FWM_OK)
        goto done;
    w->shape = fem_element_table[element].shape;
    FWM_TRY_GOTO(status, fem_agree(w->arrays ? prepare_whole(w) : FWM_OK));
    FWM_TRY_GOTO(status, share_names(names, w->arrays));
    FWM_TRY_GOTO(status, fem_agree(divide(w, s, p->ranks)));
    FWM_TRY_GOTO(status, fem_agree(list_cells(p, s)));
    FWM_TRY_GOTO(status, send_shares(w, s, p->rank, p->ranks));
    merged = w->n_merged;
    p->n_global_cells = w->arrays ? w->arrays->n_cells : 0;
    if (MPI_Bcast(&merged, 1, MPI_INT64_T, 0, MPI_COMM_WORLD) != MPI_SUCCESS ||
        MPI_Bcast(&p->n_global_cells, 1, MPI_INT64_T, 0, MPI_COMM_WORLD) != MPI_SUCCESS ||
        MPI_Bcast(&periodic, 1, MPI_INT, 0, MPI_COMM_WORLD) != MPI_SUCCESS)
        status = fwm_fail(FWM_LIBRARY, "MPI: a broadcast failed");
    FWM_TRY_GOTO(status, fem_agree(status == FWM_OK ? build_local(p, element, s, names, merged, periodic) : status));
    status = fem_halo_create(p, s);
done:
    fwm_free(names);
    return status;
}

fwm_status fem_distribute(fem_part **part, const fem_mesh_arrays *arrays)
{
    *part = NULL;
    FWM_TRY(fem_init());
    int element = -1;
    fem_part *p = fwm_calloc(1, sizeof *p);
    FWM_TRY(fem_agree(p ? FWM_OK : fwm_fail(FWM_MEMORY, "mesh: out of memory")));
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &p->rank);
    (void)MPI_Comm_size(MPI_COMM_WORLD, &p->ranks);
    if (p->rank == 0 && arrays)
        element = (int)arrays->element;
    (void)MPI_Bcast(&element, 1, MPI_INT, 0, MPI_COMM_WORLD);
    whole w = {.arrays = p->rank == 0 ? arrays : NULL};
    fem_share s = {0};
    fwm_status status =
        element >= 0 && element < FEM_ELEMENT_COUNT
            ? distribute(p, &w, &s, (fem_element)element)
            : fwm_fail(FWM_INVALID, "mesh: process 0 has no mesh of a known element, found %d", element);
    fwm_free(w.merged);
    fwm_free(w.named);
    void *arrays_of_share[] = {s.cell, s.owner, s.vertex, s.merged, s.x, s.region, s.label};
    for (size_t k = 0; k < sizeof arrays_of_share / sizeof *arrays_of_share; k++)
        fwm_free(arrays_of_share[k]);
    if (status != FWM_OK)
        fem_part_destroy(&p);
    *part = p;
    return status;
}

void fem_part_destroy(fem_part **part)
{
    fem_part *p = *part;
    if (!p)
        return;
    *part = NULL;
    fem_halo_destroy(&p->halo);
    fem_mesh_destroy(&p->mesh);
    fwm_free(p->owned);
    fwm_free(p->node);
    fwm_free(p->cell);
    fwm_free(p->own_cell);
    fwm_free(p);
}
