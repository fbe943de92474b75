/* Making and using the fast path of affine equations: see sparse.h. */
#include "physics/problem_impl.h"

#include "model/base/arena.h"

#include <math.h>
#include <string.h>

/* How far the matrices may be from the sweep, of the residual's largest entry: sums of some tens of terms. */
static const double CHECK[2] = {[AD_F32] = 1e-4, [AD_F64] = 1e-11};

void fem_sparse_destroy(fem_sparse *s)
{
    for (int k = 0; k < FEM_MAX_PARAMETERS; k++)
        fwm_free(s->theta[k]);
    void *arrays[] = {s->start,    s->column,   s->load_start, s->load_action, s->value[0],
                      s->value[1], s->value[2], s->value[3],   s->weight,      s->work};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    *s = (fem_sparse){0};
}

static bool same_theta(const fem_problem *p, ad_dtype dtype, const fem_sparse *s, const fem_theta *theta)
{
    for (int k = 0; k < p->equation->n_parameters; k++)
        if (s->count[k] != theta->count[k] ||
            memcmp(s->theta[k], theta->value[k], (size_t)theta->count[k] * fem_number_size(dtype)) != 0)
            return false;
    return s->made;
}

static void put_number(ad_dtype dtype, void *to, int64_t i, double x)
{
    if (dtype == AD_F64)
        ((double *)to)[i] = x;
    else
        ((float *)to)[i] = (float)x;
}

