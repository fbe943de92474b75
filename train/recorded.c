#include "train/recorded.h"

#include "data/grid.h"
#include "data/video.h"
#include "data/view.h"
#include "model/base/log.h"
#include "physics/fem.h"
#include "train/cheap.h"
#include "train/mesh_data.h"
#include "train/scene.h"

#include <math.h>
#include <string.h>

/* Sides of drawn frames [pixels], where nobody chose: those of the grid within these, in steps of 8. */
enum { LEAST_SIDE = 16, LARGEST_SIDE = 128, SIDE_STEP = 8 };

static const double SHOWN_DEVIATIONS = 3;

typedef struct completion {
    const tr_config *config;
    ds_dataset *file;
    const ds_info *info;
    const fem_equation *equation; /* NULL where none is named */
    ds_view_spec spec;
    bool needed, line, pure; /* pure: video without a state of its own */
    fem_mesh *mesh;          /* of the state, where it is needed here */
} completion;

static void *room(completion *p, int64_t count, size_t size)
{
    return fwm_arena_alloc(p->spec.arena, (size_t)(count + 1) * size);
}

static fwm_status out_of_memory(const completion *p)
{
    return fwm_fail(FWM_MEMORY, "%s: out of memory", ds_path(p->file));
}

/* ---- the mesh ---------------------------------------------------------------------------------------------------- */

static const double *counted(completion *p, int64_t n)
{
    double *x = room(p, n, sizeof *x);
    for (int64_t i = 0; x && i < n; i++)
        x[i] = (double)i;
    return x;
}

/* Nodes of the state that are each one point of what the file holds: the caller writes which, [n]. */
static fwm_status pick_points(completion *p, int64_t n, int32_t **point)
{
    int64_t *row_start = room(p, n + 1, sizeof *row_start);
    int32_t *column = room(p, n, sizeof *column);
    double *weight = room(p, n, sizeof *weight);
    *point = column;
    if (!row_start || !column || !weight)
        return out_of_memory(p);
    for (int64_t i = 0; i < n; i++) {
        row_start[i] = i;
        weight[i] = 1;
    }
    row_start[n] = n;
    p->spec.nodes = (ds_rows){n, row_start, column, weight};
    return FWM_OK;
}

/* Of three axes the plane across one of them at its point nearest to data.plane; p->spec.nodes picks its points. */
static fwm_status take_plane(completion *p, ds_grid *grid)
{
    const ds_grid space = *p->info->grid;
    const int across = p->config->data.across, first = across == 0 ? 1 : 0, second = across == 2 ? 1 : 2;
    const int64_t stride[DS_GRID_MAX] = {space.n[1] * space.n[2], space.n[2], 1}, n = space.n[first] * space.n[second],
                  at = llround(p->config->data.plane * (double)(space.n[across] - 1));
    FWM_CHECK(!p->equation, FWM_CONFIG,
              "physics.equation: a plane is taken of the three axes of %s (data.across), and no law holds on it alone: "
              "expected none, found %s",
              ds_path(p->file), p->equation->name);
    *grid = (ds_grid){.dims = 2};
    for (int d = 0; d < 2; d++) {
        const int from = d == 0 ? first : second;
        grid->n[d] = space.n[from];
        grid->names[d] = space.names[from];
        grid->coordinates[d] = space.coordinates[from];
        memcpy(grid->edge[d], space.edge[from], sizeof grid->edge[d]);
    }
    int32_t *point;
    FWM_TRY(pick_points(p, n, &point));
    for (int64_t i = 0; i < n; i++)
        point[i] = (int32_t)(at * stride[across] + i / grid->n[1] * stride[first] + i % grid->n[1] * stride[second]);
    return FWM_OK;
}

/* The grid with its edges settled, lines widened to strips. */
static fwm_status settle_grid(completion *p, const ds_grid **out)
{
    static const ds_edge chosen[] = {DS_EDGE_OPEN, DS_EDGE_WALL, DS_EDGE_PERIODIC};
    ds_grid *grid = room(p, 1, sizeof *grid);
    if (!grid)
        return out_of_memory(p);
    *grid = *p->info->grid;
    if (grid->dims == DS_GRID_MAX)
        FWM_TRY(take_plane(p, grid));
    for (int d = 0; d < grid->dims; d++) {
        for (int side = 0; side < 2; side++)
            if (grid->edge[d][side] == DS_EDGE_UNKNOWN)
                grid->edge[d][side] = chosen[p->config->data.edges];
        if (grid->coordinates[d])
            continue;
        if (p->equation)
            fwm_log(FWM_LOG_WARN, "%s: the coordinates along %s are not known: points are taken to be 1 apart",
                    ds_path(p->file), grid->names[d] ? grid->names[d] : "an axis");
        grid->coordinates[d] = counted(p, grid->n[d]);
        if (!grid->coordinates[d])
            return out_of_memory(p);
    }
    *out = grid;
    p->line = grid->dims == 1;
    return p->line ? ds_grid_strip(grid, p->spec.arena, out) : FWM_OK;
}

