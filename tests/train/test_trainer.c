/* Runs that are stopped, killed, refused, fed with nonsense: what is on the disk afterwards, and what they say. */
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/threads.h"
#include "tests/train/small.h"
#include "train/trainer.h"

#include <math.h>
#include <sys/stat.h>

/* ---- runs within this process ---- */

typedef struct tries {
    char folder[SMALL_PATH], data[SMALL_PATH + 32];
    tr_config *config;
} tries;

static void begin(tries *t, const char *const *more)
{
    enum { MOST = 24 };
    /* Two trajectories of ten clips, four a batch: an epoch is five updates. */
    const char *sets[MOST] = {t->data,
                              "trainer.threads=1",
                              "data.trajectories=2",
                              "trainer.steps=24",
                              "schedule.warmup=4",
                              "trainer.eval_every=6",
                              "trainer.save_every=0",
                              "trainer.log_every=1",
                              "physics.identification.steps=8",
                              "objective.unroll_start=[0.0, 0.5]"};
    int64_t n = 10;
    for (int k = 0; more && more[k]; k++)
        sets[n++] = more[k];
    fwm_log_set_level(FWM_LOG_ERROR);
    cr_assert_eq(fwm_threads_init(1), FWM_OK);
    small_folder(t->folder);
    (void)snprintf(t->data, sizeof t->data, "data.file=%s", small_data());
    cr_assert_eq(tr_config_load(&t->config, SMALL_CONFIG, sets, n), FWM_OK, "%s", fwm_error_message());
}

static void end(tries *t)
{
    tr_config_destroy(t->config);
    small_remove(t->folder);
}

/* FOLDER/name, stopped after so many updates (0: to the end). */
static tr_train_result train(const tries *t, const char *name, int64_t stop_after)
{
    char path[SMALL_PATH + 32];
    tr_train_result result;
    (void)snprintf(path, sizeof path, "%s/%s", t->folder, name);
    tr_train_options o = {.folder = path, .stop_after = stop_after};
    cr_assert_eq(tr_train(&result, t->config, &o, stderr), FWM_OK, "%s", fwm_error_message());
    return result;
}

/* The same step, digest, and tensors with their checksums. */
static void expect_same(const char *folder, const char *one, const char *other)
{
    static const char *const keys[] = {"step", "seed", "parameters", "position", "digest", "tensors"};
    json_t *a = small_inspect(folder, one), *b = small_inspect(folder, other);
    cr_assert_gt(json_array_size(json_object_get(a, "tensors")), 100);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        cr_expect(json_equal(json_object_get(a, keys[k]), json_object_get(b, keys[k])), "%s and %s differ in %s", one,
                  other, keys[k]);
    json_decref(a);
    json_decref(b);
}

static int64_t step_of(const char *folder, const char *file)
{
    json_t *a = small_inspect(folder, file);
    int64_t step = json_integer_value(json_object_get(a, "step"));
    json_decref(a);
    return step;
}

Test(trainer, stopped_anywhere_goes_on_to_the_same_bits, .timeout = 120)
{
    /* In the middle of an epoch (3, 7), at the change of unroll length (12), just after it, in the last update but one.
     */
    static const int64_t stops[] = {3, 4, 5, 1, 10};
    tries t;
    begin(&t, NULL);
    tr_train_result whole = train(&t, "whole", 0), part = {0};
    cr_assert_eq(whole.steps, 24);
    cr_assert(!whole.interrupted);
    int64_t at = 0;
    for (size_t k = 0; k < sizeof stops / sizeof *stops; k++) {
        part = train(&t, "part", stops[k]);
        at += stops[k];
        cr_assert(part.interrupted);
        cr_assert_eq(part.steps, at);
    }
    part = train(&t, "part", 0);
    cr_assert_eq(part.steps, 24);
    cr_assert(!part.interrupted);
    cr_assert_eq(part.best, whole.best);
    cr_assert_eq(part.loss, whole.loss);
    expect_same(t.folder, "whole/last.ckpt", "part/last.ckpt");
    expect_same(t.folder, "whole/best.ckpt", "part/best.ckpt");
    /* Each validation logs the adjoint solve's own check. */
    const char *at_check = strstr(small_text(t.folder, "whole/metrics.jsonl"), "\"adjoint_error\": ");
    cr_assert_not_null(at_check);
    const double error = strtod(strchr(at_check, ':') + 1, NULL);
    cr_expect(error > 0 && error < 1e-8, "adjoint solves are off by %g", error);
    end(&t);
}

