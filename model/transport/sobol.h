/* Sobol points: low-discrepancy points in the unit cube.
 *
 * Gray-code construction (Antonov and Saleev 1979) with the direction numbers of Joe and Kuo (Constructing Sobol
 * sequences with better two-dimensional projections, SIAM J. Sci. Comput. 30, 2008; set D(6), as they publish it). The
 * first 2^m points fill the cube evenly; a digital shift keeps that and takes them off the corner 0. Random access: a
 * point costs d * 32 operations at most. */
#ifndef OT_SOBOL_H
#define OT_SOBOL_H

#include "model/base/random.h"
#include "model/base/status.h"

enum { OT_SOBOL_DIMENSIONS = 64 };

/* Points first .. first+n-1 to out [n,d] in [0,1). shift: a random digital shift by this key, NULL for none (point 0 is
 * then the corner). Errors: FWM_UNSUPPORTED above 64 dimensions (take a bank of data or random points there: beyond
 * some tens of dimensions a few thousand Sobol points are no better), FWM_OVERFLOW past 2^32 points. */
fwm_status ot_sobol_fill(double *out, int64_t n, int64_t d, int64_t first, const fwm_key *shift) FWM_MUST_USE;

#endif
