/* The transport gate: which sheet of the code manifold a generator is to produce, decided before it computes.
 *
 * A network is continuous: from a connected noise it can only cross the gap between disconnected sheets, thinly. The
 * gate cuts the noise itself. It is set once, from a memory's look: K sheets with means mu_k and masses nu_k; at the
 * third look in a row that divides the codes alike, for in one sample two near sheets may seem to touch, and a class
 * that holds two sheets crosses the gap between them for good. Unconditional: k(z) = argmax_k g_k - |z - A mu_k|^2 / 2,
 * A a fixed map from codes to noise (the identity where dimensions agree, else Gaussian), g so that the cells of the
 * uniform noise on [-1,1]^n have the masses nu (ot_correction on 4096 Sobol points). Conditional: the class is a
 * categorical latent that a classifier of the context predicts; what it learns from are the classes of true codes, the
 * sheet of the nearest code of the bank. One-hot classes are given to the network, and joined to predictions and codes
 * in the cost ("bound"): without that a network may put two sheets in one class.
 *
 * The gate keeps its own copy of the bank, so that classes never change their meaning; the encoder of codes must not
 * move. Before it is set everything is class 0. */
#ifndef OT_GATE_H
#define OT_GATE_H

#include "model/transport/memory.h"

typedef struct ot_gate ot_gate;

/* For a memory (its type, code size and room), noise of n coordinates (0: conditional), up to K classes. Errors:
 * FWM_INVALID, FWM_OVERFLOW, FWM_MEMORY. */
fwm_status ot_gate_create(ot_gate **gate, ot_memory *memory, int64_t n, int64_t K) FWM_MUST_USE;
void ot_gate_destroy(ot_gate **gate);

/* Takes note of the memory's look where it is new, and sets the gate when OT_GATE_LOOKS in a row have agreed; nothing
 * where it is set. Two looks agree that have as many sheets and, of the new codes, 98 % in the sheet that corresponds.
 * Sheets past K are counted to the last. Errors: FWM_NUMERIC. */
enum { OT_GATE_LOOKS = 3 };
fwm_status ot_gate_update(ot_gate *gate) FWM_MUST_USE;
bool ot_gate_is_set(const ot_gate *gate);
int64_t ot_gate_classes(const ot_gate *gate); /* sheets that were found; 0 before it is set */
const double *ot_gate_masses(const ot_gate *gate);

/* Classes [M] of codes y [M,d], and of noise z [M,n] (only where n > 0). */
void ot_gate_of_codes(const ot_gate *gate, int64_t *k, int64_t M, const void *y);
void ot_gate_of_noise(const ot_gate *gate, int64_t *k, int64_t M, const void *z);

/* The same as a graph value, one-hot [M,K], without gradient. One description serves one value of one graph. */
typedef struct ot_gate_value ot_gate_value;
fwm_status ot_gate_value_create(ot_gate_value **value, ot_gate *gate, int64_t M, bool of_noise) FWM_MUST_USE;
void ot_gate_value_destroy(ot_gate_value **value);
ad_value ot_gate_one_hot(ad_graph *g, ot_gate_value *value, ad_value x);

/* For checkpoints, as ot_memory_arrays. */
enum { OT_GATE_ARRAYS = 3 };
int ot_gate_arrays(ot_gate *gate, ot_memory_array array[OT_GATE_ARRAYS]);
fwm_status ot_gate_restore(ot_gate *gate) FWM_MUST_USE;

#endif
