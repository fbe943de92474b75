/* robomimic (and robosuite before it): demonstrations of robots.
 *
 *     /data@env_args   /data/demo_<i>: actions (T,A), states (T,D), obs/<key> (T,...)   /mask/<key>: names of demos
 *
 * Frames: an image of obs, (T,H,W,C) bytes: option `frames` names its key; by itself agentview_image, or else the first
 * image by name, or none. State: `states`, or with option `state`: "obs" all arrays of numbers under obs with at most
 * two axes, by name; another key under obs. Splits: the masks train, valid and test; where these exist, a demonstration
 * that is in none of them is left out. */
#include "data/layout.h"
#include "data/source.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { DEMOS_MAX = 1 << 22, KEYS_MAX = 1024, STEM_BYTES = 5, NOWHERE = DS_SPLITS };

typedef struct demo {
    const char *name;
    int64_t number, steps;
    uint8_t split;
    ds_source frames, actions;
    ds_source *state; /* [n_state] */
} demo;

typedef struct robomimic_data {
    int64_t count, n_state;
    demo *demos;
    ds_grid picture;          /* height, width */
    const char *image;        /* under obs; NULL: none */
    const char **state_paths; /* [n_state] below a demonstration */
} robomimic_data;

static const ds_grid no_grid = {0};

static int detect(const char *path, const ds_h5 *file)
{
    (void)path;
    if (!file || !ds_h5_exists(file, "/data") || ds_h5_is_dataset(file, "/data"))
        return 0;
    fwm_arena *arena = fwm_arena_create();
    int64_t count = 0;
    const char **names = NULL;
    bool demos = arena && ds_h5_members(file, "/data", DEMOS_MAX, arena, &count, &names) == FWM_OK;
    int sure = 0;
    for (int64_t i = 0; demos && i < count && sure == 0; i++)
        if (strncmp(names[i], "demo_", STEM_BYTES) == 0)
            sure = 80;
    fwm_arena_destroy(arena);
    return sure;
}

/* ---- demonstrations and splits --------------------------------------------------------------------------------- */

