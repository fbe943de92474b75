/* The Well: one file or a folder of them, each with B trajectories of T steps on one regular grid.
 *
 *     /dimensions@spatial_dims, time (T) or (B,T), <dim> (N_d) or (B,N_d)
 *     /t0_fields, /t1_fields, /t2_fields: [B][T][N_d ...][D]*order, absent axes repeated
 *     /scalars: [B][T]     /boundary_conditions/<name>: mask over @associated_dims, @bc_type
 *
 * State: the fields that vary in time, scalars first, then vectors, then tensors row by row, then the constant ones in
 * the same order. Parameters: the scalars that do not vary in time; actions: those that do. */
#include "data/layout.h"
#include "data/source.h"
#include "data/well_files.h"
#include "data/well_stats.h"
#include "model/base/checked.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { ORDERS = 3, FIELDS_MAX = 1024, CONDITIONS_MAX = 256 };

/* One file. */
typedef struct well_part {
    ds_h5 *file;
    bool own;                    /* opened here, not by the dataset */
    int64_t first, count, steps; /* its trajectories */
    int64_t n_state, n_actions;
    ds_source *state, *actions;
    const double **scalars; /* [parameters] one value, or one a trajectory */
    bool *scalar_varies;
    double dt;
    const char *const *channel_names, *const *action_names, *const *scalar_names;
    int64_t channels, scalars_count;
} well_part;

typedef struct well_data {
    int64_t count;
    well_part *parts;
    ds_grid grid;
    ds_well_field *fields; /* of the first file */
    int64_t n_fields;
} well_data;

static bool is_well(const ds_h5 *file)
{
    return ds_h5_exists(file, "/dimensions") &&
           H5Aexists_by_name(file->id, "/dimensions", "spatial_dims", H5P_DEFAULT) > 0 &&
           (ds_h5_exists(file, "/t0_fields") || ds_h5_exists(file, "/t1_fields") || ds_h5_exists(file, "/t2_fields"));
}

static int detect(const char *path, const ds_h5 *file)
{
    if (file)
        return is_well(file) ? 90 : 0;
    fwm_arena *arena = fwm_arena_create();
    ds_well_file *files = NULL;
    int64_t count = 0;
    bool split_folders = false;
    int sure = 0;
    if (arena && ds_well_list_files(path, arena, &count, &files, &split_folders) == FWM_OK) {
        ds_h5 *first = NULL;
        /* A file that cannot be opened is for `open` to name. */
        bool opened = ds_h5_open(&first, files[0].path) == FWM_OK;
        sure = (opened ? is_well(first) : split_folders) ? 80 : 0;
        ds_h5_close(&first);
    }
    fwm_arena_destroy(arena);
    return sure;
}

/* ---- the grid -------------------------------------------------------------------------------------------------- */

/* Coordinates of one axis; where they differ from one trajectory to the next, or move, only how many there are. */
static fwm_status read_axis(const well_part *part, fwm_arena *arena, const char *name, int64_t *n,
                            const double **values)
{
    int rank;
    int64_t dims[DS_RANK_MAX];
    const char *place = ds_format(arena, "/dimensions/%s", name);
    FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", part->file->path);
    FWM_TRY(ds_h5_read_f64_any(part->file, place, arena, &rank, dims, values));
    FWM_CHECK(rank >= 1 && dims[rank - 1] > 0, FWM_DATA, "%s: %s: expected coordinates, found none", part->file->path,
              place);
    *n = dims[rank - 1];
    if (rank > 1)
        *values = NULL;
    return FWM_OK;
}

static fwm_status read_grid(const well_part *part, fwm_arena *arena, ds_grid *grid)
{
    int64_t count;
    const char **names;
    FWM_TRY(ds_h5_attr_list(part->file, "/dimensions", "spatial_dims", true, DS_GRID_MAX, arena, &count, &names));
    FWM_CHECK(count > 0, FWM_DATA, "%s: /dimensions@spatial_dims: expected 1 to 3 names, found none", part->file->path);
    *grid = (ds_grid){.dims = (int)count};
    for (int d = 0; d < grid->dims; d++) {
        grid->names[d] = names[d];
        FWM_TRY(read_axis(part, arena, names[d], &grid->n[d], &grid->coordinates[d]));
    }
    return FWM_OK;
}

