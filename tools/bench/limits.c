/* The machine's limits: multiply-adds in registers, a large matrix product, memory, and a cached file. */
#include "model/autodiff/kernels/machine.h"
#include "model/base/arena.h"
#include "model/base/threads.h"
#include "tools/bench/bench.h"

#include <cblas.h>
#include <dnnl.h>
#include <omp.h>
#include <unistd.h>

enum {
    ROUNDS = 4000000, /* of multiply-adds: about 10 ms */
    N = 2048,
    ALIGNED = 1024,    /* floats: a thread's share of the triad is a multiple */
    SHARES_MOST = 256, /* threads that the triad is divided among */
    FILE_BYTES = 32 << 20,
    PART = 1 << 20,
    CACHES = 2 /* an array of the triad is as large as so many third-level caches, so that three of them leave nothing
                  there */
};
static const int64_t TRIAD_LEAST = 8 << 20, TRIAD_MOST = 32 << 20; /* floats */

struct bench_machine {
    const ad_machine_kernels *kernels;
    int threads;
    double sum; /* keeps the multiply-adds alive */
    float *gemm[3];
    bool openblas; /* the better of two libraries for the matrix product */
    float *triad[3];
    int64_t length;
    int fd;
    char *part;
};

static fwm_status run_fma(void *self)
{
    bench_machine *m = self;
    double sum = 0;
#pragma omp parallel reduction(+ : sum)
    sum += m->kernels->multiply_add(ROUNDS, 0.999, 0.001 + 1e-9 * omp_get_thread_num());
    m->sum += sum;
    return FWM_OK;
}

static fwm_status multiply(bench_machine *m, int n)
{
    if (m->openblas) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, m->gemm[1], n, m->gemm[2], n, 0, m->gemm[0],
                    n);
        return FWM_OK;
    }
    FWM_CHECK(dnnl_sgemm('N', 'N', n, n, n, 1, m->gemm[1], n, m->gemm[2], n, 0, m->gemm[0], n) == dnnl_success,
              FWM_LIBRARY, "dnnl_sgemm of %d x %d x %d failed", n, n, n);
    return FWM_OK;
}

static fwm_status run_sgemm(void *self)
{
    return multiply(self, N);
}

static fwm_status run_triad(void *self)
{
    bench_machine *m = self;
    const int64_t share = m->length / m->threads / ALIGNED * ALIGNED;
#pragma omp parallel for schedule(static)
    for (int t = 0; t < m->threads; t++) {
        const int64_t begin = t * share, end = t + 1 == m->threads ? m->length : begin + share;
        m->kernels->triad(m->triad[0] + begin, m->triad[1] + begin, m->triad[2] + begin, 1.5, end - begin);
    }
    return FWM_OK;
}

static fwm_status run_pread(void *self)
{
    const bench_machine *m = self;
    for (int64_t at = 0; at < FILE_BYTES; at += PART)
        FWM_TRY(bench_read(m->fd, m->part, PART, at));
    return FWM_OK;
}

/* Each library on a small product for its start, then on the large one by the clock. */
static fwm_status choose_library(bench_machine *m)
{
    double seconds[2];
    for (int k = 0; k < 2; k++) {
        m->openblas = k == 1;
        FWM_TRY(multiply(m, N / 8));
        const double start = fwm_seconds();
        FWM_TRY(multiply(m, N));
        seconds[k] = fwm_seconds() - start;
    }
    m->openblas = seconds[1] < seconds[0];
    return FWM_OK;
}

static fwm_status make(bench_machine *m)
{
    const size_t square = (size_t)N * N;
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    m->kernels = ad_machine_find(AD_F32, fwm_isa_level());
    m->threads = fwm_threads_count() < SHARES_MOST ? fwm_threads_count() : SHARES_MOST;
    m->length = cache > 0 ? CACHES * (int64_t)cache / (int64_t)sizeof(float) : TRIAD_LEAST;
    m->length = m->length < TRIAD_LEAST ? TRIAD_LEAST : m->length > TRIAD_MOST ? TRIAD_MOST : m->length;
    m->length = m->length / ALIGNED * ALIGNED;
    for (int k = 0; k < 3; k++) {
        FWM_TRY(fwm_block_alloc((void **)&m->gemm[k], square * sizeof(float)));
        FWM_TRY(fwm_block_alloc((void **)&m->triad[k], (size_t)m->length * sizeof(float)));
        if (k > 0)
            bench_fill(m->gemm[k], (int64_t)square);
    }
    /* Touched before they are read: pages that nobody wrote are all one and the same page of zeros. */
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < m->length; i++)
        m->triad[0][i] = m->triad[1][i] = m->triad[2][i] = 1;
    m->part = fwm_malloc(PART, 1);
    FWM_CHECK(m->part, FWM_MEMORY, "bench: out of memory");
    FWM_TRY(bench_plain_file(&m->fd, FILE_BYTES));
    return choose_library(m);
}

fwm_status bench_machine_create(bench_machine **out)
{
    bench_machine *m = fwm_calloc(1, sizeof *m);
    *out = NULL;
    FWM_CHECK(m, FWM_MEMORY, "bench: out of memory");
    m->fd = -1;
    fwm_status status = make(m);
    if (status != FWM_OK)
        bench_machine_destroy(&m);
    *out = m;
    return status;
}

void bench_machine_destroy(bench_machine **machine)
{
    bench_machine *m = *machine;
    if (!m)
        return;
    for (int k = 0; k < 3; k++) {
        fwm_block_free(m->gemm[k], (size_t)N * N * sizeof(float));
        fwm_block_free(m->triad[k], (size_t)m->length * sizeof(float));
    }
    if (m->fd >= 0)
        (void)close(m->fd);
    fwm_free(m->part);
    fwm_free(m);
    *machine = NULL;
}

bench_runner bench_machine_runner(bench_limit limit)
{
    static const bench_runner runner[BENCH_LIMIT_COUNT] = {
        [BENCH_FMA] = run_fma, [BENCH_SGEMM] = run_sgemm, [BENCH_TRIAD] = run_triad, [BENCH_PREAD] = run_pread};
    return runner[limit];
}

double bench_machine_items(const bench_machine *m, bench_limit limit)
{
    const double items[BENCH_LIMIT_COUNT] = {[BENCH_FMA] =
                                                 (double)ROUNDS * m->kernels->flops_per_round * fwm_threads_count(),
                                             [BENCH_SGEMM] = 2.0 * N * N * N,
                                             [BENCH_TRIAD] = 3.0 * (double)m->length * sizeof(float),
                                             [BENCH_PREAD] = FILE_BYTES};
    return items[limit];
}
