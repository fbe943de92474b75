/* A small dataset and configuration for tests of the trainer, made by the program itself in a folder of the test. */
#ifndef TESTS_TRAIN_SMALL_H
#define TESTS_TRAIN_SMALL_H

#include "train/config.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL_PATH = 256 };

static inline const char *small_program(void)
{
    static char path[SMALL_PATH];
    const char *build = getenv("FWM_BUILD");
    (void)snprintf(path, sizeof path, "%s/fwm", build ? build : "build");
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

#endif
