/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/shallow_water.c"

#define MUTATE_BOUNDARY
#include "after.h"