static fwm_status read_time(well_part *part, fwm_arena *arena)
{
    int rank;
    int64_t dims[DS_RANK_MAX];
    const double *time;
    FWM_TRY(ds_h5_attr_i64(part->file, "/", "n_trajectories", true, &part->count));
    FWM_TRY(ds_h5_read_f64_any(part->file, "/dimensions/time", arena, &rank, dims, &time));
    FWM_CHECK(rank >= 1 && rank <= 2 && dims[rank - 1] > 0, FWM_DATA,
              "%s: /dimensions/time: expected (T) or (trajectories,T), found %d axes", part->file->path, rank);
    part->steps = dims[rank - 1];
    FWM_CHECK(part->count > 0 && part->count <= part->file->size, FWM_DATA,
              "%s: /@n_trajectories: expected 1 or more, and not more than the file has bytes, found %lld",
              part->file->path, (long long)part->count);
    FWM_CHECK(rank == 1 || dims[0] == part->count, FWM_DATA,
              "%s: /dimensions/time: expected %lld trajectories, found %lld", part->file->path, (long long)part->count,
              (long long)dims[0]);
    part->dt = ds_even_spacing(time, part->steps);
    for (int64_t i = 1; rank == 2 && i < dims[0]; i++) {
        double dt = ds_even_spacing(time + i * part->steps, part->steps);
        if (!(dt > 0.999 * part->dt && dt < 1.001 * part->dt))
            part->dt = 0;
    }
    return FWM_OK;
}

/* A condition's mask over its axes; none where it is not one byte a point of them. */
static fwm_status read_condition(const well_part *part, fwm_arena *arena, const ds_grid *grid, const char *name,
                                 ds_condition *c)
{
    static const char *const kinds[] = {"OPEN", "WALL", "PERIODIC"};
    const ds_h5 *file = part->file;
    const char *place = ds_format(arena, "/boundary_conditions/%s", name), *kind = "", **dims;
    const char *mask = ds_format(arena, "/boundary_conditions/%s/mask", name);
    int64_t count;
    FWM_CHECK(place && mask, FWM_MEMORY, "%s: out of memory", file->path);
    FWM_TRY(ds_h5_attr_text(file, place, "bc_type", true, arena, &kind));
    FWM_TRY(ds_h5_attr_list(file, place, "associated_dims", false, DS_GRID_MAX, arena, &count, &dims));
    *c = (ds_condition){.name = name, .axes = (int)count, .points = 1};
    for (int k = 0; k < 3; k++)
        if (strcasecmp(kind, kinds[k]) == 0)
            c->kind = k == 0 ? DS_EDGE_OPEN : k == 1 ? DS_EDGE_WALL : DS_EDGE_PERIODIC;
    for (int k = 0; k < c->axes; k++) {
        c->axis[k] = -1;
        for (int d = 0; d < grid->dims; d++)
            if (strcmp(dims[k], grid->names[d]) == 0)
                c->axis[k] = d;
        FWM_CHECK(c->axis[k] >= 0, FWM_DATA,
                  "%s: %s@associated_dims: expected names of /dimensions@spatial_dims, found '%s'", file->path, place,
                  dims[k]);
        FWM_CHECK(fwm_mul_i64(c->points, grid->n[c->axis[k]], &c->points), FWM_DATA,
                  "%s: %s@associated_dims: the size overflows", file->path, place);
    }
    int64_t extents[DS_RANK_MAX];
    bool varies[2] = {false, false};
    FWM_TRY(ds_h5_attr_flags(file, place, "sample_varying", false, 1, &varies[0]));
    FWM_TRY(ds_h5_attr_flags(file, place, "time_varying", false, 1, &varies[1]));
    if (c->axes == 0 || varies[0] || varies[1] || !ds_h5_is_dataset(file, mask))
        return FWM_OK;
    FWM_TRY(ds_h5_read_u8(file, mask, c->axes, arena, extents, &c->mask));
    for (int k = 0; k < c->axes; k++)
        FWM_CHECK(extents[k] == grid->n[c->axis[k]], FWM_DATA,
                  "%s: %s: expected extent %lld on axis %d (%s), found %lld", file->path, mask,
                  (long long)grid->n[c->axis[k]], k, dims[k], (long long)extents[k]);
    return FWM_OK;
}

