#include "data/mesh_io.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BOUNDARIES_MAX = 4096, PATH_BYTES = 512 };

/* Nodes of a cell for the linear and the quadratic space. */
typedef struct cell_kind {
    const char *name;
    int64_t dim, k, kn2;
    char family; /* P: simplex, Q: tensor product */
} cell_kind;

static const cell_kind cell_kinds[] = {
    {"interval", 1, 2, 3, 'P'},     {"triangle", 2, 3, 6, 'P'},    {"quadrilateral", 2, 4, 9, 'Q'},
    {"tetrahedron", 3, 4, 10, 'P'}, {"hexahedron", 3, 8, 27, 'Q'},
};

static const cell_kind *find_cell(const char *name)
{
    for (size_t i = 0; i < sizeof cell_kinds / sizeof *cell_kinds; i++)
        if (strcmp(cell_kinds[i].name, name) == 0)
            return &cell_kinds[i];
    return NULL;
}

static fwm_status check_indices(const char *what, const int32_t *index, int64_t count, int64_t limit)
{
    for (int64_t i = 0; i < count; i++)
        FWM_CHECK(index[i] >= 0 && index[i] < limit, FWM_INVALID,
                  "%s: expected indices from 0 to %lld, found %d at position %lld", what, (long long)limit - 1,
                  index[i], (long long)i);
    return FWM_OK;
}

static fwm_status check_finite(const char *what, const double *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        FWM_CHECK(isfinite(x[i]), FWM_INVALID, "%s: expected finite coordinates, found %g at position %lld", what, x[i],
                  (long long)i);
    return FWM_OK;
}

fwm_status ds_mesh_check(const ds_mesh *m)
{
    const cell_kind *cell = m->cell ? find_cell(m->cell) : NULL;
    FWM_CHECK(cell, FWM_INVALID,
              "cell: expected interval, triangle, quadrilateral, tetrahedron or hexahedron, found '%s'",
              m->cell ? m->cell : "");
    FWM_CHECK(m->dim == cell->dim && m->k == cell->k, FWM_INVALID,
              "cells: a mesh of %ss has %lld coordinates and %lld vertices a cell, found %lld and %lld", cell->name,
              (long long)cell->dim, (long long)cell->k, (long long)m->dim, (long long)m->k);
    FWM_CHECK(m->space && m->space[0] == cell->family && (m->space[1] == '1' || m->space[1] == '2') && !m->space[2],
              FWM_INVALID, "space: expected %c1 or %c2 on a %s, found '%s'", cell->family, cell->family, cell->name,
              m->space ? m->space : "");
    FWM_CHECK(m->nv > 0 && m->ncell > 0 && m->vertices && m->cells, FWM_INVALID,
              "vertices, cells: expected at least one each");
    bool quadratic = m->space[1] == '2';
    bool own = quadratic || m->merge;
    FWM_CHECK(own == (m->nodes != NULL) && own == (m->cell_nodes != NULL), FWM_INVALID,
              "nodes, cell_nodes: %s with space %s%s", own ? "missing" : "not expected", m->space,
              m->merge ? " on a periodic mesh" : "");
    FWM_CHECK(m->kn == (quadratic ? cell->kn2 : cell->k) && (own ? m->n > 0 : m->n == m->nv), FWM_INVALID,
              "nodes: expected %lld a cell%s, found %lld a cell, %lld in all",
              (long long)(quadratic ? cell->kn2 : cell->k), own ? "" : ", the vertices themselves", (long long)m->kn,
              (long long)m->n);
    FWM_TRY(check_finite("vertices", m->vertices, m->nv * m->dim));
    FWM_TRY(check_indices("cells", m->cells, m->ncell * m->k, m->nv));
    if (m->merge)
        FWM_TRY(check_indices("merge", m->merge, m->nv, m->nv));
    if (own) {
        FWM_TRY(check_finite("nodes", m->nodes, m->n * m->dim));
        FWM_TRY(check_indices("cell_nodes", m->cell_nodes, m->ncell * m->kn, m->n));
    }
    for (int64_t i = 0; i < m->nboundary; i++) {
        char what[PATH_BYTES];
        const ds_boundary *b = &m->boundary[i];
        FWM_CHECK(b->name && b->name[0] && !strchr(b->name, '/'), FWM_INVALID,
                  "boundary %lld: expected a name without '/'", (long long)i);
        (void)snprintf(what, sizeof what, "boundary/%s", b->name);
        FWM_CHECK(b->k >= 1 && b->k <= m->k && (b->count == 0 || b->faces), FWM_INVALID,
                  "%s: expected 1 to %lld vertices a face, found %lld", what, (long long)m->k, (long long)b->k);
        FWM_TRY(check_indices(what, b->faces, b->count * b->k, m->nv));
    }
    for (int64_t i = 0; i < m->nregion; i++) {
        char what[PATH_BYTES];
        const ds_region *r = &m->region[i];
        FWM_CHECK(r->name && r->name[0] && !strchr(r->name, '/'), FWM_INVALID,
                  "region %lld: expected a name without '/'", (long long)i);
        (void)snprintf(what, sizeof what, "region/%s", r->name);
        FWM_TRY(check_indices(what, r->cells, r->count, m->ncell));
    }
    return FWM_OK;
}

