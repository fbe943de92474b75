/* The loop: identification, then training, with validation, checkpoints, logs and signals. */
#include "train/trainer_internal.h"

#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_BAD_STEPS = 10, SCALE_BATCHES = 16 };

/* ---- signals ---- */

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

typedef struct signal_guard {
    struct sigaction old[3];
} signal_guard;
static const int watched[3] = {SIGINT, SIGTERM, SIGUSR1};

static void signals_watch(signal_guard *guard)
{
    struct sigaction act = {.sa_handler = on_signal};
    (void)sigemptyset(&act.sa_mask);
    stop_signal = 0;
    for (int k = 0; k < 3; k++)
        (void)sigaction(watched[k], &act, &guard->old[k]);
}

static void signals_restore(const signal_guard *guard)
{
    for (int k = 0; k < 3; k++)
        (void)sigaction(watched[k], &guard->old[k], NULL);
}

/* ---- folder ---- */

static fwm_status make_folder(const char *path)
{
    char part[TR_PATH];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        char kept = *c;
        *c = '\0';
        FWM_CHECK(mkdir(part, 0777) == 0 || errno == EEXIST, FWM_IO, "%s: cannot make the folder: %s", part,
                  strerror(errno));
        *c = kept;
        if (kept == '\0')
            return FWM_OK;
    }
}

static fwm_status write_config(const tr_run *run)
{
    char path[TR_PATH + 64], *text = NULL;
    (void)snprintf(path, sizeof path, "%s/config.yaml", run->folder);
    FWM_TRY(tr_config_dump(run->config, &text));
    FILE *f = fopen(path, "w");
    bool done = f && fputs(text, f) >= 0;
    if (f)
        done = fclose(f) == 0 && done;
    fwm_free(text);
    FWM_CHECK(done, FWM_IO, "%s: cannot write: %s", path, strerror(errno));
    return FWM_OK;
}

/* ---- identification ---- */

static fwm_status identify_step(tr_run *run, fwm_progress *bar)
{
    ds_batch batch;
    double loss, variation;
    FWM_TRY(ds_loader_next(run->pairs, &batch));
    FWM_TRY(tr_identify_step(run->identify, &batch, run->p, run->m, run->v, run->identified + 1, &loss, &variation));
    run->identified++;
    char text[128];
    (void)snprintf(text, sizeof text, "step loss %.3e  variation %.2e", loss, variation);
    fwm_progress_update(bar, run->identified, text);
    if (run->events && (run->identified % run->config->trainer.log_every == 0)) {
        tr_scalar row[] = {
            {"phase", 0}, {"identified", (double)run->identified}, {"loss", loss}, {"variation", variation}};
        FWM_TRY(tr_events_write(run->events, 0, row, 4));
    }
    return FWM_OK;
}

/* The deviation of what the prior gets wrong: the unit of the correction and of the state's loss. */
static fwm_status measure_scale(tr_run *run)
{
    double *scale = run->world->correction_scale, sum[WM_MAX_CHANNELS] = {0}, count = 0;
    const ds_stats *stats = &run->world->info->fields[DS_STATE].stats;
    int64_t c = run->world->model.state.count;
    for (int64_t k = 0; k < c; k++)
        scale[k] = fmax(stats->delta_std[k], 1e-6);
    if (!run->identify || !run->world->model.predictor.prior_fem)
        return FWM_OK;
    FWM_TRY(ds_loader_seek(run->pairs, run->config->physics.identification.steps));
    for (int n = 0; n < SCALE_BATCHES; n++) {
        ds_batch batch;
        FWM_TRY(ds_loader_next(run->pairs, &batch));
        FWM_TRY(tr_identify_error(run->identify, &batch, sum, &count));
    }
    for (int64_t k = 0; k < c; k++)
        scale[k] = fmax(sqrt(sum[k] / count), 1e-3 * scale[k]);
    return FWM_OK;
}