static int compare_demos(const void *a, const void *b)
{
    const demo *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_demo_names(const void *a, const void *b)
{
    return strcmp((*(const demo *const *)a)->name, (*(const demo *const *)b)->name);
}

static fwm_status list_demos(ds_dataset *ds)
{
    robomimic_data *self = ds->self;
    const char **names;
    int64_t count;
    FWM_TRY(ds_h5_members(ds->file, "/data", DEMOS_MAX, ds->arena, &count, &names));
    self->demos = fwm_arena_alloc(ds->arena, (size_t)(count + 1) * sizeof *self->demos);
    FWM_CHECK(self->demos, FWM_MEMORY, "%s: /data: out of memory", ds->path);
    for (int64_t i = 0; i < count; i++) {
        char *end;
        if (strncmp(names[i], "demo_", STEM_BYTES) != 0)
            continue;
        int64_t number = strtoll(names[i] + STEM_BYTES, &end, 10);
        FWM_CHECK(end != names[i] + STEM_BYTES && *end == '\0', FWM_DATA, "%s: /data/%s: expected a number after demo_",
                  ds->path, names[i]);
        self->demos[self->count++] = (demo){.name = names[i], .number = number, .split = NOWHERE};
    }
    FWM_CHECK(self->count > 0, FWM_DATA, "%s: /data: expected groups demo_0, demo_1, ..., found none", ds->path);
    qsort(self->demos, (size_t)self->count, sizeof *self->demos, compare_demos);
    return FWM_OK;
}

static fwm_status apply_mask(ds_dataset *ds, const char *place, ds_split split, demo **by_name)
{
    robomimic_data *self = ds->self;
    int64_t count;
    const char **names;
    FWM_TRY(ds_h5_read_texts(ds->file, place, DEMOS_MAX, ds->arena, &count, &names));
    for (int64_t i = 0; i < count; i++) {
        demo key = {.name = names[i]}, *wanted = &key;
        demo **found = bsearch(&wanted, by_name, (size_t)self->count, sizeof *by_name, compare_demo_names);
        FWM_CHECK(found, FWM_DATA, "%s: %s: expected names of demonstrations, found '%s', which /data lacks", ds->path,
                  place, names[i]);
        FWM_CHECK((*found)->split == NOWHERE || (*found)->split == split, FWM_DATA,
                  "%s: %s: %s is in another split already (%s)", ds->path, place, names[i],
                  ds_split_name((ds_split)(*found)->split));
        (*found)->split = (uint8_t)split;
    }
    return FWM_OK;
}

/* Sets the splits, and drops what masks leave out. */
static fwm_status apply_masks(ds_dataset *ds)
{
    static const struct {
        const char *place;
        ds_split split;
    } masks[] = {{"/mask/train", DS_TRAIN}, {"/mask/valid", DS_VALIDATION}, {"/mask/test", DS_TEST}};
    robomimic_data *self = ds->self;
    bool any = false;
    demo **by_name = fwm_arena_alloc(ds->arena, (size_t)self->count * sizeof *by_name);
    FWM_CHECK(by_name, FWM_MEMORY, "%s: /mask: out of memory", ds->path);
    for (int64_t i = 0; i < self->count; i++)
        by_name[i] = &self->demos[i];
    qsort(by_name, (size_t)self->count, sizeof *by_name, compare_demo_names);
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
        if (ds_h5_is_dataset(ds->file, masks[m].place)) {
            any = true;
            FWM_TRY(apply_mask(ds, masks[m].place, masks[m].split, by_name));
        }
    int64_t kept = 0;
    for (int64_t i = 0; i < self->count; i++) {
        if (!any)
            self->demos[i].split = DS_TRAIN;
        if (self->demos[i].split != NOWHERE)
            self->demos[kept++] = self->demos[i];
    }
    self->count = kept;
    FWM_CHECK(kept > 0, FWM_DATA, "%s: /mask: expected demonstrations in train, valid or test, found none", ds->path);
    return FWM_OK;
}

/* ---- which arrays are what ------------------------------------------------------------------------------------- */

typedef struct look {
    int rank;
    int64_t dims[DS_RANK_MAX];
    bool bytes, numbers; /* numbers: it is a dataset of numbers at all */
} look;

static look look_at(const ds_h5 *file, const char *place)
{
    look l = {0};
    ds_array a;
    if (!ds_h5_is_dataset(file, place) || ds_array_open(&a, file, place, 0, 0) != FWM_OK)
        return l;
    l = (look){.rank = a.rank, .bytes = a.number == DS_U8, .numbers = true};
    memcpy(l.dims, a.dims, sizeof l.dims);
    ds_array_close(&a);
    return l;
}

static fwm_status choose_image(ds_dataset *ds, const char *first, int64_t count, const char **keys)
{
    robomimic_data *self = ds->self;
    for (int64_t i = 0; i < count; i++) {
        const char *place = ds_format(ds->arena, "%s/obs/%s", first, keys[i]);
        FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", ds->path);
        look l = look_at(ds->file, place);
        bool image = l.rank == 4 && (l.bytes || ds->options.frames);
        bool wanted = ds->options.frames ? strcmp(keys[i], ds->options.frames) == 0
                                         : !self->image || strcmp(keys[i], "agentview_image") == 0;
        if (!image || !wanted)
            continue;
        self->image = keys[i];
        self->picture = (ds_grid){.dims = 2, .n = {l.dims[1], l.dims[2]}, .names = {"height", "width"}};
        ds->info.frames_are_bytes = l.bytes;
        ds->info.fields[DS_FRAMES].channels = l.dims[3];
    }
    FWM_CHECK(self->image || !ds->options.frames, FWM_DATA,
              "%s: %s/obs: data.frames: expected an image (steps, height, width, channels) '%s', found none", ds->path,
              first, ds->options.frames);
    return FWM_OK;
}

static fwm_status choose_state(ds_dataset *ds, const char *first, int64_t count, const char **keys)
{
    robomimic_data *self = ds->self;
    const char *wanted = ds->options.state ? ds->options.state : "states";
    self->state_paths = fwm_arena_alloc(ds->arena, (size_t)(count + 1) * sizeof *self->state_paths);
    FWM_CHECK(self->state_paths, FWM_MEMORY, "%s: out of memory", ds->path);
    const char *states = ds_format(ds->arena, "%s/states", first);
    FWM_CHECK(states, FWM_MEMORY, "%s: out of memory", ds->path);
    if (strcmp(wanted, "states") == 0 && ds_h5_is_dataset(ds->file, states)) {
        self->state_paths[self->n_state++] = "states";
        return FWM_OK;
    }
    bool all = strcmp(wanted, "obs") == 0 || !ds->options.state;
    for (int64_t i = 0; i < count; i++) {
        const char *path = ds_format(ds->arena, "obs/%s", keys[i]), *place = ds_format(ds->arena, "%s/%s", first, path);
        FWM_CHECK(path && place, FWM_MEMORY, "%s: out of memory", ds->path);
        look l = look_at(ds->file, place);
        if (l.numbers && (all ? l.rank <= 2 : strcmp(keys[i], wanted) == 0))
            self->state_paths[self->n_state++] = path;
    }
    FWM_CHECK(self->n_state > 0 || !ds->options.state, FWM_DATA,
              "%s: %s: data.state: expected states, obs or a key under obs, found '%s'", ds->path, first, wanted);
    return FWM_OK;
}

/* What lies in the first demonstration is expected in all. */
static fwm_status choose_parts(ds_dataset *ds)
{
    const robomimic_data *self = ds->self;
    const char **keys;
    int64_t count;
    const char *first = ds_format(ds->arena, "/data/%s", self->demos[0].name);
    const char *obs = ds_format(ds->arena, "/data/%s/obs", self->demos[0].name);
    FWM_CHECK(first && obs, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_TRY(ds_h5_members(ds->file, obs, KEYS_MAX, ds->arena, &count, &keys));
    FWM_TRY(choose_image(ds, first, count, keys));
    return choose_state(ds, first, count, keys);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* Opens a part of a demonstration, time first, and adds its components to *channels. */
static fwm_status open_source(ds_dataset *ds, demo *d, const char *path, const ds_grid *grid, ds_source *s,
                              int64_t *channels)
{
    const char *place = ds_format(ds->arena, "/data/%s/%s", d->name, path);
    FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", ds->path);
    *s = ds_source_make(ds->file, place);
    s->time = 0;
    s->divisor = grid->dims > 0 ? 0 : 1; /* of what is no picture, bytes are numbers */
    for (int i = 0; i < grid->dims; i++)
        s->space[i] = i + 1;
    s->channel = *channels;
    FWM_TRY(ds_source_open(s, 0, d->steps, grid));
    if (d->steps == 0)
        d->steps = s->dims[0];
    *channels += s->channels;
    return FWM_OK;
}

static fwm_status check_channels(const ds_dataset *ds, const demo *d, const char *what, int64_t found,
                                 int64_t *expected)
{
    if (d == ((const robomimic_data *)ds->self)->demos)
        *expected = found;
    FWM_CHECK(found == *expected, FWM_DATA, "%s: /data/%s/%s: expected %lld numbers a step as in the first, found %lld",
              ds->path, d->name, what, (long long)*expected, (long long)found);
    return FWM_OK;
}

static fwm_status open_demo(ds_dataset *ds, demo *d)
{
    robomimic_data *self = ds->self;
    ds_info *info = &ds->info;
    int64_t n = 0, samples = -1;
    const char *place = ds_format(ds->arena, "/data/%s", d->name);
    d->state = fwm_arena_alloc(ds->arena, (size_t)(self->n_state + 1) * sizeof *d->state);
    FWM_CHECK(place && d->state, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_TRY(open_source(ds, d, "actions", &no_grid, &d->actions, &n));
    FWM_TRY(check_channels(ds, d, "actions", n, &info->fields[DS_ACTIONS].channels));
    n = 0;
    for (int64_t i = 0; i < self->n_state; i++)
        FWM_TRY(open_source(ds, d, self->state_paths[i], &no_grid, &d->state[i], &n));
    FWM_TRY(
        check_channels(ds, d, ds->options.state ? ds->options.state : "states", n, &info->fields[DS_STATE].channels));
    if (self->image) {
        const char *path = ds_format(ds->arena, "obs/%s", self->image);
        FWM_CHECK(path, FWM_MEMORY, "%s: out of memory", ds->path);
        n = 0;
        FWM_TRY(open_source(ds, d, path, &self->picture, &d->frames, &n));
        FWM_TRY(check_channels(ds, d, path, n, &info->fields[DS_FRAMES].channels));
        FWM_CHECK(d->frames.rank == 4 && d->frames.bytes == info->frames_are_bytes, FWM_DATA,
                  "%s: %s/%s: expected (steps, height, width, channels) of one number type in all", ds->path, place,
                  path);
    }
    FWM_TRY(ds_h5_attr_i64(ds->file, place, "num_samples", false, &samples));
    FWM_CHECK(samples < 0 || samples == d->steps, FWM_DATA,
              "%s: %s@num_samples: expected %lld as actions has, found %lld", ds->path, place, (long long)d->steps,
              (long long)samples);
    return FWM_OK;
}

/* Names of the state's channels: of each array, its key, numbered where it has several. */
static fwm_status name_state(ds_dataset *ds)
{
    robomimic_data *self = ds->self;
    ds_field_info *state = &ds->info.fields[DS_STATE];
    const char **names = fwm_arena_alloc(ds->arena, (size_t)(state->channels + 1) * sizeof *names);
    FWM_CHECK(names, FWM_MEMORY, "%s: out of memory", ds->path);
    for (int64_t i = 0; i < self->n_state; i++) {
        const ds_source *s = &self->demos[0].state[i];
        const char *slash = strrchr(s->name, '/');
        const char *const *part = ds_number_names(ds->arena, slash + 1, s->channels);
        FWM_CHECK(part, FWM_MEMORY, "%s: out of memory", ds->path);
        memcpy(names + s->channel, part, (size_t)s->channels * sizeof *names);
    }
    state->names = names;
    return FWM_OK;
}

/* Name of the environment and time between steps, from the JSON that robomimic, or robosuite, keeps of it. What is not
 * there or not JSON is not known. */
static fwm_status read_environment(ds_dataset *ds)
{
    const char *text = NULL;
    FWM_TRY(ds_h5_attr_text(ds->file, "/data", "env_args", false, ds->arena, &text));
    if (!text)
        FWM_TRY(ds_h5_attr_text(ds->file, "/data", "env_info", false, ds->arena, &text));
    json_t *all = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *inner = json_object_get(all, "env_kwargs"), *name = json_object_get(all, "env_name");
    const json_t *rate = json_object_get(inner ? inner : all, "control_freq");
    double hertz = json_number_value(rate);
    ds->info.dt = hertz > 0 ? 1 / hertz : 0;
    if (json_is_string(name))
        ds->info.name = fwm_arena_strdup(ds->arena, json_string_value(name));
    json_decref(all);
    return FWM_OK;
}

static fwm_status open_robomimic(ds_dataset *ds)
{
    robomimic_data *self = ds->self = fwm_calloc(1, sizeof *self);
    ds_info *info = &ds->info;
    int64_t *lengths;
    uint8_t *splits;
    FWM_CHECK(self, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_CHECK(ds->file, FWM_DATA, "%s: expected a file of layout robomimic, found a folder", ds->path);
    FWM_TRY(ds_refuse_options(ds, true, true, false));
    FWM_TRY(list_demos(ds));
    FWM_TRY(apply_masks(ds));
    FWM_TRY(choose_parts(ds));
    FWM_TRY(ds_make_lists(ds, self->count, &lengths, &splits));
    for (int64_t i = 0; i < self->count; i++) {
        FWM_TRY(open_demo(ds, &self->demos[i]));
        lengths[i] = self->demos[i].steps;
        splits[i] = self->demos[i].split;
    }
    ds_source_show(&self->demos[0].actions, &info->fields[DS_ACTIONS]);
    if (self->n_state > 0)
        ds_source_show(&self->demos[0].state[0], &info->fields[DS_STATE]);
    if (self->image)
        ds_source_show(&self->demos[0].frames, &info->fields[DS_FRAMES]);
    info->fields[DS_ACTIONS].points = 1;
    info->fields[DS_STATE].points = self->n_state > 0;
    if (self->image) {
        info->height = self->picture.n[0];
        info->width = self->picture.n[1];
        FWM_CHECK(ds_grid_points(&self->picture, &info->fields[DS_FRAMES].points), FWM_DATA,
                  "%s: obs/%s: the picture's size overflows", ds->path, self->image);
    }
    FWM_TRY(name_state(ds));
    return read_environment(ds);
}

static void close_robomimic(ds_dataset *ds)
{
    robomimic_data *self = ds->self;
    for (int64_t i = 0; self && i < self->count; i++) {
        demo *d = &self->demos[i];
        ds_source_close(&d->actions);
        ds_source_close(&d->frames);
        for (int64_t k = 0; d->state && k < self->n_state; k++)
            ds_source_close(&d->state[k]);
    }
    fwm_free(self);
    ds->self = NULL;
}

static fwm_status read_field(ds_dataset *ds, ds_field f, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                             void *out)
{
    robomimic_data *self = ds->self;
    demo *d = &self->demos[trajectory];
    int64_t width = ds->info.fields[f].channels;
    if (f == DS_FRAMES)
        return ds_source_read(&d->frames, &self->picture, 0, start, length, width, as, out);
    if (f == DS_ACTIONS)
        return ds_source_read(&d->actions, &no_grid, 0, start, length, width, as, out);
    for (int64_t i = 0; i < self->n_state; i++)
        FWM_TRY(ds_source_read(&d->state[i], &no_grid, 0, start, length, width, as, out));
    return FWM_OK;
}

const ds_layout ds_layout_robomimic = {
    .name = "robomimic",
    .detect = detect,
    .open = open_robomimic,
    .close = close_robomimic,
    .read = read_field,
};