static fwm_status read_boundary(const ds_h5 *file, const char *group, fwm_arena *arena, ds_mesh *m)
{
    char path[PATH_BYTES];
    const char **names;
    int64_t dims[2];
    (void)snprintf(path, sizeof path, "%s/boundary", group);
    FWM_TRY(ds_h5_members(file, path, BOUNDARIES_MAX, arena, &m->nboundary, &names));
    ds_boundary *list = fwm_arena_alloc(arena, (size_t)(m->nboundary + 1) * sizeof *list);
    FWM_CHECK(list, FWM_MEMORY, "%s: %s: out of memory", file->path, path);
    for (int64_t i = 0; i < m->nboundary; i++) {
        int n = snprintf(path, sizeof path, "%s/boundary/%s", group, names[i]);
        FWM_CHECK(n > 0 && n < (int)sizeof path, FWM_DATA, "%s: %s/boundary: a name is too long", file->path, group);
        FWM_TRY(ds_h5_read_i32(file, path, 2, arena, dims, &list[i].faces));
        list[i].name = names[i];
        list[i].count = dims[0];
        list[i].k = dims[1];
    }
    m->boundary = list;
    return FWM_OK;
}

static fwm_status read_regions(const ds_h5 *file, const char *group, fwm_arena *arena, ds_mesh *m)
{
    char path[PATH_BYTES];
    const char **names;
    int64_t dims[2];
    (void)snprintf(path, sizeof path, "%s/region", group);
    FWM_TRY(ds_h5_members(file, path, BOUNDARIES_MAX, arena, &m->nregion, &names));
    ds_region *list = fwm_arena_alloc(arena, (size_t)(m->nregion + 1) * sizeof *list);
    FWM_CHECK(list, FWM_MEMORY, "%s: %s: out of memory", file->path, path);
    for (int64_t i = 0; i < m->nregion; i++) {
        int n = snprintf(path, sizeof path, "%s/region/%s", group, names[i]);
        FWM_CHECK(n > 0 && n < (int)sizeof path, FWM_DATA, "%s: %s/region: a name is too long", file->path, group);
        FWM_TRY(ds_h5_read_i32(file, path, 1, arena, dims, &list[i].cells));
        list[i].name = names[i];
        list[i].count = dims[0];
    }
    m->region = list;
    return FWM_OK;
}

static fwm_status read_merge(const ds_h5 *file, const char *group, fwm_arena *arena, ds_mesh *m)
{
    char path[PATH_BYTES];
    int64_t count;
    (void)snprintf(path, sizeof path, "%s/merge", group);
    if (!ds_h5_exists(file, path))
        return FWM_OK;
    FWM_TRY(ds_h5_read_i32(file, path, 1, arena, &count, &m->merge));
    FWM_CHECK(count == m->nv, FWM_DATA, "%s: %s: expected %lld vertices, found %lld", file->path, path,
              (long long)m->nv, (long long)count);
    return FWM_OK;
}

