#include "data/well_writer.h"

#include "data/h5write.h"
#include "data/well_fields.h"
#include "model/base/checked.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512, CHUNK_STEPS = 8 };

struct ds_well_writer {
    fwm_arena *arena;
    ds_h5_sink sink;
    char *target, *temporary;
    ds_info info; /* as given: names must live as long as the writer */
    ds_well_view view;
    int64_t count, steps;
    hid_t *fields;            /* [groups] */
    hid_t *actions, *scalars; /* [A], [P] */
    float *room;              /* one group's values of a put */
    size_t room_values;
};

/* ---- creating --------------------------------------------------------------------------------------------------- */

static fwm_status put_varying(const ds_h5_sink *sink, const char *place, bool sample, bool time)
{
    FWM_TRY(ds_h5_put_flags(sink, place, "sample_varying", -1, &sample));
    return ds_h5_put_flags(sink, place, "time_varying", -1, &time);
}

static fwm_status write_head(const ds_well_writer *w)
{
    const ds_grid *grid = &w->view.grid;
    const ds_h5_sink *sink = &w->sink;
    const int64_t dims = grid->dims;
    FWM_TRY(ds_h5_put_text(sink, "/", "dataset_name", w->info.name && *w->info.name ? w->info.name : "fwm"));
    FWM_TRY(ds_h5_put_text(sink, "/", "grid_type", "cartesian"));
    FWM_TRY(ds_h5_put_number(sink, "/", "n_spatial_dims", H5T_NATIVE_INT64, &dims));
    FWM_TRY(ds_h5_put_number(sink, "/", "n_trajectories", H5T_NATIVE_INT64, &w->count));
    FWM_TRY(ds_h5_put_texts(sink, "/", "simulation_parameters", 0, NULL));
    FWM_TRY(ds_h5_put_group(sink, "/dimensions"));
    return ds_h5_put_texts(sink, "/dimensions", "spatial_dims", dims, grid->names);
}

/* n numbers base + i step, or given ones, at /dimensions/NAME. */
static fwm_status write_axis(const ds_well_writer *w, const char *name, int64_t n, double step, const double *values)
{
    char place[PATH_BYTES];
    double *x = fwm_malloc((size_t)n, sizeof *x);
    FWM_CHECK(x, FWM_MEMORY, "%s: out of memory", w->target);
    for (int64_t i = 0; i < n; i++)
        x[i] = values ? values[i] : step * (double)i;
    (void)snprintf(place, sizeof place, "/dimensions/%s", name);
    fwm_status status = ds_h5_put_array(&w->sink, place, H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, 1, &n, x);
    fwm_free(x);
    if (status == FWM_OK)
        status = put_varying(&w->sink, place, false, false);
    return status;
}

static fwm_status write_dimensions(const ds_well_writer *w)
{
    const ds_grid *grid = &w->view.grid;
    FWM_TRY(write_axis(w, "time", w->steps, w->info.dt > 0 ? w->info.dt : 1, NULL));
    for (int d = 0; d < grid->dims; d++)
        FWM_TRY(write_axis(w, grid->names[d], grid->n[d], 1, grid->coordinates[d]));
    return FWM_OK;
}

static fwm_status write_condition(const ds_well_writer *w, const char *name, ds_edge kind, int64_t axes,
                                  const char *const *dims, const int64_t *extents, const uint8_t *mask)
{
    static const char *const kinds[DS_EDGES] = {"OPEN", "OPEN", "WALL", "PERIODIC"};
    char place[PATH_BYTES];
    (void)snprintf(place, sizeof place, "/boundary_conditions/%s", name);
    FWM_TRY(ds_h5_put_group(&w->sink, place));
    FWM_TRY(ds_h5_put_text(&w->sink, place, "bc_type", kinds[kind]));
    FWM_TRY(ds_h5_put_texts(&w->sink, place, "associated_dims", axes, dims));
    FWM_TRY(ds_h5_put_texts(&w->sink, place, "associated_fields", 0, NULL));
    FWM_TRY(put_varying(&w->sink, place, false, false));
    (void)snprintf(place, sizeof place, "/boundary_conditions/%s/mask", name);
    return ds_h5_put_booleans(&w->sink, place, (int)axes, extents, mask);
}

