#include "data/video.h"

#include "data/layout.h"

#include <math.h>
#include <string.h>

enum { SIDE_STEP = 8, LEAST_SIDE = 16, LARGEST_SIDE = 32767, PIXELS_A_CELL = 4, CELLS_MAX = 32 };

/* What the nodes along one axis see: node i the pixels from[i] to from[i + 1] of index[], with weights of sum 1. */
typedef struct window {
    int64_t nodes, *from, *pixel;
    double *weight;
} window;

typedef struct video {
    ds_dataset *base;
    int64_t shown[2], full[2]; /* height and width as recorded, and filled up */
    bool pads, makes_state;
    window axis[2]; /* of rows, from the bottom up, and of columns */
} video;

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* Pixel `at` of a row of n that goes on mirrored at its ends, which are not repeated. */
static int64_t mirrored(int64_t at, int64_t n)
{
    const int64_t period = n > 1 ? 2 * (n - 1) : 1, k = at % period;
    return k < n ? k : period - k;
}

/* Frames of `size` bytes a pixel. */
static void fill_up(const video *v, const char *from, char *to, int64_t length, size_t size)
{
    const size_t line = (size_t)v->shown[1] * size;
    for (int64_t t = 0; t < length; t++, from += (size_t)v->shown[0] * line)
        for (int64_t r = 0; r < v->full[0]; r++, to += (size_t)v->full[1] * size) {
            const char *source = from + (size_t)mirrored(r, v->shown[0]) * line;
            memcpy(to, source, line);
            for (int64_t c = v->shown[1]; c < v->full[1]; c++)
                memcpy(to + (size_t)c * size, source + (size_t)mirrored(c, v->shown[1]) * size, size);
        }
}

static fwm_status read_beneath(const video *v, int64_t trajectory, int64_t start, int64_t length, ds_as as, void *out)
{
    ds_clip clip = {0};
    if (as == DS_AS_BYTES)
        clip.frame_bytes = out;
    else
        clip.frames = out;
    return ds_read(v->base, trajectory, start, length, &clip);
}

static fwm_status read_frames(const video *v, int64_t trajectory, int64_t start, int64_t length, ds_as as, void *out)
{
    if (!v->pads)
        return read_beneath(v, trajectory, start, length, as, out);
    const size_t value = as == DS_AS_BYTES ? 1 : sizeof(float),
                 size = (size_t)ds_get_info(v->base)->fields[DS_FRAMES].channels * value;
    char *x = fwm_malloc((size_t)(length * v->shown[0] * v->shown[1]), size);
    FWM_CHECK(x, FWM_MEMORY, "%s: /frames: out of memory for %lld steps", ds_path(v->base), (long long)length);
    const fwm_status status = read_beneath(v, trajectory, start, length, as, x);
    if (status == FWM_OK)
        fill_up(v, x, out, length, size);
    fwm_free(x);
    return status;
}

/* ---- the state --------------------------------------------------------------------------------------------------- */

/* The coarse picture [columns][rows][C] of a frame [H,W,C]; line: room for W C numbers. */
static void see(const video *v, int64_t channels, const float *frame, double *line, float *out)
{
    const window *rows = &v->axis[0], *columns = &v->axis[1];
    const int64_t width = v->full[1] * channels;
    for (int64_t i = 0; i < rows->nodes; i++) {
        memset(line, 0, (size_t)width * sizeof *line);
        for (int64_t e = rows->from[i]; e < rows->from[i + 1]; e++)
            for (int64_t k = 0; k < width; k++)
                line[k] += rows->weight[e] * (double)frame[rows->pixel[e] * width + k];
        for (int64_t j = 0; j < columns->nodes; j++)
            for (int64_t c = 0; c < channels; c++) {
                double sum = 0;
                for (int64_t e = columns->from[j]; e < columns->from[j + 1]; e++)
                    sum += columns->weight[e] * line[columns->pixel[e] * channels + c];
                out[(j * rows->nodes + i) * channels + c] = (float)sum;
            }
    }
}

