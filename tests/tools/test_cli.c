/* The program as a user meets it: spawned, with its exit status and both outputs. FWM_BUILD names the build's folder.
 */
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "train/checkpoint.h"
#include "train/config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT = 1 << 19, ARGUMENTS = 20 };

typedef struct outcome {
    int status;
    double seconds;
    char *out, *err;
} outcome;

static const char *build_folder(void)
{
    const char *folder = getenv("FWM_BUILD");
    return folder != NULL ? folder : "build";
}

/* With sanitizers `fwm` is the whole program, and slow. */
static bool is_sanitized(void)
{
    return strstr(build_folder(), "-san") != NULL;
}

static char *read_back(int fd)
{
    char *text = calloc(1, OUTPUT);
    cr_assert_not_null(text);
    const ssize_t n = pread(fd, text, OUTPUT - 1, 0);
    cr_assert(n >= 0 && n < OUTPUT - 1);
    (void)close(fd);
    return text;
}

static int scratch(void)
{
    char path[] = "/tmp/fwm_cli_XXXXXX";
    const int fd = mkstemp(path);
    cr_assert(fd >= 0);
    (void)unlink(path);
    return fd;
}

static outcome spawn(const char *program, const char *const *arguments, const char *stdout_path)
{
    char *argv[ARGUMENTS + 2] = {(char *)program};
    for (int i = 0; arguments[i] != NULL; i++)
        argv[i + 1] = (char *)arguments[i];
    const int err = scratch(), out = stdout_path != NULL ? open(stdout_path, O_RDWR) : scratch();
    posix_spawn_file_actions_t actions;
    outcome o = {0};
    pid_t child;
    int status;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, out, 1);
    (void)posix_spawn_file_actions_adddup2(&actions, err, 2);
    const double start = fwm_seconds();
    cr_assert_eq(posix_spawn(&child, program, &actions, NULL, argv, environ), 0, "%s: build it first", program);
    cr_assert_eq(waitpid(child, &status, 0), child);
    o.seconds = fwm_seconds() - start;
    cr_assert(WIFEXITED(status), "%s was killed by signal %d", program, WTERMSIG(status));
    (void)posix_spawn_file_actions_destroy(&actions);
    o.status = WEXITSTATUS(status);
    o.out = stdout_path != NULL ? calloc(1, 1) : read_back(out);
    o.err = read_back(err);
    return o;
}

/* fwm with these arguments, ended by NULL. */
static outcome fwm(const char *first, ...)
{
    const char *list[ARGUMENTS + 1] = {first};
    char program[512];
    int n = first != NULL;
    va_list args;
    va_start(args, first);
    while (n > 0 && n < ARGUMENTS && (list[n] = va_arg(args, const char *)) != NULL)
        n++;
    va_end(args);
    (void)snprintf(program, sizeof program, "%s/fwm", build_folder());
    return spawn(program, list, NULL);
}

static void done(outcome *o)
{
    free(o->out);
    free(o->err);
}

#define expect(o, code, in_out, in_err)                                                                                \
    do {                                                                                                               \
        outcome result_ = (o);                                                                                         \
        cr_expect_eq(result_.status, code, "exit status %d\n%s", result_.status, result_.err);                         \
        cr_expect_not_null(strstr(result_.out, in_out), "%s", result_.out);                                            \
        cr_expect_not_null(strstr(result_.err, in_err), "%s", result_.err);                                            \
        done(&result_);                                                                                                \
    } while (0)

Test(cli, help)
{
    outcome o = fwm("help", NULL);
    static const char *const commands[] = {"doctor", "export", "help", "inspect", "simulate", "train", "eval"};
    cr_assert_eq(o.status, 0);
    cr_expect_str_eq(o.err, "");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        cr_expect_not_null(strstr(o.out, commands[i]), "%s", commands[i]);
    done(&o);
    expect(fwm("--help", NULL), 0, "Usage: fwm COMMAND", "");
    expect(fwm("--version", NULL), 0, "fwm " FWM_VERSION "\n", "");
    expect(fwm("help", "export", NULL), 0, "--weights=WHICH", "");
    expect(fwm("export", "--help", NULL), 0, "Usage: fwm export", "");
    expect(fwm("help", "config", "optimizer.lr", NULL), 0, "Learning rate", "");
    expect(fwm("help", "config", NULL), 0, "model.predictor.prior", "");
}

