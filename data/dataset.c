#include "data/dataset.h"

#include "data/layout.h"
#include "data/mesh_io.h"
#include "data/trial.h"
#include "model/base/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define X(name) extern const ds_layout ds_layout_##name;
#include "layouts.def"
#undef X

static const ds_layout *const layouts[] = {
#define X(name) &ds_layout_##name,
#include "layouts.def"
#undef X
};

enum { LAYOUTS = sizeof layouts / sizeof *layouts, CHANNELS_MAX = 65536, LIST_BYTES = 256 };

const char *ds_field_name(ds_field field)
{
    static const char *const names[DS_FIELDS] = {"frames", "actions", "state", "s_phy"};
    return names[field];
}

const char *ds_split_name(ds_split split)
{
    static const char *const names[DS_SPLITS] = {"train", "validation", "test", "test_ood"};
    return names[split];
}

fwm_status ds_split_parse(const char *name, ds_split *out)
{
    for (ds_split s = 0; s < DS_SPLITS; s++)
        if (strcmp(name, ds_split_name(s)) == 0) {
            *out = s;
            return FWM_OK;
        }
    return fwm_fail(FWM_INVALID, "split: expected train, validation, test or test_ood, found '%s'", name);
}

const char *const *ds_number_names(fwm_arena *arena, const char *stem, int64_t count)
{
    const char **names = fwm_arena_alloc(arena, (size_t)(count + 1) * sizeof *names);
    for (int64_t i = 0; names && i < count; i++) {
        char text[64];
        if (count == 1)
            (void)snprintf(text, sizeof text, "%s", stem);
        else
            (void)snprintf(text, sizeof text, "%s%lld", stem, (long long)i);
        names[i] = fwm_arena_strdup(arena, text);
        if (!names[i])
            return NULL;
    }
    return names;
}

const char *ds_format(fwm_arena *arena, const char *format, ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int n = vsnprintf(NULL, 0, format, list);
    char *text = n >= 0 ? fwm_arena_alloc(arena, (size_t)n + 1) : NULL;
    if (text)
        (void)vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(list);
    return text;
}

fwm_status ds_make_lists(ds_dataset *ds, int64_t trajectories, int64_t **lengths, uint8_t **splits)
{
    size_t bytes;
    FWM_CHECK(trajectories >= 0 && fwm_mul_size((size_t)trajectories + 1, sizeof **lengths, &bytes) &&
                  (*lengths = fwm_arena_alloc(ds->arena, bytes)) != NULL &&
                  (*splits = fwm_arena_alloc(ds->arena, (size_t)trajectories + 1)) != NULL,
              FWM_MEMORY, "%s: out of memory for %lld trajectories", ds->path, (long long)trajectories);
    ds->info.trajectories = trajectories;
    ds->info.lengths = *lengths;
    ds->info.splits = *splits;
    return FWM_OK;
}

fwm_status ds_refuse_options(const ds_dataset *ds, bool frames, bool state, bool actions)
{
    const struct {
        const char *name, *value;
        bool taken;
    } option[] = {{"frames", ds->options.frames, frames},
                  {"state", ds->options.state, state},
                  {"actions", ds->options.actions, actions}};
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        FWM_CHECK(option[i].taken || !option[i].value, FWM_INVALID,
                  "%s: data.%s: layout %s has no such choice, found '%s': leave it out", ds->path, option[i].name,
                  ds->layout->name, option[i].value);
    return FWM_OK;
}