/* A run with `more` is another one than without its first setting, and goes on to the same bits. */
static void changes_and_goes_on(const char *const more[], const char *what)
{
    tries t, plain;
    begin(&t, more);
    tr_train_result whole = train(&t, "whole", 0);
    (void)train(&t, "part", 5);
    (void)train(&t, "part", 6);
    (void)train(&t, "part", 0);
    expect_same(t.folder, "whole/last.ckpt", "part/last.ckpt");
    end(&t);
    begin(&plain, more + 1);
    cr_expect_neq(train(&plain, "whole", 0).loss, whole.loss, "%s changes nothing", what);
    end(&plain);
}

Test(trainer, emphasis_draws_by_scores_and_goes_on_too, .timeout = 120)
{
    changes_and_goes_on((const char *const[]){"transport.emphasis=0.6", "transport.bank=16", "transport.every=3", NULL},
                        "emphasis");
}

/* Kernels chosen by time are kept in the folder: a run that goes on takes them, and so has the bits of one that was not
 * stopped and began with the same. */
Test(trainer, measured_kernels_are_kept, .timeout = 120)
{
    static const char *const more[] = {"trainer.plan=measure", NULL};
    char from[SMALL_PATH + 64], to[SMALL_PATH + 64], line[1024];
    int64_t lines = 0;
    tries t;
    begin(&t, more);
    (void)train(&t, "whole", 0);
    (void)snprintf(from, sizeof from, "%s/part", t.folder);
    cr_assert_eq(mkdir(from, 0777), 0);
    (void)snprintf(from, sizeof from, "%s/whole/kernels.txt", t.folder);
    (void)snprintf(to, sizeof to, "%s/part/kernels.txt", t.folder);
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    cr_assert(in && out);
    for (; fgets(line, sizeof line, in); lines++)
        (void)fputs(line, out);
    cr_assert(fclose(in) == 0 && fclose(out) == 0);
    cr_expect_gt(lines, 10, "convolutions and products have choices");
    (void)train(&t, "part", 5);
    (void)train(&t, "part", 0);
    expect_same(t.folder, "whole/last.ckpt", "part/last.ckpt");
    for (in = fopen(to, "r"); in && fgets(line, sizeof line, in);)
        lines--;
    (void)fclose(in);
    cr_expect_eq(lines, 0, "what is known is not measured again");
    end(&t);
}

/* The gate's bank and classes are part of the run's state. */
Test(trainer, the_gate_goes_on_too, .timeout = 120)
{
    changes_and_goes_on((const char *const[]){"model.latent.gate=sheets", "transport.code=state", "transport.bank=16",
                                              "transport.every=3", NULL},
                        "the gate");
}

Test(trainer, the_law_learned_along_goes_on_too, .timeout = 120)
{
    static const char *const more[] = {"physics.identification.freeze=false", "trainer.steps=10", NULL};
    tries t;
    begin(&t, more);
    (void)train(&t, "whole", 0);
    (void)train(&t, "part", 4);
    (void)train(&t, "part", 0);
    expect_same(t.folder, "whole/last.ckpt", "part/last.ckpt");
    json_t *a = small_inspect(t.folder, "whole/last.ckpt"), *tensor;
    size_t i;
    const char *weights = NULL, *average = NULL;
    json_array_foreach(json_object_get(a, "tensors"), i, tensor)
    {
        const char *name = json_string_value(json_object_get(tensor, "name")),
                   *hash = json_string_value(json_object_get(tensor, "xxh64"));
        weights = strcmp(name, "weights/law/loss") == 0 ? hash : weights;
        average = strcmp(name, "ema/law/loss") == 0 ? hash : average;
    }
    cr_assert(weights && average);
    cr_expect_str_neq(weights, average, "the law did not move with the network");
    json_decref(a);
    end(&t);
}

/* The number of allocations does not depend on the number of updates: loader, objective, optimiser and loop make none.
 */
