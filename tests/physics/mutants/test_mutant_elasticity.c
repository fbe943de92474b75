/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/elasticity.c"

#include "after.h"
