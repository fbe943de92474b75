#include "data/view.h"

#include "data/layout.h"
#include "data/numbers.h"
#include "model/base/colours.h"

#include <math.h>
#include <string.h>

enum { COLOUR_STEPS = 1024 };

typedef struct view {
    ds_dataset *base;
    ds_view_spec spec;
    uint8_t palette[COLOUR_STEPS][FWM_COLOUR_CHANNELS]; /* of values from low to high */
} view;

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Steps of the dataset beneath. */
static fwm_status read_beneath(const view *v, ds_field f, int64_t trajectory, int64_t start, int64_t length, float *out)
{
    ds_clip clip = {0};
    clip.field[f] = out;
    return ds_read(v->base, trajectory, start, length, &clip);
}

/* Steps of the state beneath, for problems without time the solution once, in a buffer that the caller frees. */
static fwm_status read_state_beneath(const view *v, int64_t trajectory, int64_t start, int64_t length, float **out)
{
    const ds_field_info *state = &ds_get_info(v->base)->fields[DS_STATE];
    int64_t steps = v->spec.begins_at_zero ? 1 : length;
    *out = fwm_malloc((size_t)steps, (size_t)(state->points * state->channels) * sizeof **out);
    FWM_CHECK(*out, FWM_MEMORY, "%s: /state: out of memory for %lld steps", ds_path(v->base), (long long)steps);
    fwm_status status = read_beneath(v, DS_STATE, trajectory, v->spec.begins_at_zero ? 0 : start, steps, *out);
    if (status != FWM_OK) {
        fwm_free(*out);
        *out = NULL;
    }
    return status;
}

/* Channel k of row r. */
static double gather(const ds_rows *m, int64_t r, const float *x, int64_t channels, int64_t k)
{
    double sum = 0;
    for (int64_t e = m->row_start[r]; e < m->row_start[r + 1]; e++)
        sum += m->weight[e] * (double)x[m->column[e] * channels + k];
    return sum;
}

static void map_step(const view *v, const ds_field_info *from, const ds_field_info *to, const float *x, float *out)
{
    const ds_rows *nodes = &v->spec.nodes;
    for (int64_t i = 0; i < to->points; i++)
        for (int64_t c = 0; c < to->channels; c++) {
            int64_t k = v->spec.channel ? v->spec.channel[c] : c;
            float *at = &out[i * to->channels + c];
            if (k < 0)
                *at = 0;
            else
                *at = nodes->rows > 0 ? (float)gather(nodes, i, x, from->channels, k) : x[i * from->channels + k];
        }
}

static fwm_status read_state(const view *v, const ds_info *info, int64_t trajectory, int64_t start, int64_t length,
                             float *out)
{
    const ds_field_info *from = &ds_get_info(v->base)->fields[DS_STATE], *to = &info->fields[DS_STATE];
    int64_t width = to->points * to->channels;
    if (v->spec.nodes.rows == 0 && !v->spec.channel && !v->spec.begins_at_zero)
        return read_beneath(v, DS_STATE, trajectory, start, length, out);
    float *x;
    FWM_TRY(read_state_beneath(v, trajectory, start, length, &x));
    for (int64_t t = 0; t < length; t++) {
        if (v->spec.begins_at_zero && start + t == 0)
            memset(out, 0, (size_t)width * sizeof *out);
        else
            map_step(v, from, to, v->spec.begins_at_zero ? x : x + t * from->points * from->channels, out + t * width);
    }
    fwm_free(x);
    return FWM_OK;
}

static void draw_step(const view *v, int64_t channels, const float *x, uint8_t *frame)
{
    const ds_drawing *d = &v->spec.drawing;
    double scale = (COLOUR_STEPS - 1) / (d->high - d->low);
    for (int64_t p = 0; p < d->height * d->width; p++) {
        double at = (gather(&d->pixels, p, x, channels, d->channel) - d->low) * scale;
        int64_t step = at > 0 ? at < COLOUR_STEPS - 1 ? (int64_t)(at + 0.5) : COLOUR_STEPS - 1 : 0; /* NaN: 0 */
        if (d->pixels.row_start[p] == d->pixels.row_start[p + 1])
            memset(frame + p * FWM_COLOUR_CHANNELS, 0, FWM_COLOUR_CHANNELS);
        else
            memcpy(frame + p * FWM_COLOUR_CHANNELS, v->palette[step], FWM_COLOUR_CHANNELS);
    }
}

