#include "model/autodiff/scan.h"

#include "model/autodiff/graph_internal.h"
#include "model/autodiff/ops.h"
#include "model/autodiff/plan_internal.h"
#include "model/base/arena.h"

#include <string.h>

extern const ad_op ad_op_input, ad_op_parameter;

enum { MOST = AD_SCAN_MOST, RESIDUALS = 256 };

/* A value of the body, and where its numbers are: `bytes` of one step from `offset` on in the scan's vector. */
typedef struct part {
    ad_value v;
    size_t bytes, offset;
} part;

struct ad_scan_state {
    const ad_scan *scan;
    ad_graph *g, *backward; /* backward: the gradient with what it reads of the forward pass as inputs, or NULL */
    ad_plan *plan;
    int64_t steps;
    int n_in, n_residual;
    int32_t n_forward;          /* values of g before its gradient */
    part in[MOST];              /* states, sequences, shared; offset: of the states' stacks */
    part next[MOST], out[MOST]; /* bytes and offset of next: those of the state */
    part residual[RESIDUALS];
    part d_next[MOST], d_out[MOST], d_in[MOST]; /* cotangents; d_in's offset is in scan_vjp's vector */
    int64_t wanted;
    size_t length, block; /* bytes: of the scan's vector; of the plan's block, behind which d_next lie */
};

/* ---- the body ---- */

static size_t bytes_of(const ad_scan_state *s, ad_value v)
{
    return (size_t)ad_count(s->g, v) * ad_dtype_size(s->g->dtype);
}

static int is_sequence(const ad_scan *scan, int k)
{
    return k >= scan->n_states && k < scan->n_states + scan->n_sequences;
}

/* Inputs of the body: a sequence gives one of its T elements. */
static fwm_status make_inputs(ad_scan_state *s, int n, const ad_shape *const *in)
{
    const ad_scan *scan = s->scan;
    char text[96], name[32];
    int most = scan->n_states + scan->n_sequences + scan->n_shared;
    FWM_CHECK(scan->n_states >= 1 && scan->n_states <= MOST && scan->n_outputs >= 0 && scan->n_outputs <= MOST &&
                  most <= MOST && n == most && scan->n_sequences >= 1 && scan->body,
              FWM_INVALID,
              "scan '%s': expected a body, 1 to %d states, a sequence, and inputs of all kinds up to %d, found %d",
              scan->name, MOST, MOST, n);
    s->n_in = n;
    for (int k = 0; k < n; k++) {
        ad_shape shape = *in[k];
        if (is_sequence(scan, k)) {
            if (k == scan->n_states)
                s->steps = shape.rank > 0 ? shape.dim[0] : 0;
            FWM_CHECK(shape.rank >= 1 && shape.dim[0] == s->steps, FWM_SHAPE,
                      "scan '%s': expected sequences of one length along the first axis, found %s after %lld",
                      scan->name, ad_shape_text(&shape, text), (long long)s->steps);
            for (int i = 0; i + 1 < shape.rank; i++)
                shape.dim[i] = shape.dim[i + 1];
            if (shape.rank > 1)
                shape.dim[--shape.rank] = 0;
            else
                shape.dim[0] = 1;
        }
        (void)snprintf(name, sizeof name, "/in%d", k);
        s->in[k].v = ad_input(s->g, name, shape);
    }
    return ad_graph_status(s->g);
}

static fwm_status check_body(const ad_scan_state *s, const ad_value *next, const ad_value *out)
{
    const ad_scan *scan = s->scan;
    char a[96], b[96];
    FWM_TRY(ad_graph_status(s->g));
    for (int k = 0; k < scan->n_states + scan->n_outputs; k++) {
        ad_value v = k < scan->n_states ? next[k] : out[k - scan->n_states];
        FWM_CHECK(v >= 0 && v < s->g->n, FWM_INVALID, "scan '%s': the body leaves result %d out", scan->name, k);
        FWM_CHECK(k >= scan->n_states || ad_shape_equal(&s->g->node[v].shape, &s->g->node[s->in[k].v].shape), FWM_SHAPE,
                  "scan '%s': expected the next state %d to have the state's shape %s, found %s", scan->name, k,
                  ad_shape_text(ad_shape_of(s->g, s->in[k].v), a), ad_shape_text(ad_shape_of(s->g, v), b));
    }
    int inputs = 0;
    for (ad_value v = 0; v < s->g->n; v++) {
        const ad_op *op = s->g->node[v].op;
        inputs += op == &ad_op_input;
        FWM_CHECK(!(op->flags & AD_RANDOM) && op != &ad_op_parameter, FWM_UNSUPPORTED,
                  "scan '%s': expected noise and parameters as sequences and shared inputs, found %s in the body",
                  scan->name, op->name);
    }
    FWM_CHECK(inputs == s->n_in, FWM_UNSUPPORTED, "scan '%s': the body has inputs of its own", scan->name);
    return FWM_OK;
}

