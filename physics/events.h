/* How suddenly a state changes: the measures that equations offer as their criterion of key states
 * (fem_equation.event_rate), all in 1/time, so that one threshold `key_rate` [1/time] means the same on every mesh and
 * at every frame rate. */
#ifndef FWM_PHYSICS_EVENTS_H
#define FWM_PHYSICS_EVENTS_H

#include "physics/mesh.h"

#define FEM_ABOUT_CROSSING(what) "share of the area whose " what ", for unit time"
#define FEM_ABOUT_RELATIVE(what) "change of the " what " for unit time, of its size (L2 norms)"

/* Share of the area where component `c` of `components` passes `level` between u0 and u1 [n,components], over dt. */
double fem_event_crossing(const fem_mesh *mesh, const float *u1, const float *u0, double dt, int components, int c,
                          double level);

/* |u1 - u0| / (dt max(|u1|,|u0|)) of components first .. first + width - 1, L2 norms over the mesh; 0 where both are
 * zero. */
double fem_event_relative(const fem_mesh *mesh, const float *u1, const float *u0, double dt, int components, int first,
                          int width);

#endif
