/* Several processes: a plain program under mpirun, because Criterion itself must not run there. */
#include <criterion/criterion.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

static void run(const char *processes)
{
    char program[512],
        *argv[] = {"timeout", "100", "mpirun", "--oversubscribe", "-n", (char *)processes, program, NULL};
    const char *build = getenv("FWM_BUILD");
    pid_t child;
    int status;
    (void)snprintf(program, sizeof program, "%s/tests/physics/program_distribute", build ? build : "build");
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    cr_assert_eq(posix_spawnp(&child, "timeout", NULL, NULL, argv, environ), 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "mpirun -n %s %s: status %d", processes, program,
              WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

Test(distribute, two_processes_hold_one_mesh)
{
    run("2");
}

Test(distribute, three_processes_hold_one_mesh)
{
    run("3");
}