static fwm_status make_body(ad_scan_state *s, ad_dtype dtype, int n, const ad_shape *const *in)
{
    const ad_scan *scan = s->scan;
    ad_value v[MOST], next[MOST], out[MOST];
    FWM_TRY(ad_graph_create(&s->g, dtype));
    FWM_TRY(make_inputs(s, n, in));
    for (int k = 0; k < n; k++)
        v[k] = s->in[k].v;
    for (int k = 0; k < MOST; k++)
        next[k] = out[k] = AD_NONE;
    scan->body(scan->self, s->g, v, v + scan->n_states, v + scan->n_states + scan->n_sequences, next, out);
    FWM_TRY(check_body(s, next, out));
    s->n_forward = s->g->n;
    size_t at = 0;
    for (int k = 0; k < n; k++)
        s->in[k].bytes = bytes_of(s, v[k]);
    for (int k = 0; k < scan->n_states; k++) {
        s->next[k] = (part){next[k], s->in[k].bytes, at};
        s->in[k].offset = at;
        at += s->in[k].bytes * (size_t)(s->steps + 1);
    }
    for (int k = 0; k < scan->n_outputs; k++) {
        s->out[k] = (part){out[k], bytes_of(s, out[k]), at};
        at += s->out[k].bytes * (size_t)s->steps;
    }
    s->length = at;
    return FWM_OK;
}

/* ---- its gradient ---- */

/* Adds cotangents of the results as inputs, and those of the body's inputs: of <next, d_next> + <out, d_out>. */
static fwm_status differentiate(ad_scan_state *s)
{
    const ad_scan *scan = s->scan;
    ad_graph *g = s->g;
    ad_value sum = AD_NONE, wrt[MOST], d[MOST];
    char name[32];
    for (int k = 0; k < scan->n_states + scan->n_outputs; k++) {
        part *from = k < scan->n_states ? &s->next[k] : &s->out[k - scan->n_states];
        part *to = k < scan->n_states ? &s->d_next[k] : &s->d_out[k - scan->n_states];
        (void)snprintf(name, sizeof name, "/d%d", k);
        *to = (part){ad_input(g, name, *ad_shape_of(g, from->v)), from->bytes, from->offset};
        ad_value term = ad_sum_all(g, ad_mul(g, from->v, to->v));
        sum = sum == AD_NONE ? term : ad_add(g, sum, term);
    }
    for (int k = 0; k < s->n_in; k++)
        wrt[k] = s->in[k].v;
    FWM_TRY(ad_gradient(g, sum, s->n_in, wrt, d));
    size_t at = 0;
    for (int k = 0; k < s->n_in; k++) {
        s->d_in[k] = (part){d[k], s->in[k].bytes, at};
        if (s->wanted >> k & 1)
            at += s->in[k].bytes * (size_t)(is_sequence(scan, k) ? s->steps : 1);
    }
    return FWM_OK;
}

/* What the gradient reads of the forward pass, appended to the scan's vector. */
static fwm_status list_residuals(ad_scan_state *s)
{
    const ad_graph *g = s->g;
    bool *live = fwm_calloc((size_t)g->n + 1, sizeof *live), *kept = fwm_calloc((size_t)g->n + 1, sizeof *kept);
    fwm_status status = live && kept ? FWM_OK : fwm_fail(FWM_MEMORY, "scan: out of memory");
    for (int k = 0; k < s->n_in && status == FWM_OK; k++) {
        live[s->d_in[k].v] = true;
        kept[s->d_in[k].v] = s->d_in[k].v < s->n_forward;
    }
    for (ad_value v = g->n - 1; v >= s->n_forward && status == FWM_OK; v--)
        for (int k = 0; live[v] && k < g->node[v].n_in; k++) {
            live[g->node[v].in[k]] = true;
            kept[g->node[v].in[k]] = g->node[v].in[k] < s->n_forward;
        }
    for (ad_value v = 0; v < s->n_forward && status == FWM_OK; v++) {
        if (!kept[v] || g->node[v].op->flags & AD_LEAF)
            continue;
        if (s->n_residual == RESIDUALS) {
            status = fwm_fail(FWM_UNSUPPORTED,
                              "scan '%s': its gradient reads more than %d values of a step: set store to false",
                              s->scan->name, RESIDUALS);
            break;
        }
        s->residual[s->n_residual++] = (part){v, bytes_of(s, v), s->length};
        s->length += bytes_of(s, v) * (size_t)s->steps;
    }
    fwm_free(live);
    fwm_free(kept);
    return status;
}

