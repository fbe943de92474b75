/* From exec to exit: of the small executable, and of one that builds the reference model S and takes a step. */
#include "model/base/arena.h"
#include "tools/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* size: 1 for the step. */
typedef struct state {
    bool step;
    char program[PATH_MAX];
    posix_spawn_file_actions_t quiet;
} state;

/* `fwm` stands beside the executable that runs now. */
static fwm_status open_case(bench_job *job)
{
    state *s = job->self = fwm_calloc(1, sizeof *s);
    FWM_CHECK(s, FWM_MEMORY, "out of memory");
    s->step = job->row->size[0] == 1;
    FWM_CHECK(posix_spawn_file_actions_init(&s->quiet) == 0 &&
                  posix_spawn_file_actions_addopen(&s->quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0,
              FWM_MEMORY, "out of memory");
    const ssize_t n = readlink("/proc/self/exe", s->program, sizeof s->program - 8);
    char *slash = n > 0 ? strrchr(s->program, '/') : NULL;
    FWM_CHECK(slash, FWM_IO, "/proc/self/exe: cannot be read: %s", strerror(errno));
    memcpy(slash + 1, "fwm", sizeof "fwm");
    FWM_CHECK(access(s->program, X_OK) == 0, FWM_IO, "%s: expected the program there: %s", s->program, strerror(errno));
    job->items = 1;
    return FWM_OK;
}

static fwm_status run(void *self)
{
    state *s = self;
    static char name[] = "fwm", help[] = "help", bench[] = "bench", model[] = "step_s", once[] = "--once";
    char *const argv[] = {name, s->step ? bench : help, s->step ? model : NULL, once, NULL};
    pid_t child;
    int status = 0;
    const int error = posix_spawn(&child, s->program, &s->quiet, NULL, argv, environ);
    FWM_CHECK(error == 0, FWM_IO, "%s: cannot be started: %s", s->program, strerror(error));
    pid_t ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR)
        ended = waitpid(child, &status, 0);
    FWM_CHECK(ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, FWM_INTERNAL,
              "%s %s: expected exit status 0, found wait status %d", s->program, argv[1], status);
    return FWM_OK;
}

static void close_case(void *self)
{
    state *s = self;
    if (s)
        (void)posix_spawn_file_actions_destroy(&s->quiet);
    fwm_free(s);
}

extern const bench_case bench_cases_startup[];
const bench_case bench_cases_startup[] = {
    {"startup", "fwm help, from exec to exit", BENCH_MS, BENCH_NONE, .open = open_case, .run = run,
     .close = close_case},
    {"startup_s", "fwm bench step_s --once: from exec through the first step of S to exit", BENCH_MS, BENCH_NONE,
     .size = {1}, .open = open_case, .run = run, .close = close_case},
    {0}};
