#include "model/autodiff/dnnl/conv.h"

#include "model/autodiff/dnnl/engine.h"
#include "model/base/arena.h"

#include <stdbool.h>
#include <string.h>

enum { X, W, Y, N_TENSORS, SCRATCH_ALIGNMENT = 64 };

struct ad_dnnl_conv {
    ad_conv_kind kind;
    dnnl_stream_t stream;
    dnnl_primitive_t conv, reorder; /* reorder NULL where the weights are used as they are */
    dnnl_memory_t tensor[N_TENSORS], inner_weights, pad, reorder_pad;
    void *handle[N_TENSORS], *scratch; /* what the memories point to now */
    size_t inner_size, pad_size, reorder_pad_size;
    char implementation[64];
};

/* ---- the deny-table ---- */

/* Shapes for which oneDNN 2.6.3 writes outside its buffers or gives wrong numbers; a row that matches forbids the
 * primitive. */
typedef bool (*denial)(ad_conv_kind kind, const ad_conv_geometry *s);

/* 1x1 kernel, stride over 1, backward weights, nhwc, fewer input channels than a vector register holds (8 with AVX2, 16
 * with AVX-512): the scratchpad is too short, so the heap is overwritten, and with two threads the gradients are wrong
 * too. Found with guarded buffers; with this row, 24,100 cases of 1 to 16 input and 1 to 64 output channels, kernels of
 * 1 to 5, strides of 1 to 3, one and two threads, all three kinds, are right with AVX2 and AVX-512. */
static bool pointwise_strided_weights(ad_conv_kind kind, const ad_conv_geometry *s)
{
    return kind == AD_CONV_BACKWARD_WEIGHTS && s->kh == 1 && s->kw == 1 && (s->stride[0] > 1 || s->stride[1] > 1) &&
           s->Cin / s->groups < 16;
}

static const denial deny_table[] = {pointwise_strided_weights};

static bool is_denied(ad_conv_kind kind, const ad_conv_geometry *s)
{
    for (size_t i = 0; i < sizeof deny_table / sizeof *deny_table; i++)
        if (deny_table[i](kind, s))
            return true;
    return false;
}

/* ---- descriptors ---- */

typedef struct descriptors {
    dnnl_memory_desc_t x, w, w_any, y;
    dnnl_convolution_desc_t conv;
} descriptors;

static dnnl_status_t describe(ad_conv_kind kind, const ad_conv_geometry *s, descriptors *d)
{
    bool grouped = s->groups > 1;
    dnnl_dims_t x = {s->B, s->Cin, s->H, s->W}, y = {s->B, s->Cout, s->h, s->w};
    dnnl_dims_t plain = {s->Cout, s->Cin, s->kh, s->kw};
    dnnl_dims_t split = {s->groups, s->Cout / s->groups, s->Cin / s->groups, s->kh, s->kw};
    int rank = grouped ? 5 : 4;
    dnnl_dim_t *w = grouped ? split : plain;
    dnnl_dims_t stride = {s->stride[0], s->stride[1]}, dilation = {s->dilation[0] - 1, s->dilation[1] - 1};
    dnnl_dims_t before = {s->pad_before[0], s->pad_before[1]}, after = {s->pad_after[0], s->pad_after[1]};
    dnnl_status_t code = dnnl_memory_desc_init_by_tag(&d->x, 4, x, dnnl_f32, dnnl_nhwc);
    if (code == dnnl_success)
        code = dnnl_memory_desc_init_by_tag(&d->y, 4, y, dnnl_f32, dnnl_nhwc);
    if (code == dnnl_success)
        code = dnnl_memory_desc_init_by_tag(&d->w, rank, w, dnnl_f32, grouped ? dnnl_hwigo : dnnl_hwio);
    if (code == dnnl_success)
        code = dnnl_memory_desc_init_by_tag(&d->w_any, rank, w, dnnl_f32, dnnl_format_tag_any);
    if (code != dnnl_success)
        return code;
    if (kind == AD_CONV_FORWARD)
        return dnnl_dilated_convolution_forward_desc_init(&d->conv, dnnl_forward_training, dnnl_convolution_direct,
                                                          &d->x, &d->w_any, NULL, &d->y, stride, dilation, before,
                                                          after);
    if (kind == AD_CONV_BACKWARD_DATA)
        return dnnl_dilated_convolution_backward_data_desc_init(&d->conv, dnnl_convolution_direct, &d->x, &d->w_any,
                                                                &d->y, stride, dilation, before, after);
    return dnnl_dilated_convolution_backward_weights_desc_init(&d->conv, dnnl_convolution_direct, &d->x, &d->w_any,
                                                               NULL, &d->y, stride, dilation, before, after);
}

