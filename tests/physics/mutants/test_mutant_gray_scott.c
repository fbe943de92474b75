/* See test_mutants.c. */
#include "before.h"

#include "physics/forms/gray_scott.c"

#include "after.h"
