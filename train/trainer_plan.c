/* What a run is made of, before it runs: graphs, plans, vectors, and the memory that they will take. */
#include "train/trainer_internal.h"

#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "train/groups.h"
#include "train/symmetries.h"

#include <math.h>
#include <string.h>

/* Pages of libraries' code, and code that they make, which the first steps bring in (measured: 8 to 12 MB). */
static const size_t LIBRARY_BYTES = 10000000;

size_t tr_resident_bytes(bool peak)
{
    FILE *f = fopen("/proc/self/status", "r");
    if (!f)
        return 0;
    char line[256];
    unsigned long kib = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, peak ? "VmHWM: %lu" : "VmRSS: %lu", &kib) == 1)
            break;
    (void)fclose(f);
    return (size_t)kib * 1024;
}

double tr_run_seconds(const tr_run *run)
{
    return run->elapsed + fwm_seconds() - run->began;
}

int64_t tr_run_horizon(const tr_run *run)
{
    int64_t longest = run->world->info->steps - run->config->data.context;
    return run->config->eval.horizon < longest ? run->config->eval.horizon : longest;
}

int tr_run_stage_at(const tr_run *run, int64_t step)
{
    const tr_config *c = run->config;
    int stage = 0;
    for (int k = 1; k < run->n_stages; k++)
        if ((double)step >= c->objective.unroll_start.items[k] * (double)c->trainer.steps)
            stage = k;
    return stage;
}

static fwm_status build_stage(tr_run *run, int stage, size_t budget, size_t *least)
{
    const tr_config *c = run->config;
    tr_objective_spec spec = {.config = c,
                              .model = &run->world->model,
                              .law = run->world->law,
                              .store = run->world->store,
                              .memory = run->memory,
                              .gate = run->gate,
                              .dtype = AD_F32,
                              .batch = c->data.batch,
                              .clip = c->data.clip,
                              .unroll = (int)c->objective.unroll.items[stage],
                              .budget = budget,
                              .least = least,
                              .train_law = run->identify && !c->physics.identification.freeze};
    return tr_objective_create(&run->stage[stage], &spec);
}

static fwm_status build_stages(tr_run *run)
{
    const tr_config *c = run->config;
    FWM_CHECK(c->objective.unroll.count >= 1 && c->objective.unroll.count <= TR_MAX_STAGES, FWM_CONFIG,
              "objective.unroll: expected 1 to %d lengths, found %lld", TR_MAX_STAGES,
              (long long)c->objective.unroll.count);
    FWM_CHECK(c->objective.unroll_start.count == c->objective.unroll.count, FWM_CONFIG,
              "objective.unroll_start: expected %lld fractions, one for each of objective.unroll, found %lld",
              (long long)c->objective.unroll.count, (long long)c->objective.unroll_start.count);
    for (int k = 0; k < (int)c->objective.unroll.count; k++) {
        FWM_TRY(build_stage(run, k, 0, NULL));
        run->n_stages++;
    }
    return FWM_OK;
}

/* The run's file of chosen kernels: a run that goes on takes the kernels that it began with. */
static void choices_path(const tr_run *run, char path[TR_PATH + 64])
{
    (void)snprintf(path, TR_PATH + 64, "%s/kernels.txt", run->folder);
}

fwm_status tr_run_open_choices(tr_run *run)
{
    char path[TR_PATH + 64];
    if (run->config->trainer.plan != TR_PLAN_MEASURE)
        return FWM_OK;
    FWM_TRY(ad_choices_create(&run->choices, true));
    choices_path(run, path);
    FWM_TRY(ad_choices_read(run->choices, path));
    ad_choices_use(run->choices);
    return FWM_OK;
}

fwm_status tr_run_keep_choices(tr_run *run)
{
    char path[TR_PATH + 64];
    if (!run->choices)
        return FWM_OK;
    ad_choices_use(NULL);
    choices_path(run, path);
    fwm_log(FWM_LOG_INFO, "kernels: %d chosen, %d of them measured now", ad_choices_count(run->choices),
            ad_choices_measured(run->choices));
    return run->options->dry_run ? FWM_OK : ad_choices_write(run->choices, path);
}

