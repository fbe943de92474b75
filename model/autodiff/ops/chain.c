/* y = the last of attr.object's steps, each an element-wise operator on inputs and results of earlier steps, by tiles.
 * Inputs have y's elements, one number, or one row along the last axis. The kernels are the operators' own, so that the
 * bits are those of the operators run one by one. No gradient rule: passes run after differentiation. */
#include "model/autodiff/ops/chain.h"
#include "model/autodiff/ops/samples.h"
#include "model/base/threads.h"
#include "model/base/variant.h"

#include <omp.h>
#include <string.h>

enum { TILE = AD_CHAIN_TILE, LEVEL = FWM_ISA_LEVEL >= 4 ? 2 : FWM_ISA_LEVEL >= 3 ? 1 : 0 };

/* How y is cut: without rows, tiles of TILE elements; with rows of `period`, as many whole rows as fit into a tile, or
 * (long rows) parts of one row. */
typedef struct cut {
    int64_t total, period, length, per_row, tiles;
} cut;

typedef enum operand { WHOLE, ONE, ROW } operand;

static operand kind_of(const ad_call *call, int k)
{
    int64_t n = ad_shape_count(call->in_shape[k]);
    return n == ad_shape_count(call->out_shape) ? WHOLE : n == 1 ? ONE : ROW;
}

static cut cut_of(const ad_call *call)
{
    cut c = {.total = ad_shape_count(call->out_shape), .length = TILE};
    for (int k = 0; k < call->n_in; k++)
        if (kind_of(call, k) == ROW)
            c.period = ad_shape_count(call->in_shape[k]);
    if (c.period > TILE) {
        c.per_row = (c.period + TILE - 1) / TILE;
        c.tiles = c.total / c.period * c.per_row;
    } else {
        c.length = c.period ? TILE / c.period * c.period : TILE;
        c.tiles = (c.total + c.length - 1) / c.length;
    }
    return c;
}

/* Rows that fit into a tile are repeated to its length once; the tile's part of a long row is read in place. */
static void repeat_rows(const ad_call *call, const cut *c, real (*rows)[TILE])
{
    for (int k = 0; k < call->n_in; k++)
        if (kind_of(call, k) == ROW && c->period <= TILE)
            for (int64_t i = 0; i < c->length; i += c->period)
                memcpy(rows[k] + i, call->in[k], (size_t)c->period * sizeof(real));
}

/* Elements at..at+n-1 of y. */
static void run_tile(const ad_call *call, const cut *c, int64_t at, int64_t n, real (*reg)[TILE], real (*rows)[TILE])
{
    const ad_chain *chain = call->attr->object;
    const ad_shape whole = {1, {n}}, one = {1, {1}};
    for (int s = 0; s < chain->n_steps; s++) {
        const ad_chain_step *step = &chain->step[s];
        const void *in[AD_CHAIN_INPUTS];
        const ad_shape *shapes[AD_CHAIN_INPUTS];
        for (int j = 0; j < step->n_in; j++) {
            int k = step->in[j];
            shapes[j] = &whole;
            if (k < 0) {
                in[j] = reg[-1 - k];
                continue;
            }
            const real *x = call->in[k];
            operand kind = kind_of(call, k);
            in[j] = kind == WHOLE ? x + at : kind == ONE ? x : c->period <= TILE ? rows[k] : x + at % c->period;
            if (kind == ONE)
                shapes[j] = &one;
        }
        ad_call tile = {.out = s + 1 < chain->n_steps ? reg[step->out] : (real *)call->out + at,
                        .in = in,
                        .out_shape = &whole,
                        .in_shape = shapes,
                        .attr = &step->attr,
                        .n_in = step->n_in,
                        .dtype = call->dtype};
        (void)step->kernel[FWM_REAL_BITS == 64][LEVEL](&tile); /* element-wise kernels cannot fail */
    }
}

static void run_tiles(const ad_call *call, const cut *c, int64_t first, int64_t last)
{
    real reg[AD_CHAIN_STEPS][TILE] __attribute__((aligned(64)));
    real rows[AD_CHAIN_INPUTS][TILE] __attribute__((aligned(64)));
    if (first < last)
        repeat_rows(call, c, rows);
    for (int64_t t = first; t < last; t++) {
        int64_t at = t * c->length, end = c->total;
        if (c->per_row) {
            at = t / c->per_row * c->period + t % c->per_row * TILE;
            end = (t / c->per_row + 1) * c->period;
        }
        run_tile(call, c, at, end - at < c->length ? end - at : c->length, reg, rows);
    }
}

