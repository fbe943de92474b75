/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/allen_cahn.c"

#include "after.h"
