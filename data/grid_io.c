#include "data/mesh_io.h"

#include <stdio.h>
#include <string.h>

enum { PLACE_BYTES = 128 };

static void place_of(char *place, const char *group, int d)
{
    (void)snprintf(place, PLACE_BYTES, "%s/coordinates%d", group, d);
}

fwm_status ds_grid_write(const ds_h5_sink *sink, const char *group, const ds_grid *grid)
{
    const char *names[DS_GRID_MAX], *edges[2 * DS_GRID_MAX];
    char place[PLACE_BYTES];
    int64_t n = grid->dims;
    for (int d = 0; d < grid->dims; d++) {
        names[d] = grid->names[d] ? grid->names[d] : "";
        edges[2 * d] = ds_edge_name(grid->edge[d][0]);
        edges[2 * d + 1] = ds_edge_name(grid->edge[d][1]);
    }
    FWM_TRY(ds_h5_put_group(sink, group));
    FWM_TRY(ds_h5_put_texts(sink, group, "names", n, names));
    FWM_TRY(ds_h5_put_texts(sink, group, "edges", 2 * n, edges));
    (void)snprintf(place, sizeof place, "%s/points", group);
    FWM_TRY(ds_h5_put_array(sink, place, H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &n, grid->n));
    for (int d = 0; d < grid->dims; d++)
        if (grid->coordinates[d]) {
            place_of(place, group, d);
            FWM_TRY(
                ds_h5_put_array(sink, place, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &grid->n[d], grid->coordinates[d]));
        }
    return FWM_OK;
}

static fwm_status read_edges(const ds_h5 *file, const char *group, fwm_arena *arena, ds_grid *grid)
{
    const char **edges;
    int64_t count;
    FWM_TRY(ds_h5_attr_list(file, group, "edges", true, (int64_t)2 * DS_GRID_MAX, arena, &count, &edges));
    FWM_CHECK(count == 2 * grid->dims, FWM_DATA, "%s: %s@edges: expected %d texts, found %lld", file->path, group,
              2 * grid->dims, (long long)count);
    for (int64_t i = 0; i < count; i++) {
        ds_edge e = 0;
        while (e < DS_EDGES && strcmp(edges[i], ds_edge_name(e)) != 0)
            e++;
        FWM_CHECK(e < DS_EDGES, FWM_DATA, "%s: %s@edges: expected unknown, open, wall or periodic, found '%s'",
                  file->path, group, edges[i]);
        grid->edge[i / 2][i % 2] = e;
    }
    return FWM_OK;
}

fwm_status ds_grid_read(const ds_h5 *file, const char *group, fwm_arena *arena, const ds_grid **out)
{
    const char **names;
    char place[PLACE_BYTES];
    int64_t dims, found = 0;
    const int32_t *points;
    *out = NULL;
    if (!ds_h5_exists(file, group))
        return FWM_OK;
    ds_grid *grid = fwm_arena_alloc(arena, sizeof *grid);
    FWM_CHECK(grid, FWM_MEMORY, "%s: %s: out of memory", file->path, group);
    FWM_TRY(ds_h5_attr_list(file, group, "names", true, DS_GRID_MAX, arena, &dims, &names));
    (void)snprintf(place, sizeof place, "%s/points", group);
    FWM_TRY(ds_h5_read_i32(file, place, 1, arena, &found, &points));
    FWM_CHECK(found == dims && dims > 0, FWM_DATA, "%s: %s: expected the extents of %lld axes, found %lld", file->path,
              place, (long long)dims, (long long)found);
    grid->dims = (int)dims;
    for (int d = 0; d < grid->dims; d++) {
        FWM_CHECK(points[d] > 0, FWM_DATA, "%s: %s: expected 1 point or more on axis %d, found %d", file->path, place,
                  d, points[d]);
        grid->names[d] = names[d];
        grid->n[d] = points[d];
    }
    for (int d = 0; d < grid->dims; d++) {
        place_of(place, group, d);
        if (!ds_h5_exists(file, place))
            continue;
        FWM_TRY(ds_h5_read_f64(file, place, 1, arena, &found, &grid->coordinates[d]));
        FWM_CHECK(found == grid->n[d], FWM_DATA, "%s: %s: expected %lld coordinates, found %lld", file->path, place,
                  (long long)grid->n[d], (long long)found);
    }
    FWM_TRY(read_edges(file, group, arena, grid));
    *out = grid;
    return FWM_OK;
}