static bool edges_are_known(const ds_grid *grid)
{
    bool known = true;
    for (int d = 0; d < grid->dims; d++)
        known = known && grid->edge[d][0] != DS_EDGE_UNKNOWN && grid->edge[d][1] != DS_EDGE_UNKNOWN;
    return known;
}

static fwm_status complete_mesh(completion *p)
{
    const ds_info *info = p->info;
    if (!info->grid || info->fields[DS_STATE].points <= 1 ||
        (info->mesh && info->mesh->dim > 1 && edges_are_known(info->grid)))
        return FWM_OK;
    FWM_CHECK(info->fields[DS_STATE].points <= INT32_MAX, FWM_UNSUPPORTED,
              "%s: /state: expected a grid of at most %d points, found %lld", ds_path(p->file), INT32_MAX,
              (long long)info->fields[DS_STATE].points);
    FWM_TRY(settle_grid(p, &p->spec.grid));
    FWM_TRY(ds_grid_mesh(p->spec.grid, p->spec.arena, &p->spec.mesh));
    FWM_CHECK(p->spec.mesh, FWM_DATA,
              "%s: the grid: expected coordinates that rise or fall strictly, and along a periodic axis (data.edges) "
              "evenly spaced ones of 3 points or more",
              ds_path(p->file));
    p->needed = true;
    if (!p->line)
        return FWM_OK;
    const int64_t n = p->spec.mesh->n;
    int32_t *point;
    FWM_TRY(pick_points(p, n, &point));
    for (int64_t i = 0; i < n; i++)
        point[i] = (int32_t)(i / 2);
    return FWM_OK;
}

/* ---- channels, steps, actions ------------------------------------------------------------------------------------ */

static fwm_status find_channel(const completion *p, const char *key, const char *name, int32_t *channel)
{
    const ds_field_info *state = &p->info->fields[DS_STATE];
    for (int64_t c = 0; c < state->channels; c++)
        if (strcmp(state->names[c], name) == 0) {
            *channel = (int32_t)c;
            return FWM_OK;
        }
    char known[160] = "";
    for (int64_t c = 0; c < state->channels; c++) {
        const size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s%s", c > 0 ? ", " : "", state->names[c]);
    }
    return fwm_fail(FWM_CONFIG, "%s: expected channels of the state of %s (%s), found %s", key, ds_path(p->file), known,
                    name);
}

/* Channels in the equation's order; on a line, vectors have one component in the file. */
static fwm_status order_channels(completion *p, int64_t given, const int32_t *pick, int32_t *channel)
{
    const fem_equation *eq = p->equation;
    int64_t used = 0;
    p->spec.channels = 0;
    for (int f = 0; f < eq->n_fields; f++)
        for (int d = 0; d < (eq->field_kind[f] & FEM_FIELD_VECTOR ? 2 : 1); d++)
            channel[p->spec.channels++] = p->line && d > 0 ? -1 : used < given ? pick[used++] : (used++, -1);
    const int64_t wanted = p->line ? eq->n_fields : fem_equation_components(eq, 2);
    FWM_CHECK(given == wanted, FWM_CONFIG,
              "physics.equation: %s has %lld %s, data.fields takes %lld channels of the state of %s; name as many",
              eq->name, (long long)wanted, p->line ? "fields" : "components", (long long)given, ds_path(p->file));
    return FWM_OK;
}

