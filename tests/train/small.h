/* A small dataset and configuration for tests of the trainer, made by the program itself in a folder of the test. */
#ifndef TESTS_TRAIN_SMALL_H
#define TESTS_TRAIN_SMALL_H

#include "train/config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <hdf5.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SMALL_PATH = 256 };

static inline const char *small_program(void)
{
    static char path[SMALL_PATH];
    const char *build = getenv("FWM_BUILD");
    (void)snprintf(path, sizeof path, "%s/fwm", build ? build : "build");
    (void)setenv("OMP_WAIT_POLICY", "passive",
                 1); /* spinning threads of small runs only take turns on a busy machine */
    return path;
}

/* An empty folder under the system's temporary one; the caller removes it. */
static inline void small_folder(char folder[SMALL_PATH])
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, SMALL_PATH, "%s/fwm-test-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
}

static inline void small_remove(const char *folder)
{
    char command[SMALL_PATH + 32];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

/* Runs a shell command; its exit status, or 128 + signal. */
static inline int small_shell(const char *fmt, ...) FWM_PRINTF(1, 2);
static inline int small_shell(const char *fmt, ...)
{
    char command[2048];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The whole of a file as text (static buffer). */
static inline const char *small_text(const char *folder, const char *name)
{
    static char text[65536];
    char path[SMALL_PATH + 64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        (void)fclose(f);
    text[n] = '\0';
    return text;
}

#define SMALL_CONFIG "configs/heat_plate_small.yaml"

static inline void small_simulate(const char *folder)
{
    cr_assert_eq(small_shell("%s simulate " SMALL_CONFIG " --out %s/data.h5 >/dev/null 2>%s/err", small_program(),
                             folder, folder),
                 0, "%s", small_text(folder, "err"));
}

/* The small dataset, made once for all tests of a build: anew where program or configuration have changed since. */
static inline const char *small_data(void)
{
    static char path[SMALL_PATH];
    const char *build = getenv("FWM_BUILD");
    char engine[SMALL_PATH + 8];
    struct stat data, program;
    (void)snprintf(path, sizeof path, "%s/test-data/small.h5", build ? build : "build");
    (void)snprintf(engine, sizeof engine, "%s-engine", small_program());
    cr_assert_eq(stat(engine, &program), 0, "%s: build it first", engine);
    const bool fresh = stat(path, &data) == 0 && data.st_mtime > program.st_mtime;
    static const char command[] = "%s simulate " SMALL_CONFIG " --out %s %s >/dev/null 2>&1";
    if (!fresh || small_shell(command, small_program(), path, "") != 0)
        cr_assert_eq(small_shell(command, small_program(), path, "--force"), 0, "fwm simulate");
    return path;
}

static inline json_t *small_json(const char *path)
{
    json_error_t error;
    json_t *object = json_load_file(path, 0, &error);
    cr_assert_not_null(object, "%s: %s", path, error.text);
    return object;
}

/* What `fwm inspect FILE --json` says. */
static inline json_t *small_inspect(const char *folder, const char *file)
{
    char path[SMALL_PATH + 32];
    cr_assert_eq(
        small_shell("%s inspect --json %s/%s >%s/inspect.json 2>%s/err", small_program(), folder, file, folder, folder),
        0, "%s", small_text(folder, "err"));
    (void)snprintf(path, sizeof path, "%s/inspect.json", folder);
    return small_json(path);
}

/* The program in the background: standard output and error go to FOLDER/out and FOLDER/err. */
static inline pid_t small_spawn(const char *folder, const char *const *arguments)
{
    enum { MOST = 64 };
    char *argv[MOST] = {(char *)small_program()}, out[SMALL_PATH + 8], err[SMALL_PATH + 8];
    int n = 1;
    while (arguments[n - 1] && n < MOST - 1) {
        argv[n] = (char *)arguments[n - 1];
        n++;
    }
    (void)snprintf(out, sizeof out, "%s/out", folder);
    (void)snprintf(err, sizeof err, "%s/err", folder);
    posix_spawn_file_actions_t actions;
    pid_t child;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    (void)posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    cr_assert_eq(posix_spawn(&child, argv[0], &actions, NULL, argv, environ), 0, "%s: build it first", argv[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    return child;
}

/* Its exit status, or 128 + signal. */
static inline int small_wait(pid_t child)
{
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void small_pause(void)
{
    const struct timespec moment = {.tv_nsec = 200000};
    (void)nanosleep(&moment, NULL);
}

/* Overwrites one value of /name, at this index, of a dataset file. */
static inline void small_damage(const char *file, const char *name, int rank, const hsize_t *index, float value)
{
    const hsize_t one[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    hid_t f = H5Fopen(file, H5F_ACC_RDWR, H5P_DEFAULT), d = H5Dopen2(f, name, H5P_DEFAULT),
          from = H5Screate_simple(rank, one, NULL);
    hid_t to = H5Dget_space(d);
    cr_assert(H5Sselect_hyperslab(to, H5S_SELECT_SET, index, NULL, one, NULL) >= 0);
    cr_assert(H5Dwrite(d, H5T_NATIVE_FLOAT, from, to, H5P_DEFAULT, &value) >= 0);
    cr_assert(H5Sclose(to) >= 0 && H5Sclose(from) >= 0 && H5Dclose(d) >= 0 && H5Fclose(f) >= 0);
}

#endif
