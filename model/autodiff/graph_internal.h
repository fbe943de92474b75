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
    uint32_t copy; /* 0, or the number of a recomputation: equal nodes of different copies are different values */
    uint64_t hash;
} ad_node;

enum { AD_SCOPE_CAPACITY = 256, AD_SCOPE_DEPTH = 16 };

struct ad_graph {
    ad_dtype dtype;
    fwm_arena *arena;
    bool borrowed; /* the arena belongs to somebody else */
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

/* A graph whose nodes live in an arena of the caller, which must outlive it. */
fwm_status ad_graph_create_in(ad_graph **graph, ad_dtype dtype, fwm_arena *arena) FWM_MUST_USE;

/* Adds `node` of another graph with inputs of this one (node->n_in of them), or finds its equal. Name, attributes and
 * their object are shared with the other graph, which must outlive this one. `copy` as in ad_node. */
ad_value ad_graph_copy(ad_graph *g, const ad_node *node, const ad_value *in, uint32_t copy);

/* Holds the graph's rules: inputs come before their users, every operator's shape rule gives the stored shape, leaves
 * have no inputs. Errors: FWM_INTERNAL with the value and what is wrong. */
fwm_status ad_graph_verify(const ad_graph *g) FWM_MUST_USE;

/* The element of its input 0 at which v begins where v is a view of it; -1 where v has memory of its own. */
int64_t ad_view_offset(const ad_graph *g, ad_value v);

static inline const ad_node *ad_node_of(const ad_graph *g, ad_value v)
{
    return &g->node[v];
}

#endif