static fwm_status read_conditions(const well_part *part, fwm_arena *arena, ds_grid *grid)
{
    const char **names;
    FWM_TRY(ds_h5_members(part->file, "/boundary_conditions", CONDITIONS_MAX, arena, &grid->conditions, &names));
    ds_condition *list = fwm_arena_alloc(arena, (size_t)(grid->conditions + 1) * sizeof *list);
    FWM_CHECK(list, FWM_MEMORY, "%s: /boundary_conditions: out of memory", part->file->path);
    for (int64_t i = 0; i < grid->conditions; i++)
        FWM_TRY(read_condition(part, arena, grid, names[i], &list[i]));
    grid->condition = list;
    ds_grid_mark_edges(grid, DS_EDGE_OPEN);
    return FWM_OK;
}

/* ---- fields ---------------------------------------------------------------------------------------------------- */

/* What the attributes of a field, or of a scalar (order -1), say about its axes. */
static fwm_status read_source(const well_part *part, const ds_grid *grid, int order, const char *place, ds_source *s)
{
    bool sample = false, time = false, varies[DS_GRID_MAX] = {false};
    *s = ds_source_make(part->file, place);
    FWM_TRY(ds_h5_attr_flags(part->file, place, "sample_varying", true, 1, &sample));
    FWM_TRY(ds_h5_attr_flags(part->file, place, "time_varying", true, 1, &time));
    if (order >= 0)
        FWM_TRY(ds_h5_attr_flags(part->file, place, "dim_varying", true, grid->dims, varies));
    int axes = 0;
    if (sample)
        s->sample = axes++;
    if (time)
        s->time = axes++;
    for (int d = 0; d < grid->dims; d++)
        if (varies[d])
            s->space[d] = axes++;
    s->divisor = 1; /* bytes are numbers here, not brightness */
    FWM_TRY(ds_source_open(s, part->count, part->steps, grid));
    axes += order > 0 ? order : 0;
    FWM_CHECK(s->rank == axes, FWM_DATA, "%s: %s: expected %d axes, as its attributes say, found %d", part->file->path,
              place, axes, s->rank);
    for (int i = axes - order; order > 0 && i < axes; i++)
        FWM_CHECK(s->dims[i] == grid->dims, FWM_DATA, "%s: %s: expected %d components on axis %d, found %lld",
                  part->file->path, place, grid->dims, i, (long long)s->dims[i]);
    return FWM_OK;
}

/* A field's channels: f; f_x, f_y; f_xx, f_xy, ... */
static fwm_status name_components(const well_part *part, fwm_arena *arena, const ds_grid *grid, const char *name,
                                  int order, const char **out)
{
    int count = order == 0 ? 1 : order == 1 ? grid->dims : grid->dims * grid->dims;
    for (int c = 0; c < count; c++) {
        out[c] = order == 0 ? name
                 : order == 1
                     ? ds_format(arena, "%s_%s", name, grid->names[c])
                     : ds_format(arena, "%s_%s%s", name, grid->names[c / grid->dims], grid->names[c % grid->dims]);
        FWM_CHECK(out[c], FWM_MEMORY, "%s: out of memory", part->file->path);
    }
    return FWM_OK;
}

