/* Plan and run: from a graph and the values that are wanted to a flat list of kernel calls in one arena.
 *
 * The plan keeps what the outputs need, orders it, gives every buffer an interval of one block by liveness (offsets
 * greedy by size; Pisarchyk & Lee, arXiv 2001.03288), lets views share their root and element-wise operators work in
 * place where safe, prepares library primitives, and resolves all pointers. A run then allocates nothing, looks nothing
 * up and branches on no shape. Memory is known before the first step. */
#ifndef FWM_AUTODIFF_PLAN_H
#define FWM_AUTODIFF_PLAN_H

#include "model/autodiff/graph.h"

typedef struct ad_plan ad_plan;

typedef struct ad_plan_options {
    bool no_reuse; /* every value its own buffer: the oracle for the planner's tests */
    bool poison; /* fill buffers with NaN when they die or are about to be written: finds use of dead or unset values */
    int isa_level;      /* 0: the machine's */
    size_t budget;      /* bytes that the block may take, 0: any; what is too much is computed again (passes/) */
    size_t *least;      /* may be NULL: gets the smallest block found where the budget cannot be met */
    const char *passes; /* passes over the graph, names with commas between them; NULL: all, "": none (optimise.h) */
} ad_plan_options;

typedef struct ad_memory {
    size_t workspace;   /* bytes of the block: intermediates, inputs and outputs not bound elsewhere, scratch */
    size_t lower_bound; /* largest sum of live bytes over the schedule */
    size_t constants;   /* bytes of constants */
    size_t parameters;  /* bytes of all ad_parameter values (not in the block; bound by the caller) */
} ad_memory;

/* Makes a plan for `outputs`: the passes of optimise.h over what they need, then order, sharing and offsets. The graph
 * must outlive the plan, which names its values. Error: FWM_MEMORY, with the least that can be reached,
 * where `budget` cannot be met. Parameters and inputs get storage in the block unless bound. NULL
 * options: defaults. Only sizes are computed here; ad_plan_prepare allocates. */
fwm_status ad_plan_create(ad_plan **plan, const ad_graph *g, int n_outputs, const ad_value *outputs,
                          const ad_plan_options *options) FWM_MUST_USE;
void ad_plan_destroy(ad_plan **plan);
void ad_plan_memory(const ad_plan *plan, ad_memory *memory);
double ad_plan_flops(const ad_plan *plan);

/* Binds an input, a parameter or an output to memory of the caller (count * dtype size bytes). Call before prepare; a
 * bound output is written there directly. */
fwm_status ad_plan_bind(ad_plan *plan, ad_value v, void *data) FWM_MUST_USE;

/* Allocates the block, creates primitives, resolves the list. */
fwm_status ad_plan_prepare(ad_plan *plan) FWM_MUST_USE;

/* Where an input or an output lives (after prepare); NULL for a value that the plan does not keep. */
void *ad_plan_data(const ad_plan *plan, ad_value v);

/* Runs the list once. (seed, step) key the noise. Errors come from custom operators; outputs are then undefined. */
fwm_status ad_plan_run(ad_plan *plan, uint64_t seed, uint64_t step) FWM_MUST_USE;

/* One line a call: operator, implementation, shape, FLOPs, bytes, offset; with times of the last profiled runs if any.
 */
void ad_plan_print(const ad_plan *plan, FILE *out);
/* Measures each call in later runs (adds a clock read a call). */
void ad_plan_profile(ad_plan *plan, bool on);

#endif
