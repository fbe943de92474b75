/* Parameters: named leaves of a graph that live in flat vectors.
 *
 * The store is shared by all graphs of one model (one graph for each unroll length, one for evaluation): the same name
 * is the same slice of the flat vector, whatever graph asks for it, so a plan is bound to weights by name. A
 * parameter's first value depends on (seed, name) only: adding another part does not change it.
 *
 * Ownership: the store owns names and slots; flat vectors belong to the trainer. */
#ifndef FWM_NN_STORE_H
#define FWM_NN_STORE_H

#include "model/autodiff/graph.h"
#include "model/autodiff/plan.h"

typedef struct nn_store nn_store;

typedef enum nn_init_kind {
    NN_INIT_CONSTANT, /* value */
    NN_INIT_NORMAL,   /* deviation value */
    NN_INIT_FAN_IN,   /* normal of deviation value / sqrt(fan_in) (He et al. 2015 with value sqrt 2) */
} nn_init_kind;

typedef struct nn_init {
    nn_init_kind kind;
    double value;
    int64_t fan_in;
    bool no_decay; /* biases, norms, position biases: no weight decay */
} nn_init;

typedef struct nn_slot {
    const char *name;
    ad_shape shape;
    int64_t offset, count; /* elements of the flat vector; offsets are multiples of 16 */
    nn_init init;
} nn_slot;

fwm_status nn_store_create(nn_store **store) FWM_MUST_USE;
void nn_store_destroy(nn_store **store);

/* Elements of a flat vector that holds all parameters (gaps between slots are zero and stay zero). */
int64_t nn_store_size(const nn_store *store);
/* Sum of the slots' counts. */
int64_t nn_store_parameters(const nn_store *store);
int nn_store_count(const nn_store *store);
const nn_slot *nn_store_slot(const nn_store *store, int k);
const nn_slot *nn_store_find(const nn_store *store, const char *name);

/* First values: dtype f32 or f64 as the graphs are. The same numbers in both, up to rounding. */
void nn_store_initialise(const nn_store *store, uint64_t seed, ad_dtype dtype, void *flat);

/* ---- building: a graph and the store in which its parameters live ---- */
typedef struct nn_builder {
    ad_graph *g;
    nn_store *store;
    bool frozen; /* what is built sees parameters through stop_gradient */
} nn_builder;

/* The parameter "scope/name" of this graph ("/name": whatever the scope): made at the first call, the same value at
 * later calls. */
ad_value nn_parameter(const nn_builder *b, const char *name, ad_shape shape, nn_init init);

/* All parameters of a graph, in the store's order: fills up to `capacity`, returns how many the graph has. */
int nn_graph_parameters(const nn_builder *b, ad_value *values, const nn_slot **slots, int capacity);

/* (Not nn_bind: nanomsg, which Criterion loads, has one, and the program's symbol would take its place.)
 * Binds the graph's parameters of `plan` to slices of `flat`, and the gradients d[k] (of values[k]) to slices of
 * `flat_grad` where d is not NULL. */
fwm_status nn_store_bind(const nn_builder *b, ad_plan *plan, void *flat, int n, const ad_value *values,
                         const ad_value *d, void *flat_grad) FWM_MUST_USE;

#endif
