/* Embedding, sorting and choosing, made of other operators. */
#include "model/autodiff/ops.h"

#include "model/autodiff/ops/fused.h"
#include "model/base/arena.h"

ad_value ad_embedding(ad_graph *g, ad_value table, ad_value index)
{
    return ad_gather(g, table, index, 0);
}

ad_value ad_sort(ad_graph *g, ad_value x, bool descending)
{
    return ad_take_along(g, x, ad_argsort(g, x, descending), -1);
}

static bool is_part(ad_graph *g, const char *what, ad_value x, int64_t k)
{
    if (x < 0)
        return false;
    if (k < 1 || k > ad_dim(g, x, -1))
        (void)ad_graph_fail(g, FWM_INVALID, "%s: expected 1 to %lld elements, found %lld", what,
                            (long long)ad_dim(g, x, -1), (long long)k);
    return ad_graph_status(g) == FWM_OK;
}

ad_value ad_top_k(ad_graph *g, ad_value x, int64_t k)
{
    if (!is_part(g, "top_k", x, k))
        return AD_NONE;
    return ad_take_along(g, x, ad_slice(g, ad_argsort(g, x, true), -1, 0, k), -1);
}

ad_value ad_top_k_mask(ad_graph *g, ad_value x, int64_t k)
{
    if (!is_part(g, "top_k_mask", x, k))
        return AD_NONE;
    ad_value place = ad_slice(g, ad_argsort(g, x, true), -1, 0, k);
    ad_value one = place < 0 ? AD_NONE : ad_fill(g, *ad_shape_of(g, place), 1.0);
    return ad_put_along(g, one, place, -1, ad_dim(g, x, -1));
}

ad_value ad_max_one_hot(ad_graph *g, ad_value x)
{
    return x < 0 ? AD_NONE : ad_max_mask(g, x, ad_shape_of(g, x)->rank - 1, 1);
}

/* The place is the sum of places times the mask of the maximum: exact below 2^24. */
ad_value ad_argmax(ad_graph *g, ad_value x)
{
    if (x < 0)
        return AD_NONE;
    int64_t n = ad_dim(g, x, -1);
    double *count = fwm_malloc((size_t)n, sizeof *count);
    if (!count)
        return ad_graph_fail(g, FWM_MEMORY, "argmax: out of memory");
    for (int64_t i = 0; i < n; i++)
        count[i] = (double)i;
    ad_value places = ad_constant(g, ad_shape_make(1, n), count);
    fwm_free(count);
    return ad_sum(g, ad_mul(g, ad_max_one_hot(g, x), places), 1, (const int[]){-1}, true);
}
