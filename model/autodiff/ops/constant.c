/* Numbers fixed when the graph was built: attr.object points to doubles in the graph's arena. */
#include "model/autodiff/ops/leaf.h"

AD_LEAF_OP(constant, "initializer")
