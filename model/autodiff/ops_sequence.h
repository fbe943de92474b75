/* Builders for sequences, spectra, categorical codes and losses. Included by ops.h. */
#ifndef FWM_AUTODIFF_OPS_SEQUENCE_BUILDERS_H
#define FWM_AUTODIFF_OPS_SEQUENCE_BUILDERS_H

#include "model/autodiff/graph.h"

/* ---- gated recurrent unit (lbr_gru: the reset gate acts after the recurrent product), gates in the order z | r | n
 * ---- */
/* One step: x [B,I], h [B,H], W [I,3H], R [H,3H], biases bx, bh [3H] -> h' [B,H]. */
ad_value ad_gru(ad_graph *g, ad_value x, ad_value h, ad_value W, ad_value R, ad_value bx, ad_value bh);
/* Its pointwise part, for callers that make x W of all steps in one product: gx = x W, gh = h R [B,3H]. */
ad_value ad_gru_cell(ad_graph *g, ad_value gx, ad_value gh, ad_value h, ad_value bx, ad_value bh);

/* ---- a loop over time with a body of its own: h_(t+1), y_t = body(h_t, x_t, shared), t = 0 .. T-1 ---- */
/* The body is built once, planned once and run T times; the graph grows by one value where unrolling adds T copies. Not
 * owned by the graph, must outlive its plans. `body` gets states [..], one element x_t of each sequence and the shared
 * inputs as values of a graph of its own, and writes the next states and the outputs; it may be called several times
 * and must build the same each time, from these inputs alone: noise comes as a sequence, parameters as shared inputs.
 * `store`: keep what the gradient reads of every step (fast, memory T times the step's); else the gradient computes
 * each step again from its stored state (memory of the states). The results are the same to the last bit, and the
 * forward pass's those of unrolling. A gradient of the gradient is refused. */
enum { AD_SCAN_MOST = 24 }; /* inputs, and outputs */
typedef struct ad_scan {
    const char *name; /* for messages */
    void *self;
    int n_states, n_sequences, n_shared, n_outputs;
    bool store;
    void (*body)(void *self, ad_graph *g, const ad_value *states, const ad_value *x, const ad_value *shared,
                 ad_value *next, ad_value *outputs);
} ad_scan;
/* states [n_states], sequences [T,...], shared -> last [n_states], the states after T steps; outputs [T,...]. */
void ad_scan_apply(ad_graph *g, const ad_scan *scan, const ad_value *states, const ad_value *sequences,
                   const ad_value *shared, ad_value *last, ad_value *outputs);

/* ---- scaled dot-product attention: softmax(q k^T / sqrt(d) + mask) v ---- */
/* q [...,Tq,d], k [...,Tk,d], v [...,Tk,e] -> [...,Tq,e], leading axes equal. mask: AD_NONE, or added to the scores,
 * which
 * [...,Tq,Tk] it broadcasts to: 0 to attend, a large negative number not to; a row may not be all -infinity. */
ad_value ad_attention(ad_graph *g, ad_value q, ad_value k, ad_value v, ad_value mask);

/* ---- products by index, of two operands: "bij,bjk->bik" ---- */
/* A letter is an axis. Letters of both operands and the result are batch, of both operands alone are summed over, of
 * one operand alone are its own or, when the result lacks them, summed over. None may come twice in one operand. */
ad_value ad_einsum(ad_graph *g, const char *form, ad_value a, ad_value b);

/* ---- Fourier transforms of real numbers over `n_axes` (1 or 2) axes from `axis` on; the last axis of the spectrum is
 * (real, imaginary) ---- */
/* y_k = sum_j x_j e^(-2 pi i j k / N):  [..., N, ...] -> [..., N/2 + 1, ..., 2]; of two axes the last one is halved. */
ad_value ad_rfft(ad_graph *g, ad_value x, int axis, int n_axes);
/* Its inverse, divided by the number of elements; `length` N of the last transformed axis. */
ad_value ad_irfft(ad_graph *g, ad_value y, int axis, int n_axes, int64_t length);

/* ---- categorical codes ---- */
ad_value ad_random_gumbel(ad_graph *g, ad_shape shape); /* standard Gumbel noise, as the noise of ops.h */
/* p = (1 - mix) softmax(logits) + mix / K over the last axis, K classes. */
ad_value ad_categorical_probabilities(ad_graph *g, ad_value logits, double mix);
/* A one-hot draw from p, exactly 0 or 1, whose gradient is p's (straight through). */
ad_value ad_categorical_sample(ad_graph *g, ad_value p);

/* ---- losses, element-wise ---- */
ad_value ad_huber(ad_graph *g, ad_value x,
                  double delta);               /* x^2/2 inside [-delta,delta], delta (|x| - delta/2) outside */
ad_value ad_log_cosh(ad_graph *g, ad_value x); /* log cosh x, stable */

#endif
