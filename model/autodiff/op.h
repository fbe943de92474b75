/* For those who write operators: the description that each file under ops/ exports, and what a kernel is given.
 *
 * ops/NAME.c defines `const ad_op ad_op_NAME` under #ifdef FWM_DEFINITION and, for every compilation of the file,
 * AD_KERNEL(NAME, function). The build lists the files; nothing else names them. A kernel computes one value from the
 * inputs; it must not allocate, and must give the same bits for the same thread count. Leaves have a kernel that is
 * never called, so that every file has the same form. */
#ifndef FWM_AUTODIFF_OP_H
#define FWM_AUTODIFF_OP_H

#include "model/autodiff/graph.h"

/* What a kernel gets. Pointers are resolved when the plan is prepared. */
typedef struct ad_call {
    void *out;
    const void *const *in;
    void *scratch; /* op->scratch bytes, 64-byte aligned */
    void *state;   /* what op->prepare made */
    const ad_shape *out_shape;
    const ad_shape *const *in_shape;
    const ad_attributes *attr;
    int n_in;
    ad_dtype dtype;
    uint64_t seed, step; /* of this run */
} ad_call;

typedef fwm_status (*ad_kernel)(const ad_call *call);

typedef enum ad_op_flags {
    AD_VIEW = 1,         /* the value is its first input's memory, seen through another shape: no kernel runs */
    AD_IN_PLACE = 2,     /* the output may share the memory of an input of the same size that dies here */
    AD_LINEAR = 4,       /* linear in every input separately: tests hold the adjoint identity */
    AD_RANDOM = 8,       /* reads (seed, step) */
    AD_LEAF = 16,        /* bound or constant: no kernel runs */
    AD_NO_GRADIENT = 32, /* derivative zero everywhere (sign, comparison, noise, stop_gradient) */
    AD_ELEMENTWISE = 64, /* element i of the result depends on element i of the inputs, broadcast by numpy's rule, and
                            its bits do not depend on what else is computed: chains of such may run tile by tile */
} ad_op_flags;

/* A sample for the operator table test: inputs of these shapes, drawn uniformly from [lo,hi] of each. */
typedef struct ad_sample {
    int n_in;
    ad_shape in[6];
    double lo, hi;
    ad_attributes attr;
} ad_sample;

struct ad_op {
    const char *name;
    int min_inputs, max_inputs; /* max -1: any number */
    unsigned flags;

    /* Checks inputs and attributes; fills *out. The message needs no operator name: the graph adds it. */
    fwm_status (*shape)(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out);

    /* Writes to dx[k] the contribution of the cotangent dy to input k, for those with need[k], as graph; dx[k] starts
     * as AD_NONE, which means zero. Broadcasting is undone, and contributions are summed, by the walk, never here: a
     * rule may return any shape that the input broadcasts to. NULL with AD_NO_GRADIENT. */
    void (*gradient)(ad_graph *g, ad_value y, ad_value dy, const bool *need, ad_value *dx);

    /* For operators that are views of some inputs only: the element of input 0 at which the value begins where its
     * elements stand there in one run, or -1 where a kernel has to gather them. NULL: as the flags say (a view begins
     * at 0). */
    int64_t (*view_offset)(const ad_shape *in, const ad_shape *out, const ad_attributes *attr);

    /* Scratch bytes; NULL: none. */
    size_t (*scratch)(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr);

    /* Makes what the kernel needs once (library primitives); *state goes to ad_call.state. `scratch_size` starts at
     * op->scratch's answer and may be raised here. Called when the plan is created. NULL: nothing. */
    fwm_status (*prepare)(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size);
    void (*release)(void *state);
    const char *(*implementation)(
        const void *state); /* e.g. "jit:avx512_core" for the plan's print; NULL: own kernel */

    /* Names of the kernels that prepare can make float32's state for, with NULL at the end; it makes the one that
     * ad_preparing_choice names (choice.h). NULL: there is one. */
    const char *const *candidates;

    double (*flops)(int n, const ad_shape *const *in, const ad_shape *out,
                    const ad_attributes *attr); /* NULL: one an element */

    /* How the operator is written in ONNX (operator name and remarks), for the exporter and the README's table. */
    const char *onnx;

    /* Samples for the table test: fills up to `capacity`, returns how many. NULL only for leaves. */
    int (*samples)(ad_sample *s, int capacity);
    /* For operators that need an object (sparse matrix, custom): the test's own attribute maker is in the test. */
};

/* Exports the kernel of this compilation. */
#define AD_KERNEL(op_name, function)                                                                                   \
    extern const ad_kernel FWM_V(ad_kernel_##op_name);                                                                 \
    const ad_kernel FWM_V(ad_kernel_##op_name) = (function);

/* All operators, in the order of their files' names. */
extern const ad_op *const ad_op_table[];
extern const int ad_op_table_size;
const ad_op *ad_op_find(const char *name);
/* The kernel for a type and an instruction-set level (1, 3, 4). */
ad_kernel ad_kernel_find(const ad_op *op, ad_dtype dtype, int isa_level);

/* The mutation switch of the tests: when an operator's name is set here, ad_gradient scales what its rule returns for
 * input 0 by 1.01, which every gradient check must notice. NULL: off. Thread-local. */
void ad_mutate_gradient(const char *op_name);

/* A stream that no other random operator of this graph has. */
uint32_t ad_graph_next_stream(ad_graph *g);

/* While op->prepare runs: the instruction-set level that the plan is for. */
int ad_preparing_level(void);

/* Small helpers for shape rules. */
bool ad_shape_broadcast(const ad_shape *a, const ad_shape *b, ad_shape *out);
int ad_axis(int axis, int rank); /* normalised to 0..rank-1, or -1 */

#endif