Test(trainer, steps_do_not_allocate, .timeout = 120)
{
    static const char *const quiet[] = {"trainer.log_every=100000", "trainer.eval_every=0",
                                        "trainer.term_norms_every=7", NULL};
    static const char *const counts[][2] = {{"trainer.steps=10", "physics.identification.steps=4"},
                                            {"trainer.steps=10", "physics.identification.steps=4"},
                                            {"trainer.steps=50", "physics.identification.steps=30"}};
    size_t made[3];
    for (int k = 0; k < 3; k++) {
        const char *more[] = {quiet[0], quiet[1], quiet[2], counts[k][0], counts[k][1], NULL};
        tries t;
        begin(&t, more);
        size_t before = fwm_allocation_count();
        (void)train(&t, "run", 0);
        made[k] = fwm_allocation_count() - before;
        end(&t);
    }
    cr_assert_gt(made[1], 100); /* the first makes what lives as long as the process */
    cr_expect_eq(made[1], made[2], "%zu allocations in 10 and 4 updates, %zu in 50 and 30", made[1], made[2]);
}

Test(trainer, another_dataset_of_the_same_name_is_refused, .timeout = 120)
{
    static const char *const more[] = {"data.file=data.h5", NULL};
    tries t;
    begin(&t, more);
    char path[SMALL_PATH + 32];
    const tr_train_options o = {.folder = "run", .stop_after = 2};
    tr_train_result result;
    char *back = getcwd(NULL, 0);
    cr_assert_eq(small_shell("cp %s %s/data.h5 && %s simulate " SMALL_CONFIG
                             " --set simulate.noise=0 --set simulate.deviation='[0.3, 0.4]' "
                             "--out %s/other.h5 >/dev/null 2>&1",
                             small_data(), t.folder, small_program(), t.folder),
                 0);
    cr_assert_eq(chdir(t.folder), 0);
    cr_assert_eq(tr_train(&result, t.config, &o, stderr), FWM_OK, "%s", fwm_error_message());
    cr_assert_eq(rename("other.h5", "data.h5"), 0);
    cr_expect_eq(tr_train(&result, t.config, &o, stderr), FWM_DATA);
    cr_expect_not_null(strstr(fwm_error_message(),
                              "data.h5: the dataset is not the one that run/last.ckpt was trained on: its state_mean"),
                       "%s", fwm_error_message());
    (void)snprintf(path, sizeof path, "%s", back);
    cr_assert_eq(chdir(path), 0);
    free(back);
    end(&t);
}

/* ---- the program ---- */

enum { MANY = 40 };
#define BASE_SETS                                                                                                      \
    "--set trainer.threads=1 --set data.trajectories=2 --set trainer.steps=60 --set schedule.warmup=4 --set "          \
    "trainer.eval_every=30 "                                                                                           \
    "--set trainer.log_every=1 --set physics.identification.steps=60"

/* Arguments of `fwm train` into FOLDER/run; `more` are further words, apart by blanks. */
static void arguments(const char *list[MANY], char *text, size_t capacity, const char *folder, const char *more)
{
    int n = 0;
    (void)snprintf(text, capacity, "train " SMALL_CONFIG " --set data.file=%s --out %s/run " BASE_SETS " %s",
                   small_data(), folder, more);
    for (char *word = strtok(text, " "); word && n < MANY - 1; word = strtok(NULL, " "))
        list[n++] = word;
    list[n] = NULL;
}

static pid_t start(const char *folder, const char *more)
{
    const char *list[MANY];
    char text[2048];
    arguments(list, text, sizeof text, folder, more);
    return small_spawn(folder, list);
}

static int run(const char *folder, const char *more)
{
    return small_wait(start(folder, more));
}

static bool exists(const char *folder, const char *name)
{
    char path[SMALL_PATH + 64];
    struct stat there;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &there) == 0;
}

/* Until run/metrics.jsonl says `what`, or run/NAME is there; false where the run ended before. */
static bool wait_for(const char *folder, pid_t child, const char *what, const char *name)
{
    siginfo_t state;
    for (;;) {
        if (what && strstr(small_text(folder, "run/metrics.jsonl"), what))
            return true;
        if (name && exists(folder, name))
            return true;
        memset(&state, 0, sizeof state);
        if (waitid(P_PID, (id_t)child, &state, WEXITED | WNOHANG | WNOWAIT) == 0 && state.si_pid == child)
            return false;
        small_pause();
    }
}

