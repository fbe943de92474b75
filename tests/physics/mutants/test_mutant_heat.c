/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/heat.c"

#include "after.h"
