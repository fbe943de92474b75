#include "model/autodiff/plan_internal.h"

#include "model/base/threads.h"

static double step_bytes(const ad_plan *p, const ad_step *s)
{
    const ad_node *node = &p->g->node[s->value];
    int64_t n = ad_shape_count(&node->shape);
    for (int k = 0; k < node->n_in; k++)
        n += ad_shape_count(&p->g->node[node->in[k]].shape);
    return (double)n * (double)ad_dtype_size(p->g->dtype);
}

static void print_step(const ad_plan *p, int32_t t, double total, FILE *out)
{
    const ad_step *s = &p->step[t];
    if (s->value == AD_NONE) {
        fprintf(out, "%5d  copy of %%%d to its bound memory, %zu bytes\n", t, s->copy_from, s->copy_size);
        return;
    }
    const ad_node *node = &p->g->node[s->value];
    const char *how = node->op->implementation && s->state ? node->op->implementation(s->state) : "own";
    double flops = node->op->flops ? node->op->flops(node->n_in, s->call.in_shape, &node->shape, &node->attr)
                                   : (double)ad_shape_count(&node->shape);
    char text[96];
    fprintf(out, "%5d  %%%-5d %-18s %-26s %-22s %9.3f MFLOP %9.3f MB", t, s->value, node->op->name, how,
            ad_shape_text(&node->shape, text), 1e-6 * flops, 1e-6 * step_bytes(p, s));
    const ad_buffer *b = &p->buffer[s->buffer];
    if (b->bound)
        fprintf(out, "  bound      ");
    else
        fprintf(out, "  at %-9zu", b->offset);
    if (p->profiled_runs > 0) {
        double seconds = s->seconds / (double)p->profiled_runs;
        fprintf(out, " %9.1f us %5.1f %% %7.1f GFLOP/s", 1e6 * seconds, total > 0 ? 100 * s->seconds / total : 0,
                seconds > 0 ? 1e-9 * flops / seconds : 0);
    }
    fprintf(out, "  %s\n", node->name);
}

void ad_plan_print(const ad_plan *p, FILE *out)
{
    double total = 0;
    for (int32_t t = 0; t < p->n_steps; t++)
        total += p->step[t].seconds;
    fprintf(out,
            "plan: %d calls, %.3f GFLOP, workspace %.2f MB (live bytes at most %.2f MB), constants %.2f MB, "
            "instruction set level %d, %d threads\n",
            p->n_steps, 1e-9 * p->flops, 1e-6 * (double)p->memory.workspace, 1e-6 * (double)p->memory.lower_bound,
            1e-6 * (double)p->memory.constants, p->isa, fwm_threads_count());
    if (p->profiled_runs > 0)
        fprintf(out, "measured: %.3f ms a run over %lld runs\n", 1e3 * total / (double)p->profiled_runs,
                (long long)p->profiled_runs);
    for (int32_t t = 0; t < p->n_steps; t++)
        print_step(p, t, total, out);
}