fwm_status tr_run_build(tr_run *run)
{
    const tr_world *w = run->world;
    if (w->law)
        FWM_TRY(tr_identify_create(&run->identify, run->config, w->law, w->store, w->model.nodes, w->model.state.count,
                                   w->model.actions, w->model.state.std));
    run->law_size = run->identify ? tr_identify_size(run->identify) : 0;
    run->to_identify = run->identify ? run->config->physics.identification.steps : 0;
    FWM_TRY(tr_memory_create(&run->memory, &run->gate, run->config, &w->model));
    FWM_TRY(build_stages(run));
    int64_t count = ds_split_list(w->info, DS_VALIDATION, NULL);
    if (count > 0 && w->law)
        FWM_TRY(
            tr_rollout_create(&run->validation, run->world, count < TR_VALIDATION_BATCH ? count : TR_VALIDATION_BATCH));
    run->size = nn_store_size(w->store);
    return FWM_OK;
}

static fwm_status make_groups(tr_run *run)
{
    const nn_store *store = run->world->store;
    run->n_groups = nn_store_count(store);
    run->groups = fwm_calloc((size_t)run->n_groups + 1, sizeof *run->groups);
    run->group_factors = fwm_calloc((size_t)run->n_groups + 1, sizeof *run->group_factors);
    FWM_CHECK(run->groups && run->group_factors, FWM_MEMORY, "out of memory");
    return tr_groups_fill(run->groups, run->config, store, run->law_size);
}

fwm_status tr_run_allocate(tr_run *run)
{
    const tr_config *c = run->config;
    float **vectors[] = {&run->p, &run->g, &run->m, &run->v, &run->ema};
    for (size_t k = 0; k < sizeof vectors / sizeof *vectors; k++)
        FWM_TRY(fwm_block_alloc((void **)vectors[k], (size_t)run->size * sizeof(float)));
    FWM_TRY(make_groups(run));
    ds_loader_options clips = {.split = (ds_split)c->data.split,
                               .clip = c->data.clip,
                               .batch = c->data.batch,
                               .limit = c->data.trajectories,
                               .seed = (uint64_t)c->seed,
                               .depth = (int)c->data.prefetch,
                               .state_noise = c->data.state_noise,
                               .bytes = true,
                               .key_state_weight = c->data.key_state_weight};
    run->symmetries = fwm_arena_create();
    FWM_CHECK(run->symmetries, FWM_MEMORY, "out of memory");
    if (run->world->law)
        FWM_TRY(tr_symmetries(&clips.augment, run->symmetries, c, run->world->ds, run->world->law));
    FWM_TRY(ds_loader_create(&run->clips, run->world->ds, &clips));
    FWM_TRY(tr_run_open_scores(run));
    if (!run->identify)
        return FWM_OK;
    ds_loader_options pairs = clips;
    pairs.clip = 2;
    pairs.augment = (ds_augment){0};
    pairs.key_state_weight = 1; /* the law holds everywhere alike */
    pairs.batch = c->physics.identification.batch;
    pairs.seed = (uint64_t)c->seed + 1;
    pairs.skip[DS_FRAMES] = pairs.skip[DS_S_PHY] = true;
    return ds_loader_create(&run->pairs, run->world->ds, &pairs);
}

fwm_status tr_run_enter_stage(tr_run *run, int stage)
{
    if (run->current == stage)
        return FWM_OK;
    if (run->current >= 0)
        tr_objective_destroy(&run->stage[run->current]);
    run->current = stage;
    FWM_TRY(tr_objective_prepare(run->stage[stage], run->p, run->g));
    tr_objective_set_scale(run->stage[stage], run->world->correction_scale);
    if (run->options->profile)
        ad_plan_profile(tr_objective_plan_mutable(run->stage[stage]), true);
    return FWM_OK;
}

