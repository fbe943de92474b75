/* What a plan prints: one line a call, and with measured times how far each is from what the machine can do. */
#include "model/autodiff/kernels/machine.h"
#include "model/autodiff/plan_internal.h"
#include "model/base/arena.h"
#include "model/base/threads.h"

#include <omp.h>
#include <string.h>

/* ---- the machine's limits ---- */

enum { ROUNDS = 400000, REPEATS = 5, NUMBERS = 4 << 20 };

typedef struct limits {
    double flops, bytes; /* a second, on all threads; 0: not measured */
} limits;

/* Best of a few short runs of the two loops that `fwm bench` measures at length: about 60 ms. Memory is the smaller
 * worry: where it cannot be had, no limit is printed. */
static limits probe(ad_dtype dtype, int isa)
{
    const ad_machine_kernels *k = ad_machine_find(dtype, isa);
    size_t size = ad_dtype_size(dtype), bytes = NUMBERS * sizeof(double);
    limits best = {0, 0};
    double sum = 0;
    char *array[3] = {NULL};
    bool have = true;
    for (int i = 0; i < 3; i++)
        have = have && fwm_block_alloc((void **)&array[i], bytes) == FWM_OK;
    int64_t n = (int64_t)(bytes / size);
    for (int repeat = 0; repeat < REPEATS && have; repeat++) {
        double start = fwm_seconds();
#pragma omp parallel reduction(+ : sum)
        sum += k->multiply_add(ROUNDS, 0.999, 1e-9 * omp_get_thread_num());
        double flops = ROUNDS * k->flops_per_round * fwm_threads_count() / (fwm_seconds() - start);
        start = fwm_seconds();
#pragma omp parallel
        {
            int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
            int64_t begin = n / 1024 * me / threads * 1024, end = n / 1024 * (me + 1) / threads * 1024;
            size_t at = (size_t)begin * size;
            k->triad(array[0] + at, array[1] + at, array[2] + at, 1.5, end - begin);
        }
        double moved = 3.0 * (double)bytes / (fwm_seconds() - start);
        best.flops = flops > best.flops && sum > -1e300 ? flops : best.flops;
        best.bytes = repeat > 0 && moved > best.bytes ? moved : best.bytes; /* the first touches the pages */
    }
    for (int i = 0; i < 3; i++)
        fwm_block_free(array[i], bytes);
    return best;
}

/* ---- one call ---- */

static double step_flops(const ad_step *s)
{
    return s->op->flops ? s->op->flops(s->call.n_in, s->call.in_shape, s->call.out_shape, s->call.attr)
                        : (double)ad_shape_count(s->call.out_shape);
}

/* What the call reads and writes, each number once. */
static double step_bytes(const ad_plan *p, const ad_step *s)
{
    int64_t n = ad_shape_count(s->call.out_shape);
    for (int k = 0; k < s->call.n_in; k++)
        n += ad_shape_count(s->call.in_shape[k]);
    return (double)n * (double)ad_dtype_size(p->g->dtype);
}