/* What holds at the two ends of an axis: one condition where it is the same, else one for each that is known. */
static fwm_status write_edges(const ds_well_writer *w, int d)
{
    const ds_grid *grid = &w->view.grid;
    const ds_edge *edge = grid->edge[d];
    char name[PATH_BYTES];
    const bool both = edge[0] == edge[1];
    for (int side = 0; side < (both ? 1 : 2); side++) {
        if (edge[side] == DS_EDGE_UNKNOWN)
            continue;
        uint8_t *mask = fwm_calloc((size_t)grid->n[d], 1);
        FWM_CHECK(mask, FWM_MEMORY, "%s: out of memory", w->target);
        if (both || side == 0)
            mask[0] = 1;
        if (both || side == 1)
            mask[grid->n[d] - 1] = 1;
        (void)snprintf(name, sizeof name, "%s_%s%s", grid->names[d],
                       both        ? ""
                       : side == 0 ? "first_"
                                   : "last_",
                       ds_edge_name(edge[side]));
        const fwm_status status = write_condition(w, name, edge[side], 1, &grid->names[d], &grid->n[d], mask);
        fwm_free(mask);
        FWM_TRY(status);
    }
    return FWM_OK;
}

/* The conditions that the dataset states; where it states none, what holds at the edges. */
static fwm_status write_conditions(const ds_well_writer *w)
{
    const ds_grid *grid = &w->view.grid;
    int64_t stated = 0;
    FWM_TRY(ds_h5_put_group(&w->sink, "/boundary_conditions"));
    for (int64_t i = 0; i < grid->conditions; i++) {
        const ds_condition *c = &grid->condition[i];
        const char *dims[DS_GRID_MAX];
        int64_t extents[DS_GRID_MAX];
        if (!c->mask)
            continue;
        for (int k = 0; k < c->axes; k++) {
            dims[k] = grid->names[c->axis[k]];
            extents[k] = grid->n[c->axis[k]];
        }
        FWM_TRY(write_condition(w, c->name, c->kind, c->axes, dims, extents, c->mask));
        stated++;
    }
    for (int d = 0; d < grid->dims && stated == 0; d++)
        FWM_TRY(write_edges(w, d));
    return FWM_OK;
}

static fwm_status create_fields(ds_well_writer *w, const ds_writer_options *options)
{
    static const char *const orders[3] = {"/t0_fields", "/t1_fields", "/t2_fields"};
    const ds_well_view *v = &w->view;
    const bool every[DS_GRID_MAX] = {true, true, true}, no = false;
    const char **names = fwm_arena_alloc(w->arena, (size_t)(v->groups + 1) * sizeof *names);
    FWM_CHECK(names, FWM_MEMORY, "%s: out of memory", w->target);
    for (int o = 0; o < 3; o++) {
        int64_t n = 0;
        for (int64_t g = 0; g < v->groups; g++)
            if (v->group[g].order == o)
                names[n++] = v->group[g].name;
        FWM_TRY(ds_h5_put_group(&w->sink, orders[o]));
        FWM_TRY(ds_h5_put_texts(&w->sink, orders[o], "field_names", n, names));
    }
    for (int64_t g = 0; g < v->groups; g++) {
        const int order = v->group[g].order, dims = v->grid.dims, rank = 2 + dims + order;
        const int64_t most = options->chunk_steps > 0 ? options->chunk_steps : CHUNK_STEPS;
        int64_t extent[DS_RANK_MAX] = {w->count, w->steps}, chunk[DS_RANK_MAX];
        char place[PATH_BYTES];
        for (int d = 0; d < dims; d++)
            extent[2 + d] = v->grid.n[d];
        for (int k = 0; k < order; k++)
            extent[2 + dims + k] = dims;
        memcpy(chunk, extent, sizeof chunk);
        chunk[0] = 1;
        chunk[1] = w->steps < most ? w->steps : most;
        (void)snprintf(place, sizeof place, "%s/%s", orders[order], v->group[g].name);
        FWM_TRY(ds_h5_create_array(&w->sink, place, H5T_IEEE_F32LE, rank, extent, chunk, options->gzip, &w->fields[g]));
        FWM_TRY(put_varying(&w->sink, place, true, true));
        FWM_TRY(ds_h5_put_flags(&w->sink, place, "dim_varying", dims, every));
        if (order == 2) {
            FWM_TRY(ds_h5_put_flags(&w->sink, place, "symmetric", -1, &no));
            FWM_TRY(ds_h5_put_flags(&w->sink, place, "antisymmetric", -1, &no));
        }
    }
    return FWM_OK;
}