static const char *const *empty_texts(fwm_arena *arena, int64_t count)
{
    const char **texts = fwm_arena_alloc(arena, (size_t)(count + 1) * sizeof *texts);
    for (int64_t i = 0; texts && i < count; i++)
        texts[i] = "";
    return texts;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static fwm_status choose_layout(ds_dataset *ds, const char *name)
{
    char known[LIST_BYTES] = "";
    int best = 0;
    bool automatic = strcmp(name, "auto") == 0;
    for (size_t i = 0; i < LAYOUTS; i++) {
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", layouts[i]->name);
        if (!automatic && strcmp(layouts[i]->name, name) == 0)
            ds->layout = layouts[i];
        int sure = automatic ? layouts[i]->detect(ds->path, ds->file) : 0;
        if (sure > best) {
            best = sure;
            ds->layout = layouts[i];
        }
    }
    FWM_CHECK(ds->layout || automatic, FWM_INVALID, "layout: expected auto or one of %s, found '%s'", known, name);
    FWM_CHECK(ds->layout, FWM_DATA,
              "%s: expected a dataset in one of the layouts that are read (%s), found none of them", ds->path, known);
    return FWM_OK;
}

static fwm_status fill_names(ds_dataset *ds, const char *stem, int64_t count, const char *const **names,
                             const char *const **units)
{
    if (!*names)
        *names = ds_number_names(ds->arena, stem, count);
    if (!*units)
        *units = empty_texts(ds->arena, count);
    FWM_CHECK(*names && *units, FWM_MEMORY, "%s: out of memory for %lld names", ds->path, (long long)count);
    return FWM_OK;
}

static fwm_status check_field(ds_dataset *ds, ds_field f)
{
    static const char *const stems[DS_FIELDS] = {"channel", "action", "field", "field"};
    ds_field_info *field = &ds->info.fields[f];
    int64_t width, all;
    if (field->points == 0 || field->channels == 0)
        field->points = field->channels = 0;
    FWM_CHECK(field->points >= 0 && field->channels >= 0 && field->channels <= CHANNELS_MAX &&
                  fwm_mul_i64(field->points, field->channels, &width) && fwm_mul_i64(width, ds->info.steps, &all) &&
                  fwm_mul_i64(all, (int64_t)sizeof(float), &all),
              FWM_DATA,
              "%s: /%s: expected at most %d channels and a trajectory that can be addressed, found %lld x %lld",
              ds->path, ds_field_name(f), CHANNELS_MAX, (long long)field->points, (long long)field->channels);
    return fill_names(ds, stems[f], field->channels, &field->names, &field->units);
}

static fwm_status check_nodes(const ds_dataset *ds, ds_field f, const ds_mesh *mesh, const char *name)
{
    int64_t points = ds->info.fields[f].points;
    FWM_CHECK(!mesh || points == 0 || points == mesh->n, FWM_DATA,
              "%s: /%s: expected the %lld nodes of /%s, found %lld", ds->path, ds_field_name(f), (long long)mesh->n,
              name, (long long)points);
    return FWM_OK;
}

/* What holds in every layout. */
static fwm_status check_info(ds_dataset *ds)
{
    ds_info *info = &ds->info;
    const char **texts[] = {&info->name, &info->equation, &info->generator, &info->config};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!*texts[i])
            *texts[i] = "";
    FWM_CHECK(info->trajectories > 0, FWM_DATA, "%s: expected at least one trajectory, found none", ds->path);
    info->steps = 0;
    for (int64_t i = 0; i < info->trajectories; i++) {
        FWM_CHECK(info->lengths[i] > 0, FWM_DATA, "%s: trajectory %lld: expected at least one step, found none",
                  ds->path, (long long)i);
        FWM_CHECK(info->splits[i] < DS_SPLITS, FWM_DATA,
                  "%s: trajectory %lld: expected a split from 0 (train) to 3 (test_ood), found %d", ds->path,
                  (long long)i, info->splits[i]);
        if (info->lengths[i] > info->steps)
            info->steps = info->lengths[i];
    }
    for (ds_field f = 0; f < DS_FIELDS; f++)
        FWM_TRY(check_field(ds, f));
    FWM_CHECK(info->parameters >= 0 && info->parameters <= CHANNELS_MAX, FWM_DATA,
              "%s: /parameters: expected at most %d, found %lld", ds->path, CHANNELS_MAX, (long long)info->parameters);
    FWM_TRY(fill_names(ds, "parameter", info->parameters, &info->parameter_names, &info->parameter_units));
    FWM_TRY(check_nodes(ds, DS_STATE, info->mesh, "mesh"));
    FWM_TRY(check_nodes(ds, DS_S_PHY, info->coarse_mesh, "coarse_mesh"));
    ds->truths = fwm_arena_alloc(ds->arena, (size_t)(info->truths + 1) * sizeof *ds->truths);
    FWM_CHECK(ds->truths, FWM_MEMORY, "%s: out of memory", ds->path);
    return FWM_OK;
}

static void close_locked(ds_dataset *ds)
{
    if (ds->layout)
        ds->layout->close(ds);
    ds_h5_close(&ds->file);
}

static fwm_status open_locked(ds_dataset *ds, const char *layout)
{
    struct stat st;
    bool folder = stat(ds->path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!folder)
        FWM_TRY(ds_h5_open(&ds->file, ds->path));
    FWM_TRY(choose_layout(ds, layout));
    ds->info.layout = ds->layout->name;
    FWM_TRY(ds->layout->open(ds));
    return check_info(ds);
}

/* What ds_open_with is about to do. */
typedef struct attempt {
    const char *path, *layout;
    const ds_options *options;
} attempt;

static fwm_status begin(ds_dataset *ds, const attempt *a)
{
    if (a->options)
        ds->options = *a->options;
    ds->path = fwm_strdup(a->path);
    ds->arena = fwm_arena_create();
    FWM_CHECK(ds->path && ds->arena, FWM_MEMORY, "%s: out of memory", a->path);
    return FWM_OK;
}

