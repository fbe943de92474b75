/* The pass over a dataset that fills its statistics (declared in dataset.h). Trajectories are shared out to threads and
 * merged in their order, so that the numbers do not depend on how many threads there are. */
#include "data/layout.h"
#include "data/stats_file.h"
#include "model/base/arena.h"
#include "model/base/threads.h"

#include <omp.h>
#include <string.h>

/* A thread reads STRETCH_VALUES at a time, or two steps; all of them together hold ROOM_BYTES, or one thread's. GROUP
 * trajectories are merged at a time. */
enum { STRETCH_VALUES = 1 << 20, ROOM_BYTES = 1 << 25, GROUP = 64 };

/* Values that are read in about a tenth of a second: the statistics of fewer are not kept. */
static const double WORTH_KEEPING = 3e7;

typedef struct pass {
    ds_dataset *ds;
    ds_field field;
    int64_t stretch;     /* steps */
    float *room;         /* [threads, stretch, points, channels] */
    ds_moments *moments; /* [GROUP, 2, channels]: values, increments */
} pass;

/* Streams one trajectory in stretches that overlap by a step, so that no increment is missed. */
static fwm_status stream_trajectory(const pass *p, int64_t i, float *x, ds_moments *value, ds_moments *delta)
{
    ds_dataset *ds = p->ds;
    const ds_field_info *field = &ds->info.fields[p->field];
    int64_t points = field->points, channels = field->channels, steps = ds->info.lengths[i];
    memset(value, 0, (size_t)channels * sizeof *value);
    memset(delta, 0, (size_t)channels * sizeof *delta);
    for (int64_t t = 0; t == 0 || t < steps - 1; t += p->stretch - 1) {
        int64_t n = steps - t < p->stretch ? steps - t : p->stretch, seen = t > 0;
        FWM_TRY(ds->layout->read(ds, p->field, i, t, n, DS_AS_FLOATS, x));
        ds_moments_add_values(value, x + seen * points * channels, n - seen, points, channels);
        ds_moments_add_deltas(delta, x, n, points, channels);
    }
    return FWM_OK;
}

/* Of `count` trajectories; the error is that of the first that has one. */
static fwm_status stream_group(const pass *p, int threads, int64_t count, const int64_t *trajectory)
{
    const ds_field_info *field = &p->ds->info.fields[p->field];
    const int64_t channels = field->channels, width = field->points * channels;
    fwm_status status = FWM_OK;
    int64_t failed = count;
    char message[FWM_ERROR_CAPACITY] = "";
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t k = 0; k < count; k++) {
        ds_moments *value = p->moments + k * 2 * channels;
        const fwm_status one = stream_trajectory(p, trajectory[k], p->room + omp_get_thread_num() * p->stretch * width,
                                                 value, value + channels);
        if (one == FWM_OK)
            continue;
#pragma omp critical(ds_stats_failed)
        if (k < failed) {
            failed = k;
            status = one;
            fwm_error_get(message, sizeof message);
        }
    }
    if (status != FWM_OK)
        fwm_error_set(message);
    return status;
}

static fwm_status stream_all(const pass *p, int threads, ds_moments *sum)
{
    const ds_info *info = &p->ds->info;
    const int64_t channels = info->fields[p->field].channels;
    const bool any = ds_split_list(info, DS_TRAIN, NULL) > 0;
    int64_t group[GROUP], count = 0;
    for (int64_t i = 0; i < info->trajectories; i++) {
        if (!any || info->splits[i] == DS_TRAIN)
            group[count++] = i;
        if (count < GROUP && (i + 1 < info->trajectories || count == 0))
            continue;
        FWM_TRY(stream_group(p, threads, count, group));
        for (int64_t k = 0; k < count; k++)
            for (int64_t c = 0; c < 2 * channels; c++)
                ds_moments_merge(&sum[c], &p->moments[k * 2 * channels + c]);
        count = 0;
    }
    return FWM_OK;
}

static fwm_status stream_field(ds_dataset *ds, ds_field f)
{
    const ds_info *info = &ds->info;
    ds_field_info *field = &ds->info.fields[f];
    const int64_t channels = field->channels, width = field->points * channels;
    pass p = {.ds = ds, .field = f, .stretch = STRETCH_VALUES / width};
    if (p.stretch > info->steps)
        p.stretch = info->steps;
    if (p.stretch < 2)
        p.stretch = 2;
    const int64_t most = ROOM_BYTES / (p.stretch * width * (int64_t)sizeof(float)), all = fwm_threads_count();
    const int threads = (int)(most < 1 ? 1 : most < all ? most : all);
    p.room = fwm_malloc((size_t)(threads * p.stretch), (size_t)width * sizeof *p.room);
    p.moments = fwm_malloc((size_t)GROUP * 2 * (size_t)channels, sizeof *p.moments);
    ds_moments *sum = fwm_calloc((size_t)(2 * channels), sizeof *sum);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, p.room && p.moments && sum, FWM_MEMORY, "%s: /%s: out of memory for %lld steps", ds->path,
                   ds_field_name(f), (long long)p.stretch);
    FWM_TRY_GOTO(status, stream_all(&p, threads, sum));
    FWM_TRY_GOTO(status, ds_stats_store(&field->stats, ds->arena, channels, sum, sum + channels));
done:
    fwm_free(p.room);
    fwm_free(p.moments);
    fwm_free(sum);
    return status;
}

static bool lacks(const ds_info *info, const bool wanted[DS_FIELDS], ds_field f)
{
    return wanted[f] && info->fields[f].points > 0 && !info->fields[f].stats.mean;
}

/* Values that a pass over what lacks statistics reads. */
static double values_to_read(const ds_info *info, const bool wanted[DS_FIELDS])
{
    double values = 0;
    for (ds_field f = 0; f < DS_FIELDS; f++)
        for (int64_t i = 0; lacks(info, wanted, f) && i < info->trajectories; i++)
            values += (double)info->lengths[i] * (double)(info->fields[f].points * info->fields[f].channels);
    return values;
}

fwm_status ds_ensure_stats_of(ds_dataset *ds, const bool wanted[DS_FIELDS])
{
    const bool large = values_to_read(&ds->info, wanted) > WORTH_KEEPING;
    if (large)
        ds_stats_file_read(ds);
    bool read = false;
    for (ds_field f = 0; f < DS_FIELDS; f++)
        if (lacks(&ds->info, wanted, f)) {
            FWM_TRY(stream_field(ds, f));
            read = true;
        }
    if (large && read)
        ds_stats_file_write(ds);
    return FWM_OK;
}

fwm_status ds_ensure_stats(ds_dataset *ds)
{
    return ds_ensure_stats_of(ds, (const bool[DS_FIELDS]){true, true, true, true});
}
