/* Any HDF5 file, told where its fields lie: options frames, state and actions, each "PATH:AXES".
 *
 * PATH leads to a dataset; a component "*" of it stands for the members of that group, each a trajectory, in the order
 * of the numbers in their names. AXES has a letter for each axis of the array: n trajectories, t time, h and w the
 * picture's rows and columns, x y z the grid's axes, c components (several are flattened). So "/video:nthwc"; or, with
 * a group for each trajectory, "/runs/STAR/field:txyc" (STAR for the sign itself, which would end this comment).
 *
 * Splits: of ten trajectories and more, the last tenth is for validation; all else for training. */
#include "data/layout.h"
#include "data/source.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { TRAJECTORIES_MAX = 1 << 24, MAPPED_FIELDS = 3, TENTH = 10 };

/* One field as told. */
typedef struct mapped {
    ds_field field;
    const char *option, *spec;  /* "data.frames", its text */
    const char *before, *after; /* the path around "*"; after is NULL where there is none */
    const char *axes;
    ds_grid grid;
    int64_t count; /* sources: one, or one a trajectory */
    ds_source *sources;
} mapped;

typedef struct generic_data {
    mapped fields[MAPPED_FIELDS];
    const char **members; /* names of trajectories, where "*" is used */
    int64_t n_members;
} generic_data;

static int detect(const char *path, const ds_h5 *file)
{
    (void)path;
    (void)file;
    return 0; /* it has to be told */
}

/* ---- what was told --------------------------------------------------------------------------------------------- */

static fwm_status parse_spec(ds_dataset *ds, mapped *m)
{
    static const char *const letters[DS_FIELDS] = {[DS_FRAMES] = "nthwc", [DS_ACTIONS] = "ntc", [DS_STATE] = "ntxyzc"};
    const char *colon = strrchr(m->spec, ':'), *star = strstr(m->spec, "/*");
    FWM_CHECK(colon && colon[1] && m->spec[0] == '/' && colon > m->spec + 1, FWM_INVALID,
              "%s: expected PATH:AXES, as /video:nthwc, found '%s'", m->option, m->spec);
    m->axes = colon + 1;
    for (const char *a = m->axes; *a; a++) {
        FWM_CHECK(strchr(letters[m->field], *a), FWM_INVALID, "%s: axes: expected letters of '%s', found '%c' in '%s'",
                  m->option, letters[m->field], *a, m->spec);
        FWM_CHECK(*a == 'c' || strchr(m->axes, *a) == a, FWM_INVALID, "%s: axes: '%c' stands twice in '%s'", m->option,
                  *a, m->spec);
    }
    FWM_CHECK(strchr(m->axes, 't'), FWM_INVALID, "%s: axes: expected a t (time) in '%s'", m->option, m->spec);
    FWM_CHECK(m->field != DS_FRAMES || (strchr(m->axes, 'h') && strchr(m->axes, 'w')), FWM_INVALID,
              "%s: axes: expected h and w (rows and columns) in '%s'", m->option, m->spec);
    FWM_CHECK((!strchr(m->axes, 'y') || strchr(m->axes, 'x')) && (!strchr(m->axes, 'z') || strchr(m->axes, 'y')),
              FWM_INVALID, "%s: axes: expected x, or x and y, or x, y and z in '%s'", m->option, m->spec);
    if (!star || star > colon) {
        m->before = ds_format(ds->arena, "%.*s", (int)(colon - m->spec), m->spec);
    } else {
        FWM_CHECK((star[2] == '/' || star + 2 == colon) && (!strstr(star + 2, "/*") || strstr(star + 2, "/*") > colon),
                  FWM_INVALID, "%s: expected one '*', alone between slashes, in '%s'", m->option, m->spec);
        FWM_CHECK(!strchr(m->axes, 'n'), FWM_INVALID, "%s: expected '*' or an axis n, found both in '%s'", m->option,
                  m->spec);
        m->before = ds_format(ds->arena, "%.*s", (int)(star - m->spec), m->spec);
        m->after = ds_format(ds->arena, "%.*s", (int)(colon - star - 2), star + 2);
        FWM_CHECK(m->after, FWM_MEMORY, "%s: out of memory", ds->path);
    }
    FWM_CHECK(m->before, FWM_MEMORY, "%s: out of memory", ds->path);
    return FWM_OK;
}

