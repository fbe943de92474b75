/* Published benchmarks, short versions: plain programs whose full versions print the figures of the README. */
#include <criterion/criterion.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

static void brief(const char *name, const char *one)
{
    char program[512], *argv[] = {program, (char *)"brief", (char *)(size_t)one, NULL};
    const char *build = getenv("FWM_BUILD");
    pid_t child;
    int status;
    (void)snprintf(program, sizeof program, "%s/tests/physics/program_benchmark_%s", build ? build : "build", name);
    cr_assert_eq(posix_spawn(&child, program, NULL, NULL, argv, environ), 0, "%s", program);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s brief %s: status %d", program, one,
              WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

Test(benchmarks, cavity_at_100)
{
    brief("flow", "cavity_100");
}
Test(benchmarks, cavity_at_1000)
{
    brief("flow", "cavity_1000");
}
Test(benchmarks, cylinder_at_20)
{
    brief("flow", "cylinder_steady");
}
Test(benchmarks, cantilever)
{
    brief("solid", "cantilever");
}
Test(benchmarks, elastica)
{
    brief("solid", "elastica");
}
Test(benchmarks, energy_and_momenta)
{
    brief("solid", "energy");
}