static fwm_status create_scalars(ds_well_writer *w)
{
    const ds_info *info = &w->info;
    const int64_t actions = info->fields[DS_ACTIONS].channels, all = actions + info->parameters;
    const int64_t extent[2] = {w->count, w->steps};
    const char **names = fwm_arena_alloc(w->arena, (size_t)(all + 1) * sizeof *names);
    FWM_CHECK(names, FWM_MEMORY, "%s: out of memory", w->target);
    FWM_TRY(ds_h5_put_group(&w->sink, "/scalars"));
    for (int64_t i = 0; i < all; i++) {
        char place[PATH_BYTES];
        const bool action = i < actions;
        names[i] = action ? info->fields[DS_ACTIONS].names[i] : info->parameter_names[i - actions];
        for (int64_t k = 0; k < i; k++)
            if (strcmp(names[k], names[i]) == 0) {
                char text[PATH_BYTES];
                (void)snprintf(text, sizeof text, "%s_%lld", names[i], (long long)i);
                names[i] = fwm_arena_strdup(w->arena, text);
                FWM_CHECK(names[i], FWM_MEMORY, "%s: out of memory", w->target);
            }
        (void)snprintf(place, sizeof place, "/scalars/%s", names[i]);
        FWM_TRY(ds_h5_create_array(&w->sink, place, H5T_IEEE_F32LE, action ? 2 : 1, extent, NULL, 0,
                                   action ? &w->actions[i] : &w->scalars[i - actions]));
        FWM_TRY(put_varying(&w->sink, place, true, action));
    }
    return ds_h5_put_texts(&w->sink, "/scalars", "field_names", all, names);
}

