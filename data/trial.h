/* Doing something first in a process that may die of it.
 *
 * HDF5's older format carries no checksums, and HDF5 1.10.8 follows some damaged pointers in it out of bounds. So a
 * file of that format is opened once in a child, a copy of this process: whatever damage does there, it would have done
 * here, in the same order on the same heap. The child has a limit of processor time and of memory, and says nothing.
 * Cost: a fork and a second opening, 1 to 5 ms for a small process. */
#ifndef FWM_DATA_TRIAL_H
#define FWM_DATA_TRIAL_H

#include "model/base/status.h"

#include <stdbool.h>

/* Whether a file's metadata carries no checksums (superblock versions 0 and 1), or cannot be told from here: a folder.
 */
bool ds_trial_needed(const char *path);

/* Runs attempt(context) in a child; the lock of h5.h is held, by parent and child. FWM_OK when the child came back
 * from it, whatever it found. Errors: FWM_DATA, naming `path` (it died, or took too long), FWM_LIBRARY (no child). */
fwm_status ds_trial(const char *path, void (*attempt)(void *context), void *context) FWM_MUST_USE;

#endif
