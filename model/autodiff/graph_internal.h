/* The graph's representation, for graph.c, gradient.c and the planner. */
#ifndef FWM_AUTODIFF_GRAPH_INTERNAL_H
#define FWM_AUTODIFF_GRAPH_INTERNAL_H

#include "model/autodiff/op.h"
#include "model/base/arena.h"

typedef struct ad_node {
    const ad_op *op;
    const char *name; /* scope path; for leaves the full name */
    const ad_value *in;
    int n_in;
    ad_shape shape;
    ad_attributes attr;
    uint64_t hash;
} ad_node;

enum { AD_SCOPE_CAPACITY = 256, AD_SCOPE_DEPTH = 16 };

struct ad_graph {
    ad_dtype dtype;
    fwm_arena *arena;
    ad_node *node;
    int32_t n, capacity;
    ad_value *slot; /* hash table: open addressing, AD_NONE where empty */
    size_t n_slots;
    uint32_t next_stream;
    char scope[AD_SCOPE_CAPACITY];
    int scope_length[AD_SCOPE_DEPTH], scope_depth;
    const char *scope_name; /* the interned copy of `scope` */
    fwm_status status;
    char message[FWM_ERROR_CAPACITY];
};

static inline const ad_node *ad_node_of(const ad_graph *g, ad_value v)
{
    return &g->node[v];
}

#endif
