#include "model/base/arena.h"
#include "model/base/random.h"
#include "tools/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void bench_fill(float *x, int64_t count)
{
    enum { PERIOD = 1 << 16 };
    fwm_random_normal_f32((fwm_key){.seed = 1, .stream = 0x62656e63}, 0, count < PERIOD ? count : PERIOD, x);
    for (int64_t i = PERIOD; i < count; i++)
        x[i] = x[i - PERIOD];
}

fwm_status bench_temporary(char path[BENCH_PATH])
{
    static const char file[] = "/bench.h5";
    const char *place = getenv("TMPDIR");
    const int n = snprintf(path, BENCH_PATH, "%s/fwm-bench-XXXXXX", place != NULL && place[0] != '\0' ? place : "/tmp");
    FWM_CHECK(n > 0 && (size_t)n + sizeof file < BENCH_PATH, FWM_INVALID, "TMPDIR: the path is too long");
    FWM_CHECK(mkdtemp(path) != NULL, FWM_IO, "%s: cannot make a folder: %s; set TMPDIR to a place that can be written",
              path, strerror(errno));
    memcpy(path + n, file, sizeof file);
    return FWM_OK;
}

void bench_forget(const char *path)
{
    char folder[BENCH_PATH];
    (void)unlink(path);
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    (void)rmdir(folder);
}

static fwm_status write_all(int fd, int64_t size)
{
    enum { PART = 1 << 20 };
    uint8_t *part = fwm_malloc(PART, 1);
    FWM_CHECK(part, FWM_MEMORY, "bench: out of memory");
    memset(part, 0x5a, PART); /* not zeros, which a file system may leave out */
    ssize_t written = 1;
    while (size > 0 && written > 0) {
        written = write(fd, part, size < PART ? (size_t)size : PART);
        size -= written;
    }
    fwm_free(part);
    FWM_CHECK(size == 0, FWM_IO, "a temporary file cannot be written: %s", strerror(errno));
    return FWM_OK;
}

fwm_status bench_plain_file(int *fd, int64_t size)
{
    char path[BENCH_PATH];
    FWM_TRY(bench_temporary(path));
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const int error = errno;
    bench_forget(path);
    FWM_CHECK(*fd >= 0, FWM_IO, "%s: cannot be made: %s", path, strerror(error));
    fwm_status status = write_all(*fd, size);
    if (status != FWM_OK) {
        (void)close(*fd);
        *fd = -1;
    }
    return status;
}

fwm_status bench_read(int fd, void *to, int64_t size, int64_t offset)
{
    char *at = to;
    while (size > 0) {
        const ssize_t n = pread(fd, at, (size_t)size, offset);
        FWM_CHECK(n > 0, FWM_IO, "a temporary file cannot be read: %s", n < 0 ? strerror(errno) : "it is too short");
        at += n;
        offset += n;
        size -= n;
    }
    return FWM_OK;
}
