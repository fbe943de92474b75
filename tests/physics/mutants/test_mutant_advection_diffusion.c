/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/advection_diffusion.c"

#include "after.h"