static fwm_status identify(tr_run *run)
{
    const tr_config *c = run->config;
    int64_t total = run->law_size > 0 ? c->physics.identification.steps : 0;
    if (run->options->dry_run)
        total = total < 2 ? total : 2;
    if (run->identify)
        FWM_TRY(tr_identify_prepare(run->identify, run->p));
    if (run->identified < total) {
        fwm_progress bar;
        fwm_progress_start(&bar, "identify", run->identified, total);
        FWM_TRY(ds_loader_seek(run->pairs, run->identified));
        while (run->identified < total && !stop_signal)
            FWM_TRY(identify_step(run, &bar));
        fwm_progress_finish(&bar, run->identified, "");
        if (stop_signal)
            return FWM_OK;
        /* The optimiser of the next phase begins with its own moments. */
        memset(run->m, 0, (size_t)run->size * sizeof *run->m);
        memset(run->v, 0, (size_t)run->size * sizeof *run->v);
    }
    if (run->step == 0) {
        FWM_TRY(measure_scale(run));
        memcpy(run->ema, run->p, (size_t)run->size * sizeof *run->p);
    }
    return FWM_OK;
}

/* ---- training ---- */

static double ramp(double step, double total, double start, double end)
{
    double at = step / total;
    return at < start ? 0.0 : at >= end || end <= start ? 1.0 : (at - start) / (end - start);
}

static void weights_at(const tr_run *run, double weights[TR_TERM_COUNT])
{
    const tr_config *c = run->config;
    weights[TR_TERM_STATE] = c->objective.state;
    weights[TR_TERM_FRAME] = c->objective.frame;
    weights[TR_TERM_KL] = c->objective.kl;
    weights[TR_TERM_PHYSICS] = c->objective.physics;
    weights[TR_TERM_TRANSPORT] = c->transport.weight * ramp((double)run->step, (double)c->trainer.steps,
                                                            c->transport.ramp_start, c->transport.ramp_end);
    weights[TR_TERM_START] = c->objective.start;
}

static fwm_status update(tr_run *run, double *lr, tr_adamw_report *report)
{
    const tr_config *c = run->config;
    const tr_schedule schedule = {.kind = c->schedule.name == TR_COSINE ? TR_SCHEDULE_COSINE : TR_SCHEDULE_CONSTANT,
                                  .lr = c->optimizer.lr,
                                  .warmup = c->schedule.warmup,
                                  .steps = c->trainer.steps,
                                  .final = c->schedule.name == TR_COSINE ? c->schedule.final : 1.0};
    const tr_adamw_options options = {.beta1 = c->optimizer.betas[0],
                                      .beta2 = c->optimizer.betas[1],
                                      .eps = c->optimizer.eps,
                                      .weight_decay = c->optimizer.weight_decay,
                                      .clip = c->optimizer.clip,
                                      .ema = c->optimizer.ema,
                                      .groups = run->groups,
                                      .n_groups = run->n_groups};
    *lr = tr_schedule_rate(&schedule, run->step + 1);
    return tr_adamw_step(report, run->p, run->m, run->v, run->ema, run->g, &options, *lr, run->step + 1, AD_F32,
                         run->size);
}

static fwm_status validate(tr_run *run, double *vrmse, double *one)
{
    const tr_config *c = run->config;
    int64_t longest = run->world->info->steps - c->data.context;
    tr_evaluate_options o = {.split = DS_VALIDATION,
                             .start = c->data.context - 1,
                             .horizon = c->eval.horizon < longest ? c->eval.horizon : longest,
                             .samples = 1,
                             .seed = (uint64_t)c->seed};
    if (!run->validation_ready)
        FWM_TRY(tr_rollout_prepare(run->validation, run->ema));
    run->validation_ready = true;
    tr_evaluation *e = NULL;
    FWM_TRY(tr_evaluate(&e, run->world, run->validation, run->ema, &o));
    *vrmse = tr_metrics_average(e->table[TR_METHOD_MODEL], TR_VRMSE, (int)o.horizon, TR_ALL_FIELDS, TR_MEAN);
    *one = tr_metrics_average(e->table[TR_METHOD_MODEL], TR_VRMSE, 1, TR_ALL_FIELDS, TR_MEAN);
    tr_evaluation_destroy(&e);
    return FWM_OK;
}

