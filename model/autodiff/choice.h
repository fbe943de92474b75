/* Which of several kernels runs a shape: by each operator's rule, or by the time that each took on this machine.
 *
 * An operator that can run in several ways lists their names (ad_op.candidates). While choices are in use, a plan asks
 * them for each such value: what they remember is taken; with `measure`, what they do not know is timed once, on memory
 * of its own, and remembered; otherwise the operator's rule decides. Whoever keeps the file beside a run gets the same
 * kernels, and so the same bits, when the run goes on. A choice holds for one operator, its shapes and attributes, one
 * number of threads and one instruction set. */
#ifndef FWM_AUTODIFF_CHOICE_H
#define FWM_AUTODIFF_CHOICE_H

#include "model/autodiff/graph.h"

#include <stddef.h>

typedef struct ad_choices ad_choices;

fwm_status ad_choices_create(ad_choices **choices, bool measure) FWM_MUST_USE;
void ad_choices_destroy(ad_choices **choices); /* no plan may be made with them any more */

/* Adds what the file says, one choice a line: KEY, tab, name. No file: nothing. Errors: FWM_IO; FWM_DATA, naming the
 * line, for what is no choice or no name of a kernel that this operator has. */
fwm_status ad_choices_read(ad_choices *choices, const char *path) FWM_MUST_USE;
/* All of them, so that the file is never half written. Errors: FWM_IO. */
fwm_status ad_choices_write(const ad_choices *choices, const char *path) FWM_MUST_USE;
int ad_choices_count(const ad_choices *choices);
int ad_choices_measured(const ad_choices *choices); /* of them, since create */

/* What this thread's plans ask from now on; NULL: the rules alone. Not owned. */
void ad_choices_use(ad_choices *choices);

/* While op->prepare runs: the candidate that it must make, or FWM_UNSUPPORTED where it cannot; NULL: by its rule. */
const char *ad_preparing_choice(void);

#endif
