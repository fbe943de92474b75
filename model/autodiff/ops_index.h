/* Builders that choose, move and order elements. Indices are numbers of the graph's type (they come from data, or from
 * ad_argsort), rounded to the nearest; one outside its range ends the run with FWM_DATA, operator and place. No
 * gradient goes to an index. Included by ops.h. */
#ifndef FWM_AUTODIFF_OPS_INDEX_BUILDERS_H
#define FWM_AUTODIFF_OPS_INDEX_BUILDERS_H

#include "model/autodiff/graph.h"

/* x[..., index, ...]: `axis` of x gives way to the axes of index. */
ad_value ad_gather(ad_graph *g, ad_value x, ad_value index, int axis);
/* Its adjoint: sums of u's elements by index, into an axis of `length`, which the axes of index give way to. */
ad_value ad_scatter_add(ad_graph *g, ad_value u, ad_value index, int axis, int64_t length);
/* Rows of table [n,c]: index [...] -> [...,c]. */
ad_value ad_embedding(ad_graph *g, ad_value table, ad_value index);
/* An index for each element: y has index's shape, which is x's but for `axis`. */
ad_value ad_take_along(ad_graph *g, ad_value x, ad_value index, int axis);
ad_value ad_put_along(ad_graph *g, ad_value u, ad_value index, int axis, int64_t length); /* its adjoint */
ad_value ad_one_hot(ad_graph *g, ad_value index, int64_t classes);                        /* [...] -> [...,classes] */

/* ---- order along the last axis; equal elements keep their order, NaN comes last ---- */
ad_value ad_argsort(ad_graph *g, ad_value x, bool descending); /* places as numbers, gradient 0 */
ad_value ad_sort(ad_graph *g, ad_value x, bool descending);    /* gradient through the permutation */
ad_value ad_top_k(ad_graph *g, ad_value x, int64_t k);         /* the k largest, falling: [...,k] */
ad_value ad_top_k_mask(ad_graph *g, ad_value x, int64_t k);    /* 1 at the k largest, gradient 0 */
ad_value ad_argmax(ad_graph *g, ad_value x);                   /* place of the first maximum, [...,1], gradient 0 */
ad_value ad_max_one_hot(ad_graph *g, ad_value x);              /* 1 at the first maximum, gradient 0 */

ad_value ad_cumsum(ad_graph *g, ad_value x, int axis,
                   bool reverse); /* sums up to and with each element, or from it on */

#endif