static int errors_of(const char *text)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, "error: ")) != NULL; at++)
        n++;
    return n;
}

/* One error, which says these. */
#define expect_error(folder, ...)                                                                                      \
    do {                                                                                                               \
        static const char *const words_[] = {__VA_ARGS__};                                                             \
        const char *err_ = small_text(folder, "err");                                                                  \
        cr_expect_eq(errors_of(err_), 1, "%s", err_);                                                                  \
        for (size_t w_ = 0; w_ < sizeof words_ / sizeof *words_; w_++)                                                 \
            cr_expect_not_null(strstr(err_, words_[w_]), "expected '%s' in: %s", words_[w_], err_);                    \
    } while (0)

/* An uninterrupted run of the same configuration as FOLDER/whole. */
static void uninterrupted(const char *folder)
{
    cr_assert_eq(run(folder, ""), 0, "%s", small_text(folder, "err"));
    cr_assert_eq(small_shell("mv %s/run %s/whole", folder, folder), 0);
}

Test(trainer, killed_at_any_moment_goes_on_to_the_same_bits, .timeout = 240)
{
    static const struct {
        const char *line, *file, *more;
        int signal;
    } moments[] = {
        {"\"identified\": 20,", NULL, "--set trainer.save_every=7", SIGKILL},
        {"\"identified\": 30,", NULL, "", SIGTERM}, /* saves within identification */
        {"\"identified\": 45,", NULL, "", SIGKILL},
        {NULL, "run/last.ckpt.new", "--set trainer.save_every=1", SIGKILL}, /* in a save */
        {"\"step\": 5,", NULL, "--set trainer.save_every=2", SIGKILL},
        {NULL, "run/last.ckpt.new", "--set trainer.save_every=1", SIGKILL},
        {"\"step\": 29,", NULL, "--set trainer.save_every=4", SIGINT},
        {"\"val_vrmse\"", NULL, "--set trainer.save_every=7", SIGKILL},
        {NULL, "run/last.ckpt.new", "--set trainer.save_every=1", SIGKILL},
        {"\"step\": 50,", NULL, "--set trainer.save_every=3", SIGUSR1},
    };
    char folder[SMALL_PATH];
    int cut = 0;
    small_folder(folder);
    uninterrupted(folder);
    for (size_t k = 0; k < sizeof moments / sizeof *moments; k++) {
        pid_t child = start(folder, moments[k].more);
        bool before_the_end = wait_for(folder, child, moments[k].line, moments[k].file);
        (void)kill(child, moments[k].signal);
        int status = small_wait(child);
        cut += before_the_end && status != 0;
        cr_expect(status == 0 || status == (moments[k].signal == SIGKILL ? 128 + SIGKILL : 1),
                  "moment %zu: status %d: %s", k, status, small_text(folder, "err"));
        if (status == 1)
            expect_error(folder, "stopped by SIG", "and saved; the same command goes on");
    }
    cr_expect_geq(cut, 7, "only %d of the signals came in time", cut);
    cr_assert_eq(run(folder, ""), 0, "%s", small_text(folder, "err"));
    expect_same(folder, "whole/last.ckpt", "run/last.ckpt");
    expect_same(folder, "whole/best.ckpt", "run/best.ckpt");
    small_remove(folder);
}

