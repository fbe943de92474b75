/* Step, residual and loss as custom operators of the graph. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <stdio.h>
#include <string.h>

struct fem_custom_node {
    ad_custom custom;
    fem_problem *p;
    fem_custom_kind kind;
    ad_dtype dtype;
    int64_t batch, count[FEM_MAX_PARAMETERS];
    void *scaled; /* residual: [batch, dof], the cotangent over the lumped mass */
    struct fem_custom_node *next;
};

static int states_of(const fem_custom_node *c)
{
    return c->kind == FEM_CUSTOM_STEP ? 1 : 2;
}

/* Inputs before the parameters. */
static int before_theta(const fem_custom_node *c)
{
    return states_of(c) + (c->p->n_actions > 0);
}

/* The actions among the inputs, NULL where the problem has none. */
static const void *actions_of(const fem_custom_node *c, const void *const *in)
{
    return c->p->n_actions > 0 ? in[states_of(c)] : NULL;
}

static fwm_status check_input(const fem_custom_node *c, const char *what, const ad_shape *s, int rank, int64_t d0,
                              int64_t d1, int64_t d2)
{
    const int64_t want[3] = {d0, d1, d2};
    bool same = s->rank == rank;
    for (int k = 0; k < rank && same; k++)
        same = s->dim[k] == want[k];
    char expected[96] = "", found[96] = "";
    ad_shape shape = {.rank = rank, .dim = {d0, d1, d2}};
    for (int k = 0, e = 0; k < rank; k++)
        e += snprintf(expected + e, sizeof expected - (size_t)e, "%s%lld", k > 0 ? "," : "", (long long)shape.dim[k]);
    for (int k = 0, e = 0; k < s->rank && e < 80; k++)
        e += snprintf(found + e, sizeof found - (size_t)e, "%s%lld", k > 0 ? "," : "", (long long)s->dim[k]);
    FWM_CHECK(same, FWM_SHAPE, "%s: %s: expected shape [%s], found [%s]", c->p->equation->name, what, expected, found);
    return FWM_OK;
}

static fwm_status shape(void *self, int n, const ad_shape *in, ad_shape *out)
{
    const fem_custom_node *c = self;
    const fem_problem *p = c->p;
    const fem_equation *e = p->equation;
    int states = states_of(c);
    FWM_CHECK(n == before_theta(c) + e->n_parameters, FWM_SHAPE,
              "%s: expected %d inputs (%d states, %s%d parameters), found %d", e->name,
              before_theta(c) + e->n_parameters, states, p->n_actions > 0 ? "actions, " : "", e->n_parameters, n);
    for (int k = 0; k < states; k++)
        FWM_TRY(check_input(c, "state", &in[k], 3, c->batch, p->mesh->n_nodes, p->components));
    if (p->n_actions > 0)
        FWM_TRY(check_input(c, "actions", &in[states], 2, c->batch, p->n_actions, 0));
    for (int k = 0; k < e->n_parameters; k++)
        FWM_TRY(check_input(c, e->parameter[k].name, &in[before_theta(c) + k], 1, c->count[k], 0, 0));
    *out = (ad_shape){.rank = 1, .dim = {c->batch}};
    if (c->kind != FEM_CUSTOM_LOSS)
        *out = (ad_shape){.rank = 3, .dim = {c->batch, p->mesh->n_nodes, p->components}};
    return FWM_OK;
}

static fem_theta theta_of(const fem_custom_node *c, const void *const *in)
{
    fem_theta theta = {{0}, {0}};
    for (int k = 0; k < c->p->equation->n_parameters; k++) {
        theta.value[k] = in[before_theta(c) + k];
        theta.count[k] = c->count[k];
    }
    return theta;
}

static fem_bars bars_of(const fem_custom_node *c, void *const *dx)
{
    int states = states_of(c);
    fem_bars bars = {
        .u1 = states == 2 ? dx[0] : NULL, .u0 = dx[states - 1], .a = c->p->n_actions > 0 ? dx[states] : NULL};
    for (int k = 0; k < c->p->equation->n_parameters; k++)
        bars.theta[k] = dx[before_theta(c) + k];
    return bars;
}

/* y = x / m for rows [batch, dof]; y may be x. */
static void over_lumped(const fem_custom_node *c, void *y, const void *x)
{
    int64_t fields = c->p->components, dof = c->p->dof;
    const double *m = c->p->mesh->lumped;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < c->batch; b++)
        for (int64_t i = 0; i < dof; i++) {
            if (c->dtype == AD_F64)
                ((double *)y)[b * dof + i] = ((const double *)x)[b * dof + i] / m[i / fields];
            else
                ((float *)y)[b * dof + i] = ((const float *)x)[b * dof + i] / (float)m[i / fields];
        }
}

static fwm_status check_dtype(const fem_custom_node *c, ad_dtype dtype)
{
    FWM_CHECK(dtype == c->dtype, FWM_INTERNAL, "%s: the operator was made for float%d", c->p->equation->name,
              c->dtype == AD_F64 ? 64 : 32);
    return FWM_OK;
}

static fwm_status step_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    const fem_custom_node *c = self;
    fem_theta theta = theta_of(c, in);
    FWM_TRY(check_dtype(c, dtype));
    return fem_step(c->p, dtype, out, in[0], actions_of(c, in), &theta, c->batch);
}

