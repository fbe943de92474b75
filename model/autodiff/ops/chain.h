/* Element-wise operators that run one after the other on a tile, so that what lies between them never leaves the
 * first-level cache. Made by the pass `fuse`, never by a builder. */
#ifndef FWM_AUTODIFF_OPS_CHAIN_H
#define FWM_AUTODIFF_OPS_CHAIN_H

#include "model/autodiff/op.h"

/* 1024 floats are 4 KiB: a few registers and the inputs of a tile fit in 32 KiB. */
enum { AD_CHAIN_STEPS = 12, AD_CHAIN_INPUTS = 8, AD_CHAIN_TILE = 1024 };

typedef struct ad_chain_step {
    const ad_op *op;
    ad_attributes attr;
    int n_in, in[AD_CHAIN_INPUTS]; /* k >= 0: input k of the chain; -1 - r: register r */
    int out;                       /* register; the last step writes the chain's value */
    ad_kernel kernel[2][3];        /* float32 and float64, by instruction-set level 1, 3, 4 */
} ad_chain_step;

/* The object of a `chain` value; lives as long as its graph. */
typedef struct ad_chain {
    ad_shape shape; /* of the value */
    int n_steps;
    char text[64]; /* operators in order: "mul, add, tanh" */
    ad_chain_step step[AD_CHAIN_STEPS];
} ad_chain;

/* Whether a chain of this shape can read an operand of that shape: the same elements, one number, or one row along the
 * last axis. */
static inline bool ad_chain_reads(const ad_shape *chain, const ad_shape *operand)
{
    int64_t n = ad_shape_count(operand);
    return n == 1 || n == ad_shape_count(chain) ||
           (operand->rank > 0 && chain->rank > 0 && n == operand->dim[operand->rank - 1] &&
            n == chain->dim[chain->rank - 1]);
}

/* Appends a step and looks up its kernels. False where the chain is full. */
bool ad_chain_append(ad_chain *chain, const ad_op *op, const ad_attributes *attr, int n_in, const int *in, int out);

#endif
