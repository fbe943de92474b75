/* The plan's representation, for plan.c, memory.c, run.c and plan_print.c. */
#ifndef FWM_AUTODIFF_PLAN_INTERNAL_H
#define FWM_AUTODIFF_PLAN_INTERNAL_H

#include "model/autodiff/graph_internal.h"
#include "model/autodiff/optimise.h"
#include "model/autodiff/plan.h"

enum { AD_ALIGNMENT = 64 };

/* An interval of the block: [first, last] in steps, `size` bytes at `offset`. */
typedef struct ad_buffer {
    int32_t first, last;
    size_t size, offset;
    void *bound; /* memory of the caller instead of the block */
} ad_buffer;

typedef struct ad_step {
    ad_kernel kernel;
    ad_call call;
    const ad_op *op;
    ad_value value;          /* AD_NONE for a copy to a bound output */
    int32_t buffer, scratch; /* indices of buffers, -1 where none */
    ad_value copy_from, copy_to;
    size_t copy_size;
    size_t scratch_size;
    void *state;
    double seconds; /* of profiled runs */
} ad_step;

/* What the plan knows of each value of the graph (only of those that it keeps). */
typedef struct ad_slot {
    bool live;
    ad_value root;  /* the value whose memory this one shows (itself, but for views) */
    int64_t offset; /* elements from the root's first */
    int32_t buffer; /* -1: none */
    int32_t use;    /* last step that reads the memory (of a root); INT32_MAX for outputs */
    bool output;
    void *bound;
} ad_slot;

struct ad_plan {
    const ad_graph *user; /* the caller's graph */
    int32_t n_user;       /* its values when planned */
    ad_value *map;        /* [n_user]: their counterparts in g, AD_NONE where they have none */
    ad_graph *g;          /* what the passes made of it: every other field speaks of its values */
    fwm_arena *arena;
    ad_plan_options options;
    int isa;
    int32_t n_values; /* of g */
    ad_slot *slot;
    int n_outputs;
    ad_value *output;
    ad_step *step;
    int32_t n_steps;
    ad_buffer *buffer;
    int32_t n_buffers, capacity;
    ad_memory memory;
    double flops;
    void *block;
    bool prepared, planned, profile, own_block;
    int64_t profiled_runs;
    ad_step **random; /* steps that read (seed, step) */
    int32_t n_random;
};

/* A step's state and scratch, by the candidate `name`, or by the operator's rule (NULL); what choices in use say of it,
 * measuring where they may (choice.c). */
fwm_status ad_step_prepare(const ad_plan *p, ad_step *s, const char *name) FWM_MUST_USE;
void ad_step_release(ad_step *s);
fwm_status ad_step_choose(const ad_plan *p, const ad_step *s, const char **name) FWM_MUST_USE;

/* For an operator that runs a plan of its own: binds input v anew, before the layout or between runs; after the last of
 * them ad_plan_place resolves the list, with the block at `block` (the layout's workspace bytes, owned by the caller);
 * `constants`: writes them, too. */
void ad_plan_rebind(ad_plan *plan, ad_value v, void *data);
void ad_plan_place(ad_plan *plan, void *block, bool constants);

/* Intervals, in-place sharing and offsets: fills buffer indices and memory. After the last binding. */
fwm_status ad_plan_layout(ad_plan *p) FWM_MUST_USE;

#endif
