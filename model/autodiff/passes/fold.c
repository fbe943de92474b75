/* Constants are computed once, and values that are another value already give way to it.
 *
 * Every rule is exact, but for the sign of a zero where a zero is added (x + 0 is taken for x, and -0 + 0 is +0). What
 * would change a NaN or an infinity (0 x, x - x) is left alone. Rules build in the new graph, whose hash-consing then
 * finds what became equal. */
#include "model/autodiff/passes/pass.h"

#include "model/autodiff/ops.h"
#include "model/autodiff/plan.h"

#include <string.h>

extern const ad_op ad_op_add, ad_op_add_n, ad_op_broadcast_to, ad_op_concat, ad_op_constant, ad_op_custom, ad_op_div,
    ad_op_fill, ad_op_maximum, ad_op_minimum, ad_op_mul, ad_op_neg, ad_op_pad, ad_op_reshape, ad_op_slice,
    ad_op_stop_gradient, ad_op_sub, ad_op_transpose;

/* What a rule sees: the value in the old graph, its inputs in the new one. Gives AD_NONE where it has nothing to say.
 */
typedef struct context {
    ad_graph *g;
    const ad_node *node;
    const ad_value *in;
    int isa_level;
} context;

typedef ad_value (*rule)(const context *c);

static bool is(const context *c, ad_value v, const ad_op *op)
{
    return c->g->node[v].op == op;
}

static bool is_filled(const context *c, ad_value v, double with)
{
    return is(c, v, &ad_op_fill) && c->g->node[v].attr.f[0] == with;
}

/* x where it has the value's shape. */
static ad_value alone(const context *c, ad_value x)
{
    return ad_shape_equal(&c->g->node[x].shape, &c->node->shape) ? x : AD_NONE;
}

/* ---- identities ---- */

static ad_value fold_add(const context *c)
{
    for (int k = 0; k < 2; k++)
        if (is_filled(c, c->in[k], 0))
            return alone(c, c->in[1 - k]);
    return AD_NONE;
}

static ad_value fold_sub(const context *c)
{
    return is_filled(c, c->in[1], 0) ? alone(c, c->in[0]) : AD_NONE;
}

static ad_value fold_mul(const context *c)
{
    for (int k = 0; k < 2; k++)
        if (is_filled(c, c->in[k], 1))
            return alone(c, c->in[1 - k]);
    return AD_NONE;
}

static ad_value fold_div(const context *c)
{
    return is_filled(c, c->in[1], 1) ? alone(c, c->in[0]) : AD_NONE;
}

static ad_value fold_neg(const context *c)
{
    return is(c, c->in[0], &ad_op_neg) ? c->g->node[c->in[0]].in[0] : AD_NONE;
}

static ad_value fold_same(const context *c)
{
    return c->in[0] == c->in[1] ? c->in[0] : AD_NONE;
}

static ad_value fold_through(const context *c)
{
    return c->in[0];
}

/* ---- what only moves numbers ---- */

static ad_value fold_reshape(const context *c)
{
    if (is(c, c->in[0], &ad_op_fill))
        return ad_fill(c->g, c->node->shape, c->g->node[c->in[0]].attr.f[0]);
    return ad_reshape(c->g, c->in[0], c->node->shape);
}

static ad_value fold_broadcast(const context *c)
{
    if (is(c, c->in[0], &ad_op_fill))
        return ad_fill(c->g, c->node->shape, c->g->node[c->in[0]].attr.f[0]);
    return ad_broadcast_to(c->g, c->in[0], c->node->shape);
}

static ad_value fold_transpose(const context *c)
{
    if (is(c, c->in[0], &ad_op_fill))
        return ad_fill(c->g, c->node->shape, c->g->node[c->in[0]].attr.f[0]);
    if (!is(c, c->in[0], &ad_op_transpose))
        return AD_NONE;
    int perm[AD_MAX_RANK] = {0};
    const ad_node *first = &c->g->node[c->in[0]];
    for (int k = 0; k < c->node->shape.rank; k++)
        perm[k] = (int)first->attr.i[c->node->attr.i[k]];
    return ad_transpose(c->g, first->in[0], perm);
}

/* A slice of a slice is one slice; of a concatenation that it takes one part of, a slice of that part. */
static ad_value fold_slice(const context *c)
{
    const ad_node *x = &c->g->node[c->in[0]];
    int axis = (int)c->node->attr.i[0];
    int64_t start = c->node->attr.i[1], length = c->node->attr.i[2];
    if (x->op == &ad_op_fill)
        return ad_fill(c->g, c->node->shape, x->attr.f[0]);
    if (x->op == &ad_op_slice && x->attr.i[0] == axis)
        return ad_slice(c->g, x->in[0], axis, x->attr.i[1] + start, length);
    if (x->op != &ad_op_concat || x->attr.i[0] != axis)
        return AD_NONE;
    for (int k = 0; k < x->n_in; k++) {
        int64_t part = c->g->node[x->in[k]].shape.dim[axis];
        if (start < part)
            return start + length <= part ? ad_slice(c->g, x->in[k], axis, start, length) : AD_NONE;
        start -= part;
    }
    return AD_NONE;
}

