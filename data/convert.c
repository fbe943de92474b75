#include "data/convert.h"

#include "data/h5write.h"
#include "data/well_writer.h"
#include "model/base/arena.h"
#include "model/base/checked.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STRETCH_VALUES = 1 << 21, PATH_BYTES = 4096, CHUNK_STEPS = 8 };

typedef struct conversion {
    ds_dataset *ds;
    const ds_info *info;
    const ds_convert_options *options;
    int64_t stretch; /* steps that are read at a time, 2 or more */
    ds_clip clip;    /* room for them */
    float *parameters;
    int64_t done;
} conversion;

/* ---- room ------------------------------------------------------------------------------------------------------- */

static fwm_status make_room(conversion *c, const bool wanted[DS_FIELDS])
{
    const ds_info *info = c->info;
    int64_t width = 1;
    for (ds_field f = 0; f < DS_FIELDS; f++)
        width += wanted[f] ? info->fields[f].points * info->fields[f].channels : 0;
    c->stretch = STRETCH_VALUES / width;
    c->stretch = c->stretch < 2 ? 2 : c->stretch > info->steps ? info->steps : c->stretch;
    const int64_t chunk = c->options->writer.chunk_steps > 0 ? c->options->writer.chunk_steps : CHUNK_STEPS;
    if (c->stretch > chunk)
        c->stretch -= c->stretch % chunk; /* chunks are written once */
    bool ok = true;
    for (ds_field f = 0; f < DS_FIELDS; f++) {
        const size_t values = (size_t)(info->fields[f].points * info->fields[f].channels);
        if (!wanted[f] || values == 0)
            continue;
        if (f == DS_FRAMES && info->frames_are_bytes && strcmp(c->options->to, "fwm") == 0)
            ok = (c->clip.frame_bytes = fwm_malloc((size_t)c->stretch + 1, values)) != NULL && ok;
        else
            ok = (c->clip.field[f] = fwm_malloc((size_t)c->stretch + 1, values * sizeof(float))) != NULL && ok;
    }
    if (info->parameters > 0)
        ok = (c->parameters = fwm_malloc((size_t)info->parameters, sizeof(float))) != NULL && ok;
    if (info->has_key_state)
        ok = (c->clip.key_state = fwm_malloc((size_t)c->stretch + 1, 1)) != NULL && ok;
    FWM_CHECK(ok, FWM_MEMORY, "%s: out of memory for %lld steps", ds_path(c->ds), (long long)c->stretch);
    return FWM_OK;
}

static void free_room(conversion *c)
{
    for (ds_field f = 0; f < DS_FIELDS; f++)
        fwm_free(c->clip.field[f]);
    fwm_free(c->clip.frame_bytes);
    fwm_free(c->clip.key_state);
    fwm_free(c->parameters);
}

static void report(conversion *c)
{
    c->done++;
    if (c->options->progress)
        c->options->progress(c->options->context, c->done, c->info->trajectories);
}

/* ---- to the native layout --------------------------------------------------------------------------------------- */

static fwm_status copy_native(conversion *c, ds_writer *writer, int64_t i)
{
    const int64_t steps = c->info->lengths[i];
    if (c->parameters)
        FWM_TRY(ds_read(c->ds, i, 0, 0, &(ds_clip){.parameters = c->parameters}));
    /* One step before each stretch but the first comes again: increments across its start are counted too. */
    for (int64_t t = 0; t < steps;) {
        const int64_t again = t > 0, n = steps - t < c->stretch ? steps - t : c->stretch;
        FWM_TRY(ds_read(c->ds, i, t - again, n + again, &c->clip));
        const ds_trajectory part = {.frames = c->clip.frame_bytes,
                                    .frames_f32 = c->clip.frames,
                                    .actions = c->clip.actions,
                                    .state = c->clip.state,
                                    .s_phy = c->clip.s_phy,
                                    .parameters = c->parameters,
                                    .key_state = c->clip.key_state};
        FWM_TRY(ds_writer_put_steps(writer, i, t, n, again, &part));
        t += n;
    }
    return FWM_OK;
}

