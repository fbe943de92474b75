/* y = 1 where a > b, else 0;  no gradient. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(a, b) ((a) > (b) ? 1 : 0)
AD_BINARY(greater)

#ifdef FWM_DEFINITION
AD_BINARY_DEFINE(greater, NULL, AD_NO_GRADIENT, "Greater, Cast", -1.0, 1.0)
AD_BINARY_BUILD(greater)
#endif