Test(trainer, signals_locks_and_ends, .timeout = 120)
{
    char folder[SMALL_PATH], holder[64];
    small_folder(folder);
    cr_assert_eq(run(folder, "--resume"), 1);
    expect_error(folder, "/run: no checkpoint to go on from; leave out --resume");
    pid_t child = start(folder, "--set trainer.save_every=5");
    cr_assert(wait_for(folder, child, "\"step\": 6,", NULL));
    cr_assert_eq(kill(child, SIGSTOP), 0); /* so that it is still there */
    char other[SMALL_PATH + 8];
    (void)snprintf(other, sizeof other, "%s/other", folder);
    cr_assert_eq(mkdir(other, 0777), 0);
    cr_assert_eq(small_shell("%s train " SMALL_CONFIG " --set data.file=%s --out %s/run " BASE_SETS " 2>%s/err",
                             small_program(), small_data(), folder, other),
                 1);
    (void)snprintf(holder, sizeof holder, "process %ld on ", (long)child);
    const char *err = small_text(other, "err");
    cr_expect_eq(errors_of(err), 1, "%s", err);
    cr_expect_not_null(strstr(err, "run/lock: expected a folder that no run is writing"), "%s", err);
    cr_expect_not_null(strstr(err, holder), "expected %s in: %s", holder, err);
    (void)kill(child, SIGUSR1);
    (void)kill(child, SIGCONT);
    cr_assert_eq(small_wait(child), 1, "%s", small_text(folder, "err"));
    expect_error(folder, "stopped by SIGUSR1 at step ", " of 60, and saved; the same command goes on");
    cr_expect(!exists(folder, "run/lock"));
    int64_t step = step_of(folder, "run/last.ckpt");
    cr_expect(step >= 6 && step < 60);

    cr_expect_eq(run(folder, "--set optimizer.lr=0.002"), 1);
    expect_error(folder, "run/last.ckpt: was trained with another configuration (optimizer.lr differs)", "--out");
    cr_expect_eq(run(folder, "--set physics.parameters.loss=6"), 1);
    expect_error(folder, "(physics.parameters.loss differs)");
    cr_expect_eq(step_of(folder, "run/last.ckpt"), step, "a refused command touched the run");
    /* What only watches may differ. */
    cr_expect_eq(run(folder, "--resume --set trainer.save_every=9 --set eval.horizon=10 --set data.prefetch=2"), 0,
                 "%s", small_text(folder, "err"));
    cr_expect_eq(step_of(folder, "run/last.ckpt"), 60);
    cr_expect_eq(run(folder, ""), 0);
    cr_expect_not_null(strstr(small_text(folder, "err"), "all 60 steps are done"), "%s", small_text(folder, "err"));
    cr_expect_not_null(strstr(small_text(folder, "out"), "run/best.ckpt\n"));
    small_remove(folder);
}

Test(trainer, a_full_disk_leaves_the_last_checkpoint, .timeout = 120)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    uninterrupted(folder);
    pid_t child = start(folder, "");
    cr_assert(wait_for(folder, child, "\"step\": 6,", NULL));
    (void)kill(child, SIGTERM);
    cr_assert_eq(small_wait(child), 1);
    int64_t step = step_of(folder, "run/last.ckpt");
    /* A checkpoint has about 2 MB; bash counts in KiB. */
    cr_expect_eq(small_shell("bash -c 'ulimit -f 700; exec %s train " SMALL_CONFIG
                             " --set data.file=%s --out %s/run " BASE_SETS " --set trainer.save_every=5' 2>%s/err",
                             small_program(), small_data(), folder, folder),
                 1);
    expect_error(folder, "/run/last.ckpt", "File too large");
    cr_expect(!exists(folder, "run/last.ckpt.new"));
    cr_expect(!exists(folder, "run/lock"));
    cr_expect_eq(step_of(folder, "run/last.ckpt"), step);
    cr_assert_eq(run(folder, ""), 0, "%s", small_text(folder, "err"));
    expect_same(folder, "whole/last.ckpt", "run/last.ckpt");
    small_remove(folder);
}

/* Turns over a byte in the middle of a file. */
static void damage(const char *folder, const char *name)
{
    char path[SMALL_PATH + 64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r+b");
    cr_assert(f && fseek(f, 900000, SEEK_SET) == 0);
    int byte = fgetc(f);
    cr_assert(byte >= 0 && fseek(f, 900000, SEEK_SET) == 0 && fputc(byte ^ 0xff, f) >= 0 && fclose(f) == 0);
}

Test(trainer, a_damaged_checkpoint_falls_back_and_is_not_begun_over, .timeout = 120)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    uninterrupted(folder);
    pid_t child = start(folder, "--set trainer.save_every=2");
    cr_assert(wait_for(folder, child, "\"step\": 8,", NULL));
    (void)kill(child, SIGTERM);
    cr_assert_eq(small_wait(child), 1);
    cr_assert_eq(small_shell("cp -r %s/run %s/lost", folder, folder), 0);
    damage(folder, "run/last.ckpt");
    cr_assert_eq(run(folder, "--resume"), 0, "%s", small_text(folder, "err"));
    cr_expect_not_null(strstr(small_text(folder, "err"), "loaded the one before it"), "%s", small_text(folder, "err"));
    expect_same(folder, "whole/last.ckpt", "run/last.ckpt");
    /* Both damaged: the run is not begun anew over what is left of it. */
    cr_assert_eq(small_shell("rm -r %s/run && mv %s/lost %s/run", folder, folder, folder), 0);
    damage(folder, "run/last.ckpt");
    damage(folder, "run/last.ckpt.prev");
    cr_expect_eq(run(folder, ""), 1);
    expect_error(folder, "run/last.ckpt: damaged: ");
    small_remove(folder);
}

