#include "data/writer.h"

#include "data/h5write.h"
#include "data/mesh_io.h"
#include "data/numbers.h"
#include "model/base/checked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_STEPS = 8, PATH_BYTES = 512, RANK = 5 };

typedef struct field_sink {
    hid_t array; /* 0 where the field does not exist */
    hid_t memory;
    int rank;
    int64_t dims[RANK];
    ds_moments *value, *delta; /* [N, channels] */
} field_sink;

struct ds_writer {
    ds_h5_sink sink;
    char *target, *temporary;
    int64_t trajectories, steps;
    int64_t points[DS_FIELDS], channels[DS_FIELDS], parameters;
    bool frames_are_bytes, has_key_state, has_truth;
    uint8_t *splits;  /* [N] */
    int64_t *lengths; /* [N] steps of each */
    int64_t *written; /* [N] steps that were put */
    bool uneven;      /* lengths differ */
    field_sink fields[DS_FIELDS];
    hid_t parameter_array, key_array; /* 0 where there are none */
    float *scratch;                   /* frames of a put as floats */
    size_t scratch_values;
};

/* ---- description ----------------------------------------------------------------------------------------------- */

static fwm_status check_description(const char *path, const ds_info *info, const ds_writer_options *options)
{
    bool any = false;
    FWM_CHECK(info->trajectories > 0 && info->steps > 0, FWM_INVALID,
              "%s: expected at least one trajectory of one step, found %lld of %lld", path,
              (long long)info->trajectories, (long long)info->steps);
    FWM_CHECK(options->gzip >= 0 && options->gzip <= 9 && options->chunk_steps >= 0, FWM_INVALID,
              "%s: expected gzip 0 to 9 and chunk_steps 0 or more, found %d and %lld", path, options->gzip,
              (long long)options->chunk_steps);
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        const ds_field_info *field = &info->fields[f];
        int64_t bytes = info->trajectories;
        bool fits = field->points >= 0 && field->channels >= 0 && fwm_mul_i64(bytes, info->steps, &bytes) &&
                    fwm_mul_i64(bytes, field->points, &bytes) && fwm_mul_i64(bytes, field->channels, &bytes) &&
                    fwm_mul_i64(bytes, (int64_t)sizeof(float), &bytes);
        FWM_CHECK(fits && (field->points == 0) == (field->channels == 0), FWM_INVALID,
                  "%s: /%s: %lld x %lld values cannot be stored", path, ds_field_name(f), (long long)field->points,
                  (long long)field->channels);
        any |= field->points > 0;
    }
    FWM_CHECK(any, FWM_INVALID, "%s: expected at least one of frames, actions, state and s_phy, found none", path);
    FWM_CHECK(info->fields[DS_ACTIONS].points <= 1, FWM_INVALID, "%s: /actions: expected 1 point, found %lld", path,
              (long long)info->fields[DS_ACTIONS].points);
    FWM_CHECK(info->fields[DS_FRAMES].points == info->height * info->width, FWM_INVALID,
              "%s: /frames: expected height x width = %lld x %lld points, found %lld", path, (long long)info->height,
              (long long)info->width, (long long)info->fields[DS_FRAMES].points);
    FWM_CHECK(info->parameters >= 0, FWM_INVALID, "%s: /parameters: expected 0 or more, found %lld", path,
              (long long)info->parameters);
    const ds_mesh *meshes[2] = {info->mesh, info->coarse_mesh};
    for (int i = 0; i < 2; i++) {
        ds_field f = i == 0 ? DS_STATE : DS_S_PHY;
        if (!meshes[i])
            continue;
        if (ds_mesh_check(meshes[i]) != FWM_OK)
            return fwm_fail_within(FWM_INVALID, "%s: /%s", path, i == 0 ? "mesh" : "coarse_mesh");
        FWM_CHECK(info->fields[f].points == 0 || info->fields[f].points == meshes[i]->n, FWM_INVALID,
                  "%s: /%s: expected the mesh's %lld nodes, found %lld", path, ds_field_name(f),
                  (long long)meshes[i]->n, (long long)info->fields[f].points);
    }
    return FWM_OK;
}