static fwm_status run(const ad_call *call)
{
    const ad_chain *chain = call->attr->object;
    cut c = cut_of(call);
    if (c.total * chain->n_steps < FWM_PARALLEL_MIN || c.tiles == 1) {
        run_tiles(call, &c, 0, c.tiles);
        return FWM_OK;
    }
#pragma omp parallel
    {
        int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
        run_tiles(call, &c, c.tiles * me / threads, c.tiles * (me + 1) / threads);
    }
    return FWM_OK;
}
AD_KERNEL(chain, run)

#ifdef FWM_DEFINITION
#include <stdio.h>

static fwm_status shape(int n, const ad_shape *const *in, const ad_attributes *attr, ad_shape *out)
{
    const ad_chain *chain = attr->object;
    char a[96], b[96];
    FWM_CHECK(chain && chain->n_steps > 0, FWM_INVALID, "expected a chain of at least one step");
    for (int k = 0; k < n; k++)
        FWM_CHECK(ad_chain_reads(&chain->shape, in[k]), FWM_SHAPE,
                  "expected inputs of %s, of one element or of its last axis, found %s (input %d)",
                  ad_shape_text(&chain->shape, a), ad_shape_text(in[k], b), k);
    for (int s = 0; s < chain->n_steps; s++)
        for (int j = 0; j < chain->step[s].n_in; j++)
            FWM_CHECK(chain->step[s].in[j] < n && chain->step[s].in[j] >= -AD_CHAIN_STEPS, FWM_INVALID,
                      "step %d reads operand %d of %d", s, chain->step[s].in[j], n);
    *out = chain->shape;
    return FWM_OK;
}

static fwm_status prepare(ad_dtype dtype, int n, const ad_shape *const *in, const ad_shape *out,
                          const ad_attributes *attr, void **state, size_t *scratch_size)
{
    (void)dtype, (void)n, (void)in, (void)out, (void)scratch_size;
    *state = (void *)(uintptr_t)attr->object; /* for the plan's print */
    return FWM_OK;
}

static const char *implementation(const void *state)
{
    return ((const ad_chain *)state)->text;
}

static double flops(int n, const ad_shape *const *in, const ad_shape *out, const ad_attributes *attr)
{
    (void)n, (void)in;
    return (double)((const ad_chain *)attr->object)->n_steps * (double)ad_shape_count(out);
}

bool ad_chain_append(ad_chain *chain, const ad_op *op, const ad_attributes *attr, int n_in, const int *in, int out)
{
    static const int level[3] = {1, 3, 4};
    if (chain->n_steps == AD_CHAIN_STEPS || n_in > AD_CHAIN_INPUTS)
        return false;
    ad_chain_step *step = &chain->step[chain->n_steps];
    *step = (ad_chain_step){.op = op, .attr = *attr, .n_in = n_in, .out = out};
    memcpy(step->in, in, (size_t)n_in * sizeof *in);
    for (int k = 0; k < 3; k++) {
        step->kernel[0][k] = ad_kernel_find(op, AD_F32, level[k]);
        step->kernel[1][k] = ad_kernel_find(op, AD_F64, level[k]);
    }
    size_t at = strlen(chain->text);
    (void)snprintf(chain->text + at, sizeof chain->text - at, "%s%s", chain->n_steps ? "," : "", op->name);
    chain->n_steps++;
    return true;
}

/* Whole inputs alone; a short row; a number; a long row: the test gives the chains. */
AD_SAMPLES({3, {{2, {3, 5}}, {2, {3, 5}}, {2, {3, 5}}}, -1, 1, {.i = {0}}},
           {3, {{2, {40, 7}}, {1, {7}}, {1, {1}}}, -1, 1, {.i = {0}}},
           {3, {{3, {1, 2, 1500}}, {1, {1500}}, {3, {1, 2, 1500}}}, -1, 1, {.i = {0}}})
const ad_op ad_op_chain = {
    .name = "chain",
    .min_inputs = 1,
    .max_inputs = AD_CHAIN_INPUTS,
    .flags = AD_IN_PLACE,
    .shape = shape,
    .prepare = prepare,
    .implementation = implementation,
    .flops = flops,
    .onnx = "its operators, one by one",
    .samples = samples,
};
#endif
