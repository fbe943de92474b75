/* Profiles along named boundaries, for conditions whose form is told by a word. */
#ifndef FWM_PHYSICS_SPAN_H
#define FWM_PHYSICS_SPAN_H

#include "physics/fem.h"

/* The longest side of the box that holds a boundary: axis, and its two ends [L]. */
typedef struct fem_span {
    int axis;
    double lo, hi;
} fem_span;

/* A parabola along a boundary's longest side, x [dim]: 4 s (1 - s), s from 0 to 1; a fem_condition's profile, whose
 * context is the span. */
double fem_parabola(const double *x, void *span);

/* Gives each of `count` conditions its profile on this mesh, constant or a parabola; spans [count] must live until a
 * problem has copied the conditions. Errors: FWM_INVALID for a boundary that the mesh has not. */
fwm_status fem_conditions_shape(fem_condition *condition, fem_span *span, const bool *parabolic, int count,
                                const fem_mesh *mesh) FWM_MUST_USE;

/* Overwrites what essential conditions hold in a state [n,c]; a [A] are the actions, the last of which drive the
 * driven conditions in their order. */
fwm_status fem_conditions_lay(double *u, const fem_condition *condition, int count, const fem_equation *equation,
                              const fem_mesh *mesh, const double *a, int actions) FWM_MUST_USE;

#endif
