#include "model/transport/exact.h"

#include "model/base/arena.h"
#include "model/base/checked.h"
#include "model/transport/sites.h"

#include <math.h>
#include <string.h>

enum { NONE = -1, ROUNDS = 20, PIVOTS_PER_NODE = 4000 };

static const double perturbation = 1e-11, weight_tolerance = 1e-9, certificate = 1e-9;

/* Nodes 0..M-1 are rows, M..M+N-1 columns. The tree hangs from node 0; flow[v] runs on the arc between v and its
 * parent. */
typedef struct simplex {
    int64_t M, N;
    const double *C;
    double scale; /* max |C| */
    double *a, *b, *potential, *flow, *rest;
    int64_t *parent, *child, *next, *previous, *depth, *stack;
} simplex;

static double cost_of(const simplex *s, int64_t u, int64_t v)
{
    return u < s->M ? s->C[u * s->N + v - s->M] : s->C[v * s->N + u - s->M];
}

/* ---- tree ---- */

static void detach(simplex *s, int64_t v)
{
    if (s->previous[v] == NONE)
        s->child[s->parent[v]] = s->next[v];
    else
        s->next[s->previous[v]] = s->next[v];
    if (s->next[v] != NONE)
        s->previous[s->next[v]] = s->previous[v];
}

static void attach(simplex *s, int64_t v, int64_t parent, double flow)
{
    s->parent[v] = parent;
    s->flow[v] = flow;
    s->previous[v] = NONE;
    s->next[v] = s->child[parent];
    if (s->next[v] != NONE)
        s->previous[s->next[v]] = v;
    s->child[parent] = v;
}

/* Depths below v from v's parent; potentials of rows += by, of columns -= by. */
static void renew(simplex *s, int64_t v, double by)
{
    int64_t top = 0;
    s->stack[top++] = v;
    while (top > 0) {
        int64_t at = s->stack[--top];
        s->depth[at] = s->depth[s->parent[at]] + 1;
        s->potential[at] += at < s->M ? by : -by;
        for (int64_t c = s->child[at]; c != NONE; c = s->next[c])
            s->stack[top++] = c;
    }
}

/* Potentials from the tree alone: every tree arc has reduced cost 0. */
static void price(simplex *s)
{
    int64_t top = 0;
    s->potential[0] = 0;
    for (int64_t c = s->child[0]; c != NONE; c = s->next[c])
        s->stack[top++] = c;
    while (top > 0) {
        int64_t at = s->stack[--top];
        s->potential[at] = cost_of(s, at, s->parent[at]) - s->potential[s->parent[at]];
        for (int64_t c = s->child[at]; c != NONE; c = s->next[c])
            s->stack[top++] = c;
    }
}

/* ---- start ---- */

/* Arcs by row minima: the cheapest open column takes what it can, and exactly one line is closed each time, so that the
 * arcs span a tree. They are hung up afterwards, from node 0. */
static void first_arcs(const simplex *s, int64_t *from, int64_t *to, double *mass, double *row, double *column)
{
    int64_t arcs = 0, open = s->N;
    unsigned char *closed = (unsigned char *)s->stack; /* a byte a column */
    memset(closed, 0, (size_t)s->N);
    for (int64_t i = 0; i < s->M; i++) {
        const double *c = s->C + i * s->N;
        for (bool done = false; !done;) {
            int64_t best = NONE;
            for (int64_t j = 0; j < s->N; j++)
                if (!closed[j] && (best == NONE || c[j] < c[best]))
                    best = j;
            bool last_row = i == s->M - 1, close_row = open == 1 || (!last_row && row[i] < column[best]);
            double carried = close_row ? row[i] : last_row ? column[best] : fmin(row[i], column[best]);
            carried = carried > 0 ? carried : 0;
            from[arcs] = i, to[arcs] = s->M + best, mass[arcs++] = carried;
            row[i] -= carried;
            column[best] -= carried;
            done = close_row;
            if (!close_row) {
                closed[best] = 1;
                open--;
            }
        }
    }
}