static fwm_status draw(const view *v, int64_t trajectory, int64_t start, int64_t length, ds_as as, void *out)
{
    const ds_field_info *from = &ds_get_info(v->base)->fields[DS_STATE];
    int64_t size = v->spec.drawing.height * v->spec.drawing.width * FWM_COLOUR_CHANNELS;
    float *x;
    FWM_TRY(read_state_beneath(v, trajectory, start, length, &x));
    uint8_t *frame = as == DS_AS_BYTES ? NULL : fwm_malloc((size_t)size, 1);
    fwm_status status = FWM_OK;
    if (as != DS_AS_BYTES && !frame)
        status = fwm_fail(FWM_MEMORY, "%s: /frames: out of memory", ds_path(v->base));
    for (int64_t t = 0; t < length && status == FWM_OK; t++) {
        const float *step = v->spec.begins_at_zero ? x : x + t * from->points * from->channels;
        draw_step(v, from->channels, step, frame ? frame : (uint8_t *)out + t * size);
        if (frame)
            ds_bytes_to_floats((float *)out + t * size, frame, size, DS_BRIGHTEST);
    }
    fwm_free(frame);
    fwm_free(x);
    return status;
}

static fwm_status read_field(ds_dataset *ds, ds_field f, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                             void *out)
{
    const view *v = ds->self;
    const ds_field_info *field = &ds->info.fields[f];
    ds_clip clip = {0};
    if (f == DS_STATE)
        return read_state(v, &ds->info, trajectory, start, length, out);
    if (f == DS_FRAMES && v->spec.drawing.height > 0)
        return draw(v, trajectory, start, length, as, out);
    if (f == DS_ACTIONS && v->spec.zero_actions > 0) {
        memset(out, 0, (size_t)(length * field->channels) * sizeof(float));
        return FWM_OK;
    }
    if (f == DS_S_PHY && v->spec.cheap) {
        clip.state = out;
        return ds_read(v->spec.cheap, trajectory, start, length, &clip);
    }
    if (as == DS_AS_BYTES)
        clip.frame_bytes = out;
    else
        clip.field[f] = out;
    return ds_read(v->base, trajectory, start, length, &clip);
}

static fwm_status read_parameters(ds_dataset *ds, int64_t trajectory, float *out)
{
    const view *v = ds->self;
    return ds_read(v->base, trajectory, 0, 0, &(ds_clip){.parameters = out});
}

static fwm_status read_key_state(ds_dataset *ds, int64_t trajectory, int64_t start, int64_t length, uint8_t *out)
{
    const view *v = ds->self;
    return ds_read(v->base, trajectory, start, length, &(ds_clip){.key_state = out});
}

/* The lock is held: what lies beneath is asked through its layout. */
static fwm_status read_truth(ds_dataset *ds, int64_t i, int64_t *count, const double **values)
{
    const view *v = ds->self;
    return v->base->layout->read_truth(v->base, i, count, values);
}

static void close_view(ds_dataset *ds)
{
    view *v = ds->self;
    if (!v)
        return;
    ds_h5_unlock(); /* ds_close takes it for each of them */
    if (!v->spec.borrowed)
        ds_close(&v->base);
    ds_close(&v->spec.cheap);
    ds_h5_lock();
    fwm_arena_destroy(v->spec.arena);
    fwm_free(v);
    ds->self = NULL;
}

static const ds_layout layout_view = {.name = "view",
                                      .close = close_view,
                                      .read = read_field,
                                      .read_parameters = read_parameters,
                                      .read_key_state = read_key_state,
                                      .read_truth = read_truth};

/* ---- making ------------------------------------------------------------------------------------------------------ */

static fwm_status check_indices(const view *v, const char *what, int64_t count, const int32_t *index, int64_t least,
                                int64_t limit)
{
    for (int64_t i = 0; index && i < count; i++)
        FWM_CHECK(index[i] >= least && index[i] < limit, FWM_INVALID, "%s: %s %lld: expected one below %lld, found %d",
                  ds_path(v->base), what, (long long)i, (long long)limit, index[i]);
    return FWM_OK;
}

