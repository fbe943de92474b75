/* From a graph to a list of steps: what is kept, views resolved, primitives prepared, last uses. */
#include "model/autodiff/plan_internal.h"

#include "model/base/threads.h"

#include <math.h>
#include <string.h>

extern const ad_op ad_op_constant, ad_op_fill;

static bool is_leaf(const ad_plan *p, ad_value v)
{
    return (p->g->node[v].op->flags & AD_LEAF) != 0;
}

static bool is_view(const ad_plan *p, ad_value v)
{
    return ad_view_offset(p->g, v) >= 0;
}

static void mark_live(ad_plan *p)
{
    for (int k = 0; k < p->n_outputs; k++)
        p->slot[p->output[k]].live = p->slot[p->output[k]].output = true;
    for (ad_value v = p->n_values - 1; v >= 0; v--)
        if (p->slot[v].live)
            for (int k = 0; k < p->g->node[v].n_in; k++)
                p->slot[p->g->node[v].in[k]].live = true;
    for (ad_value v = 0; v < p->n_values; v++) {
        int64_t at = ad_view_offset(p->g, v);
        const ad_slot *from = at >= 0 ? &p->slot[p->g->node[v].in[0]] : NULL;
        p->slot[v].root = from ? from->root : v;
        p->slot[v].offset = from ? from->offset + at : 0;
    }
}

static void describe_call(ad_plan *p, ad_step *s, const ad_shape **shapes, void **pointers)
{
    const ad_node *node = &p->g->node[s->value];
    for (int k = 0; k < node->n_in; k++)
        shapes[k] = &p->g->node[node->in[k]].shape;
    s->call = (ad_call){
        .in = (const void *const *)pointers,
        .out_shape = &node->shape,
        .in_shape = shapes,
        .attr = &node->attr,
        .n_in = node->n_in,
        .dtype = p->g->dtype,
    };
}

static _Thread_local int preparing_level;

int ad_preparing_level(void)
{
    return preparing_level;
}

static fwm_status make_step(ad_plan *p, ad_value v)
{
    const ad_node *node = &p->g->node[v];
    ad_step *s = &p->step[p->n_steps];
    *s = (ad_step){.op = node->op, .value = v, .buffer = -1, .scratch = -1};
    size_t n = (size_t)(node->n_in > 0 ? node->n_in : 1);
    const ad_shape **shapes = fwm_arena_alloc(p->arena, n * sizeof *shapes);
    void **pointers = fwm_arena_alloc(p->arena, n * sizeof *pointers);
    FWM_CHECK(shapes && pointers, FWM_MEMORY, "plan: out of memory");
    describe_call(p, s, shapes, pointers);
    s->kernel = ad_kernel_find(node->op, p->g->dtype, p->isa);
    FWM_CHECK(s->kernel, FWM_INTERNAL, "plan: operator '%s' has no kernel", node->op->name);
    p->n_steps++; /* from here on destroy releases the state */
    preparing_level = p->isa;
    const char *choice;
    FWM_TRY(ad_step_choose(p, s, &choice));
    const fwm_status status = ad_step_prepare(p, s, choice);
    FWM_CHECK(status != FWM_UNSUPPORTED || !choice, FWM_DATA,
              "plan: operator '%s' cannot run this shape by the kernel \"%s\" that was chosen for it: remove the file "
              "of choices to measure again",
              node->op->name, choice);
    FWM_TRY(status);
    s->call.state = s->state;
    p->flops += node->op->flops ? node->op->flops(node->n_in, shapes, &node->shape, &node->attr)
                                : (double)ad_shape_count(&node->shape);
    if (node->op->flags & AD_RANDOM)
        p->n_random++;
    return FWM_OK;
}

static void mark_uses(ad_plan *p)
{
    for (ad_value v = 0; v < p->n_values; v++)
        p->slot[v].use = -1;
    for (int32_t t = 0; t < p->n_steps; t++) {
        const ad_node *node = &p->g->node[p->step[t].value];
        for (int k = 0; k < node->n_in; k++)
            p->slot[p->slot[node->in[k]].root].use = t;
    }
    for (int k = 0; k < p->n_outputs; k++)
        p->slot[p->slot[p->output[k]].root].use = INT32_MAX - 1;
}

/* The graph that is run, with the map from the caller's values to its own. */
static fwm_status optimise(ad_plan *p, int n_outputs, const ad_value *outputs, size_t target)
{
    const ad_graph *g = p->user;
    for (int k = 0; k < n_outputs; k++)
        FWM_CHECK(outputs[k] >= 0 && outputs[k] < g->n, FWM_INVALID, "plan: output %d is not a value of the graph", k);
    p->n_user = g->n;
    p->map = fwm_arena_alloc(p->arena, (size_t)(g->n + 1) * sizeof *p->map);
    FWM_CHECK(p->map, FWM_MEMORY, "plan: out of memory");
    FWM_TRY(ad_optimise(&p->g, p->map, g, n_outputs, outputs,
                        &(ad_optimise_options){.passes = p->options.passes, .isa_level = p->isa, .budget = target}));
    return FWM_OK;
}