/* Hangs M+N-1 arcs from node 0: adjacency by counting, then a walk. work: 3 (M+N) places. */
static void hang(simplex *s, const int64_t *from, const int64_t *to, const double *mass, int64_t *start, int64_t *list)
{
    int64_t n = s->M + s->N, arcs = n - 1, top = 0;
    memset(start, 0, (size_t)(n + 1) * sizeof *start);
    for (int64_t k = 0; k < arcs; k++)
        start[from[k] + 1]++, start[to[k] + 1]++;
    for (int64_t v = 0; v < n; v++)
        start[v + 1] += start[v], s->depth[v] = start[v],
                                  s->parent[v] = s->child[v] = s->next[v] = s->previous[v] = NONE;
    for (int64_t k = 0; k < arcs; k++)
        list[s->depth[from[k]]++] = k, list[s->depth[to[k]]++] = k;
    s->stack[top++] = 0;
    s->depth[0] = 0;
    while (top > 0) {
        int64_t at = s->stack[--top];
        for (int64_t q = start[at]; q < start[at + 1]; q++) {
            int64_t k = list[q], other = from[k] == at ? to[k] : from[k];
            if (other == s->parent[at])
                continue;
            attach(s, other, at, mass[k]);
            s->depth[other] = s->depth[at] + 1;
            s->stack[top++] = other;
        }
    }
}

static fwm_status start_tree(simplex *s)
{
    int64_t n = s->M + s->N;
    int64_t *work = fwm_malloc((size_t)n * 5 + 1, sizeof *work);
    double *numbers = fwm_malloc((size_t)n * 2, sizeof *numbers);
    if (work && numbers) {
        memcpy(numbers, s->a, (size_t)s->M * sizeof *numbers);
        memcpy(numbers + s->M, s->b, (size_t)s->N * sizeof *numbers);
        first_arcs(s, work, work + n, numbers + n, numbers, numbers + s->M);
        hang(s, work, work + n, numbers + n, work + 2 * n, work + 3 * n + 1);
    }
    bool failed = !work || !numbers;
    fwm_free(work);
    fwm_free(numbers);
    FWM_CHECK(!failed, FWM_MEMORY, "exact transport: out of memory");
    return FWM_OK;
}

/* ---- pivots ---- */

/* The most negative reduced cost of row i, and its column. */
static double row_minimum(const simplex *s, int64_t i, int64_t *column)
{
    const double *c = s->C + i * s->N, *g = s->potential + s->M;
    double least = INFINITY;
#pragma omp simd reduction(min : least)
    for (int64_t j = 0; j < s->N; j++)
        least = c[j] - g[j] < least ? c[j] - g[j] : least;
    int64_t at = 0;
    while (at < s->N - 1 && !(c[at] - g[at] <= least))
        at++;
    *column = at;
    return least - s->potential[i];
}

/* One side of the cycle from v up to the apex: flow falls on every other arc, the first one included. */
static void scan_side(const simplex *s, int64_t v, int64_t apex, bool is_row, double *least, int64_t *leaving)
{
    for (; v != apex; v = s->parent[v])
        if ((v < s->M) == is_row && s->flow[v] < *least) {
            *least = s->flow[v];
            *leaving = v;
        }
}

static void change_side(simplex *s, int64_t v, int64_t apex, bool is_row, double by)
{
    for (; v != apex; v = s->parent[v])
        s->flow[v] += (v < s->M) == is_row ? -by : by;
}

static int64_t common_ancestor(const simplex *s, int64_t u, int64_t v)
{
    while (u != v) {
        if (s->depth[u] >= s->depth[v])
            u = s->parent[u];
        else
            v = s->parent[v];
    }
    return u;
}

/* Brings row i and column j into the tree; reduced is their reduced cost, below 0. */
static void pivot(simplex *s, int64_t i, int64_t j, double reduced)
{
    int64_t column = s->M + j, apex = common_ancestor(s, i, column), leaving = NONE, before;
    double least = INFINITY;
    scan_side(s, i, apex, true, &least, &leaving);
    before = leaving;
    scan_side(s, column, apex, false, &least, &leaving);
    double by = least > 0 ? least : 0;
    change_side(s, i, apex, true, by);
    change_side(s, column, apex, false, by);
    int64_t inner = leaving == before ? i : column, outer = inner == i ? column : i;
    /* What hangs below the leaving arc is hung up again by `inner`: the path between them turns round. */
    int64_t v = inner, parent = outer;
    double flow = by;
    for (bool done = false; !done;) {
        int64_t up = s->parent[v];
        double old = s->flow[v];
        done = v == leaving;
        detach(s, v);
        attach(s, v, parent, flow);
        parent = v;
        flow = old;
        v = up;
    }
    renew(s, inner, inner == i ? reduced : -reduced);
}