static fwm_status read_fields(well_part *part, fwm_arena *arena, const ds_grid *grid, ds_well_field **fields)
{
    const char **names[ORDERS], **channels;
    int64_t count[ORDERS], all = 0;
    for (int o = 0; o < ORDERS; o++) {
        const char *group = ds_format(arena, "/t%d_fields", o);
        FWM_CHECK(group, FWM_MEMORY, "%s: out of memory", part->file->path);
        count[o] = 0;
        if (ds_h5_exists(part->file, group))
            FWM_TRY(ds_h5_attr_list(part->file, group, "field_names", true, FIELDS_MAX, arena, &count[o], &names[o]));
        all += count[o];
    }
    FWM_CHECK(all > 0, FWM_DATA, "%s: /t0_fields@field_names: expected fields of order 0, 1 or 2, found none",
              part->file->path);
    part->state = fwm_arena_alloc(arena, (size_t)all * sizeof *part->state);
    *fields = fwm_arena_alloc(arena, (size_t)all * sizeof **fields);
    channels = fwm_arena_alloc(arena, (size_t)(all * DS_GRID_MAX * DS_GRID_MAX) * sizeof *channels);
    FWM_CHECK(part->state && *fields && channels, FWM_MEMORY, "%s: out of memory", part->file->path);
    part->channel_names = channels;
    for (int constant = 0; constant < 2; constant++)
        for (int o = 0; o < ORDERS; o++)
            for (int64_t i = 0; i < count[o]; i++) {
                ds_source s;
                bool time = false;
                const char *place = ds_format(arena, "/t%d_fields/%s", o, names[o][i]);
                FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", part->file->path);
                FWM_CHECK(ds_h5_is_dataset(part->file, place), FWM_DATA, "%s: %s: expected a dataset, found none",
                          part->file->path, place);
                FWM_TRY(ds_h5_attr_flags(part->file, place, "time_varying", true, 1, &time));
                if (time == (constant == 1))
                    continue;
                fwm_status status = read_source(part, grid, o, place, &s);
                s.channel = part->channels;
                (*fields)[part->n_state] = (ds_well_field){names[o][i], s.channel, s.channels, constant == 1};
                part->state[part->n_state++] = s; /* closed with the others, should it be wrong */
                FWM_TRY(status);
                FWM_TRY(name_components(part, arena, grid, names[o][i], o, channels + part->channels));
                part->channels += s.channels;
            }
    return FWM_OK;
}

/* One scalar that does not vary in time. */
static fwm_status read_scalar(well_part *part, fwm_arena *arena, const char *name, int64_t slot)
{
    int rank;
    int64_t dims[DS_RANK_MAX], n = 1;
    const char *place = ds_format(arena, "/scalars/%s", name);
    FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", part->file->path);
    FWM_TRY(ds_h5_attr_flags(part->file, place, "sample_varying", true, 1, &part->scalar_varies[slot]));
    FWM_TRY(ds_h5_read_f64_any(part->file, place, arena, &rank, dims, &part->scalars[slot]));
    for (int i = 0; i < rank; i++)
        n *= dims[i];
    int64_t expected = part->scalar_varies[slot] ? part->count : 1;
    FWM_CHECK(n == expected, FWM_DATA, "%s: %s: expected %lld numbers, found %lld", part->file->path, place,
              (long long)expected, (long long)n);
    return FWM_OK;
}