static fwm_status checkpoint_best(tr_run *run)
{
    double vrmse, one;
    FWM_TRY(validate(run, &vrmse, &one));
    fwm_log(FWM_LOG_INFO, "step %lld: validation VRMSE %.4f at %lld steps, %.4f at one", (long long)run->step, vrmse,
            (long long)run->config->eval.horizon, one);
    tr_scalar row[] = {{"phase", 1}, {"val_vrmse", vrmse}, {"val_vrmse_1", one}};
    FWM_TRY(tr_events_write(run->events, run->step, row, 3));
    if (!(vrmse < run->best))
        return FWM_OK;
    run->best = vrmse;
    return tr_run_save(run, "best.ckpt", false);
}

typedef struct clock_state {
    double started, logged;
    int64_t first, logged_step;
} clock_state;

static fwm_status log_step(tr_run *run, clock_state *clock, double loss, const double terms[TR_TERM_COUNT], double kl,
                           double lr, double norm)
{
    double now = fwm_seconds(),
           rate = (double)((run->step - clock->logged_step) * run->config->data.batch) / (now - clock->logged);
    int64_t clips = ds_loader_clips(run->clips);
    tr_scalar row[] = {{"phase", 1},
                       {"epoch", (double)(run->step * run->config->data.batch) / (double)clips},
                       {"seconds", run->elapsed + now - clock->started},
                       {"loss", loss},
                       {"loss_state", terms[TR_TERM_STATE]},
                       {"loss_frame", terms[TR_TERM_FRAME]},
                       {"loss_kl", terms[TR_TERM_KL]},
                       {"kl", kl},
                       {"loss_phys", terms[TR_TERM_PHYSICS]},
                       {"loss_ot", terms[TR_TERM_TRANSPORT]},
                       {"loss_start", terms[TR_TERM_START]},
                       {"lr", lr},
                       {"grad_norm", norm},
                       {"samples_per_s", rate},
                       {"waited", ds_loader_waited(run->clips)},
                       {"memory", (double)tr_resident_bytes(false)},
                       {"unroll", (double)run->config->objective.unroll.items[run->current]}};
    clock->logged = now;
    clock->logged_step = run->step;
    return tr_events_write(run->events, run->step, row, (int)(sizeof row / sizeof *row));
}

