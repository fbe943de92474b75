/* The native layout: one file, every field one array over trajectories and steps.
 *
 *     /frames (N,T,H,W,C) u8 or f32   /actions (N,T,A)   /state (N,T,n,c)   /s_phy (N,T,m,c)   /parameters (N,P)
 *     /key_state (N,T) u8   /split (N) u8   /lengths (N)   /mesh   /coarse_mesh   /grid   /truth/<name>
 *     /stats/<field>/{mean,std,delta_mean,delta_std}
 *
 * /split is required, and one field at least; the rest is optional. */
#include "data/layout.h"
#include "data/mesh_io.h"

#include <stdio.h>
#include <string.h>

enum { NATIVE_VERSION = 2, /* the second may have /lengths */ TRUTHS_MAX = 4096, PATH_BYTES = 512 };

typedef struct fwm_file {
    ds_array fields[DS_FIELDS];
    ds_array parameters, key_state;
} fwm_file;

static int detect(const char *path, const ds_h5 *file)
{
    (void)path;
    if (!file)
        return 0;
    fwm_arena *arena = fwm_arena_create();
    const char *format = NULL;
    bool ours = arena && ds_h5_attr_text(file, "/", "format", true, arena, &format) == FWM_OK &&
                strcmp(format, "fwm-dataset") == 0;
    fwm_arena_destroy(arena);
    return ours ? 100 : 0;
}

static fwm_status read_header(ds_dataset *ds)
{
    const ds_h5 *file = ds->file;
    ds_info *info = &ds->info;
    const char *format = "";
    int64_t version = 0;
    FWM_TRY(ds_h5_attr_text(file, "/", "format", true, ds->arena, &format));
    FWM_CHECK(strcmp(format, "fwm-dataset") == 0, FWM_DATA, "%s: /@format: expected fwm-dataset, found '%s'", ds->path,
              format);
    FWM_TRY(ds_h5_attr_i64(file, "/", "version", true, &version));
    FWM_CHECK(version >= 1 && version <= NATIVE_VERSION, FWM_UNSUPPORTED,
              "%s: /@version: this program reads versions 1 to %d, found %lld", ds->path, NATIVE_VERSION,
              (long long)version);
    FWM_TRY(ds_h5_attr_text(file, "/", "name", false, ds->arena, &info->name));
    FWM_TRY(ds_h5_attr_text(file, "/", "equation", false, ds->arena, &info->equation));
    FWM_TRY(ds_h5_attr_text(file, "/", "generator", false, ds->arena, &info->generator));
    FWM_TRY(ds_h5_attr_text(file, "/", "config", false, ds->arena, &info->config));
    FWM_TRY(ds_h5_attr_f64(file, "/", "dt", false, &info->dt));
    return ds_h5_attr_i64(file, "/", "seed", false, &info->seed);
}

static fwm_status read_split(ds_dataset *ds)
{
    const int32_t *split;
    int64_t n = 0;
    FWM_TRY(ds_h5_read_i32(ds->file, "/split", 1, ds->arena, &n, &split));
    uint8_t *splits = fwm_arena_alloc(ds->arena, (size_t)n + 1);
    FWM_CHECK(splits, FWM_MEMORY, "%s: /split: out of memory", ds->path);
    for (int64_t i = 0; i < n; i++) {
        FWM_CHECK(split[i] >= 0 && split[i] < DS_SPLITS, FWM_DATA,
                  "%s: /split: expected 0 (train) to 3 (test_ood), found %d at %lld", ds->path, split[i], (long long)i);
        splits[i] = (uint8_t)split[i];
    }
    ds->info.trajectories = n;
    ds->info.splits = splits;
    return FWM_OK;
}

/* The steps that the first array found has are those of all. */
static fwm_status check_steps(ds_dataset *ds, const ds_array *a)
{
    FWM_TRY(ds_array_check_extent(a, 0, ds->info.trajectories, "trajectories, as in /split"));
    if (ds->info.steps == 0)
        ds->info.steps = a->dims[1];
    return ds_array_check_extent(a, 1, ds->info.steps, "steps, as in the other fields");
}

