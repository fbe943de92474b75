/* PDEBench, in its three containers:
 *     arrays   /tensor or /density, /pressure, /Vx, /Vy, /Vz (N,T,X[,Y[,Z]]); /nu (N,X,Y) beside it (Darcy);
 *              /x-coordinate, ..., /t-coordinate. An extra leading axis of extent 1 is left out.
 *     groups   /0000, /0001, ...: data (T,X[,Y[,Z]],C), grid/x, ..., grid/t
 *     flow     /velocity (N,T,X,Y,2), /particles (N,T,X,Y,1), /force (N,X,Y,2), /t (N,T)
 * State: the fields in this order. Parameters: the numbers among the root's attributes. Splits as the benchmark's own
 * loaders make them: the first tenth of arrays is for testing, the last tenth of groups. */
#include "data/layout.h"
#include "data/source.h"

#include <ctype.h>
#include <string.h>

enum { SOURCES_MAX = 8, GROUPS_MAX = 1 << 20, NUMBERS_MAX = 64, TENTH = 10 };

typedef struct pde_data {
    ds_grid grid;
    bool groups;
    int64_t count; /* of sources: a trajectory's each for groups, a field's each otherwise */
    ds_source *sources;
    const double *numbers; /* [parameters] */
} pde_data;

static const char *const fluid_fields[] = {"density", "pressure", "Vx", "Vy", "Vz"};
enum { FLUID_FIELDS = sizeof fluid_fields / sizeof *fluid_fields };

/* ---- recognising ----------------------------------------------------------------------------------------------- */

static bool is_group_name(const char *name)
{
    size_t n = 0;
    while (isdigit((unsigned char)name[n]))
        n++;
    return n > 0 && name[n] == '\0';
}

static bool is_flow(const ds_h5 *file)
{
    return ds_h5_is_dataset(file, "/velocity") && ds_h5_is_dataset(file, "/particles") && ds_h5_is_dataset(file, "/t");
}

static bool is_arrays(const ds_h5 *file)
{
    return ds_h5_is_dataset(file, "/tensor") || (ds_h5_is_dataset(file, "/density") && ds_h5_is_dataset(file, "/Vx"));
}

static int detect(const char *path, const ds_h5 *file)
{
    (void)path;
    if (!file)
        return 0;
    if (is_flow(file))
        return 70;
    if (is_arrays(file))
        return ds_h5_is_dataset(file, "/x-coordinate") ? 80 : 40;
    return ds_h5_is_dataset(file, "/0000/data") && ds_h5_exists(file, "/0000/grid") ? 80 : 0;
}

/* ---- coordinates ----------------------------------------------------------------------------------------------- */

/* Coordinates of the n points of an axis: as many as points, or one more, which then are the faces between which the
 * points are centred. Without error, NULL where there are none. */
static fwm_status read_axis(const ds_dataset *ds, const char *place, int64_t n, const double **out)
{
    int64_t found = 0;
    const double *values;
    *out = NULL;
    if (!ds_h5_is_dataset(ds->file, place))
        return FWM_OK;
    FWM_TRY(ds_h5_read_f64(ds->file, place, 1, ds->arena, &found, &values));
    FWM_CHECK(found == n || found == n + 1, FWM_DATA, "%s: %s: expected %lld coordinates, or one more, found %lld",
              ds->path, place, (long long)n, (long long)found);
    *out = values;
    if (found == n)
        return FWM_OK;
    double *centres = fwm_arena_alloc(ds->arena, (size_t)(n + 1) * sizeof *centres);
    FWM_CHECK(centres, FWM_MEMORY, "%s: %s: out of memory", ds->path, place);
    for (int64_t i = 0; i < n; i++)
        centres[i] = (values[i] + values[i + 1]) / 2;
    *out = centres;
    return FWM_OK;
}

/* The time between frames, from a list of at least as many times. */
static fwm_status read_times(ds_dataset *ds, const char *place, int rank, int64_t steps)
{
    int64_t dims[2] = {0, 0};
    const double *values;
    if (!ds_h5_is_dataset(ds->file, place))
        return FWM_OK;
    FWM_TRY(ds_h5_read_f64(ds->file, place, rank, ds->arena, dims, &values));
    FWM_CHECK(dims[rank - 1] >= steps && (rank == 1 || dims[0] > 0), FWM_DATA,
              "%s: %s: expected at least %lld times, found %lld", ds->path, place, (long long)steps,
              (long long)dims[rank - 1]);
    ds->info.dt = ds_even_spacing(values, steps);
    return FWM_OK;
}

