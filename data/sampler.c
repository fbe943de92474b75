#include "data/sampler.h"

#include "model/base/arena.h"
#include "model/base/checked.h"
#include "model/base/random.h"

#include <math.h>
#include <string.h>

enum { STREAM_ORDER = 0x6f726472, STREAM_ROWS = 0x726f7773, STREAM_DRAWS = 0x64726177 };

/* ---- the clips -------------------------------------------------------------------------------------------------- */

static fwm_status list_clips(ds_sampler *s, const ds_dataset *ds, const ds_loader_options *o)
{
    const ds_info *info = ds_get_info(ds);
    int64_t n = ds_split_list(info, o->split, NULL), all = 0, kept = 0;
    s->trajectory = fwm_malloc((size_t)n + 1, sizeof *s->trajectory);
    s->first_clip = fwm_malloc((size_t)n + 1, sizeof *s->first_clip);
    FWM_CHECK(s->trajectory && s->first_clip, FWM_MEMORY, "loader: out of memory for %lld trajectories", (long long)n);
    (void)ds_split_list(info, o->split, s->trajectory);
    if (o->limit > 0 && o->limit < n)
        n = o->limit;
    for (int64_t i = 0; i < n; i++) {
        int64_t clips = info->lengths[s->trajectory[i]] - o->clip + 1;
        if (clips < 1)
            continue;
        s->trajectory[kept] = s->trajectory[i];
        s->first_clip[kept++] = all;
        FWM_CHECK(fwm_add_i64(all, clips, &all), FWM_OVERFLOW, "%s: more clips than can be counted", ds_path(ds));
    }
    s->first_clip[kept] = all;
    s->trajectories = kept;
    FWM_CHECK(kept > 0, FWM_DATA,
              "%s: expected trajectories of split %s with at least %lld steps, found %lld trajectories of up to %lld",
              ds_path(ds), ds_split_name(o->split), (long long)o->clip, (long long)n, (long long)info->steps);
    return FWM_OK;
}

/* factor[clip]: `weight` where one of its steps is a key state, else 1. */
static fwm_status weigh_key_states(ds_sampler *s, ds_dataset *ds, int64_t clip, double weight)
{
    const ds_info *info = ds_get_info(ds);
    FWM_CHECK(info->has_key_state, FWM_DATA,
              "%s: data.key_state_weight %g was asked for, but the dataset has no key states (/key_state)", ds_path(ds),
              weight);
    s->factor = fwm_malloc((size_t)ds_sampler_clips(s), sizeof *s->factor);
    uint8_t *key = fwm_malloc((size_t)info->steps, 1);
    fwm_status status =
        s->factor && key ? FWM_OK : fwm_fail(FWM_MEMORY, "loader: out of memory for the weights of clips");
    for (int64_t i = 0; i < s->trajectories && status == FWM_OK; i++) {
        const int64_t steps = info->lengths[s->trajectory[i]], clips = s->first_clip[i + 1] - s->first_clip[i];
        float *factor = s->factor + s->first_clip[i];
        int64_t found = 0; /* key states in the clip that ends at t */
        status = ds_read(ds, s->trajectory[i], 0, steps, &(ds_clip){.key_state = key});
        for (int64_t t = 0; t < steps && status == FWM_OK; t++) {
            const int64_t start = t - clip + 1;
            found += key[t] != 0;
            if (start > 0)
                found -= key[start - 1] != 0;
            if (start >= 0 && start < clips)
                factor[start] = found > 0 ? (float)weight : 1.0F;
        }
    }
    fwm_free(key);
    return status;
}

/* ---- rates ------------------------------------------------------------------------------------------------------ */

static double rate_of(const ds_sampler *s, int64_t i)
{
    return (s->factor ? (double)s->factor[i] : 1.0) * (s->scores ? s->scores[i] : 1.0);
}

/* before[] from factors and scores; NULL where neither is there. */
static fwm_status cumulate(ds_sampler *s)
{
    const int64_t n = ds_sampler_clips(s);
    double sum = 0;
    if (!s->factor && !s->scores) {
        fwm_free(s->before);
        s->before = NULL;
        return FWM_OK;
    }
    if (!s->before)
        s->before = fwm_malloc((size_t)n + 1, sizeof *s->before);
    FWM_CHECK(s->before, FWM_MEMORY, "loader: out of memory for the rates of %lld clips", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        s->before[i] = sum;
        sum += rate_of(s, i);
    }
    s->before[n] = sum;
    return FWM_OK;
}

