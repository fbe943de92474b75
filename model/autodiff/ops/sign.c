/* y = 1, 0 or -1, and NaN for NaN;  dx = 0. */
#include "model/autodiff/ops/elementwise.h"

#define VALUE(x) ((x) > 0 ? 1 : (x) < 0 ? -1 : (x) - (x))
AD_UNARY(sign)

#ifdef FWM_DEFINITION
AD_UNARY_DEFINE(sign, NULL, AD_NO_GRADIENT, "Sign", -1.0, 1.0)
AD_UNARY_BUILD(sign)
#endif
