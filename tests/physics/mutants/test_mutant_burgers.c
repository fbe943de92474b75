/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/burgers.c"

#include "after.h"