/* The concatenation of n parts along an axis; of neighbouring slices of one value, a slice. */
static ad_value join(const context *c, int n, const ad_value *part, int axis)
{
    const ad_node *first = &c->g->node[part[0]];
    int64_t end = first->attr.i[1];
    for (int k = 0; k < n; k++) {
        const ad_node *x = &c->g->node[part[k]];
        if (x->op != &ad_op_slice || x->in[0] != first->in[0] || x->attr.i[0] != axis || x->attr.i[1] != end)
            return ad_concat(c->g, n, part, axis);
        end += x->attr.i[2];
    }
    return ad_slice(c->g, first->in[0], axis, first->attr.i[1], end - first->attr.i[1]);
}

static ad_value fold_concat(const context *c)
{
    return join(c, c->node->n_in, c->in, (int)c->node->attr.i[0]);
}

/* ---- sums of padded pieces: what the gradients of slices of one value make ---- */

enum { PIECES = 64 };

typedef struct pieces {
    int n, axis, others;
    ad_value piece[PIECES], other;
} pieces;

/* The padded terms along one axis, ordered by place; false where a term is something else more than once. */
static bool sort_terms(const context *c, pieces *p)
{
    *p = (pieces){.axis = -1};
    if (c->node->n_in > PIECES)
        return false;
    for (int k = 0; k < c->node->n_in; k++) {
        const ad_node *x = &c->g->node[c->in[k]];
        if (x->op != &ad_op_pad || (p->axis >= 0 && x->attr.i[0] != p->axis)) {
            p->other = c->in[k];
            if (++p->others > 1)
                return false;
            continue;
        }
        p->axis = (int)x->attr.i[0];
        int at = p->n++;
        for (; at > 0 && c->g->node[p->piece[at - 1]].attr.i[1] > x->attr.i[1]; at--)
            p->piece[at] = p->piece[at - 1];
        p->piece[at] = c->in[k];
    }
    return p->n >= 2;
}

/* Pieces that lie one beside the other are their concatenation, padded at the ends. With one other term the sum is
 * still of two numbers at each place, so the order does not matter. */
static ad_value fold_sum(const context *c)
{
    pieces p;
    if (!sort_terms(c, &p))
        return AD_NONE;
    ad_value part[PIECES];
    int64_t whole = c->node->shape.dim[p.axis], before = c->g->node[p.piece[0]].attr.i[1], end = before;
    for (int k = 0; k < p.n; k++) {
        const ad_node *x = &c->g->node[p.piece[k]];
        if (x->attr.i[1] != end)
            return AD_NONE;
        part[k] = x->in[0];
        end += c->g->node[part[k]].shape.dim[p.axis];
    }
    ad_value sum = ad_pad(c->g, join(c, p.n, part, p.axis), p.axis, before, whole - end);
    return p.others ? ad_add(c->g, p.other, sum) : sum;
}

static ad_value fold_plus(const context *c)
{
    ad_value simple = fold_add(c);
    return simple != AD_NONE ? simple : fold_sum(c);
}

static const struct {
    const ad_op *op;
    rule fold;
} rules[] = {
    {&ad_op_add, fold_plus},
    {&ad_op_add_n, fold_sum},
    {&ad_op_sub, fold_sub},
    {&ad_op_mul, fold_mul},
    {&ad_op_div, fold_div},
    {&ad_op_neg, fold_neg},
    {&ad_op_maximum, fold_same},
    {&ad_op_minimum, fold_same},
    {&ad_op_stop_gradient, fold_through},
    {&ad_op_reshape, fold_reshape},
    {&ad_op_concat, fold_concat},
    {&ad_op_broadcast_to, fold_broadcast},
    {&ad_op_transpose, fold_transpose},
    {&ad_op_slice, fold_slice},
};

/* ---- constants ---- */

/* The numbers of v, which depends on constants alone, as doubles; they live in the graph's arena. */
static fwm_status compute(ad_graph *g, ad_value v, int isa_level, double **numbers)
{
    ad_plan *plan = NULL;
    int64_t n = ad_count(g, v);
    fwm_status status = FWM_OK;
    *numbers = fwm_arena_alloc(g->arena, (size_t)n * sizeof **numbers);
    FWM_CHECK(*numbers, FWM_MEMORY, "out of memory");
    FWM_TRY_GOTO(status, ad_plan_create(&plan, g, 1, &v, &(ad_plan_options){.passes = "", .isa_level = isa_level}));
    FWM_TRY_GOTO(status, ad_plan_prepare(plan));
    FWM_TRY_GOTO(status, ad_plan_run(plan, 0, 0));
    const void *data = ad_plan_data(plan, v);
    for (int64_t i = 0; i < n; i++)
        (*numbers)[i] = g->dtype == AD_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
done:
    ad_plan_destroy(&plan);
    return status;
}