Test(cli, help_as_json)
{
    outcome o = fwm("help", "config", "--json", NULL);
    json_t *schema = json_loads(o.out, 0, NULL), *made;
    cr_assert_eq(o.status, 0);
    cr_assert_eq(tr_config_schema(&made), FWM_OK);
    cr_expect(json_equal(schema, made));
    json_decref(schema);
    json_decref(made);
    done(&o);
    o = fwm("help", "--json", NULL);
    json_t *list = json_loads(o.out, 0, NULL);
    cr_expect_str_eq(json_string_value(json_object_get(list, "version")), FWM_VERSION);
    cr_expect_gt(json_array_size(json_object_get(list, "commands")), 5);
    json_decref(list);
    done(&o);
}

Test(cli, used_wrongly)
{
    expect(fwm(NULL), 2, "", "error: expected a command\n");
    expect(fwm("hlep", NULL), 2, "", "error: unknown command hlep; did you mean help?\nerror: see `fwm help`\n");
    expect(fwm("--jsn", NULL), 2, "", "error: unknown option --jsn");
    expect(fwm("inspect", NULL), 2, "", "error: expected FILE, found 0 arguments\nerror: see `fwm help inspect`\n");
    expect(fwm("inspect", "a", "b", NULL), 2, "", "expected FILE, found 2 arguments");
    expect(fwm("inspect", "--jsn", "a", NULL), 2, "", "unknown option --jsn; did you mean --json?");
    expect(fwm("inspect", "--json=3", "a", NULL), 2, "", "--json: expected no value, found \"3\"");
    expect(fwm("inspect", "-x", "a", NULL), 2, "", "unknown option -x");
    expect(fwm("export", "a", "--out", NULL), 2, "", "--out: expected a value after it");
    expect(fwm("export", "a", "-o", NULL), 2, "", "-o: expected a value after it");
    expect(fwm("export", "--form", "x", "a", NULL), 2, "", "unknown option --form; did you mean --format?");
    expect(fwm("help", "trian", NULL), 2, "", "did you mean train?");
    expect(fwm("help", "config", "optimizer.l", NULL), 2, "", "did you mean optimizer.lr?");
}

Test(cli, ran_and_failed)
{
    expect(fwm("inspect", "/nowhere/at/all", NULL), 1, "", "error: /nowhere/at/all: cannot be opened");
    expect(fwm("inspect", "Makefile", NULL), 1, "", "error: Makefile: expected a safetensors header");
    /* what follows -- is an argument */
    expect(fwm("inspect", "--", "--json", NULL), 1, "", "error: --json: cannot be opened");
    char program[512];
    (void)snprintf(program, sizeof program, "%s/fwm", build_folder());
    outcome o = spawn(program, (const char *const[]){"help", NULL}, "/dev/full");
    cr_expect_eq(o.status, 1);
    cr_expect_not_null(strstr(o.err, "standard output cannot be written"), "%s", o.err);
    done(&o);
}

Test(cli, errors_of_a_configuration, .timeout = 60)
{
    char path[] = "/tmp/fwm_cli_XXXXXX";
    const int fd = mkstemp(path);
    static const char text[] = "experiment: x\ndata: {file: y, bach: 3}\nphysics: {parameters: {conductivity: hot}}\n";
    cr_assert(write(fd, text, sizeof text - 1) == sizeof text - 1);
    (void)close(fd);
    char expected[512];
    (void)snprintf(
        expected, sizeof expected,
        "error: %s:2:17: data.bach: expected a key of data, found \"bach\"; did you mean batch?\n"
        "error: %s:3:38: physics.parameters.conductivity: expected a number from -1e+12 to 1e+12, found \"hot\"\n",
        path, path);
    expect(fwm("train", path, NULL), 1, "", expected);
    (void)unlink(path);
}

