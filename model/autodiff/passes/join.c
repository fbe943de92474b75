/* A sum of products over rows is one product over all of them: A1^T B1 + A2^T B2 = [A1; A2]^T [B1; B2].
 *
 * The gradient of a weight that is used at every time step is such a sum, of products with as few rows as the batch
 * has. Done where putting the operands together moves fewer numbers than the products hold, which the sum would read.
 */
#include "model/autodiff/passes/pass.h"

#include "model/autodiff/ops.h"

#include <string.h>

extern const ad_op ad_op_add, ad_op_add_n, ad_op_matmul;

enum { MOST = 512 }; /* terms of a sum */

/* A^T B of two matrices that nothing but one sum reads. */
static bool is_term(const ad_rewrite *r, ad_value v)
{
    const ad_node *node = &r->from->node[v];
    return node->op == &ad_op_matmul && node->attr.i[0] != 0 && node->attr.i[1] == 0 && r->uses[v] == 1 &&
           node->shape.rank == 2;
}

/* Fills term[] with the inputs of the sum v that go together, rest[] with the others; returns how many terms. */
static int choose(const ad_rewrite *r, ad_value v, ad_value *term, ad_value *rest, int *n_rest)
{
    const ad_node *node = &r->from->node[v];
    int n = 0;
    int64_t moved = 0;
    *n_rest = 0;
    if ((node->op != &ad_op_add && node->op != &ad_op_add_n) || node->n_in > MOST || node->shape.rank != 2)
        return 0;
    for (int k = 0; k < node->n_in; k++) {
        const ad_value x = node->in[k];
        const bool good = is_term(r, x) && ad_shape_equal(&r->from->node[x].shape, &node->shape);
        if (!good) {
            rest[(*n_rest)++] = x;
            continue;
        }
        moved += ad_count(r->from, r->from->node[x].in[0]) + ad_count(r->from, r->from->node[x].in[1]);
        term[n++] = x;
    }
    return n >= 2 && moved < n * ad_shape_count(&node->shape) ? n : 0;
}

/* Operand k of all terms, one below the other. */
static ad_value stack(ad_rewrite *r, int n, const ad_value *term, int k)
{
    ad_value part[MOST];
    for (int i = 0; i < n; i++)
        part[i] = r->map[r->from->node[term[i]].in[k]];
    return ad_concat(r->to, n, part, 0);
}

static ad_value build(ad_rewrite *r, int n, const ad_value *term, int n_rest, ad_value *rest)
{
    ad_value sum = ad_matmul(r->to, stack(r, n, term, 0), stack(r, n, term, 1), true, false);
    for (int k = 0; k < n_rest; k++)
        rest[k] = r->map[rest[k]];
    if (n_rest == 0)
        return sum;
    rest[n_rest] = sum;
    return n_rest == 1 ? ad_add(r->to, rest[0], sum) : ad_add_n(r->to, n_rest + 1, rest);
}

static fwm_status run(ad_rewrite *r)
{
    ad_value term[MOST], rest[MOST + 1];
    int n_rest;
    bool *inside = fwm_calloc((size_t)r->from->n + 1, sizeof *inside);
    FWM_CHECK(inside, FWM_MEMORY, "out of memory");
    for (ad_value v = 0; v < r->from->n; v++)
        for (int k = r->live[v] ? choose(r, v, term, rest, &n_rest) : 0; k > 0; k--)
            inside[term[k - 1]] = true;
    for (ad_value v = 0; v < r->from->n && r->to->status == FWM_OK; v++) {
        if (!r->live[v] || inside[v])
            continue;
        const int n = choose(r, v, term, rest, &n_rest);
        r->to->scope_name = r->from->node[v].name;
        if (n == 0)
            (void)ad_rewrite_copy(r, v);
        else
            r->map[v] = build(r, n, term, n_rest, rest);
    }
    fwm_free(inside);
    return ad_graph_status(r->to);
}

extern const ad_pass ad_pass_join;
const ad_pass ad_pass_join = {.name = "join",
                              .order = 20,
                              .exact = false,
                              .rounds = true,
                              .summary = "sums of products over rows, such as a weight's gradient over time, are one "
                                         "product",
                              .run = run};
