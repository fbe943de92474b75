/* fwm train: a run from a configuration, begun or taken up again. */
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tools/command.h"
#include "tools/config_option.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct argp_option options[] = {
    {"set", 0, "KEY=VALUE", 0, "Override a key of the configuration", 0},
    {"out", 'o', "DIR", 0, "The run's folder (default: checkpoints/<experiment>)", 0},
    {"variant", 0, "NAME", 0, "Train a variant of the configuration", 0},
    {"resume", 0, NULL, 0, "Fail where there is nothing to go on from", 0},
    {"dry-run", 0, NULL, 0,
     "Print the resolved configuration, parts, plans and memory, and run two steps; write nothing", 0},
    {"plan", 0, NULL, 0, "Print every call of every plan", 0},
    {"profile", 0, NULL, 0, "Measure every call; print times at the end", 0},
    {0}};

const fwm_command fwm_command_train = {
    .name = "train",
    .summary = "train a world model; the same command again goes on where it stopped",
    .arguments = "CONFIG",
    .doc = "Fits the law's parameters, then trains the network, in one folder. Ctrl-C, SIGTERM and SIGUSR1 save and "
           "stop; the same command "
           "goes on to the same bits. With --json the result is the last line of metrics.jsonl.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
};

/* The last line of the log that has a loss, as it stands there. */
static fwm_status print_last_line(const char *folder)
{
    char path[1200], line[8192], last[8192] = "{}";
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    FILE *f = fopen(path, "r");
    FWM_CHECK(f, FWM_IO, "%s: cannot be read", path);
    while (fgets(line, sizeof line, f))
        if (strstr(line, "\"samples_per_s\""))
            memcpy(last, line, sizeof last);
    (void)fclose(f);
    return fwm_print_json(json_loads(last, 0, NULL));
}

static fwm_status report(const fwm_call *call, const tr_config *c, const tr_train_options *o, const tr_train_result *r)
{
    if (o->dry_run) {
        (void)printf("two steps: loss %.6g; memory: peak measured %.1f MB, predicted %.1f MB\n", r->loss,
                     1e-6 * (double)r->peak_measured, 1e-6 * (double)r->peak_predicted);
        return FWM_OK;
    }
    if (r->interrupted)
        fwm_log(FWM_LOG_INFO, "stopped at step %lld; the same command goes on", (long long)r->steps);
    else
        fwm_log(FWM_LOG_INFO, "%lld steps in %.0f s, validation VRMSE %.4f at %lld steps, peak memory %.0f MB",
                (long long)r->steps, r->seconds, r->best, (long long)c->eval.horizon, 1e-6 * (double)r->peak_measured);
    if (call->json) {
        char folder[1024];
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(strlen(r->last) - strlen("/last.ckpt")), r->last);
        return print_last_line(folder);
    }
    (void)printf("%s\n", isfinite(r->best) ? r->best_path : r->last);
    return FWM_OK;
}

static fwm_status run(const fwm_call *call, const tr_config *c)
{
    static const char *const levels[] = {NULL, "1", "3", "4"}; /* enum tr_isa */
    if (levels[c->trainer.isa])
        FWM_CHECK(setenv("FWM_ISA", levels[c->trainer.isa], 1) == 0, FWM_MEMORY, "out of memory");
    FWM_TRY(fwm_threads_init((int)c->trainer.threads));
    tr_train_options o = {.folder = fwm_call_text(call, "out", NULL),
                          .must_resume = fwm_call_has(call, "resume"),
                          .dry_run = fwm_call_has(call, "dry-run"),
                          .print_plan = fwm_call_has(call, "plan"),
                          .profile = fwm_call_has(call, "profile")};
    if (o.dry_run) {
        char *text = NULL;
        FWM_TRY(tr_config_dump(c, &text));
        (void)fputs(text, stdout);
        fwm_free(text);
    }
    tr_train_result result;
    FWM_TRY(tr_train(&result, c, &o, call->json ? stderr : stdout));
    FWM_TRY(report(call, c, &o, &result));
    FWM_CHECK(!result.interrupted, FWM_INTERRUPTED, "interrupted at step %lld of %lld", (long long)result.steps,
              (long long)c->trainer.steps);
    return FWM_OK;
}

fwm_status fwm_run_train(fwm_call *call)
{
    tr_config *c = NULL, *variant = NULL;
    FWM_TRY(fwm_call_config(call, &c));
    const char *name = fwm_call_text(call, "variant", NULL);
    fwm_status status = name ? tr_config_variant(c, name, &variant) : FWM_OK;
    if (status == FWM_OK)
        status = run(call, variant ? variant : c);
    tr_config_destroy(variant);
    tr_config_destroy(c);
    return status;
}