static fwm_status read_state(const video *v, const ds_info *info, int64_t trajectory, int64_t start, int64_t length,
                             float *out)
{
    const int64_t channels = info->fields[DS_FRAMES].channels, pixels = v->full[0] * v->full[1],
                  nodes = info->fields[DS_STATE].points;
    float *frame = fwm_malloc((size_t)(pixels * channels), sizeof *frame);
    double *line = fwm_malloc((size_t)(v->full[1] * channels), sizeof *line);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, frame && line, FWM_MEMORY, "%s: /state: out of memory", ds_path(v->base));
    for (int64_t t = 0; t < length; t++) {
        FWM_TRY_GOTO(status, read_frames(v, trajectory, start + t, 1, DS_AS_FLOATS, frame));
        see(v, channels, frame, line, out + t * nodes * channels);
    }
done:
    fwm_free(frame);
    fwm_free(line);
    return status;
}

static fwm_status read_field(ds_dataset *ds, ds_field f, int64_t trajectory, int64_t start, int64_t length, ds_as as,
                             void *out)
{
    const video *v = ds->self;
    if (f == DS_FRAMES)
        return read_frames(v, trajectory, start, length, as, out);
    if (f == DS_STATE && v->makes_state)
        return read_state(v, &ds->info, trajectory, start, length, out);
    ds_clip clip = {0};
    clip.field[f] = out;
    return ds_read(v->base, trajectory, start, length, &clip);
}

static fwm_status read_parameters(ds_dataset *ds, int64_t trajectory, float *out)
{
    const video *v = ds->self;
    return ds_read(v->base, trajectory, 0, 0, &(ds_clip){.parameters = out});
}

static fwm_status read_key_state(ds_dataset *ds, int64_t trajectory, int64_t start, int64_t length, uint8_t *out)
{
    const video *v = ds->self;
    return ds_read(v->base, trajectory, start, length, &(ds_clip){.key_state = out});
}

/* The lock is held: what lies beneath is asked through its layout. */
static fwm_status read_truth(ds_dataset *ds, int64_t i, int64_t *count, const double **values)
{
    const video *v = ds->self;
    return v->base->layout->read_truth(v->base, i, count, values);
}

static void close_video(ds_dataset *ds)
{
    video *v = ds->self;
    if (!v)
        return;
    ds_h5_unlock(); /* ds_close takes it */
    ds_close(&v->base);
    ds_h5_lock();
    fwm_free(v);
    ds->self = NULL;
}

static const ds_layout layout_video = {.name = "video",
                                       .close = close_video,
                                       .read = read_field,
                                       .read_parameters = read_parameters,
                                       .read_key_state = read_key_state,
                                       .read_truth = read_truth};

/* ---- making ------------------------------------------------------------------------------------------------------ */

static int64_t full_side(int64_t side)
{
    const int64_t full = (side + SIDE_STEP - 1) / SIDE_STEP * SIDE_STEP;
    return full < LEAST_SIDE ? LEAST_SIDE : full;
}

bool ds_video_lacks(const ds_info *info)
{
    return info->fields[DS_FRAMES].channels > 0 &&
           (info->fields[DS_STATE].channels == 0 || full_side(info->height) != info->height ||
            full_side(info->width) != info->width);
}

/* Nodes span the side; each sees as far as half way to its neighbours, within the picture. `down`: pixels are counted
 * from the other end. */
static fwm_status make_window(window *w, fwm_arena *arena, int64_t side, bool down)
{
    const int64_t cells = side / PIXELS_A_CELL < CELLS_MAX ? side / PIXELS_A_CELL : CELLS_MAX;
    const double spacing = (double)side / (double)cells;
    w->nodes = cells + 1;
    w->from = fwm_arena_alloc(arena, (size_t)(w->nodes + 1) * sizeof *w->from);
    w->pixel = fwm_arena_alloc(arena, (size_t)(side + 2 * w->nodes) * sizeof *w->pixel);
    w->weight = fwm_arena_alloc(arena, (size_t)(side + 2 * w->nodes) * sizeof *w->weight);
    FWM_CHECK(w->from && w->pixel && w->weight, FWM_MEMORY, "video: out of memory");
    int64_t e = 0;
    for (int64_t i = 0; i < w->nodes; i++) {
        const double low = fmax(0, ((double)i - 0.5) * spacing), high = fmin((double)side, ((double)i + 0.5) * spacing);
        w->from[i] = e;
        for (int64_t p = (int64_t)low; p < side && (double)p < high; p++) {
            const double covered = fmin(high, (double)(p + 1)) - fmax(low, (double)p);
            w->pixel[e] = down ? side - 1 - p : p;
            w->weight[e++] = covered / (high - low);
        }
    }
    w->from[w->nodes] = e;
    return FWM_OK;
}

