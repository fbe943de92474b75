/* Key-state emphasis: clips whose context lies near a boundary of the outcomes are drawn more often, and weigh less.
 *
 * After an update the batch's clips get the score b of their first context (ot_memory_score). At a look of the memory
 * the loader is given q_i = (1 - gamma)/n + gamma b_i / sum b; clips that were not seen yet count with the mean of
 * those that were. What the loader draws by changes at looks only, so that it is a function of the run's state, and is
 * saved. */
#include "train/trainer_internal.h"

#include "model/base/arena.h"

#include <string.h>

fwm_status tr_run_open_scores(tr_run *run)
{
    if (!run->memory || run->config->transport.weight <= 0 || run->config->transport.emphasis <= 0 ||
        run->config->model.kind != TR_MODEL_WORLD)
        return FWM_OK;
    int64_t n = ds_loader_clips(run->clips), trajectories = run->world->info->trajectories;
    run->score = fwm_malloc((size_t)n, sizeof *run->score);
    run->drawn = fwm_malloc((size_t)n, sizeof *run->drawn);
    run->first_clip = fwm_malloc((size_t)trajectories, sizeof *run->first_clip);
    FWM_CHECK(run->score && run->drawn && run->first_clip, FWM_MEMORY, "out of memory for the scores of %lld clips",
              (long long)n);
    for (int64_t k = 0; k < trajectories; k++)
        run->first_clip[k] = -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t trajectory, start;
        ds_loader_clip(run->clips, i, &trajectory, &start);
        if (start == 0)
            run->first_clip[trajectory] = i;
        run->score[i] = -1;
        run->drawn[i] = 1;
    }
    return FWM_OK;
}

void tr_run_close_scores(tr_run *run)
{
    fwm_free(run->score);
    fwm_free(run->drawn);
    fwm_free(run->first_clip);
}

static fwm_status draw_by_scores(tr_run *run)
{
    int64_t n = ds_loader_clips(run->clips), seen = 0;
    double sum = 0, gamma = run->config->transport.emphasis;
    for (int64_t i = 0; i < n; i++) {
        seen += run->score[i] >= 0;
        sum += run->score[i] >= 0 ? run->score[i] : 0;
    }
    double mean = seen > 0 ? sum / (double)seen : 0, all = mean * (double)n;
    for (int64_t i = 0; i < n; i++) {
        double b = run->score[i] >= 0 ? run->score[i] : mean;
        run->drawn[i] = all > 0 ? (1 - gamma) + gamma * (double)n * b / all : 1.0;
    }
    return ds_loader_set_scores(run->clips, run->drawn);
}

fwm_status tr_run_score(tr_run *run, const ds_batch *batch, bool looked)
{
    if (!run->score)
        return FWM_OK;
    double b[4096]; /* data.batch is at most that */
    int64_t width;
    const float *context = tr_objective_contexts(run->stage[run->current], &width);
    int64_t room = ot_memory_get_options(run->memory)->codes;
    for (int64_t at = 0; at < batch->count; at += room)
        FWM_TRY(ot_memory_score(run->memory, b + at, batch->count - at < room ? batch->count - at : room,
                                context + at * width));
    for (int64_t k = 0; k < batch->count; k++)
        if (run->first_clip[batch->trajectory[k]] >= 0)
            run->score[run->first_clip[batch->trajectory[k]] + batch->start[k]] = b[k];
    return looked ? draw_by_scores(run) : FWM_OK;
}

int tr_run_score_tensors(const tr_run *run, tr_tensor t[TR_SCORE_TENSORS])
{
    if (!run->score)
        return 0;
    int64_t n = ds_loader_clips(run->clips);
    t[0] = (tr_tensor){.name = "transport/clip_scores", .dtype = TR_F64, .rank = 1, .shape = {n}, .data = run->score};
    t[1] = (tr_tensor){.name = "transport/clip_drawn", .dtype = TR_F64, .rank = 1, .shape = {n}, .data = run->drawn};
    return TR_SCORE_TENSORS;
}

fwm_status tr_run_load_scores(tr_run *run, const tr_checkpoint *ck)
{
    tr_tensor t[TR_SCORE_TENSORS];
    int n = tr_run_score_tensors(run, t);
    for (int k = 0; k < n; k++)
        FWM_TRY(tr_checkpoint_copy(ck, t[k].name, TR_F64, 1, t[k].shape, (void *)t[k].data));
    return n > 0 ? ds_loader_set_scores(run->clips, run->drawn) : FWM_OK;
}
