#include "data/inspect.h"

#include "data/advice.h"
#include "model/base/arena.h"

#include <math.h>

enum { STRETCH_VALUES = 1 << 20 };

typedef struct channel_range {
    double low, high; /* low > high: nothing finite seen */
} channel_range;

static void scan(channel_range *range, int64_t *bad, const float *x, int64_t rows, int64_t channels)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < channels; c++) {
            double v = (double)x[i * channels + c];
            if (!isfinite(v)) {
                (*bad)++;
                continue;
            }
            if (v < range[c].low)
                range[c].low = v;
            if (v > range[c].high)
                range[c].high = v;
        }
}

static fwm_status scan_field(ds_dataset *ds, ds_field f, channel_range *range, int64_t *bad)
{
    const ds_info *info = ds_get_info(ds);
    int64_t points = info->fields[f].points, channels = info->fields[f].channels;
    int64_t stretch = STRETCH_VALUES / (points * channels);
    if (stretch < 1)
        stretch = 1;
    if (stretch > info->steps)
        stretch = info->steps;
    float *x = fwm_malloc((size_t)stretch, (size_t)(points * channels) * sizeof *x);
    FWM_CHECK(x, FWM_MEMORY, "%s: /%s: out of memory", ds_path(ds), ds_field_name(f));
    ds_clip clip = {0};
    clip.field[f] = x;
    fwm_status status = FWM_OK;
    for (int64_t i = 0; i < info->trajectories && status == FWM_OK; i++)
        for (int64_t t = 0; t < info->lengths[i] && status == FWM_OK; t += stretch) {
            int64_t n = info->lengths[i] - t < stretch ? info->lengths[i] - t : stretch;
            status = ds_read(ds, i, t, n, &clip);
            if (status == FWM_OK)
                scan(range, bad, x, n * points, channels);
        }
    fwm_free(x);
    return status;
}

static fwm_status scan_parameters(ds_dataset *ds, channel_range *range, int64_t *bad)
{
    const ds_info *info = ds_get_info(ds);
    ds_clip clip = {.parameters = fwm_malloc((size_t)info->parameters, sizeof(float))};
    FWM_CHECK(clip.parameters, FWM_MEMORY, "%s: /parameters: out of memory", ds_path(ds));
    fwm_status status = FWM_OK;
    for (int64_t i = 0; i < info->trajectories && status == FWM_OK; i++) {
        status = ds_read(ds, i, 0, 0, &clip);
        if (status == FWM_OK)
            scan(range, bad, clip.parameters, 1, info->parameters);
    }
    fwm_free(clip.parameters);
    return status;
}

/* JSON has no NaN: such numbers become null. */
static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* A text that is not UTF-8 becomes null, so that the rest can still be shown. */
static json_t *text(const char *s)
{
    json_t *value = json_string(s);
    return value ? value : json_null();
}

static json_t *describe_channels(int64_t count, const char *const *names, const char *const *units,
                                 const channel_range *range, const ds_stats *stats)
{
    json_t *list = json_array();
    for (int64_t c = 0; c < count; c++) {
        bool seen = range[c].low <= range[c].high;
        json_t *one =
            json_pack("{s:o, s:o, s:o, s:o}", "name", text(names[c]), "unit", text(units[c]), "min",
                      seen ? number(range[c].low) : json_null(), "max", seen ? number(range[c].high) : json_null());
        if (one && stats && stats->mean) {
            json_object_set_new(one, "mean", number(stats->mean[c]));
            json_object_set_new(one, "std", number(stats->std[c]));
            json_object_set_new(one, "delta_std", number(stats->delta_std[c]));
        }
        json_array_append_new(list, one);
    }
    return list;
}

static channel_range *new_ranges(int64_t count)
{
    channel_range *range = fwm_malloc((size_t)count + 1, sizeof *range);
    for (int64_t c = 0; range && c < count; c++)
        range[c] = (channel_range){INFINITY, -INFINITY};
    return range;
}

/* Adds every field's ranges to `ranges`, and counts what is not finite. */
static fwm_status inspect_values(ds_dataset *ds, json_t *ranges, int64_t *bad)
{
    const ds_info *info = ds_get_info(ds);
    for (ds_field f = 0; f <= DS_FIELDS; f++) {
        bool parameters = f == DS_FIELDS;
        int64_t channels = parameters ? info->parameters : info->fields[f].channels;
        if (channels == 0)
            continue;
        channel_range *range = new_ranges(channels);
        FWM_CHECK(range, FWM_MEMORY, "%s: out of memory", ds_path(ds));
        fwm_status status = parameters ? scan_parameters(ds, range, bad) : scan_field(ds, f, range, bad);
        json_t *list = NULL;
        if (status == FWM_OK && parameters)
            list = describe_channels(channels, info->parameter_names, info->parameter_units, range, NULL);
        else if (status == FWM_OK)
            list = describe_channels(channels, info->fields[f].names, info->fields[f].units, range,
                                     &info->fields[f].stats);
        fwm_free(range);
        FWM_TRY(status);
        json_object_set_new(ranges, parameters ? "parameters" : ds_field_name(f), list);
    }
    return FWM_OK;
}

