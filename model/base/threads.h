/* Threads: one OpenMP runtime serves oneDNN, OpenBLAS and our loops. */
#ifndef FWM_BASE_THREADS_H
#define FWM_BASE_THREADS_H

#include "model/base/status.h"

#include <stdint.h>

/* Loops shorter than this many elements run on the calling thread: a fork-join costs about 0.8 us. */
#define FWM_PARALLEL_MIN 16384

/* Sets the number of threads (0: as many as the affinity mask allows), flushes denormals in every one of them, and
 * holds that the process has the OpenMP flavour of OpenBLAS. May be called again. Errors: FWM_LIBRARY when another
 * flavour of OpenBLAS was loaded. */
fwm_status fwm_threads_init(int threads) FWM_MUST_USE;

/* The number that parallel regions use. */
int fwm_threads_count(void);

/* Processors in the affinity mask of this process. */
int fwm_threads_available(void);

/* Flush-to-zero and denormals-are-zero for the calling thread (a thread made outside OpenMP calls it itself). */
void fwm_flush_denormals(void);

/* The instruction set that kernels are chosen for: 1 x86-64, 3 AVX2+FMA, 4 AVX-512 (F, DQ, BW, VL). The environment
 * variable FWM_ISA (1, 3 or 4) lowers it. Constant for the life of the process. */
int fwm_isa_level(void);

/* Monotonic seconds. */
double fwm_seconds(void);

#endif