/* An element-wise operator of numbers that are everywhere the same. */
static ad_value fold_uniform(const context *c)
{
    enum { MOST = 8 };
    ad_value one[MOST];
    double *number;
    if (!(c->node->op->flags & AD_ELEMENTWISE) || c->node->n_in > MOST)
        return AD_NONE;
    for (int k = 0; k < c->node->n_in; k++) {
        if (!is(c, c->in[k], &ad_op_fill))
            return AD_NONE;
        one[k] = ad_fill(c->g, (ad_shape){1, {1}}, c->g->node[c->in[k]].attr.f[0]);
    }
    ad_value y = ad_apply(c->g, c->node->op, c->node->n_in, one, &c->node->attr);
    if (y == AD_NONE || compute(c->g, y, c->isa_level, &number) != FWM_OK)
        return AD_NONE;
    return ad_fill(c->g, c->node->shape, number[0]);
}

/* Any operator of constants, where the result is no larger than they are. */
static ad_value fold_constant(const context *c)
{
    int64_t read = 0, n = ad_shape_count(&c->node->shape);
    double *numbers;
    if (c->node->op->flags & (AD_RANDOM | AD_LEAF) || c->node->attr.object || c->node->n_in == 0 ||
        c->node->op == &ad_op_custom)
        return AD_NONE;
    for (int k = 0; k < c->node->n_in; k++) {
        if (!is(c, c->in[k], &ad_op_fill) && !is(c, c->in[k], &ad_op_constant))
            return AD_NONE;
        read += ad_count(c->g, c->in[k]);
    }
    ad_value y = n <= read ? ad_graph_copy(c->g, c->node, c->in, c->node->copy) : AD_NONE;
    if (y == AD_NONE || compute(c->g, y, c->isa_level, &numbers) != FWM_OK)
        return AD_NONE;
    return ad_constant(c->g, c->node->shape, numbers);
}

/* A constant that is the same everywhere is read as one number where another operand gives the shape. */
static void narrow(const context *c, ad_value *in)
{
    const ad_shape *shape = &c->node->shape;
    bool spanned = false;
    if (!(c->node->op->flags & AD_ELEMENTWISE) || c->node->op == &ad_op_add_n || c->node->n_in < 2)
        return;
    for (int k = 0; k < c->node->n_in; k++)
        spanned = spanned || (!is(c, in[k], &ad_op_fill) && ad_shape_equal(&c->g->node[in[k]].shape, shape));
    for (int k = 0; k < c->node->n_in && spanned; k++)
        if (is(c, in[k], &ad_op_fill) && ad_count(c->g, in[k]) > 1)
            in[k] = ad_fill(c->g, (ad_shape){1, {1}}, c->g->node[in[k]].attr.f[0]);
}

/* ---- the pass ---- */

static ad_value fold(const context *c)
{
    ad_value y = fold_uniform(c);
    for (size_t k = 0; k < sizeof rules / sizeof *rules && y == AD_NONE; k++)
        if (rules[k].op == c->node->op)
            y = rules[k].fold(c);
    return y == AD_NONE ? fold_constant(c) : y;
}

static fwm_status run(ad_rewrite *r)
{
    int32_t most = 1;
    for (ad_value v = 0; v < r->from->n; v++)
        most = r->from->node[v].n_in > most ? r->from->node[v].n_in : most;
    ad_value *in = fwm_malloc((size_t)most, sizeof *in);
    FWM_CHECK(in, FWM_MEMORY, "out of memory");
    for (ad_value v = 0; v < r->from->n && r->to->status == FWM_OK; v++) {
        const ad_node *node = &r->from->node[v];
        if (!r->live[v])
            continue;
        if (node->op->flags & AD_LEAF) {
            (void)ad_rewrite_copy(r, v);
            continue;
        }
        context c = {.g = r->to, .node = node, .in = in, .isa_level = r->options->isa_level};
        for (int k = 0; k < node->n_in; k++)
            in[k] = r->map[node->in[k]];
        r->to->scope_name = node->name;
        r->map[v] = fold(&c);
        if (r->map[v] == AD_NONE) {
            narrow(&c, in);
            r->map[v] = ad_graph_copy(r->to, node, in, node->copy);
        }
    }
    fwm_free(in);
    return ad_graph_status(r->to);
}

extern const ad_pass ad_pass_fold;
const ad_pass ad_pass_fold = {.name = "fold",
                              .order = 10,
                              .exact = false,
                              .summary = "constants are computed once; what is another value already gives way to it",
                              .run = run};