static fwm_status open_field(ds_dataset *ds, ds_field f)
{
    static const int ranks[DS_FIELDS] = {5, 3, 4, 4};
    char path[PATH_BYTES];
    fwm_file *self = ds->self;
    ds_array *a = &self->fields[f];
    ds_field_info *field = &ds->info.fields[f];
    (void)snprintf(path, sizeof path, "/%s", ds_field_name(f));
    if (!ds_h5_exists(ds->file, path))
        return FWM_OK;
    FWM_TRY(ds_array_open(a, ds->file, path, ranks[f], 1));
    FWM_TRY(check_steps(ds, a));
    field->channels = a->dims[a->rank - 1];
    field->points = f == DS_ACTIONS ? 1 : f == DS_FRAMES ? a->dims[2] * a->dims[3] : a->dims[2];
    if (f == DS_FRAMES) {
        FWM_CHECK(a->number == DS_U8 || !a->integer, FWM_DATA,
                  "%s: /frames: expected bytes or floating-point numbers, found wider integers", ds->path);
        ds->info.height = a->dims[2];
        ds->info.width = a->dims[3];
        ds->info.frames_are_bytes = a->number == DS_U8;
        a->divisor = a->number == DS_U8 ? DS_BRIGHTEST : 1.0F;
    }
    field->array = a;
    field->time_axis = 1;
    FWM_TRY(ds_h5_attr_texts(ds->file, path, "names", field->channels, ds->arena, &field->names));
    return ds_h5_attr_texts(ds->file, path, "units", field->channels, ds->arena, &field->units);
}

/* Of trajectories that differ in length, each one's; the arrays have room for the longest. */
static fwm_status read_lengths(ds_dataset *ds, int64_t *lengths)
{
    const int32_t *found;
    int64_t n = 0;
    if (!ds_h5_exists(ds->file, "/lengths"))
        return FWM_OK;
    FWM_TRY(ds_h5_read_i32(ds->file, "/lengths", 1, ds->arena, &n, &found));
    FWM_CHECK(n == ds->info.trajectories, FWM_DATA, "%s: /lengths: expected %lld trajectories, found %lld", ds->path,
              (long long)ds->info.trajectories, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        FWM_CHECK(found[i] >= 1 && found[i] <= ds->info.steps, FWM_DATA,
                  "%s: /lengths: expected 1 to %lld steps, found %d at %lld", ds->path, (long long)ds->info.steps,
                  found[i], (long long)i);
        lengths[i] = found[i];
    }
    return FWM_OK;
}

static fwm_status open_extras(ds_dataset *ds)
{
    fwm_file *self = ds->self;
    ds_info *info = &ds->info;
    if (ds_h5_exists(ds->file, "/parameters")) {
        FWM_TRY(ds_array_open(&self->parameters, ds->file, "/parameters", 2, 0));
        FWM_TRY(ds_array_check_extent(&self->parameters, 0, info->trajectories, "trajectories, as in /split"));
        info->parameters = self->parameters.dims[1];
        FWM_TRY(
            ds_h5_attr_texts(ds->file, "/parameters", "names", info->parameters, ds->arena, &info->parameter_names));
        FWM_TRY(
            ds_h5_attr_texts(ds->file, "/parameters", "units", info->parameters, ds->arena, &info->parameter_units));
    }
    if (ds_h5_exists(ds->file, "/key_state")) {
        FWM_TRY(ds_array_open(&self->key_state, ds->file, "/key_state", 2, 1));
        FWM_TRY(check_steps(ds, &self->key_state));
        FWM_CHECK(self->key_state.integer, FWM_DATA, "%s: /key_state: expected 0 or 1, found floating-point numbers",
                  ds->path);
        info->has_key_state = true;
    }
    FWM_CHECK(info->steps > 0, FWM_DATA,
              "%s: expected at least one of /frames, /actions, /state, /s_phy with steps, found none", ds->path);
    int64_t *lengths = fwm_arena_alloc(ds->arena, (size_t)(info->trajectories + 1) * sizeof *lengths);
    FWM_CHECK(lengths, FWM_MEMORY, "%s: out of memory", ds->path);
    for (int64_t i = 0; i < info->trajectories; i++)
        lengths[i] = info->steps;
    info->lengths = lengths;
    return read_lengths(ds, lengths);
}

