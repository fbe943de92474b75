/* A value that is bound before each run. */
#include "model/autodiff/ops/leaf.h"

AD_LEAF_OP(input, "graph input")
