/* Every operator's kernel called on memory of ours: it writes each element of its output, nothing beside output and
 * scratch, and none of its inputs; for both types, every instruction set, one and two threads. */
#include "tests/model/op_check.h"

#include <omp.h>
#include <string.h>

enum { BAND = 64, PATTERN = 0x5a, UNWRITTEN = 0xff };

/* `bytes` between two bands. */
typedef struct banded {
    unsigned char *block;
    size_t bytes;
} banded;

static banded banded_make(size_t bytes, int fill)
{
    const size_t room = (bytes + BAND - 1) / BAND * BAND;
    banded b = {aligned_alloc(BAND, room + 2 * BAND), bytes};
    memset(b.block, PATTERN, room + 2 * BAND);
    memset(b.block + BAND, fill, bytes);
    return b;
}

static void *banded_data(const banded *b)
{
    return b->block + BAND;
}

static bool banded_whole(const banded *b)
{
    bool whole = true;
    for (size_t i = 0; i < BAND; i++)
        whole = whole && b->block[i] == PATTERN && b->block[BAND + b->bytes + i] == PATTERN;
    return whole;
}

static size_t size_of(const ad_shape *s, ad_dtype dtype)
{
    return (size_t)ad_shape_count(s) * ad_dtype_size(dtype);
}

static banded banded_input(const op_case *c, int k, ad_dtype dtype)
{
    banded b = banded_make(size_of(&c->sample.in[k], dtype), 0);
    for (int64_t i = 0; i < ad_shape_count(&c->sample.in[k]); i++)
        if (dtype == AD_F64)
            ((double *)banded_data(&b))[i] = c->x[k][i];
        else
            ((float *)banded_data(&b))[i] = (float)c->x[k][i];
    return b;
}

static bool written(const banded *out, ad_dtype dtype)
{
    unsigned char never[sizeof(double)];
    memset(never, UNWRITTEN, sizeof never);
    const size_t size = ad_dtype_size(dtype);
    for (size_t at = 0; at < out->bytes; at += size)
        if (memcmp((const unsigned char *)banded_data(out) + at, never, size) == 0)
            return false;
    return true;
}

/* One call, as a plan would make it. */
static void call_kernel(const op_case *c, ad_dtype dtype, int level, const ad_shape *out_shape)
{
    const ad_op *op = c->op;
    const ad_attributes *attr = &c->sample.attr;
    const int n = c->sample.n_in;
    const ad_shape *shapes[CHECK_MAX_INPUTS];
    const void *in[CHECK_MAX_INPUTS];
    banded input[CHECK_MAX_INPUTS], before[CHECK_MAX_INPUTS];
    char text[256];
    for (int k = 0; k < n; k++) {
        shapes[k] = &c->sample.in[k];
        input[k] = banded_input(c, k, dtype);
        before[k] = banded_input(c, k, dtype);
        in[k] = banded_data(&input[k]);
    }
    size_t room = op->scratch ? op->scratch(dtype, n, shapes, out_shape, attr) : 0;
    void *state = NULL;
    if (op->prepare)
        REQUIRE(op->prepare(dtype, n, shapes, out_shape, attr, &state, &room));
    banded out = banded_make(size_of(out_shape, dtype), UNWRITTEN), scratch = banded_make(room, UNWRITTEN);
    const ad_call call = {.out = banded_data(&out),
                          .in = in,
                          .scratch = banded_data(&scratch),
                          .state = state,
                          .out_shape = out_shape,
                          .in_shape = shapes,
                          .attr = attr,
                          .n_in = n,
                          .dtype = dtype,
                          .seed = 1,
                          .step = 1};
    REQUIRE(ad_kernel_find(op, dtype, level)(&call));
    op_case_text(c, text);
    cr_expect(banded_whole(&out), "%s f%d level %d writes beside its output", text, dtype == AD_F32 ? 32 : 64, level);
    cr_expect(banded_whole(&scratch), "%s f%d level %d writes beside its scratch", text, dtype == AD_F32 ? 32 : 64,
              level);
    cr_expect(written(&out, dtype), "%s f%d level %d leaves elements unwritten", text, dtype == AD_F32 ? 32 : 64,
              level);
    for (int k = 0; k < n; k++) {
        cr_expect(banded_whole(&input[k]) &&
                      memcmp(banded_data(&input[k]), banded_data(&before[k]), input[k].bytes) == 0,
                  "%s f%d level %d changes input %d", text, dtype == AD_F32 ? 32 : 64, level, k);
        free(input[k].block), free(before[k].block);
    }
    if (op->release && state)
        op->release(state);
    free(out.block), free(scratch.block);
}

static void check(const op_case *c, void *count)
{
    static const int levels[] = {1, 3, 4};
    const ad_shape *shapes[CHECK_MAX_INPUTS];
    ad_shape out = {0};
    for (int k = 0; k < c->sample.n_in; k++)
        shapes[k] = &c->sample.in[k];
    REQUIRE(c->op->shape(c->sample.n_in, shapes, &c->sample.attr, &out));
    const bool view =
        c->op->view_offset ? c->op->view_offset(shapes[0], &out, &c->sample.attr) >= 0 : (c->op->flags & AD_VIEW) != 0;
    if (view || strcmp(c->op->name, "scan") == 0) /* a scan runs a plan, which gets its level from its own */
        return;
    for (ad_dtype dtype = AD_F32; dtype <= AD_F64; dtype++)
        for (int level = 0; level < 3 && levels[level] <= fwm_isa_level(); level++)
            for (int threads = 1; threads <= 2; threads++) {
                omp_set_num_threads(threads);
                call_kernel(c, dtype, levels[level], &out);
            }
    ++*(int *)count;
}

Test(ops, kernels_keep_to_their_memory, .timeout = 60)
{
    int count = 0;
    for_each_case(check, &count);
    cr_expect_gt(count, 200, "%d cases", count);
}
