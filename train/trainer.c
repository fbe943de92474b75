/* The loop: identification, then training, with validation, checkpoints, logs and signals. */
#include "train/trainer_internal.h"

#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"

#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BAD_STEPS = 10, SCALE_BATCHES = 16, DRY_STEPS = 2 };

/* ---- signals ---- */

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

enum { WATCHED = 3, IGNORED = WATCHED, HANDLED };
static const int handled[HANDLED] = {SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
typedef struct signal_guard {
    struct sigaction old[HANDLED];
} signal_guard;

static void signals_watch(signal_guard *guard)
{
    stop_signal = 0;
    for (int k = 0; k < HANDLED; k++) {
        /* A file too large is an error of the write that makes it, with a message. A second Ctrl-C does not wait. */
        struct sigaction act = {.sa_handler = k == IGNORED ? SIG_IGN : on_signal,
                                .sa_flags = SA_RESTART | (handled[k] == SIGINT ? (int)SA_RESETHAND : 0)};
        (void)sigemptyset(&act.sa_mask);
        (void)sigaction(handled[k], &act, &guard->old[k]);
    }
}

static void signals_restore(const signal_guard *guard)
{
    for (int k = 0; k < HANDLED; k++)
        (void)sigaction(handled[k], &guard->old[k], NULL);
}

/* ---- identification ---- */

/* An error of the fit, not of the data: a loss that is not finite, or a parameter that left the equation's range. */
static fwm_status explain(const tr_run *run, const ds_batch *batch, fwm_status status)
{
    char why[FWM_ERROR_CAPACITY];
    fwm_error_get(why, sizeof why);
    FWM_TRY(tr_world_check_batch(run->world, batch));
    return fwm_fail(status, "identification, step %lld: %s; a lower physics.identification.lr (%g) may help",
                    (long long)run->identified + 1, why, run->config->physics.identification.lr);
}

static fwm_status identify_step(tr_run *run, fwm_progress *bar)
{
    ds_batch batch;
    double loss, variation;
    FWM_TRY(ds_loader_next(run->pairs, &batch));
    fwm_status status =
        tr_identify_step(run->identify, &batch, run->p, run->m, run->v, run->identified + 1, &loss, &variation);
    if (status != FWM_OK)
        return explain(run, &batch, status);
    run->identified++;
    char text[128];
    (void)snprintf(text, sizeof text, "step loss %.3e  variation %.2e", loss, variation);
    fwm_progress_update(bar, run->identified, text);
    if (run->events && run->identified % run->config->trainer.log_every == 0) {
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
        scale[k] = fmax(fmax(stats->delta_std[k], fabs(stats->delta_mean[k])), 1e-6); /* clocks move evenly */
    if (!run->identify || !run->world->model.predictor.prior_fem)
        return FWM_OK;
    FWM_TRY(ds_loader_seek(run->pairs, run->config->physics.identification.steps));
    for (int n = 0; n < SCALE_BATCHES; n++) {
        ds_batch batch;
        FWM_TRY(ds_loader_next(run->pairs, &batch));
        fwm_status status = tr_identify_error(run->identify, &batch, sum, &count);
        if (status != FWM_OK)
            return explain(run, &batch, status);
    }
    for (int64_t k = 0; k < c; k++)
        scale[k] = fmax(sqrt(sum[k] / count), 1e-3 * scale[k]);
    return FWM_OK;
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static fwm_status save_last(tr_run *run)
{
    FWM_TRY(tr_run_save(run, "last.ckpt", true));
    run->saved = run->step;
    return FWM_OK;
}

static fwm_status fit_law(tr_run *run)
{
    int64_t total = run->options->dry_run && run->to_identify > DRY_STEPS ? DRY_STEPS : run->to_identify;
    if (run->identified >= total)
        return FWM_OK;
    fwm_progress bar;
    fwm_progress_start(&bar, "identify", run->identified, total);
    FWM_TRY(ds_loader_seek(run->pairs, run->identified));
    while (run->identified < total && !stop_signal) {
        FWM_TRY(identify_step(run, &bar));
        if (!run->options->dry_run && run->identified < total &&
            due(run->identified, run->config->trainer.save_every)) {
            memcpy(run->ema, run->p, (size_t)run->size * sizeof *run->p);
            FWM_TRY(save_last(run));
        }
    }
    fwm_progress_finish(&bar, run->identified, "");
    return FWM_OK;
}

/* Everything before the network's first update. A stop within leaves a checkpoint at update 0 with the moments of the
 * fit. */
static fwm_status identify(tr_run *run)
{
    if (run->step == 0) {
        if (run->identify)
            FWM_TRY(tr_identify_prepare(run->identify, run->p));
        FWM_TRY(fit_law(run));
        bool whole = run->identified >= run->to_identify || run->options->dry_run;
        if (whole) {
            /* The optimiser of the next phase begins with its own moments. */
            memset(run->m, 0, (size_t)run->size * sizeof *run->m);
            memset(run->v, 0, (size_t)run->size * sizeof *run->v);
            FWM_TRY(measure_scale(run));
        }
        memcpy(run->ema, run->p, (size_t)run->size * sizeof *run->p);
        /* Where there is no network to train, the run saves when all of it is done. */
        if (run->identified > 0 && !run->options->dry_run && !(whole && run->config->trainer.steps == 0))
            FWM_TRY(save_last(run));
        if (!whole)
            return FWM_OK;
    }
    tr_identify_destroy(&run->identify);
    ds_loader_destroy(&run->pairs);
    return FWM_OK;
}

/* ---- training ---- */

typedef struct progress {
    double loss, kl, lr, norm, terms[TR_TERM_COUNT], weights[TR_TERM_COUNT];
    int bad;       /* updates left out in a row */
    double logged; /* seconds */
    int64_t logged_step;
    double began, first_wait; /* for the first batch [s] */
    int64_t steps;            /* batches taken */
} progress;

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
    const ot_geometry *look = run->memory ? ot_memory_geometry(run->memory) : NULL;
    double at = (double)run->step, total = (double)c->trainer.steps,
           transport = look && look->ready ? c->transport.weight : 0.0; /* before a look there is no scale */
    weights[TR_TERM_TRANSPORT] =
        transport > 0 ? transport * c->transport.fit * ramp(at, total, c->transport.ramp_start, c->transport.ramp_end)
                      : 0.0;
    weights[TR_TERM_EDGE] = transport > 0 ? transport * c->transport.edge * look->guard *
                                                ramp(at, total, c->transport.edge_start, c->transport.edge_end)
                                          : 0.0;
    weights[TR_TERM_START] = c->objective.start;
}

static fwm_status update(tr_run *run, progress *p)
{
    const tr_config *c = run->config;
    const tr_schedule schedule = {.kind = c->schedule.name == TR_COSINE ? TR_SCHEDULE_COSINE : TR_SCHEDULE_CONSTANT,
                                  .lr = c->optimizer.lr,
                                  .warmup = c->schedule.warmup,
                                  .steps = c->trainer.steps,
                                  .final = c->schedule.name == TR_COSINE ? c->schedule.final : 1.0};
    const bool sgd = c->optimizer.name == TR_SGD;
    const tr_optimizer_options options = {.rule = (tr_rule)c->optimizer.name,
                                          .beta1 = sgd ? c->optimizer.momentum : c->optimizer.betas[0],
                                          .beta2 = c->optimizer.betas[1],
                                          .nesterov = c->optimizer.nesterov,
                                          .eps = c->optimizer.eps,
                                          .weight_decay = c->optimizer.weight_decay,
                                          .clip = c->optimizer.clip,
                                          .agc = c->optimizer.agc,
                                          .ema = c->optimizer.ema,
                                          .groups = run->groups,
                                          .n_groups = run->n_groups,
                                          .factors = run->group_factors};
    const tr_vectors x = {.p = run->p, .m = run->m, .v = run->v, .ema = run->ema, .g = run->g};
    tr_optimizer_report report = {.norm = NAN};
    p->lr = tr_schedule_rate(&schedule, run->step + 1);
    fwm_status status = tr_optimizer_step(&report, &x, &options, p->lr, run->step + 1, AD_F32, run->size);
    p->norm = report.norm;
    return status;
}

/* A rollout that leaves the law's range has no error to speak of: NaN, and the run goes on. */
static fwm_status validate(tr_run *run, double *vrmse, double *one)
{
    const tr_config *c = run->config;
    int64_t horizon = tr_run_horizon(run);
    tr_evaluate_options o = {.split = DS_VALIDATION,
                             .start = c->data.context - 1,
                             .horizon = horizon,
                             .samples = 1,
                             .trajectories = c->eval.trajectories,
                             .seed = (uint64_t)c->seed};
    if (!run->validation_ready)
        FWM_TRY(tr_rollout_prepare(run->validation, run->ema));
    run->validation_ready = true;
    tr_evaluation *e = NULL;
    fwm_status status = tr_evaluate(&e, run->world, run->validation, run->ema, &o);
    *vrmse = *one = NAN;
    if (status == FWM_NUMERIC) {
        fwm_log(FWM_LOG_WARN, "step %lld: validation: %s", (long long)run->step, fwm_error_message());
        return FWM_OK;
    }
    FWM_TRY(status);
    *vrmse = tr_metrics_average(e->table[TR_METHOD_MODEL], TR_VRMSE, (int)horizon, TR_ALL_FIELDS, TR_MEAN);
    *one = tr_metrics_average(e->table[TR_METHOD_MODEL], TR_VRMSE, 1, TR_ALL_FIELDS, TR_MEAN);
    tr_evaluation_destroy(&e);
    return FWM_OK;
}

/* Points are judged by the distance of distributions. */
static fwm_status checkpoint_best_points(tr_run *run)
{
    tr_points_report *r = fwm_calloc(1, sizeof *r);
    FWM_CHECK(r, FWM_MEMORY, "out of memory");
    fwm_status status =
        tr_points_measure(r, run->world, run->memory, run->gate, run->ema, DS_VALIDATION, (uint64_t)run->config->seed);
    double w2 = r->joint_w2;
    tr_scalar row[] = {{"phase", 1},
                       {"val_w2", r->joint_w2},
                       {"val_mixing", r->mixing},
                       {"val_off", r->off},
                       {"val_coverage", r->coverage}};
    if (status == FWM_OK)
        fwm_log(FWM_LOG_INFO, "step %lld: validation W2 %.4f, mode mixing %.4f, coverage %.3f", (long long)run->step,
                w2, r->mixing, r->coverage);
    fwm_free(r);
    FWM_TRY(status);
    FWM_TRY(tr_events_write(run->events, run->step, row, 5));
    if (!(w2 < run->best))
        return FWM_OK;
    run->best = w2;
    return tr_run_save(run, "best.ckpt", false);
}

static fwm_status checkpoint_best(tr_run *run)
{
    if (run->config->model.kind == TR_MODEL_POINTS)
        return checkpoint_best_points(run);
    double vrmse, one, adjoint;
    FWM_TRY(validate(run, &vrmse, &one));
    FWM_TRY(tr_run_adjoint_error(run, &adjoint));
    fwm_log(FWM_LOG_INFO, "step %lld: validation VRMSE %.4f at %lld steps, %.4f at one", (long long)run->step, vrmse,
            (long long)tr_run_horizon(run), one);
    const int logged = isfinite(adjoint) ? 4 : 3;
    tr_scalar row[] = {{"phase", 1}, {"val_vrmse", vrmse}, {"val_vrmse_1", one}, {"adjoint_error", adjoint}};
    FWM_TRY(tr_events_write(run->events, run->step, row, logged));
    if (!(vrmse < run->best))
        return FWM_OK;
    run->best = vrmse;
    return tr_run_save(run, "best.ckpt", false);
}

/* What the regulariser sees and does. */
static int transport_row(const tr_run *run, tr_scalar row[], double weight)
{
    const ot_geometry *look = run->memory ? ot_memory_geometry(run->memory) : NULL;
    const ot_edge_report *edge = tr_objective_edge(run->stage[run->current]);
    if (!look || !edge)
        return 0; /* or the memory is the gate's alone */
    const tr_scalar all[] = {{"edge_weight", weight},
                             {"edge_active", edge->active},
                             {"ot_group_error", edge->group_error},
                             {"ot_source", (double)edge->source},
                             {"ot_ready", look->ready},
                             {"ot_guard", look->guard},
                             {"ot_scale", look->ready ? look->s : (double)NAN},
                             {"ot_tau", look->ready ? look->tau / look->s : (double)NAN},
                             {"ot_unseen", look->ready ? look->support->unseen : (double)NAN},
                             {"ot_sheets", look->ready ? (double)look->support->sheets : (double)NAN},
                             {"ot_ell", look->ell},
                             {"ot_coverage", look->coverage},
                             {"ot_mass_error", look->mass_error},
                             {"ot_sliced", look->sliced},
                             {"ot_oldest", look->oldest}};
    memcpy(row, all, sizeof all);
    return (int)(sizeof all / sizeof *all);
}

static fwm_status log_step(tr_run *run, progress *p)
{
    enum { ROWS = 40 };
    double now = fwm_seconds(),
           rate = (double)((run->step - p->logged_step) * run->config->data.batch) / (now - p->logged);
    int64_t clips = ds_loader_clips(run->clips);
    tr_scalar row[ROWS] = {{"phase", 1},
                           {"epoch", (double)(run->step * run->config->data.batch) / (double)clips},
                           {"seconds", tr_run_seconds(run)},
                           {"loss", p->loss},
                           {"loss_state", p->terms[TR_TERM_STATE]},
                           {"loss_frame", p->terms[TR_TERM_FRAME]},
                           {"loss_kl", p->terms[TR_TERM_KL]},
                           {"kl", p->kl},
                           {"loss_phys", p->terms[TR_TERM_PHYSICS]},
                           {"loss_ot", p->terms[TR_TERM_TRANSPORT]},
                           {"loss_edge", p->terms[TR_TERM_EDGE]},
                           {"loss_start", p->terms[TR_TERM_START]},
                           {"lr", p->lr},
                           {"grad_norm", p->norm},
                           {"samples_per_s", rate},
                           {"waited", ds_loader_waited(run->clips)},
                           {"memory", (double)tr_resident_bytes(false)},
                           {"memory_peak", (double)tr_resident_bytes(true)},
                           {"memory_plan", (double)run->predicted.workspaces},
                           {"unroll", (double)run->config->objective.unroll.items[run->current]}};
    int n = 0;
    while (row[n].name)
        n++;
    n += transport_row(run, row + n, p->weights[TR_TERM_EDGE]);
    p->logged = now;
    p->logged_step = run->step;
    return tr_events_write(run->events, run->step, row, n);
}

/* How much each term pulls: the norm of its own gradient, weight included, by running the plan once for each. */
/* A name of metrics.jsonl: other characters than its own become _. */
static void metric_name(char *out, size_t capacity, const char *prefix, const char *name)
{
    (void)snprintf(out, capacity, "%s%.60s", prefix, name);
    for (char *c = out; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("_./-", *c) == NULL)
            *c = '_';
}

/* The physics loss of the last run's first step: of each field's equation and in each region. */
static fwm_status log_law_parts(tr_run *run)
{
    enum { MOST = FEM_MAX_FIELDS + FEM_MAX_NAMES };
    const float *s1, *s0, *a;
    tr_law *law = run->world->law;
    if (!tr_objective_transition(run->stage[run->current], &s1, &s0, &a))
        return FWM_OK;
    const fem_equation *eq = tr_law_equation(law);
    const fem_mesh *mesh = tr_law_mesh(law);
    double part[MOST];
    char name[MOST][80];
    tr_scalar row[MOST + 1] = {{"phase", 1}};
    FWM_TRY(tr_law_parts(law, run->world->store, run->p, NULL, part, part + eq->n_fields, s1, s0, a,
                         run->config->data.batch));
    const int count = eq->n_fields + (mesh->n_regions > 1 ? mesh->n_regions : 0);
    for (int k = 0; k < count; k++) {
        const bool field = k < eq->n_fields;
        metric_name(name[k], sizeof name[k], field ? "loss_phys_" : "loss_phys_in_",
                    field ? eq->field[k] : mesh->region_name[k - eq->n_fields]);
        row[k + 1] = (tr_scalar){name[k], part[k]};
        fwm_log(FWM_LOG_DEBUG, "step %lld: %s %.3e", (long long)run->step, name[k], part[k]);
    }
    return tr_events_write(run->events, run->step, row, count + 1);
}

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

/* The step's codes go to the regulariser's memory; where its guard gives way, that is said. */
static fwm_status remember(tr_run *run, const ds_batch *batch)
{
    if (!run->memory)
        return FWM_OK;
    const ot_geometry *look = ot_memory_geometry(run->memory);
    int64_t looks = look->looks;
    FWM_TRY(tr_objective_remember(run->stage[run->current], run->step + 1));
    if (look->looks > looks && look->lowered)
        fwm_log(
            FWM_LOG_WARN,
            "step %lld: transport: predictions cover %.2f of the codes (best so far %.2f), a sheet's mass is off by "
            "%.2f: the edge term's weight is lowered to %.3f of what is configured",
            (long long)run->step + 1, look->coverage, look->best_coverage, look->mass_error, look->guard);
    return tr_run_score(run, batch, look->looks > looks);
}

static fwm_status loss_and_update(tr_run *run, const ds_batch *batch, progress *p)
{
    tr_objective *objective = run->stage[run->current];
    p->loss = p->norm = NAN;
    FWM_TRY(tr_objective_load(objective, batch));
    weights_at(run, p->weights);
    if (run->events && due(run->step, run->config->trainer.term_norms_every))
        FWM_TRY(log_term_norms(run, p->weights));
    FWM_TRY(tr_objective_run(objective, p->weights, (uint64_t)run->config->seed, (uint64_t)run->step, &p->loss,
                             p->terms, &p->kl));
    if (run->events && due(run->step, run->config->trainer.term_norms_every))
        FWM_TRY(log_law_parts(run));
    FWM_TRY(update(run, p));
    return remember(run, batch);
}

/* A batch whose loss or gradient is not finite is left out, unless it is the data that are not; too many in a row end
 * the run. */
static fwm_status leave_out(const tr_run *run, const ds_batch *batch, progress *p)
{
    char why[FWM_ERROR_CAPACITY];
    int64_t most = run->config->trainer.steps < MAX_BAD_STEPS ? run->config->trainer.steps : MAX_BAD_STEPS;
    fwm_error_get(why, sizeof why);
    FWM_TRY(tr_world_check_batch(run->world, batch));
    fwm_log(FWM_LOG_WARN, "step %lld: loss %g: the batch is left out: %s", (long long)run->step + 1, p->loss, why);
    FWM_CHECK(
        ++p->bad < most, FWM_NUMERIC,
        "training diverged: the last %d batches up to step %lld had to be left out; the newest checkpoint is whole. "
        "Lower optimizer.lr (%g) or optimizer.clip (%g). The last reason: %s",
        p->bad, (long long)run->step + 1, run->config->optimizer.lr, run->config->optimizer.clip, why);
    return FWM_OK;
}

static fwm_status train_step(tr_run *run, progress *p)
{
    ds_batch batch;
    FWM_TRY(tr_run_enter_stage(run, tr_run_stage_at(run, run->step)));
    FWM_TRY(ds_loader_next(run->clips, &batch));
    if (p->steps++ == 0)
        p->first_wait = ds_loader_waited(run->clips);
    fwm_status status = loss_and_update(run, &batch, p);
    if (status == FWM_NUMERIC)
        FWM_TRY(leave_out(run, &batch, p));
    else if (status != FWM_OK)
        return fwm_fail_within(status, "training, step %lld", (long long)run->step + 1);
    p->bad = status == FWM_OK ? 0 : p->bad;
    run->step++;
    return FWM_OK;
}

static fwm_status after_step(tr_run *run, progress *p)
{
    const tr_config *c = run->config;
    bool last = run->step == c->trainer.steps;
    if (run->step % c->trainer.log_every == 0 || last)
        FWM_TRY(log_step(run, p));
    bool judged = run->validation || ds_split_list(run->world->info, DS_VALIDATION, NULL) > 0;
    if (judged && (due(run->step, c->trainer.eval_every) || last))
        FWM_TRY(checkpoint_best(run));
    return due(run->step, c->trainer.save_every) || last ? save_last(run) : FWM_OK;
}

/* The first batch is not there when training begins; later ones should be. */
static void print_waiting(const tr_run *run, const progress *p)
{
    const double later = ds_loader_waited(run->clips) - p->first_wait, seconds = fwm_seconds() - p->began;
    fprintf(run->out,
            "waiting for batches: %.2f ms for the first; %.3f ms a step for the %lld others, %.2f %% of %.2f s\n",
            1e3 * p->first_wait, p->steps > 1 ? 1e3 * later / (double)(p->steps - 1) : 0, (long long)(p->steps - 1),
            seconds > 0 ? 1e2 * later / seconds : 0, seconds);
}

static fwm_status train(tr_run *run)
{
    int64_t end = run->config->trainer.steps, first = run->step;
    if (run->options->dry_run && end > DRY_STEPS)
        end = DRY_STEPS;
    fwm_progress bar;
    char text[160] = "";
    progress p = {.loss = NAN, .logged = fwm_seconds(), .logged_step = run->step, .began = fwm_seconds()};
    FWM_TRY(ds_loader_seek(run->clips, run->step));
    if (end > first)
        fwm_progress_start(&bar, "train", run->step, end);
    while (run->step < end && !stop_signal) {
        FWM_TRY(train_step(run, &p));
        (void)snprintf(text, sizeof text, "loss %.4f  state %.4f  frame %.2e  kl %.2f  phys %.2e  ot %.2e", p.loss,
                       p.terms[TR_TERM_STATE], p.terms[TR_TERM_FRAME], p.kl, p.terms[TR_TERM_PHYSICS],
                       p.terms[TR_TERM_TRANSPORT]);
        fwm_progress_update(&bar, run->step, text);
        if (run->options->stop_after > 0 && run->step - first >= run->options->stop_after)
            stop_signal = SIGTERM;
        if (!run->options->dry_run)
            FWM_TRY(after_step(run, &p));
    }
    if (end > first)
        fwm_progress_finish(&bar, run->step, text);
    if (run->config->trainer.steps == 0 && !run->options->dry_run) { /* what was identified is the model */
        if (run->validation)
            FWM_TRY(checkpoint_best(run));
        FWM_TRY(save_last(run));
    }
    if (stop_signal && run->saved != run->step && !run->options->dry_run)
        FWM_TRY(save_last(run));
    run->loss = p.loss;
    if (run->options->profile && run->current >= 0) {
        ad_plan_print(tr_objective_plan(run->stage[run->current]), run->out);
        if (p.steps > 0)
            print_waiting(run, &p);
    }
    return FWM_OK;
}

/* ---- the whole ---- */

static fwm_status begin(tr_run *run)
{
    const char *folder = run->options->folder;
    int length = folder ? snprintf(run->folder, sizeof run->folder, "%s", folder)
                        : snprintf(run->folder, sizeof run->folder, "checkpoints/%s", run->config->experiment);
    FWM_CHECK(length > 0 && length < TR_PATH, FWM_INVALID,
              "%.100s...: expected a folder of 1 to %d characters, found %d", run->folder, TR_PATH - 1, length);
    FWM_TRY(tr_world_open(&run->world, run->config, NULL, NULL));
    FWM_TRY(tr_run_open_choices(run));
    FWM_TRY(tr_run_build(run));
    if (!run->options->dry_run) {
        FWM_TRY(tr_folder_make(run->folder));
        FWM_TRY(tr_lock_acquire(&run->lock, run->folder));
    }
    FWM_TRY(tr_run_fit_memory(run));
    FWM_TRY(tr_run_keep_choices(run));
    tr_run_predict(run);
    if (run->options->dry_run || run->options->print_plan)
        tr_run_print(run, run->options->print_plan);
    return tr_run_allocate(run);
}

/* Takes up a checkpoint, or starts with fresh parameters. */
static fwm_status take_up(tr_run *run, bool *finished)
{
    bool found = false;
    if (!run->options->dry_run)
        FWM_TRY(tr_run_resume(run, &found));
    FWM_CHECK(found || !run->options->must_resume, FWM_IO,
              "%s: no checkpoint to go on from; leave out --resume to begin", run->folder);
    *finished = found && run->step >= run->config->trainer.steps && run->identified >= run->to_identify;
    if (*finished) {
        fwm_log(FWM_LOG_INFO, "%s: all %lld steps are done", run->folder, (long long)run->step);
        return FWM_OK;
    }
    if (!found)
        nn_store_initialise(run->world->store, (uint64_t)run->config->seed, AD_F32, run->p);
    else
        fwm_log(FWM_LOG_INFO, "%s: going on from step %lld", run->folder, (long long)run->step);
    if (run->options->dry_run)
        return FWM_OK;
    char path[TR_PATH + 64];
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", run->folder);
    FWM_TRY(tr_run_write_config(run));
    return tr_events_open(&run->events, path, found ? run->step : -1);
}

static fwm_status execute(tr_run *run, bool *finished)
{
    FWM_TRY(begin(run));
    FWM_TRY(take_up(run, finished));
    if (*finished)
        return FWM_OK;
    FWM_TRY(identify(run));
    if (run->identified >= run->to_identify || run->options->dry_run)
        FWM_TRY(train(run));
    *finished = run->step >= run->config->trainer.steps && run->identified >= run->to_identify;
    return FWM_OK;
}

fwm_status tr_train(tr_train_result *result, const tr_config *config, const tr_train_options *options, FILE *out)
{
    *result = (tr_train_result){.loss = NAN, .best = NAN};
    tr_run *run = fwm_calloc(1, sizeof *run);
    FWM_CHECK(run, FWM_MEMORY, "out of memory");
    *run = (tr_run){.config = config,
                    .options = options,
                    .out = out,
                    .began = fwm_seconds(),
                    .loss = NAN,
                    .best = INFINITY,
                    .saved = -1,
                    .current = -1};
    signal_guard guard;
    signals_watch(&guard);
    bool finished = false;
    fwm_status status = execute(run, &finished);
    result->interrupted = status == FWM_OK && stop_signal != 0 && !finished && !options->dry_run;
    result->stop_signal = result->interrupted ? stop_signal : 0;
    signals_restore(&guard);
    result->steps = run->step;
    result->identified = run->identified;
    result->to_identify = run->to_identify;
    result->loss = run->loss;
    result->best = isfinite(run->best) ? run->best : (double)NAN;
    result->horizon = run->validation ? tr_run_horizon(run) : 0;
    result->seconds = tr_run_seconds(run);
    result->parameters = run->world ? nn_store_parameters(run->world->store) : 0;
    result->peak_predicted = run->predicted.peak;
    result->peak_measured = tr_resident_bytes(true);
    (void)snprintf(result->folder, sizeof result->folder, "%s", run->folder);
    tr_run_destroy(run);
    fwm_free(run);
    return status;
}