static fwm_status read_scalars(well_part *part, fwm_arena *arena)
{
    static const ds_grid point = {0};
    const char **names, **actions, **scalars;
    int64_t count = 0;
    if (ds_h5_exists(part->file, "/scalars"))
        FWM_TRY(ds_h5_attr_list(part->file, "/scalars", "field_names", true, FIELDS_MAX, arena, &count, &names));
    part->actions = fwm_arena_alloc(arena, (size_t)(count + 1) * sizeof *part->actions);
    part->scalars = fwm_arena_alloc(arena, (size_t)(count + 1) * sizeof *part->scalars);
    part->scalar_varies = fwm_arena_alloc(arena, (size_t)count + 1);
    actions = fwm_arena_alloc(arena, (size_t)(count + 1) * sizeof *actions);
    scalars = fwm_arena_alloc(arena, (size_t)(count + 1) * sizeof *scalars);
    FWM_CHECK(part->actions && part->scalars && part->scalar_varies && actions && scalars, FWM_MEMORY,
              "%s: /scalars: out of memory", part->file->path);
    part->action_names = actions;
    part->scalar_names = scalars;
    for (int64_t i = 0; i < count; i++) {
        bool time = false;
        const char *place = ds_format(arena, "/scalars/%s", names[i]);
        FWM_CHECK(place && ds_h5_is_dataset(part->file, place), FWM_DATA,
                  "%s: /scalars/%s: expected a dataset, found none", part->file->path, names[i]);
        FWM_TRY(ds_h5_attr_flags(part->file, place, "time_varying", true, 1, &time));
        if (time) {
            ds_source *s = &part->actions[part->n_actions];
            actions[part->n_actions++] = names[i];
            fwm_status status = read_source(part, &point, -1, place, s);
            s->channel = part->n_actions - 1;
            FWM_TRY(status);
        } else {
            scalars[part->scalars_count] = names[i];
            FWM_TRY(read_scalar(part, arena, names[i], part->scalars_count));
            part->scalars_count++;
        }
    }
    return FWM_OK;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static fwm_status check_names(const well_part *part, const char *what, int64_t count, const char *const *names,
                              int64_t expected, const char *const *others)
{
    FWM_CHECK(count == expected, FWM_DATA, "%s: %s: expected %lld as in the first file, found %lld", part->file->path,
              what, (long long)expected, (long long)count);
    for (int64_t i = 0; i < count; i++)
        FWM_CHECK(strcmp(names[i], others[i]) == 0, FWM_DATA, "%s: %s: expected '%s' as in the first file, found '%s'",
                  part->file->path, what, others[i], names[i]);
    return FWM_OK;
}

/* Files of one dataset have the same grid and the same fields; steps and trajectories are their own. */
static fwm_status check_alike(const well_part *part, const ds_grid *own, const well_part *first, ds_grid *grid)
{
    FWM_TRY(check_names(part, "/dimensions@spatial_dims", own->dims, own->names, grid->dims, grid->names));
    for (int d = 0; d < grid->dims; d++) {
        FWM_CHECK(own->n[d] == grid->n[d], FWM_DATA,
                  "%s: /dimensions/%s: expected %lld points as in the first file, found %lld", part->file->path,
                  grid->names[d], (long long)grid->n[d], (long long)own->n[d]);
        if (grid->coordinates[d] && (!own->coordinates[d] || memcmp(own->coordinates[d], grid->coordinates[d],
                                                                    (size_t)own->n[d] * sizeof(double)) != 0))
            grid->coordinates[d] = NULL;
    }
    FWM_TRY(check_names(part, "fields", part->channels, part->channel_names, first->channels, first->channel_names));
    FWM_TRY(check_names(part, "/scalars that vary in time", part->n_actions, part->action_names, first->n_actions,
                        first->action_names));
    return check_names(part, "/scalars", part->scalars_count, part->scalar_names, first->scalars_count,
                       first->scalar_names);
}

static fwm_status open_part(ds_dataset *ds, well_part *part, const char *path)
{
    well_data *self = ds->self;
    ds_grid own;
    ds_well_field *fields = NULL;
    bool first = part == self->parts;
    if (ds->file)
        part->file = ds->file;
    else {
        FWM_TRY(ds_h5_open(&part->file, path));
        part->own = true;
    }
    FWM_CHECK(is_well(part->file), FWM_DATA,
              "%s: /dimensions@spatial_dims: expected the layout of The Well, found none", part->file->path);
    FWM_TRY(read_time(part, ds->arena));
    FWM_TRY(read_grid(part, ds->arena, &own));
    FWM_TRY(read_fields(part, ds->arena, &own, &fields));
    FWM_TRY(read_scalars(part, ds->arena));
    if (!first)
        return check_alike(part, &own, self->parts, &self->grid);
    FWM_TRY(read_conditions(part, ds->arena, &own));
    self->grid = own;
    self->fields = fields;
    self->n_fields = part->n_state;
    return ds_h5_attr_text(part->file, "/", "dataset_name", false, ds->arena, &ds->info.name);
}

static fwm_status list_trajectories(ds_dataset *ds, const ds_well_file *files)
{
    well_data *self = ds->self;
    int64_t n = 0, *lengths;
    uint8_t *splits;
    for (int64_t p = 0; p < self->count; p++) {
        self->parts[p].first = n;
        n += self->parts[p].count; /* each at most what a file can hold: the fields were opened */
    }
    FWM_TRY(ds_make_lists(ds, n, &lengths, &splits));
    for (int64_t p = 0; p < self->count; p++)
        for (int64_t i = 0; i < self->parts[p].count; i++) {
            lengths[self->parts[p].first + i] = self->parts[p].steps;
            splits[self->parts[p].first + i] = (uint8_t)files[p].split;
        }
    return FWM_OK;
}

static fwm_status fill_info(ds_dataset *ds, const ds_well_file *files)
{
    well_data *self = ds->self;
    const well_part *first = self->parts;
    ds_info *info = &ds->info;
    ds_field_info *state = &info->fields[DS_STATE], *actions = &info->fields[DS_ACTIONS];
    FWM_TRY(list_trajectories(ds, files));
    info->dt = first->dt;
    for (int64_t p = 1; p < self->count; p++)
        if (!(self->parts[p].dt > 0.999 * info->dt && self->parts[p].dt < 1.001 * info->dt))
            info->dt = 0;
    FWM_CHECK(ds_grid_points(&self->grid, &state->points), FWM_DATA, "%s: /dimensions: the grid's size overflows",
              ds->path);
    info->grid = &self->grid;
    state->channels = first->channels;
    state->names = first->channel_names;
    ds_source_show(&first->state[0], state);
    actions->points = 1;
    actions->channels = first->n_actions;
    actions->names = first->action_names;
    info->parameters = first->scalars_count;
    info->parameter_names = first->scalar_names;
    const char *kind = "cartesian";
    FWM_TRY(ds_h5_attr_text(first->file, "/", "grid_type", false, ds->arena, &kind));
    if (strcasecmp(kind, "cartesian") == 0) /* others' coordinates are angles */
        FWM_TRY(ds_grid_mesh(&self->grid, ds->arena, &info->mesh));
    const char *stats = ds_well_stats_path(files[0].path, ds->arena);
    FWM_CHECK(stats, FWM_MEMORY, "%s: out of memory", ds->path);
    return access(stats, F_OK) == 0
               ? ds_well_stats_read(stats, self->fields, self->n_fields, state->channels, ds->arena, &state->stats)
               : FWM_OK;
}

static fwm_status open_well(ds_dataset *ds)
{
    ds_well_file one = {ds->path, ds_well_split_of(ds->path)}, *files = &one;
    int64_t count = 1;
    bool split_folders;
    well_data *self = ds->self = fwm_calloc(1, sizeof *self);
    FWM_CHECK(self, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_TRY(ds_refuse_options(ds, false, false, false));
    if (!ds->file)
        FWM_TRY(ds_well_list_files(ds->path, ds->arena, &count, &files, &split_folders));
    self->parts = fwm_arena_alloc(ds->arena, (size_t)count * sizeof *self->parts);
    FWM_CHECK(self->parts, FWM_MEMORY, "%s: out of memory", ds->path);
    for (; self->count < count; self->count++) {
        fwm_status status = open_part(ds, &self->parts[self->count], files[self->count].path);
        if (status != FWM_OK) {
            self->count++; /* closed with the others */
            return status;
        }
    }
    return fill_info(ds, files);
}

static void close_well(ds_dataset *ds)
{
    well_data *self = ds->self;
    for (int64_t p = 0; self && p < self->count; p++) {
        well_part *part = &self->parts[p];
        for (int64_t i = 0; i < part->n_state; i++)
            ds_source_close(&part->state[i]);
        for (int64_t i = 0; i < part->n_actions; i++)
            ds_source_close(&part->actions[i]);
        if (part->own)
            ds_h5_close(&part->file);
    }
    fwm_free(self);
    ds->self = NULL;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* The file that holds a trajectory, by bisection: there may be thousands. */
static well_part *part_of(const ds_dataset *ds, int64_t trajectory)
{
    well_data *self = ds->self;
    int64_t low = 0, high = self->count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (self->parts[middle].first <= trajectory)
            low = middle;
        else
            high = middle;
    }
    return &self->parts[low];
}

static fwm_status read_field(ds_dataset *ds, ds_field f, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                             void *out)
{
    static const ds_grid point = {0};
    well_data *self = ds->self;
    well_part *part = part_of(ds, trajectory);
    bool state = f == DS_STATE;
    ds_source *sources = state ? part->state : part->actions;
    for (int64_t i = 0; i < (state ? part->n_state : part->n_actions); i++)
        FWM_TRY(ds_source_read(&sources[i], state ? &self->grid : &point, trajectory - part->first, start, length,
                               ds->info.fields[f].channels, as, out));
    return FWM_OK;
}

static fwm_status read_parameters(ds_dataset *ds, int64_t trajectory, float *out)
{
    const well_part *part = part_of(ds, trajectory);
    for (int64_t i = 0; i < part->scalars_count; i++)
        out[i] = (float)part->scalars[i][part->scalar_varies[i] ? trajectory - part->first : 0];
    return FWM_OK;
}

const ds_layout ds_layout_well = {
    .name = "well",
    .detect = detect,
    .open = open_well,
    .close = close_well,
    .read = read_field,
    .read_parameters = read_parameters,
};
