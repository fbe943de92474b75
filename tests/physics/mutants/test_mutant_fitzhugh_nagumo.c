/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/fitzhugh_nagumo.c"

#include "after.h"