static fwm_status read_grid(ds_dataset *ds, const char *stem, const char *suffix)
{
    static const char *const axes[DS_GRID_MAX] = {"x", "y", "z"};
    pde_data *self = ds->self;
    for (int d = 0; d < self->grid.dims; d++) {
        const char *place = ds_format(ds->arena, "%s%s%s", stem, axes[d], suffix);
        FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", ds->path);
        self->grid.names[d] = axes[d];
        FWM_TRY(read_axis(ds, place, self->grid.n[d], &self->grid.coordinates[d]));
    }
    FWM_CHECK(ds_grid_points(&self->grid, &ds->info.fields[DS_STATE].points), FWM_DATA, "%s: the grid's size overflows",
              ds->path);
    ds->info.grid = &self->grid;
    return ds_grid_mesh(&self->grid, ds->arena, &ds->info.mesh);
}

/* ---- arrays and flow ------------------------------------------------------------------------------------------- */

/* Extents of a dataset, looked at before its axes are known. */
static fwm_status look(const ds_dataset *ds, const char *place, int *rank, int64_t *dims)
{
    ds_array a;
    FWM_TRY(ds_array_open(&a, ds->file, place, 0, 0));
    *rank = a.rank;
    memcpy(dims, a.dims, sizeof a.dims);
    bool empty = ds_array_width(&a, 0) == 0;
    ds_array_close(&a);
    FWM_CHECK(!empty, FWM_DATA, "%s: %s: expected values, found an axis of extent 0", ds->path, place);
    return FWM_OK;
}

/* Opens the next source, whose axes are already told. */
static fwm_status add_source(ds_dataset *ds, ds_source source)
{
    pde_data *self = ds->self;
    ds_field_info *state = &ds->info.fields[DS_STATE];
    ds_source *s = &self->sources[self->count];
    *s = source;
    s->divisor = 1;
    s->channel = state->channels;
    FWM_TRY(ds_source_open(s, ds->info.trajectories, s->time < 0 ? 0 : ds->info.steps, &self->grid));
    self->count++;
    state->channels += s->channels;
    return FWM_OK;
}

static fwm_status set_trajectories(ds_dataset *ds, int64_t n, int64_t steps, int64_t test_from, int64_t test_to)
{
    int64_t *lengths;
    uint8_t *splits;
    FWM_TRY(ds_make_lists(ds, n, &lengths, &splits));
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = steps;
        splits[i] = i >= test_from && i < test_to ? DS_TEST : DS_TRAIN;
    }
    ds->info.steps = steps;
    return FWM_OK;
}

/* How many axes of space an array has: as many as there are coordinates; else what trajectories and time leave. */
static int count_axes(const ds_dataset *ds, int rank)
{
    int n = 0;
    n += ds_h5_is_dataset(ds->file, "/x-coordinate");
    n += ds_h5_is_dataset(ds->file, "/y-coordinate");
    n += ds_h5_is_dataset(ds->file, "/z-coordinate");
    return n > 0 ? n : rank - 2;
}

/* The axes of an array of fields: [1,] N, T, space; or N, T, space, components. */
static fwm_status map_array(const ds_dataset *ds, const char *place, int dims, bool time, ds_source *s)
{
    int rank, axes = dims + 1 + time;
    int64_t extent[DS_RANK_MAX];
    FWM_TRY(look(ds, place, &rank, extent));
    bool extra = rank == axes + 1 && extent[0] == 1;
    FWM_CHECK(rank == axes || rank == axes + 1, FWM_DATA,
              "%s: %s: expected %d axes (trajectories%s, %d of space), found %d", ds->path, place, axes,
              time ? ", time" : "", dims, rank);
    *s = ds_source_make(ds->file, place);
    s->sample = extra ? 1 : 0;
    if (time)
        s->time = s->sample + 1;
    for (int d = 0; d < dims; d++)
        s->space[d] = s->sample + 1 + time + d;
    return FWM_OK;
}

static fwm_status name_channels(ds_dataset *ds, int64_t count, const char *const *names)
{
    const char **list = fwm_arena_alloc(ds->arena, (size_t)(count + 1) * sizeof *list);
    FWM_CHECK(list, FWM_MEMORY, "%s: out of memory", ds->path);
    memcpy(list, names, (size_t)count * sizeof *list);
    ds->info.fields[DS_STATE].names = list;
    return FWM_OK;
}

