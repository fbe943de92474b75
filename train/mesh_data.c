#include "train/mesh_data.h"

#include "physics/gmsh.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static fwm_status group_faces(ds_mesh *out, fwm_arena *arena, const fem_mesh *m)
{
    int k = m->face_vertices;
    int32_t *faces = fwm_arena_alloc(arena, (size_t)(m->n_faces * k + 1) * sizeof *faces), *next = faces;
    ds_boundary *list = fwm_arena_alloc(arena, (size_t)m->n_labels * sizeof *list);
    FWM_CHECK(faces && list, FWM_MEMORY, "mesh: out of memory for %lld faces", (long long)m->n_faces);
    out->boundary = list;
    for (int label = 0; label < m->n_labels; label++) {
        ds_boundary b = {.name = m->label_name[label], .k = k, .faces = next};
        for (int64_t f = 0; f < m->n_faces; f++)
            if (m->face_label[f] == label) {
                memcpy(next, m->faces + k * f, (size_t)k * sizeof *next);
                next += k;
                b.count++;
            }
        if (b.count > 0)
            list[out->nboundary++] = b;
    }
    return FWM_OK;
}

static fwm_status group_cells(ds_mesh *out, fwm_arena *arena, const fem_mesh *m)
{
    int32_t *cells = fwm_arena_alloc(arena, (size_t)m->n_cells * sizeof *cells), *next = cells;
    ds_region *list = fwm_arena_alloc(arena, (size_t)m->n_regions * sizeof *list);
    FWM_CHECK(cells && list, FWM_MEMORY, "mesh: out of memory for %lld cells", (long long)m->n_cells);
    out->region = list;
    out->nregion = m->n_regions;
    for (int r = 0; r < m->n_regions; r++) {
        list[r] = (ds_region){.name = m->region_name[r], .cells = next};
        for (int64_t c = 0; c < m->n_cells; c++)
            if (m->cell_region[c] == r)
                *next++ = (int32_t)c;
        list[r].count = next - list[r].cells;
    }
    return FWM_OK;
}

fwm_status tr_mesh_to_data(ds_mesh *out, fwm_arena *arena, const fem_mesh *m)
{
    bool own_nodes = m->n_nodes != m->n_vertices;
    *out = (ds_mesh){.dim = m->dim,
                     .nv = m->n_vertices,
                     .ncell = m->n_cells,
                     .k = m->cell_vertices,
                     .cell = fem_element_cell(m->element),
                     .space = fem_element_space(m->element),
                     .vertices = m->vertices,
                     .cells = m->cells,
                     .n = m->n_nodes,
                     .kn = m->cell_node_count,
                     .nodes = own_nodes ? m->nodes : NULL,
                     .cell_nodes = own_nodes ? m->cell_nodes : NULL,
                     .merge = m->merge};
    FWM_TRY(group_faces(out, arena, m));
    return m->n_regions > 1 ? group_cells(out, arena, m) : FWM_OK;
}

static fwm_status name_parts(fem_mesh_arrays *a, fwm_arena *arena, const ds_mesh *from)
{
    FWM_CHECK(from->nboundary <= FEM_MAX_NAMES && from->nregion <= FEM_MAX_NAMES, FWM_DATA,
              "expected at most %d boundaries and regions, found %lld and %lld", FEM_MAX_NAMES,
              (long long)from->nboundary, (long long)from->nregion);
    fem_named_faces *faces = fwm_arena_alloc(arena, (size_t)(from->nboundary + 1) * sizeof *faces);
    const char **names = fwm_arena_alloc(arena, (size_t)(from->nregion + 1) * sizeof *names);
    int32_t *region = fwm_arena_alloc(arena, (size_t)from->ncell * sizeof *region);
    FWM_CHECK(faces && names && region, FWM_MEMORY, "out of memory for %lld cells", (long long)from->ncell);
    for (int64_t b = 0; b < from->nboundary; b++) {
        int64_t k = from->dim == 2 ? 2 : from->k == 8 ? 4 : 3; /* hexahedra have four */
        FWM_CHECK(from->boundary[b].k == k, FWM_DATA, "boundary/%s: expected %lld vertices a face, found %lld",
                  from->boundary[b].name, (long long)k, (long long)from->boundary[b].k);
        faces[b] = (fem_named_faces){from->boundary[b].name, from->boundary[b].count, from->boundary[b].faces};
    }
    for (int64_t c = 0; c < from->ncell; c++)
        region[c] = -1;
    for (int64_t r = 0; r < from->nregion; r++) {
        names[r] = from->region[r].name;
        for (int64_t i = 0; i < from->region[r].count; i++)
            region[from->region[r].cells[i]] = (int32_t)r;
    }
    a->n_boundaries = (int)from->nboundary;
    a->boundary = faces;
    a->n_regions = (int)from->nregion;
    a->region_name = names;
    a->cell_region = region;
    return FWM_OK;
}

