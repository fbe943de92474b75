#include "model/autodiff/dnnl/matmul.h"

#include "model/autodiff/dnnl/engine.h"
#include "model/base/arena.h"

#include <string.h>

/* Under this many multiplications a matrix, oneDNN's loop over its GEMM (AVX2) is slower than ours (0.66 at 4x4x4). */
enum { GEMM_SMALL = 512, A = 0, B, Y, PAD, N_ARGUMENTS };

struct ad_dnnl_matmul {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_memory_t memory[N_ARGUMENTS];
    void *handle[N_ARGUMENTS];
    char implementation[64];
};

typedef struct descriptors {
    dnnl_memory_desc_t tensor[PAD];
    dnnl_matmul_desc_t matmul;
} descriptors;

static dnnl_status_t describe(int64_t batch, int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b,
                              descriptors *d)
{
    dnnl_dims_t a = {batch, m, k}, b = {batch, k, n}, y = {batch, m, n};
    dnnl_status_t code = dnnl_memory_desc_init_by_tag(&d->tensor[A], 3, a, dnnl_f32, trans_a ? dnnl_acb : dnnl_abc);
    if (code == dnnl_success)
        code = dnnl_memory_desc_init_by_tag(&d->tensor[B], 3, b, dnnl_f32, trans_b ? dnnl_acb : dnnl_abc);
    if (code == dnnl_success)
        code = dnnl_memory_desc_init_by_tag(&d->tensor[Y], 3, y, dnnl_f32, dnnl_abc);
    if (code == dnnl_success)
        code = dnnl_matmul_desc_init(&d->matmul, &d->tensor[A], &d->tensor[B], NULL, &d->tensor[Y]);
    return code;
}

static dnnl_status_t make_memories(ad_dnnl_matmul *p, dnnl_engine_t engine, const_dnnl_primitive_desc_t pd,
                                   const descriptors *d, size_t *scratch_size)
{
    const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    dnnl_status_t code = dnnl_success;
    for (int i = 0; i < N_ARGUMENTS && code == dnnl_success; i++)
        code = dnnl_memory_create(&p->memory[i], i == PAD ? pad : &d->tensor[i], engine, DNNL_MEMORY_NONE);
    *scratch_size = dnnl_memory_desc_get_size(pad);
    return code;
}

/* Whether oneDNN's choice is worth taking. */
static bool is_fast(const char *implementation, int64_t work)
{
    return strncmp(implementation, "ref", 3) != 0 && (work >= GEMM_SMALL || strncmp(implementation, "gemm", 4) != 0);
}

static fwm_status make_primitive(ad_dnnl_matmul *p, const descriptors *d, int64_t work, size_t *scratch_size,
                                 bool *usable)
{
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    const char *info = "";
    fwm_status status = FWM_OK;
    *usable = false;
    FWM_TRY(ad_dnnl_engine(&engine, &p->stream));
    FWM_TRY(ad_dnnl_check(dnnl_primitive_attr_create(&attr), "creating attributes"));
    FWM_TRY_GOTO(status, ad_dnnl_check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
                                       "setting the scratchpad mode"));
    if (dnnl_primitive_desc_create(&pd, &d->matmul, attr, engine, NULL) != dnnl_success)
        goto done;
    FWM_TRY_GOTO(status, ad_dnnl_check(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &info),
                                       "asking for an implementation"));
    if (!is_fast(info, work))
        goto done;
    for (size_t i = 0; info[i] && i + 1 < sizeof p->implementation; i++)
        p->implementation[i] = info[i];
    FWM_TRY_GOTO(status, ad_dnnl_check(dnnl_primitive_create(&p->primitive, pd), "creating a batched product"));
    FWM_TRY_GOTO(status,
                 ad_dnnl_check(make_memories(p, engine, pd, d, scratch_size), "creating memories of a product"));
    *usable = true;
done:
    (void)dnnl_primitive_desc_destroy(pd);
    (void)dnnl_primitive_attr_destroy(attr);
    return status;
}

fwm_status ad_dnnl_matmul_create(ad_dnnl_matmul **matmul, int64_t batch, int64_t m, int64_t n, int64_t k, bool trans_a,
                                 bool trans_b, size_t *scratch_size)
{
    descriptors d;
    bool usable;
    *matmul = NULL;
    FWM_TRY(ad_dnnl_check(describe(batch, m, n, k, trans_a, trans_b, &d), "describing a batched product"));
    ad_dnnl_matmul *p = fwm_calloc(1, sizeof *p);
    FWM_CHECK(p, FWM_MEMORY, "batched product: out of memory");
    fwm_status status = make_primitive(p, &d, m * n * k, scratch_size, &usable);
    if (status != FWM_OK || !usable)
        ad_dnnl_matmul_destroy(&p);
    *matmul = p;
    return status;
}

void ad_dnnl_matmul_destroy(ad_dnnl_matmul **matmul)
{
    ad_dnnl_matmul *p = matmul ? *matmul : NULL;
    if (!p)
        return;
    for (int i = 0; i < N_ARGUMENTS; i++)
        if (p->memory[i])
            (void)dnnl_memory_destroy(p->memory[i]);
    if (p->primitive)
        (void)dnnl_primitive_destroy(p->primitive);
    fwm_free(p);
    *matmul = NULL;
}

fwm_status ad_dnnl_matmul_run(ad_dnnl_matmul *p, float *y, const float *a, const float *b, void *scratch)
{
    /* oneDNN's memory objects take what they only read without const, too. */
    void *const now[N_ARGUMENTS] = {(float *)(uintptr_t)a, (float *)(uintptr_t)b, y, scratch};
    dnnl_status_t code = dnnl_success;
    for (int i = 0; i < N_ARGUMENTS && code == dnnl_success; i++) {
        if (now[i] == p->handle[i])
            continue;
        code = dnnl_memory_set_data_handle_v2(p->memory[i], now[i], p->stream);
        p->handle[i] = now[i];
    }
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, p->memory[A]},
                              {DNNL_ARG_WEIGHTS, p->memory[B]},
                              {DNNL_ARG_DST, p->memory[Y]},
                              {DNNL_ARG_SCRATCHPAD, p->memory[PAD]}};
    if (code == dnnl_success)
        code = dnnl_primitive_execute(p->primitive, p->stream, N_ARGUMENTS, args);
    if (code == dnnl_success)
        code = dnnl_stream_wait(p->stream);
    return ad_dnnl_check(code, "running a batched product");
}

const char *ad_dnnl_matmul_implementation(const ad_dnnl_matmul *p)
{
    return p->implementation;
}