static fwm_status read_parts(const ds_h5 *file, const char *group, fwm_arena *arena, ds_mesh *m)
{
    char path[PATH_BYTES];
    int64_t dims[2];
    FWM_TRY(ds_h5_attr_text(file, group, "cell", true, arena, &m->cell));
    FWM_TRY(ds_h5_attr_text(file, group, "space", true, arena, &m->space));
    (void)snprintf(path, sizeof path, "%s/vertices", group);
    FWM_TRY(ds_h5_read_f64(file, path, 2, arena, dims, &m->vertices));
    m->nv = dims[0];
    m->dim = dims[1];
    (void)snprintf(path, sizeof path, "%s/cells", group);
    FWM_TRY(ds_h5_read_i32(file, path, 2, arena, dims, &m->cells));
    m->ncell = dims[0];
    m->k = dims[1];
    m->n = m->nv;
    m->kn = m->k;
    (void)snprintf(path, sizeof path, "%s/nodes", group);
    if (ds_h5_exists(file, path)) {
        FWM_TRY(ds_h5_read_f64(file, path, 2, arena, dims, &m->nodes));
        m->n = dims[0];
        FWM_CHECK(dims[1] == m->dim, FWM_DATA, "%s: %s: expected %lld coordinates as in vertices, found %lld",
                  file->path, path, (long long)m->dim, (long long)dims[1]);
        (void)snprintf(path, sizeof path, "%s/cell_nodes", group);
        FWM_TRY(ds_h5_read_i32(file, path, 2, arena, dims, &m->cell_nodes));
        FWM_CHECK(dims[0] == m->ncell, FWM_DATA, "%s: %s: expected %lld cells, found %lld", file->path, path,
                  (long long)m->ncell, (long long)dims[0]);
        m->kn = dims[1];
    }
    FWM_TRY(read_merge(file, group, arena, m));
    FWM_TRY(read_regions(file, group, arena, m));
    return read_boundary(file, group, arena, m);
}

fwm_status ds_mesh_read(const ds_h5 *file, const char *group, fwm_arena *arena, const ds_mesh **out)
{
    *out = NULL;
    if (!ds_h5_exists(file, group))
        return FWM_OK;
    ds_mesh *m = fwm_arena_alloc(arena, sizeof *m);
    FWM_CHECK(m, FWM_MEMORY, "%s: %s: out of memory", file->path, group);
    FWM_TRY(read_parts(file, group, arena, m));
    if (ds_mesh_check(m) != FWM_OK)
        return fwm_fail_within(FWM_DATA, "%s: %s", file->path, group);
    *out = m;
    return FWM_OK;
}

static fwm_status write_part(const ds_h5_sink *sink, const char *group, const char *part, hid_t stored, hid_t memory,
                             int64_t rows, int64_t columns, const void *values)
{
    char path[PATH_BYTES];
    int64_t dims[2] = {rows, columns};
    int n = snprintf(path, sizeof path, "%s/%s", group, part);
    FWM_CHECK(n > 0 && n < (int)sizeof path, FWM_INVALID, "%s: %s/%.64s...: the name is too long", sink->path, group,
              part);
    return ds_h5_put_array(sink, path, stored, memory, 2, dims, values);
}

static fwm_status write_list(const ds_h5_sink *sink, const char *group, const char *name, int64_t count,
                             const int32_t *values)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", group, name);
    FWM_CHECK(n > 0 && n < (int)sizeof path, FWM_INVALID, "%s: %s/%.64s...: the name is too long", sink->path, group,
              name);
    return ds_h5_put_array(sink, path, H5T_STD_I32LE, H5T_NATIVE_INT32, 1, &count, values);
}

fwm_status ds_mesh_write(const ds_h5_sink *sink, const char *group, const ds_mesh *m)
{
    char boundary[PATH_BYTES];
    FWM_TRY(ds_h5_put_group(sink, group));
    FWM_TRY(ds_h5_put_text(sink, group, "cell", m->cell));
    FWM_TRY(ds_h5_put_text(sink, group, "space", m->space));
    FWM_TRY(write_part(sink, group, "vertices", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, m->nv, m->dim, m->vertices));
    FWM_TRY(write_part(sink, group, "cells", H5T_STD_I32LE, H5T_NATIVE_INT32, m->ncell, m->k, m->cells));
    if (m->nodes) {
        FWM_TRY(write_part(sink, group, "nodes", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, m->n, m->dim, m->nodes));
        FWM_TRY(write_part(sink, group, "cell_nodes", H5T_STD_I32LE, H5T_NATIVE_INT32, m->ncell, m->kn, m->cell_nodes));
    }
    if (m->merge)
        FWM_TRY(write_list(sink, group, "merge", m->nv, m->merge));
    if (m->nregion > 0) {
        (void)snprintf(boundary, sizeof boundary, "%s/region", group);
        FWM_TRY(ds_h5_put_group(sink, boundary));
    }
    for (int64_t i = 0; i < m->nregion; i++)
        FWM_TRY(write_list(sink, boundary, m->region[i].name, m->region[i].count, m->region[i].cells));
    (void)snprintf(boundary, sizeof boundary, "%s/boundary", group);
    FWM_TRY(ds_h5_put_group(sink, boundary));
    for (int64_t i = 0; i < m->nboundary; i++)
        FWM_TRY(write_part(sink, boundary, m->boundary[i].name, H5T_STD_I32LE, H5T_NATIVE_INT32, m->boundary[i].count,
                           m->boundary[i].k, m->boundary[i].faces));
    return FWM_OK;
}
