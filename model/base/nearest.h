/* "Did you mean ...?": the candidate nearest to a word by edit distance ('-' and '_' are alike).
 *
 *     fwm_nearest_start(&nearest, word);
 *     fwm_nearest_offer(&nearest, candidate);    for each
 *     if (fwm_nearest_found(&nearest)) ... nearest.best ... */
#ifndef FWM_BASE_NEAREST_H
#define FWM_BASE_NEAREST_H

#include <stdbool.h>

enum { FWM_NEAREST_CAPACITY = 256 };

typedef struct fwm_nearest {
    const char *word;
    int distance, depth;
    char best[FWM_NEAREST_CAPACITY];
} fwm_nearest;

void fwm_nearest_start(fwm_nearest *nearest, const char *word);

/* A dotted candidate is compared by its last part too, so that `lr` finds `optimizer.lr`; of equally near ones the one
 * with fewer dots wins, then the first. */
void fwm_nearest_offer(fwm_nearest *nearest, const char *candidate);

/* Is the best near enough to be worth saying? */
bool fwm_nearest_found(const fwm_nearest *nearest);

#endif
