/* Saves checkpoints one after the other, step N, N + 1, ..., until it is killed: program_save FILE N */
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

enum { VALUES = 1 << 16 };

static fwm_status save(const char *path, int64_t step)
{
    static float values[VALUES];
    for (int i = 0; i < VALUES; i++)
        values[i] = (float)step;
    const tr_tensor tensor = {.name = TR_WEIGHTS "w", .dtype = TR_F32, .rank = 1, .shape = {VALUES}, .data = values};
    json_t *position = json_pack("{s:I,s:i}", "step", (json_int_t)step, "seed", 0);
    const tr_checkpoint_content content = {.tensors = &tensor, .count = 1, .position = position, .config = ""};
    const fwm_status status = tr_checkpoint_save(path, &content, true);
    json_decref(position);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    for (int64_t step = atoll(argv[2]);; step++)
        if (save(argv[1], step) != FWM_OK) {
            (void)fprintf(stderr, "%s\n", fwm_error_message());
            return 1;
        }
}
