/* Counter-based random numbers (Philox4x32-10, Random123; Salmon et al., SC 2011).
 *
 * A draw is a function of (seed, stream, step, index) and of nothing else: there is no generator state to save,
 * and no dependence on threads. `stream` names the consumer (an operator, the loader, the simulator). */
#ifndef FWM_BASE_RANDOM_H
#define FWM_BASE_RANDOM_H

#include <stdint.h>

typedef struct fwm_key {
    uint64_t seed;
    uint32_t stream;
} fwm_key;

/* Four 32-bit words for counter (step, index). */
void fwm_random_words(fwm_key key, uint64_t step, uint32_t index, uint32_t out[4]);

/* Uniform in the open interval (0,1) [-], 53 bits. */
double fwm_random_uniform(fwm_key key, uint64_t step, uint32_t index);

/* Standard normal [-] (Box-Muller on one counter). */
double fwm_random_normal(fwm_key key, uint64_t step, uint32_t index);

/* The same for n indices from `first` on, up to the last bits, several times quicker. */
void fwm_random_normals(fwm_key key, uint64_t step, uint32_t first, int64_t n, double *out);

/* Fill n values: element i depends on (key, step, i) only. */
void fwm_random_normal_f32(fwm_key key, uint64_t step, int64_t n, float *out);
void fwm_random_normal_f64(fwm_key key, uint64_t step, int64_t n, double *out);
void fwm_random_uniform_f32(fwm_key key, uint64_t step, int64_t n, float *out);
void fwm_random_uniform_f64(fwm_key key, uint64_t step, int64_t n, double *out);

/* Element `i` of a pseudo-random permutation of 0..n-1 chosen by (key, epoch): a six-round Feistel network with cycle
 * walking, so that a position in an epoch can be resumed without a table. n >= 1, 0 <= i < n. */
uint64_t fwm_random_permute(fwm_key key, uint64_t epoch, uint64_t n, uint64_t i);

#endif