/* The gradient's graph with the residuals as inputs; the parts then speak of its values. */
static fwm_status cut(ad_scan_state *s)
{
    enum { INPUTS = 64 };
    ad_graph *from = s->g, *to;
    char name[32];
    FWM_TRY(ad_graph_create(&s->backward, from->dtype));
    to = s->backward;
    ad_value *map = fwm_malloc((size_t)from->n + 1, sizeof *map), in[INPUTS];
    FWM_CHECK(map, FWM_MEMORY, "scan: out of memory");
    for (ad_value v = 0; v < from->n; v++)
        map[v] = from->node[v].op->flags & AD_LEAF ? ad_graph_copy(to, &from->node[v], NULL, 0) : AD_NONE;
    for (int k = 0; k < s->n_residual; k++) {
        (void)snprintf(name, sizeof name, "/residual%d", k);
        map[s->residual[k].v] = ad_input(to, name, from->node[s->residual[k].v].shape);
    }
    for (ad_value v = s->n_forward; v < from->n; v++) {
        const ad_node *node = &from->node[v];
        bool have = map[v] == AD_NONE && node->n_in <= INPUTS;
        for (int k = 0; have && k < node->n_in; k++) {
            in[k] = map[node->in[k]];
            have = in[k] != AD_NONE;
        }
        if (have) /* what is missing is not of the gradient: the sum itself */
            map[v] = ad_graph_copy(to, node, in, 0);
    }
    for (int k = 0; k < s->n_in; k++) {
        s->in[k].v = map[s->in[k].v];
        s->d_in[k].v = map[s->d_in[k].v];
    }
    for (int k = 0; k < s->n_residual; k++)
        s->residual[k].v = map[s->residual[k].v];
    for (int k = 0; k < s->scan->n_states; k++)
        s->d_next[k].v = map[s->d_next[k].v];
    for (int k = 0; k < s->scan->n_outputs; k++)
        s->d_out[k].v = map[s->d_out[k].v];
    fwm_free(map);
    for (int k = 0; k < s->n_in; k++)
        FWM_CHECK(s->d_in[k].v != AD_NONE, FWM_UNSUPPORTED,
                  "scan '%s': the gradient of input %d has a value of more than %d inputs: set store to false",
                  s->scan->name, k, INPUTS);
    return ad_graph_status(to);
}

/* ---- the plan ---- */

/* Every input of the body is bound, anew at each step. */
static void bind_all(ad_scan_state *s, bool backward, void *to)
{
    for (int k = 0; k < s->n_in; k++)
        ad_plan_rebind(s->plan, s->in[k].v, to);
    if (!backward)
        return;
    for (int k = 0; k < s->scan->n_states; k++)
        ad_plan_rebind(s->plan, s->d_next[k].v, to);
    for (int k = 0; k < s->scan->n_outputs; k++)
        ad_plan_rebind(s->plan, s->d_out[k].v, to);
    for (int k = 0; k < s->n_residual && s->backward; k++)
        ad_plan_rebind(s->plan, s->residual[k].v, to);
}

static fwm_status make_plan(ad_scan_state *s, bool backward, size_t *scratch)
{
    ad_value output[2 * MOST + RESIDUALS];
    int n = 0;
    for (int k = 0; backward && k < s->n_in; k++)
        if (k < s->scan->n_states || s->wanted >> k & 1)
            output[n++] = s->d_in[k].v;
    for (int k = 0; !backward && k < s->scan->n_states; k++)
        output[n++] = s->next[k].v;
    for (int k = 0; !backward && k < s->scan->n_outputs; k++)
        output[n++] = s->out[k].v;
    for (int k = 0; !backward && k < s->n_residual; k++)
        output[n++] = s->residual[k].v;
    FWM_TRY(ad_plan_create(&s->plan, s->backward ? s->backward : s->g, n, output,
                           &(ad_plan_options){.isa_level = ad_preparing_level()}));
    bind_all(s, backward, s);
    FWM_TRY(ad_plan_layout(s->plan));
    ad_memory memory;
    ad_plan_memory(s->plan, &memory);
    s->block = (memory.workspace + AD_ALIGNMENT - 1) / AD_ALIGNMENT * AD_ALIGNMENT;
    *scratch = s->block;
    for (int k = 0; backward && k < s->scan->n_states; k++)
        *scratch += (s->in[k].bytes + AD_ALIGNMENT - 1) / AD_ALIGNMENT * AD_ALIGNMENT;
    return FWM_OK;
}