fwm_status ds_sampler_set_scores(ds_sampler *s, const double *scores)
{
    const int64_t n = ds_sampler_clips(s);
    double sum = 0;
    for (int64_t i = 0; scores && i < n; i++) {
        FWM_CHECK(isfinite(scores[i]) && scores[i] >= 0, FWM_INVALID,
                  "loader: expected a score of 0 or more for clip %lld, found %g", (long long)i, scores[i]);
        sum += scores[i];
    }
    FWM_CHECK(!scores || (sum > 0 && isfinite(sum)), FWM_INVALID,
              "loader: expected scores with a sum above 0, found %g", sum);
    if (scores && !s->scores)
        s->scores = fwm_malloc((size_t)n, sizeof *s->scores);
    FWM_CHECK(!scores || s->scores, FWM_MEMORY, "loader: out of memory for the scores of %lld clips", (long long)n);
    if (scores) {
        memcpy(s->scores, scores, (size_t)n * sizeof *scores);
    } else {
        fwm_free(s->scores);
        s->scores = NULL;
    }
    return cumulate(s);
}

fwm_status ds_sampler_create(ds_sampler *s, ds_dataset *ds, const ds_loader_options *options)
{
    memset(s, 0, sizeof *s);
    s->seed = options->seed;
    s->rows = (int64_t)options->ranks * options->batch;
    FWM_TRY(list_clips(s, ds, options));
    if (options->key_state_weight != 1.0)
        FWM_TRY(weigh_key_states(s, ds, options->clip, options->key_state_weight));
    return cumulate(s);
}

void ds_sampler_destroy(ds_sampler *s)
{
    fwm_free(s->trajectory);
    fwm_free(s->first_clip);
    fwm_free(s->factor);
    fwm_free(s->scores);
    fwm_free(s->before);
    memset(s, 0, sizeof *s);
}

int64_t ds_sampler_clips(const ds_sampler *s)
{
    return s->first_clip[s->trajectories];
}

/* ---- drawing ---------------------------------------------------------------------------------------------------- */

void ds_sampler_clip(const ds_sampler *s, int64_t i, int64_t *trajectory, int64_t *start)
{
    int64_t low = 0, high = s->trajectories; /* the last trajectory whose first clip is not after it */
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (s->first_clip[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    *trajectory = s->trajectory[low];
    *start = i - s->first_clip[low];
}

static int64_t draw_uniform(const ds_sampler *s, int64_t step, int64_t row)
{
    const int64_t clips = ds_sampler_clips(s), position = step * s->rows + row;
    return (int64_t)fwm_random_permute((fwm_key){s->seed, STREAM_ORDER}, (uint64_t)(position / clips), (uint64_t)clips,
                                       (uint64_t)(position % clips));
}

/* The last clip of a rate above 0 whose rates before it are not above x. */
static int64_t draw_weighted(const ds_sampler *s, int64_t step, int64_t row)
{
    const int64_t clips = ds_sampler_clips(s);
    const uint64_t stratum =
        fwm_random_permute((fwm_key){s->seed, STREAM_ROWS}, (uint64_t)step, (uint64_t)s->rows, (uint64_t)row);
    const double u = fwm_random_uniform((fwm_key){s->seed, STREAM_DRAWS}, (uint64_t)step, (uint32_t)row);
    const double x = ((double)stratum + u) / (double)s->rows * s->before[clips];
    int64_t low = 0, high = clips;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (s->before[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    while (low > 0 && s->before[low + 1] <= s->before[low]) /* x rounded up to the very end */
        low--;
    return low;
}

ds_draw ds_sampler_draw(const ds_sampler *s, int64_t step, int64_t row)
{
    const int64_t clip = s->before ? draw_weighted(s, step, row) : draw_uniform(s, step, row);
    ds_draw draw = {.weight = 1.0F};
    ds_sampler_clip(s, clip, &draw.trajectory, &draw.start);
    if (s->before) {
        const int64_t clips = ds_sampler_clips(s);
        draw.weight = (float)(s->before[clips] / ((double)clips * rate_of(s, clip)));
    }
    return draw;
}
