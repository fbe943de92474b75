#include "data/grid.h"

#include "model/base/checked.h"

#include <float.h>
#include <math.h>

const char *ds_edge_name(ds_edge edge)
{
    static const char *const names[DS_EDGES] = {"unknown", "open", "wall", "periodic"};
    return names[edge];
}

bool ds_grid_points(const ds_grid *grid, int64_t *points)
{
    *points = 1;
    for (int d = 0; d < grid->dims; d++)
        if (grid->n[d] < 0 || !fwm_mul_i64(*points, grid->n[d], points))
            return false;
    return true;
}

/* ---- edges ----------------------------------------------------------------------------------------------------- */

/* Whether a condition holds on all, and on any, of the face where axis k of its mask is at its first or last index. */
static void look_at_face(const ds_grid *grid, const ds_condition *c, int k, bool last, bool *all, bool *any)
{
    int64_t inner = 1, extent = grid->n[c->axis[k]];
    for (int j = k + 1; j < c->axes; j++)
        inner *= grid->n[c->axis[j]];
    int64_t outer = inner * extent > 0 ? c->points / (inner * extent) : 0;
    *all = outer > 0;
    *any = false;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            bool holds = c->mask[(o * extent + (last ? extent - 1 : 0)) * inner + i] != 0;
            *all = *all && holds;
            *any = *any || holds;
        }
}

void ds_grid_mark_edges(ds_grid *grid, ds_edge other)
{
    for (int d = 0; d < grid->dims; d++)
        grid->edge[d][0] = grid->edge[d][1] = other;
    for (int64_t i = 0; i < grid->conditions; i++) {
        const ds_condition *c = &grid->condition[i];
        for (int k = 0; c->mask && k < c->axes; k++)
            for (int side = 0; side < 2; side++) {
                bool all, any;
                look_at_face(grid, c, k, side == 1, &all, &any);
                ds_edge *edge = &grid->edge[c->axis[k]][side];
                /* The order of the conditions must not matter: wall over periodic over open. */
                if (c->kind == DS_EDGE_WALL ? all : any && *edge != DS_EDGE_WALL && *edge != DS_EDGE_PERIODIC)
                    *edge = c->kind;
            }
    }
}

/* ---- meshes ---------------------------------------------------------------------------------------------------- */

enum { LEAST_PERIODIC = 3 };

static bool strictly_monotonic(const double *x, int64_t n)
{
    bool rises = n > 1 && x[1] > x[0], fine = n > 1 && isfinite(x[0]);
    for (int64_t i = 1; fine && i < n; i++)
        fine = isfinite(x[i]) && (rises ? x[i] > x[i - 1] : x[i] < x[i - 1]);
    return fine;
}

/* A mesh being made. Its vertices are the grid's points, then, behind the last point of each periodic axis, images of
 * the first ones. A grid of one axis has n[1] = 1. */
typedef struct lattice {
    const ds_grid *grid;
    int dim;
    int64_t n[2], wrapped[2]; /* points; 1 where the axis is periodic */
    int64_t points, vertices, cells;
} lattice;

static int64_t vertex_at(const lattice *l, int64_t i, int64_t j)
{
    if (i < l->n[0] && j < l->n[1])
        return i * l->n[1] + j;
    return l->points + (i == l->n[0] ? j : l->wrapped[0] * (l->n[1] + l->wrapped[1]) + i);
}

/* Coordinate i of axis d; an axis ends one spacing behind its last point where it is periodic. */
static double coordinate_at(const lattice *l, int d, int64_t i)
{
    const double *x = l->grid->coordinates[d];
    int64_t n = l->n[d];
    return i < n ? x[i] : x[n - 1] + (x[n - 1] - x[0]) / (double)(n - 1);
}

static bool describe_lattice(const ds_grid *grid, lattice *l)
{
    *l = (lattice){.grid = grid, .dim = grid->dims, .n = {1, 1}};
    if (grid->dims < 1 || grid->dims > 2 || !ds_grid_points(grid, &l->points))
        return false;
    for (int d = 0; d < grid->dims; d++) {
        const double *x = grid->coordinates[d];
        l->n[d] = grid->n[d];
        l->wrapped[d] = grid->edge[d][0] == DS_EDGE_PERIODIC && grid->edge[d][1] == DS_EDGE_PERIODIC;
        if (!x || !strictly_monotonic(x, grid->n[d]) ||
            (l->wrapped[d] && (grid->n[d] < LEAST_PERIODIC || ds_even_spacing(x, grid->n[d]) == 0)))
            return false;
    }
    l->vertices = (l->n[0] + l->wrapped[0]) * (l->n[1] + l->wrapped[1]);
    l->cells = l->n[0] - 1 + l->wrapped[0];
    if (l->dim == 2)
        l->cells *= l->n[1] - 1 + l->wrapped[1];
    return l->vertices <= INT32_MAX;
}

static void fill_vertices(const lattice *l, double *vertices, int32_t *merge)
{
    for (int64_t i = 0; i < l->n[0] + l->wrapped[0]; i++)
        for (int64_t j = 0; j < l->n[1] + l->wrapped[1]; j++) {
            int64_t v = vertex_at(l, i, j);
            vertices[l->dim * v] = coordinate_at(l, 0, i);
            if (l->dim == 2)
                vertices[2 * v + 1] = coordinate_at(l, 1, j);
            if (merge)
                merge[v] = (int32_t)vertex_at(l, i % l->n[0], j % l->n[1]);
        }
}