static size_t scratchpad_size(const_dnnl_primitive_desc_t pd)
{
    return dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
}

/* ---- creation ---- */

/* The weights' reorder: into oneDNN's layout before the call, or out of it after the weights' gradient. */
static dnnl_status_t make_reorder(ad_dnnl_conv *c, dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                  const dnnl_memory_desc_t *outer, const dnnl_memory_desc_t *inner)
{
    bool outward = c->kind == AD_CONV_BACKWARD_WEIGHTS;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t code =
        dnnl_reorder_primitive_desc_create(&pd, outward ? inner : outer, engine, outward ? outer : inner, engine, attr);
    if (code == dnnl_success)
        code = dnnl_primitive_create(&c->reorder, pd);
    if (code == dnnl_success)
        code = dnnl_memory_create(&c->inner_weights, inner, engine, DNNL_MEMORY_NONE);
    if (code == dnnl_success) {
        c->reorder_pad_size = scratchpad_size(pd);
        c->inner_size = dnnl_memory_desc_get_size(inner);
        code = dnnl_memory_create(&c->reorder_pad, dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0),
                                  engine, DNNL_MEMORY_NONE);
    }
    (void)dnnl_primitive_desc_destroy(pd);
    return code;
}

static dnnl_status_t make_memories(ad_dnnl_conv *c, dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                   const_dnnl_primitive_desc_t pd, const descriptors *d)
{
    const dnnl_memory_desc_t *inner = dnnl_primitive_desc_query_md(
        pd, c->kind == AD_CONV_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *desc[N_TENSORS] = {&d->x, &d->w, &d->y};
    dnnl_status_t code = dnnl_success;
    for (int i = 0; i < N_TENSORS && code == dnnl_success; i++)
        code = dnnl_memory_create(&c->tensor[i], desc[i], engine, DNNL_MEMORY_NONE);
    if (code == dnnl_success)
        code = dnnl_memory_create(&c->pad, dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0), engine,
                                  DNNL_MEMORY_NONE);
    c->pad_size = scratchpad_size(pd);
    if (code == dnnl_success && !dnnl_memory_desc_equal(inner, &d->w))
        code = make_reorder(c, engine, attr, &d->w, inner);
    return code;
}

static size_t round_up(size_t n)
{
    return (n + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
}

/* Sets *usable; a shape that oneDNN does not have is no error. */
static fwm_status make_primitive(ad_dnnl_conv *c, const ad_conv_geometry *s, bool *usable)
{
    dnnl_engine_t engine;
    descriptors d;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    const char *info = "";
    fwm_status status = FWM_OK;
    *usable = false;
    FWM_TRY(ad_dnnl_engine(&engine, &c->stream));
    FWM_TRY(ad_dnnl_check(describe(c->kind, s, &d), "describing a convolution"));
    FWM_TRY(ad_dnnl_check(dnnl_primitive_attr_create(&attr), "creating attributes"));
    FWM_TRY_GOTO(status, ad_dnnl_check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
                                       "setting the scratchpad mode"));
    if (dnnl_primitive_desc_create(&pd, &d.conv, attr, engine, NULL) != dnnl_success)
        goto done;
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &info) == dnnl_success &&
        strncmp(info, "ref", 3) == 0)
        goto done;
    for (size_t i = 0; info[i] && i + 1 < sizeof c->implementation; i++)
        c->implementation[i] = info[i];
    FWM_TRY_GOTO(status, ad_dnnl_check(dnnl_primitive_create(&c->conv, pd), "creating a convolution"));
    FWM_TRY_GOTO(status, ad_dnnl_check(make_memories(c, engine, attr, pd, &d), "creating memories of a convolution"));
    *usable = true;
done:
    (void)dnnl_primitive_desc_destroy(pd);
    (void)dnnl_primitive_attr_destroy(attr);
    return status;
}

