/* Which clip is row b of batch k, and how much it weighs: a function of (data, options, scores, k) alone.
 *
 * Uniform: epoch e visits all clips in the keyed permutation fwm_random_permute(seed, e), each once; row r of the
 * global batch k is position k n + r of the endless sequence of epochs (n: rows of all ranks). Weighted: clip i is
 * drawn at rate q_i, proportional to its key-state factor times its score, with replacement. Row r of batch k takes the
 * clip at (p(r) + u) / n of the cumulated rates, u uniform in (0, 1), p a permutation of the n rows: each row is
 * uniform over all draws, and the rows of a batch are spread evenly (stratified sampling; Cochran, Sampling Techniques,
 * 1977, chapter 5). The weight 1 / (N q_i) makes the weighted mean over a batch an unbiased estimate of the mean over
 * all N clips. */
#ifndef FWM_DATA_SAMPLER_H
#define FWM_DATA_SAMPLER_H

#include "data/loader.h"

typedef struct ds_sampler {
    int64_t trajectories;
    int64_t *trajectory; /* [trajectories] that have a clip */
    int64_t *first_clip; /* [trajectories + 1] clips before each */
    uint64_t seed;
    int64_t rows;   /* n */
    float *factor;  /* [clips] by key state, NULL where none is asked for */
    double *scores; /* [clips], NULL where there are none */
    double *before; /* [clips + 1] rates of the clips before each; NULL: uniform */
} ds_sampler;

typedef struct ds_draw {
    int64_t trajectory, start;
    float weight;
} ds_draw;

/* Lists the clips of options->split, and reads key states where options->key_state_weight asks for them. On error the
 * sampler can still be destroyed. Errors: FWM_DATA, FWM_MEMORY, FWM_OVERFLOW, and of reading. */
fwm_status ds_sampler_create(ds_sampler *sampler, ds_dataset *ds, const ds_loader_options *options) FWM_MUST_USE;
void ds_sampler_destroy(ds_sampler *sampler);

int64_t ds_sampler_clips(const ds_sampler *sampler);
void ds_sampler_clip(const ds_sampler *sampler, int64_t i, int64_t *trajectory, int64_t *start);

/* scores [clips], finite and not negative, not all 0; copied. NULL: all alike. */
fwm_status ds_sampler_set_scores(ds_sampler *sampler, const double *scores) FWM_MUST_USE;

/* Row `row` (0 to n - 1) of global batch `step`. Allocates nothing. */
ds_draw ds_sampler_draw(const ds_sampler *sampler, int64_t step, int64_t row);

#endif