static fwm_status complete_channels(completion *p)
{
    const ds_field_info *state = &p->info->fields[DS_STATE];
    const tr_strings *fields = &p->config->data.fields;
    const int64_t given = fields->count > 0 ? fields->count : state->channels;
    const bool orders = p->equation && p->info->grid;
    if (fields->count == 0 && !(orders && (p->line || p->spec.mesh)))
        return FWM_OK;
    int32_t *pick = room(p, given, sizeof *pick), *channel = room(p, given + FEM_MAX_COMPONENTS, sizeof *channel);
    const char **names = room(p, given + FEM_MAX_COMPONENTS, sizeof *names),
               **units = room(p, given + FEM_MAX_COMPONENTS, sizeof *units);
    if (!pick || !channel || !names || !units)
        return out_of_memory(p);
    for (int64_t c = 0; c < given; c++) {
        pick[c] = (int32_t)c;
        if (fields->count > 0)
            FWM_TRY(find_channel(p, "data.fields", fields->items[c], &pick[c]));
        channel[c] = pick[c];
    }
    p->spec.channels = given;
    if (orders)
        FWM_TRY(order_channels(p, given, pick, channel));
    for (int64_t c = 0; c < p->spec.channels; c++) {
        names[c] = channel[c] < 0 ? "across" : state->names[channel[c]];
        units[c] = channel[c] < 0 ? "" : state->units[channel[c]];
    }
    p->spec.channel = channel;
    p->spec.names = names;
    p->spec.units = units;
    p->needed = true;
    return FWM_OK;
}

static fwm_status complete_steps(completion *p)
{
    if (p->info->steps > 1)
        return FWM_OK;
    FWM_CHECK(!p->equation, FWM_CONFIG,
              "physics.equation: %s has problems without time (one step a trajectory): expected none, found %s",
              ds_path(p->file), p->equation->name);
    p->spec.begins_at_zero = p->needed = true;
    return FWM_OK;
}

static fwm_status complete_actions(completion *p)
{
    const tr_config *c = p->config;
    if (!p->equation || p->info->fields[DS_ACTIONS].channels > 0)
        return FWM_OK;
    tr_scene scene;
    FWM_TRY(tr_scene_fill(&scene, c, p->equation));
    const int64_t sources = scene.n_sources, count = sources + p->equation->n_ambient + scene.n_driven;
    if (count == 0)
        return FWM_OK;
    const char **names = room(p, count, sizeof *names), **units = room(p, count, sizeof *units);
    if (!names || !units)
        return out_of_memory(p);
    for (int64_t i = 0; i < count; i++) {
        const int64_t ambient = i - sources;
        const bool is_ambient = ambient >= 0 && ambient < p->equation->n_ambient;
        names[i] = is_ambient ? p->equation->ambient[ambient] : "none";
        units[i] = is_ambient ? p->equation->ambient_unit[ambient] : "-";
    }
    p->spec.zero_actions = count;
    p->spec.action_names = names;
    p->spec.action_units = units;
    p->needed = true;
    return FWM_OK;
}