static fwm_status open_arrays(ds_dataset *ds)
{
    pde_data *self = ds->self;
    const char *places[SOURCES_MAX], *names[SOURCES_MAX];
    int n = 0, rank;
    int64_t extent[DS_RANK_MAX];
    bool tensor = ds_h5_is_dataset(ds->file, "/tensor"), darcy = tensor && ds_h5_is_dataset(ds->file, "/nu");
    for (int i = 0; !tensor && i < FLUID_FIELDS; i++) {
        places[n] = ds_format(ds->arena, "/%s", fluid_fields[i]);
        FWM_CHECK(places[n], FWM_MEMORY, "%s: out of memory", ds->path);
        names[n] = fluid_fields[i];
        n += ds_h5_is_dataset(ds->file, places[n]);
    }
    if (darcy) {
        places[n] = "/nu";
        names[n++] = "nu";
    }
    if (tensor) {
        places[n] = "/tensor";
        names[n++] = darcy ? "u" : "tensor";
    }
    ds_source s;
    FWM_TRY(look(ds, places[n - 1], &rank, extent));
    self->grid.dims = count_axes(ds, rank);
    FWM_CHECK(self->grid.dims >= 1 && self->grid.dims <= DS_GRID_MAX, FWM_DATA,
              "%s: %s: expected trajectories, time and 1 to 3 axes of space, found %d axes", ds->path, places[n - 1],
              rank);
    FWM_TRY(map_array(ds, places[n - 1], self->grid.dims, true, &s));
    for (int d = 0; d < self->grid.dims; d++)
        self->grid.n[d] = extent[s.space[d]];
    FWM_TRY(set_trajectories(ds, extent[s.sample], extent[s.time], 0, extent[s.sample] / TENTH));
    FWM_TRY(read_grid(ds, "/", "-coordinate"));
    for (int i = 0; i < n; i++) {
        FWM_TRY(map_array(ds, places[i], self->grid.dims, strcmp(places[i], "/nu") != 0, &s));
        FWM_TRY(add_source(ds, s));
    }
    if (ds->info.fields[DS_STATE].channels == n) /* components have no names of their own */
        FWM_TRY(name_channels(ds, n, names));
    return read_times(ds, "/t-coordinate", 1, ds->info.steps);
}

static fwm_status open_flow(ds_dataset *ds)
{
    static const char *const names[] = {"velocity_x", "velocity_y", "particles", "force_x", "force_y"};
    static const char *const places[] = {"/velocity", "/particles", "/force"};
    static const int64_t components[] = {2, 1, 2};
    pde_data *self = ds->self;
    int rank;
    int64_t extent[DS_RANK_MAX];
    FWM_TRY(look(ds, "/velocity", &rank, extent));
    FWM_CHECK(rank == 5, FWM_DATA, "%s: /velocity: expected 5 axes, found %d", ds->path, rank);
    self->grid.dims = 2;
    self->grid.n[0] = extent[2];
    self->grid.n[1] = extent[3];
    FWM_TRY(set_trajectories(ds, extent[0], extent[1], 0, 0));
    FWM_TRY(read_grid(ds, "/", "-coordinate"));
    bool force = ds_h5_is_dataset(ds->file, "/force");
    for (int i = 0; i < 2 + force; i++) {
        ds_source s = ds_source_make(ds->file, places[i]);
        int time = i < 2; /* the force does not vary in time */
        s.sample = 0;
        s.time = time ? 1 : -1;
        s.space[0] = 1 + time;
        s.space[1] = 2 + time;
        FWM_TRY(add_source(ds, s));
        FWM_CHECK(self->sources[i].channels == components[i], FWM_DATA, "%s: %s: expected %lld components, found %lld",
                  ds->path, places[i], (long long)components[i], (long long)self->sources[i].channels);
    }
    FWM_TRY(name_channels(ds, ds->info.fields[DS_STATE].channels, names));
    return read_times(ds, "/t", 2, ds->info.steps);
}

/* ---- groups ---------------------------------------------------------------------------------------------------- */

/* One group: its data as a source that is opened for each read. */
static fwm_status open_group(ds_dataset *ds, const char *name, int64_t *length)
{
    pde_data *self = ds->self;
    ds_field_info *state = &ds->info.fields[DS_STATE];
    const char *place = ds_format(ds->arena, "/%s/data", name);
    ds_source *s = &self->sources[self->count];
    FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", ds->path);
    if (self->count == 0) {
        int rank;
        int64_t extent[DS_RANK_MAX];
        FWM_TRY(look(ds, place, &rank, extent));
        self->grid.dims = rank - 2;
        FWM_CHECK(self->grid.dims >= 1 && self->grid.dims <= DS_GRID_MAX, FWM_DATA,
                  "%s: %s: expected time, 1 to 3 axes of space and components, found %d axes", ds->path, place, rank);
        memcpy(self->grid.n, extent + 1, sizeof self->grid.n);
        state->channels = extent[rank - 1];
    }
    *s = ds_source_make(ds->file, place);
    s->time = 0;
    s->divisor = 1;
    for (int d = 0; d < self->grid.dims; d++)
        s->space[d] = d + 1;
    FWM_TRY(ds_source_open(s, 0, 0, &self->grid));
    FWM_CHECK(s->rank == self->grid.dims + 2 && s->channels == state->channels, FWM_DATA,
              "%s: %s: expected %d axes and %lld components as in the first group, found %d and %lld", ds->path, place,
              self->grid.dims + 2, (long long)state->channels, s->rank, (long long)s->channels);
    *length = s->dims[0];
    self->count++;
    return FWM_OK;
}

