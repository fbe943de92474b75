/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/neo_hookean.c"

#include "after.h"