static fwm_status complete_texts(completion *p)
{
    const fem_equation *own;
    if (p->config->data.dt > 0) {
        p->spec.dt = p->config->data.dt;
        p->needed = true;
    }
    if (!p->equation)
        return FWM_OK;
    FWM_CHECK(p->spec.dt > 0 || p->info->dt > 0, FWM_CONFIG,
              "data.dt: expected the time between frames, which %s does not say and physics.equation needs",
              ds_path(p->file));
    /* What others call their equation is theirs; ours must agree with the configuration (law.c). */
    if (fem_equation_find(p->info->equation, &own) != FWM_OK) {
        p->spec.equation = p->equation->name;
        p->needed = true;
    }
    return FWM_OK;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static int64_t side_for(double pixels)
{
    double steps = ceil(pixels / SIDE_STEP);
    return (int64_t)fmin(fmax(SIDE_STEP * steps, LEAST_SIDE), LARGEST_SIDE);
}

/* Pixels along x and y: one a point of the grid; of other meshes the longer side is 64. */
static void choose_sides(const completion *p, ds_drawing *d)
{
    enum { LONGER = 64 };
    const ds_grid *grid = p->spec.grid ? p->spec.grid : p->info->grid;
    const int64_t *asked = p->config->data.frame;
    double x = grid ? (double)grid->n[0] : LONGER, y = grid ? (double)grid->n[1] : LONGER;
    if (!grid) {
        double lx = p->mesh->upper[0] - p->mesh->lower[0], ly = p->mesh->upper[1] - p->mesh->lower[1];
        x *= lx / fmax(lx, ly);
        y *= ly / fmax(lx, ly);
    }
    d->height = asked[0] > 0 ? asked[0] : side_for(y);
    d->width = asked[1] > 0 ? asked[1] : side_for(x);
}

static fwm_status choose_range(const completion *p, ds_drawing *d)
{
    const ds_stats *stats = &p->info->fields[DS_STATE].stats;
    d->low = p->config->data.frame_range[0];
    d->high = p->config->data.frame_range[1];
    if (d->low < d->high)
        return FWM_OK;
    FWM_CHECK(stats->mean && isfinite(stats->mean[d->channel]) && isfinite(stats->std[d->channel]), FWM_DATA,
              "%s: /state: expected finite values to draw; give data.frame_range", ds_path(p->file));
    double reach = SHOWN_DEVIATIONS * fmax(stats->std[d->channel], 1e-6);
    d->low = stats->mean[d->channel] - reach;
    d->high = stats->mean[d->channel] + reach;
    return FWM_OK;
}

static fwm_status complete_frames(completion *p)
{
    const char *draw = p->config->data.draw;
    ds_drawing *d = &p->spec.drawing;
    const ds_mesh *mesh = p->spec.mesh ? p->spec.mesh : p->info->mesh;
    fem_csr *csr = NULL;
    int32_t channel = 0;
    if (p->info->fields[DS_FRAMES].channels > 0 || !mesh || strcmp(draw, "none") == 0)
        return FWM_OK;
    if (strcmp(draw, "auto") != 0)
        FWM_TRY(find_channel(p, "data.draw", draw, &channel));
    FWM_TRY(tr_mesh_from_data(&p->mesh, mesh, ds_path(p->file), "/mesh"));
    *d = (ds_drawing){.channel = channel};
    choose_sides(p, d);
    FWM_TRY(choose_range(p, d));
    FWM_TRY(fem_render(&csr, p->mesh, d->height, d->width, NULL));
    for (int64_t e = 0; p->spec.nodes.rows > 0 && e < csr->nnz; e++)
        csr->column[e] = p->spec.nodes.column[csr->column[e]]; /* nodes of a strip, of a plane, to points beneath */
    fwm_status status = tr_rows_keep(&d->pixels, p->spec.arena, csr);
    fem_csr_destroy(&csr);
    p->needed = true;
    return status;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------
 */

static fwm_status complete(completion *p)
{
    FWM_TRY(ds_ensure_stats_of(p->file,
                               (const bool[DS_FIELDS]){[DS_ACTIONS] = true, [DS_STATE] = true, [DS_S_PHY] = true}));
    if (p->config->model.kind == TR_MODEL_POINTS || p->info->fields[DS_STATE].channels == 0)
        return FWM_OK;
    FWM_CHECK(!p->pure || p->config->physics.equation == TR_EQUATION_NONE, FWM_CONFIG,
              "physics.equation: %s is video without a state, whose colours no law describes: expected none, found %s",
              ds_path(p->file), tr_config_word("physics.equation", p->config->physics.equation));
    if (p->config->physics.equation != TR_EQUATION_NONE)
        p->equation = fem_equation_at(p->config->physics.equation - 1);
    FWM_TRY(complete_mesh(p));
    FWM_TRY(complete_channels(p));
    FWM_TRY(complete_steps(p));
    FWM_TRY(complete_actions(p));
    FWM_TRY(complete_texts(p));
    return complete_frames(p);
}

fwm_status tr_recorded_state(ds_dataset **out, ds_dataset *file, const tr_config *config)
{
    const bool pure = ds_get_info(file)->fields[DS_STATE].channels == 0;
    *out = NULL;
    if (config->model.kind == TR_MODEL_WORLD && ds_video_lacks(ds_get_info(file)))
        FWM_TRY(ds_video_create(&file, file));
    completion p = {.config = config, .file = file, .info = ds_get_info(file), .pure = pure};
    p.spec.arena = fwm_arena_create();
    fwm_status status = p.spec.arena ? complete(&p) : out_of_memory(&p);
    fem_mesh_destroy(&p.mesh);
    if (status == FWM_OK && p.needed)
        return ds_view_create(out, file, &p.spec);
    fwm_arena_destroy(p.spec.arena);
    if (status != FWM_OK)
        ds_close(&file);
    *out = file;
    return status;
}

fwm_status tr_recorded(ds_dataset **out, ds_dataset *file, const tr_config *config)
{
    FWM_TRY(tr_recorded_state(out, file, config));
    const bool simulates = config->model.kind == TR_MODEL_WORLD && config->physics.equation != TR_EQUATION_NONE;
    return simulates ? tr_cheap(out, *out, config) : FWM_OK;
}
