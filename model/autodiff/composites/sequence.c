/* Recurrence, attention, categorical codes and losses made of other operators. */
#include "model/autodiff/ops.h"

#include "model/autodiff/op.h"

#include <math.h>

ad_value ad_gru(ad_graph *g, ad_value x, ad_value h, ad_value W, ad_value R, ad_value bx, ad_value bh)
{
    ad_value gx = ad_matmul(g, x, W, false, false);
    return ad_gru_cell(g, gx, ad_matmul(g, h, R, false, false), h, bx, bh);
}

/* The queries are scaled, which are fewer than the scores; softmax takes the largest score off first. */
ad_value ad_attention(ad_graph *g, ad_value q, ad_value k, ad_value v, ad_value mask)
{
    if (q < 0 || k < 0 || v < 0)
        return AD_NONE;
    char a[96], b[96];
    ad_value scaled = ad_affine(g, q, 1.0 / sqrt((double)ad_dim(g, q, -1)), 0.0);
    ad_value scores = ad_matmul(g, scaled, k, false, true);
    if (mask != AD_NONE && scores >= 0) {
        ad_shape both, s = *ad_shape_of(g, scores);
        if (!ad_shape_broadcast(ad_shape_of(g, mask), &s, &both) || !ad_shape_equal(&both, &s))
            return ad_graph_fail(g, FWM_SHAPE, "attention: expected a mask that broadcasts to %s, found %s",
                                 ad_shape_text(&s, a), ad_shape_text(ad_shape_of(g, mask), b));
        scores = ad_add(g, scores, mask);
    }
    return ad_matmul(g, ad_softmax(g, scores), v, false, false);
}

ad_value ad_categorical_probabilities(ad_graph *g, ad_value logits, double mix)
{
    if (logits < 0)
        return AD_NONE;
    if (!(mix >= 0 && mix <= 1))
        return ad_graph_fail(g, FWM_INVALID, "categorical: expected a uniform part of 0 to 1, found %g", mix);
    return ad_affine(g, ad_softmax(g, logits), 1.0 - mix, mix / (double)ad_dim(g, logits, -1));
}

/* The largest of log p + Gumbel noise is a draw from p. The value p + (one - p) is exactly one: 0 - p + p is 0, and 1 -
 * p is off by at most a quarter of the spacing of numbers above 1, so that adding p rounds to 1. */
ad_value ad_categorical_sample(ad_graph *g, ad_value p)
{
    if (p < 0)
        return AD_NONE;
    ad_shape s = *ad_shape_of(g, p);
    ad_value noisy = ad_add(g, ad_log(g, ad_stop_gradient(g, p)), ad_random_gumbel(g, s));
    ad_value one = ad_max_one_hot(g, noisy);
    return ad_add(g, p, ad_stop_gradient(g, ad_sub(g, one, p)));
}

/* With c = x held to [-delta, delta]: c (x - c/2). */
ad_value ad_huber(ad_graph *g, ad_value x, double delta)
{
    if (!(delta > 0))
        return ad_graph_fail(g, FWM_INVALID, "huber: expected a positive delta, found %g", delta);
    ad_value c = ad_clamp(g, x, -delta, delta);
    return ad_mul(g, c, ad_sub(g, x, ad_affine(g, c, 0.5, 0.0)));
}

/* x + log(1 + e^(-2x)) - log 2; the derivatives stay smooth at 0. */
ad_value ad_log_cosh(ad_graph *g, ad_value x)
{
    return ad_affine(g, ad_add(g, x, ad_softplus(g, ad_affine(g, x, -2.0, 0.0))), 1.0, -0.69314718055994531);
}