Test(trainer, other_threads_are_told, .timeout = 60)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    pid_t child = start(folder, "");
    cr_assert(wait_for(folder, child, "\"step\": 4,", NULL));
    (void)kill(child, SIGTERM);
    cr_assert_eq(small_wait(child), 1);
    cr_expect_eq(run(folder, "--set trainer.threads=2"), 0, "%s", small_text(folder, "err"));
    cr_expect_not_null(strstr(small_text(folder, "err"), "the run goes on, but not to the same bits"), "%s",
                       small_text(folder, "err"));
    small_remove(folder);
}

Test(trainer, a_folder_that_cannot_be_made, .timeout = 60)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    cr_assert_eq(small_shell("touch %s/run", folder), 0);
    cr_expect_eq(run(folder, ""), 1);
    expect_error(folder, "/run/lock: cannot be opened: Not a directory");
    cr_expect_eq(run(folder, "--out /proc/nowhere/run"), 1);
    expect_error(folder, "/proc/nowhere: cannot make the folder: No such file or directory");
    small_remove(folder);
}

static void expect_finite(const char *folder, const char *name)
{
    char path[SMALL_PATH + 64];
    tr_checkpoint *ck;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(tr_checkpoint_load(&ck, path), FWM_OK, "%s", fwm_error_message());
    for (int64_t k = 0; k < tr_checkpoint_count(ck); k++) {
        const tr_tensor *t = tr_checkpoint_at(ck, k);
        int64_t n;
        size_t bytes;
        cr_assert_eq(tr_tensor_size(t, &n, &bytes), FWM_OK);
        for (int64_t i = 0; t->dtype == TR_F32 && i < n; i++)
            cr_assert(isfinite(((const float *)t->data)[i]), "%s: %s", name, t->name);
    }
    tr_checkpoint_destroy(ck);
}

Test(trainer, divergence_is_named, .timeout = 60)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    cr_expect_eq(run(folder, "--set optimizer.lr=10 --set optimizer.clip=0 --set trainer.save_every=1"), 1);
    expect_error(folder, "training diverged", "Lower optimizer.lr (10) or optimizer.clip (0)");
    expect_finite(folder, "run/last.ckpt");
    expect_finite(folder, "run/last.ckpt.prev");
    cr_assert_eq(small_shell("rm -r %s/run", folder), 0);
    /* A law that is not linear has no step from every state: validation ends in a null, the run goes on to its own end.
     */
    cr_expect_eq(run(folder, "--set optimizer.lr=10 --set optimizer.ema=0 --set trainer.eval_every=1 "
                             "--set physics.parameters.radiation=0.1 --set physics.parameters.temperature=3"),
                 1);
    expect_error(folder, "training diverged");
    cr_expect_not_null(strstr(small_text(folder, "err"), "validation: "), "%s", small_text(folder, "err"));
    cr_expect_not_null(strstr(small_text(folder, "run/metrics.jsonl"), "\"val_vrmse\": null"));
    expect_finite(folder, "run/best.ckpt");
    cr_assert_eq(small_shell("rm -r %s/run", folder), 0);
    cr_expect_eq(run(folder, "--set physics.identification.lr=10"), 1);
    expect_error(folder, "identification, step ", "heat: ", "a lower physics.identification.lr (10) may help");
    small_remove(folder);
}