static fwm_status allocate(ds_writer *w, const char *path, const ds_info *info)
{
    size_t n = (size_t)info->trajectories, length = strlen(path) + 32;
    w->trajectories = info->trajectories;
    w->steps = info->steps;
    w->parameters = info->parameters;
    w->frames_are_bytes = info->frames_are_bytes;
    w->has_key_state = info->has_key_state;
    w->target = fwm_strdup(path);
    w->temporary = fwm_malloc(length, 1);
    w->splits = fwm_calloc(n, 1);
    w->written = fwm_calloc(n, sizeof *w->written);
    w->lengths = fwm_calloc(n, sizeof *w->lengths);
    bool ok = w->target && w->temporary && w->splits && w->written && w->lengths;
    if (ok)
        (void)snprintf(w->temporary, length, "%s.writing.%ld", path, (long)getpid());
    for (int64_t i = 0; ok && i < info->trajectories; i++) {
        w->lengths[i] = info->lengths ? info->lengths[i] : info->steps;
        FWM_CHECK(w->lengths[i] >= 1 && w->lengths[i] <= info->steps, FWM_INVALID,
                  "%s: /lengths: expected 1 to %lld steps, found %lld at %lld", path, (long long)info->steps,
                  (long long)w->lengths[i], (long long)i);
        w->uneven |= w->lengths[i] != info->steps;
    }
    for (int64_t i = 0; ok && info->splits && i < info->trajectories; i++) {
        FWM_CHECK(info->splits[i] < DS_SPLITS, FWM_INVALID, "%s: /split: expected 0 to 3, found %d at %lld", path,
                  info->splits[i], (long long)i);
        w->splits[i] = info->splits[i];
    }
    for (ds_field f = 0; f < DS_FIELDS && ok; f++) {
        w->points[f] = info->fields[f].points;
        w->channels[f] = info->fields[f].channels;
        if (w->points[f] == 0)
            continue;
        w->fields[f].value = fwm_calloc(n, (size_t)w->channels[f] * sizeof(ds_moments));
        w->fields[f].delta = fwm_calloc(n, (size_t)w->channels[f] * sizeof(ds_moments));
        ok = w->fields[f].value && w->fields[f].delta;
    }
    FWM_CHECK(ok, FWM_MEMORY, "%s: out of memory for the description of %zu trajectories", path, n);
    return FWM_OK;
}

/* ---- creating -------------------------------------------------------------------------------------------------- */

static fwm_status write_header(const ds_writer *w, const ds_info *info)
{
    static const char *const labels[4] = {"name", "equation", "generator", "config"};
    const char *texts[4] = {info->name, info->equation, info->generator, info->config};
    const ds_h5_sink *sink = &w->sink;
    int64_t version = w->uneven ? 2 : 1, n = w->trajectories; /* the second has /lengths */
    FWM_TRY(ds_h5_put_text(sink, "/", "format", "fwm-dataset"));
    FWM_TRY(ds_h5_put_number(sink, "/", "version", H5T_NATIVE_INT64, &version));
    for (int i = 0; i < 4; i++)
        FWM_TRY(ds_h5_put_text(sink, "/", labels[i], texts[i] ? texts[i] : ""));
    FWM_TRY(ds_h5_put_number(sink, "/", "dt", H5T_NATIVE_DOUBLE, &info->dt));
    FWM_TRY(ds_h5_put_number(sink, "/", "seed", H5T_NATIVE_INT64, &info->seed));
    FWM_TRY(ds_h5_put_array(sink, "/split", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, &n, w->splits));
    if (w->uneven)
        FWM_TRY(ds_h5_put_array(sink, "/lengths", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &n, w->lengths));
    if (info->grid)
        FWM_TRY(ds_grid_write(sink, "/grid", info->grid));
    if (info->mesh)
        FWM_TRY(ds_mesh_write(sink, "/mesh", info->mesh));
    if (info->coarse_mesh)
        FWM_TRY(ds_mesh_write(sink, "/coarse_mesh", info->coarse_mesh));
    return FWM_OK;
}

