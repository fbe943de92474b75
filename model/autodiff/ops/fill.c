/* The same number everywhere: attr.f[0]. */
#include "model/autodiff/ops/leaf.h"

AD_LEAF_OP(fill, "initializer")