static fwm_status read_stats(ds_dataset *ds, ds_field f)
{
    static const char *const parts[4] = {"mean", "std", "delta_mean", "delta_std"};
    ds_field_info *field = &ds->info.fields[f];
    const double **into[4] = {&field->stats.mean, &field->stats.std, &field->stats.delta_mean, &field->stats.delta_std};
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/stats/%s", ds_field_name(f));
    if (field->channels == 0 || !ds_h5_exists(ds->file, path))
        return FWM_OK;
    for (int i = 0; i < 4; i++) {
        int64_t n = 0;
        (void)snprintf(path, sizeof path, "/stats/%s/%s", ds_field_name(f), parts[i]);
        FWM_TRY(ds_h5_read_f64(ds->file, path, 1, ds->arena, &n, into[i]));
        FWM_CHECK(n == field->channels, FWM_DATA, "%s: %s: expected %lld channels, found %lld", ds->path, path,
                  (long long)field->channels, (long long)n);
    }
    return FWM_OK;
}

static fwm_status open_fwm(ds_dataset *ds)
{
    const char **names = NULL;
    FWM_CHECK(ds->file, FWM_DATA, "%s: expected a file of layout fwm, found a folder", ds->path);
    ds->self = fwm_calloc(1, sizeof(fwm_file));
    FWM_CHECK(ds->self, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_TRY(ds_refuse_options(ds, false, false, false));
    FWM_TRY(read_header(ds));
    FWM_TRY(read_split(ds));
    for (ds_field f = 0; f < DS_FIELDS; f++)
        FWM_TRY(open_field(ds, f));
    FWM_TRY(open_extras(ds));
    for (ds_field f = 0; f < DS_FIELDS; f++)
        FWM_TRY(read_stats(ds, f));
    FWM_TRY(ds_mesh_read(ds->file, "/mesh", ds->arena, &ds->info.mesh));
    FWM_TRY(ds_mesh_read(ds->file, "/coarse_mesh", ds->arena, &ds->info.coarse_mesh));
    FWM_TRY(ds_grid_read(ds->file, "/grid", ds->arena, &ds->info.grid));
    FWM_TRY(ds_h5_members(ds->file, "/truth", TRUTHS_MAX, ds->arena, &ds->info.truths, &names));
    ds->info.truth_names = names;
    return FWM_OK;
}

static void close_fwm(ds_dataset *ds)
{
    fwm_file *self = ds->self;
    if (!self)
        return;
    for (ds_field f = 0; f < DS_FIELDS; f++)
        ds_array_close(&self->fields[f]);
    ds_array_close(&self->parameters);
    ds_array_close(&self->key_state);
    fwm_free(self);
    ds->self = NULL;
}

static fwm_status read_field(ds_dataset *ds, ds_field f, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                             void *out)
{
    fwm_file *self = ds->self;
    return ds_array_read_steps(&self->fields[f], trajectory, start, length, as, out);
}

static fwm_status read_parameters(ds_dataset *ds, int64_t trajectory, float *out)
{
    fwm_file *self = ds->self;
    return ds_array_read_steps(&self->parameters, 0, trajectory, 1, DS_AS_FLOATS, out);
}

static fwm_status read_key_state(ds_dataset *ds, int64_t trajectory, int64_t start, int64_t length, uint8_t *out)
{
    fwm_file *self = ds->self;
    return ds_array_read_steps(&self->key_state, trajectory, start, length, DS_AS_BYTES, out);
}

static fwm_status read_truth(ds_dataset *ds, int64_t i, int64_t *count, const double **values)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "/truth/%s", ds->info.truth_names[i]);
    FWM_CHECK(n > 0 && n < (int)sizeof path, FWM_DATA, "%s: /truth: a name is too long", ds->path);
    return ds_h5_read_f64(ds->file, path, 1, ds->arena, count, values);
}

const ds_layout ds_layout_fwm = {
    .name = "fwm",
    .detect = detect,
    .open = open_fwm,
    .close = close_fwm,
    .read = read_field,
    .read_parameters = read_parameters,
    .read_key_state = read_key_state,
    .read_truth = read_truth,
};