fwm_status tr_mesh_from_data(fem_mesh **mesh, const ds_mesh *from, const char *path, const char *place)
{
    *mesh = NULL;
    FWM_CHECK(from, FWM_DATA, "%s: %s: expected a mesh, found none; the fused model needs one", path, place);
    FWM_CHECK(from->dim >= 2, FWM_DATA, "%s: %s: expected 2 or 3 dimensions, found %lld", path, place,
              (long long)from->dim);
    fem_mesh_arrays arrays = {.n_vertices = from->nv,
                              .n_cells = from->ncell,
                              .vertices = from->vertices,
                              .cells = from->cells,
                              .merge = from->merge};
    FWM_TRY(fem_element_parse(from->cell, from->space, &arrays.element));
    fwm_arena *arena = fwm_arena_create();
    FWM_CHECK(arena, FWM_MEMORY, "%s: %s: out of memory", path, place);
    fwm_status status = name_parts(&arrays, arena, from);
    if (status == FWM_OK)
        status = fem_mesh_build(mesh, &arrays);
    fwm_arena_destroy(arena);
    return status == FWM_OK ? status : fwm_fail_within(status, "%s: %s", path, place);
}

fwm_status tr_rows_keep(ds_rows *out, fwm_arena *arena, const fem_csr *csr)
{
    int64_t *row_start = fwm_arena_alloc(arena, (size_t)(csr->rows + 1) * sizeof *row_start);
    int32_t *column = fwm_arena_alloc(arena, (size_t)(csr->nnz + 1) * sizeof *column);
    double *weight = fwm_arena_alloc(arena, (size_t)(csr->nnz + 1) * sizeof *weight);
    FWM_CHECK(row_start && column && weight, FWM_MEMORY, "out of memory for %lld rows", (long long)csr->rows);
    memcpy(row_start, csr->row_start, (size_t)(csr->rows + 1) * sizeof *row_start);
    memcpy(column, csr->column, (size_t)csr->nnz * sizeof *column);
    memcpy(weight, csr->weight, (size_t)csr->nnz * sizeof *weight);
    *out = (ds_rows){csr->rows, row_start, column, weight};
    return FWM_OK;
}

/* ---- mesh files ---- */

bool tr_mesh_file_is(const char *path)
{
    static const char head[] = "$MeshFormat";
    char begins[sizeof head - 1] = "";
    FILE *f = fopen(path, "rb");
    bool is = f && fread(begins, 1, sizeof begins, f) == sizeof begins && memcmp(begins, head, sizeof begins) == 0;
    if (f)
        (void)fclose(f);
    return is;
}

static json_t *regions_json(const fem_mesh *m)
{
    json_t *all = json_object();
    for (int r = 0; r < m->n_regions; r++) {
        double measure = 0;
        json_int_t cells = 0;
        for (int64_t c = 0; c < m->n_cells; c++)
            if (m->cell_region[c] == r) {
                measure += m->cell_area[c];
                cells++;
            }
        (void)json_object_set_new(all, m->region_name[r], json_pack("{s:I,s:f}", "cells", cells, "measure", measure));
    }
    return all;
}

static json_t *boundaries_json(const fem_mesh *m)
{
    json_t *all = json_object();
    for (int label = 0; label < m->n_labels; label++) {
        json_int_t faces = 0;
        for (int64_t f = 0; f < m->n_faces; f++)
            faces += m->face_label[f] == label;
        if (faces > 0)
            (void)json_object_set_new(all, m->label_name[label], json_integer(faces));
    }
    return all;
}

fwm_status tr_mesh_file_json(json_t **out, const char *path)
{
    fem_mesh *m;
    *out = NULL;
    FWM_TRY(fem_mesh_from_gmsh(&m, path, 1));
    double least = INFINITY, most = 0;
    for (int64_t c = 0; c < m->n_cells; c++) {
        double edge = pow(m->cell_area[c], 1.0 / m->dim);
        least = fmin(least, edge);
        most = fmax(most, edge);
    }
    json_t *lower = json_array(), *upper = json_array();
    for (int d = 0; d < m->dim; d++) {
        (void)json_array_append_new(lower, json_real(m->lower[d]));
        (void)json_array_append_new(upper, json_real(m->upper[d]));
    }
    *out = json_pack("{s:s,s:s,s:i,s:I,s:I,s:f,s:o,s:o,s:[f,f],s:o,s:o}", "format", "gmsh mesh", "cell",
                     fem_element_cell(m->element), "dim", m->dim, "cells", (json_int_t)m->n_cells, "vertices",
                     (json_int_t)m->n_vertices, "measure", m->area, "lower", lower, "upper", upper, "cell_edges", least,
                     most, "regions", regions_json(m), "boundaries", boundaries_json(m));
    fem_mesh_destroy(&m);
    FWM_CHECK(*out, FWM_MEMORY, "%s: out of memory", path);
    return FWM_OK;
}