/* Pivots until no row has a reduced cost below -tolerance. */
static fwm_status optimise(simplex *s, double tolerance, int64_t *pivots)
{
    int64_t most = PIVOTS_PER_NODE * (s->M + s->N), quiet = 0;
    for (int64_t i = 0; quiet < s->M; i = i + 1 < s->M ? i + 1 : 0) {
        int64_t j;
        double reduced = row_minimum(s, i, &j);
        if (reduced >= -tolerance) {
            quiet++;
            continue;
        }
        quiet = 0;
        FWM_CHECK(++*pivots <= most, FWM_NUMERIC, "exact transport: no optimum after %lld pivots", (long long)most);
        pivot(s, i, j, reduced);
    }
    return FWM_OK;
}

/* ---- result ---- */

/* Flows of the tree for the weights as given: leaves hand what they have to their parents, deepest first. */
static void flows_again(simplex *s, const double *a, const double *b)
{
    int64_t n = s->M + s->N, count = 0;
    for (int64_t v = 0; v < n; v++)
        s->rest[v] = v < s->M ? a[v] : b[v - s->M];
    s->stack[count++] = 0;
    for (int64_t at = 0; at < count; at++) /* parents before children */
        for (int64_t c = s->child[s->stack[at]]; c != NONE; c = s->next[c])
            s->stack[count++] = c;
    for (int64_t k = count; k-- > 1;) {
        int64_t v = s->stack[k];
        s->flow[v] = s->rest[v];
        s->rest[s->parent[v]] -= s->rest[v];
    }
}

static fwm_status certify(simplex *s, ot_exact_result *r, const double *a, const double *b)
{
    r->cost = r->dual = 0;
    r->slack = r->flow = INFINITY;
    for (int64_t i = 0; i < s->M; i++) {
        int64_t j;
        r->slack = fmin(r->slack, row_minimum(s, i, &j));
        r->dual += a[i] * s->potential[i];
    }
    for (int64_t j = 0; j < s->N; j++)
        r->dual += b[j] * s->potential[s->M + j];
    for (int64_t v = 1; v < s->M + s->N; v++) {
        r->cost += s->flow[v] * cost_of(s, v, s->parent[v]);
        r->flow = fmin(r->flow, s->flow[v]);
    }
    FWM_CHECK(r->slack >= -certificate * s->scale && r->flow >= -certificate &&
                  fabs(r->cost - r->dual) <= certificate * s->scale,
              FWM_NUMERIC,
              "exact transport: not certified: cost %.12g, dual %.12g, least reduced cost %g, least flow %g", r->cost,
              r->dual, r->slack, r->flow);
    return FWM_OK;
}

static fwm_status check_weights(const char *name, double *to, int64_t n, const double *w)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        to[i] = w ? w[i] : 1.0 / (double)n;
        FWM_CHECK(isfinite(to[i]) && to[i] >= 0, FWM_INVALID, "exact transport: weight %lld of the %s is %g",
                  (long long)i, name, to[i]);
        sum += to[i];
    }
    FWM_CHECK(fabs(sum - 1) <= weight_tolerance, FWM_INVALID,
              "exact transport: the weights of the %s sum to %.12g, expected 1", name, sum);
    for (int64_t i = 0; i < n; i++)
        to[i] /= sum;
    return FWM_OK;
}