static fwm_status build(ad_plan *p, int n_outputs, const ad_value *outputs, size_t target)
{
    p->arena = fwm_arena_create();
    FWM_CHECK(p->arena, FWM_MEMORY, "plan: out of memory");
    FWM_TRY(optimise(p, n_outputs, outputs, target));
    const ad_graph *g = p->g;
    p->n_values = g->n;
    p->n_outputs = n_outputs;
    p->slot = fwm_arena_alloc(p->arena, (size_t)(g->n + 1) * sizeof *p->slot);
    p->output = fwm_arena_alloc(p->arena, (size_t)(n_outputs + 1) * sizeof *p->output);
    /* One step a value, and at the end one copy for each output that cannot be computed in place. */
    p->step = fwm_arena_alloc(p->arena, (size_t)(g->n + n_outputs + 1) * sizeof *p->step);
    FWM_CHECK(p->slot && p->output && p->step, FWM_MEMORY, "plan: out of memory");
    for (int k = 0; k < n_outputs; k++)
        p->output[k] = p->map[outputs[k]];
    mark_live(p);
    for (ad_value v = 0; v < p->n_values; v++)
        if (p->slot[v].live && !is_leaf(p, v) && !is_view(p, v))
            FWM_TRY(make_step(p, v));
    mark_uses(p);
    p->random = fwm_arena_alloc(p->arena, (size_t)(p->n_random + 1) * sizeof(ad_step *));
    FWM_CHECK(p->random, FWM_MEMORY, "plan: out of memory");
    p->n_random = 0;
    for (int32_t t = 0; t < p->n_steps; t++)
        if (p->step[t].op->flags & AD_RANDOM)
            p->random[p->n_random++] = &p->step[t];
    return FWM_OK;
}

/* A plan whose live bytes the passes try to bring to `target` (0: as they are). */
static fwm_status make_plan(ad_plan **plan, const ad_graph *g, int n_outputs, const ad_value *outputs,
                            const ad_plan_options *options, size_t target)
{
    ad_plan *p = fwm_calloc(1, sizeof *p);
    *plan = NULL;
    FWM_CHECK(p, FWM_MEMORY, "plan: out of memory");
    p->user = g;
    if (options)
        p->options = *options;
    p->isa = p->options.isa_level > 0 ? p->options.isa_level : fwm_isa_level();
    fwm_status status = build(p, n_outputs, outputs, target);
    if (status == FWM_OK)
        status = ad_plan_layout(p);
    if (status != FWM_OK)
        ad_plan_destroy(&p);
    *plan = p;
    return status;
}

/* The pass counts live bytes before fusion, sharing and scratch, so its target is lowered until the block fits; the
 * last try asks for the least. */
static fwm_status meet_budget(ad_plan **plan, const ad_graph *g, int n_outputs, const ad_value *outputs,
                              const ad_plan_options *options)
{
    enum { TRIES = 10 };
    const size_t budget = options->budget;
    size_t least = SIZE_MAX;
    double target = (double)budget;
    for (int k = 0; k < TRIES; k++) {
        ad_plan_destroy(plan);
        FWM_TRY(make_plan(plan, g, n_outputs, outputs, options, k + 1 < TRIES ? (size_t)target : 1));
        size_t found = (*plan)->memory.workspace;
        if (found <= budget)
            return FWM_OK;
        least = found < least ? found : least;
        target *= fmin(0.95, (double)budget / (double)found);
    }
    ad_plan_destroy(plan);
    if (options->least)
        *options->least = least;
    return fwm_fail(FWM_MEMORY,
                    "plan: expected to fit into %.1f MiB, found no plan below %.1f MiB even when activations are "
                    "computed again: raise the budget, or lower the batch or the unroll",
                    (double)budget / 0x1p20, (double)least / 0x1p20);
}

fwm_status ad_plan_create(ad_plan **plan, const ad_graph *g, int n_outputs, const ad_value *outputs,
                          const ad_plan_options *options)
{
    *plan = NULL;
    FWM_TRY(ad_graph_status(g));
    FWM_TRY(make_plan(plan, g, n_outputs, outputs, options, 0));
    size_t budget = options ? options->budget : 0;
    return budget > 0 && (*plan)->memory.workspace > budget ? meet_budget(plan, g, n_outputs, outputs, options)
                                                            : FWM_OK;
}

void ad_plan_destroy(ad_plan **plan)
{
    ad_plan *p = plan ? *plan : NULL;
    if (!p)
        return;
    for (int32_t t = 0; t < p->n_steps; t++)
        if (p->step[t].value != AD_NONE)
            ad_step_release(&p->step[t]);
    if (p->own_block)
        fwm_block_free(p->block, p->memory.workspace);
    fwm_free(p->buffer);
    fwm_arena_destroy(p->arena);
    ad_graph_destroy(&p->g);
    fwm_free(p);
    *plan = NULL;
}

