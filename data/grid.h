/* Regular grids on which a dataset's state may lie, what holds at their edges, and the mesh whose nodes they are.
 *
 * Point (i0, i1, i2) of a grid of n0 x n1 x n2 is point (i0 n1 + i1) n2 + i2 of a field: the first axis runs slowest,
 * as in the arrays that datasets store. The mesh numbers its vertices in the same order. */
#ifndef FWM_DATA_GRID_H
#define FWM_DATA_GRID_H

#include "data/mesh.h"
#include "model/base/arena.h"
#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { DS_GRID_MAX = 3 };

typedef enum ds_edge { DS_EDGE_UNKNOWN, DS_EDGE_OPEN, DS_EDGE_WALL, DS_EDGE_PERIODIC, DS_EDGES } ds_edge;

/* A condition that the dataset states, with the part of the grid where it holds. */
typedef struct ds_condition {
    const char *name;
    ds_edge kind;
    int axes;              /* of the mask, each an axis of the grid, ascending or not */
    int axis[DS_GRID_MAX]; /* the grid's axis of each of them */
    int64_t points;        /* product of their extents */
    const uint8_t *mask;   /* [points] row-major, 1 where it holds; NULL where it is not stored as one */
} ds_condition;

typedef struct ds_grid {
    int dims;
    int64_t n[DS_GRID_MAX];
    const char *names[DS_GRID_MAX];
    const double *coordinates[DS_GRID_MAX]; /* [n] each, NULL where not known or not the same for all trajectories */
    ds_edge edge[DS_GRID_MAX][2];           /* at the first and the last coordinate of each axis */
    int64_t conditions;
    const ds_condition *condition;
} ds_grid;

/* "unknown", "open", "wall", "periodic". */
const char *ds_edge_name(ds_edge edge);

/* Product of the extents; false when it does not fit. */
bool ds_grid_points(const ds_grid *grid, int64_t *points);

/* Sets grid->edge from its conditions: a side is a wall where a wall covers all of it, open or periodic where such a
 * condition touches it, else `other`. */
void ds_grid_mark_edges(ds_grid *grid, ds_edge other);

/* The mesh of intervals (P1) or quadrilaterals (Q1) between the points, into the arena, with the boundaries left, right
 * (first axis) and bottom, top (second axis). An axis that is periodic at both ends is closed by cells between its last
 * and its first points, one spacing wide, and has no boundaries; nodes are the grid's points in any case. *out is NULL,
 * without error, for a grid of three axes, one with an axis of a single point, one whose coordinates are not known or
 * do not rise or fall strictly, a periodic axis of under 3 points or uneven spacing, and more points than an index can
 * number. Errors: FWM_MEMORY. */
fwm_status ds_grid_mesh(const ds_grid *grid, fwm_arena *arena, const ds_mesh **out) FWM_MUST_USE;

/* A line as a strip, one cell (of the mean spacing) wide: each point twice, walls along it. What does not change across
 * the strip and meets its walls without flux is the solution on the line, so equations in the plane hold on it as they
 * do in one dimension. Errors: FWM_INVALID (not a line), FWM_MEMORY. */
fwm_status ds_grid_strip(const ds_grid *line, fwm_arena *arena, const ds_grid **strip) FWM_MUST_USE;

/* What is the same spacing throughout `values` (within 0.1 %, and what float32 rounds), 0 where there is none. */
double ds_even_spacing(const double *values, int64_t count);

#endif
