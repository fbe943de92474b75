#include "data/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_MAX = 120, LAST_USERBLOCK = 1 << 20, VERSION_AT = 8, CAME_BACK = 0 };

/* Of addresses beyond those that the process has when the trial begins. */
static const rlim_t MEMORY_MAX = (rlim_t)8 << 30;

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_report_fd(void *fd);
#endif

bool ds_trial_needed(const char *path)
{
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
    unsigned char head[VERSION_AT + 1];
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool needed = fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    for (off_t at = 0; fd >= 0 && !needed && at <= LAST_USERBLOCK; at = at == 0 ? 512 : 2 * at) {
        if (pread(fd, head, sizeof head, at) != (ssize_t)sizeof head)
            break;
        if (memcmp(head, signature, sizeof signature) == 0) {
            needed = head[VERSION_AT] < 2;
            break;
        }
    }
    if (fd >= 0)
        close(fd);
    return needed;
}

/* Pages of address space that this process has. */
static rlim_t address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%lu", &pages) != 1)
            pages = 0;
        (void)fclose(f);
    }
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void be_quiet_and_small(rlim_t memory)
{
    static const int deaths[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTERM, SIGINT};
    const struct rlimit none = {0, 0}, time = {SECONDS_MAX, SECONDS_MAX}, room = {memory, memory};
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
        (void)signal(deaths[i], SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)setrlimit(RLIMIT_CPU, &time);
#ifdef __SANITIZE_ADDRESS__ /* which reserves terabytes of addresses for itself */
    (void)room;
    __sanitizer_set_report_fd((void *)(intptr_t)null);
#else
    (void)setrlimit(RLIMIT_AS, &room);
#endif
    if (null >= 0)
        (void)dup2(null, STDERR_FILENO);
}

fwm_status ds_trial(const char *path, void (*attempt)(void *context), void *context)
{
    const rlim_t memory = address_space() + MEMORY_MAX;
    (void)fflush(NULL); /* what is buffered is not the child's to write */
    const pid_t child = fork();
    FWM_CHECK(child >= 0, FWM_LIBRARY, "%s: no process to try it in: %s", path, strerror(errno));
    if (child == 0) {
        be_quiet_and_small(memory);
        attempt(context);
        _exit(CAME_BACK);
    }
    int state = 0;
    pid_t found;
    do
        found = waitpid(child, &state, 0);
    while (found < 0 && errno == EINTR);
    FWM_CHECK(found == child, FWM_LIBRARY, "%s: the process that tried it is lost: %s", path, strerror(errno));
    FWM_CHECK(!WIFSIGNALED(state) || WTERMSIG(state) != SIGXCPU, FWM_DATA,
              "%s: expected metadata that can be read, found some that HDF5 does not come to the end of: the file is "
              "damaged",
              path);
    FWM_CHECK(
        WIFEXITED(state) && WEXITSTATUS(state) == CAME_BACK, FWM_DATA,
        "%s: expected metadata that can be read, found some that HDF5 dies of (tried in a process of its own: %s): "
        "the file is damaged",
        path, WIFSIGNALED(state) ? strsignal(WTERMSIG(state)) : "reported by a sanitizer");
    return FWM_OK;
}
