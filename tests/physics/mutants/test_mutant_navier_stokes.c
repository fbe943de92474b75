/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/navier_stokes.c"

#define MUTATE_BOUNDARY
#include "after.h"