static fwm_status write_names(const ds_writer *w, const char *object, int64_t count, const char *const *names,
                              const char *const *units)
{
    if (names)
        FWM_TRY(ds_h5_put_texts(&w->sink, object, "names", count, names));
    if (units)
        FWM_TRY(ds_h5_put_texts(&w->sink, object, "units", count, units));
    return FWM_OK;
}

static fwm_status create_field(ds_writer *w, ds_field f, const ds_info *info, const ds_writer_options *options)
{
    char path[PATH_BYTES];
    field_sink *field = &w->fields[f];
    int64_t steps = options->chunk_steps > 0 ? options->chunk_steps : CHUNK_STEPS, chunk[RANK];
    int64_t shapes[DS_FIELDS][RANK] = {{w->trajectories, w->steps, info->height, info->width, w->channels[DS_FRAMES]},
                                       {w->trajectories, w->steps, w->channels[DS_ACTIONS]},
                                       {w->trajectories, w->steps, w->points[DS_STATE], w->channels[DS_STATE]},
                                       {w->trajectories, w->steps, w->points[DS_S_PHY], w->channels[DS_S_PHY]}};
    static const int ranks[DS_FIELDS] = {5, 3, 4, 4};
    if (w->points[f] == 0)
        return FWM_OK;
    (void)snprintf(path, sizeof path, "/%s", ds_field_name(f));
    field->rank = ranks[f];
    memcpy(field->dims, shapes[f], sizeof field->dims);
    memcpy(chunk, shapes[f], sizeof chunk);
    chunk[0] = 1;
    chunk[1] = w->steps < steps ? w->steps : steps;
    bool bytes = f == DS_FRAMES && w->frames_are_bytes;
    field->memory = bytes ? H5T_NATIVE_UINT8 : H5T_NATIVE_FLOAT;
    /* Rows of a few actions are too small for chunks of their own unless they are compressed. */
    FWM_TRY(ds_h5_create_array(&w->sink, path, bytes ? H5T_STD_U8LE : H5T_IEEE_F32LE, field->rank, field->dims,
                               f == DS_ACTIONS ? NULL : chunk, f == DS_ACTIONS ? 0 : options->gzip, &field->array));
    return write_names(w, path, w->channels[f], info->fields[f].names, info->fields[f].units);
}

static fwm_status create_file(ds_writer *w, const ds_info *info, const ds_writer_options *options)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE);
    /* From 1.10 on, metadata carries checksums: a damaged file is noticed rather than misread. */
    bool ok = access >= 0 && H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0;
    /* No times in the file: the same content is the same bytes. */
    ok = ok && create >= 0 && H5Pset_obj_track_times(create, false) >= 0;
    w->sink.id = ok ? H5Fcreate(w->temporary, H5F_ACC_TRUNC, create, access) : -1;
    fwm_status status = FWM_OK;
    if (w->sink.id < 0)
        status = fwm_fail(FWM_IO, "%s: cannot be created, HDF5 says: %s (%s)", w->temporary, ds_h5_reason(),
                          strerror(errno));
    if (access >= 0)
        H5Pclose(access);
    if (create >= 0)
        H5Pclose(create);
    FWM_TRY(status);
    FWM_TRY(write_header(w, info));
    for (ds_field f = 0; f < DS_FIELDS; f++)
        FWM_TRY(create_field(w, f, info, options));
    if (w->parameters > 0) {
        int64_t dims[2] = {w->trajectories, w->parameters};
        FWM_TRY(ds_h5_create_array(&w->sink, "/parameters", H5T_IEEE_F32LE, 2, dims, NULL, 0, &w->parameter_array));
        FWM_TRY(write_names(w, "/parameters", w->parameters, info->parameter_names, info->parameter_units));
    }
    if (w->has_key_state) {
        int64_t dims[2] = {w->trajectories, w->steps};
        FWM_TRY(ds_h5_create_array(&w->sink, "/key_state", H5T_STD_U8LE, 2, dims, NULL, 0, &w->key_array));
    }
    return FWM_OK;
}

