/* What custom and custom_vjp share: calling back with arrays of shapes, packed offsets. */
#ifndef FWM_AUTODIFF_OPS_CUSTOM_H
#define FWM_AUTODIFF_OPS_CUSTOM_H

#include "model/autodiff/op.h"
#include "model/autodiff/ops.h"
#include "model/base/variant.h"

/* Inputs of a custom operator: the mask of wanted gradients is one attribute, and callbacks' arrays are on the stack.
 */
enum { CUSTOM_MAX_INPUTS = 32 };

#endif
