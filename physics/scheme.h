/* Time schemes as numbers: each substep of fem_step evaluates the weak form once, at
 *
 *     u = alpha u1 + (1 - alpha) u0,     u_t = beta (u1 - u0) + w,     w = recall z,
 *
 * and hands on what it remembers, z' = slope (u1 - u0) + fade z. */
#ifndef FWM_PHYSICS_SCHEME_H
#define FWM_PHYSICS_SCHEME_H

#include "physics/fem.h"

enum { FEM_STAGE_KINDS = 2 }; /* matrices that a scheme needs: of its start and of the rest */

typedef struct fem_stage {
    double dt, alpha, beta;
    double recall, slope, fade; /* all zero: nothing is remembered */
    int kind;                   /* 0 .. FEM_STAGE_KINDS-1: stages of one kind have the same matrix */
} fem_stage;

/* The stage of substep k (from 0), each of length dt. */
fem_stage fem_scheme_stage(fem_scheme scheme, double spectral_radius, int k, double dt);
/* The stage of fem_residual: one step of dt without a past. */
fem_stage fem_scheme_single(fem_scheme scheme, double dt);
bool fem_scheme_remembers(fem_scheme scheme);
/* Substeps below which a scheme would be its start alone. */
int fem_scheme_substeps(fem_scheme scheme);

#endif
