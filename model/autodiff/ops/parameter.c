/* A value that is bound once and that an optimiser changes. */
#include "model/autodiff/ops/leaf.h"

AD_LEAF_OP(parameter, "initializer")