/* Runs of digits compare as numbers: demo_2 before demo_10. */
static int compare_natural(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    while (*x && *y) {
        if (isdigit((unsigned char)*x) && isdigit((unsigned char)*y)) {
            size_t n = 0, m = 0;
            while (*x == '0')
                x++;
            while (*y == '0')
                y++;
            while (isdigit((unsigned char)x[n]))
                n++;
            while (isdigit((unsigned char)y[m]))
                m++;
            int order = n != m ? (n < m ? -1 : 1) : strncmp(x, y, n);
            if (order != 0)
                return order;
            x += n;
            y += m;
        } else if (*x != *y) {
            return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
        } else {
            x++;
            y++;
        }
    }
    return (*x != '\0') - (*y != '\0');
}

/* The members that stand for "*" in the first field that has one; every other field must have the same. */
static fwm_status list_members(ds_dataset *ds, const mapped *m)
{
    generic_data *self = ds->self;
    const char **names, *group = m->before[0] ? m->before : "/";
    int64_t count;
    if (!m->after || self->members)
        return FWM_OK;
    FWM_TRY(ds_h5_members(ds->file, group, TRAJECTORIES_MAX, ds->arena, &count, &names));
    for (int64_t i = 0; i < count; i++) {
        const char *place = ds_format(ds->arena, "%s/%s%s", m->before, names[i], m->after);
        FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", ds->path);
        if (ds_h5_is_dataset(ds->file, place))
            names[self->n_members++] = names[i];
    }
    FWM_CHECK(self->n_members > 0, FWM_DATA, "%s: %s: expected members with a dataset '%s', found none", ds->path,
              group, m->spec);
    qsort(names, (size_t)self->n_members, sizeof *names, compare_natural);
    self->members = names;
    return FWM_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int axis_of(const mapped *m, char letter)
{
    const char *at = strchr(m->axes, letter);
    return at ? (int)(at - m->axes) : -1;
}

/* Extents of the grid, from the first array. */
static fwm_status measure_grid(ds_dataset *ds, mapped *m, const char *place)
{
    static const char *const frames[] = {"h", "w"}, *const state[] = {"x", "y", "z"};
    const char *const *letters = m->field == DS_FRAMES ? frames : state;
    int most = m->field == DS_FRAMES ? 2 : m->field == DS_STATE ? 3 : 0;
    ds_array a;
    FWM_TRY(ds_array_open(&a, ds->file, place, (int)strlen(m->axes), 0));
    for (int d = 0; d < most && strchr(m->axes, *letters[d]); d++) {
        m->grid.n[d] = a.dims[axis_of(m, *letters[d])];
        m->grid.names[d] = letters[d];
        m->grid.dims = d + 1;
    }
    bool bytes = a.number == DS_U8, whole = a.integer;
    ds_array_close(&a);
    FWM_CHECK(ds_grid_points(&m->grid, &ds->info.fields[m->field].points), FWM_DATA, "%s: %s: the size overflows",
              ds->path, place);
    if (m->field == DS_STATE && m->grid.dims > 0)
        ds->info.grid = &m->grid;
    if (m->field != DS_FRAMES)
        return FWM_OK;
    FWM_CHECK(bytes || !whole, FWM_DATA, "%s: %s: expected bytes or floating-point numbers, found wider integers",
              ds->path, place);
    ds->info.height = m->grid.n[0];
    ds->info.width = m->grid.n[1];
    ds->info.frames_are_bytes = bytes;
    return FWM_OK;
}

/* The path of source i. */
static const char *place_of(const ds_dataset *ds, const mapped *m, int64_t i)
{
    const generic_data *self = ds->self;
    return m->after ? ds_format(ds->arena, "%s/%s%s", m->before, self->members[i], m->after) : m->before;
}

static fwm_status open_source(ds_dataset *ds, mapped *m, int64_t i)
{
    static const char *const letters[DS_FIELDS] = {[DS_FRAMES] = "hw", [DS_ACTIONS] = "", [DS_STATE] = "xyz"};
    int64_t *channels = &ds->info.fields[m->field].channels;
    const char *place = place_of(ds, m, i);
    FWM_CHECK(place, FWM_MEMORY, "%s: out of memory", ds->path);
    if (i == 0)
        FWM_TRY(measure_grid(ds, m, place));
    ds_source *s = &m->sources[i];
    *s = ds_source_make(ds->file, place);
    s->sample = axis_of(m, 'n');
    s->time = axis_of(m, 't');
    for (int d = 0; d < m->grid.dims; d++)
        s->space[d] = axis_of(m, letters[m->field][d]);
    s->divisor = m->field == DS_FRAMES ? 0 : 1;
    FWM_TRY(ds_source_open(s, 0, 0, &m->grid));
    m->count++;
    if (i == 0)
        *channels = s->channels;
    FWM_CHECK(s->rank == (int)strlen(m->axes) && s->channels == *channels &&
                  (m->field != DS_FRAMES || s->bytes == ds->info.frames_are_bytes),
              FWM_DATA,
              "%s: %s: expected %zu axes, %lld components and the number type of the first, found %d and %lld",
              ds->path, place, strlen(m->axes), (long long)*channels, s->rank, (long long)s->channels);
    return FWM_OK;
}

static fwm_status open_field(ds_dataset *ds, mapped *m)
{
    const generic_data *self = ds->self;
    int64_t n = m->after ? self->n_members : 1;
    m->sources = fwm_arena_alloc(ds->arena, (size_t)n * sizeof *m->sources);
    FWM_CHECK(m->sources, FWM_MEMORY, "%s: out of memory for %lld trajectories", ds->path, (long long)n);
    for (int64_t i = 0; i < n; i++)
        FWM_TRY(open_source(ds, m, i));
    ds_source_show(&m->sources[0], &ds->info.fields[m->field]);
    if (m->field == DS_ACTIONS)
        ds->info.fields[DS_ACTIONS].points = 1;
    return FWM_OK;
}

static int64_t trajectories_of(const mapped *m)
{
    return m->after ? m->count : m->sources[0].sample < 0 ? 1 : m->sources[0].dims[m->sources[0].sample];
}

static int64_t steps_of(const mapped *m, int64_t i)
{
    const ds_source *s = &m->sources[m->after ? i : 0];
    return s->dims[s->time];
}

/* The trajectories and their steps, which must be the same in all fields. */
static fwm_status list_trajectories(ds_dataset *ds, const mapped *m)
{
    int64_t n = trajectories_of(m), *lengths;
    uint8_t *splits;
    if (!ds->info.lengths) {
        FWM_TRY(ds_make_lists(ds, n, &lengths, &splits));
        for (int64_t i = 0; i < n; i++) {
            lengths[i] = steps_of(m, i);
            splits[i] = i < n - n / TENTH ? DS_TRAIN : DS_VALIDATION;
        }
        return FWM_OK;
    }
    FWM_CHECK(n == ds->info.trajectories, FWM_DATA,
              "%s: %s: expected %lld trajectories as in the other fields, found %lld", ds->path, m->spec,
              (long long)ds->info.trajectories, (long long)n);
    for (int64_t i = 0; i < n; i++)
        FWM_CHECK(steps_of(m, i) == ds->info.lengths[i], FWM_DATA,
                  "%s: %s: trajectory %lld: expected %lld steps as in the other fields, found %lld", ds->path, m->spec,
                  (long long)i, (long long)ds->info.lengths[i], (long long)steps_of(m, i));
    return FWM_OK;
}

static fwm_status open_generic(ds_dataset *ds)
{
    generic_data *self = ds->self = fwm_calloc(1, sizeof *self);
    FWM_CHECK(self, FWM_MEMORY, "%s: out of memory", ds->path);
    FWM_CHECK(ds->file, FWM_DATA, "%s: expected a file of layout generic, found a folder", ds->path);
    FWM_CHECK(ds->options.frames || ds->options.state, FWM_INVALID,
              "%s: layout generic: expected data.frames or data.state as PATH:AXES, found neither", ds->path);
    const mapped told[MAPPED_FIELDS] = {
        {.field = DS_FRAMES, .option = "data.frames", .spec = ds->options.frames},
        {.field = DS_STATE, .option = "data.state", .spec = ds->options.state},
        {.field = DS_ACTIONS, .option = "data.actions", .spec = ds->options.actions},
    };
    for (int k = 0; k < MAPPED_FIELDS; k++) {
        mapped *m = &self->fields[k];
        *m = told[k];
        if (!m->spec)
            continue;
        FWM_TRY(parse_spec(ds, m));
        FWM_TRY(list_members(ds, m));
        FWM_TRY(open_field(ds, m));
        FWM_TRY(list_trajectories(ds, m));
    }
    return FWM_OK;
}

static void close_generic(ds_dataset *ds)
{
    generic_data *self = ds->self;
    for (int k = 0; self && k < MAPPED_FIELDS; k++)
        for (int64_t i = 0; i < self->fields[k].count; i++)
            ds_source_close(&self->fields[k].sources[i]);
    fwm_free(self);
    ds->self = NULL;
}

static fwm_status read_field(ds_dataset *ds, ds_field f, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                             void *out)
{
    generic_data *self = ds->self;
    mapped *m = self->fields;
    while (m->field != f)
        m++;
    return ds_source_read(&m->sources[m->after ? trajectory : 0], &m->grid, trajectory, start, length,
                          ds->info.fields[f].channels, as, out);
}

const ds_layout ds_layout_generic = {
    .name = "generic",
    .detect = detect,
    .open = open_generic,
    .close = close_generic,
    .read = read_field,
};