static fwm_status open_groups(ds_dataset *ds)
{
    pde_data *self = ds->self;
    const char **names;
    int64_t members, n = 0, *lengths;
    uint8_t *splits;
    self->groups = true;
    FWM_TRY(ds_h5_members(ds->file, "/", GROUPS_MAX, ds->arena, &members, &names));
    for (int64_t i = 0; i < members; i++)
        if (is_group_name(names[i]))
            names[n++] = names[i];
    FWM_CHECK(n > 0, FWM_DATA, "%s: expected /tensor, /density or groups /0000, /0001, ..., found none", ds->path);
    FWM_TRY(ds_make_lists(ds, n, &lengths, &splits));
    self->sources = fwm_arena_alloc(ds->arena, (size_t)n * sizeof *self->sources);
    FWM_CHECK(self->sources, FWM_MEMORY, "%s: out of memory for %lld groups", ds->path, (long long)n);
    int64_t trained = n - (n + TENTH - 1) / TENTH;
    for (int64_t i = 0; i < n; i++) {
        FWM_TRY(open_group(ds, names[i], &lengths[i]));
        splits[i] = i < trained || n == 1 ? DS_TRAIN : DS_TEST;
    }
    const char *grid = ds_format(ds->arena, "/%s/grid/", names[0]),
               *times = ds_format(ds->arena, "/%s/grid/t", names[0]);
    const char *group = ds_format(ds->arena, "/%s", names[0]);
    FWM_CHECK(grid && times && group, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_TRY(ds_h5_attr_text(ds->file, group, "config", false, ds->arena, &ds->info.config));
    FWM_TRY(read_grid(ds, grid, ""));
    return read_times(ds, times, 1, lengths[0]);
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

static fwm_status open_pdebench(ds_dataset *ds)
{
    pde_data *self = ds->self = fwm_calloc(1, sizeof *self);
    FWM_CHECK(self, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_CHECK(ds->file, FWM_DATA, "%s: expected a file of layout pdebench, found a folder", ds->path);
    FWM_TRY(ds_refuse_options(ds, false, false, false));
    self->sources = fwm_arena_alloc(ds->arena, SOURCES_MAX * sizeof *self->sources);
    FWM_CHECK(self->sources, FWM_MEMORY, "%s: out of memory", ds->path);
    const char **numbers = NULL;
    FWM_TRY(ds_h5_attr_numbers(ds->file, "/", NUMBERS_MAX, ds->arena, &ds->info.parameters, &numbers, &self->numbers));
    ds->info.parameter_names = numbers;
    FWM_TRY(ds_h5_attr_text(ds->file, "/", "equation", false, ds->arena, &ds->info.equation));
    if (is_flow(ds->file)) {
        FWM_TRY(ds_h5_attr_text(ds->file, "/", "config", false, ds->arena, &ds->info.config));
        FWM_TRY(open_flow(ds));
    } else {
        FWM_TRY(is_arrays(ds->file) ? open_arrays(ds) : open_groups(ds));
    }
    ds_source_show(&self->sources[0], &ds->info.fields[DS_STATE]);
    return FWM_OK;
}

static void close_pdebench(ds_dataset *ds)
{
    pde_data *self = ds->self;
    for (int64_t i = 0; self && i < self->count; i++)
        ds_source_close(&self->sources[i]);
    fwm_free(self);
    ds->self = NULL;
}

static fwm_status read_field(ds_dataset *ds, ds_field f, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                             void *out)
{
    pde_data *self = ds->self;
    int64_t width = ds->info.fields[f].channels;
    if (self->groups)
        return ds_source_read(&self->sources[trajectory], &self->grid, 0, start, length, width, as, out);
    for (int64_t i = 0; i < self->count; i++)
        FWM_TRY(ds_source_read(&self->sources[i], &self->grid, trajectory, start, length, width, as, out));
    return FWM_OK;
}

static fwm_status read_parameters(ds_dataset *ds, int64_t trajectory, float *out)
{
    const pde_data *self = ds->self;
    (void)trajectory; /* a file has one set */
    for (int64_t i = 0; i < ds->info.parameters; i++)
        out[i] = (float)self->numbers[i];
    return FWM_OK;
}

const ds_layout ds_layout_pdebench = {
    .name = "pdebench",
    .detect = detect,
    .open = open_pdebench,
    .close = close_pdebench,
    .read = read_field,
    .read_parameters = read_parameters,
};
