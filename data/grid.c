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

static bool strictly_monotonic(const double *x, int64_t n)
{
    bool rises = n > 1 && x[1] > x[0], fine = n > 1 && isfinite(x[0]);
    for (int64_t i = 1; fine && i < n; i++)
        fine = isfinite(x[i]) && (rises ? x[i] > x[i - 1] : x[i] < x[i - 1]);
    return fine;
}

static void fill_interval(const ds_grid *grid, double *vertices, int32_t *cells, int32_t *faces)
{
    int64_t n = grid->n[0];
    for (int64_t i = 0; i < n; i++)
        vertices[i] = grid->coordinates[0][i];
    for (int64_t i = 0; i + 1 < n; i++) {
        cells[2 * i] = (int32_t)i;
        cells[2 * i + 1] = (int32_t)(i + 1);
    }
    faces[0] = 0;
    faces[1] = (int32_t)(n - 1);
}

/* Cells turn counter-clockwise where both coordinates rise. faces: left, right [n1 - 1, 2], bottom, top [n0 - 1, 2]. */
static void fill_square(const ds_grid *grid, double *vertices, int32_t *cells, int32_t *faces)
{
    int64_t n0 = grid->n[0], n1 = grid->n[1];
    int32_t *left = faces, *right = left + 2 * (n1 - 1), *bottom = right + 2 * (n1 - 1), *top = bottom + 2 * (n0 - 1);
    for (int64_t i = 0; i < n0; i++)
        for (int64_t j = 0; j < n1; j++) {
            int64_t v = i * n1 + j;
            vertices[2 * v] = grid->coordinates[0][i];
            vertices[2 * v + 1] = grid->coordinates[1][j];
            if (i + 1 < n0 && j + 1 < n1) {
                int32_t *cell = cells + 4 * (i * (n1 - 1) + j);
                cell[0] = (int32_t)v;
                cell[1] = (int32_t)(v + n1);
                cell[2] = (int32_t)(v + n1 + 1);
                cell[3] = (int32_t)(v + 1);
            }
        }
    for (int64_t j = 0; j + 1 < n1; j++) {
        left[2 * j] = (int32_t)(j + 1);
        left[2 * j + 1] = (int32_t)j;
        right[2 * j] = (int32_t)((n0 - 1) * n1 + j);
        right[2 * j + 1] = right[2 * j] + 1;
    }
    for (int64_t i = 0; i + 1 < n0; i++) {
        bottom[2 * i] = (int32_t)(i * n1);
        bottom[2 * i + 1] = (int32_t)((i + 1) * n1);
        top[2 * i] = (int32_t)((i + 2) * n1 - 1);
        top[2 * i + 1] = (int32_t)((i + 1) * n1 - 1);
    }
}

fwm_status ds_grid_mesh(const ds_grid *grid, fwm_arena *arena, const ds_mesh **out)
{
    static const char *const labels[4] = {"left", "right", "bottom", "top"};
    int64_t points;
    *out = NULL;
    if (grid->dims < 1 || grid->dims > 2 || !ds_grid_points(grid, &points) || points > INT32_MAX)
        return FWM_OK;
    for (int d = 0; d < grid->dims; d++)
        if (!grid->coordinates[d] || !strictly_monotonic(grid->coordinates[d], grid->n[d]))
            return FWM_OK;
    int64_t dim = grid->dims, k = 2 * dim, ncell = grid->n[0] - 1, sides[2] = {1, 1};
    if (dim == 2) {
        ncell *= grid->n[1] - 1;
        sides[0] = grid->n[1] - 1;
        sides[1] = grid->n[0] - 1;
    }
    int64_t corners = dim, all_faces = 2 * (dim == 2 ? sides[0] + sides[1] : 1);
    ds_mesh *m = fwm_arena_alloc(arena, sizeof *m);
    ds_boundary *boundary = fwm_arena_alloc(arena, (size_t)(2 * dim) * sizeof *boundary);
    double *vertices = fwm_arena_alloc(arena, (size_t)(points * dim) * sizeof *vertices);
    int32_t *cells = fwm_arena_alloc(arena, (size_t)(ncell * k) * sizeof *cells);
    int32_t *faces = fwm_arena_alloc(arena, (size_t)(all_faces * corners) * sizeof *faces);
    FWM_CHECK(m && boundary && vertices && cells && faces, FWM_MEMORY, "out of memory for a mesh of %lld points",
              (long long)points);
    if (dim == 1)
        fill_interval(grid, vertices, cells, faces);
    else
        fill_square(grid, vertices, cells, faces);
    for (int64_t b = 0; b < 2 * dim; b++) {
        boundary[b] = (ds_boundary){labels[b], sides[b / 2], corners, faces};
        faces += sides[b / 2] * corners;
    }
    *m = (ds_mesh){.dim = dim,
                   .nv = points,
                   .ncell = ncell,
                   .k = k,
                   .cell = dim == 1 ? "interval" : "quadrilateral",
                   .space = dim == 1 ? "P1" : "Q1",
                   .vertices = vertices,
                   .cells = cells,
                   .nboundary = 2 * dim,
                   .boundary = boundary,
                   .n = points,
                   .kn = k};
    *out = m;
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
