/* The static graph: values, the operators that make them, and the builders that people call.
 *
 * A value is an int32 handle; creation order is a topological order; a value never changes once made. Equal operator,
 * attributes and inputs give the same handle (hash-consing), so common subexpressions do not exist twice; random
 * operators differ by their stream. The graph owns shapes, names and attributes in one arena.
 *
 * Layout: every tensor is row-major in the logical order of its shape, and images are channels-last [B,H,W,C]. A field
 * on nodes [B,n,c] and a picture [B,k*k,c] then share one layout, files' frames need no transposition, biases broadcast
 * along the last axis, and oneDNN's nhwc activations with `any` weights run within 2 % of its blocked ones (design,
 * ENGINE).
 *
 * Errors: builders are expressions, so the first failure is kept in the graph and every later builder returns AD_NONE;
 * ad_graph_status() tells. Nothing is printed and nothing is lost: the message names operator, name scope and shapes.
 */
#ifndef FWM_AUTODIFF_GRAPH_H
#define FWM_AUTODIFF_GRAPH_H

#include "model/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef int32_t ad_value;
#define AD_NONE ((ad_value)-1)

enum { AD_MAX_RANK = 6, AD_MAX_INTS = 16, AD_MAX_REALS = 4 };

typedef enum ad_dtype { AD_F32, AD_F64 } ad_dtype;

typedef struct ad_shape {
    int rank;
    int64_t dim[AD_MAX_RANK];
} ad_shape;

/* Attributes of a node: compared bytewise by hash-consing, so unused slots are zero. `object` is not owned. */
typedef struct ad_attributes {
    int64_t i[AD_MAX_INTS];
    double f[AD_MAX_REALS];
    const void *object;
} ad_attributes;

typedef struct ad_graph ad_graph;
typedef struct ad_op ad_op;

/* ---- graph ---- */

/* An empty graph whose numbers are of one type: float32 to train, float64 to check gradients. */
fwm_status ad_graph_create(ad_graph **graph, ad_dtype dtype) FWM_MUST_USE;
void ad_graph_destroy(ad_graph **graph);

/* FWM_OK, or the first failure of a builder (its message is made this thread's message again). */
fwm_status ad_graph_status(const ad_graph *g) FWM_MUST_USE;

/* Records a failure from code that builds on the graph; returns AD_NONE. The first one stays. */
ad_value ad_graph_fail(ad_graph *g, fwm_status code, const char *fmt, ...) FWM_PRINTF(3, 4);

ad_dtype ad_graph_dtype(const ad_graph *g);
size_t ad_dtype_size(ad_dtype dtype);
int32_t ad_graph_size(const ad_graph *g);
size_t ad_graph_memory(const ad_graph *g);

/* Prints one line a value: handle, name, operator, inputs, attributes, shape. */
void ad_graph_print(const ad_graph *g, FILE *out);

/* Names pushed here prefix the names of what is built until the matching pop: "encoder/stage0". */
void ad_scope_push(ad_graph *g, const char *name);
void ad_scope_pop(ad_graph *g);
const char *ad_scope_of(const ad_graph *g); /* "" at the top */

/* ---- values ---- */
const ad_shape *ad_shape_of(const ad_graph *g, ad_value v);
int64_t ad_count(const ad_graph *g, ad_value v);         /* number of elements */
int64_t ad_dim(const ad_graph *g, ad_value v, int axis); /* negative axes count from the end */
const char *ad_name_of(const ad_graph *g, ad_value v);
const ad_op *ad_op_of(const ad_graph *g, ad_value v);
const ad_attributes *ad_attributes_of(const ad_graph *g, ad_value v);
int ad_input_count(const ad_graph *g, ad_value v);
ad_value ad_input_of(const ad_graph *g, ad_value v, int k);

/* Helpers for shapes: ad_shape_make(3, B, n, c); product; equality; text such as "[16,64,64,3]". */
#define ad_shape_make(rank, ...) ad_shape_from((rank), (const int64_t[]){__VA_ARGS__})
ad_shape ad_shape_from(int rank, const int64_t *dim);
int64_t ad_shape_count(const ad_shape *s);
bool ad_shape_equal(const ad_shape *a, const ad_shape *b);
const char *ad_shape_text(const ad_shape *s, char buf[96]);

/* ---- leaves ---- */

/* A value that the caller binds before each run (data) or once (parameters). Names are unique in the graph; the
 * scope is put before them, but for a name that begins with '/'. */
ad_value ad_input(ad_graph *g, const char *name, ad_shape shape);
ad_value ad_parameter(ad_graph *g, const char *name, ad_shape shape);

/* A constant: the same scalar everywhere, or values copied from `data` (shape's count of doubles). */
ad_value ad_fill(ad_graph *g, ad_shape shape, double value);
ad_value ad_constant(ad_graph *g, ad_shape shape, const double *data);

/* Any operator by its description: what the builders in ops.h call. */
ad_value ad_apply(ad_graph *g, const ad_op *op, int n, const ad_value *inputs, const ad_attributes *attributes);

/* ---- gradient ---- */

/* Adds to the graph the gradients of the scalar `loss` (one element) with respect to wrt[k]: d[k] has wrt[k]'s shape.
 * A value that the loss does not depend on gets zeros. Nothing is emitted for what no wrt needs. The result is ordinary
 * graph, so it can be differentiated again. */
fwm_status ad_gradient(ad_graph *g, ad_value loss, int n, const ad_value *wrt, ad_value *d) FWM_MUST_USE;

/* As above for y of any shape with cotangent dy (of y's shape): d[k] = (dy/dwrt[k])^T dy. */
fwm_status ad_vjp(ad_graph *g, ad_value y, ad_value dy, int n, const ad_value *wrt, ad_value *d) FWM_MUST_USE;

#endif