void tr_run_destroy(tr_run *run)
{
    tr_run_close_scores(run);
    ds_loader_destroy(&run->clips);
    ds_loader_destroy(&run->pairs);
    ad_choices_use(NULL);
    ad_choices_destroy(&run->choices);
    for (int k = 0; k < run->n_stages; k++)
        tr_objective_destroy(&run->stage[k]);
    ot_gate_destroy(&run->gate);
    ot_memory_destroy(&run->memory);
    tr_rollout_destroy(&run->validation);
    tr_identify_destroy(&run->identify);
    float *vectors[] = {run->p, run->g, run->m, run->v, run->ema};
    for (size_t k = 0; k < sizeof vectors / sizeof *vectors; k++)
        fwm_block_free(vectors[k], (size_t)run->size * sizeof(float));
    if (tr_events_close(&run->events) != FWM_OK)
        fwm_log(FWM_LOG_WARN, "%s", fwm_error_message());
    fwm_free(run->groups);
    fwm_free(run->group_factors);
    tr_lock_release(run->lock);
    tr_world_close(&run->world);
    fwm_arena_destroy(run->symmetries);
}

/* ---- printing ---- */

static void print_parts(const tr_run *run)
{
    const nn_store *store = run->world->store;
    enum { MAX_PARTS = 32 };
    struct {
        char name[64];
        int64_t count;
    } part[MAX_PARTS];
    int n = 0;
    for (int k = 0; k < nn_store_count(store); k++) {
        const nn_slot *s = nn_store_slot(store, k);
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(s->name, "/"), s->name);
        int at = 0;
        while (at < n && strcmp(part[at].name, name) != 0)
            at++;
        if (at == MAX_PARTS)
            at--; /* more parts than rows: the last row takes the rest */
        if (at == n) {
            memcpy(part[n].name, name, sizeof name);
            part[n++].count = 0;
        }
        part[at].count += s->count;
    }
    fprintf(run->out, "parameters: %lld\n", (long long)nn_store_parameters(store));
    for (int k = 0; k < n; k++)
        fprintf(run->out, "  %-12s %10lld%s\n", part[k].name, (long long)part[k].count,
                strcmp(part[k].name, "law") == 0 ? "  (fitted first, through the adjoint of the step)" : "");
}

static size_t workspace_of(const ad_plan *plan)
{
    ad_memory memory;
    ad_plan_memory(plan, &memory);
    return memory.workspace;
}

static void print_plan(const tr_run *run, const char *name, const ad_plan *plan, bool whole)
{
    ad_memory memory;
    ad_plan_memory(plan, &memory);
    fprintf(run->out, "  %-22s %8.3f GFLOP  workspace %8.2f MB  (live bytes at most %8.2f MB)\n", name,
            1e-9 * ad_plan_flops(plan), 1e-6 * (double)memory.workspace, 1e-6 * (double)memory.lower_bound);
    if (whole)
        ad_plan_print(plan, run->out);
}

