/* The two reference models, which fwm is measured and compared by: one training step each, built, differentiated,
 * planned and updated by what builds, differentiates, plans and updates everything else.
 *
 * S: a recurrent world model. Frames x [T*B,64,64,3] and states y [T*B,1024], time first. Four convolutions k4 s2 (32,
 * 64, 128, 256), group norm of 8, SiLU; the state through a perceptron of two layers of 512; both fused linearly to
 * 256. A GRU of 512 reads that and z; a perceptron of two layers of 512 gives the state's change. Prior (linear in the
 * GRU's state) and posterior (a layer of 256) are diagonal Gaussians of 32. Decoder: linear from (GRU's state, z) to
 * 4x4x256, four transposed convolutions k4 s2. Loss: mean squares of state and frame, and 0.01 KL.
 * M: a U-Net from x to y [B,64,64,4], widths 64, 128, 256, 256, two 3x3 convolutions a level with group norm and SiLU,
 * mean square.
 *
 * tests/bench/models.py has the same in PyTorch and JAX; tests/bench/compare.py compares them in numbers. */
#ifndef TOOLS_BENCH_REFERENCE_H
#define TOOLS_BENCH_REFERENCE_H

#include "model/autodiff/plan.h"
#include "model/nn/store.h"

enum { BENCH_REFERENCE_BATCH = 16, BENCH_REFERENCE_CLIP = 8, BENCH_REFERENCE_INPUTS = 3 };

typedef struct bench_reference_spec {
    bool recurrent; /* S; M otherwise */
    ad_dtype dtype;
    int64_t batch, clip; /* B and T; M has no T */
    bool noise_input; /* S: what z draws is an input [T*B,32] (third of `input`) rather than the engine's own noise */
} bench_reference_spec;

typedef enum bench_reference_vector {
    BENCH_WEIGHTS,
    BENCH_GRADIENT,
    BENCH_MOMENT1,
    BENCH_MOMENT2,
    BENCH_VECTORS
} bench_reference_vector;

/* Read only for those who use it, but for what the pointers point to. */
typedef struct bench_reference {
    bench_reference_spec spec;
    ad_graph *g;
    nn_store *store;
    ad_plan *plan;
    ad_value loss, input[BENCH_REFERENCE_INPUTS];
    int n_inputs;
    void *vector[BENCH_VECTORS]; /* laid out by the store, `size` numbers each */
    int64_t size, step;          /* updates done */
} bench_reference;

/* Ready to run: weights as initialised with seed 0, inputs unset (ad_plan_data gives their places). Errors: FWM_INVALID
 * (batch or clip below 1, clip below 2), FWM_MEMORY, those of the plan. */
fwm_status bench_reference_create(bench_reference **reference, const bench_reference_spec *spec) FWM_MUST_USE;
void bench_reference_destroy(bench_reference **reference);

/* Loss and gradient at the weights. */
fwm_status bench_reference_gradient(bench_reference *reference, double *loss) FWM_MUST_USE;

/* The same, and an update by AdamW: betas 0.9 and 0.999, eps 1e-8, decay 0.01, neither clipping nor an average. */
fwm_status bench_reference_train(bench_reference *reference, double lr, double *loss) FWM_MUST_USE;

#endif
