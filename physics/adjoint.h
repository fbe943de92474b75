/* The adjoint of the implicit step, checked: what a trainer logs while it relies on it. */
#ifndef FWM_PHYSICS_ADJOINT_H
#define FWM_PHYSICS_ADJOINT_H

#include "physics/fem.h"

/* *error: the largest |A^T l - g| / |g| of the adjoint solves of one step from u0 [n,c] with a [A], in float64, theta
 * too; a function of these inputs alone, below 1e-8 where the solver is sound. Errors: as fem_step. */
fwm_status fem_adjoint_check(fem_problem *p, double *error, const double *u0, const double *a,
                             const fem_theta *theta) FWM_MUST_USE;

#endif