fwm_status ad_dnnl_conv_create(ad_dnnl_conv **conv, ad_conv_kind kind, const ad_conv_geometry *s, size_t *scratch_size)
{
    *conv = NULL;
    if (is_denied(kind, s))
        return FWM_OK;
    ad_dnnl_conv *c = fwm_calloc(1, sizeof *c);
    FWM_CHECK(c, FWM_MEMORY, "convolution: out of memory");
    c->kind = kind;
    bool usable;
    fwm_status status = make_primitive(c, s, &usable);
    if (status != FWM_OK || !usable) {
        ad_dnnl_conv_destroy(&c);
        return status;
    }
    size_t pad = c->pad_size > c->reorder_pad_size ? c->pad_size : c->reorder_pad_size;
    *scratch_size = round_up(c->inner_size) + round_up(pad);
    *conv = c;
    return FWM_OK;
}

void ad_dnnl_conv_destroy(ad_dnnl_conv **conv)
{
    ad_dnnl_conv *c = conv ? *conv : NULL;
    if (!c)
        return;
    for (int i = 0; i < N_TENSORS; i++)
        if (c->tensor[i])
            (void)dnnl_memory_destroy(c->tensor[i]);
    dnnl_memory_t more[] = {c->inner_weights, c->pad, c->reorder_pad};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i])
            (void)dnnl_memory_destroy(more[i]);
    if (c->conv)
        (void)dnnl_primitive_destroy(c->conv);
    if (c->reorder)
        (void)dnnl_primitive_destroy(c->reorder);
    fwm_free(c);
    *conv = NULL;
}

/* ---- run ---- */

/* Pointers rarely change between runs of a plan, so handles are set only when they do. */
static dnnl_status_t point(ad_dnnl_conv *c, void *const now[N_TENSORS], void *scratch)
{
    dnnl_status_t code = dnnl_success;
    for (int i = 0; i < N_TENSORS && code == dnnl_success; i++) {
        if (now[i] == c->handle[i])
            continue;
        code = dnnl_memory_set_data_handle_v2(c->tensor[i], now[i], c->stream);
        c->handle[i] = now[i];
    }
    if (code != dnnl_success || scratch == c->scratch)
        return code;
    char *pad = (char *)scratch + round_up(c->inner_size);
    code = dnnl_memory_set_data_handle_v2(c->pad, pad, c->stream);
    if (c->reorder && code == dnnl_success)
        code = dnnl_memory_set_data_handle_v2(c->reorder_pad, pad, c->stream);
    if (c->reorder && code == dnnl_success)
        code = dnnl_memory_set_data_handle_v2(c->inner_weights, scratch, c->stream);
    c->scratch = scratch;
    return code;
}

static dnnl_status_t reorder_weights(const ad_dnnl_conv *c)
{
    bool outward = c->kind == AD_CONV_BACKWARD_WEIGHTS;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, outward ? c->inner_weights : c->tensor[W]},
                              {DNNL_ARG_TO, outward ? c->tensor[W] : c->inner_weights},
                              {DNNL_ARG_SCRATCHPAD, c->reorder_pad}};
    return dnnl_primitive_execute(c->reorder, c->stream, 3, args);
}

static dnnl_status_t execute(const ad_dnnl_conv *c)
{
    static const int roles[][N_TENSORS] = {
        [AD_CONV_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        [AD_CONV_BACKWARD_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        [AD_CONV_BACKWARD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    };
    const int *role = roles[c->kind];
    dnnl_exec_arg_t args[] = {{role[X], c->tensor[X]},
                              {role[W], c->reorder ? c->inner_weights : c->tensor[W]},
                              {role[Y], c->tensor[Y]},
                              {DNNL_ARG_SCRATCHPAD, c->pad}};
    return dnnl_primitive_execute(c->conv, c->stream, 4, args);
}

fwm_status ad_dnnl_conv_run(ad_dnnl_conv *c, float *x, float *w, float *y, void *scratch)
{
    void *const now[N_TENSORS] = {x, w, y};
    dnnl_status_t code = point(c, now, scratch);
    if (code == dnnl_success && c->reorder && c->kind != AD_CONV_BACKWARD_WEIGHTS)
        code = reorder_weights(c);
    if (code == dnnl_success)
        code = execute(c);
    if (code == dnnl_success && c->reorder && c->kind == AD_CONV_BACKWARD_WEIGHTS)
        code = reorder_weights(c);
    if (code == dnnl_success)
        code = dnnl_stream_wait(c->stream);
    return ad_dnnl_check(code, "running a convolution");
}

const char *ad_dnnl_conv_implementation(const ad_dnnl_conv *c)
{
    return c->implementation;
}