Test(trainer, numbers_that_are_not_finite_in_the_data_are_named, .timeout = 60)
{
    char folder[SMALL_PATH], copy[SMALL_PATH + 32], more[SMALL_PATH + 128];
    const hsize_t node[4] = {1, 5, 17, 0}, pixel[3] = {0, 4, 2};
    small_folder(folder);
    (void)snprintf(copy, sizeof copy, "%s/data.h5", folder);
    cr_assert_eq(small_shell("cp %s %s", small_data(), copy), 0);
    small_damage(copy, "/state", 4, node, NAN);
    (void)snprintf(more, sizeof more, "--set data.file=%s", copy);
    cr_expect_eq(run(folder, more), 1); /* identification meets it */
    expect_error(folder, "data.h5: /state: trajectory 1, time 5, value 17: expected a finite number, found nan");
    (void)snprintf(more, sizeof more, "--set data.file=%s --set physics.identification.steps=0", copy);
    cr_expect_eq(run(folder, more), 1); /* the measure of the prior's error does */
    expect_error(folder, "data.h5: /state: trajectory 1, time 5, value 17: expected a finite number, found nan");
    cr_expect(!exists(folder, "run/last.ckpt"));
    (void)snprintf(more, sizeof more, "--variant data_only --set data.file=%s", copy);
    cr_expect_eq(run(folder, more), 1); /* training does */
    expect_error(folder, "data.h5: /state: trajectory 1, time 5, value 17: expected a finite number, found nan");
    cr_assert_eq(small_shell("cp %s %s", small_data(), copy), 0);
    small_damage(copy, "/actions", 3, pixel, INFINITY);
    cr_expect_eq(run(folder, more), 1);
    expect_error(folder, "data.h5: /actions: trajectory 0, time 4, value 2: expected a finite number, found inf");
    small_remove(folder);
}

