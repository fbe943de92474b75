/* What a pass is: from graph to graph, between gradient and plan. Each file of this folder exports one, which the build
 * finds. A pass reads `from` in order and fills `to` and the map; it may not change what an output is worth. */
#ifndef FWM_AUTODIFF_PASSES_PASS_H
#define FWM_AUTODIFF_PASSES_PASS_H

#include "model/autodiff/graph_internal.h"
#include "model/autodiff/optimise.h"
#include "model/base/arena.h"

typedef struct ad_rewrite {
    const ad_graph *from;
    ad_graph *to;
    ad_value *map; /* [from->n]: the value of `to`; AD_NONE where `to` has none (not live, or inside another value) */
    int n_outputs;
    const ad_value *output; /* of `from` */
    const bool *live;       /* [from->n]: an output depends on it */
    const int32_t *uses;    /* [from->n]: how often live values and outputs read it */
    const ad_optimise_options *options;
} ad_rewrite;

typedef struct ad_pass {
    const char *name;
    int order; /* passes run by rising order, equal ones by name */
    /* The values of the outputs are equal before and after, `exact`: to the last bit, of zeros too; `rounds`: up to
     * roundings, because sums are taken in another order. */
    bool exact, rounds;
    const char *summary;
    fwm_status (*run)(ad_rewrite *r);
} ad_pass;

/* Copies value v of `from` with its inputs as mapped, and maps it. */
ad_value ad_rewrite_copy(ad_rewrite *r, ad_value v);

/* The passes that the build found, by order. */
extern const ad_pass *const ad_pass_table[];
extern const int ad_pass_table_size;

#endif