/* A bound output is computed where it is bound when its memory is its own; otherwise it is copied there at the end. */
static fwm_status bind_output(ad_plan *p, ad_value v, void *data)
{
    ad_slot *root = &p->slot[p->slot[v].root];
    bool whole = ad_count(p->g, v) == ad_count(p->g, p->slot[v].root);
    if (!is_leaf(p, p->slot[v].root) && whole && !root->bound) {
        root->bound = data;
        return FWM_OK;
    }
    ad_step *s = &p->step[p->n_steps++];
    *s = (ad_step){.value = AD_NONE, .buffer = -1, .scratch = -1, .copy_from = v};
    s->call.out = data;
    s->copy_size = (size_t)ad_count(p->g, v) * ad_dtype_size(p->g->dtype);
    return FWM_OK;
}

fwm_status ad_plan_bind(ad_plan *p, ad_value user, void *data)
{
    FWM_CHECK(!p->prepared, FWM_INVALID, "plan: bind comes before prepare");
    FWM_CHECK(user >= 0 && user < p->n_user, FWM_INVALID, "plan: value %d is not in the plan", user);
    ad_value v = p->map[user];
    if (v == AD_NONE || !p->slot[v].live)
        return FWM_OK; /* nothing reads it */
    p->planned = false;
    if (is_leaf(p, v) && !p->slot[v].output) {
        p->slot[v].bound = data;
        return FWM_OK;
    }
    FWM_CHECK(p->slot[v].output, FWM_INVALID, "plan: value %%%d (%s) is neither leaf nor output", user,
              ad_name_of(p->user, user));
    FWM_CHECK(p->n_steps < p->n_values + p->n_outputs, FWM_INVALID, "plan: output %%%d is bound too often", user);
    return bind_output(p, v, data);
}

static void *address(const ad_plan *p, int32_t buffer)
{
    const ad_buffer *b = &p->buffer[buffer];
    return b->bound ? b->bound : (char *)p->block + b->offset;
}

static void *value_address(const ad_plan *p, ad_value v)
{
    int32_t buffer = p->slot[p->slot[v].root].buffer;
    return buffer < 0 ? NULL : (char *)address(p, buffer) + (size_t)p->slot[v].offset * ad_dtype_size(p->g->dtype);
}

static void fill_constant(const ad_plan *p, ad_value v)
{
    const ad_node *node = &p->g->node[v];
    int64_t n = ad_shape_count(&node->shape);
    const double *data = node->attr.object;
    void *out = value_address(p, v);
    for (int64_t i = 0; i < n; i++) {
        double x = data ? data[i] : node->attr.f[0];
        if (p->g->dtype == AD_F64)
            ((double *)out)[i] = x;
        else
            ((float *)out)[i] = (float)x;
    }
}

static void resolve(ad_plan *p)
{
    for (int32_t t = 0; t < p->n_steps; t++) {
        ad_step *s = &p->step[t];
        if (s->value == AD_NONE)
            continue;
        const ad_node *node = &p->g->node[s->value];
        const void **in = (const void **)(uintptr_t)s->call.in;
        for (int k = 0; k < node->n_in; k++)
            in[k] = value_address(p, node->in[k]);
        s->call.out = address(p, s->buffer);
        s->call.scratch = s->scratch >= 0 ? address(p, s->scratch) : NULL;
    }
    p->prepared = true;
}

static void fill_constants(const ad_plan *p)
{
    for (ad_value v = 0; v < p->n_values; v++)
        if (p->slot[v].live && (p->g->node[v].op == &ad_op_fill || p->g->node[v].op == &ad_op_constant))
            fill_constant(p, v);
}

fwm_status ad_plan_prepare(ad_plan *p)
{
    FWM_CHECK(!p->prepared, FWM_INVALID, "plan: prepared twice");
    if (!p->planned)
        FWM_TRY(ad_plan_layout(p));
    FWM_TRY(fwm_block_alloc(&p->block, p->memory.workspace));
    p->own_block = true;
    fill_constants(p);
    resolve(p);
    return FWM_OK;
}

void ad_plan_rebind(ad_plan *p, ad_value user, void *data)
{
    ad_value v = p->map[user];
    if (v == AD_NONE || !p->slot[v].live)
        return;
    p->slot[v].bound = data;
    p->buffer[p->slot[v].buffer].bound = data;
}

void ad_plan_place(ad_plan *p, void *block, bool constants)
{
    p->block = block;
    if (constants)
        fill_constants(p);
    resolve(p);
}

void *ad_plan_data(const ad_plan *p, ad_value user)
{
    ad_value v = p->prepared && user >= 0 && user < p->n_user ? p->map[user] : AD_NONE;
    if (v == AD_NONE || !p->slot[v].live)
        return NULL;
    return is_leaf(p, p->slot[v].root) || p->slot[v].output ? value_address(p, v) : NULL;
}

void ad_plan_memory(const ad_plan *p, ad_memory *memory)
{
    *memory = p->memory;
}

double ad_plan_flops(const ad_plan *p)
{
    return p->flops;
}
