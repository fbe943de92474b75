/* Emphasis: importance sampling by scores, with the weights that keep means unbiased. */
#ifndef OT_EMPHASIS_H
#define OT_EMPHASIS_H

#include "model/transport/memory.h"

/* Draws M of n by q_i = (1 - gamma)/n + gamma b_i / sum b, scores b_i >= 0 (all 0: uniformly): index [M] ascending and
 * weight [M] = 1 / (n q_i), whose mean is 1 in expectation, so that sums of weight times value over M estimate the mean
 * over n without bias. Systematic sampling from one uniform number u in [0,1): i is drawn floor or ceil of M q_i times.
 */
void ot_emphasis_draw(int64_t *index, double *weight, int64_t M, int64_t n, const double *score, double gamma,
                      double u);

typedef struct ot_emphasis ot_emphasis;

/* As a graph value: of a pool of n predictions, scored by how far they are off the sheets of the memory's last look
 * (ot_support_score; before one: equal). Errors: FWM_INVALID, FWM_MEMORY. */
fwm_status ot_emphasis_create(ot_emphasis **e, ot_memory *memory, int64_t n, int64_t M, double gamma) FWM_MUST_USE;
void ot_emphasis_destroy(ot_emphasis **e);

/* [2,M]: indices, then weights, of pool [n,d] and u [1]. No gradient. */
ad_value ot_emphasis_value(ad_graph *g, ot_emphasis *e, ad_value pool, ad_value u);

#endif
