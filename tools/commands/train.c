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
    {"out", 'o', "DIR", 0,
     "The run's folder (default: checkpoints/<experiment>, of a variant checkpoints/<experiment>/<variant>)", 0},
    {"variant", 0, "NAME", 0, "Train a variant of the configuration", 0},
    {"resume", 0, NULL, 0, "Fail where there is nothing to go on from", 0},
    {"dry-run", 0, NULL, 0,
     "Print the resolved configuration, parts, plans and memory, and run at most two steps; write nothing", 0},
    {"plan", 0, NULL, 0, "Print every call of every plan", 0},
    {"profile", 0, NULL, 0, "Measure every call and the waits for data; print them at the end", 0},
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

/* The last line of the log that has a loss, as it stands there; {} where there is none (the law alone was fitted). */
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
    json_t *object = json_loads(last, 0, NULL);
    FWM_CHECK(object, FWM_DATA, "%s: its last line is not JSON", path);
    return fwm_print_json(object);
}

static fwm_status report_dry_run(const fwm_call *call, const tr_config *c, const tr_train_result *r)
{
    if (!call->json) {
        (void)printf("%lld steps: loss %.6g; memory: peak so far %.1f MB, of the whole run predicted %.1f MB\n",
                     (long long)r->steps, r->loss, 1e-6 * (double)r->peak_measured, 1e-6 * (double)r->peak_predicted);
        return FWM_OK;
    }
    json_t *config = NULL;
    FWM_TRY(tr_config_json(c, &config));
    return fwm_print_json(json_pack("{s:o, s:I, s:I, s:o, s:I, s:I}", "config", config, "parameters",
                                    (json_int_t)r->parameters, "steps", (json_int_t)r->steps, "loss",
                                    fwm_json_number(r->loss), "memory_predicted", (json_int_t)r->peak_predicted,
                                    "memory_peak", (json_int_t)r->peak_measured));
}

static fwm_status report(const fwm_call *call, const tr_train_result *r)
{
    char validation[96] = "";
    if (isfinite(r->best))
        (void)snprintf(validation, sizeof validation, ", best validation VRMSE %.4f at %lld steps", r->best,
                       (long long)r->horizon);
    fwm_log(FWM_LOG_INFO, "%lld steps in %.0f s%s, peak memory %.0f MB (predicted %.0f MB)", (long long)r->steps,
            r->seconds, validation, 1e-6 * (double)r->peak_measured, 1e-6 * (double)r->peak_predicted);
    if (call->json)
        return print_last_line(r->folder);
    (void)printf("%s/%s.ckpt\n", r->folder, isfinite(r->best) ? "best" : "last");
    return FWM_OK;
}

static fwm_status stopped(const tr_config *c, const tr_train_result *r)
{
    char where[96];
    if (r->identified < r->to_identify)
        (void)snprintf(where, sizeof where, "identification, step %lld of %lld", (long long)r->identified,
                       (long long)r->to_identify);
    else
        (void)snprintf(where, sizeof where, "step %lld of %lld", (long long)r->steps, (long long)c->trainer.steps);
    return fwm_fail(FWM_INTERRUPTED, "%s: stopped by SIG%s at %s, and saved; the same command goes on", r->folder,
                    sigabbrev_np(r->stop_signal), where);
}

/* Copies of one training would fight for one folder. */
static fwm_status check_alone(void)
{
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *size = getenv(sizes[i]);
        FWM_CHECK(!size || atoi(size) <= 1, FWM_UNSUPPORTED,
                  "%s is %s: training runs in one process with several threads (trainer.threads); start one", sizes[i],
                  size);
    }
    return FWM_OK;
}

static fwm_status run(const fwm_call *call, const tr_config *c, const char *folder)
{
    static const char *const levels[] = {NULL, "1", "3", "4"}; /* enum tr_isa */
    FWM_TRY(check_alone());
    if (levels[c->trainer.isa])
        FWM_CHECK(setenv("FWM_ISA", levels[c->trainer.isa], 1) == 0, FWM_MEMORY, "out of memory");
    FWM_TRY(fwm_threads_init((int)c->trainer.threads));
    tr_train_options o = {.folder = folder,
                          .must_resume = fwm_call_has(call, "resume"),
                          .dry_run = fwm_call_has(call, "dry-run"),
                          .print_plan = fwm_call_has(call, "plan"),
                          .profile = fwm_call_has(call, "profile")};
    if (o.dry_run && !call->json) {
        char *text = NULL;
        FWM_TRY(tr_config_dump(c, &text));
        (void)fputs(text, stdout);
        fwm_free(text);
    }
    tr_train_result result;
    FWM_TRY(tr_train(&result, c, &o, call->json ? stderr : stdout));
    if (o.dry_run)
        return report_dry_run(call, c, &result);
    return result.interrupted ? stopped(c, &result) : report(call, &result);
}

fwm_status fwm_run_train(fwm_call *call)
{
    tr_config *c = NULL, *variant = NULL;
    char own[600];
    FWM_TRY(fwm_call_config(call, &c));
    const char *name = fwm_call_text(call, "variant", NULL), *folder = fwm_call_text(call, "out", NULL);
    fwm_status status = name ? tr_config_variant(c, name, &variant) : FWM_OK;
    if (status == FWM_OK && name && !folder) { /* variants of one experiment do not share a folder */
        (void)snprintf(own, sizeof own, "checkpoints/%.250s/%.250s", c->experiment, name);
        folder = own;
    }
    if (status == FWM_OK)
        status = run(call, variant ? variant : c, folder);
    tr_config_destroy(variant);
    tr_config_destroy(c);
    return status;
}
