#include "data/well_fields.h"

#include "model/base/checked.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 256 };

static const char *const axis_names[DS_GRID_MAX] = {"x", "y", "z"};

/* ---- the grid of a mesh ----------------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The distinct values among n coordinates, ascending, in place; two that differ by less than `close` are one. */
static int64_t distinct(double *x, int64_t n, double close)
{
    int64_t kept = 0;
    qsort(x, (size_t)n, sizeof *x, compare_numbers);
    for (int64_t i = 0; i < n; i++)
        if (kept == 0 || x[i] - x[kept - 1] > close)
            x[kept++] = x[i];
    return kept;
}

static int64_t place_among(const double *x, int64_t n, double value)
{
    int64_t low = 0, high = n;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (x[middle] <= value)
            low = middle;
        else
            high = middle;
    }
    return low + 1 < n && x[low + 1] - value < value - x[low] ? low + 1 : low;
}

/* Points of a mesh's nodes as a grid: all combinations of the coordinates that occur, each once. */
static fwm_status grid_of_mesh(const ds_mesh *mesh, fwm_arena *arena, ds_well_view *view)
{
    const double *at = mesh->nodes ? mesh->nodes : mesh->vertices;
    const int dims = (int)mesh->dim;
    int64_t points = 1;
    view->grid = (ds_grid){.dims = dims};
    for (int d = 0; d < dims; d++) {
        double *x = fwm_arena_alloc(arena, (size_t)(mesh->n + 1) * sizeof *x);
        FWM_CHECK(x, FWM_MEMORY, "out of memory for the coordinates of %lld nodes", (long long)mesh->n);
        double low = INFINITY, high = -INFINITY;
        for (int64_t i = 0; i < mesh->n; i++) {
            x[i] = at[i * dims + d];
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
        view->grid.n[d] = distinct(x, mesh->n, 1e-9 * (high - low));
        view->grid.coordinates[d] = x;
        FWM_CHECK(fwm_mul_i64(points, view->grid.n[d], &points) && points <= mesh->n, FWM_UNSUPPORTED,
                  "the layout of The Well needs a state on a regular grid, and the nodes of this mesh form none");
    }
    int64_t *node = fwm_arena_alloc(arena, (size_t)(mesh->n + 1) * sizeof *node);
    FWM_CHECK(node, FWM_MEMORY, "out of memory for the order of %lld nodes", (long long)mesh->n);
    for (int64_t i = 0; i < mesh->n; i++)
        node[i] = -1;
    for (int64_t i = 0; points == mesh->n && i < mesh->n; i++) {
        int64_t k = 0;
        for (int d = 0; d < dims; d++)
            k = k * view->grid.n[d] + place_among(view->grid.coordinates[d], view->grid.n[d], at[i * dims + d]);
        node[k] = i;
    }
    for (int64_t i = 0; i < mesh->n; i++)
        FWM_CHECK(points == mesh->n && node[i] >= 0, FWM_UNSUPPORTED,
                  "the layout of The Well needs a state on a regular grid, and the nodes of this mesh form none");
    view->node = node;
    return FWM_OK;
}

static fwm_status choose_grid(const ds_info *info, fwm_arena *arena, ds_well_view *view)
{
    if (info->fields[DS_STATE].points > 0) {
        view->field = DS_STATE;
        if (info->grid)
            view->grid = *info->grid;
        else if (info->mesh)
            FWM_TRY(grid_of_mesh(info->mesh, arena, view));
        FWM_CHECK(view->grid.dims > 0, FWM_UNSUPPORTED,
                  "the layout of The Well needs a state on a regular grid, and this one is a list of numbers");
    } else {
        FWM_CHECK(info->fields[DS_FRAMES].points > 0, FWM_UNSUPPORTED,
                  "the layout of The Well needs a state or frames, and the dataset has neither");
        view->field = DS_FRAMES;
        view->grid = (ds_grid){.dims = 2, .n = {info->height, info->width}, .names = {"y", "x"}};
    }
    for (int d = 0; d < view->grid.dims; d++)
        if (!view->grid.names[d])
            view->grid.names[d] = axis_names[d];
    FWM_CHECK(ds_grid_points(&view->grid, &view->points) && view->points == info->fields[view->field].points,
              FWM_UNSUPPORTED, "the layout of The Well needs a state on a regular grid, and this one has other points");
    return FWM_OK;
}

/* ---- fields ----------------------------------------------------------------------------------------------------- */

/* Whether channel `c` is "<stem>_<axes...>" for the axes of component k of that order. */
static bool is_component(const ds_grid *grid, const char *name, const char *stem, size_t length, int order, int k)
{
    char expected[NAME_BYTES];
    const int n = order == 1 ? snprintf(expected, sizeof expected, "%.*s_%s", (int)length, stem, grid->names[k])
                             : snprintf(expected, sizeof expected, "%.*s_%s%s", (int)length, stem,
                                        grid->names[k / grid->dims], grid->names[k % grid->dims]);
    return n > 0 && n < (int)sizeof expected && strcmp(name, expected) == 0;
}

/* How many channels from c on are one field of that order; its name's length in *length. */
static bool is_group(const ds_info *info, const ds_well_view *v, int64_t c, int order, size_t *length)
{
    const ds_field_info *f = &info->fields[v->field];
    const int count = order == 1 ? v->grid.dims : v->grid.dims * v->grid.dims;
    const char *line = strrchr(f->names[c], '_');
    if (!line || line == f->names[c] || c + count > f->channels)
        return false;
    *length = (size_t)(line - f->names[c]);
    for (int k = 0; k < count; k++)
        if (!is_component(&v->grid, f->names[c + k], f->names[c], *length, order, k))
            return false;
    return true;
}

static fwm_status group_channels(const ds_info *info, fwm_arena *arena, ds_well_view *v)
{
    const ds_field_info *f = &info->fields[v->field];
    v->group = fwm_arena_alloc(arena, (size_t)(f->channels + 1) * sizeof *v->group);
    FWM_CHECK(v->group, FWM_MEMORY, "out of memory for %lld fields", (long long)f->channels);
    for (int64_t c = 0; c < f->channels;) {
        ds_well_group *g = &v->group[v->groups++];
        size_t length = 0;
        *g = (ds_well_group){.channel = c, .channels = 1};
        if (v->grid.dims > 1 && is_group(info, v, c, 2, &length))
            g->order = 2;
        else if (v->grid.dims > 1 && is_group(info, v, c, 1, &length))
            g->order = 1;
        else
            length = strlen(f->names[c]);
        for (int k = 0; k < g->order; k++)
            g->channels *= v->grid.dims;
        char *name = fwm_arena_strdup(arena, f->names[c]);
        FWM_CHECK(name, FWM_MEMORY, "out of memory for a name");
        name[length] = '\0';
        for (char *p = name; *p; p++)
            if (*p == '/')
                *p = '_'; /* would be a path */
        g->name = name;
        c += g->channels;
    }
    return FWM_OK;
}

fwm_status ds_well_view_of(const ds_info *info, fwm_arena *arena, ds_well_view *view)
{
    memset(view, 0, sizeof *view);
    FWM_TRY(choose_grid(info, arena, view));
    return group_channels(info, arena, view);
}