static void print_shapes(const ad_step *s, FILE *out)
{
    enum { SHOWN = 4 };
    char text[96], line[512] = "";
    size_t at = 0;
    for (int k = 0; k < s->call.n_in && k < SHOWN; k++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%s ", ad_shape_text(s->call.in_shape[k], text));
    if (s->call.n_in > SHOWN)
        at += (size_t)snprintf(line + at, sizeof line - at, "+%d ", s->call.n_in - SHOWN);
    (void)snprintf(line + at, sizeof line - at, "-> %s", ad_shape_text(s->call.out_shape, text));
    fprintf(out, " %-54s", line);
}

/* Bytes of the block that the value takes, and the calls from and to which they are its own. */
static void print_interval(const ad_plan *p, const ad_step *s, FILE *out)
{
    const ad_buffer *b = &p->buffer[s->buffer];
    if (b->bound) {
        fprintf(out, "  %-37s", "bound");
        return;
    }
    char steps[32];
    (void)snprintf(steps, sizeof steps, b->last < p->n_steps ? "%d..%d" : "%d..end", b->first, b->last);
    fprintf(out, "  at %-10zu +%-10zu %-11s", b->offset, b->size, steps);
}

/* Time, share, and the larger of the fractions of the two limits. */
static void print_times(const ad_plan *p, const ad_step *s, double total, const limits *most, FILE *out)
{
    double seconds = s->seconds / (double)p->profiled_runs;
    double compute = most->flops > 0 && seconds > 0 ? step_flops(s) / seconds / most->flops : 0;
    double memory = most->bytes > 0 && seconds > 0 ? step_bytes(p, s) / seconds / most->bytes : 0;
    fprintf(out, " %9.1f us %5.1f %% %7.1f GFLOP/s %6.1f GB/s %5.2f of %s", 1e6 * seconds,
            total > 0 ? 100 * s->seconds / total : 0, seconds > 0 ? 1e-9 * step_flops(s) / seconds : 0,
            seconds > 0 ? 1e-9 * step_bytes(p, s) / seconds : 0, compute > memory ? compute : memory,
            compute > memory ? "FMA   " : "memory");
}

static void print_step(const ad_plan *p, int32_t t, double total, const limits *most, FILE *out)
{
    const ad_step *s = &p->step[t];
    if (s->value == AD_NONE) {
        fprintf(out, "%5d  copy of %%%d to its bound memory, %zu bytes\n", t, s->copy_from, s->copy_size);
        return;
    }
    const ad_node *node = &p->g->node[s->value];
    const char *how = node->op->implementation ? node->op->implementation(s->state) : "own";
    fprintf(out, "%5d  %%%-5d %-18s %-26s", t, s->value, node->op->name, how);
    print_shapes(s, out);
    fprintf(out, " %9.3f MFLOP %9.3f MB", 1e-6 * step_flops(s), 1e-6 * step_bytes(p, s));
    print_interval(p, s, out);
    if (p->profiled_runs > 0)
        print_times(p, s, total, most, out);
    fprintf(out, "  %s%s\n", node->copy ? "(again) " : "", node->name);
}

/* ---- by operator ---- */

typedef struct share {
    const ad_op *op;
    int calls;
    double seconds, flops, ideal; /* ideal: the time that the limits allow */
} share;

static int add_share(share *all, int n, const ad_plan *p, const ad_step *s, const limits *most)
{
    int k = 0;
    while (k < n && all[k].op != s->op)
        k++;
    if (k == n)
        all[n++] = (share){.op = s->op};
    double compute = step_flops(s) / most->flops, memory = step_bytes(p, s) / most->bytes;
    all[k].calls++;
    all[k].seconds += s->seconds / (double)p->profiled_runs;
    all[k].flops += step_flops(s);
    all[k].ideal += compute > memory ? compute : memory;
    return n;
}

static void print_shares(const ad_plan *p, const limits *most, FILE *out)
{
    share *all = fwm_calloc((size_t)ad_op_table_size, sizeof *all);
    int n = 0;
    if (!all || most->flops <= 0 || most->bytes <= 0) {
        fwm_free(all);
        return;
    }
    for (int32_t t = 0; t < p->n_steps; t++)
        if (p->step[t].value != AD_NONE)
            n = add_share(all, n, p, &p->step[t], most);
    fprintf(out, "by operator: calls, time, GFLOP/s, time at the machine's limits over the time taken\n");
    for (int printed = 0; printed < n; printed++) {
        int next = 0;
        for (int k = 1; k < n; k++)
            if (all[k].seconds > all[next].seconds)
                next = k;
        share *s = &all[next];
        fprintf(out, "  %-22s %5d %10.3f ms %8.1f %6.2f\n", s->op->name, s->calls, 1e3 * s->seconds,
                s->seconds > 0 ? 1e-9 * s->flops / s->seconds : 0, s->seconds > 0 ? s->ideal / s->seconds : 0);
        s->seconds = -1;
    }
    fwm_free(all);
}

void ad_plan_print(const ad_plan *p, FILE *out)
{
    double total = 0;
    limits most = {0, 0};
    for (int32_t t = 0; t < p->n_steps; t++)
        total += p->step[t].seconds;
    fprintf(out,
            "plan: %d calls, %.3f GFLOP, workspace %.2f MB (live bytes at most %.2f MB), constants %.2f MB, "
            "instruction set level %d, %d threads; every tensor dense, row-major, channels last\n",
            p->n_steps, 1e-9 * p->flops, 1e-6 * (double)p->memory.workspace, 1e-6 * (double)p->memory.lower_bound,
            1e-6 * (double)p->memory.constants, p->isa, fwm_threads_count());
    if (p->profiled_runs > 0) {
        most = probe(p->g->dtype, p->isa);
        fprintf(out,
                "measured: %.3f ms a run over %lld runs; the machine's limits now: %.1f GFLOP/s of multiply-adds, %.1f "
                "GB/s of memory (a call whose numbers are in a cache may be above that)\n",
                1e3 * total / (double)p->profiled_runs, (long long)p->profiled_runs, 1e-9 * most.flops,
                1e-9 * most.bytes);
    }
    for (int32_t t = 0; t < p->n_steps; t++)
        print_step(p, t, total, &most, out);
    if (p->profiled_runs > 0)
        print_shares(p, &most, out);
}
