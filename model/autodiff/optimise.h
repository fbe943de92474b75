/* Passes over a graph between gradient and plan: each makes a new graph in which the outputs are worth the same and
 * take less time or memory. After each pass a verifier holds that the new graph obeys the graph's rules and that every
 * output has its counterpart of the same shape. The folder passes/ holds the passes. */
#ifndef FWM_AUTODIFF_OPTIMISE_H
#define FWM_AUTODIFF_OPTIMISE_H

#include "model/autodiff/graph.h"

typedef struct ad_optimise_options {
    const char *passes; /* names with commas between them; NULL: all; "": none */
    int isa_level;      /* constants are computed by the kernels of this level */
    size_t budget;      /* bytes that the plan may take, 0: any; the pass `recompute` works towards it */
} ad_optimise_options;

/* Runs the passes over what `outputs` need. *result is a new graph, whose attributes and names may be g's: g must
 * outlive it. map[v] for each value v of g: its counterpart or AD_NONE (nothing reads it any more, or it lies inside
 * another value). Errors: FWM_INVALID for an unknown name; FWM_INTERNAL, with the pass, where the verifier finds
 * something. */
fwm_status ad_optimise(ad_graph **result, ad_value *map, const ad_graph *g, int n_outputs, const ad_value *outputs,
                       const ad_optimise_options *options) FWM_MUST_USE;

#endif
