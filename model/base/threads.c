#include "model/base/threads.h"

#include <immintrin.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

extern int openblas_get_parallel(void);
enum { OPENBLAS_OPENMP = 2, DENORMALS_ARE_ZERO_FLUSH = 0x8040 };

void fwm_flush_denormals(void)
{
    _mm_setcsr(_mm_getcsr() | DENORMALS_ARE_ZERO_FLUSH);
}

int fwm_threads_available(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

fwm_status fwm_threads_init(int threads)
{
    FWM_CHECK(threads >= 0 && threads <= 1024, FWM_INVALID, "threads: expected 0 (all) to 1024, found %d", threads);
    FWM_CHECK(openblas_get_parallel() == OPENBLAS_OPENMP, FWM_LIBRARY,
              "OpenBLAS: expected the OpenMP flavour (libopenblas0-openmp), found threading model %d; "
              "check LD_LIBRARY_PATH and the alternatives of libopenblas.so.0",
              openblas_get_parallel());
    omp_set_dynamic(0);
    omp_set_num_threads(threads > 0 ? threads : fwm_threads_available());
    fwm_flush_denormals();
#pragma omp parallel
    fwm_flush_denormals();
    return FWM_OK;
}

int fwm_threads_count(void)
{
    return omp_get_max_threads();
}

static int detect_isa(void)
{
    __builtin_cpu_init();
    int level = 1;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        level = 3;
    if (level == 3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        level = 4;
    const char *want = getenv("FWM_ISA");
    if (want && want[0] >= '1' && want[0] <= '4' && want[1] == '\0' && want[0] - '0' < level)
        level = want[0] >= '3' ? 3 : 1;
    return level;
}

int fwm_isa_level(void)
{
    static int level;
    if (level == 0)
        level = detect_isa();
    return level;
}

double fwm_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