static fwm_status copy_truths(conversion *c, ds_writer *writer)
{
    for (int64_t i = 0; i < c->info->truths; i++) {
        int64_t count;
        const double *values;
        FWM_TRY(ds_truth(c->ds, c->info->truth_names[i], &count, &values));
        FWM_TRY(ds_writer_truth(writer, c->info->truth_names[i], count, values));
    }
    return FWM_OK;
}

static fwm_status to_native(conversion *c, const char *target)
{
    const bool all[DS_FIELDS] = {true, true, true, true};
    ds_writer *writer = NULL;
    FWM_TRY(make_room(c, all));
    FWM_TRY(ds_writer_create(&writer, target, c->info, &c->options->writer));
    fwm_status status = copy_truths(c, writer);
    for (int64_t i = 0; i < c->info->trajectories && status == FWM_OK; i++) {
        status = copy_native(c, writer, i);
        report(c);
    }
    if (status == FWM_OK)
        return ds_writer_finish(&writer);
    ds_writer_abort(&writer);
    return status;
}

/* ---- to The Well ------------------------------------------------------------------------------------------------ */

static fwm_status copy_well(conversion *c, ds_well_writer *writer, int64_t i, int64_t to)
{
    const int64_t steps = c->info->lengths[i];
    if (c->parameters)
        FWM_TRY(ds_read(c->ds, i, 0, 0, &(ds_clip){.parameters = c->parameters}));
    for (int64_t t = 0; t < steps; t += c->stretch) {
        const int64_t n = steps - t < c->stretch ? steps - t : c->stretch;
        ds_clip part = c->clip;
        part.key_state = NULL;
        FWM_TRY(ds_read(c->ds, i, t, n, &part));
        FWM_TRY(ds_well_writer_put(writer, to, t, n, part.field[ds_well_writer_field(writer)], part.actions,
                                   t == 0 ? c->parameters : NULL));
    }
    return FWM_OK;
}

/* All trajectories of a split (-1: any) and length in one file; none: no file. */
static fwm_status write_part(conversion *c, const char *path, int split, int64_t length)
{
    int64_t count = 0, to = 0;
    ds_well_writer *writer = NULL;
    for (int64_t i = 0; i < c->info->trajectories; i++)
        count += (split < 0 || c->info->splits[i] == split) && c->info->lengths[i] == length;
    if (count == 0)
        return FWM_OK;
    FWM_TRY(ds_well_writer_create(&writer, path, c->info, count, length, &c->options->writer));
    fwm_status status = FWM_OK;
    for (int64_t i = 0; i < c->info->trajectories && status == FWM_OK; i++)
        if ((split < 0 || c->info->splits[i] == split) && c->info->lengths[i] == length) {
            status = copy_well(c, writer, i, to++);
            report(c);
        }
    if (status == FWM_OK)
        return ds_well_writer_finish(&writer);
    ds_well_writer_abort(&writer);
    return status;
}

static fwm_status make_folder(const char *path)
{
    FWM_CHECK(mkdir(path, 0777) == 0 || errno == EEXIST, FWM_IO, "%s: cannot be created: %s", path, strerror(errno));
    return FWM_OK;
}

/* The next length above `above` that a trajectory of the split has; -1 where there is none. */
static int64_t next_length(const ds_info *info, ds_split split, int64_t above)
{
    int64_t best = -1;
    for (int64_t i = 0; i < info->trajectories; i++)
        if (info->splits[i] == split && info->lengths[i] > above && (best < 0 || info->lengths[i] < best))
            best = info->lengths[i];
    return best;
}