Test(cli, doctor, .timeout = 60)
{
    outcome o = fwm("doctor", "--json", NULL);
    json_t *report = json_loads(o.out, 0, NULL);
    cr_assert_eq(o.status, 0, "%s\n%s", o.out, o.err);
    static const char *const one[] = {"openmp", "openblas", "hdf5"};
    for (int i = 0; i < 3; i++)
        cr_expect_eq(json_array_size(json_object_get(report, one[i])), 1, "%s", one[i]);
    cr_expect_eq(json_array_size(json_object_get(report, "problems")), 0);
    cr_expect_gt(json_array_size(json_object_get(report, "libraries")), 8);
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(report, "threads"), "available")),
                 fwm_threads_available());
    cr_expect_not_null(json_string_value(json_object_get(report, "isa")));
    json_decref(report);
    done(&o);
    expect(fwm("doctor", NULL), 0, "oneDNN", "");
}

static int find_yaml(struct dl_phdr_info *info, size_t size, void *path)
{
    (void)size;
    if (strstr(info->dlpi_name, "/libyaml-0") != NULL)
        (void)snprintf(path, 256, "%s", info->dlpi_name);
    return 0;
}

/* A library that calls itself an OpenMP runtime, loaded before all others: some library by another name. */
Test(cli, doctor_finds_a_second_openmp, .timeout = 60)
{
    if (is_sanitized())
        cr_skip_test("the sanitizer's library must come first");
    char folder[] = "/tmp/fwm_cli_XXXXXX", path[64], library[256] = "";
    cr_assert_not_null(mkdtemp(folder));
    (void)dl_iterate_phdr(find_yaml, library);
    (void)snprintf(path, sizeof path, "%s/libomp.so.5", folder);
    outcome copy = spawn("/bin/cp", (const char *const[]){library, path, NULL}, NULL);
    cr_assert_eq(copy.status, 0, "%s", copy.err);
    done(&copy);
    cr_assert_eq(setenv("LD_PRELOAD", path, 1), 0);
    expect(fwm("doctor", NULL), 1, "PROBLEM    expected one OpenMP runtime in the process, found 2",
           "error: 1 problem found");
    (void)unsetenv("LD_PRELOAD");
    (void)unlink(path);
    (void)rmdir(folder);
}

/* The small executable answers within 50 ms of wall time (about 1 ms on an idle core; the least of ten, so that a busy
 * machine does not decide), and says what is missing where its other half is. */