static fwm_status check_rows(const view *v, const char *what, const ds_rows *m)
{
    const int64_t points = ds_get_info(v->base)->fields[DS_STATE].points;
    return m->rows > 0 ? check_indices(v, what, m->row_start[m->rows], m->column, 0, points) : FWM_OK;
}

/* Statistics of chosen channels; of a state that begins at zero, increments are the values themselves. */
static fwm_status map_stats(const view *v, fwm_arena *arena, ds_field_info *state)
{
    const ds_stats *from = &ds_get_info(v->base)->fields[DS_STATE].stats;
    const double *source[4] = {from->mean, from->std, v->spec.begins_at_zero ? from->mean : from->delta_mean,
                               v->spec.begins_at_zero ? from->std : from->delta_std};
    double *x[4];
    for (int i = 0; i < 4; i++) {
        x[i] = fwm_arena_alloc(arena, (size_t)(state->channels + 1) * sizeof **x);
        FWM_CHECK(x[i], FWM_MEMORY, "%s: out of memory", ds_path(v->base));
        for (int64_t c = 0; source[i] && c < state->channels; c++) {
            int64_t k = v->spec.channel ? v->spec.channel[c] : c;
            x[i][c] = k < 0 ? 0 : source[i][k];
        }
    }
    state->stats = from->mean ? (ds_stats){x[0], x[1], x[2], x[3]} : (ds_stats){0};
    return FWM_OK;
}

static fwm_status fill_state(const view *v, ds_dataset *ds)
{
    const ds_view_spec *s = &v->spec;
    ds_field_info *state = &ds->info.fields[DS_STATE];
    const ds_field_info from = *state;
    FWM_TRY(check_rows(v, "element of a node", &s->nodes));
    FWM_TRY(check_indices(v, "channel", s->channels, s->channel, -1, from.channels));
    state->array = NULL;
    if (s->nodes.rows > 0)
        state->points = s->nodes.rows;
    if (s->channel) {
        state->channels = s->channels;
        state->names = s->names;
        state->units = s->units;
    }
    return s->channel || s->begins_at_zero ? map_stats(v, ds->arena, state) : FWM_OK;
}

static fwm_status fill_drawing(view *v, ds_info *info)
{
    const ds_drawing *d = &v->spec.drawing;
    const ds_field_info *from = &ds_get_info(v->base)->fields[DS_STATE];
    if (d->height == 0)
        return FWM_OK;
    FWM_CHECK(d->channel >= 0 && d->channel < from->channels && d->high > d->low, FWM_INVALID,
              "%s: frames: expected a channel of the state and a range of values to draw, found channel %lld, %g to %g",
              ds_path(v->base), (long long)d->channel, d->low, d->high);
    FWM_CHECK(d->pixels.rows == d->height * d->width, FWM_INVALID, "%s: frames: expected a row a pixel, found %lld",
              ds_path(v->base), (long long)d->pixels.rows);
    FWM_TRY(check_rows(v, "element of a pixel", &d->pixels));
    for (int i = 0; i < COLOUR_STEPS; i++) {
        double rgb[FWM_COLOUR_CHANNELS];
        fwm_colour((double)i / (COLOUR_STEPS - 1), rgb);
        for (int c = 0; c < FWM_COLOUR_CHANNELS; c++)
            v->palette[i][c] = (uint8_t)(255 * rgb[c] + 0.5);
    }
    static const char *const names[] = {"red", "green", "blue"}, *const units[] = {"", "", ""};
    info->height = d->height;
    info->width = d->width;
    info->frames_are_bytes = true;
    info->fields[DS_FRAMES] = (ds_field_info){
        .points = d->height * d->width, .channels = FWM_COLOUR_CHANNELS, .names = names, .units = units};
    return FWM_OK;
}