/* How much each term pulls: the norm of its own gradient, weight included, by running the plan once for each. */
static fwm_status log_term_norms(tr_run *run, const double weights[TR_TERM_COUNT])
{
    tr_scalar row[TR_TERM_COUNT + 1] = {{"phase", 1}};
    char name[TR_TERM_COUNT][32];
    for (int k = 0; k < TR_TERM_COUNT; k++) {
        double one[TR_TERM_COUNT] = {0}, loss, terms[TR_TERM_COUNT];
        one[k] = weights[k];
        (void)snprintf(name[k], sizeof name[k], "grad_norm_%s", tr_term_name((tr_term)k));
        row[k + 1].name = name[k];
        if (weights[k] > 0) {
            FWM_TRY(tr_objective_run(run->stage[run->current], one, (uint64_t)run->config->seed, (uint64_t)run->step,
                                     &loss, terms, NULL));
            row[k + 1].value = tr_gradient_norm(AD_F32, run->g, run->size);
        }
    }
    return tr_events_write(run->events, run->step, row, TR_TERM_COUNT + 1);
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static fwm_status train_step(tr_run *run, double *loss, double terms[TR_TERM_COUNT], double *kl, double *lr,
                             double *norm, int *bad)
{
    ds_batch batch;
    double weights[TR_TERM_COUNT];
    tr_adamw_report report = {0};
    FWM_TRY(ds_loader_next(run->clips, &batch));
    tr_objective *objective = run->stage[run->current];
    FWM_TRY(tr_objective_load(objective, &batch));
    weights_at(run, weights);
    if (run->events && due(run->step, run->config->trainer.term_norms_every))
        FWM_TRY(log_term_norms(run, weights));
    FWM_TRY(tr_objective_run(objective, weights, (uint64_t)run->config->seed, (uint64_t)run->step, loss, terms, kl));
    fwm_status status = update(run, lr, &report);
    *norm = report.norm;
    run->step++;
    if (status != FWM_NUMERIC) {
        *bad = 0;
        return status;
    }
    fwm_log(FWM_LOG_WARN, "step %lld: the gradient is not finite (loss %g); the batch is left out",
            (long long)run->step, *loss);
    FWM_CHECK(++*bad < MAX_BAD_STEPS, FWM_NUMERIC,
              "training diverged: the gradient was not finite %d times in a row up to step %lld; the last checkpoint "
              "is whole. "
              "Lower optimizer.lr, or optimizer.clip",
              MAX_BAD_STEPS, (long long)run->step);
    return FWM_OK;
}

static fwm_status after_step(tr_run *run, clock_state *clock, double loss, const double terms[TR_TERM_COUNT], double kl,
                             double lr, double norm)
{
    const tr_config *c = run->config;
    bool last = run->step == c->trainer.steps;
    if (run->step % c->trainer.log_every == 0 || last)
        FWM_TRY(log_step(run, clock, loss, terms, kl, lr, norm));
    if (run->validation && (due(run->step, c->trainer.eval_every) || last))
        FWM_TRY(checkpoint_best(run));
    if (due(run->step, c->trainer.save_every) || last || stop_signal) {
        double kept = run->elapsed;
        run->elapsed += fwm_seconds() - clock->started;
        fwm_status status = tr_run_save(run, "last.ckpt", true);
        run->elapsed = kept;
        FWM_TRY(status);
    }
    return FWM_OK;
}

static fwm_status train(tr_run *run, tr_train_result *result)
{
    const tr_config *c = run->config;
    int64_t end = run->options->dry_run ? 2 : c->trainer.steps;
    fwm_progress bar;
    double loss = NAN, kl = 0, lr = 0, norm = 0, terms[TR_TERM_COUNT] = {0};
    int bad = 0;
    FWM_TRY(ds_loader_seek(run->clips, run->step));
    fwm_progress_start(&bar, "train", run->step, end);
    clock_state clock = {
        .started = fwm_seconds(), .logged = fwm_seconds(), .first = run->step, .logged_step = run->step};
    while (run->step < end && !stop_signal) {
        FWM_TRY(tr_run_enter_stage(run, tr_run_stage_at(run, run->step)));
        FWM_TRY(train_step(run, &loss, terms, &kl, &lr, &norm, &bad));
        char text[160];
        (void)snprintf(text, sizeof text, "loss %.4f  state %.4f  frame %.2e  kl %.2f  phys %.2e  ot %.2e", loss,
                       terms[TR_TERM_STATE], terms[TR_TERM_FRAME], kl, terms[TR_TERM_PHYSICS],
                       terms[TR_TERM_TRANSPORT]);
        fwm_progress_update(&bar, run->step, text);
        if (run->options->stop_after > 0 && run->step - clock.first >= run->options->stop_after)
            stop_signal = SIGTERM;
        if (!run->options->dry_run)
            FWM_TRY(after_step(run, &clock, loss, terms, kl, lr, norm));
        if (run->step == end)
            fwm_progress_finish(&bar, run->step, text);
    }
    if (run->step < end)
        fwm_progress_finish(&bar, run->step, "");
    if (end == 0) { /* the law alone: what was identified is the model */
        if (run->validation)
            FWM_TRY(checkpoint_best(run));
        FWM_TRY(tr_run_save(run, "last.ckpt", true));
    }
    result->loss = loss;
    if (run->options->profile && run->current >= 0)
        ad_plan_print(tr_objective_plan(run->stage[run->current]), run->out);
    return FWM_OK;
}

/* ---- the whole ---- */

static fwm_status begin(tr_run *run)
{
    const char *folder = run->options->folder;
    if (folder)
        (void)snprintf(run->folder, sizeof run->folder, "%s", folder);
    else
        (void)snprintf(run->folder, sizeof run->folder, "checkpoints/%s", run->config->experiment);
    FWM_TRY(tr_world_open(&run->world, run->config, NULL, NULL));
    FWM_TRY(tr_run_build(run));
    if (!run->options->dry_run) {
        FWM_TRY(make_folder(run->folder));
        FWM_TRY(tr_lock_acquire(&run->lock, run->folder));
    }
    if (run->options->dry_run || run->options->print_plan)
        tr_run_print(run, run->options->print_plan);
    return tr_run_allocate(run);
}

static void make_groups(tr_run *run)
{
    const nn_store *store = run->world->store;
    run->n_groups = 0;
    for (int k = 0; k < nn_store_count(store); k++) {
        const nn_slot *s = nn_store_slot(store, k);
        bool law = s->offset < run->law_size, frozen = law && run->config->physics.identification.freeze;
        if (!frozen && !s->init.no_decay)
            continue;
        run->groups[run->n_groups++] =
            (tr_group){.begin = s->offset, .end = s->offset + s->count, .lr_scale = frozen ? 0 : 1, .decay_scale = 0};
    }
}

static fwm_status execute(tr_run *run, tr_train_result *result)
{
    bool found = false;
    FWM_TRY(begin(run));
    run->groups = fwm_calloc((size_t)nn_store_count(run->world->store) + 1, sizeof *run->groups);
    FWM_CHECK(run->groups, FWM_MEMORY, "out of memory");
    make_groups(run);
    if (!run->options->dry_run)
        FWM_TRY(tr_run_resume(run, &found));
    FWM_CHECK(found || !run->options->must_resume, FWM_IO,
              "%s: no checkpoint to go on from; leave out --resume to begin", run->folder);
    if (!found)
        nn_store_initialise(run->world->store, (uint64_t)run->config->seed, AD_F32, run->p);
    if (found && run->step >= run->config->trainer.steps) {
        fwm_log(FWM_LOG_INFO, "%s: all %lld steps are done", run->folder, (long long)run->step);
        return FWM_OK;
    }
    if (found)
        fwm_log(FWM_LOG_INFO, "%s: going on from step %lld", run->folder, (long long)run->step);
    if (!run->options->dry_run) {
        FWM_TRY(write_config(run));
        char path[TR_PATH + 64];
        (void)snprintf(path, sizeof path, "%s/metrics.jsonl", run->folder);
        FWM_TRY(tr_events_open(&run->events, path, found ? run->step : -1));
    }
    FWM_TRY(identify(run));
    if (stop_signal) {
        fwm_log(FWM_LOG_INFO, "stopped during identification; the same command begins it again");
        return FWM_OK;
    }
    return train(run, result);
}

fwm_status tr_train(tr_train_result *result, const tr_config *config, const tr_train_options *options, FILE *out)
{
    *result = (tr_train_result){.loss = NAN, .best = NAN};
    double start = fwm_seconds();
    tr_run *run = fwm_calloc(1, sizeof *run);
    FWM_CHECK(run, FWM_MEMORY, "out of memory");
    run->config = config;
    run->options = options;
    run->out = out;
    signal_guard guard;
    signals_watch(&guard);
    fwm_status status = execute(run, result);
    result->interrupted = status == FWM_OK && stop_signal != 0;
    signals_restore(&guard);
    result->steps = run->step;
    result->best = isfinite(run->best) ? run->best : (double)NAN;
    result->seconds = run->elapsed + fwm_seconds() - start;
    result->peak_predicted = run->predicted_peak;
    result->peak_measured = tr_resident_bytes(true);
    (void)snprintf(result->last, sizeof result->last, "%.1000s/last.ckpt", run->folder);
    (void)snprintf(result->best_path, sizeof result->best_path, "%.1000s/best.ckpt", run->folder);
    fwm_free(run->groups);
    run->groups = NULL;
    tr_run_destroy(run);
    fwm_free(run);
    return status;
}