static json_t *describe_mesh(const ds_mesh *m)
{
    if (!m)
        return json_null();
    json_t *boundary = json_object();
    for (int64_t i = 0; i < m->nboundary; i++)
        (void)json_object_set_new(boundary, m->boundary[i].name, json_integer(m->boundary[i].count));
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "cell", m->cell, "space", m->space, "dim",
                     (json_int_t)m->dim, "vertices", (json_int_t)m->nv, "cells", (json_int_t)m->ncell, "nodes",
                     (json_int_t)m->n, "boundary", boundary);
}

static json_t *describe_names(int64_t count, const char *const *names)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, text(names[i]));
    return list;
}

static json_t *describe_splits(const ds_info *info)
{
    json_t *splits = json_object();
    for (ds_split s = 0; s < DS_SPLITS; s++)
        json_object_set_new(splits, ds_split_name(s), json_integer(ds_split_list(info, s, NULL)));
    return splits;
}

/* Extents and edges of each axis, and the conditions that the dataset states. */
static json_t *describe_grid(const ds_grid *grid)
{
    if (!grid)
        return json_null();
    json_t *axes = json_array(), *conditions = json_array();
    for (int d = 0; d < grid->dims; d++)
        json_array_append_new(axes, json_pack("{s:o, s:I, s:[s,s]}", "name", text(grid->names[d]), "points",
                                              (json_int_t)grid->n[d], "edges", ds_edge_name(grid->edge[d][0]),
                                              ds_edge_name(grid->edge[d][1])));
    for (int64_t i = 0; i < grid->conditions; i++) {
        const ds_condition *c = &grid->condition[i];
        json_int_t covered = 0;
        for (int64_t k = 0; c->mask && k < c->points; k++)
            covered += c->mask[k] != 0;
        json_array_append_new(conditions, json_pack("{s:o, s:s, s:I}", "name", text(c->name), "kind",
                                                    ds_edge_name(c->kind), "points", covered));
    }
    return json_pack("{s:o, s:o}", "axes", axes, "conditions", conditions);
}

/* How each field is stored, and what would make it faster to read. */
static json_t *describe_storage(const ds_info *info)
{
    json_t *storage = json_object();
    for (ds_field f = 0; f < DS_FIELDS; f++)
        if (info->fields[f].points > 0)
            (void)json_object_set_new(storage, ds_field_name(f), ds_storage_advice(&info->fields[f]));
    return storage;
}

static json_t *describe(const ds_info *info, json_t *ranges, int64_t bad)
{
    json_t *frames = info->fields[DS_FRAMES].points == 0
                         ? json_null()
                         : json_pack("[I, I, I]", (json_int_t)info->height, (json_int_t)info->width,
                                     (json_int_t)info->fields[DS_FRAMES].channels);
    json_t *out = json_pack(
        "{s:o, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:I, s:o, s:I, s:I, s:o, s:O, s:o, s:o, s:o, s:o, s:b, "
        "s:n}",
        "storage", describe_storage(info), "kind", "dataset", "layout", info->layout, "name", text(info->name),
        "equation", text(info->equation), "generator", text(info->generator), "trajectories",
        (json_int_t)info->trajectories, "steps", (json_int_t)info->steps, "frames", frames, "fields",
        describe_names(info->fields[DS_STATE].channels, info->fields[DS_STATE].names), "actions",
        (json_int_t)info->fields[DS_ACTIONS].channels, "dt", number(info->dt), "seed", (json_int_t)info->seed, "nan",
        (json_int_t)bad, "splits", describe_splits(info), "ranges", ranges, "mesh", describe_mesh(info->mesh),
        "coarse_mesh", describe_mesh(info->coarse_mesh), "grid", describe_grid(info->grid), "truth",
        describe_names(info->truths, info->truth_names), "key_state", (int)info->has_key_state, "residual");
    return out;
}

fwm_status ds_inspect(ds_dataset *ds, json_t **out)
{
    int64_t bad = 0;
    *out = NULL;
    FWM_TRY(ds_ensure_stats(ds));
    json_t *ranges = json_object();
    FWM_CHECK(ranges, FWM_MEMORY, "%s: out of memory", ds_path(ds));
    fwm_status status = inspect_values(ds, ranges, &bad);
    if (status == FWM_OK) {
        *out = describe(ds_get_info(ds), ranges, bad);
        if (!*out)
            status = fwm_fail(FWM_MEMORY, "%s: out of memory for its description", ds_path(ds));
    }
    json_decref(ranges);
    return status;
}
