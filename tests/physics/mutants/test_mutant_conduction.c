/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/conduction.c"

#define MUTATE_BOUNDARY
#include "after.h"
