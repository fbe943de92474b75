/* Updates of given parameters by given gradients, for the check against PyTorch's optimisers:
 *     program_optimizer IN OUT adamw|laprop|sgd|nesterov LR DECAY CLIP
 * IN has p [n] and g [STEPS,n], OUT gets p [n] after the last step, all float64. Betas 0.9 and 0.99, momentum 0.9, eps
 * 1e-8. */
#include "model/base/arena.h"
#include "train/optimizer.h"
#include "train/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fwm_status run(const tr_safetensors *in, const char *out, const tr_optimizer_options *o, double lr)
{
    const tr_tensor *p = tr_safetensors_find(in, "p"), *g = tr_safetensors_find(in, "g");
    FWM_CHECK(p && g && p->rank == 1 && g->rank == 2 && g->shape[1] == p->shape[0] && p->dtype == TR_F64 &&
                  g->dtype == TR_F64,
              FWM_DATA, "expected float64 tensors p [n] and g [STEPS,n]");
    const int64_t n = p->shape[0];
    fwm_status status = FWM_OK;
    double *x = fwm_calloc((size_t)(4 * n), sizeof *x);
    FWM_CHECK(x, FWM_MEMORY, "out of memory");
    memcpy(x, p->data, (size_t)n * sizeof *x);
    for (int64_t k = 0; k < g->shape[0]; k++) {
        memcpy(x + 3 * n, (const char *)g->data + (size_t)(k * n) * sizeof *x, (size_t)n * sizeof *x);
        const tr_vectors all = {.p = x, .m = x + n, .v = x + 2 * n, .g = x + 3 * n};
        FWM_TRY_GOTO(status, tr_optimizer_step(NULL, &all, o, lr, k + 1, AD_F64, n));
    }
    const tr_tensor result = {.name = "p", .dtype = TR_F64, .rank = 1, .shape = {n}, .data = x};
    status = tr_safetensors_write(out, &result, 1, NULL);
done:
    fwm_free(x);
    return status;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"adamw", "laprop", "sgd", "nesterov"};
    int rule = 0;
    while (argc == 7 && rule < 4 && strcmp(argv[3], names[rule]) != 0)
        rule++;
    if (argc != 7 || rule == 4) {
        (void)fprintf(stderr, "program_optimizer: expected IN OUT RULE LR DECAY CLIP\n");
        return 2;
    }
    const tr_optimizer_options o = {.rule = rule < 3 ? (tr_rule)rule : TR_RULE_SGD,
                                    .nesterov = rule == 3,
                                    .beta1 = 0.9,
                                    .beta2 = 0.99,
                                    .eps = 1e-8,
                                    .weight_decay = atof(argv[5]),
                                    .clip = atof(argv[6])};
    tr_safetensors *in;
    fwm_status status = tr_safetensors_open(&in, argv[1]);
    if (status == FWM_OK) {
        status = run(in, argv[2], &o, atof(argv[4]));
        tr_safetensors_close(in);
    }
    if (status != FWM_OK)
        (void)fprintf(stderr, "%s\n", fwm_error_message());
    return status != FWM_OK;
}
