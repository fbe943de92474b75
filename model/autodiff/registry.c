/* The operators and their kernels, as the build found them in ops/. */
#include "model/autodiff/op.h"

#include <string.h>

#define X(name) extern const ad_op ad_op_##name;
#include "ops.def"
#undef X

const ad_op *const ad_op_table[] = {
#define X(name) &ad_op_##name,
#include "ops.def"
#undef X
};
const int ad_op_table_size = (int)(sizeof ad_op_table / sizeof *ad_op_table);

#define X(name)                                                                                                        \
    extern const ad_kernel ad_kernel_##name##_f32_v1, ad_kernel_##name##_f32_v3, ad_kernel_##name##_f32_v4,            \
        ad_kernel_##name##_f64_v1, ad_kernel_##name##_f64_v3, ad_kernel_##name##_f64_v4;
#include "ops.def"
#undef X

/* One row an operator: float levels 1, 3, 4, then double levels 1, 3, 4. */
static const ad_kernel *const kernel_table[][6] = {
#define X(name)                                                                                                        \
    {&ad_kernel_##name##_f32_v1, &ad_kernel_##name##_f32_v3, &ad_kernel_##name##_f32_v4,                               \
     &ad_kernel_##name##_f64_v1, &ad_kernel_##name##_f64_v3, &ad_kernel_##name##_f64_v4},
#include "ops.def"
#undef X
};

const ad_op *ad_op_find(const char *name)
{
    for (int i = 0; i < ad_op_table_size; i++)
        if (strcmp(ad_op_table[i]->name, name) == 0)
            return ad_op_table[i];
    return NULL;
}

ad_kernel ad_kernel_find(const ad_op *op, ad_dtype dtype, int isa_level)
{
    int column = isa_level >= 4 ? 2 : isa_level >= 3 ? 1 : 0;
    for (int i = 0; i < ad_op_table_size; i++)
        if (ad_op_table[i] == op)
            return *kernel_table[i][(dtype == AD_F64 ? 3 : 0) + column];
    return NULL;
}