/* Bytes of `depth` batches as the loader keeps them; `bytes`: frames as they are stored. */
static size_t ring_bytes(const tr_run *run, int64_t batch, int64_t clip, int64_t depth, bool all, bool bytes)
{
    const ds_info *i = run->world->info;
    double values = 0;
    for (int f = 0; f < DS_FIELDS; f++)
        if (all || f == DS_STATE || f == DS_ACTIONS)
            values += (double)(i->fields[f].points * i->fields[f].channels) *
                      (f == DS_FRAMES && bytes && i->frames_are_bytes ? 1 : sizeof(float));
    return (size_t)(values * (double)(batch * clip * depth));
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Identification and training each have their own workspace, never at the same time; of the stages one lives at a time,
 * beside the validation's once it has run. */
void tr_run_predict(tr_run *run)
{
    const tr_config *c = run->config;
    const wm_config *m = &run->world->model;
    tr_memory *p = &run->predicted;
    size_t stage = 0, fit = run->identify ? workspace_of(tr_identify_plan(run->identify)) : 0, validation = 0,
           rings = 0;
    for (int k = 0; k < run->n_stages; k++)
        stage = larger(stage, workspace_of(tr_objective_plan(run->stage[k])));
    if (run->validation) {
        int64_t states = tr_rollout_batch(run->validation) * (tr_run_horizon(run) + 1) * m->nodes * m->state.count;
        validation = workspace_of(tr_rollout_plan(run->validation)) + (size_t)states * sizeof(float) +
                     ring_bytes(run, tr_rollout_batch(run->validation), run->world->info->steps, 1, true, false);
    }
    if (run->identify)
        rings = ring_bytes(run, c->physics.identification.batch, 2, c->data.prefetch, false, false);
    p->fit = fit + rings;
    p->beside = validation;
    p->workspaces = larger(p->fit, stage + validation);
    p->vectors = 5 * (size_t)run->size * sizeof(float);
    p->batches = ring_bytes(run, c->data.batch, c->data.clip, c->data.prefetch, true, true);
    p->libraries = LIBRARY_BYTES;
    p->process = tr_resident_bytes(false);
    p->peak = p->process + p->workspaces + p->vectors + p->batches + p->libraries;
}

/* Plans a stage for `room` bytes; `others` is what the run takes besides. */
static fwm_status fit_stage(tr_run *run, int stage, size_t room, size_t others)
{
    size_t least = 0;
    tr_objective_destroy(&run->stage[stage]);
    fwm_status status = build_stage(run, stage, room, &least);
    if (status == FWM_OK || least == 0)
        return status;
    return fwm_fail(FWM_MEMORY,
                    "trainer.memory: expected at least %.1f MiB for an unroll of %lld (%.1f MiB besides the step's "
                    "workspace, which needs %.1f MiB even when activations are computed again), found %s",
                    (double)(others + least) / 0x1p20, (long long)run->config->objective.unroll.items[stage],
                    (double)others / 0x1p20, (double)least / 0x1p20, run->config->trainer.memory);
}

static fwm_status fit_once(tr_run *run, size_t limit)
{
    size_t base = run->predicted.peak - run->predicted.workspaces, others = base + run->predicted.beside;
    FWM_CHECK(base + run->predicted.fit <= limit, FWM_MEMORY,
              "trainer.memory: expected at least %.1f MiB for the identification of the law, found %s: lower "
              "physics.identification.batch",
              (double)(base + run->predicted.fit) / 0x1p20, run->config->trainer.memory);
    for (int k = 0; k < run->n_stages; k++)
        if (others + workspace_of(tr_objective_plan(run->stage[k])) > limit)
            FWM_TRY(fit_stage(run, k, limit > others ? limit - others : 1, others));
    return FWM_OK;
}

/* Planning itself leaves some memory behind, so what is left is looked at again. */
fwm_status tr_run_fit_memory(tr_run *run)
{
    enum { ROUNDS = 4 };
    size_t limit;
    if (!tr_bytes_parse(run->config->trainer.memory, &limit) || limit == 0)
        return FWM_OK;
    tr_run_predict(run);
    for (int round = 0; round < ROUNDS && run->predicted.peak > limit; round++) {
        FWM_TRY(fit_once(run, limit));
        tr_run_predict(run);
    }
    FWM_CHECK(run->predicted.peak <= limit, FWM_MEMORY, "trainer.memory: expected at least %.1f MiB, found %s",
              (double)run->predicted.peak / 0x1p20, run->config->trainer.memory);
    return FWM_OK;
}

void tr_run_print(const tr_run *run, bool plans)
{
    const wm_config *m = &run->world->model;
    const tr_memory *p = &run->predicted;
    fprintf(run->out,
            "model: frames %lldx%lldx%lld, state %lld nodes x %lld, cheap simulation %lld nodes, %lld actions, latent "
            "%lld\n",
            (long long)m->height, (long long)m->width, (long long)m->colors, (long long)m->nodes,
            (long long)m->state.count, (long long)m->coarse_nodes, (long long)m->actions, (long long)m->latent.size);
    print_parts(run);
    fprintf(run->out, "plans:\n");
    if (run->identify)
        print_plan(run, "identification", tr_identify_plan(run->identify), plans);
    for (int k = 0; k < run->n_stages; k++) {
        char name[64];
        (void)snprintf(name, sizeof name, "training, unroll %lld", (long long)run->config->objective.unroll.items[k]);
        print_plan(run, name, tr_objective_plan(run->stage[k]), plans);
    }
    if (run->validation)
        print_plan(run, "validation step", tr_rollout_plan(run->validation), plans);
    fprintf(
        run->out,
        "memory: peak %.1f MB = process so far %.1f + workspaces %.1f + parameters, gradients, moments, average %.1f + "
        "prefetched batches %.1f + code of libraries %.1f\n",
        1e-6 * (double)p->peak, 1e-6 * (double)p->process, 1e-6 * (double)p->workspaces, 1e-6 * (double)p->vectors,
        1e-6 * (double)p->batches, 1e-6 * (double)p->libraries);
    (void)fflush(run->out);
}