Test(cli, the_small_executable, .timeout = 60)
{
    if (is_sanitized())
        cr_skip_test("with sanitizers there is one executable");
    double least = 1;
    for (int i = 0; i < 10; i++) {
        outcome o = fwm("help", NULL);
        least = o.seconds < least ? o.seconds : least;
        done(&o);
    }
    cr_expect_lt(least, 0.05);
    char folder[] = "/tmp/fwm_cli_XXXXXX", path[64], command[700];
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/fwm", folder);
    (void)snprintf(command, sizeof command, "%s/fwm", build_folder());
    outcome copy = spawn("/bin/cp", (const char *const[]){command, path, NULL}, NULL);
    cr_assert_eq(copy.status, 0);
    done(&copy);
    outcome o = spawn(path, (const char *const[]){"doctor", NULL}, NULL);
    cr_expect_eq(o.status, 1);
    cr_expect_not_null(strstr(o.err, "fwm-engine: expected the program's other half beside it"), "%s", o.err);
    done(&o);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* ---- a checkpoint ---- */
static void save_checkpoint(const char *path)
{
    static const char text[] = "experiment: x\ndata: {file: y}\nphysics: {parameters: {conductivity: 1}}\n";
    tr_config *config;
    char *dump;
    cr_assert_eq(tr_config_parse(&config, text, strlen(text), "t.yaml", NULL, 0), FWM_OK);
    cr_assert_eq(tr_config_dump(config, &dump), FWM_OK);
    const float last[4] = {1, 2, 3, 4}, ema[4] = {5, 6, 7, 8};
    const tr_tensor tensors[] = {{.name = TR_WEIGHTS "w", .dtype = TR_F32, .rank = 2, .shape = {2, 2}, .data = last},
                                 {.name = TR_EMA "w", .dtype = TR_F32, .rank = 2, .shape = {2, 2}, .data = ema},
                                 {.name = "moment1/w", .dtype = TR_F32, .rank = 2, .shape = {2, 2}, .data = last}};
    json_t *position = json_pack("{s:i,s:i}", "step", 7, "seed", 3),
           *about = json_pack("{s:{s:f}}", "normalisation", "mean", 0.5);
    const tr_checkpoint_content content = {
        .tensors = tensors, .count = 3, .position = position, .about = about, .config = dump};
    cr_assert_eq(tr_checkpoint_save(path, &content, false), FWM_OK, "%s", fwm_error_message());
    json_decref(position);
    json_decref(about);
    fwm_free(dump);
    tr_config_destroy(config);
}

static void inspect_one(const char *path)
{
    outcome o = fwm("inspect", path, "--json", NULL);
    json_t *report = json_loads(o.out, 0, NULL);
    tr_checkpoint *c;
    cr_assert_eq(o.status, 0, "%s", o.err);
    cr_expect_str_eq(json_string_value(json_object_get(report, "kind")), "checkpoint");
    cr_expect_str_eq(json_string_value(json_object_get(report, "version")), FWM_VERSION);
    cr_expect_eq(json_integer_value(json_object_get(report, "step")), 7);
    cr_expect_eq(json_integer_value(json_object_get(report, "seed")), 3);
    cr_expect_eq(json_integer_value(json_object_get(report, "parameters")), 4);
    cr_assert_eq(tr_checkpoint_load(&c, path), FWM_OK);
    cr_expect_str_eq(json_string_value(json_object_get(report, "digest")), tr_checkpoint_digest(c));
    tr_checkpoint_destroy(c);
    cr_expect_str_eq(json_string_value(json_object_get(json_object_get(report, "config"), "experiment")), "x");
    const json_t *tensor = json_array_get(json_object_get(report, "tensors"), 0);
    cr_expect_eq(json_array_size(json_object_get(report, "tensors")), 3);
    cr_expect_str_eq(json_string_value(json_object_get(tensor, "name")), "ema/w");
    cr_expect_str_eq(json_string_value(json_object_get(tensor, "dtype")), "F32");
    cr_expect_eq(json_array_size(json_object_get(tensor, "shape")), 2);
    cr_expect_eq(strlen(json_string_value(json_object_get(tensor, "xxh64"))), 16);
    json_decref(report);
    done(&o);
    expect(fwm("inspect", path, NULL), 0, "ema/w", "");
}

static void export_one(const char *path, const char *exported)
{
    tr_safetensors *file;
    expect(fwm("export", path, "--format", "safetensor", NULL), 2, "", "did you mean safetensors?");
    expect(fwm("export", path, "--weights", "both", NULL), 2, "", "expected ema or last");
    expect(fwm("export", path, "-o", path, "--force", NULL), 1, "", "expected another file than the checkpoint itself");
    expect(fwm("export", path, NULL), 0, exported, "read back and compared");
    expect(fwm("export", path, NULL), 1, "", "is there already: give --force");
    cr_assert_eq(tr_safetensors_open(&file, exported), FWM_OK, "%s", fwm_error_message());
    cr_expect_eq(tr_safetensors_count(file), 1);
    cr_expect_arr_eq(tr_safetensors_find(file, "w")->data, ((float[]){5, 6, 7, 8}), 16);
    cr_expect_str_eq(tr_safetensors_text(file, "format"), "fwm-export-1");
    cr_expect_str_eq(tr_safetensors_text(file, "weights"), "ema");
    cr_expect_str_eq(tr_safetensors_text(file, "step"), "7");
    cr_expect_str_eq(tr_safetensors_text(file, "normalisation"), "{\"mean\":0.5}");
    tr_safetensors_close(file);
    expect(fwm("export", path, "--weights", "last", "--force", "--json", NULL), 0, "\"parameters\":4", "");
    cr_assert_eq(tr_safetensors_open(&file, exported), FWM_OK);
    cr_expect_arr_eq(tr_safetensors_find(file, "w")->data, ((float[]){1, 2, 3, 4}), 16);
    tr_safetensors_close(file);
    expect(fwm("inspect", exported, "--json", NULL), 0, "\"kind\":\"export\"", "");
}

Test(cli, checkpoint, .timeout = 120)
{
    char folder[] = "/tmp/fwm_cli_XXXXXX", path[64], previous[80], exported[64];
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/best.ckpt", folder);
    (void)snprintf(previous, sizeof previous, "%s.prev", path);
    (void)snprintf(exported, sizeof exported, "%s/best.safetensors", folder);
    save_checkpoint(path);
    inspect_one(path);
    export_one(path, exported);
    /* the one before, aloud */
    cr_assert_eq(rename(path, previous), 0);
    expect(fwm("inspect", path, "--json", NULL), 0, "\"kind\":\"checkpoint\"", "loaded the one before it");
    (void)unlink(previous);
    (void)unlink(exported);
    cr_expect_eq(rmdir(folder), 0);
}

/* ---- a dataset ---- */
static double residual_of(const char *folder, const char *substeps)
{
    char path[64], set[64];
    (void)snprintf(path, sizeof path, "%s/%s.h5", folder, substeps);
    (void)snprintf(set, sizeof set, "simulate.substeps=%s", substeps);
    outcome o =
        fwm("simulate", "configs/heat_plate_small.yaml", "--out", path, "--set", set, "--set", "simulate.train=2",
            "--set", "simulate.validation=0", "--set", "simulate.test=1", "--set", "simulate.test_ood=0", NULL);
    cr_assert_eq(o.status, 0, "%s", o.err);
    done(&o);
    o = fwm("inspect", path, "--json", NULL);
    cr_assert_eq(o.status, 0, "%s", o.err);
    json_t *report = json_loads(o.out, 0, NULL);
    cr_expect_str_eq(json_string_value(json_object_get(report, "kind")), "dataset");
    cr_expect_str_eq(json_string_value(json_object_get(report, "layout")), "fwm");
    cr_expect_eq(json_integer_value(json_object_get(report, "trajectories")), 3);
    cr_expect_eq(json_integer_value(json_object_get(report, "steps")), 13);
    cr_expect_eq(json_integer_value(json_object_get(report, "actions")), 5);
    cr_expect_eq(json_integer_value(json_object_get(report, "nan")), 0);
    cr_expect_eq(json_array_size(json_object_get(report, "frames")), 3);
    cr_expect_eq(json_real_value(json_object_get(report, "dt")), 5e-4);
    const json_t *residual = json_object_get(report, "residual");
    cr_assert(json_is_real(residual), "%s", o.err);
    const double value = json_real_value(residual);
    json_decref(report);
    done(&o);
    (void)unlink(path);
    return value;
}

/* The residual is that of one implicit step between frames. Data simulated by one such step are on it but for the
 * rounding of states to float32: R = (M/dt) d with |d| <= 2^-24 |u|, so that the dual norm is about |d|^2 / s^2 <=
 * (6e-8 * 4 / 0.3)^2 = 6e-13. With four substeps a frame the data are another scheme's: the residual is the
 * time-stepping error, far above. */
Test(cli, residual_of_a_dataset, .timeout = 120)
{
    char folder[] = "/tmp/fwm_cli_XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    const double same = residual_of(folder, "1"), other = residual_of(folder, "4");
    cr_expect(same >= 0 && same < 6e-13, "%g", same);
    cr_expect(other > 1e-6 && other < 1e-2, "%g", other);
    (void)rmdir(folder);
}