static fwm_status build(ad_scan_state *s, ad_dtype dtype, int n, const ad_shape *const *in, bool backward)
{
    FWM_TRY(make_body(s, dtype, n, in));
    if (backward || s->scan->store)
        FWM_TRY(differentiate(s));
    if (s->scan->store)
        FWM_TRY(list_residuals(s));
    return backward && s->scan->store ? cut(s) : FWM_OK;
}

static fwm_status make_state(ad_scan_state **out, const ad_scan *scan, int64_t wanted)
{
    ad_scan_state *s = fwm_calloc(1, sizeof *s);
    *out = s;
    FWM_CHECK(s, FWM_MEMORY, "scan: out of memory");
    s->scan = scan;
    s->wanted = wanted;
    return FWM_OK;
}

fwm_status ad_scan_open(ad_scan_state **state, const ad_scan *scan, ad_dtype dtype, int n, const ad_shape *const *in,
                        bool backward, int64_t wanted, size_t *scratch)
{
    FWM_TRY(make_state(state, scan, wanted));
    fwm_status status = build(*state, dtype, n, in, backward);
    if (status == FWM_OK)
        status = make_plan(*state, backward, scratch);
    if (status != FWM_OK)
        ad_scan_close(state);
    return status;
}

void ad_scan_close(ad_scan_state **state)
{
    ad_scan_state *s = *state;
    if (!s)
        return;
    ad_plan_destroy(&s->plan);
    ad_graph_destroy(&s->backward);
    ad_graph_destroy(&s->g);
    fwm_free(s);
    *state = NULL;
}

fwm_status ad_scan_length(const ad_scan *scan, int n, const ad_shape *const *in, int64_t *length)
{
    ad_scan_state *s;
    FWM_TRY(make_state(&s, scan, 0));
    fwm_status status = build(s, AD_F32, n, in, false);
    *length = (int64_t)(s->length / ad_dtype_size(AD_F32));
    ad_scan_close(&s);
    return status;
}

fwm_status ad_scan_outputs(const ad_scan *scan, int n, const ad_shape *const *in, ad_shape *shape)
{
    ad_scan_state *s;
    FWM_TRY(make_state(&s, scan, 0));
    fwm_status status = make_body(s, AD_F32, n, in);
    for (int k = 0; k < scan->n_outputs && status == FWM_OK; k++)
        shape[k] = *ad_shape_of(s->g, s->out[k].v);
    ad_scan_close(&s);
    return status;
}

double ad_scan_flops(const ad_scan *scan, int n, const ad_shape *const *in)
{
    enum { INPUTS = 64 };
    ad_scan_state *s;
    double sum = 0;
    if (make_state(&s, scan, 0) != FWM_OK)
        return 0;
    if (make_body(s, AD_F32, n, in) == FWM_OK)
        for (ad_value v = 0; v < s->n_forward; v++) {
            const ad_node *node = &s->g->node[v];
            const ad_shape *shapes[INPUTS];
            for (int k = 0; k < node->n_in && k < INPUTS; k++)
                shapes[k] = &s->g->node[node->in[k]].shape;
            if (node->op->flops && node->n_in <= INPUTS)
                sum += node->op->flops(node->n_in, shapes, &node->shape, &node->attr);
            else if (!(node->op->flags & AD_LEAF))
                sum += (double)ad_shape_count(&node->shape);
        }
    sum *= (double)s->steps;
    ad_scan_close(&s);
    return sum;
}

/* ---- the loop ---- */

static void *at(const void *base, size_t offset)
{
    return (char *)(uintptr_t)base + offset;
}

/* Binds the body's inputs for step t: states from the stacks in y. */
static void bind_step(ad_scan_state *s, const void *y, const void *const *in, int64_t t)
{
    for (int k = 0; k < s->n_in; k++) {
        const part *p = &s->in[k];
        const void *from = k < s->scan->n_states     ? at(y, p->offset + p->bytes * (size_t)t)
                           : is_sequence(s->scan, k) ? at(in[k], p->bytes * (size_t)t)
                                                     : in[k];
        ad_plan_rebind(s->plan, p->v, (void *)(uintptr_t)from);
    }
}

