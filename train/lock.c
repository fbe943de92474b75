/* The lock of a run's folder. */
#include "model/base/arena.h"
#include "train/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOLDER_CAPACITY = 256, ATTEMPTS = 16 };

struct tr_lock {
    int fd;
    char path[PATH_MAX];
};

static fwm_status refuse(int fd, const char *path)
{
    char holder[HOLDER_CAPACITY] = "another process";
    const ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
    if (n > 0)
        holder[n] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return fwm_fail(FWM_IO, "%s: expected a folder that no run is writing, found it held by %s: wait, or give --out",
                    path, holder);
}

/* Is the locked file still the one that the path names? (A holder that leaves takes the file away.) */
static bool is_current(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_dev == named.st_dev &&
           mine.st_ino == named.st_ino;
}

static void write_holder(int fd)
{
    char host[128] = "", text[HOLDER_CAPACITY];
    (void)gethostname(host, sizeof host - 1);
    const int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    /* For people only: the lock holds whether this is written or not. */
    if (n > 0 && ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, text, (size_t)n, 0);
}

fwm_status tr_lock_acquire(tr_lock **out, const char *folder)
{
    *out = NULL;
    tr_lock *lock = fwm_calloc(1, sizeof *lock);
    fwm_status status = FWM_OK;
    FWM_CHECK(lock != NULL, FWM_MEMORY, "%s: no memory for its lock", folder);
    lock->fd = -1;
    FWM_CHECK_GOTO(status, snprintf(lock->path, sizeof lock->path, "%s/lock", folder) < PATH_MAX, FWM_INVALID,
                   "%s: expected a shorter path", folder);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        FWM_CHECK_GOTO(status, lock->fd >= 0, FWM_IO, "%s: cannot be opened: %s", lock->path, strerror(errno));
        if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
            status = errno == EWOULDBLOCK ? refuse(lock->fd, lock->path)
                                          : fwm_fail(FWM_IO, "%s: cannot be locked: %s", lock->path, strerror(errno));
            goto done;
        }
        if (is_current(lock->fd, lock->path)) {
            write_holder(lock->fd);
            *out = lock;
            return FWM_OK;
        }
        (void)close(lock->fd);
        lock->fd = -1;
    }
    status = fwm_fail(FWM_IO, "%s: others take and leave it all the time", lock->path);
done:
    if (lock->fd >= 0)
        (void)close(lock->fd);
    fwm_free(lock);
    return status;
}

void tr_lock_release(tr_lock *lock)
{
    if (lock == NULL)
        return;
    (void)unlink(lock->path); /* while it is held, so that nobody's else is taken away */
    (void)close(lock->fd);
    fwm_free(lock);
}