/* Cells turn counter-clockwise where both coordinates rise. */
static void fill_cells(const lattice *l, int32_t *cells)
{
    int64_t across = l->dim == 2 ? l->n[1] - 1 + l->wrapped[1] : 1;
    for (int64_t i = 0; i < l->n[0] - 1 + l->wrapped[0]; i++)
        for (int64_t j = 0; j < across; j++) {
            *cells++ = (int32_t)vertex_at(l, i, j);
            *cells++ = (int32_t)vertex_at(l, i + 1, j);
            if (l->dim == 2) {
                *cells++ = (int32_t)vertex_at(l, i + 1, j + 1);
                *cells++ = (int32_t)vertex_at(l, i, j + 1);
            }
        }
}

/* Faces of side 0 or 1 of axis d, seen from outside; returns where the next begin. */
static int32_t *fill_side(const lattice *l, int d, int side, int32_t *face)
{
    int64_t end = side ? l->n[d] - 1 : 0;
    if (l->dim == 1) {
        *face++ = (int32_t)end;
        return face;
    }
    bool forward = d == 0 ? side == 1 : side == 0;
    for (int64_t i = 0; i < l->n[1 - d] - 1 + l->wrapped[1 - d]; i++)
        for (int k = 0; k < 2; k++) {
            int64_t at = i + (k == (int)forward);
            *face++ = (int32_t)(d == 0 ? vertex_at(l, end, at) : vertex_at(l, at, end));
        }
    return face;
}

static fwm_status fill_boundaries(const lattice *l, fwm_arena *arena, ds_mesh *m)
{
    static const char *const labels[2][2] = {{"left", "right"}, {"bottom", "top"}};
    int64_t most = 2 * (l->n[0] + l->n[1] + 2);
    ds_boundary *boundary = fwm_arena_alloc(arena, (size_t)(2 * l->dim) * sizeof *boundary);
    int32_t *face = fwm_arena_alloc(arena, (size_t)(2 * most) * sizeof *face);
    FWM_CHECK(boundary && face, FWM_MEMORY, "out of memory for a mesh of %lld points", (long long)l->points);
    m->boundary = boundary;
    for (int d = 0; d < l->dim; d++)
        for (int side = 0; side < 2 && !l->wrapped[d]; side++) {
            int32_t *begin = face;
            face = fill_side(l, d, side, face);
            boundary[m->nboundary++] = (ds_boundary){labels[d][side], (face - begin) / l->dim, l->dim, begin};
        }
    return FWM_OK;
}

fwm_status ds_grid_mesh(const ds_grid *grid, fwm_arena *arena, const ds_mesh **out)
{
    lattice l;
    *out = NULL;
    if (!describe_lattice(grid, &l))
        return FWM_OK;
    bool periodic = l.wrapped[0] || l.wrapped[1];
    int64_t k = 2 * l.dim;
    ds_mesh *m = fwm_arena_alloc(arena, sizeof *m);
    double *vertices = fwm_arena_alloc(arena, (size_t)(l.vertices * l.dim) * sizeof *vertices);
    int32_t *cells = fwm_arena_alloc(arena, (size_t)(l.cells * k) * sizeof *cells);
    int32_t *merge = periodic ? fwm_arena_alloc(arena, (size_t)l.vertices * sizeof *merge) : NULL;
    int32_t *cell_nodes = periodic ? fwm_arena_alloc(arena, (size_t)(l.cells * k) * sizeof *cell_nodes) : NULL;
    FWM_CHECK(m && vertices && cells && (!periodic || (merge && cell_nodes)), FWM_MEMORY,
              "out of memory for a mesh of %lld points", (long long)l.points);
    fill_vertices(&l, vertices, merge);
    fill_cells(&l, cells);
    for (int64_t i = 0; periodic && i < l.cells * k; i++)
        cell_nodes[i] = merge[cells[i]];
    *m = (ds_mesh){.dim = l.dim,
                   .nv = l.vertices,
                   .ncell = l.cells,
                   .k = k,
                   .cell = l.dim == 1 ? "interval" : "quadrilateral",
                   .space = l.dim == 1 ? "P1" : "Q1",
                   .vertices = vertices,
                   .cells = cells,
                   .n = l.points,
                   .kn = k,
                   .nodes = periodic ? vertices : NULL, /* the points come first */
                   .cell_nodes = cell_nodes,
                   .merge = merge};
    *out = m;
    return fill_boundaries(&l, arena, m);
}

fwm_status ds_grid_strip(const ds_grid *line, fwm_arena *arena, const ds_grid **strip)
{
    int64_t n = line->n[0];
    const double *x = line->coordinates[0];
    ds_grid *s = fwm_arena_alloc(arena, sizeof *s);
    double *y = fwm_arena_alloc(arena, 2 * sizeof *y);
    FWM_CHECK(s && y, FWM_MEMORY, "out of memory for a strip");
    FWM_CHECK(line->dims == 1 && n > 1 && x, FWM_INVALID, "strip: expected one axis with its coordinates");
    y[0] = 0;
    y[1] = fabs(x[n - 1] - x[0]) / (double)(n - 1);
    *s = *line;
    s->dims = 2;
    s->n[1] = 2;
    s->names[1] = "across";
    s->coordinates[1] = y;
    s->edge[1][0] = s->edge[1][1] = DS_EDGE_WALL;
    s->conditions = 0;
    s->condition = NULL;
    *strip = s;
    return FWM_OK;
}

double ds_even_spacing(const double *values, int64_t count)
{
    if (count < 2)
        return 0;
    double mean = (values[count - 1] - values[0]) / (double)(count - 1), largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(values[i]));
    double tolerance = 1e-3 * fabs(mean) + 2 * (double)FLT_EPSILON * largest;
    for (int64_t i = 1; i < count; i++)
        if (!(fabs(values[i] - values[i - 1] - mean) <= tolerance)) /* NaN too */
            return 0;
    return mean;
}