/* Where node j stands in row i of the pattern of one field. */
static int64_t place_of(const fem_csr *m, int64_t i, int32_t j)
{
    int64_t lo = m->row_start[i], hi = m->row_start[i + 1] - 1;
    while (lo < hi) {
        const int64_t middle = (lo + hi) / 2;
        if (m->column[middle] < j)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

/* full [nnz of one field, c, c] += the element matrices. */
static void sum_elements(const fem_problem *p, double *full)
{
    const fem_mesh *mesh = p->mesh;
    const fem_csr *m = mesh->impl->mass;
    const int nodes = mesh->cell_node_count, c = p->components, dofs = nodes * c;
    for (int64_t k = 0; k < mesh->n_cells * nodes * nodes; k++) {
        const int64_t cell = k / (nodes * nodes);
        const int a = (int)(k / nodes % nodes), b = (int)(k % nodes);
        const int32_t *node = mesh->cell_nodes + cell * nodes;
        double *to = full + place_of(m, node[a], node[b]) * c * c;
        for (int i = 0; i < c; i++)
            for (int j = 0; j < c; j++)
                to[i * c + j] += p->ke[(cell * dofs + a * c + i) * dofs + b * c + j];
    }
}

/* Keeps the entries that are not zero in some of the four, which leaves the pattern symmetric. */
static void compress(const fem_problem *p, ad_dtype dtype, fem_sparse *s, const double *one, const double *zero)
{
    const fem_csr *m = p->mesh->impl->mass;
    const int c = p->components;
    int32_t n = 0;
    for (int64_t row = 0; row < p->dof; row++) {
        const int64_t node = row / c;
        const int i = (int)(row % c);
        s->start[row] = n;
        for (int64_t e = m->row_start[node]; e < m->row_start[node + 1]; e++) {
            const int64_t mirror = place_of(m, m->column[e], (int32_t)node);
            for (int j = 0; j < c; j++) {
                const int64_t at = (e * c + i) * c + j, across = (mirror * c + j) * c + i;
                const double value[4] = {one[at], zero[at], one[across], zero[across]};
                if (value[0] == 0 && value[1] == 0 && value[2] == 0 && value[3] == 0)
                    continue;
                s->column[n] = m->column[e] * c + j;
                for (int k = 0; k < 4; k++)
                    put_number(dtype, s->value[k], n, value[k]);
                n++;
            }
        }
    }
    s->start[p->dof] = n;
    s->rows = (fem_sparse_rows){p->dof, s->start, s->column, s->value[0], s->value[1], s->value[2], s->value[3]};
}

/* F from the residuals of unit actions at zero. */
static void make_loads(fem_problem *p, ad_dtype dtype, fem_sparse *s, const fem_theta *wide, double *columns)
{
    const int lanes = p->lane[AD_F64]->lanes;
    const fem_at at = fem_at_pair(p);
    for (int first = 0; first < p->n_actions; first += lanes) {
        const fem_block b = fem_block_at(p, AD_F64, wide, lanes, 0, 0);
        memset(b.work->a, 0, (size_t)(p->n_actions * lanes) * sizeof(double));
        for (int l = 0; l < lanes && first + l < p->n_actions; l++)
            ((double *)b.work->a)[(first + l) * lanes + l] = 1;
        fem_block_clear(&b, SLOT_U1);
        fem_block_clear(&b, SLOT_U0);
        fem_block_residual(&b, SLOT_R, &at);
        const double *r = fem_slot(&b, SLOT_R);
        for (int64_t i = 0; i < p->dof; i++)
            for (int l = 0; l < lanes && first + l < p->n_actions; l++)
                columns[i * p->n_actions + first + l] = -r[i * lanes + l];
    }
    int32_t n = 0;
    for (int64_t i = 0; i < p->dof; i++) {
        s->load_start[i] = n;
        for (int j = 0; j < p->n_actions; j++)
            if (columns[i * p->n_actions + j] != 0) {
                s->load_action[n] = j;
                put_number(dtype, s->weight, n++, columns[i * p->n_actions + j]);
            }
    }
    s->load_start[p->dof] = n;
    s->loads = (fem_loads){p->dof, p->n_actions, s->load_start, s->load_action, s->weight};
}

static void use(const fem_block *b, int r, const fem_sparse *s, const fem_at *at)
{
    void *to = fem_slot(b, r);
    fem_sparse_kernels_find(b->dtype)->residual(to, fem_slot(b, at->u1), fem_slot(b, at->u0), &s->rows);
    b->lane->load(to, b->work->a, &s->loads);
    fem_block_mask(b, r);
}

/* One block of rough states: the matrices against the sweep. */
static bool agrees(fem_problem *p, ad_dtype dtype, const fem_sparse *s, const fem_theta *theta)
{
    const int lanes = p->lane[dtype]->lanes;
    const fem_block b = fem_block_at(p, dtype, theta, lanes, 0, 0);
    const fem_at at = fem_at_pair(p);
    double off[FEM_MAX_LANES], size[FEM_MAX_LANES];
    for (int64_t i = 0; i < p->dof * lanes; i++) {
        put_number(dtype, fem_slot(&b, SLOT_U1), i, sin(12.9898 * (double)(i + 1)));
        put_number(dtype, fem_slot(&b, SLOT_U0), i, sin(78.233 * (double)(i + 1)));
    }
    for (int64_t i = 0; i < (int64_t)p->n_actions * lanes; i++)
        put_number(dtype, b.work->a, i, cos(4.1414 * (double)(i + 1)));
    fem_block_residual(&b, SLOT_R, &at);
    use(&b, SLOT_D, s, &at);
    b.lane->dot(size, fem_slot(&b, SLOT_R), fem_slot(&b, SLOT_R), p->dof);
    b.lane->combine(fem_slot(&b, SLOT_D), -1, fem_slot(&b, SLOT_R), 1, p->dof);
    b.lane->dot(off, fem_slot(&b, SLOT_D), fem_slot(&b, SLOT_D), p->dof);
    bool good = true;
    for (int l = 0; l < lanes; l++)
        good = good && off[l] <= CHECK[dtype] * CHECK[dtype] * size[l];
    return good;
}

static fwm_status make_room(const fem_problem *p, ad_dtype dtype, fem_sparse *s)
{
    const size_t entries = (size_t)(p->mesh->impl->mass->nnz * p->components * p->components), dof = (size_t)p->dof,
                 number = fem_number_size(dtype), loads = dof * (size_t)p->n_actions;
    if (s->work)
        return FWM_OK;
    fem_sparse_destroy(s);
    s->start = fwm_malloc(dof + 1, sizeof *s->start);
    s->column = fwm_malloc(entries, sizeof *s->column);
    s->load_start = fwm_malloc(dof + 1, sizeof *s->load_start);
    s->load_action = fwm_malloc(loads, sizeof *s->load_action);
    s->weight = fwm_malloc(loads, number);
    bool good = s->start && s->column && s->load_start && s->load_action && s->weight;
    for (int k = 0; k < 4; k++) {
        s->value[k] = fwm_malloc(entries, number);
        good = good && s->value[k];
    }
    size_t work = 2 * entries + loads;
    for (int k = 0; k < p->equation->n_parameters; k++) {
        const size_t most = p->equation->parameter[k].per_cell ? (size_t)p->mesh->n_cells : 1;
        s->theta[k] = fwm_malloc(most, number);
        good = good && s->theta[k];
        work += most;
    }
    s->work = fwm_malloc(work, sizeof *s->work);
    good = good && s->work;
    FWM_CHECK(good, FWM_MEMORY, "%s: out of memory for its matrices", p->equation->name);
    return FWM_OK;
}

/* Both matrices as sums over the cells, then in the caller's numbers. */
static fwm_status make(fem_problem *p, ad_dtype dtype, fem_sparse *s, const fem_theta *theta)
{
    const int64_t entries = p->mesh->impl->mass->nnz * p->components * p->components;
    FWM_TRY(make_room(p, dtype, s));
    double *full = s->work;
    memset(full, 0, (size_t)(2 * entries) * sizeof *full);
    int64_t at = 2 * entries + p->dof * p->n_actions;
    fem_theta wide = {{0}, {0}};
    s->made = false;
    for (int k = 0; k < p->equation->n_parameters; at += theta->count[k++]) {
        wide.value[k] = full + at;
        wide.count[k] = s->count[k] = theta->count[k];
        memcpy(s->theta[k], theta->value[k], (size_t)theta->count[k] * fem_number_size(dtype));
        for (int64_t i = 0; i < theta->count[k]; i++)
            full[at + i] = fem_theta_at(dtype, theta, k, i);
    }
    /* dR/du0 is the matrix of a stage in which the two states have changed places. */
    fem_stage stage = fem_at_pair(p).stage;
    const double *none = p->rest; /* zero where nothing is lagged; affine equations do not care */
    fem_jacobian(p, p->ke, none, none, p->rest + p->dof, &wide, &stage);
    sum_elements(p, full);
    stage.alpha = 1 - stage.alpha;
    stage.beta = -stage.beta;
    fem_jacobian(p, p->ke, none, none, p->rest + p->dof, &wide, &stage);
    sum_elements(p, full + entries);
    compress(p, dtype, s, full, full + entries);
    make_loads(p, dtype, s, &wide, full + 2 * entries);
    s->made = true;
    s->good = agrees(p, dtype, s, theta);
    return FWM_OK;
}

fwm_status fem_sparse_prepare(fem_problem *p, ad_dtype dtype, const fem_theta *theta)
{
    fem_sparse *s = &p->sparse[dtype];
    if (!fem_theta_linear(p, dtype, theta) || p->constraints.n_means > 0)
        return FWM_OK;
    if (!same_theta(p, dtype, s, theta))
        FWM_TRY(make(p, dtype, s, theta));
    s->serves = s->good ? theta : NULL;
    return FWM_OK;
}

static const fem_sparse *serving(const fem_block *b, const fem_at *at)
{
    const fem_sparse *s = &b->p->sparse[b->dtype];
    if (!s->serves || s->serves != b->theta || at->w >= 0)
        return NULL;
    const fem_stage pair = fem_at_pair(b->p).stage;
    return at->stage.dt == pair.dt && at->stage.alpha == pair.alpha && at->stage.beta == pair.beta ? s : NULL;
}

bool fem_sparse_residual(const fem_block *b, int r, const fem_at *at)
{
    const fem_sparse *s = serving(b, at);
    if (s)
        use(b, r, s, at);
    return s != NULL;
}

bool fem_sparse_vjp(const fem_block *b, int v, const fem_at *at, const fem_bar_slots *bars)
{
    const fem_sparse *s = serving(b, at);
    for (int k = 0; s && bars->theta && k < b->p->equation->n_parameters; k++)
        if (bars->theta[k])
            return false;
    if (!s)
        return false;
    const fem_sparse_kernels *kernels = fem_sparse_kernels_find(b->dtype);
    fem_block_mask(b, v);
    if (bars->u1 >= 0)
        kernels->add(fem_slot(b, bars->u1), fem_slot(b, v), s->rows.transposed1, &s->rows);
    if (bars->u0 >= 0)
        kernels->add(fem_slot(b, bars->u0), fem_slot(b, v), s->rows.transposed0, &s->rows);
    if (bars->a)
        b->lane->load_vjp(b->work->a_bar, fem_slot(b, v), &s->loads);
    return true;
}