fwm_status ds_writer_create(ds_writer **out, const char *path, const ds_info *info, const ds_writer_options *options)
{
    static const ds_writer_options defaults = {0, 0};
    *out = NULL;
    if (!options)
        options = &defaults;
    FWM_TRY(check_description(path, info, options));
    ds_writer *w = fwm_calloc(1, sizeof *w);
    FWM_CHECK(w, FWM_MEMORY, "%s: out of memory", path);
    w->sink.id = -1;
    fwm_status status = allocate(w, path, info);
    if (status == FWM_OK) {
        w->sink.path = w->target;
        ds_h5_lock();
        status = create_file(w, info, options);
        ds_h5_unlock();
    }
    if (status != FWM_OK) {
        ds_writer_abort(&w);
        return status;
    }
    *out = w;
    return FWM_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static fwm_status check_part(const ds_writer *w, int64_t i, int64_t start, int64_t length, const ds_trajectory *t)
{
    FWM_CHECK(i >= 0 && i < w->trajectories, FWM_INVALID, "%s: expected a trajectory from 0 to %lld, found %lld",
              w->target, (long long)w->trajectories - 1, (long long)i);
    FWM_CHECK(start == w->written[i] && length > 0 && length <= w->lengths[i] - start, FWM_INVALID,
              start == 0 && w->written[i] == w->lengths[i]
                  ? "%s: trajectory %lld was written before (%lld of %lld steps; %lld more from %lld on)"
                  : "%s: trajectory %lld: expected steps in order, %lld of %lld are there, found %lld from %lld on",
              w->target, (long long)i, (long long)w->written[i], (long long)w->lengths[i], (long long)length,
              (long long)start);
    const void *given[DS_FIELDS] = {w->frames_are_bytes ? (const void *)t->frames : (const void *)t->frames_f32,
                                    t->actions, t->state, t->s_phy};
    for (ds_field f = 0; f < DS_FIELDS; f++)
        FWM_CHECK(w->points[f] == 0 || given[f], FWM_INVALID, "%s: /%s: trajectory %lld: the array is missing",
                  w->target, ds_field_name(f), (long long)i);
    FWM_CHECK((w->parameters == 0 || t->parameters) && (!w->has_key_state || t->key_state), FWM_INVALID,
              "%s: trajectory %lld: parameters or key_state are missing", w->target, (long long)i);
    return FWM_OK;
}

/* Steps [start, start + length); before the first come `again` that were written before. */
static fwm_status write_part(ds_writer *w, int64_t i, int64_t start, int64_t length, int64_t again,
                             const void *const data[DS_FIELDS], const ds_trajectory *t)
{
    int64_t at[RANK] = {i, start}, count[RANK];
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        const field_sink *field = &w->fields[f];
        if (w->points[f] == 0)
            continue;
        memcpy(count, field->dims, sizeof count);
        count[0] = 1;
        count[1] = length;
        const int64_t skip = again * w->points[f] * w->channels[f];
        const void *from = field->memory == H5T_NATIVE_UINT8 ? (const void *)((const uint8_t *)data[f] + skip)
                                                             : (const void *)((const float *)data[f] + skip);
        FWM_TRY(ds_h5_put_box(&w->sink, ds_field_name(f), field->array, field->memory, field->rank, at, count, from));
    }
    if (w->parameters > 0 && start == 0) {
        int64_t dims[2] = {w->trajectories, w->parameters};
        FWM_TRY(
            ds_h5_put_slab(&w->sink, "parameters", w->parameter_array, H5T_NATIVE_FLOAT, 2, dims, i, t->parameters));
    }
    return w->has_key_state ? ds_h5_put_box(&w->sink, "key_state", w->key_array, H5T_NATIVE_UINT8, 2, at,
                                            (const int64_t[]){1, length}, t->key_state + again)
                            : FWM_OK;
}

