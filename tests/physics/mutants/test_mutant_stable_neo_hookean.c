/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/stable_neo_hookean.c"

#include "after.h"
