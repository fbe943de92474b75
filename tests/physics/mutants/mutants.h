/* Damaged transposes of every equation, for test_mutants.c. */
#ifndef FWM_TESTS_PHYSICS_MUTANTS_H
#define FWM_TESTS_PHYSICS_MUTANTS_H

#include "physics/kernel.h"

typedef struct fem_mutant {
    const char *name;
    const fem_form_kernels *kernels; /* on quadrilaterals of degree 1 alone */
    int members;                     /* of qb's bars, then as many of bb's */
    void (*choose)(int member);      /* which one is 5 % too large from now on; -1: none */
    bool (*written)(int member);     /* whether it was not zero somewhere since the start */
} fem_mutant;

#endif