/* Kept per trajectory, also of those that are not for training: where none is, all of them count. */
static void add_moments(ds_writer *w, int64_t i, ds_field f, int64_t length, int64_t again, const float *x)
{
    ds_moments *value = w->fields[f].value + i * w->channels[f], *delta = w->fields[f].delta + i * w->channels[f];
    ds_moments_add_values(value, x + again * w->points[f] * w->channels[f], length, w->points[f], w->channels[f]);
    ds_moments_add_deltas(delta, x, again + length, w->points[f], w->channels[f]);
}

/* The frames of a put as floats. */
static fwm_status scratch_frames(ds_writer *w, const uint8_t *frames, int64_t steps)
{
    const size_t n = (size_t)(steps * w->points[DS_FRAMES] * w->channels[DS_FRAMES]);
    if (n > w->scratch_values) {
        fwm_free(w->scratch);
        w->scratch = fwm_malloc(n, sizeof *w->scratch);
        w->scratch_values = w->scratch ? n : 0;
    }
    FWM_CHECK(w->scratch, FWM_MEMORY, "%s: out of memory for %lld frames", w->target, (long long)steps);
    ds_bytes_to_floats(w->scratch, frames, (int64_t)n, DS_BRIGHTEST);
    return FWM_OK;
}

fwm_status ds_writer_put_steps(ds_writer *w, int64_t i, int64_t start, int64_t length, int64_t again,
                               const ds_trajectory *t)
{
    FWM_TRY(check_part(w, i, start, length, t));
    FWM_CHECK(again >= 0 && again <= start, FWM_INVALID, "%s: trajectory %lld: no %lld steps before step %lld",
              w->target, (long long)i, (long long)again, (long long)start);
    const void *data[DS_FIELDS] = {w->frames_are_bytes ? (const void *)t->frames : (const void *)t->frames_f32,
                                   t->actions, t->state, t->s_phy};
    const bool bytes = w->frames_are_bytes && w->points[DS_FRAMES] > 0;
    if (bytes)
        FWM_TRY(scratch_frames(w, t->frames, again + length));
    ds_h5_lock();
    fwm_status status = write_part(w, i, start, length, again, data, t);
    ds_h5_unlock();
    FWM_TRY(status);
    for (ds_field f = 0; f < DS_FIELDS; f++)
        if (w->points[f] > 0)
            add_moments(w, i, f, length, again, f == DS_FRAMES && bytes ? w->scratch : data[f]);
    w->written[i] += length;
    return FWM_OK;
}

fwm_status ds_writer_put(ds_writer *w, int64_t i, const ds_trajectory *t)
{
    const bool known = i >= 0 && i < w->trajectories;
    return ds_writer_put_steps(w, i, 0, known ? w->lengths[i] : w->steps, 0, t);
}

fwm_status ds_writer_truth(ds_writer *w, const char *name, int64_t count, const double *values)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "/truth/%s", name);
    FWM_CHECK(name[0] && !strchr(name, '/') && n > 0 && n < (int)sizeof path && count >= 0, FWM_INVALID,
              "%s: /truth: expected a name without '/' and at least 0 values, found '%s' and %lld", w->target, name,
              (long long)count);
    fwm_status status = FWM_OK;
    ds_h5_lock();
    if (!w->has_truth)
        status = ds_h5_put_group(&w->sink, "/truth");
    if (status == FWM_OK) {
        w->has_truth = true;
        status = ds_h5_put_array(&w->sink, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &count, values);
    }
    ds_h5_unlock();
    return status;
}

/* ---- finishing ------------------------------------------------------------------------------------------------- */