/* Opens and closes in a child that dies afterwards: what its memory holds does not matter. */
static void open_and_close(void *context)
{
    const attempt *a = context;
    ds_dataset *ds = fwm_calloc(1, sizeof *ds);
    if (ds && begin(ds, a) == FWM_OK) {
        (void)open_locked(ds, a->layout); /* its error comes again in the parent */
        close_locked(ds);
    }
}

fwm_status ds_open(ds_dataset **out, const char *path, const char *layout)
{
    return ds_open_with(out, path, layout, NULL);
}

fwm_status ds_open_with(ds_dataset **out, const char *path, const char *layout, const ds_options *options)
{
    *out = NULL;
    ds_dataset *ds = fwm_calloc(1, sizeof *ds);
    FWM_CHECK(ds, FWM_MEMORY, "%s: out of memory", path);
    attempt a = {path, layout, options};
    fwm_status status = begin(ds, &a);
    if (status == FWM_OK) {
        ds_h5_lock();
        if (ds_trial_needed(path))
            status = ds_trial(path, open_and_close, &a);
        if (status == FWM_OK)
            status = open_locked(ds, layout);
        ds_h5_unlock();
    }
    if (status != FWM_OK) {
        ds_close(&ds);
        return status;
    }
    *out = ds;
    return FWM_OK;
}

void ds_close(ds_dataset **out)
{
    ds_dataset *ds = *out;
    if (!ds)
        return;
    ds_h5_lock();
    close_locked(ds);
    ds_h5_unlock();
    fwm_arena_destroy(ds->arena);
    fwm_free(ds->path);
    fwm_free(ds);
    *out = NULL;
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

const ds_info *ds_get_info(const ds_dataset *ds)
{
    return &ds->info;
}

const char *ds_path(const ds_dataset *ds)
{
    return ds->path;
}

int64_t ds_split_list(const ds_info *info, ds_split split, int64_t *list)
{
    int64_t n = 0;
    for (int64_t i = 0; i < info->trajectories; i++)
        if (info->splits[i] == split) {
            if (list)
                list[n] = i;
            n++;
        }
    return n;
}

fwm_status ds_read(ds_dataset *ds, int64_t trajectory, int64_t start, int64_t length, const ds_clip *out)
{
    const ds_info *info = &ds->info;
    FWM_CHECK(trajectory >= 0 && trajectory < info->trajectories, FWM_INVALID,
              "%s: expected a trajectory from 0 to %lld, asked for %lld", ds->path, (long long)info->trajectories - 1,
              (long long)trajectory);
    int64_t steps = info->lengths[trajectory];
    FWM_CHECK(start >= 0 && length >= 0 && length <= steps && start <= steps - length, FWM_INVALID,
              "%s: trajectory %lld: expected a range within its %lld steps, asked for %lld from %lld on", ds->path,
              (long long)trajectory, (long long)steps, (long long)length, (long long)start);
    for (ds_field f = 0; f < DS_FIELDS; f++)
        if (out->field[f]) {
            FWM_CHECK(info->fields[f].points > 0, FWM_INVALID, "%s: asked for %s, which this dataset lacks", ds->path,
                      ds_field_name(f));
            FWM_TRY(ds->layout->read(ds, f, trajectory, start, length, DS_AS_FLOATS, out->field[f]));
        }
    if (out->frame_bytes) {
        FWM_CHECK(info->fields[DS_FRAMES].points > 0 && info->frames_are_bytes, FWM_INVALID,
                  "%s: asked for frames as bytes, which this dataset lacks", ds->path);
        FWM_TRY(ds->layout->read(ds, DS_FRAMES, trajectory, start, length, DS_AS_BYTES, out->frame_bytes));
    }
    if (out->parameters) {
        FWM_CHECK(info->parameters > 0, FWM_INVALID, "%s: asked for parameters, which this dataset lacks", ds->path);
        FWM_TRY(ds->layout->read_parameters(ds, trajectory, out->parameters));
    }
    if (out->key_state) {
        FWM_CHECK(info->has_key_state, FWM_INVALID, "%s: asked for key_state, which this dataset lacks", ds->path);
        FWM_TRY(ds->layout->read_key_state(ds, trajectory, start, length, out->key_state));
    }
    return FWM_OK;
}

fwm_status ds_truth(ds_dataset *ds, const char *name, int64_t *count, const double **values)
{
    for (int64_t i = 0; i < ds->info.truths; i++)
        if (strcmp(ds->info.truth_names[i], name) == 0) {
            struct ds_truth_entry *entry = &ds->truths[i];
            fwm_status status = FWM_OK;
            ds_h5_lock();
            if (!entry->values)
                status = ds->layout->read_truth(ds, i, &entry->count, &entry->values);
            ds_h5_unlock();
            FWM_TRY(status);
            *count = entry->count;
            *values = entry->values;
            return FWM_OK;
        }
    return fwm_fail(FWM_DATA, "%s: /truth/%s: expected an array, found none of that name", ds->path, name);
}