static fwm_status create_file(ds_well_writer *w, const ds_writer_options *options)
{
    w->sink.id = H5Fcreate(w->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    FWM_CHECK(w->sink.id >= 0, FWM_IO, "%s: cannot be created, HDF5 says: %s (%s)", w->temporary, ds_h5_reason(),
              strerror(errno));
    FWM_TRY(write_head(w));
    FWM_TRY(write_dimensions(w));
    FWM_TRY(write_conditions(w));
    FWM_TRY(create_fields(w, options));
    return create_scalars(w);
}

static fwm_status allocate(ds_well_writer *w, const char *path)
{
    const size_t length = strlen(path) + 32;
    w->target = fwm_arena_strdup(w->arena, path);
    w->temporary = fwm_arena_alloc(w->arena, length);
    FWM_CHECK(w->target && w->temporary, FWM_MEMORY, "%s: out of memory", path);
    (void)snprintf(w->temporary, length, "%s.writing.%ld", path, (long)getpid());
    w->sink.path = w->target;
    fwm_status status = ds_well_view_of(&w->info, w->arena, &w->view);
    if (status != FWM_OK)
        return fwm_fail_within(status, "%s", path);
    w->fields = fwm_arena_alloc(w->arena, (size_t)(w->view.groups + 1) * sizeof *w->fields);
    w->actions = fwm_arena_alloc(w->arena, (size_t)(w->info.fields[DS_ACTIONS].channels + 1) * sizeof *w->actions);
    w->scalars = fwm_arena_alloc(w->arena, (size_t)(w->info.parameters + 1) * sizeof *w->scalars);
    FWM_CHECK(w->fields && w->actions && w->scalars, FWM_MEMORY, "%s: out of memory", path);
    return FWM_OK;
}

fwm_status ds_well_writer_create(ds_well_writer **out, const char *path, const ds_info *info, int64_t count,
                                 int64_t steps, const ds_writer_options *options)
{
    static const ds_writer_options defaults = {0, 0};
    *out = NULL;
    ds_well_writer *w = fwm_calloc(1, sizeof *w);
    FWM_CHECK(w, FWM_MEMORY, "%s: out of memory", path);
    w->sink.id = -1;
    w->info = *info;
    w->count = count;
    w->steps = steps;
    w->arena = fwm_arena_create();
    fwm_status status = w->arena ? allocate(w, path) : fwm_fail(FWM_MEMORY, "%s: out of memory", path);
    if (status == FWM_OK) {
        ds_h5_lock();
        status = create_file(w, options ? options : &defaults);
        ds_h5_unlock();
    }
    if (status != FWM_OK) {
        ds_well_writer_abort(&w);
        return status;
    }
    *out = w;
    return FWM_OK;
}

ds_field ds_well_writer_field(const ds_well_writer *w)
{
    return w->view.field;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* Components of a group, points in the grid's order. */
static void gather(const ds_well_writer *w, const ds_well_group *g, int64_t length, const float *values)
{
    const int64_t channels = w->info.fields[w->view.field].channels, points = w->view.points;
    float *to = w->room;
    for (int64_t t = 0; t < length; t++)
        for (int64_t i = 0; i < points; i++) {
            const int64_t node = w->view.node ? w->view.node[i] : i;
            const float *from = values + (t * points + node) * channels + g->channel;
            for (int64_t c = 0; c < g->channels; c++)
                *to++ = from[c];
        }
}

static fwm_status put_fields(ds_well_writer *w, int64_t i, int64_t start, int64_t length, const float *values)
{
    const ds_well_view *v = &w->view;
    for (int64_t k = 0; k < v->groups; k++) {
        const ds_well_group *g = &v->group[k];
        int64_t at[DS_RANK_MAX] = {i, start}, count[DS_RANK_MAX] = {1, length};
        const int dims = v->grid.dims;
        const size_t need = (size_t)(length * v->points * g->channels);
        for (int d = 0; d < dims; d++)
            count[2 + d] = v->grid.n[d];
        for (int o = 0; o < g->order; o++)
            count[2 + dims + o] = dims;
        if (need > w->room_values) {
            fwm_free(w->room);
            w->room = fwm_malloc(need, sizeof *w->room);
            w->room_values = w->room ? need : 0;
        }
        FWM_CHECK(w->room, FWM_MEMORY, "%s: out of memory for %lld steps", w->target, (long long)length);
        gather(w, g, length, values);
        FWM_TRY(
            ds_h5_put_box(&w->sink, g->name, w->fields[k], H5T_NATIVE_FLOAT, 2 + dims + g->order, at, count, w->room));
    }
    return FWM_OK;
}

static fwm_status put_scalars(ds_well_writer *w, int64_t i, int64_t start, int64_t length, const float *actions,
                              const float *parameters)
{
    const int64_t at[2] = {i, start}, count[2] = {1, length}, channels = w->info.fields[DS_ACTIONS].channels;
    float *column = fwm_malloc((size_t)length + 1, sizeof *column);
    FWM_CHECK(column, FWM_MEMORY, "%s: out of memory for %lld steps", w->target, (long long)length);
    fwm_status status = FWM_OK;
    for (int64_t a = 0; actions && a < channels && status == FWM_OK; a++) {
        for (int64_t t = 0; t < length; t++)
            column[t] = actions[t * channels + a];
        status = ds_h5_put_box(&w->sink, "/scalars", w->actions[a], H5T_NATIVE_FLOAT, 2, at, count, column);
    }
    for (int64_t p = 0; parameters && p < w->info.parameters && status == FWM_OK; p++)
        status = ds_h5_put_box(&w->sink, "/scalars", w->scalars[p], H5T_NATIVE_FLOAT, 1, at, count, parameters + p);
    fwm_free(column);
    return status;
}

fwm_status ds_well_writer_put(ds_well_writer *w, int64_t i, int64_t start, int64_t length, const float *values,
                              const float *actions, const float *parameters)
{
    FWM_CHECK(i >= 0 && i < w->count && start >= 0 && length > 0 && length <= w->steps && start <= w->steps - length,
              FWM_INVALID,
              "%s: expected a part of %lld trajectories of %lld steps, found %lld, %lld steps from %lld on", w->target,
              (long long)w->count, (long long)w->steps, (long long)i, (long long)length, (long long)start);
    ds_h5_lock();
    fwm_status status = put_fields(w, i, start, length, values);
    if (status == FWM_OK)
        status = put_scalars(w, i, start, length, actions, parameters);
    ds_h5_unlock();
    return status;
}

/* ---- finishing -------------------------------------------------------------------------------------------------- */

static bool close_all(hid_t *ids, int64_t count)
{
    bool ok = true;
    for (int64_t i = 0; ids && i < count; i++)
        if (ids[i] > 0) {
            ok = H5Dclose(ids[i]) >= 0 && ok;
            ids[i] = 0;
        }
    return ok;
}

static bool close_handles(ds_well_writer *w)
{
    bool ok = close_all(w->fields, w->view.groups);
    ok = close_all(w->actions, w->info.fields[DS_ACTIONS].channels) && ok;
    ok = close_all(w->scalars, w->info.parameters) && ok;
    if (w->sink.id >= 0)
        ok = H5Fclose(w->sink.id) >= 0 && ok;
    w->sink.id = -1;
    return ok;
}

fwm_status ds_well_writer_finish(ds_well_writer **out)
{
    ds_well_writer *w = *out;
    fwm_status status = FWM_OK;
    ds_h5_lock();
    if (!close_handles(w))
        status =
            fwm_fail(FWM_IO, "%s: cannot be closed, HDF5 says: %s (is the disk full?)", w->temporary, ds_h5_reason());
    ds_h5_unlock();
    if (status == FWM_OK)
        status = ds_file_publish(w->temporary, w->target);
    ds_well_writer_abort(out);
    return status;
}

void ds_well_writer_abort(ds_well_writer **out)
{
    ds_well_writer *w = *out;
    if (!w)
        return;
    ds_h5_lock();
    (void)close_handles(w);
    ds_h5_unlock();
    if (w->temporary)
        (void)unlink(w->temporary);
    fwm_free(w->room);
    fwm_arena_destroy(w->arena);
    fwm_free(w);
    *out = NULL;
}

/* ---- statistics ------------------------------------------------------------------------------------------------- */

/* With a point always: to YAML 1.1, 1e-05 is a text. */
static void print_number(FILE *f, double v)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.9g", v);
    const size_t digits = strcspn(text, "e");
    if (strchr(text, '.') || !isfinite(v))
        (void)fputs(text, f);
    else
        (void)fprintf(f, "%.*s.0%s", (int)digits, text, text + digits);
}

/* A group's numbers as a number, a list or a list of lists. */
static void print_group(FILE *f, const ds_well_group *g, int dims, const double *value)
{
    for (int64_t c = 0; c < g->channels; c++) {
        const bool first = c % dims == 0, last = c % dims == dims - 1;
        (void)fprintf(f, "%s%s", g->order == 2 && c == 0 ? "[" : "", g->order > 0 && first ? "[" : "");
        print_number(f, value[g->channel + c]);
        (void)fprintf(f, "%s%s", g->order > 0 && last ? "]" : "",
                      g->order == 0          ? ""
                      : c + 1 == g->channels ? (g->order == 2 ? "]" : "")
                                             : ", ");
    }
    (void)fprintf(f, "\n");
}

static void print_stats(FILE *f, const ds_well_view *v, const ds_stats *s, int64_t channels, double *rms)
{
    const char *const keys[6] = {"mean", "std", "rms", "mean_delta", "std_delta", "rms_delta"};
    for (int k = 0; k < 6; k++) {
        const double *mean = k < 3 ? s->mean : s->delta_mean, *std = k < 3 ? s->std : s->delta_std;
        for (int64_t c = 0; c < channels; c++)
            rms[c] = sqrt(mean[c] * mean[c] + std[c] * std[c]);
        (void)fprintf(f, "%s:\n", keys[k]);
        for (int64_t g = 0; g < v->groups; g++) {
            (void)fprintf(f, "  \"%s\": ", v->group[g].name);
            print_group(f, &v->group[g], v->grid.dims, k % 3 == 0 ? mean : k % 3 == 1 ? std : rms);
        }
    }
}

fwm_status ds_well_write_stats(const char *path, const ds_info *info)
{
    ds_well_view view;
    fwm_arena *arena = fwm_arena_create();
    FWM_CHECK(arena, FWM_MEMORY, "%s: out of memory", path);
    fwm_status status = ds_well_view_of(info, arena, &view);
    const int64_t channels = status == FWM_OK ? info->fields[view.field].channels : 0;
    double *rms = fwm_arena_alloc(arena, (size_t)(channels + 1) * sizeof *rms);
    FILE *f = status == FWM_OK && rms ? fopen(path, "w") : NULL;
    if (status == FWM_OK && !f)
        status = fwm_fail(FWM_IO, "%s: cannot be created: %s", path, strerror(errno));
    if (f) {
        print_stats(f, &view, &info->fields[view.field].stats, channels, rms);
        const bool bad = ferror(f) != 0;
        if (fclose(f) != 0 || bad)
            status = fwm_fail(FWM_IO, "%s: cannot be written: %s", path, strerror(errno));
    }
    fwm_arena_destroy(arena);
    return status;
}
