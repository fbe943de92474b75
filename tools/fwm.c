/* The small executable: help and wrong usage are answered here, within milliseconds; everything else is handed to
 * fwm-engine, which stands in the same folder and takes the process over (same process id, same descriptors). */
#include "tools/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The OpenMP runtime reads its environment when it is loaded, so what it is told must be told before. Between parallel
 * regions its threads spin for about a millisecond by default; where other processes want the processors, each region
 * then waits for a thread that was taken off one: a training step on two processors with six runnable processes
 * took 1.4 s, and 0.19 s with a spin of some 20 us, which still bridges the gap from one kernel to the next. What the
 * user has set is left alone. */
static void tell_openmp(void)
{
    if (!getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT"))
        (void)setenv("GOMP_SPINCOUNT", "3000", 0);
}

static fwm_status hand_over(fwm_call *call, int argc, char **argv)
{
    (void)argc;
    if (call->command->light)
        return fwm_run_help(call);
    char path[PATH_MAX + 16];
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    FWM_CHECK(n > 0, FWM_IO, "/proc/self/exe: cannot be read: %s", strerror(errno));
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    (void)strcpy(slash + 1, "fwm-engine");
    argv[-1] = path; /* main's argv[0] */
    tell_openmp();
    (void)execv(path, argv - 1);
    return fwm_fail(FWM_IO, "%s: expected the program's other half beside it, found: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
    return fwm_main(argc, argv, hand_over);
}