static fwm_status write_split(conversion *c, const char *folder, const char *name, ds_split split)
{
    static const char *const words[DS_SPLITS] = {"train", "valid", "test", "test_ood"};
    char path[PATH_BYTES];
    int64_t length = next_length(c->info, split, 0);
    if (length < 0)
        return FWM_OK;
    FWM_CHECK((size_t)snprintf(path, sizeof path, "%s/data/%s", folder, words[split]) < sizeof path, FWM_INVALID,
              "%s: expected a shorter path", folder);
    FWM_TRY(make_folder(path));
    const bool several = next_length(c->info, split, length) > 0;
    for (; length > 0; length = next_length(c->info, split, length)) {
        char number[32] = "";
        if (several)
            (void)snprintf(number, sizeof number, "_%06lld", (long long)length);
        FWM_CHECK((size_t)snprintf(path, sizeof path, "%s/data/%s/%s%s.hdf5", folder, words[split], name, number) <
                      sizeof path,
                  FWM_INVALID, "%s: expected a shorter path", folder);
        FWM_TRY(write_part(c, path, (int)split, length));
    }
    return FWM_OK;
}

static fwm_status fill_folder(conversion *c, const char *folder, const char *target)
{
    char path[PATH_BYTES], copy[PATH_BYTES];
    (void)snprintf(copy, sizeof copy, "%s", target);
    const char *name = basename(copy);
    FWM_TRY(make_folder(folder));
    FWM_CHECK((size_t)snprintf(path, sizeof path, "%s/data", folder) < sizeof path, FWM_INVALID,
              "%s: expected a shorter path", target);
    FWM_TRY(make_folder(path));
    for (ds_split s = 0; s < DS_SPLITS; s++)
        FWM_TRY(write_split(c, folder, name, s));
    FWM_CHECK((size_t)snprintf(path, sizeof path, "%s/stats.yaml", folder) < sizeof path, FWM_INVALID,
              "%s: expected a shorter path", target);
    return ds_well_write_stats(path, c->info);
}

static bool is_file_name(const char *target)
{
    const char *dot = strrchr(target, '.');
    return dot && (strcmp(dot, ".h5") == 0 || strcmp(dot, ".hdf5") == 0);
}

static fwm_status to_well(conversion *c, const char *target)
{
    const ds_info *info = c->info;
    bool wanted[DS_FIELDS] = {[DS_ACTIONS] = true};
    char folder[PATH_BYTES];
    wanted[info->fields[DS_STATE].points > 0 ? DS_STATE : DS_FRAMES] = true;
    FWM_TRY(make_room(c, wanted));
    if (is_file_name(target)) {
        for (int64_t i = 0; i < info->trajectories; i++)
            FWM_CHECK(
                info->lengths[i] == info->steps, FWM_UNSUPPORTED,
                "%s: a file of The Well has trajectories of one length, and these have from %lld to %lld steps: name "
                "a folder instead",
                target, (long long)info->lengths[i], (long long)info->steps);
        return write_part(c, target, -1, info->steps);
    }
    FWM_TRY(ds_ensure_stats(c->ds));
    FWM_CHECK((size_t)snprintf(folder, sizeof folder, "%s.writing.%ld", target, (long)getpid()) < sizeof folder,
              FWM_INVALID, "%s: expected a shorter path", target);
    fwm_status status = fill_folder(c, folder, target);
    if (status == FWM_OK && rename(folder, target) != 0)
        status = fwm_fail(FWM_IO, "%s: cannot be renamed to %s: %s", folder, target, strerror(errno));
    if (status != FWM_OK)
        ds_folder_remove(folder);
    return status;
}

fwm_status ds_convert(ds_dataset *ds, const char *target, const ds_convert_options *options)
{
    conversion c = {.ds = ds, .info = ds_get_info(ds), .options = options};
    struct stat there;
    const bool native = strcmp(options->to, "fwm") == 0, well = strcmp(options->to, "well") == 0;
    FWM_CHECK(native || well, FWM_INVALID, "convert: expected a layout that is written, fwm or well, found '%s'",
              options->to);
    FWM_CHECK(stat(target, &there) != 0, FWM_INVALID, "%s: is there already: remove it, or choose another name",
              target);
    const fwm_status status = native ? to_native(&c, target) : to_well(&c, target);
    free_room(&c);
    return status;
}