static fwm_status make_state(video *v, ds_dataset *ds)
{
    static const char *const axis_names[2] = {"y", "x"};
    const ds_field_info *frames = &ds->info.fields[DS_FRAMES];
    const int64_t channels = frames->channels;
    ds_grid *grid = fwm_arena_alloc(ds->arena, sizeof *grid);
    const char **names = fwm_arena_alloc(ds->arena, (size_t)channels * sizeof *names),
               **units = fwm_arena_alloc(ds->arena, (size_t)channels * sizeof *units);
    FWM_CHECK(grid && names && units, FWM_MEMORY, "%s: out of memory", ds->path);
    grid->dims = 2;
    for (int k = 0; k < 2; k++) {
        const int d = 1 - k; /* of the grid: x comes first */
        FWM_TRY(make_window(&v->axis[k], ds->arena, v->full[k], k == 0));
        double *x = fwm_arena_alloc(ds->arena, (size_t)v->axis[k].nodes * sizeof *x);
        FWM_CHECK(x, FWM_MEMORY, "%s: out of memory", ds->path);
        for (int64_t i = 0; i < v->axis[k].nodes; i++)
            x[i] = (double)(i * v->full[k]) / (double)(v->axis[k].nodes - 1);
        grid->n[d] = v->axis[k].nodes;
        grid->names[d] = axis_names[k];
        grid->coordinates[d] = x;
        grid->edge[d][0] = grid->edge[d][1] = DS_EDGE_OPEN;
    }
    for (int64_t c = 0; c < channels; c++) {
        names[c] = ds_format(ds->arena, "picture_%s", frames->names[c]);
        units[c] = "";
        FWM_CHECK(names[c], FWM_MEMORY, "%s: out of memory", ds->path);
    }
    ds->info.grid = grid;
    ds->info.fields[DS_STATE] = (ds_field_info){
        .points = grid->n[0] * grid->n[1], .channels = channels, .names = names, .units = units, .time_axis = -1};
    return ds_grid_mesh(grid, ds->arena, &ds->info.mesh);
}

static fwm_status fill(video *v, ds_dataset *ds)
{
    ds_info *info = &ds->info;
    *info = *ds_get_info(v->base);
    ds_field_info *frames = &info->fields[DS_FRAMES];
    const int64_t sides[2] = {info->height, info->width};
    for (int k = 0; k < 2; k++) {
        FWM_CHECK(sides[k] >= 1 && sides[k] <= LARGEST_SIDE, FWM_UNSUPPORTED,
                  "%s: /frames: expected sides of 1 to %d pixels, found %lld", ds->path, LARGEST_SIDE,
                  (long long)sides[k]);
        v->shown[k] = sides[k];
        v->full[k] = full_side(sides[k]);
    }
    v->pads = v->full[0] != v->shown[0] || v->full[1] != v->shown[1];
    v->makes_state = info->fields[DS_STATE].channels == 0;
    info->height = v->full[0];
    info->width = v->full[1];
    info->shown_height = v->shown[0];
    info->shown_width = v->shown[1];
    frames->points = info->height * info->width;
    if (v->pads) {
        frames->array = NULL;
        frames->stats = (ds_stats){0};
    }
    ds->truths = fwm_arena_alloc(ds->arena, (size_t)(info->truths + 1) * sizeof *ds->truths);
    FWM_CHECK(ds->truths, FWM_MEMORY, "%s: out of memory", ds->path);
    return v->makes_state ? make_state(v, ds) : FWM_OK;
}

fwm_status ds_video_create(ds_dataset **out, ds_dataset *base)
{
    ds_dataset *ds = fwm_calloc(1, sizeof *ds);
    video *v = fwm_calloc(1, sizeof *v);
    *out = NULL;
    if (!ds || !v) {
        ds_close(&base);
        fwm_free(ds);
        fwm_free(v);
        return fwm_fail(FWM_MEMORY, "video: out of memory");
    }
    v->base = base;
    ds->self = v;
    ds->layout = &layout_video;
    ds->path = fwm_strdup(ds_path(base));
    ds->arena = fwm_arena_create();
    const fwm_status status = ds->path && ds->arena ? fill(v, ds) : fwm_fail(FWM_MEMORY, "video: out of memory");
    if (status != FWM_OK)
        ds_close(&ds);
    *out = ds;
    return status;
}