Test(trainer, what_is_wrong_is_said_once, .timeout = 120)
{
    char folder[SMALL_PATH], more[2 * SMALL_PATH];
    small_folder(folder);
    cr_expect_eq(run(folder, "--set optimizer.lrr=1"), 1);
    expect_error(
        folder,
        "--set optimizer.lrr=1:1:11: optimizer.lrr: expected a key of optimizer, found \"lrr\"; did you mean lr?");
    cr_expect_eq(run(folder, "--set optimizer.lr=fast"), 1);
    expect_error(folder, "optimizer.lr: expected", "found", "fast");
    cr_expect_eq(run(folder, "--set data.file=/nowhere/data.h5"), 1);
    expect_error(folder, "/nowhere/data.h5: ", "No such file");
    cr_expect_eq(run(folder, "--set simulate.sources=[[0.2,0.2],[0.4,0.4]]"), 1);
    expect_error(folder, "simulate: 2 sources and loads, 1 ambient value(s) and 0 driven condition(s) make 3 actions",
                 "small.h5 has 5");
    cr_expect_eq(run(folder, "--variant nothing"), 1);
    expect_error(folder, "variants: expected one of the 5 variants, found \"nothing\"");

    (void)snprintf(more, sizeof more, "--set data.file=%s/cut.h5", folder);
    cr_assert_eq(small_shell("head -c 300000 %s > %s/cut.h5", small_data(), folder), 0);
    cr_expect_eq(run(folder, more), 1);
    expect_error(folder, "/cut.h5: ", "truncated");

    cr_assert_eq(small_shell("cp %s %s/cut.h5", small_data(), folder), 0);
    char path[SMALL_PATH + 16];
    (void)snprintf(path, sizeof path, "%s/cut.h5", folder);
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    cr_assert(H5Tset_size(type, 5) >= 0 && H5Adelete(f, "equation") >= 0);
    hid_t attribute = H5Acreate2(f, "equation", type, space, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(H5Awrite(attribute, type, "wave") >= 0);
    cr_assert(H5Aclose(attribute) >= 0 && H5Sclose(space) >= 0 && H5Tclose(type) >= 0 && H5Fclose(f) >= 0);
    cr_expect_eq(run(folder, more), 1);
    expect_error(folder, "/cut.h5: @equation: expected 'heat'", "found 'wave'");

    (void)snprintf(path, sizeof path, "%s/bad.yaml", folder);
    FILE *yaml = fopen(path, "w");
    cr_assert_not_null(yaml);
    (void)fprintf(yaml, "experiment: bad\ndata: {file: x.h5}\noptimizer:\n  lr: 0.001\n  ema: [1]\n");
    cr_assert_eq(fclose(yaml), 0);
    cr_expect_eq(small_shell("%s train %s 2>%s/err", small_program(), path, folder), 1);
    cr_expect_not_null(strstr(small_text(folder, "err"), "/bad.yaml:5:8: optimizer.ema: expected"), "%s",
                       small_text(folder, "err"));
    cr_expect(!exists(folder, "run"), "a command that failed has made a folder");
    small_remove(folder);
}

Test(trainer, several_processes_are_refused, .timeout = 60)
{
    char folder[SMALL_PATH];
    small_folder(folder);
    cr_expect_eq(small_shell("OMPI_COMM_WORLD_SIZE=4 %s train " SMALL_CONFIG
                             " --set data.file=%s --out %s/run 2>%s/err",
                             small_program(), small_data(), folder, folder),
                 1);
    expect_error(folder, "OMPI_COMM_WORLD_SIZE is 4: training runs in one process");
    small_remove(folder);
}

/* Under a memory limit activations are computed again: the prediction keeps to it, and the losses are the same. */
Test(trainer, memory_limit_changes_no_bit, .timeout = 120)
{
    char folder[SMALL_PATH], path[SMALL_PATH + 32], more[128];
    double loss[2], predicted[2];
    if (strstr(small_program(), "-san"))
        cr_skip_test("sanitizers have memory of their own");
    small_folder(folder);
    (void)snprintf(path, sizeof path, "%s/out", folder);
    for (int k = 0; k < 2; k++) {
        double limit = k ? predicted[0] - 3e6 : 1e12;
        (void)snprintf(more, sizeof more, "--dry-run --json --set data.batch=32 --set trainer.memory=%.0fB", limit);
        cr_assert_eq(run(folder, more), 0, "%s", small_text(folder, "err"));
        json_t *result = small_json(path);
        predicted[k] = json_number_value(json_object_get(result, "memory_predicted"));
        loss[k] = json_number_value(json_object_get(result, "loss"));
        cr_assert_leq(predicted[k], limit);
        json_decref(result);
    }
    cr_assert_eq(loss[0], loss[1], "%.17g without, %.17g with a limit", loss[0], loss[1]);
    cr_assert_eq(run(folder, "--dry-run --set trainer.memory=1MB"), 1);
    expect_error(folder, "trainer.memory: expected at least");
    small_remove(folder);
}

/* What --dry-run says before anything is allocated holds within 10 % for the whole run. */
Test(trainer, memory_is_predicted, .timeout = 120)
{
    char folder[SMALL_PATH], path[SMALL_PATH + 32];
    if (strstr(small_program(), "-san"))
        cr_skip_test("sanitizers have memory of their own");
    small_folder(folder);
    cr_assert_eq(run(folder, "--dry-run --json"), 0, "%s", small_text(folder, "err"));
    cr_expect(!exists(folder, "run"));
    (void)snprintf(path, sizeof path, "%s/out", folder);
    json_t *dry = small_json(path);
    double predicted = json_number_value(json_object_get(dry, "memory_predicted"));
    cr_expect_eq(json_integer_value(json_object_get(dry, "steps")), 2);
    cr_expect(json_is_object(json_object_get(dry, "config")));
    cr_assert_eq(run(folder, "--json --set trainer.eval_every=10"), 0, "%s", small_text(folder, "err"));
    json_t *last = small_json(path);
    double measured = json_number_value(json_object_get(last, "memory_peak"));
    cr_assert_gt(measured, 1e7);
    cr_expect_lt(fabs(predicted / measured - 1), 0.1, "predicted %.1f MB, measured %.1f MB", 1e-6 * predicted,
                 1e-6 * measured);
    /* The keys that scripts rely on. */
    static const char *const keys[] = {"step",      "seconds", "loss", "loss_state", "loss_frame",   "loss_kl",
                                       "loss_phys", "loss_ot", "lr",   "grad_norm",  "samples_per_s"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        cr_expect(json_is_number(json_object_get(last, keys[k])), "%s", keys[k]);
    json_decref(dry);
    json_decref(last);
    small_remove(folder);
}
