/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/wave.c"

#define MUTATE_BOUNDARY
#include "after.h"