static fwm_status step_vjp(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                           void *const *dx)
{
    const fem_custom_node *c = self;
    fem_theta theta = theta_of(c, in);
    fem_bars bars = bars_of(c, dx);
    FWM_TRY(check_dtype(c, dtype));
    return fem_step_vjp(c->p, dtype, &bars, dout, out, in[0], actions_of(c, in), &theta, c->batch);
}

static fwm_status residual_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    const fem_custom_node *c = self;
    fem_theta theta = theta_of(c, in);
    FWM_TRY(check_dtype(c, dtype));
    FWM_TRY(fem_residual(c->p, dtype, out, in[0], in[1], actions_of(c, in), &theta, c->batch));
    over_lumped(c, out, out);
    return FWM_OK;
}

static fwm_status residual_vjp(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                               void *const *dx)
{
    (void)out;
    const fem_custom_node *c = self;
    fem_theta theta = theta_of(c, in);
    fem_bars bars = bars_of(c, dx);
    FWM_TRY(check_dtype(c, dtype));
    over_lumped(c, c->scaled, dout);
    return fem_residual_vjp(c->p, dtype, &bars, c->scaled, in[0], in[1], actions_of(c, in), &theta, c->batch);
}

static fwm_status loss_forward(void *self, ad_dtype dtype, const void *const *in, void *out)
{
    const fem_custom_node *c = self;
    fem_theta theta = theta_of(c, in);
    FWM_TRY(check_dtype(c, dtype));
    return fem_loss(c->p, dtype, out, in[0], in[1], actions_of(c, in), &theta, c->batch);
}

static fwm_status loss_vjp(void *self, ad_dtype dtype, const void *const *in, const void *out, const void *dout,
                           void *const *dx)
{
    (void)out;
    const fem_custom_node *c = self;
    fem_theta theta = theta_of(c, in);
    fem_bars bars = bars_of(c, dx);
    FWM_TRY(check_dtype(c, dtype));
    return fem_loss_vjp(c->p, dtype, &bars, dout, in[0], in[1], actions_of(c, in), &theta, c->batch);
}

static const ad_custom kinds[FEM_CUSTOM_COUNT] = {
    [FEM_CUSTOM_STEP] = {.name = "fem_step", .shape = shape, .forward = step_forward, .vjp = step_vjp},
    [FEM_CUSTOM_RESIDUAL] = {.name = "fem_residual", .shape = shape, .forward = residual_forward, .vjp = residual_vjp},
    [FEM_CUSTOM_LOSS] = {.name = "fem_loss", .shape = shape, .forward = loss_forward, .vjp = loss_vjp},
};

/* Multiplications and additions of one call, to the accuracy that a plan's print needs: 6 per node, point and
 * derivative in a sweep, 4 per entry of L in a solve. */
static void estimate(fem_custom_node *c)
{
    const fem_problem *p = c->p;
    double cells = (double)p->mesh->n_cells, nodes = p->mesh->cell_node_count, points = p->mesh->impl->n_points;
    double sweep = cells * points * nodes * (2 + 4 * p->mesh->dim) * p->components;
    double solve = 4 * (double)fem_symbolic_nonzeros(p->symbolic);
    c->custom.flops = (double)c->batch * (sweep + (c->kind == FEM_CUSTOM_RESIDUAL ? 0 : solve));
    c->custom.bytes = (double)(c->batch * p->dof * 3) * (double)fem_number_size(c->dtype);
}

fwm_status fem_custom(const ad_custom **custom, fem_problem *p, fem_custom_kind kind, ad_dtype dtype, int64_t batch,
                      const int64_t *count)
{
    *custom = NULL;
    FWM_CHECK((int)kind >= 0 && kind < FEM_CUSTOM_COUNT, FWM_INVALID, "unknown operator %d", (int)kind);
    for (int k = 0; k < p->equation->n_parameters; k++)
        FWM_TRY(fem_theta_count_check(p, k, count[k]));
    for (fem_custom_node *c = p->customs; c; c = c->next)
        if (c->kind == kind && c->dtype == dtype && c->batch == batch &&
            memcmp(c->count, count, (size_t)p->equation->n_parameters * sizeof *count) == 0) {
            *custom = &c->custom;
            return FWM_OK;
        }
    FWM_TRY(fem_problem_reserve(p, dtype, batch));
    fem_custom_node *c = fwm_calloc(1, sizeof *c);
    FWM_CHECK(c, FWM_MEMORY, "out of memory for an operator");
    *c = (fem_custom_node){
        .custom = kinds[kind], .p = p, .kind = kind, .dtype = dtype, .batch = batch, .next = p->customs};
    memcpy(c->count, count, (size_t)p->equation->n_parameters * sizeof *count);
    if (kind == FEM_CUSTOM_RESIDUAL) {
        c->scaled = fwm_malloc((size_t)(batch * p->dof), fem_number_size(dtype));
        if (!c->scaled) {
            fwm_free(c);
            return fwm_fail(FWM_MEMORY, "out of memory for an operator");
        }
    }
    c->custom.self = c;
    estimate(c);
    p->customs = c;
    *custom = &c->custom;
    return FWM_OK;
}

void fem_customs_destroy(fem_problem *p)
{
    while (p->customs) {
        fem_custom_node *next = p->customs->next;
        fwm_free(p->customs->scaled);
        fwm_free(p->customs);
        p->customs = next;
    }
}