static void copy_result(const ad_scan_state *s, const part *p, void *y, int64_t step)
{
    memcpy(at(y, p->offset + p->bytes * (size_t)step), ad_plan_data(s->plan, p->v), p->bytes);
}

fwm_status ad_scan_forward(ad_scan_state *s, void *y, const void *const *in, void *scratch)
{
    const ad_scan *scan = s->scan;
    for (int k = 0; k < scan->n_states; k++)
        memcpy(at(y, s->in[k].offset), in[k], s->in[k].bytes);
    for (int64_t t = 0; t < s->steps; t++) {
        bind_step(s, y, in, t);
        ad_plan_place(s->plan, scratch, t == 0);
        fwm_status status = ad_plan_run(s->plan, 0, 0);
        if (status != FWM_OK)
            return fwm_fail_within(status, "scan '%s', step %lld", scan->name, (long long)t);
        for (int k = 0; k < scan->n_states; k++)
            copy_result(s, &s->next[k], y, t + 1);
        for (int k = 0; k < scan->n_outputs; k++)
            copy_result(s, &s->out[k], y, t);
        for (int k = 0; k < s->n_residual; k++)
            copy_result(s, &s->residual[k], y, t);
    }
    return FWM_OK;
}

/* to += from, or to = from + other. */
static void add(ad_dtype dtype, void *to, const void *from, const void *other, size_t bytes)
{
    if (dtype == AD_F64) {
        double *x = to;
        for (size_t i = 0; i < bytes / sizeof *x; i++)
            x[i] = ((const double *)from)[i] + ((const double *)other)[i];
    } else {
        float *x = to;
        for (size_t i = 0; i < bytes / sizeof *x; i++)
            x[i] = ((const float *)from)[i] + ((const float *)other)[i];
    }
}

/* What step t of the gradient made: cotangents of its state go on to the step before, with those that the stack has;
 * those of shared inputs are summed, in the order of the steps from the last. */
static void take_results(const ad_scan_state *s, void *dx, const void *dy, void *const *d_state, int64_t t)
{
    for (int k = 0; k < s->n_in; k++) {
        const part *p = &s->d_in[k];
        bool wanted = s->wanted >> k & 1;
        if (k < s->scan->n_states) {
            add(s->g->dtype, d_state[k], ad_plan_data(s->plan, p->v),
                at(dy, s->in[k].offset + s->in[k].bytes * (size_t)t), p->bytes);
            if (wanted && t == 0)
                memcpy(at(dx, p->offset), d_state[k], p->bytes);
        } else if (wanted && is_sequence(s->scan, k)) {
            copy_result(s, p, dx, t);
        } else if (wanted && t == s->steps - 1) {
            copy_result(s, p, dx, 0);
        } else if (wanted) {
            add(s->g->dtype, at(dx, p->offset), at(dx, p->offset), ad_plan_data(s->plan, p->v), p->bytes);
        }
    }
}

fwm_status ad_scan_backward(ad_scan_state *s, void *dx, const void *const *in, void *scratch)
{
    const void *y = in[0], *dy = in[1];
    void *d_state[MOST] = {NULL};
    size_t end = s->block;
    for (int k = 0; k < s->scan->n_states; k++) {
        d_state[k] = at(scratch, end);
        end += (s->in[k].bytes + AD_ALIGNMENT - 1) / AD_ALIGNMENT * AD_ALIGNMENT;
        memcpy(d_state[k], at(dy, s->in[k].offset + s->in[k].bytes * (size_t)s->steps), s->in[k].bytes);
    }
    for (int64_t t = s->steps - 1; t >= 0; t--) {
        bind_step(s, y, in + 2, t);
        for (int k = 0; k < s->scan->n_states; k++)
            ad_plan_rebind(s->plan, s->d_next[k].v, d_state[k]);
        for (int k = 0; k < s->scan->n_outputs; k++)
            ad_plan_rebind(s->plan, s->d_out[k].v, at(dy, s->d_out[k].offset + s->d_out[k].bytes * (size_t)t));
        for (int k = 0; k < s->n_residual && s->backward; k++)
            ad_plan_rebind(s->plan, s->residual[k].v, at(y, s->residual[k].offset + s->residual[k].bytes * (size_t)t));
        ad_plan_place(s->plan, scratch, t == s->steps - 1);
        fwm_status status = ad_plan_run(s->plan, 0, 0);
        if (status != FWM_OK)
            return fwm_fail_within(status, "gradient of scan '%s', step %lld", s->scan->name, (long long)t);
        take_results(s, dx, dy, d_state, t);
    }
    return FWM_OK;
}