static fwm_status fill_cheap(const view *v, ds_info *info)
{
    const ds_dataset *cheap = v->spec.cheap;
    if (!cheap)
        return FWM_OK;
    const ds_info *from = ds_get_info(cheap);
    FWM_CHECK(from->trajectories == info->trajectories && from->fields[DS_STATE].points > 0, FWM_INVALID,
              "%s: expected the cheap simulation of %lld trajectories, found %lld", ds_path(cheap),
              (long long)info->trajectories, (long long)from->trajectories);
    for (int64_t i = 0; i < info->trajectories; i++)
        FWM_CHECK(from->lengths[i] == info->lengths[i], FWM_INVALID,
                  "%s: trajectory %lld: expected %lld steps, found %lld", ds_path(cheap), (long long)i,
                  (long long)info->lengths[i], (long long)from->lengths[i]);
    info->fields[DS_S_PHY] = from->fields[DS_STATE];
    info->coarse_mesh = from->mesh;
    return FWM_OK;
}

static fwm_status fill_steps(const view *v, ds_dataset *ds)
{
    const ds_info *from = ds_get_info(v->base);
    int64_t *lengths;
    uint8_t *splits;
    if (!v->spec.begins_at_zero)
        return FWM_OK;
    FWM_TRY(ds_make_lists(ds, from->trajectories, &lengths, &splits));
    for (int64_t i = 0; i < from->trajectories; i++) {
        FWM_CHECK(from->lengths[i] == 1, FWM_INVALID, "%s: trajectory %lld: expected one step, found %lld",
                  ds_path(v->base), (long long)i, (long long)from->lengths[i]);
        lengths[i] = 2;
        splits[i] = from->splits[i];
    }
    ds->info.steps = 2;
    return FWM_OK;
}

static fwm_status fill(ds_dataset *ds, view *v)
{
    const ds_view_spec *s = &v->spec;
    ds_info *info = &ds->info;
    *info = *ds_get_info(v->base);
    FWM_TRY(fill_state(v, ds));
    FWM_TRY(fill_drawing(v, info));
    FWM_TRY(fill_steps(v, ds));
    info->mesh = s->mesh ? s->mesh : info->mesh;
    info->coarse_mesh = s->coarse_mesh ? s->coarse_mesh : info->coarse_mesh;
    info->grid = s->grid ? s->grid : info->grid;
    info->equation = s->equation ? s->equation : info->equation;
    info->dt = s->dt > 0 ? s->dt : info->dt;
    FWM_TRY(fill_cheap(v, info));
    if (s->zero_actions > 0) {
        double *zeros = fwm_arena_alloc(ds->arena, (size_t)s->zero_actions * sizeof *zeros);
        FWM_CHECK(zeros, FWM_MEMORY, "%s: out of memory", ds->path);
        info->fields[DS_ACTIONS] = (ds_field_info){.points = 1,
                                                   .channels = s->zero_actions,
                                                   .names = s->action_names,
                                                   .units = s->action_units,
                                                   .stats = {zeros, zeros, zeros, zeros}};
    }
    ds->truths = fwm_arena_alloc(ds->arena, (size_t)(info->truths + 1) * sizeof *ds->truths);
    FWM_CHECK(ds->truths, FWM_MEMORY, "%s: out of memory", ds->path);
    return FWM_OK;
}

fwm_status ds_view_create(ds_dataset **out, ds_dataset *base, const ds_view_spec *spec)
{
    ds_dataset *ds = fwm_calloc(1, sizeof *ds);
    view *v = fwm_calloc(1, sizeof *v);
    *out = NULL;
    if (!ds || !v) {
        ds_dataset *cheap = spec->cheap;
        if (!spec->borrowed)
            ds_close(&base);
        ds_close(&cheap);
        fwm_arena_destroy(spec->arena);
        fwm_free(ds);
        fwm_free(v);
        return fwm_fail(FWM_MEMORY, "view: out of memory");
    }
    v->base = base;
    v->spec = *spec;
    ds->self = v;
    ds->layout = &layout_view;
    ds->path = fwm_strdup(ds_path(base));
    ds->arena = fwm_arena_create();
    fwm_status status = ds->path && ds->arena ? fill(ds, v) : fwm_fail(FWM_MEMORY, "view: out of memory");
    if (status != FWM_OK)
        ds_close(&ds);
    *out = ds;
    return status;
}