static fwm_status write_field_stats(ds_writer *w, ds_field f, fwm_arena *arena)
{
    static const char *const parts[4] = {"mean", "std", "delta_mean", "delta_std"};
    int64_t channels = w->channels[f];
    bool any = memchr(w->splits, DS_TRAIN, (size_t)w->trajectories) != NULL;
    ds_moments *sum = fwm_arena_alloc(arena, (size_t)(2 * channels) * sizeof *sum);
    ds_stats stats;
    char path[PATH_BYTES];
    FWM_CHECK(sum, FWM_MEMORY, "%s: /stats: out of memory", w->target);
    for (int64_t i = 0; i < w->trajectories; i++)
        for (int64_t c = 0; c < channels && (!any || w->splits[i] == DS_TRAIN); c++) {
            ds_moments_merge(&sum[c], &w->fields[f].value[i * channels + c]);
            ds_moments_merge(&sum[channels + c], &w->fields[f].delta[i * channels + c]);
        }
    FWM_TRY(ds_stats_store(&stats, arena, channels, sum, sum + channels));
    const double *values[4] = {stats.mean, stats.std, stats.delta_mean, stats.delta_std};
    (void)snprintf(path, sizeof path, "/stats/%s", ds_field_name(f));
    FWM_TRY(ds_h5_put_group(&w->sink, path));
    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "/stats/%s/%s", ds_field_name(f), parts[i]);
        FWM_TRY(ds_h5_put_array(&w->sink, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &channels, values[i]));
    }
    return FWM_OK;
}

static fwm_status write_stats(ds_writer *w)
{
    fwm_arena *arena = fwm_arena_create();
    FWM_CHECK(arena, FWM_MEMORY, "%s: out of memory", w->target);
    fwm_status status = ds_h5_put_group(&w->sink, "/stats");
    for (ds_field f = 0; f < DS_FIELDS && status == FWM_OK; f++)
        if (w->points[f] > 0)
            status = write_field_stats(w, f, arena);
    fwm_arena_destroy(arena);
    return status;
}

/* Closes every handle; false, with HDF5's reason kept, when the file is not complete. */
static bool close_handles(ds_writer *w)
{
    bool ok = true;
    for (ds_field f = 0; f < DS_FIELDS; f++)
        if (w->fields[f].array > 0) {
            ok = H5Dclose(w->fields[f].array) >= 0 && ok;
            w->fields[f].array = 0;
        }
    hid_t *others[2] = {&w->parameter_array, &w->key_array};
    for (int i = 0; i < 2; i++)
        if (*others[i] > 0) {
            ok = H5Dclose(*others[i]) >= 0 && ok;
            *others[i] = 0;
        }
    if (w->sink.id >= 0)
        ok = H5Fclose(w->sink.id) >= 0 && ok;
    w->sink.id = -1;
    return ok;
}

fwm_status ds_writer_finish(ds_writer **out)
{
    ds_writer *w = *out;
    fwm_status status = FWM_OK;
    for (int64_t i = 0; i < w->trajectories; i++)
        FWM_CHECK_GOTO(status, w->written[i] == w->lengths[i], FWM_INVALID,
                       "%s: trajectory %lld of %lld was never written", w->target, (long long)i,
                       (long long)w->trajectories);
    ds_h5_lock();
    status = write_stats(w);
    if (status == FWM_OK && !close_handles(w))
        status =
            fwm_fail(FWM_IO, "%s: cannot be closed, HDF5 says: %s (is the disk full?)", w->temporary, ds_h5_reason());
    ds_h5_unlock();
    if (status == FWM_OK)
        status = ds_file_publish(w->temporary, w->target);
done:
    ds_writer_abort(out);
    return status;
}

void ds_writer_abort(ds_writer **out)
{
    ds_writer *w = *out;
    if (!w)
        return;
    if (w->sink.id >= 0) {
        ds_h5_lock();
        (void)close_handles(w); /* the file goes, whatever its state */
        ds_h5_unlock();
    }
    if (w->temporary)
        (void)unlink(w->temporary);
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        fwm_free(w->fields[f].value);
        fwm_free(w->fields[f].delta);
    }
    fwm_free(w->target);
    fwm_free(w->temporary);
    fwm_free(w->splits);
    fwm_free(w->written);
    fwm_free(w->lengths);
    fwm_free(w->scratch);
    fwm_free(w);
    *out = NULL;
}