static fwm_status solve(simplex *s, ot_exact_result *r, double *f, double *g, ot_exact_arc *arc, const double *a,
                        const double *b)
{
    double *given = s->rest + s->M + s->N, delta = perturbation / (double)s->M;
    FWM_TRY(check_weights("rows", given, s->M, a));
    FWM_TRY(check_weights("columns", given + s->M, s->N, b));
    for (int64_t k = 0; k < s->M * s->N; k++) {
        FWM_CHECK(isfinite(s->C[k]), FWM_INVALID, "exact transport: the cost of row %lld and column %lld is %g",
                  (long long)(k / s->N), (long long)(k % s->N), s->C[k]);
        s->scale = fmax(s->scale, fabs(s->C[k]));
    }
    for (int64_t i = 0; i < s->M; i++)
        s->a[i] = given[i] + delta;
    for (int64_t j = 0; j < s->N; j++)
        s->b[j] = given[s->M + j] + (j == s->N - 1 ? (double)s->M * delta : 0.0);
    FWM_TRY(start_tree(s));
    price(s);
    /* Rounding gathers in potentials that are only changed: the last word is with fresh ones. */
    for (int64_t round = 0, before = -1; round < ROUNDS && before != r->pivots; round++) {
        before = r->pivots;
        FWM_TRY(optimise(s, 1e-13 * s->scale, &r->pivots));
        price(s);
    }
    flows_again(s, given, given + s->M);
    for (int64_t v = 1; arc && v < s->M + s->N; v++) {
        int64_t p = s->parent[v];
        arc[v - 1] = (ot_exact_arc){v < s->M ? v : p, (v < s->M ? p : v) - s->M, s->flow[v] > 0 ? s->flow[v] : 0};
    }
    if (f)
        memcpy(f, s->potential, (size_t)s->M * sizeof *f);
    if (g)
        memcpy(g, s->potential + s->M, (size_t)s->N * sizeof *g);
    return certify(s, r, given, given + s->M);
}

fwm_status ot_exact_solve(ot_exact_result *result, double *f, double *g, ot_exact_arc *arc, int64_t M, int64_t N,
                          const double *C, const double *a, const double *b)
{
    FWM_CHECK(M >= 1 && N >= 1, FWM_INVALID, "exact transport: expected rows and columns, found %lld and %lld",
              (long long)M, (long long)N);
    int64_t n, cells;
    FWM_CHECK(fwm_add_i64(M, N, &n) && fwm_mul_i64(M, N, &cells) && n < INT64_MAX / 64, FWM_OVERFLOW,
              "exact transport: %lld rows and %lld columns are too many", (long long)M, (long long)N);
    simplex s = {.M = M, .N = N, .C = C};
    ot_exact_result r = {0};
    double *numbers = fwm_calloc((size_t)n * 5, sizeof *numbers);
    int64_t *links = fwm_calloc((size_t)n * 6, sizeof *links);
    fwm_status status = FWM_OK;
    FWM_CHECK_GOTO(status, numbers && links, FWM_MEMORY, "exact transport: out of memory");
    s.a = numbers, s.b = numbers + M, s.potential = numbers + n, s.flow = numbers + 2 * n, s.rest = numbers + 3 * n;
    int64_t **link[] = {&s.parent, &s.child, &s.next, &s.previous, &s.depth, &s.stack};
    for (size_t k = 0; k < sizeof link / sizeof *link; k++)
        *link[k] = links + (int64_t)k * n;
    status = solve(&s, &r, f, g, arc, a, b);
    *result = r;
done:
    fwm_free(numbers);
    fwm_free(links);
    return status;
}

typedef struct cost_rows {
    double *C;
    int64_t N;
} cost_rows;

static void copy_row(void *self, int64_t row, double *cost)
{
    const cost_rows *c = self;
    memcpy(c->C + row * c->N, cost, (size_t)c->N * sizeof *cost);
}

fwm_status ot_exact_clouds(ot_exact_result *result, ad_dtype dtype, int64_t M, int64_t N, int64_t d, const void *x,
                           const void *y, const double *a, const double *b)
{
    FWM_CHECK(M >= 1, FWM_INVALID, "exact transport: expected points, found %lld", (long long)M);
    ot_sites *sites = NULL;
    double *C = NULL;
    fwm_status status;
    FWM_TRY_GOTO(status, ot_sites_create(&sites, dtype, N, d));
    FWM_TRY_GOTO(status, ot_sites_set(sites, N, y, NULL));
    size_t cells;
    FWM_CHECK_GOTO(status, fwm_mul_size((size_t)M, (size_t)N, &cells), FWM_OVERFLOW,
                   "exact transport: too many points");
    C = fwm_malloc(cells, sizeof *C);
    FWM_CHECK_GOTO(status, C, FWM_MEMORY, "exact transport: out of memory");
    cost_rows rows = {C, N};
    ot_sites_each(sites, M, x, copy_row, &rows);
    status = ot_exact_solve(result, NULL, NULL, NULL, M, N, C, a, b);
done:
    ot_sites_destroy(&sites);
    fwm_free(C);
    return status;
}
